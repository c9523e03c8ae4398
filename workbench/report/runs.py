"""A confirmation as it was planned and as it ran: arms and seeds with their runs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from workbench.record import Role, State
from workbench.report.material import Material
from workbench.report.protocol import (
    PlannedArm,
    Protocol,
    Selection,
    read_protocol,
    read_second_look,
    read_selection,
)
from workbench.tracker.trial_run import TrialRun


@dataclass(frozen=True, kw_only=True)
class Arm:
    """A configuration that is confirmed, with a run for each seed that has one."""

    plan: PlannedArm
    runs: Mapping[str, TrialRun]

    @property
    def name(self) -> str:
        """Of its strategy, or ``default``."""
        return self.plan.name


@dataclass(frozen=True, kw_only=True)
class Confirmation:
    """What a protocol planned, with the runs that exist.

    Attributes:
        chosen: None while the selection runs.
        arms: In the protocol's order; they have no runs before the selection has ended.
        later: Runs of a second look that has begun and not ended, of ``later_planned``; until then
            the first look counts alone.
        beyond: Confirmation runs that the protocol does not plan: of another seed or arm, or a
            second run of a planned seed.
        selection: Runs of the selection by group.
    """

    protocol: Protocol
    chosen: Selection | None
    arms: tuple[Arm, ...]
    beyond: tuple[TrialRun, ...]
    later: tuple[TrialRun, ...] = ()
    later_planned: int = 0
    selection: Mapping[str, tuple[TrialRun, ...]]

    @property
    def planned(self) -> int:
        """Number of planned runs."""
        return len(self.arms) * len(self.protocol.seeds)

    @property
    def done(self) -> int:
        """Number of planned runs that have ended."""
        return sum(run.ended for run in self.runs)

    @property
    def finished(self) -> bool:
        """Whether all planned runs have ended, so that test values may be shown."""
        # Without arms there is nothing to finish, so 0 of 0 runs does not count.
        return self.chosen is not None and 0 < self.planned == self.done

    @property
    def runs(self) -> tuple[TrialRun, ...]:
        """The planned runs that exist, by arm and seed."""
        seeds = self.protocol.seeds
        return tuple(arm.runs[seed] for arm in self.arms for seed in seeds if seed in arm.runs)


def read(material: Material) -> Confirmation | None:
    """The confirmation of a study; None where none has begun.

    Raises:
        ValueError: The protocol lacks a required key.
    """
    if not material.study.protocol:
        return None
    protocol = read_protocol(material.study.protocol)
    chosen = read_selection(material.study.selection)
    planned, fresh = _planned(protocol, chosen), _fresh(material, protocol)
    seeds = (*protocol.seeds, *fresh)
    by_arm: dict[str, dict[str, TrialRun]] = {plan.name: {} for plan in planned}
    beyond = []
    for run in _runs(material, Role.CONFIRMATION):
        own = by_arm.get(run.group)
        # Without a seed tag: runs are numbered in the order of the seeds.
        seed = run.seed or (seeds[run.number] if run.number < len(seeds) else "")
        if own is None or seed not in seeds or seed in own:
            beyond.append(run)
        else:
            own[seed] = run
    later: list[TrialRun] = []
    if all(seed in own and own[seed].ended for own in by_arm.values() for seed in fresh):
        protocol = protocol.with_second_look(fresh) if fresh else protocol
        fresh = ()
    for own in by_arm.values():
        later += [own.pop(seed) for seed in fresh if seed in own]
    selection: dict[str, list[TrialRun]] = {}
    for run in _runs(material, Role.SELECTION):
        selection.setdefault(run.group, []).append(run)
    return Confirmation(
        protocol=protocol,
        chosen=chosen,
        arms=tuple(Arm(plan=plan, runs=by_arm[plan.name]) for plan in planned),
        beyond=tuple(beyond),
        later=tuple(later),
        later_planned=len(planned) * len(fresh),
        selection={group: tuple(runs) for group, runs in selection.items()},
    )


def sealed(material: Material) -> Material:
    """The material without test values, unless a confirmation with a protocol has finished.

    Test values that are shown before the end could influence which runs are made. Of a second look
    that has not ended none is shown either.
    """
    if material.added:
        material = replace(material, added=tuple(map(sealed, material.added)))
    confirmation = read(material)
    may_show = not unplanned(material) if confirmation is None else confirmation.finished
    hidden = {run.run_id for run in (confirmation.later if confirmation else ())}
    if may_show and not hidden:
        return material
    trials = tuple(
        replace(run, test={}) if run.test and (not may_show or run.run_id in hidden) else run
        for run in material.trials
    )
    shown = {run.run_id for run in material.trials if may_show and run.run_id not in hidden}
    scores = {run: kept for run, kept in material.scores.items() if run in shown}
    predictions = {run: kept for run, kept in material.predictions.items() if run in shown}
    return replace(material, trials=trials, scores=scores, predictions=predictions)


def unplanned(material: Material) -> int:
    """Number of confirmation runs of a study without a protocol."""
    if material.study.protocol:
        return 0
    return sum(run.role == Role.CONFIRMATION for run in material.trials)


def _fresh(material: Material, protocol: Protocol) -> tuple[str, ...]:
    """The seeds of a second look that has begun, where the protocol plans one."""
    second = material.study.second_look
    return () if second is None or protocol.looks < 2 else read_second_look(second.protocol)


def _planned(protocol: Protocol, chosen: Selection | None) -> Sequence[PlannedArm]:
    """The arms; before the selection has ended, those that it can select at most."""
    if chosen and chosen.arms:
        return chosen.arms
    names = [*protocol.candidates] or [*protocol.levels]
    arms = [
        PlannedArm(name=name, strategy=name, levels=protocol.levels.get(name, {}))
        for name in names[: protocol.finalists or len(names)]
    ]
    return [*arms, protocol.baseline]


def _runs(material: Material, role: Role) -> list[TrialRun]:
    """Runs of a role by group and number; only complete ones keep their test values."""
    runs = [run for run in material.trials if run.role == role]
    return [
        run if run.state is State.COMPLETE else replace(run, test={})
        for run in sorted(runs, key=lambda run: (run.group, run.number, run.run_id))
    ]
