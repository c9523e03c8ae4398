"""How a command ended, and what to do next. Only the report shows values of a confirmation."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from rich.console import Console
from rich.markup import escape

from workbench.cli.printed.layout import PLAIN, number, table_of
from workbench.verdict.wording.numbers import counted, duration

if TYPE_CHECKING:
    from pathlib import Path

    from workbench.commands.outcomes import Confirmed, Outcome
    from workbench.commands.report import Written
    from workbench.driver import GroupProgress


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
    for group in outcome.groups:
        table.add_row(
            group.name,
            str(group.complete),
            str(group.pruned),
            str(group.failed),
            number(group.best),
        )
    console.print(table)
    name, ended = outcome.study, sum(group.ended for group in outcome.groups)
    trials = counted(ended, "trial")
    if outcome.signal is not None:
        text = f"{name}: stopped after {trials}; rerun the same command to resume."
    elif smoke:
        text = f"{name}: the tiny copy finished in {duration(outcome.seconds)}; nothing was kept."
    elif outcome.fresh == 0 and outcome.finished:
        done = "its trial is" if ended == 1 else f"all {ended} trials are"
        text = f"{name}: {done} done; nothing to do."
    elif not outcome.finished:
        text = f"{name}: timeout reached after {trials}; rerun the same command to continue."
    else:
        fresh = counted(outcome.fresh, "trial")
        text = f"{name}: {fresh} in {duration(outcome.seconds)}; {ended} in total."
    console.print(escape(text), **PLAIN)
    for reason in outcome.reasons:
        console.print(f"[red]failed: {escape(reason)}[/red]", **PLAIN)
    if not smoke and any("diverged at" not in reason for reason in outcome.reasons):
        console.print("[dim]fix the cause, then rerun with --retry-failed[/dim]", **PLAIN)
    _damaged(console, outcome.damaged)
    _unsent(console, outcome.study, outcome.unsent)
    if outcome.signal is None and not smoke:
        usable = any(group.complete for group in outcome.groups)
        _next(console, name, outcome.report, confirm=usable and not outcome.confirmed)


def confirmed(console: Console, found: Confirmed) -> None:
    """How a confirmation ended, and what to do next."""
    last = found.arms if found.agreed and found.arms else found.selection
    table = table_of(
        "strategy",
        "runs",
        "done",
        "failed",
        right=("runs", "done", "failed"),
    )
    for group in last:
        counts = (group.target, group.complete, group.failed)
        table.add_row(escape(group.name), *map(str, counts))
    console.print(table)
    console.print(escape(_sentence(found)), **PLAIN)
    for reason in found.reasons:
        console.print(f"[red]failed: {escape(reason)}[/red]", **PLAIN)
    _damaged(console, found.damaged)
    _unsent(console, found.study, found.unsent)
    if found.finished:
        _next(console, found.study, found.report, confirm=False)


def _next(console: Console, study: str, report: Path | None, *, confirm: bool) -> None:
    """The report's path, or which command comes next."""
    if report is not None:
        console.print(f"report: {escape(str(report))}", **PLAIN)
    steps = [*(["confirm"] if confirm else []), *(["report"] if report is None else [])]
    if steps:
        commands = ", or ".join(f"workbench {step} {study}" for step in steps)
        console.print(f"[dim]next: {escape(commands)}[/dim]", **PLAIN)


def _sentence(found: Confirmed) -> str:
    """One sentence on where a confirmation stands."""
    name, arms = found.study, found.arms
    stage = "confirmation" if arms else "selection"
    selected, tested = (_ended(side) for side in (found.selection, arms))
    if found.signal is not None:
        target = sum(group.target for group in arms or found.selection)
        return (
            f"{name}: stopped after {tested if arms else selected} of {target} {stage} runs; rerun"
            " the same command to resume."
        )
    if not found.agreed:
        seen = found.offer is not None and (found.offer.seen or found.offer.tested)
        kept = "The selection is kept" + ("" if seen else ", the test split is untouched")
        return f"{name}: not tested. {kept}; rerun the same command to be asked again."
    if not arms:
        return f"{name}: no run of the selection completed, so nothing can be tested."
    runs = f"{counted(selected, 'selection run')} and {counted(tested, 'confirmation run')}"
    if found.fresh == 0:
        return f"{name}: {runs} are done; nothing to do."
    now = "" if found.fresh == selected + tested else f", {found.fresh} of them now,"
    seeds = max(group.target for group in arms)
    return (
        f"{name}: {runs}{now} in {duration(found.seconds)};"
        f" {counted(len(arms), 'configuration')} tested on {seeds} seeds each."
    )


def _ended(groups: Sequence[GroupProgress]) -> int:
    return sum(group.ended for group in groups)


def _damaged(console: Console, count: int) -> None:
    """Say that trials resumed from an older checkpoint than their last one."""
    if count:
        found = f"{counted(count, 'damaged checkpoint')} set aside (*.corrupt)"
        console.print(
            f"[yellow]{found}; those trials resumed from an earlier one[/yellow]", **PLAIN
        )


def _unsent(console: Console, study: str, count: int) -> None:
    """Say what was not sent to MLflow, and how to send it."""
    if count:
        console.print(
            f"[yellow]{counted(count, 'record')} not sent to MLflow; once it can be reached:"
            f" workbench sync {escape(study)}[/yellow]",
            **PLAIN,
        )


def report(console: Console, written: Written) -> None:
    """The verdict of a finished confirmation, and the report's path."""
    if written.verdict:
        console.print(escape(written.verdict), **PLAIN)
    for note in written.notes:
        console.print(f"[yellow]note: {escape(note)}[/yellow]", **PLAIN)
    console.print(f"report: {escape(str(written.page))}", **PLAIN)
