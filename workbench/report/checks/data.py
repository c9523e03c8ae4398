"""What a careful reader should know of the data and of the first weights: facts, not alarms.

Answered from the study's description, where the driver that read the data and the weights put it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeVar

from workbench.report.checks import Answer, Check, Question, ask
from workbench.tracker.stored_study import Data, StoredStudy
from workbench.verdict.wording.numbers import counted

UNEQUAL = 3.0  # samples of the largest class over those of the smallest
_EXAMPLES = 3
_COLUMNS = 5
_UNKNOWN = Answer("not checked", "The study's description does not say.")

Noted = TypeVar("Noted")


def summarize(study: StoredStudy) -> tuple[Check, ...]:
    """Checks in a fixed order; one that the description cannot answer says so."""
    spread = COLUMNS if study.data.numbers else CLASSES
    return ask((DUPLICATES, SKIPPED, spread, WEIGHTS), study)


def _of_all(
    data: Data, noted: Callable[[Data], Sequence[Noted] | None]
) -> list[tuple[str, Noted]] | None:
    """What was noted of every data set, each with `` in CALLED`` for a level's own.

    Returns:
        None where one of them says nothing: silence is not a clean bill.
    """
    found: list[tuple[str, Noted]] = []
    seen: list[tuple[str | None, str | None, Noted]] = []
    for one in (data, *data.others):
        items = noted(one)
        if items is None:
            return None
        for item in items:
            # A fraction of the same files leaves out the same samples.
            same = (one.name, one.source, item)
            if same not in seen:
                found.append((f" in {one.called}" if one.called else "", item))
            seen.append(same)
    return found


def _duplicates(study: StoredStudy) -> Answer:
    found = _of_all(study.data, lambda data: data.duplicates)
    if found is None:
        return _UNKNOWN
    sentences = []
    for where, same in found:
        if not same.count:
            continue
        first, second = same.parts
        examples = ", ".join(same.examples[:_EXAMPLES])
        shown = f" (for example {examples})" if examples else ""
        sentences.append(
            f"{counted(same.count, 'sample')} of {second}, also in {first}{where}{shown}"
        )
    if not sentences:
        return Answer("ok", "None was found.")
    return Answer(
        "note",
        f"{'; '.join(sentences)}. A value measured on such samples tells how well they were"
        " remembered, not how well new ones are predicted.",
    )


def _skipped(study: StoredStudy) -> Answer:
    found = _of_all(study.data, lambda data: data.skipped)
    if found is None:
        return _UNKNOWN
    if not found:
        return Answer("ok", "No.")
    shown = "; ".join(text.strip().rstrip(".") + where for where, text in found[:_EXAMPLES])
    rest = len(found) - _EXAMPLES
    more = f"; and {rest} more" if rest > 0 else ""
    return Answer("note", f"{counted(len(found), 'sample')}: {shown}{more}.")


def _classes(study: StoredStudy) -> Answer:
    counts, metric = study.data.per_class, study.objective.metric
    if not counts:
        return Answer("not checked", "Samples are not counted by class.")
    largest = max(counts, key=lambda name: counts[name])
    smallest = min(counts, key=lambda name: counts[name])
    high, low = counts[largest], counts[smallest]
    text = f"The largest is {largest} ({high}), the smallest {smallest} ({low})"
    if high <= UNEQUAL * low:
        return Answer("ok", f"{text}.")
    times = f", {high / low:.3g} times as many" if low else ""
    # Macro averages weigh classes alike; the share of right answers weighs them by their samples.
    shared = metric.endswith("/accuracy")
    weighed = f" {metric} weighs a class by its number of samples." if shared else ""
    return Answer("note", f"{text}{times}.{weighed}")


def _columns(study: StoredStudy) -> Answer:
    parts = [
        f"{name}: mean {_plain(column['mean'])}, standard deviation {_plain(column['sd'])}"
        for name, column in study.data.numbers.items()
    ]
    rest = len(parts) - _COLUMNS
    more = f"; and {rest} more" if rest > 0 else ""
    text = f"{'; '.join(parts[:_COLUMNS])}{more}. Always predicting the mean has an RMSE of about"
    return Answer("note", f"{text} the standard deviation, and an R2 of about 0.")


def _weights(study: StoredStudy) -> Answer:
    backbone = study.backbone
    if backbone is None or not backbone.weights:
        return Answer("ok", "There are none: training starts from scratch.")
    if backbone.notes is None:
        return _UNKNOWN
    if not backbone.notes:
        return Answer("ok", "No.")
    return Answer("note", " ".join(f"{note.strip().rstrip('.')}." for note in backbone.notes))


def _plain(value: float) -> str:
    """Four digits, or as many as stand before the point."""
    return f"{value:.0f}" if 1000 <= abs(value) < 1e9 else f"{value:.4g}"


DUPLICATES = Question(
    "duplicates", "Do samples of one part of the data stand in another one, too?", _duplicates
)
SKIPPED = Question(
    "skipped", "Was anything left out of the data because it could not be read?", _skipped
)
CLASSES = Question(
    "classes",
    "Does the largest class have more than 3 times as many samples as the smallest?",
    _classes,
)
COLUMNS = Question("numbers", "How widely do the target columns vary?", _columns)
WEIGHTS = Question(
    "weights", "Is there anything to know about the weights that training started from?", _weights
)
