"""What a study will do: ``workbench check``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rich.console import Console
from rich.markup import escape

from workbench.cli.printed.layout import PLAIN, say
from workbench.cli.printed.records import stage_of
from workbench.report import methods
from workbench.tracker import stored_study
from workbench.verdict.wording.numbers import counted, duration, setting

# Stages of a confirmation that have no counts of runs.
_BEGUN = {
    "selected": "selected; workbench confirm asks before it uses the test split",
    "damaged": "begun, but protocol.json or selection.json is missing or damaged",
}


def plan(console: Console, plan: Mapping[str, Any]) -> None:
    """The plan of a study without errors."""
    objective, search, data = plan["objective"], plan["search"], plan["data"]
    budget, backbone = plan["budget"], plan["backbone"]
    console.print(
        f"[bold]{escape(plan['name'])}[/bold]  {escape(plan['question'])}", highlight=False
    )
    epoch = f"{objective['epoch']} epoch"
    say(console, "objective", f"{objective['direction']} {objective['metric']} of the {epoch}")
    if plan["mode"] == "balanced":
        names = ", ".join(strategy["name"] for strategy in plan["strategies"])
        say(console, "strategies", f"{len(plan['strategies'])}: {names}")
        each = f" ({budget['trials_per_strategy']} per strategy)"
    else:
        factors = "; ".join(f"{k}: {', '.join(v)}" for k, v in plan["factors"].items())
        say(console, "joint search", factors or "ranges only")
        each = ""
    say(console, "baseline", plan["baseline"])
    say(console, "trials", f"{budget['total']}{each} of {counted(plan['epochs'], 'epoch')}")
    say(
        console, "sampler", f"{search['sampler']}, pruner {search['pruner']}, seed {search['seed']}"
    )
    for knob, words in plan["ranges"]:
        say(console, "tune", f"{knob}: {words}")
    say(console, "data", f"{data['name']}: {_samples(plan)}")
    for name, words in _confirmation(plan["confirmation"]):
        say(console, name, words)
    if plan["begun"] is not None:
        say(console, "confirmed", _BEGUN.get(plan["begun"]["stage"], stage_of(plan["begun"])))
    weights = backbone["weights"] or "none (from scratch)"
    say(console, "backbone", f"{backbone['name']}, weights: {weights}")
    for depth, stage in enumerate(backbone["stages"], start=1):
        count = f"{stage['name']:<10} {stage['parameters']:>11,} parameters"
        say(console, "", f"{count}  frozen from depth {depth}")
    if backbone["head"] is None:
        say(console, "", "its stages are shown once it is downloaded")
    else:
        say(console, "", f"{'head':<10} {backbone['head']:>11,} parameters  never frozen")
    for note in plan["notes"]:
        console.print(f"  [yellow]note[/yellow]           {escape(note)}", **PLAIN)
    for text in plan["refused"]:
        lines = text.replace("\n", "\n" + 17 * " ")
        console.print(f"  refused        {lines}", style="red", markup=False, **PLAIN)


def _confirmation(found: Mapping[str, Any]) -> list[tuple[str, str]]:
    """What a confirmation would cost, and what it could show."""
    contrasts = {"all": "all pairs", "baseline": "each with the default"}
    compared = contrasts.get(found["contrast"], f"levels of {found['contrast']}")
    default = "" if found["chosen"] else " (the default)"
    lines = [
        (
            "confirm",
            f"{found['arms']} configurations including the default, {compared}:"
            f" {counted(found['pairs'], 'pair')}; {found['seeds']} seeds{default}, at least"
            f" {found['seeds_floor']} needed",
        ),
        ("", _power(found)),
    ]
    effect = found["smallest_effect"]
    if effect is None:
        lines.append(("", "confirm.smallest_effect is missing; workbench confirm requires it"))
    else:
        lines.append(("", f"smallest effect that matters: {effect:g} in {found['metric']}"))
    cost = ""
    if found["seconds"] is not None:
        cost = f"; about {duration(found['seconds'])} of training, judging by past trials"
    runs = f"{found['selection_runs']} selection and {found['confirmation_runs']} confirmation runs"
    return [*lines, ("", f"at most {runs}{cost}")]


def _power(found: Mapping[str, Any]) -> str:
    """The difference that the seeds can show, in the only unit known before anything ran."""
    size = found["detectable"]
    if found["seeds"] < found["seeds_floor"] or size is None:
        return f"{found['seeds']} seeds cannot show a difference of any size"
    return (
        f"{found['seeds']} seeds show a difference of {setting(size)} SDs of the paired differences"
        " with 80 % power"
    )


def _samples(plan: Mapping[str, Any]) -> str:
    data = plan["data"]
    if "train" not in data:
        return "not downloaded yet"
    parts = ", ".join(f"{data[part]} {part}" for part in ("train", "validation", "test"))
    kind = methods.kind_of_outputs(stored_study.read(plan).task)
    return f"{parts} samples, {counted(len(data['classes']), kind)}"
