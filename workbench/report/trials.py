"""The trials of a search: order, groups, best trial, and the factors in which they differ.

Used by the report's tables, checks and figures.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from workbench.record import Role, State
from workbench.tracker.stored_study import StoredStudy
from workbench.tracker.trial_run import TrialRun


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
    """Trials of every strategy in the study's order, then of strategies removed from its file."""
    groups: dict[str, list[TrialRun]] = {strategy.name: [] for strategy in study.strategies}
    for trial in trials:
        groups.setdefault(trial.strategy, []).append(trial)
    return groups


def ranked(study: StoredStudy, trials: Iterable[TrialRun]) -> list[TrialRun]:
    """Trials with a value, the best first; of equal ones, the earliest first."""
    sign = -1 if study.maximizes else 1
    valued = [(sign * t.value, t.number, t) for t in trials if t.value is not None]
    return [trial for *_, trial in sorted(valued, key=lambda item: item[:2])]


def best(study: StoredStudy, trials: Iterable[TrialRun]) -> TrialRun | None:
    """The trial with the highest value (lowest if minimised); the earliest of equals."""
    return next(iter(ranked(study, trials)), None)


def best_of_each(study: StoredStudy, trials: Iterable[TrialRun]) -> dict[str, TrialRun]:
    """The best trial of each strategy that has one, in the study's order."""
    groups = by_strategy(study, trials).items()
    return {name: trial for name, group in groups if (trial := best(study, group))}


def is_adaptive(study: StoredStudy) -> bool:
    """Whether the sampler looks at earlier results when it proposes a trial."""
    return study.sampler not in ("random", "grid")


def may_show_medians(study: StoredStudy, trials: Iterable[TrialRun]) -> bool:
    """Whether the median of a strategy's trials describes the strategy (refusals 3 and 5).

    Not in an adaptive search, whose trials depend on earlier values; not where pruned trials have
    no value; and not in a joint study, where the numbers of trials differ.
    """
    pruned = any(trial.state == State.PRUNED for trial in trials)
    return study.balanced and not pruned and not is_adaptive(study)


def varying_factors(study: StoredStudy, trials: Sequence[TrialRun]) -> dict[str, tuple[str, ...]]:
    """The factors in which trials differ, each with its labels, both in the study's order."""
    groups = by_strategy(study, trials).values()
    factors = {}
    for name in dict.fromkeys([*study.factors, "optimizer", "freeze_depth"]):
        declared = [str(label) for label in study.factors.get(name, ())]
        # Labels in the study file come first; others are of trials from before it was edited.
        present = {label for t in trials if (label := t.label(name)) is not None}
        within = any(len({t.label(name) for t in group}) > 1 for group in groups)
        # A level that bundles knobs (method: lpft) also moves depth: that is one factor, not two.
        if len(present) > 1 and (declared or within):
            extra = sorted(present.difference(declared), key=lambda text: (len(text), text))
            factors[name] = (*(label for label in declared if label in present), *extra)
    return factors


def encoding(study: StoredStudy, trials: Sequence[TrialRun]) -> dict[str, tuple[int, int]]:
    """Colour and marker of each strategy: the index of its first and of its second factor's level.

    All factors after the first are combined into the second index, so each strategy's pair is
    unique.
    """
    factors = varying_factors(study, trials)
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
        # A mixed-radix number: each further factor is one digit.
        for index, labels in zip(indices[1:], list(factors.values())[1:], strict=False):
            rest = rest * len(labels) + index
        codes[strategy] = (indices[0] if indices else 0, rest)
    return codes
