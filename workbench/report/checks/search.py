"""The validity panel: what about a search would make a careful reader doubt its numbers.

Every question about a search that its trials themselves can answer. A check describes and never
ranks; it draws nothing, because the panel is a list of sentences.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from statistics import median
from typing import Any, NamedTuple

from workbench.record import State
from workbench.report.checks.conditions import compare
from workbench.report.trials import Trial, best, by_strategy

EDGE = 0.05  # of a range, on its own scale
FAILED_SHARE = 0.20
PRUNED_GAP = 0.15
LATE = 0.75  # of the epochs


class Bound(NamedTuple):
    """A tuned value close to an end of its range; ``bound`` is that end."""

    knob: str
    value: float
    bound: float
    side: str


class Check(NamedTuple):
    """One question about a search.

    Attributes:
        status: ``ok``, ``warning``, ``not checked``, or ``note`` for a fact without a threshold of
            its own that a reader should know.
        question: With its threshold.
        finding: The answer, in sentences.
        strategies: Those concerned by a warning.
        runs: Run ids of the trials that a warning rests on.
    """

    name: str
    status: str
    question: str
    finding: str
    strategies: tuple[str, ...] = ()
    runs: tuple[str, ...] = ()


def at_bound(study: Mapping[str, Any], trial: Trial) -> list[Bound]:
    """Tuned values of a trial that lie within 5 % of an end of their range."""
    found = []
    for knob, value in trial.hyperparameters.items():
        entry = range_of(study, trial, knob)
        if entry is None or entry.get("low") is None or not isinstance(value, int | float):
            continue
        low, high, at = float(entry["low"]), float(entry["high"]), float(value)
        if entry.get("log"):
            position = math.log(at / low) / math.log(high / low) if at > 0 else 0.0
        else:
            position = (at - low) / (high - low)
        if position < EDGE:
            found.append(Bound(knob, at, low, "lower"))
        elif position > 1 - EDGE:
            found.append(Bound(knob, at, high, "upper"))
    return found


def range_of(study: Mapping[str, Any], trial: Trial, knob: str) -> Mapping[str, Any] | None:
    """The first entry of ``tune`` that applies to a trial; None where that cannot be told."""
    facts: dict[str, Any] = {"optimizer": trial.optimizer, "freeze_depth": trial.freeze_depth}
    facts = {**facts, **trial.hyperparameters, **trial.levels}
    for entry in study["tune"]:
        if entry["knob"] != knob:
            continue
        when = entry.get("when") or {}
        if any(facts.get(name) is None for name in when):
            return None
        if all(_matches(facts[name], wanted) for name, wanted in when.items()):
            found: Mapping[str, Any] = entry
            return found
    return None


def _matches(value: Any, wanted: Any) -> bool:
    options = wanted if isinstance(wanted, list | tuple) else [wanted]
    return str(value).lower() in {str(option).lower() for option in options}


def summarize(study: Mapping[str, Any], trials: Sequence[Trial]) -> tuple[Check, ...]:
    """All checks in a fixed order; one that cannot be answered says why."""
    groups = by_strategy(study, trials)
    chosen = {name: trial for name, group in groups.items() if (trial := best(study, group))}
    return (
        _bounds(study, chosen),
        _failures(groups),
        _budgets(study, groups),
        _completed(study, groups),
        _pruned(study, groups),
        _still_improving(study, chosen),
        _inclusion(study, groups, chosen),
        _provenance(trials),
    )


def _bounds(study: Mapping[str, Any], chosen: Mapping[str, Trial]) -> Check:
    question = (
        "Does a best trial lie within 5 % of a bound of a searched range, on the range's scale?"
    )
    if not any(entry.get("low") is not None for entry in study["tune"]):
        return Check("bounds", "not checked", question, "The study searches no numeric range.")
    hits = [(name, hit) for name, trial in chosen.items() for hit in at_bound(study, trial)]
    if not hits:
        return _fine("bounds", question, "None does.", chosen)
    text = "; ".join(
        f"{name}: {hit.knob} = {hit.value:.3g}, {hit.side} bound {hit.bound:.3g}"
        for name, hit in hits
    )
    names = tuple(dict.fromkeys(name for name, _ in hits))
    finding = f"At a bound, so a wider range may change the result: {text}."
    return Check("bounds", "warning", question, finding, names, _runs(chosen, names))


def _failures(groups: Mapping[str, Sequence[Trial]]) -> Check:
    question = "Did more than 20 % of a strategy's ended trials fail or diverge?"
    shares = _shares(groups, State.FAILED)
    high = {name: pair for name, pair in shares.items() if pair[0] > FAILED_SHARE * pair[1]}
    if not high:
        return _fine("failures", question, "In none.", shares)
    text = ", ".join(f"{name} ({failed} of {of})" for name, (failed, of) in high.items())
    return Check("failures", "warning", question, f"In {text}.", tuple(high))


def _budgets(study: Mapping[str, Any], groups: Mapping[str, Sequence[Trial]]) -> Check:
    question = "Was every strategy given the same number of trials?"
    if study["mode"] == "joint":
        text = "Not so by design: in a joint study the sampler shares the trials out."
        return Check("budgets", "not checked", question, text)
    counts = {name: len(group) for name, group in groups.items()}
    planned = (study.get("budget") or {}).get("trials_per_strategy")
    odd = [n for n, count in counts.items() if count != (planned or max(counts.values()))]
    unfinished = [name for name, group in groups.items() if not all(t.ended for t in group)]
    if not odd and not unfinished:
        return _fine("budgets", question, f"Yes, {max(counts.values())} each.", counts)
    parts = [f"{name} started {counts[name]}" for name in odd]
    parts += [f"{name} has unfinished trials" for name in unfinished]
    text = f"{f'Of {planned} planned trials: ' if planned else ''}{', '.join(parts)}."
    return Check("budgets", "warning", question, text, tuple(dict.fromkeys([*odd, *unfinished])))


def _completed(study: Mapping[str, Any], groups: Mapping[str, Sequence[Trial]]) -> Check:
    question = "Did every strategy complete the same number of trials?"
    if study["mode"] == "joint":
        text = "Not so by design: in a joint study the sampler shares the trials out."
        return Check("completed", "not checked", question, text)
    counts = {n: sum(t.state == State.COMPLETE for t in group) for n, group in groups.items()}
    few, many = min(counts.values(), default=0), max(counts.values(), default=0)
    if few == many:
        return _fine("completed", question, f"Yes, {many} each.", [many] if many else [])
    text = (
        f"Between {few} ({_named(counts, few)}) and {many} ({_named(counts, many)}); a strategy"
        " with more completed trials had more chances at a high place."
    )
    return Check(
        "completed", "warning", question, text, tuple(n for n in counts if counts[n] < many)
    )


def _pruned(study: Mapping[str, Any], groups: Mapping[str, Sequence[Trial]]) -> Check:
    question = "Do the pruned shares of two strategies differ by more than 15 points?"
    shares = {n: pruned / of for n, (pruned, of) in _shares(groups, State.PRUNED).items()}
    if study["mode"] == "joint" or len(shares) < 2:
        why = "the study is joint" if study["mode"] == "joint" else "one strategy has ended trials"
        return Check("pruned", "not checked", question, f"There is nothing to compare: {why}.")
    low, high = min(shares.values()), max(shares.values())
    text = f"Between {low:.0%} ({_named(shares, low)}) and {high:.0%} ({_named(shares, high)})."
    if low == high:
        text = f"All {low:.0%}."
    if high - low <= PRUNED_GAP + 1e-9:
        return _fine("pruned", question, text, shares)
    text += " A pruner that compares early epochs is hard on slow starters."
    names = tuple(name for name, share in shares.items() if share > low + PRUNED_GAP)
    return Check("pruned", "warning", question, text, names)


def _still_improving(study: Mapping[str, Any], chosen: Mapping[str, Trial]) -> Check:
    question = "Did a best trial have its chosen epoch in the last quarter of its epochs?"
    epochs = study.get("epochs")
    if study["objective"].get("epoch") == "last" or not epochs:
        why = "the objective always takes the last epoch" if epochs else "the epochs are unknown"
        return Check("still improving", "not checked", question, f"Cannot be told: {why}.")
    planned = {name: trial.epochs or int(epochs) for name, trial in chosen.items()}
    late = {n: at for n, t in chosen.items() if (at := t.chosen_epoch) and at > LATE * planned[n]}
    if not late:
        return _fine("still improving", question, "None had.", chosen)
    text = ", ".join(f"{name} (epoch {at:g} of {planned[name]})" for name, at in late.items())
    finding = f"Longer training may change the result: {text}."
    return Check("still improving", "warning", question, finding, tuple(late), _runs(chosen, late))


def _inclusion(
    study: Mapping[str, Any],
    groups: Mapping[str, Sequence[Trial]],
    chosen: Mapping[str, Trial],
) -> Check:
    """An optimizer that contains SGD as a special case should reach what SGD reaches.

    Source: Choi et al. 2019, arXiv:1910.05446. "Clearly" means that its best value does not reach
    the median of SGD's completed values: a threshold without a unit, and wider than their noise.
    """
    question = "Does AdamW (or Adam) stay clearly behind SGD where all else is equal?"
    if study["mode"] == "joint":
        return Check("inclusion", "not checked", question, "The study is joint: counts differ.")
    pairs = list(_pairs(chosen))
    sign = 1 if study["objective"]["direction"] == "maximize" else -1
    low = []
    for name, rival in pairs:
        values = [trial.value for trial in groups[rival] if trial.value is not None]
        own = chosen[name].value
        assert own is not None  # best() picks among values
        if sign * own < sign * median(values):
            low.append((name, rival, own, median(values)))
    if not pairs:
        return Check(
            "inclusion", "not checked", question, "No pair of strategies differs only in it."
        )
    if not low:
        return _fine("inclusion", question, "In no pair.", [name for name, _ in pairs])
    text = "; ".join(
        f"{name} reached {own:.4g}, the median of {rival} is {middle:.4g}"
        for name, rival, own, middle in low
    )
    finding = (
        f"{text}. With suitable settings the adaptive method can follow SGD, so such a gap points"
        " to a search that was too short or a range that misses those settings."
    )
    names = tuple(name for name, *_ in low)
    return Check("inclusion", "warning", question, finding, names, _runs(chosen, names))


def _pairs(chosen: Mapping[str, Trial]) -> Iterator[tuple[str, str]]:
    def others(trial: Trial) -> dict[str, str]:
        return {factor: label for factor, label in trial.levels.items() if factor != "optimizer"}

    for name, trial in chosen.items():
        for rival, other in chosen.items():
            kinds = (trial.optimizer or "").lower(), (other.optimizer or "").lower()
            if kinds in (("adam", "sgd"), ("adamw", "sgd")) and others(trial) == others(other):
                yield name, rival


def _provenance(trials: Sequence[Trial]) -> Check:
    question = "Did all trials come from one commit, one set of packages, one kind of machine?"
    # One that failed before it found its device has recorded nothing, and has no value either.
    begun = [trial for trial in trials if trial.provenance or trial.state != State.FAILED]
    status, finding = compare(begun, "trial")
    return Check("provenance", status, question, finding)


def _shares(groups: Mapping[str, Sequence[Trial]], state: State) -> dict[str, tuple[int, int]]:
    ended = {name: [t for t in group if t.ended] for name, group in groups.items()}
    return {
        name: (sum(t.state == state for t in group), len(group))
        for name, group in ended.items()
        if group
    }


def _fine(
    name: str, question: str, finding: str, looked_at: Sequence[Any] | Mapping[str, Any]
) -> Check:
    if not looked_at:
        return Check(name, "not checked", question, "No trial can answer it yet.")
    return Check(name, "ok", question, finding)


def _named(counts: Mapping[str, float], value: float) -> str:
    names = [name for name, count in counts.items() if count == value]
    return ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")


def _runs(chosen: Mapping[str, Trial], names: Sequence[str] | Mapping[str, Any]) -> tuple[str, ...]:
    return tuple(chosen[name].run_id for name in names)
