"""Studies and trials from their records: ``workbench list`` and ``workbench show``."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING

from rich.console import Console
from rich.markup import escape

from workbench.cli.printed.layout import number, print_field, print_heading, print_line, table_of
from workbench.verdict.wording.numbers import setting

if TYPE_CHECKING:
    from workbench.commands.confirmation_progress import ConfirmationProgress
    from workbench.commands.summaries import (
        StudyDetails,
        StudySummary,
        TrialDetails,
        VerdictSummary,
    )


def studies(console: Console, rows: Sequence[StudySummary]) -> None:
    """All studies of a home."""
    if not rows:
        console.print(
            "No studies yet. To start one: workbench run studies/NAME.yaml", highlight=False
        )
        return
    parked = any(row.parked for row in rows)
    numbers = ("trials", "done", "pruned", "failed", *(["parked"] if parked else []), "best")
    columns = ["study", "state", *numbers, "best trial", "of", "confirmed"]
    if any(row.verdict or row.added for row in rows):
        columns.append("verdict (best mean)")
    table = table_of(*columns, right=numbers)
    for row in rows:
        cells = [
            escape(row.name),
            row.state,
            *map(str, (row.trials, row.complete, row.pruned, row.failed)),
            *([str(row.parked)] if parked else []),
            number(row.best),
            escape(row.best_trial or ""),
            row.metric,
            stage_of(row.confirmation),
            escape(f"added to {row.added.study}" if row.added else _verdict(row.verdict)),
        ]
        table.add_row(*cells[: len(columns)])
    console.print(table)
    for row in rows:
        if row.problem:
            print_line(console, f"{row.name}: {row.problem}", "red")


def _verdict(verdict: VerdictSummary | None) -> str:
    if verdict is None:
        return ""
    return verdict.heading + (f" ({verdict.leader})" if verdict.leader else "")


def stage_of(confirmation: ConfirmationProgress | None) -> str:
    """The stage of a confirmation; empty before it has begun."""
    if confirmation is None:
        return ""
    runs = f"{confirmation.ended}/{confirmation.planned}"
    several = confirmation.looks > 1
    look = f"look {confirmation.look}" + (f" of {confirmation.looks}" if several else "")
    words = {
        "complete": f"yes, {look}" if several else "yes",
        "selection": f"selecting {runs}",
        "confirmation": f"testing {runs}" + (f", {look}" if several else ""),
    }
    return words.get(confirmation.stage, confirmation.stage)


def study(console: Console, found: StudyDetails) -> None:
    """One study with its trials."""
    summary = found.summary
    studies(console, [summary])
    if summary.holder:
        print_line(console, f"running: {summary.holder}", "dim")
    # Only a finished confirmation has test values to show.
    tested = any(row.test for row in found.trials)
    values = [summary.metric or "value", *([summary.test_metric] if tested else [])]
    numbers = (*values, "epochs", "seconds")
    table = table_of("trial", "role", "state", *numbers, "hyperparameters", right=numbers)
    for row in found.trials:
        settings = " ".join(f"{k}={setting(v)}" for k, v in row.hyperparameters.items())
        reason = f"  ({row.reason})" if row.state == "failed" else ""
        measured = [row.value, *([row.test.get(summary.test_metric)] if tested else [])]
        table.add_row(
            escape(row.trial),
            row.role,
            row.state,
            *map(number, measured),
            f"{row.epochs:g}",
            f"{row.seconds:.1f}",
            escape(settings + reason),
        )
    console.print(table)
    for row in found.models:
        print_line(console, f"weights of {row.trial}: {row.weights}")


def trial(console: Console, found: TrialDetails, run_id: str | None = None) -> None:
    """One trial with its epochs, and the id of its MLflow run where it is known."""
    summary, history, metric = found.summary, found.history, found.spec.objective.metric
    value = ""
    if summary.value is not None:
        chosen = [report for report in history if report.epoch == summary.epoch]
        at = f"{chosen[0].epochs_done:g}" if chosen else summary.epoch
        value = f", {metric} {number(summary.value)} at epoch {at}"
    print_heading(console, summary.trial, f"{summary.state}{value}")
    if summary.reason:
        print_field(console, "reason", summary.reason)
    if found.withheld:
        print_field(console, "test", "shown once every run of the confirmation has ended")
    for name, measured in summary.test.items():
        print_field(console, name, number(measured))
    for knob, chosen_value in summary.hyperparameters.items():
        print_field(console, knob, setting(chosen_value))
    if found.result and (size := found.result.provenance.get("micro_batch_size")):
        print_field(console, "micro-batch", size)
    print_field(console, "record", found.directory)
    if summary.weights:
        print_field(console, "weights", summary.weights)
    if run_id:
        print_field(console, "MLflow run", run_id)
    if history:
        both = (metric.replace("validation/", "train/"), "validation/loss", metric)
        wanted = dict.fromkeys(["train/loss", *both, "learning_rate"])
        first = history[0].metrics
        names = {re.sub("[/_]", " ", name): name for name in wanted if name in first}
        table = table_of("epoch", *names, right=("epoch", *names))
        for report in history:
            # A training of the user's own may not measure everything every time.
            values = [report.metrics.get(name) for name in names.values()]
            cells = ("" if v is None else _metric(v) for v in values)
            table.add_row(f"{report.epochs_done:g}", *cells)
        console.print(table)
    if found.result and found.result.traceback:
        print_line(console, found.result.traceback)


def _metric(value: float) -> str:
    """A metric among others: four digits, or as many as stand before the point."""
    return f"{value:.0f}" if 10_000 <= abs(value) < 1e7 else f"{value:.4g}"
