"""Checks of the data and of the initial weights, answered from the study's description."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeVar

from workbench.messages import counted, joined
from workbench.report.checks import Answer, Check, ask
from workbench.report.percent import plain
from workbench.tracker.stored_study import Data, StoredStudy

UNEQUAL = 3.0  # samples of the largest class over those of the smallest
_EXAMPLES = 3
_COLUMNS = 5
_UNKNOWN = Answer("not checked", "The study's description does not contain this.")

Noted = TypeVar("Noted")


def summarize(study: StoredStudy) -> tuple[Check, ...]:
    """Checks in a fixed order; a check that the description cannot answer says so."""
    spread = numbers if study.data.numbers else classes
    return ask((duplicates, skipped, spread, weights), study)


def _of_all(
    data: Data, noted: Callable[[Data], Sequence[Noted] | None]
) -> list[tuple[str, Noted]] | None:
    """The notes on every data set, each with a suffix such as `` in LEVEL`` for that of a level.

    Returns:
        None where a data set has no notes recorded, because it may have problems.
    """
    notes: dict[tuple[str | None, str | None, Noted], tuple[str, Noted]] = {}
    for dataset in (data, *data.others):
        items = noted(dataset)
        if items is None:
            return None
        where = f" in {dataset.called}" if dataset.called else ""
        for item in items:
            # Levels that use parts of the same files would repeat the same note.
            notes.setdefault((dataset.name, dataset.source, item), (where, item))
    return list(notes.values())


def duplicates(study: StoredStudy) -> Answer:
    """Do parts of the data share samples?"""
    notes = _of_all(study.data, lambda data: data.duplicates)
    if notes is None:
        return _UNKNOWN
    sentences = []
    for where, shared in notes:
        if not shared.count:
            continue
        first, second = shared.parts
        examples = ", ".join(shared.examples[:_EXAMPLES])
        shown = f" (for example {examples})" if examples else ""
        sentences.append(
            f"{counted(shared.count, 'sample')} of {second}, also in {first}{where}{shown}"
        )
    if not sentences:
        counts = study.data.dropped.items()
        dropped = [f"{counted(count, 'sample')} of {part}" for part, count in counts if count]
        more = f" Left out: {joined(dropped)}, which a later part has too." if dropped else ""
        return Answer("ok", f"No.{more}")
    return Answer(
        "note",
        f"{'; '.join(sentences)}. A value measured on such samples shows how well they were"
        " memorised, not how well new samples are predicted.",
    )


def skipped(study: StoredStudy) -> Answer:
    """Were samples left out because they could not be read?"""
    notes = _of_all(study.data, lambda data: data.skipped)
    if notes is None:
        return _UNKNOWN
    if not notes:
        return Answer("ok", "No.")
    shown = "; ".join(text.strip().rstrip(".") + where for where, text in notes[:_EXAMPLES])
    rest = len(notes) - _EXAMPLES
    more = f"; and {rest} more" if rest > 0 else ""
    return Answer("note", f"{counted(len(notes), 'sample')}: {shown}{more}.")


def classes(study: StoredStudy) -> Answer:
    """Does the largest class have more than 3 times as many samples as the smallest?"""
    counts, metric = study.data.per_class, study.objective.metric
    if not counts:
        return Answer("not checked", "Samples are not counted by class.")
    # The first of equals, in the order of the classes.
    largest = max(counts, key=lambda name: counts[name])
    smallest = min(counts, key=lambda name: counts[name])
    high, low = counts[largest], counts[smallest]
    if high == low:
        return Answer("ok", f"No: every class has {counted(high, 'sample')}.")
    text = f"The largest is {largest} ({high}), the smallest {smallest} ({low})"
    if high <= UNEQUAL * low:
        return Answer("ok", f"{text}.")
    times = f", {high / low:.3g} times as many" if low else ""
    # Macro averages give every class the same weight; accuracy does not.
    weighted = plain(metric).endswith("/accuracy")
    weight = f" {metric} weights a class by its number of samples." if weighted else ""
    return Answer("note", f"{text}{times}.{weight}")


def numbers(study: StoredStudy) -> Answer:
    """How widely do the target columns vary?"""
    parts = [
        f"{name}: mean {_plain(column['mean'])}, standard deviation {_plain(column['sd'])}"
        for name, column in study.data.numbers.items()
    ]
    rest = len(parts) - _COLUMNS
    more = f"; and {rest} more" if rest > 0 else ""
    text = f"{'; '.join(parts[:_COLUMNS])}{more}. Always predicting the mean has an RMSE of about"
    return Answer("note", f"{text} the standard deviation, and an R2 of about 0.")


def weights(study: StoredStudy) -> Answer:
    """Are there notes on the initial weights?"""
    first = study.backbone
    backbones = () if first is None else (first, *first.others)
    scratch = "There are no initial weights: training starts from scratch."
    said = [] if any(backbone.weights for backbone in backbones) else [scratch]
    notes: dict[str, None] = {}
    for backbone in backbones:
        if backbone.weights and backbone.notes is None:
            return _UNKNOWN
        notes |= dict.fromkeys(backbone.notes or ())
    if not notes:
        return Answer("ok", said[0] if said else "No.")
    said += (f"{note[:1].upper()}{note[1:].strip().rstrip('.')}." for note in notes)
    return Answer("note", " ".join(said))


def _plain(value: float) -> str:
    """Four significant digits, or all digits before the decimal point."""
    return f"{value:.0f}" if 1000 <= abs(value) < 1e9 else f"{value:.4g}"
