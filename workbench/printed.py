"""What the commands print: plain data as tables for a terminal.

Knows rich and the shape of the data; computes nothing.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from workbench.report import methods

if TYPE_CHECKING:
    from workbench.ending import Outcome
    from workbench.publish import Written


def _table(*columns: str, right: Sequence[str] = ()) -> Table:
    """A table whose last column alone is folded where the terminal is narrow."""
    table = Table(box=None, pad_edge=False, header_style="bold")
    for name in columns:
        last = name == columns[-1]
        justify: Literal["left", "right"] = "right" if name in right else "left"
        table.add_column(name, justify=justify, overflow="fold", no_wrap=not last)
    return table


def _number(value: float | None) -> str:
    if value is None:
        return ""
    # Four decimals suit an accuracy; an error may have any size.
    return f"{value:.4f}" if value == 0 or 0.001 <= abs(value) < 10 else f"{value:.6g}"


def _line(console: Console, name: str, text: object) -> None:
    console.print(
        f"  [dim]{escape(name):<14}[/dim] {escape(str(text))}", highlight=False, soft_wrap=True
    )


def plan(console: Console, plan: Mapping[str, Any]) -> None:
    """What ``check`` says of a study that is sound."""
    objective, search, data = plan["objective"], plan["search"], plan["data"]
    budget, backbone = plan["budget"], plan["backbone"]
    console.print(
        f"[bold]{escape(plan['name'])}[/bold]  {escape(plan['question'])}", highlight=False
    )
    epoch = f"{objective['epoch']} epoch"
    _line(console, "objective", f"{objective['direction']} {objective['metric']} of the {epoch}")
    if plan["mode"] == "balanced":
        names = ", ".join(strategy["name"] for strategy in plan["strategies"])
        _line(console, "strategies", f"{len(plan['strategies'])}: {names}")
        each = f" ({budget['trials_per_strategy']} for each strategy)"
    else:
        factors = "; ".join(f"{k}: {', '.join(v)}" for k, v in plan["factors"].items())
        _line(console, "joint search", factors or "of the ranges alone")
        each = ""
    _line(console, "baseline", plan["baseline"])
    _line(console, "trials", f"{budget['total']}{each} of {plan['epochs']} epochs")
    _line(
        console, "sampler", f"{search['sampler']}, pruner {search['pruner']}, seed {search['seed']}"
    )
    for knob, words in plan["ranges"]:
        _line(console, "tune", f"{knob}: {words}")
    _line(console, "data", f"{data['name']}: {_samples(plan)}")
    weights = backbone["weights"] or "none (from scratch)"
    _line(console, "backbone", f"{backbone['name']}, weights: {weights}")
    for depth, stage in enumerate(backbone["stages"], start=1):
        count = f"{stage['name']:<10} {stage['parameters']:>11,} parameters"
        _line(console, "", f"{count}  frozen from depth {depth} on")
    if backbone["head"] is None:
        _line(console, "", "its stages can be shown once it is here")
    else:
        _line(console, "", f"{'head':<10} {backbone['head']:>11,} parameters  never frozen")
    for note in plan["notes"]:
        console.print(
            f"  [yellow]note[/yellow]           {escape(note)}", highlight=False, soft_wrap=True
        )


def _samples(plan: Mapping[str, Any]) -> str:
    data = plan["data"]
    if "train" not in data:
        return "not here yet"
    parts = ", ".join(f"{data[part]} {part}" for part in ("train", "validation", "test"))
    number, kind = len(data["classes"]), methods.kind_of_outputs(plan)
    plural = "" if number == 1 else "es" if kind.endswith("s") else "s"
    return f"{parts} samples, {number} {kind}{plural}"


def outcome(console: Console, outcome: Outcome, home: object, *, smoke: bool = False) -> None:
    """How a search ended, and what to do next."""
    table = _table(
        "strategy",
        "done",
        "pruned",
        "failed",
        "best",
        right=("done", "pruned", "failed", "best"),
    )
    for standing in outcome.standings:
        table.add_row(
            standing.name,
            str(standing.complete),
            str(standing.pruned),
            str(standing.failed),
            _number(standing.best),
        )
    console.print(table)
    name, ended = outcome.study, sum(standing.ended for standing in outcome.standings)
    if outcome.signal is not None:
        text = f"{name}: stopped after {ended} trials; the same command goes on."
    elif smoke:
        text = f"{name}: the tiny copy ran through in {outcome.seconds:.0f} s; nothing was kept."
    elif outcome.fresh == 0 and outcome.finished:
        text = f"{name}: all {ended} trials have been run before; nothing to do."
    elif not outcome.finished:
        text = f"{name}: time is up after {ended} trials; the same command goes on."
    else:
        text = f"{name}: {outcome.fresh} trials in {outcome.seconds:.0f} s; {ended} in all."
    console.print(escape(text), highlight=False, soft_wrap=True)
    for reason in outcome.reasons:
        console.print(f"[red]failed: {escape(reason)}[/red]", highlight=False, soft_wrap=True)
    if outcome.unsent:
        console.print(
            f"[yellow]MLflow did not take {outcome.unsent} records; when it is back: "
            f"workbench sync {escape(name)}[/yellow]",
            highlight=False,
            soft_wrap=True,
        )
    if outcome.signal is None and not smoke:
        console.print(
            f"[dim]next: workbench report {escape(name)}, or workbench ui[/dim]", highlight=False
        )


def _metric(value: float) -> str:
    """A metric among others: four digits, or as many as stand before the point."""
    return f"{value:.0f}" if 10_000 <= abs(value) < 1e7 else f"{value:.4g}"


def _epochs(line: Mapping[str, Any]) -> str:
    """How many epochs were done at a report, of which an epoch may have several."""
    return f"{line['metrics'].get('epochs', line['epoch']):g}"


def studies(console: Console, found: Sequence[Mapping[str, Any]]) -> None:
    """All studies of a home."""
    if not found:
        console.print("No study yet: workbench run studies/NAME.yaml starts one.", highlight=False)
        return
    numbers = ("trials", "done", "pruned", "failed", "best")
    table = _table("study", "state", *numbers, "best trial", "of", right=numbers)
    for row in found:
        table.add_row(
            escape(row["name"]),
            row["state"],
            str(row["trials"]),
            str(row["complete"]),
            str(row["pruned"]),
            str(row["failed"]),
            _number(row["best"]),
            escape(row["best_trial"] or ""),
            row["metric"],
        )
    console.print(table)


def study(console: Console, found: Mapping[str, Any]) -> None:
    """One study with its trials."""
    studies(console, [found])
    if found["holder"]:
        console.print(f"[dim]driven by {escape(found['holder'])}[/dim]", highlight=False)
    numbers = ("value", "epochs", "seconds")
    table = _table("trial", "role", "state", *numbers, "hyperparameters", right=numbers)
    for row in found["rows"]:
        settings = " ".join(f"{k}={_short(v)}" for k, v in row["hyperparameters"].items())
        reason = f"  ({row['reason']})" if row["state"] == "failed" else ""
        table.add_row(
            escape(row["trial"]),
            row["role"],
            row["state"],
            _number(row["value"]),
            f"{row['epochs']:g}",
            f"{row['seconds']:.1f}",
            escape(settings + reason),
        )
    console.print(table)


def trial(console: Console, found: Mapping[str, Any]) -> None:
    """One trial with its epochs."""
    value = ""
    if found["value"] is not None:
        chosen = [line for line in found["history"] if line["epoch"] == found["epoch"]]
        at = _epochs(chosen[0]) if chosen else found["epoch"]
        value = f", {_number(found['value'])} at epoch {at}"
    console.print(
        f"[bold]{escape(found['trial'])}[/bold]  {found['state']}{value}", highlight=False
    )
    if found["reason"]:
        _line(console, "reason", found["reason"])
    for knob, setting in found["hyperparameters"].items():
        _line(console, knob, _short(setting))
    _line(console, "record", found["directory"])
    if found.get("run_id"):
        _line(console, "MLflow run", found["run_id"])
    if found["history"]:
        objective = found["spec"]["objective"]["metric"]
        both = (objective.replace("validation/", "train/"), "validation/loss", objective)
        wanted = dict.fromkeys(["train/loss", *both, "learning_rate"])
        first = found["history"][0]["metrics"]
        names = {re.sub("[/_]", " ", name): name for name in wanted if name in first}
        table = _table("epoch", *names, right=("epoch", *names))
        for line in found["history"]:
            # A training of the user's own may not measure everything every time.
            values = [line["metrics"].get(name) for name in names.values()]
            table.add_row(_epochs(line), *("" if v is None else _metric(v) for v in values))
        console.print(table)
    if found["result"] and found["result"]["traceback"]:
        console.print(escape(found["result"]["traceback"]), highlight=False)


def report(console: Console, written: Written) -> None:
    """Where a report is."""
    for note in written.notes:
        console.print(f"[yellow]note: {escape(note)}[/yellow]", highlight=False, soft_wrap=True)
    console.print(f"report: {escape(str(written.page))}", highlight=False, soft_wrap=True)


def _short(value: object) -> str:
    return f"{value:.3g}" if isinstance(value, float) else str(value)
