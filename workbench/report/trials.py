"""The trials of a search: in the study's order, by strategy, the best, and where they differ."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from workbench.record import Role
from workbench.tracker.stored_study import StoredStudy
from workbench.tracker.trial_run import TrialRun
from workbench.verdict.guards import NOT_ADAPTIVE


def of_search(study: StoredStudy, trials: Iterable[TrialRun]) -> tuple[TrialRun, ...]:
    """The search trials, by strategy in the study's order and then by number."""
    order = {strategy.name: index for index, strategy in enumerate(study.strategies)}
    return tuple(
        sorted(
            (trial for trial in trials if trial.role == Role.SEARCH),
            key=lambda t: (order.get(t.strategy, len(order)), t.strategy, t.number),
        )
    )


def by_strategy(study: StoredStudy, trials: Iterable[TrialRun]) -> dict[str, list[TrialRun]]:
    """Trials of every strategy, in the study's order; strategies that it no longer names last."""
    groups: dict[str, list[TrialRun]] = {strategy.name: [] for strategy in study.strategies}
    for trial in trials:
        groups.setdefault(trial.strategy, []).append(trial)
    return groups


def best(study: StoredStudy, trials: Iterable[TrialRun]) -> TrialRun | None:
    """The trial with the highest value (lowest if minimised); the earliest of equals."""
    sign = -1 if study.maximizes else 1
    valued = [(sign * t.value, t.number, t) for t in trials if t.value is not None]
    return min(valued, key=lambda item: item[:2])[2] if valued else None


def is_adaptive(study: StoredStudy) -> bool:
    """Whether the sampler looks at earlier results when it proposes a trial."""
    return study.sampler not in NOT_ADAPTIVE


def varied(study: StoredStudy, trials: Sequence[TrialRun]) -> dict[str, tuple[str, ...]]:
    """The factors in which trials differ, each with its labels, both in the study's order."""
    groups = by_strategy(study, trials).values()
    found = {}
    for name in dict.fromkeys([*study.factors, "optimizer", "freeze_depth"]):
        declared = [str(label) for label in study.factors.get(name, ())]
        present = {label for t in trials if (label := t.label(name)) is not None}
        within = any(len({t.label(name) for t in group}) > 1 for group in groups)
        # A level that bundles knobs (method: lpft) also moves depth: that is one factor, not two.
        if len(present) > 1 and (declared or within):
            extra = sorted(present.difference(declared), key=lambda text: (len(text), text))
            found[name] = (*(label for label in declared if label in present), *extra)
    return found


def encoding(study: StoredStudy, trials: Sequence[TrialRun]) -> dict[str, tuple[int, int]]:
    """Colour and marker of each strategy: the index of its first and of its second factor's level.

    Further factors share the second index, so that every strategy keeps a pair of its own.
    """
    factors = varied(study, trials)
    codes = {}
    for strategy, group in by_strategy(study, trials).items():
        if not group:
            continue
        indices = [
            labels.index(label)
            for factor, labels in factors.items()
            if (label := group[0].label(factor)) in labels
        ]
        rest = 0
        for index, labels in zip(indices[1:], list(factors.values())[1:], strict=False):
            rest = rest * len(labels) + index
        codes[strategy] = (indices[0] if indices else 0, rest)
    return codes
