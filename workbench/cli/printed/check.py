"""What a study will do: ``workbench check``."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from rich.console import Console

from workbench.cli.printed.layout import (
    compared,
    of_one_rival,
    print_field,
    print_heading,
    print_line,
)
from workbench.cli.printed.records import stage_of
from workbench.report import methods
from workbench.verdict import Unit
from workbench.verdict.wording.numbers import counted, duration, setting

if TYPE_CHECKING:
    from workbench.commands.check import CheckedStudy
    from workbench.study.confirm.forecast import Outlook
    from workbench.tracker.stored_study import Backbone, StoredStudy

# Stages of a confirmation that have no counts of runs.
_BEGUN = {
    "selected": "selected; workbench confirm asks before it uses the test split",
    "damaged": "begun, but protocol.json or selection.json is missing or damaged",
}


def plan(console: Console, checked: CheckedStudy) -> None:
    """The plan of a study without errors."""
    study = checked.study
    objective, search, data = study.objective, study.search, study.data
    print_heading(console, study.name, study.question)
    epoch = f"{objective.epoch} epoch"
    print_field(console, "objective", f"{objective.direction} {objective.metric} of the {epoch}")
    each = ""
    if study.balanced:
        names = ", ".join(strategy.name for strategy in study.strategies)
        print_field(console, "strategies", f"{len(study.strategies)}: {names}")
        each = f" ({study.trials_per_strategy} per strategy)"
    else:
        factors = "; ".join(f"{k}: {', '.join(v)}" for k, v in study.factors.items())
        print_field(console, "joint search", factors or "ranges only")
    print_field(console, "baseline", study.baseline)
    print_field(console, "trials", f"{study.total}{each} of {counted(study.epochs or 0, 'epoch')}")
    print_field(
        console, "sampler", f"{search['sampler']}, pruner {search['pruner']}, seed {search['seed']}"
    )
    for knob, words in checked.ranges:
        print_field(console, "tune", f"{knob}: {words}")
    print_field(console, "data", f"{data.name}: {_samples(study)}")
    for name, words in _confirmation(checked.confirmation):
        print_field(console, name, words)
    if checked.begun is not None:
        print_field(console, "confirmed", _BEGUN.get(checked.begun.stage, stage_of(checked.begun)))
    if study.backbone is not None:
        _backbone(console, study.backbone)
    for note in checked.notes:
        print_field(console, "note", note, "yellow")
    for text in checked.refused:
        # Lines below the first one start where its text starts.
        lines = text.replace("\n", "\n" + 17 * " ")
        print_line(console, f"  refused        {lines}", "red")


def plans_together(console: Console, plans: Sequence[CheckedStudy]) -> None:
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


def _backbone(console: Console, backbone: Backbone) -> None:
    weights = backbone.weights or "none (from scratch)"
    print_field(console, "backbone", f"{backbone.name}, weights: {weights}")
    for depth, stage in enumerate(backbone.stages, start=1):
        count = f"{stage.name:<10} {stage.parameters:>11,} parameters"
        print_field(console, "", f"{count}  frozen from depth {depth}")
    if backbone.head is None:
        print_field(console, "", "its stages are shown once it is downloaded")
    else:
        print_field(console, "", f"{'head':<10} {backbone.head:>11,} parameters  never frozen")


def _confirmation(outlook: Outlook) -> list[tuple[str, str]]:
    """What a confirmation would cost, and what it could show."""
    default = "" if outlook.chosen else " (the default)"
    looks = ""
    if outlook.looks > 1:
        looks = f"; {outlook.looks} looks, each at {100 * outlook.alpha:g} %"
    lines = [
        (
            "confirm",
            f"{outlook.arms} configurations including the default, compared"
            f" {compared(outlook.contrast, outlook.pairs)}; {outlook.seeds} seeds{default}, at"
            f" least {outlook.seeds_floor} needed{looks}",
        ),
        ("", _power(outlook)),
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


def _power(outlook: Outlook) -> str:
    """The difference that the seeds can show, in the only unit known before anything ran."""
    size = outlook.detectable
    if outlook.seeds < outlook.seeds_floor or size is None:
        return f"{outlook.seeds} seeds cannot show a difference of any size"
    return (
        f"{outlook.seeds} seeds show a difference of {setting(size)} SDs of the paired differences"
        f" with 80 % power{of_one_rival(outlook.contrast, outlook.pairs)}"
    )


def _samples(study: StoredStudy) -> str:
    data = study.data
    if data.train is None or not isinstance(data.classes, Sequence):
        return "not downloaded yet"
    parts = f"{data.train} train, {data.validation} validation, {data.test} test"
    return f"{parts} samples, {counted(len(data.classes), methods.kind_of_outputs(study.task))}"
