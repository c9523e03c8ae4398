"""What a study will do: ``workbench check``."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from rich.console import Console

from workbench.cli.printed.layout import (
    beats_several,
    compared,
    print_field,
    print_heading,
    print_line,
)
from workbench.cli.printed.records import stage_of
from workbench.messages import counted
from workbench.report import methods
from workbench.verdict import Unit
from workbench.verdict.wording.numbers import duration, setting

if TYPE_CHECKING:
    from workbench.commands.check import CheckedStudy
    from workbench.study.confirm.forecast import Outlook
    from workbench.tracker.stored_study import Backbone, StoredStudy

# Stages of a confirmation that have no counts of runs.
_BEGUN = {
    "selected": "selected; workbench confirm asks before it uses the test split",
    "damaged": "begun, but protocol.json or selection.json is missing or damaged",
}


# Shown of every study, because nobody expects another study's.
_OWN = ("confirmed", "note")

# A field: its name and its text. An empty name continues the field above.
_Field = tuple[str, str]


def plans(console: Console, plans: Sequence[CheckedStudy]) -> None:
    """The plans of studies; those of a file with ``across`` as what differs from its first one."""
    first: dict[str, CheckedStudy] = {}
    for checked in plans:
        across = checked.study.across
        like = None if across is None else first.setdefault(across.across, checked)
        plan(console, checked, like=None if like is checked else like)
    _together(console, plans)


def plan(console: Console, checked: CheckedStudy, *, like: CheckedStudy | None = None) -> None:
    """The plan of a study without errors; what it has in common with another one is left out."""
    study = checked.study
    common = [] if like is None else _fields(like)
    print_heading(
        console, study.name, f"Same as {like.study.name}, except:" if like else study.question
    )
    for field in _fields(checked):
        if field not in common or field[0][0] in _OWN:
            for name, text in field:
                print_field(console, name, text, "yellow" if name == "note" else "dim")
    for text in checked.refused:
        # Lines below the first one start where its text starts.
        lines = text.replace("\n", "\n" + 18 * " ")
        print_line(console, f"  refused         {lines}", "red")


def _fields(checked: CheckedStudy) -> list[list[_Field]]:
    """Everything of a plan but what is refused: each field with those that continue it."""
    found: list[list[_Field]] = []
    for field in _lines(checked):
        if field[0]:
            found.append([])
        found[-1].append(field)
    return found


def _lines(checked: CheckedStudy) -> Iterator[_Field]:
    study = checked.study
    objective, search, data = study.objective, study.search, study.data
    epoch = f"{objective.epoch} epoch"
    yield "objective", f"{objective.direction} {objective.metric} of the {epoch}"
    each = ""
    if study.balanced:
        names = ", ".join(strategy.name for strategy in study.strategies)
        yield "strategies", f"{len(study.strategies)}: {names}"
        each = f" ({study.trials_per_strategy} per strategy)"
    else:
        factors = "; ".join(f"{k}: {', '.join(v)}" for k, v in study.factors.items())
        yield "joint search", factors or "ranges only"
    yield "baseline", str(study.baseline)
    yield "trials", f"{study.total}{each} of {counted(study.epochs or 0, 'epoch')}"
    sampler = f"{search['sampler']}, pruner {search['pruner']}, seed {search['seed']}"
    yield "sampler", sampler
    for knob, words in checked.ranges:
        yield "tune", f"{knob}: {words}"
    yield "data", f"{data.name}: {_samples(study)}"
    yield from _confirmation(checked.confirmation)
    if checked.begun is not None:
        yield "confirmed", _BEGUN.get(checked.begun.stage, stage_of(checked.begun))
    if study.backbone is not None:
        for backbone in (study.backbone, *study.backbone.others):
            yield from _backbone(backbone)
    for note in checked.notes:
        yield "note", note


def _together(console: Console, plans: Sequence[CheckedStudy]) -> None:
    """Of each file with ``across``: its studies, their trials, and what they can support."""
    # Not at the top: the commands that only print records must not wait for NumPy and SciPy.
    from workbench.verdict.statistics.several import LEAST_DATASETS

    files: dict[str, list[StoredStudy]] = {}
    for checked in plans:
        if checked.study.across is not None:
            files.setdefault(checked.study.across.across, []).append(checked.study)
    for name, studies in files.items():
        datasets = {study.across.dataset for study in studies if study.across}
        seeds = {study.across.search_seed for study in studies if study.across}
        unit = Unit.DATA_SET if len(datasets) > 1 else Unit.REPLICATE
        number = len(datasets if unit is Unit.DATA_SET else seeds)
        trials = counted(sum(study.total or 0 for study in studies), "trial")
        text = f"{name}: {counted(len(studies), 'study')}, {trials}; one verdict over"
        few = f"; a claim needs {LEAST_DATASETS}" if number < LEAST_DATASETS else ""
        print_line(console, f"{text} {counted(number, unit)}{few}")


def _backbone(backbone: Backbone) -> Iterator[tuple[str, str]]:
    weights = backbone.weights or "none (from scratch)"
    called = f"{backbone.called}: " if backbone.called else ""
    yield "backbone", f"{called}{backbone.name}, weights: {weights}"
    for depth, stage in enumerate(backbone.stages, start=1):
        count = f"{stage.name:<10} {stage.parameters:>11,} parameters"
        yield "", f"{count}  frozen from depth {depth}"
    if backbone.head is None:
        yield "", "its stages are shown once it is downloaded"
    else:
        yield "", f"{'head':<10} {backbone.head:>11,} parameters  never frozen"


def _confirmation(outlook: Outlook) -> list[tuple[str, str]]:
    """What a confirmation would cost, and what it could show."""
    default = "" if outlook.chosen else " (the default)"
    looks = ""
    if outlook.looks > 1:
        looks = f"; {outlook.looks} looks, each at {100 * outlook.alpha:g} %"
    lines = [
        (
            "confirm",
            f"{outlook.arms} configurations including the default, comparing"
            f" {compared(outlook.contrast, outlook.pairs)}; {outlook.seeds} seeds{default}, at"
            f" least {outlook.seeds_floor} needed{looks}",
        ),
        *(("", line) for line in _power(outlook)),
    ]
    effect = outlook.smallest_effect
    if effect is None:
        lines.append(("", "confirm.smallest_effect is missing; workbench confirm requires it"))
    else:
        lines.append(("", f"smallest effect that matters: {effect:g} in {outlook.metric}"))
    cost = ""
    if outlook.seconds is not None:
        cost = f"; about {duration(outlook.seconds)} of training, judging by past trials"
    selection, confirmation = outlook.selection_runs, outlook.confirmation_runs
    runs = f"at most {selection} selection and {confirmation} confirmation runs{cost}"
    return [*lines, ("", runs)]


def _power(outlook: Outlook) -> list[str]:
    """The difference that the seeds can show, in the only unit known before anything ran."""
    size = outlook.detectable
    if outlook.seeds < outlook.seeds_floor or size is None:
        return [f"{outlook.seeds} seeds cannot show a difference of any size"]
    found = (
        f"{outlook.seeds} seeds detect a difference of {setting(size)} times its spread (SD)"
        " between seeds in 4 of 5 studies"
    )
    several = beats_several(outlook.contrast, outlook.pairs)
    return [found, *(["this holds against one rival; against all of them, less often"] * several)]


def _samples(study: StoredStudy) -> str:
    data = study.data
    if data.train is None or not isinstance(data.classes, Sequence):
        return "not downloaded yet"
    parts = f"{data.train} train, {data.validation} validation, {data.test} test"
    return f"{parts} samples, {counted(len(data.classes), methods.kind_of_outputs(study.task))}"
