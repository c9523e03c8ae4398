"""Checks of a search: questions about its validity that its trials can answer.

No check ranks strategies. Used by ``report.summary``.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from statistics import median

from workbench.messages import listed
from workbench.record import State
from workbench.report.checks import Answer, Check, ask
from workbench.report.checks.bounds import bounds_finding, of_best_trials
from workbench.report.checks.conditions import compare
from workbench.report.trials import best_of_each, by_strategy
from workbench.tracker.stored_study import StoredStudy
from workbench.tracker.trial_run import TrialRun

FAILED_SHARE = 0.20  # of the ended trials
PRUNED_GAP = 0.15  # between the shares of two strategies
LATE = 0.75  # of the epochs
_JOINT = Answer(
    "not checked", "Does not apply: in a joint study the sampler distributes the trials."
)


@dataclass(frozen=True, kw_only=True)
class Search:
    """What the questions are about: a study and its search trials."""

    study: StoredStudy
    trials: Sequence[TrialRun]

    @cached_property
    def groups(self) -> dict[str, list[TrialRun]]:
        """Trials by strategy."""
        return by_strategy(self.study, self.trials)

    @cached_property
    def chosen(self) -> dict[str, TrialRun]:
        """The best trial of each strategy that has one."""
        return best_of_each(self.study, self.trials)

    def runs(self, names: Sequence[str] | Mapping[str, object]) -> tuple[str, ...]:
        """Run ids of the best trials of some strategies."""
        return tuple(self.chosen[name].run_id for name in names)


def summarize(study: StoredStudy, trials: Sequence[TrialRun]) -> tuple[Check, ...]:
    """All checks in a fixed order; a check without an answer gives the reason."""
    return ask(QUESTIONS, Search(study=study, trials=trials))


def bounds(search: Search) -> Answer:
    """Is a setting of a best trial within 5 % of a bound of its range, on the range's scale?"""
    if not any(entry.low is not None for entry in search.study.tune):
        return Answer("not checked", "The study searches no numeric range.")
    near = of_best_trials(search.study, search.trials)
    if not near:
        return _ok("No.", search.chosen)
    names = tuple(dict.fromkeys(bound.strategy for bound in near))
    return Answer("warning", bounds_finding(near), names, search.runs(names))


def failures(search: Search) -> Answer:
    """Did more than 20 % of a strategy's ended trials fail or diverge?"""
    shares = _shares(search.groups, State.FAILED)
    high = {name: pair for name, pair in shares.items() if pair[0] > FAILED_SHARE * pair[1]}
    if not high:
        return _ok("No.", shares)
    text = ", ".join(f"{name} ({failed} of {of})" for name, (failed, of) in high.items())
    return Answer("warning", f"Yes: {text}.", tuple(high))


def budgets(search: Search) -> Answer:
    """Did every strategy get the same number of trials?"""
    if not search.study.balanced:
        return _JOINT
    counts = {name: len(group) for name, group in search.groups.items()}
    planned = search.study.trials_per_strategy
    odd = [n for n, count in counts.items() if count != (planned or max(counts.values()))]
    unfinished = [n for n, group in search.groups.items() if not all(t.ended for t in group)]
    if not odd and not unfinished:
        return _ok(f"Yes, {max(counts.values())} each.", counts)
    parts = [f"{name} started {counts[name]}" for name in odd]
    parts += [f"{name} has unfinished trials" for name in unfinished]
    text = f"{f'Of {planned} planned trials: ' if planned else ''}{', '.join(parts)}."
    return Answer("warning", text, tuple(dict.fromkeys([*odd, *unfinished])))


def completed(search: Search) -> Answer:
    """Did every strategy complete the same number of trials?"""
    if not search.study.balanced:
        return _JOINT
    groups = search.groups.items()
    counts = {n: sum(t.state == State.COMPLETE for t in group) for n, group in groups}
    few, many = min(counts.values(), default=0), max(counts.values(), default=0)
    if few == many:
        return _ok(f"Yes, {many} each.", [many] if many else [])
    text = (
        f"Between {few} ({_with(counts, few)}) and {many} ({_with(counts, many)}); a strategy"
        " with more completed trials had more chances of a good value."
    )
    return Answer("warning", text, tuple(n for n in counts if counts[n] < many))


def pruned(search: Search) -> Answer:
    """Do two strategies' shares of pruned trials differ by more than 15 percentage points?"""
    shares = {n: pruned / of for n, (pruned, of) in _shares(search.groups, State.PRUNED).items()}
    if not search.study.balanced:
        return _JOINT
    if len(shares) < 2:
        return Answer("not checked", "Nothing to compare: one strategy has ended trials.")
    low, high = min(shares.values()), max(shares.values())
    lowest, highest = f"{100 * low:.0f} %", f"{100 * high:.0f} %"
    text = f"Between {lowest} ({_with(shares, low)}) and {highest} ({_with(shares, high)})."
    if low == high:
        text = f"All {lowest}."
    # 0.30 - 0.15 is a little more than 0.15 in floating point.
    if high - low <= PRUNED_GAP + 1e-9:
        return _ok(text, shares)
    text += " A pruner that compares early epochs penalises configurations that improve late."
    return Answer("warning", text, tuple(n for n in shares if shares[n] > low + PRUNED_GAP))


def still_improving(search: Search) -> Answer:
    """Is the best epoch of a best trial in the last quarter of its epochs?"""
    epochs = search.study.epochs
    if not epochs:
        return Answer("not checked", "The number of epochs is unknown.")
    if search.study.objective.epoch == "last":
        return Answer("not checked", "The objective always uses the last epoch.")
    chosen = search.chosen
    planned = {name: trial.epochs or int(epochs) for name, trial in chosen.items()}
    # A trial that stopped early was planned for more epochs than it ran.
    late = {n: at for n, t in chosen.items() if (at := t.chosen_epoch) and at > LATE * planned[n]}
    if not late:
        return _ok("No.", chosen)
    text = ", ".join(f"{name} (epoch {at:g} of {planned[name]})" for name, at in late.items())
    finding = f"Longer training may change the result: {text}."
    return Answer("warning", finding, tuple(late), search.runs(late))


def inclusion(search: Search) -> Answer:
    """Is AdamW (or Adam) clearly worse than SGD when all other factors are equal?

    An optimizer that contains SGD as a special case should reach what SGD reaches.

    A warning means that its best value is worse than the median of SGD's completed values: a
    threshold that needs no unit and is wider than their noise.

    Source: Choi et al. 2019, arXiv:1910.05446.
    """
    if not search.study.balanced:
        return Answer("not checked", "Does not apply: in a joint study the trial counts differ.")
    # Only pairs that differ in nothing but the optimizer say something about the optimizer.
    pairs = list(_pairs(search.chosen))
    sign = 1 if search.study.maximizes else -1
    low = []
    for name, rival in pairs:
        values = [trial.value for trial in search.groups[rival] if trial.value is not None]
        own = search.chosen[name].value
        assert own is not None  # best() picks among values
        if sign * own < sign * median(values):
            low.append((name, rival, own, median(values)))
    if not pairs:
        return Answer("not checked", "No pair of strategies differs only in the optimizer.")
    if not low:
        return _ok("No.", pairs)
    text = "; ".join(
        f"{name} reached {own:.4g}, the median of {rival} is {middle:.4g}"
        for name, rival, own, middle in low
    )
    finding = (
        f"{text}. With suitable settings the adaptive method can match SGD, so such a gap suggests"
        " that the search was too short or that a range excludes those settings."
    )
    names = tuple(name for name, *_ in low)
    return Answer("warning", finding, names, search.runs(names))


def _pairs(chosen: Mapping[str, TrialRun]) -> Iterator[tuple[str, str]]:
    """Strategies with Adam or AdamW, each with the SGD strategy that is otherwise the same."""

    def others(trial: TrialRun) -> dict[str, str]:
        return {factor: label for factor, label in trial.levels.items() if factor != "optimizer"}

    for name, trial in chosen.items():
        for rival, other in chosen.items():
            kinds = (trial.optimizer or "").lower(), (other.optimizer or "").lower()
            if kinds in (("adam", "sgd"), ("adamw", "sgd")) and others(trial) == others(other):
                yield name, rival


def provenance(search: Search) -> Answer:
    """Did all trials use the same commit, packages and kind of machine?"""
    # A trial that failed before it chose a device recorded nothing, and has no value either.
    begun = [trial for trial in search.trials if trial.provenance or trial.state != State.FAILED]
    return compare(begun, "trial")


def _shares(groups: Mapping[str, Sequence[TrialRun]], state: State) -> dict[str, tuple[int, int]]:
    """By strategy: trials in a state, and all that have ended."""
    ended = {name: [t for t in group if t.ended] for name, group in groups.items()}
    return {
        name: (sum(t.state == state for t in group), len(group))
        for name, group in ended.items()
        if group
    }


def _ok(finding: str, answered_by: Sequence[object] | Mapping[str, object]) -> Answer:
    """``ok``, unless no trial has ended that could show the opposite."""
    if not answered_by:
        return Answer("not checked", "Not enough trials have ended.")
    return Answer("ok", finding)


def _with(counts: Mapping[str, float], value: float) -> str:
    """Names of the strategies that have this value."""
    return listed((name for name, count in counts.items() if count == value), 3)


QUESTIONS = (
    bounds,
    failures,
    budgets,
    completed,
    pruned,
    still_improving,
    inclusion,
    provenance,
)
