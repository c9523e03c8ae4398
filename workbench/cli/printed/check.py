"""What a study will do, before it does anything: ``check``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rich.console import Console
from rich.markup import escape

from workbench.cli.printed.layout import PLAIN, duration, say
from workbench.cli.printed.records import stage_of
from workbench.report import methods
from workbench.tracker import stored_study
from workbench.verdict.wording.numbers import counted

# What the stages of ``browse`` mean where no runs are counted.
_BEGUN = {
    "selected": "selected; nothing is tested until workbench confirm is agreed to",
    "damaged": "begun, but protocol.json or selection.json is damaged or gone",
}


def plan(console: Console, plan: Mapping[str, Any]) -> None:
    """What ``check`` says of a study that is sound."""
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
        each = f" ({budget['trials_per_strategy']} for each strategy)"
    else:
        factors = "; ".join(f"{k}: {', '.join(v)}" for k, v in plan["factors"].items())
        say(console, "joint search", factors or "of the ranges alone")
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
        say(console, "", f"{count}  frozen from depth {depth} on")
    if backbone["head"] is None:
        say(console, "", "its stages can be shown once it is here")
    else:
        say(console, "", f"{'head':<10} {backbone['head']:>11,} parameters  never frozen")
    for note in plan["notes"]:
        console.print(f"  [yellow]note[/yellow]           {escape(note)}", **PLAIN)

    for text in plan["refused"]:
        lines = text.replace("\n", "\n" + 17 * " ")
        console.print(f"  refused        {lines}", style="red", markup=False, **PLAIN)


def _confirmation(found: Mapping[str, Any]) -> list[tuple[str, str]]:
    """What a confirmation would take, and what it could show."""
    metric, seeds = found["metric"], found["seeds"]
    compared = {"all": "all pairs", "baseline": "each with the default"}.get(
        found["contrast"], f"the levels of {found['contrast']}"
    )
    pairs = counted(found["pairs"], "pair")
    arms = f"{found['arms']} arms with the default, {compared}: {pairs}"
    which = "chosen" if found["chosen"] else "by default"
    lines = [
        ("confirm", f"{arms}, so at least {found['seeds_floor']} seeds; {seeds} {which}"),
        ("", _reach(found)),
    ]
    least = found["smallest_effect"]
    if least is None:
        lines.append(("", "confirm.smallest_effect is not given; workbench confirm asks for it"))
    else:
        lines.append(("", f"a difference of {least:g} in {metric} matters"))
    seconds = found["seconds"]
    cost = "" if seconds is None else f"; by this home's trials {duration(seconds)} of training"
    runs = (
        f"{counted(found['selection_runs'], 'run')} to select, {found['confirmation_runs']} to test"
    )
    return [*lines, ("", f"at most {runs}{cost}")]


def _reach(found: Mapping[str, Any]) -> str:
    """The difference that so many seeds find, in the only unit known before anything ran."""
    size = found["detectable"]
    if found["seeds"] < found["seeds_floor"] or size is None:
        return f"{found['seeds']} seeds can find no difference of any size"
    return (
        f"{found['seeds']} seeds find a difference of {size:.2g} SDs of the paired differences "
        "with 80 % power"
    )


def _samples(plan: Mapping[str, Any]) -> str:
    data = plan["data"]
    if "train" not in data:
        return "not here yet"
    parts = ", ".join(f"{data[part]} {part}" for part in ("train", "validation", "test"))
    kind = methods.kind_of_outputs(stored_study.read(plan).task)
    return f"{parts} samples, {counted(len(data['classes']), kind)}"
