"""How a command ended, and what to do next. Of a confirmation no value: that is for the report."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from rich.console import Console
from rich.markup import escape

from workbench.cli.printed.layout import PLAIN, number, table_of
from workbench.verdict.wording.numbers import counted

if TYPE_CHECKING:
    from pathlib import Path

    from workbench.commands.outcomes import Confirmed, Outcome
    from workbench.commands.report import Written
    from workbench.driver import Standing


def outcome(console: Console, outcome: Outcome, home: object, *, smoke: bool = False) -> None:
    """How a search ended, and what to do next."""
    table = table_of(
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
            number(standing.best),
        )
    console.print(table)
    name, ended = outcome.study, sum(standing.ended for standing in outcome.standings)
    trials = counted(ended, "trial")
    if outcome.signal is not None:
        text = f"{name}: stopped after {trials}; the same command goes on."
    elif smoke:
        text = f"{name}: the tiny copy ran through in {outcome.seconds:.0f} s; nothing was kept."
    elif outcome.fresh == 0 and outcome.finished:
        before = "its trial has" if ended == 1 else f"all {ended} trials have"
        text = f"{name}: {before} been run before; nothing to do."
    elif not outcome.finished:
        text = f"{name}: time is up after {trials}; the same command goes on."
    else:
        text = (
            f"{name}: {counted(outcome.fresh, 'trial')} in {outcome.seconds:.0f} s; {ended} in all."
        )
    console.print(escape(text), **PLAIN)
    for reason in outcome.reasons:
        console.print(f"[red]failed: {escape(reason)}[/red]", **PLAIN)
    if not smoke and any("diverged at" not in reason for reason in outcome.reasons):
        told = "once the cause is corrected, run the study again with --retry-failed"
        console.print(f"[dim]{told}[/dim]", **PLAIN)
    _damaged(console, outcome.damaged)
    _unsent(console, outcome.study, outcome.unsent)
    if outcome.signal is None and not smoke:
        usable = any(standing.complete for standing in outcome.standings)
        _next(console, name, outcome.report, confirm=usable and not outcome.confirmed)


def confirmed(console: Console, found: Confirmed) -> None:
    """How a confirmation ended, and what to do next. No value: that is for the report."""
    last = found.arms if found.agreed and found.arms else found.selection
    table = table_of(
        "arm" if last is found.arms else "strategy",
        "runs",
        "done",
        "failed",
        right=("runs", "done", "failed"),
    )
    for standing in last:
        counts = (standing.target, standing.complete, standing.failed)
        table.add_row(escape(standing.name), *map(str, counts))
    console.print(table)
    console.print(escape(_told(found)), **PLAIN)
    for reason in found.reasons:
        console.print(f"[red]failed: {escape(reason)}[/red]", **PLAIN)
    _damaged(console, found.damaged)
    _unsent(console, found.study, found.unsent)
    if found.finished:
        _next(console, found.study, found.report, confirm=False)


def _next(console: Console, study: str, report: Path | None, *, confirm: bool) -> None:
    """Which command comes next, and where the report is that needs none."""
    if report is not None:
        console.print(f"report: {escape(str(report))}", **PLAIN)
    steps = [*(["confirm"] if confirm else []), *(["report"] if report is None else [])]
    if steps:
        told = ", or ".join(f"workbench {step} {study}" for step in steps)
        console.print(f"[dim]next: {escape(told)}[/dim]", **PLAIN)


def _told(found: Confirmed) -> str:
    """One sentence on where a confirmation stands."""
    name, arms = found.study, found.arms
    stage = "confirmation" if arms else "selection"
    selected, tested = (_ended(side) for side in (found.selection, arms))
    if found.signal is not None:
        target = sum(standing.target for standing in arms or found.selection)
        return (
            f"{name}: stopped after {tested if arms else selected} of {target} {stage} runs; the "
            "same command goes on."
        )
    if not found.agreed:
        seen = found.offer is not None and (found.offer.seen or found.offer.tested)
        kept = "The selection is kept" + ("" if seen else ", the test split untouched")
        return f"{name}: not tested. {kept}; the same command asks again."
    if not arms:
        return f"{name}: no run of the selection completed, so nothing can be tested."
    runs = f"{counted(selected, 'selection run')} and {counted(tested, 'confirmation run')}"
    if found.fresh == 0:
        return f"{name}: {runs} have been made before; nothing to do."
    now = "" if found.fresh == selected + tested else f", {found.fresh} of them now,"
    seeds = max(standing.target for standing in arms)
    return (
        f"{name}: {runs}{now} in {found.seconds:.0f} s; arms tested: {len(arms)}, on {seeds} seeds "
        "each."
    )


def _ended(standings: Sequence[Standing]) -> int:
    return sum(standing.ended for standing in standings)


def _damaged(console: Console, count: int) -> None:
    """That trials continued from an older checkpoint than their last one."""
    if count:
        found = f"{counted(count, 'damaged checkpoint')} set aside (*.corrupt)"
        console.print(
            f"[yellow]{found}; the trials continued from an earlier state[/yellow]", **PLAIN
        )


def _unsent(console: Console, study: str, count: int) -> None:
    """What MLflow has not taken, and the way to send it."""
    if count:
        console.print(
            f"[yellow]MLflow did not take {counted(count, 'record')}; when it is back: "
            f"workbench sync {escape(study)}[/yellow]",
            **PLAIN,
        )


def report(console: Console, written: Written) -> None:
    """What a finished confirmation showed, and where the report is."""
    if written.verdict:
        console.print(escape(written.verdict), **PLAIN)
    for note in written.notes:
        console.print(f"[yellow]note: {escape(note)}[/yellow]", **PLAIN)
    console.print(f"report: {escape(str(written.page))}", **PLAIN)
