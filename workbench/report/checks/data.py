"""What a careful reader should know of the data and of the first weights: facts, not alarms.

The part of the validity panel that the trials cannot answer: it stands in the study's description,
where whoever read the data and the weights put it. Judges no strategy and draws nothing.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from workbench.report.checks.search import Check
from workbench.verdict.wording.numbers import counted

UNEQUAL = 3.0  # samples of the largest class over those of the smallest
_EXAMPLES = 3
_COLUMNS = 5
_UNKNOWN = "The study's description does not say."


def summarize(study: Mapping[str, Any]) -> tuple[Check, ...]:
    """Checks in a fixed order; one that the description cannot answer says so.

    Args:
        study: Its description; ``data`` may hold ``duplicates`` (``parts``, ``count``,
            ``examples`` of each), ``skipped`` (texts), ``per_class`` (counts by name),
            ``numbers`` (``mean`` and ``sd`` by target column) and ``others``, the data sets of
            other levels (``called``, ``duplicates``, ``skipped``); ``backbone`` may hold
            ``notes`` (texts).
    """
    data = study.get("data") or {}
    return (
        _duplicates(_of_all(data, "duplicates")),
        _skipped(_of_all(data, "skipped")),
        _numbers(data["numbers"])
        if data.get("numbers")
        else _classes(data.get("per_class"), str(study["objective"]["metric"])),
        _weights(study.get("backbone") or {}),
    )


def _of_all(data: Mapping[str, Any], key: str) -> list[tuple[str, Any]] | None:
    """What the description says of every data set, each with ``in CALLED`` for a level's own.

    Returns:
        None where it does not say it of every one: silence is not a clean bill.
    """
    found: list[tuple[str, Any]] = []
    seen: list[Any] = []
    for one in (data, *(data.get("others") or ())):
        if one.get(key) is None:
            return None
        where = f" in {one['called']}" if "called" in one else ""
        for each in one[key]:
            # A fraction of the same files leaves out the same samples.
            same = (one.get("name"), one.get("source"), each)
            if same not in seen:
                found.append((where, each))
            seen.append(same)
    return found


def _duplicates(found: Sequence[tuple[str, Mapping[str, Any]]] | None) -> Check:
    question = "Do samples of one part of the data stand in another one, too?"
    if found is None:
        return Check("duplicates", "not checked", question, _UNKNOWN)
    sentences = []
    for where, same in found:
        if not same.get("count"):
            continue
        first, second = same["parts"]
        examples = [str(name) for name in same.get("examples") or ()][:_EXAMPLES]
        shown = f" (for example {', '.join(examples)})" if examples else ""
        count = counted(same["count"], "sample")
        sentences.append(f"{count} of {second}, also in {first}{where}{shown}")
    if not sentences:
        return Check("duplicates", "ok", question, "None was found.")
    text = (
        f"{'; '.join(sentences)}. A value measured on such samples tells how well they were"
        " remembered, not how well new ones are predicted."
    )
    return Check("duplicates", "note", question, text)


def _skipped(found: Sequence[tuple[str, str]] | None) -> Check:
    question = "Was anything left out of the data because it could not be read?"
    if found is None:
        return Check("skipped", "not checked", question, _UNKNOWN)
    if not found:
        return Check("skipped", "ok", question, "No.")
    shown = "; ".join(str(text).strip().rstrip(".") + where for where, text in found[:_EXAMPLES])
    rest = len(found) - _EXAMPLES
    more = f"; and {rest} more" if rest > 0 else ""
    return Check("skipped", "note", question, f"{counted(len(found), 'sample')}: {shown}{more}.")


def _classes(counts: Mapping[str, int] | None, metric: str) -> Check:
    question = "Does the largest class have more than 3 times as many samples as the smallest?"
    if not counts:
        return Check("classes", "not checked", question, "Samples are not counted by class.")
    largest = max(counts, key=lambda name: counts[name])
    smallest = min(counts, key=lambda name: counts[name])
    high, low = counts[largest], counts[smallest]
    text = f"The largest is {largest} ({high}), the smallest {smallest} ({low})"
    if high <= UNEQUAL * low:
        return Check("classes", "ok", question, f"{text}.")
    times = f", {high / low:.3g} times as many" if low else ""
    # Macro averages weigh classes alike; the share of right answers weighs them by their samples.
    shared = metric.endswith("/accuracy")
    weighed = f" {metric} weighs a class by its number of samples." if shared else ""
    return Check("classes", "note", question, f"{text}{times}.{weighed}")


def _numbers(columns: Mapping[str, Mapping[str, float]]) -> Check:
    question = "How widely do the target columns vary?"
    parts = [
        f"{name}: mean {_plain(column['mean'])}, standard deviation {_plain(column['sd'])}"
        for name, column in columns.items()
    ]
    rest = len(parts) - _COLUMNS
    more = f"; and {rest} more" if rest > 0 else ""
    text = f"{'; '.join(parts[:_COLUMNS])}{more}. Always predicting the mean has an RMSE of about"
    return Check(
        "numbers", "note", question, f"{text} the standard deviation, and an R2 of about 0."
    )


def _weights(backbone: Mapping[str, Any]) -> Check:
    question = "Is there anything to know about the weights that training started from?"
    if not backbone.get("weights"):
        return Check("weights", "ok", question, "There are none: training starts from scratch.")
    notes = backbone.get("notes")
    if notes is None:
        return Check("weights", "not checked", question, _UNKNOWN)
    if not notes:
        return Check("weights", "ok", question, "No.")
    text = " ".join(f"{str(note).strip().rstrip('.')}." for note in notes)
    return Check("weights", "note", question, text)


def _plain(value: float) -> str:
    """Four digits, or as many as stand before the point."""
    return f"{value:.0f}" if 1000 <= abs(value) < 1e9 else f"{value:.4g}"
