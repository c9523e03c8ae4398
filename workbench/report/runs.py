"""A confirmation as it was planned and as it ran: arms and seeds with their runs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from workbench.record import Role, State
from workbench.report.material import Material
from workbench.report.protocol import Planned, Protocol, Selection, read_protocol, read_selection
from workbench.tracker.trial_run import TrialRun


@dataclass(frozen=True, kw_only=True)
class Arm:
    """A configuration that is confirmed, with a run for each seed that has one."""

    plan: Planned
    runs: Mapping[str, TrialRun]

    @property
    def name(self) -> str:
        """Of its strategy, or ``default``."""
        return self.plan.name


@dataclass(frozen=True, kw_only=True)
class Confirmation:
    """What a protocol planned and what has come of it.

    Attributes:
        chosen: None while the selection runs.
        arms: In the protocol's order; before the selection has ended without runs.
        beyond: Confirmation runs that the protocol does not plan: of another seed or arm, or a
            second one of the same.
        selection: Runs of the selection by group.
    """

    protocol: Protocol
    chosen: Selection | None
    arms: tuple[Arm, ...]
    beyond: tuple[TrialRun, ...]
    selection: Mapping[str, tuple[TrialRun, ...]]

    @property
    def planned(self) -> int:
        """How many runs make it whole."""
        return len(self.arms) * len(self.protocol.seeds)

    @property
    def done(self) -> int:
        """How many of those have ended."""
        return sum(run.ended for run in self.runs)

    @property
    def finished(self) -> bool:
        """Whether all have, so that test values may be looked at."""
        return self.chosen is not None and 0 < self.planned == self.done

    @property
    def runs(self) -> tuple[TrialRun, ...]:
        """The planned runs that exist, by arm and seed."""
        seeds = self.protocol.seeds
        return tuple(arm.runs[seed] for arm in self.arms for seed in seeds if seed in arm.runs)


def read(material: Material) -> Confirmation | None:
    """The confirmation of a study; None where none has begun.

    Raises:
        ValueError: The protocol lacks what a verdict needs.
    """
    if not material.study.protocol:
        return None
    protocol = read_protocol(material.study.protocol)
    chosen = read_selection(material.study.selection)
    seeds, planned = protocol.seeds, _planned(protocol, chosen)
    found: dict[str, dict[str, TrialRun]] = {plan.name: {} for plan in planned}
    beyond = []
    for run in _runs(material, Role.CONFIRMATION):
        own = found.get(run.group)
        seed = run.seed or (seeds[run.number] if run.number < len(seeds) else "")
        if own is None or seed not in seeds or seed in own:
            beyond.append(run)
        else:
            own[seed] = run
    selection: dict[str, list[TrialRun]] = {}
    for run in _runs(material, Role.SELECTION):
        selection.setdefault(run.group, []).append(run)
    return Confirmation(
        protocol=protocol,
        chosen=chosen,
        arms=tuple(Arm(plan=plan, runs=found[plan.name]) for plan in planned),
        beyond=tuple(beyond),
        selection={group: tuple(runs) for group, runs in selection.items()},
    )


def sealed(material: Material) -> Material:
    """The same without a test value unless a confirmation with a protocol has finished.

    To show one would be a look that no protocol has planned.
    """
    confirmation = read(material)
    may_show = not unplanned(material) if confirmation is None else confirmation.finished
    if may_show:
        return material
    trials = tuple(replace(run, test={}) if run.test else run for run in material.trials)
    return replace(material, trials=trials, scores={})


def unplanned(material: Material) -> int:
    """How many runs of a confirmation there are whose protocol is gone."""
    if material.study.protocol:
        return 0
    return sum(run.role == Role.CONFIRMATION for run in material.trials)


def _planned(protocol: Protocol, chosen: Selection | None) -> Sequence[Planned]:
    """The arms; before the selection has ended those that it may come to."""
    if chosen and chosen.arms:
        return chosen.arms
    names = [*protocol.candidates] or [*protocol.levels]
    arms = [
        Planned(
            name=name,
            strategy=name,
            levels=protocol.levels.get(name, {}),
            hyperparameters={},
            baseline=False,
        )
        for name in names[: protocol.finalists or len(names)]
    ]
    return [*arms, protocol.baseline]


def _runs(material: Material, role: Role) -> list[TrialRun]:
    """Runs of a role by group and number; only a complete one has values of the test split."""
    runs = [run for run in material.trials if run.role == role]
    return [
        run if run.state is State.COMPLETE else replace(run, test={})
        for run in sorted(runs, key=lambda run: (run.group, run.number, run.run_id))
    ]
