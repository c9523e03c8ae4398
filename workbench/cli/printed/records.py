"""Studies and trials from their records: ``workbench list`` and ``workbench show``."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from rich.console import Console
from rich.markup import escape

from workbench.cli.printed.layout import PLAIN, number, say, table_of
from workbench.verdict.wording.numbers import setting


def studies(console: Console, found: Sequence[Mapping[str, Any]]) -> None:
    """All studies of a home."""
    if not found:
        console.print("No study yet: workbench run studies/NAME.yaml starts one.", highlight=False)
        return
    numbers = ("trials", "done", "pruned", "failed", "best")
    table = table_of("study", "state", *numbers, "best trial", "of", "confirmed", right=numbers)
    for row in found:
        table.add_row(
            escape(row["name"]),
            row["state"],
            str(row["trials"]),
            str(row["complete"]),
            str(row["pruned"]),
            str(row["failed"]),
            number(row["best"]),
            escape(row["best_trial"] or ""),
            row["metric"],
            stage_of(row["confirmation"]),
        )
    console.print(table)
    for row in found:
        if row.get("problem"):
            console.print(f"[red]{escape(row['name'])}: {escape(row['problem'])}[/red]", **PLAIN)


def stage_of(confirmation: Mapping[str, Any] | None) -> str:
    """The stage of a confirmation; empty before it has begun."""
    if confirmation is None:
        return ""
    words = {"complete": "yes", "selection": "selecting", "confirmation": "testing"}
    stage = str(confirmation["stage"])
    runs = f" {confirmation['ended']}/{confirmation['planned']}"
    return words.get(stage, stage) + (runs if stage in ("selection", "confirmation") else "")


def study(console: Console, found: Mapping[str, Any]) -> None:
    """One study with its trials."""
    studies(console, [found])
    if found["holder"]:
        console.print(f"[dim]running: {escape(found['holder'])}[/dim]", highlight=False)
    # Only a finished confirmation has test values to show.
    tested = any(row["test"] for row in found["rows"])
    values = [found["metric"] or "value", *([found["test_metric"]] if tested else [])]
    numbers = (*values, "epochs", "seconds")
    table = table_of("trial", "role", "state", *numbers, "hyperparameters", right=numbers)
    for row in found["rows"]:
        settings = " ".join(f"{k}={setting(v)}" for k, v in row["hyperparameters"].items())
        reason = f"  ({row['reason']})" if row["state"] == "failed" else ""
        measured = [row["value"], *([row["test"].get(found["test_metric"])] if tested else [])]
        table.add_row(
            escape(row["trial"]),
            row["role"],
            row["state"],
            *map(number, measured),
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
        metric = found["spec"]["objective"]["metric"]
        value = f", {metric} {number(found['value'])} at epoch {at}"
    console.print(
        f"[bold]{escape(found['trial'])}[/bold]  {found['state']}{value}", highlight=False
    )
    if found["reason"]:
        say(console, "reason", found["reason"])
    if found["withheld"]:
        say(console, "test", "shown once every run of the confirmation has ended")
    for name, measured in found["test"].items():
        say(console, name, number(measured))
    for knob, value in found["hyperparameters"].items():
        say(console, knob, setting(value))
    say(console, "record", found["directory"])
    if found.get("run_id"):
        say(console, "MLflow run", found["run_id"])
    if found["history"]:
        objective = found["spec"]["objective"]["metric"]
        both = (objective.replace("validation/", "train/"), "validation/loss", objective)
        wanted = dict.fromkeys(["train/loss", *both, "learning_rate"])
        first = found["history"][0]["metrics"]
        names = {re.sub("[/_]", " ", name): name for name in wanted if name in first}
        table = table_of("epoch", *names, right=("epoch", *names))
        for line in found["history"]:
            # A training of the user's own may not measure everything every time.
            values = [line["metrics"].get(name) for name in names.values()]
            table.add_row(_epochs(line), *("" if v is None else _metric(v) for v in values))
        console.print(table)
    if found["result"] and found["result"]["traceback"]:
        console.print(escape(found["result"]["traceback"]), highlight=False)


def _metric(value: float) -> str:
    """A metric among others: four digits, or as many as stand before the point."""
    return f"{value:.0f}" if 10_000 <= abs(value) < 1e7 else f"{value:.4g}"


def _epochs(line: Mapping[str, Any]) -> str:
    """How many epochs were done at a report, of which an epoch may have several."""
    return f"{line['metrics'].get('epochs', line['epoch']):g}"
