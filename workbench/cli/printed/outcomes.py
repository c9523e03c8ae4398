"""How a command ended, and what to do next.

Of a finished confirmation its verdict is shown; the values are in the report.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from rich.console import Console
from rich.markup import escape

from workbench.cli.printed.layout import number, print_heading, print_line, table_of
from workbench.messages import counted
from workbench.verdict.wording.numbers import duration

if TYPE_CHECKING:
    from workbench.commands.outcomes import Outcome
    from workbench.commands.report import WrittenReport
    from workbench.driver.progress import GroupProgress


def outcome(
    console: Console,
    outcome: Outcome,
    *,
    smoke: bool = False,
    last: bool = True,
    quiet: bool = False,
) -> None:
    """How a search ended and, after the last of a command, what to do next."""
    if quiet:
        _warnings(console, outcome)
        print_line(console, _searched(outcome, smoke))
        return
    parked = ("parked",) if outcome.signal is not None else ()
    columns = ("done", "pruned", "failed", *parked, "best")
    table = table_of("strategy", *columns, right=columns)
    for group in outcome.groups:
        counts = [group.complete, group.pruned, group.failed, *([group.running] if parked else [])]
        table.add_row(escape(group.name), *map(str, counts), number(group.best))
    console.print(table)
    print_line(console, _searched(outcome, smoke))
    _notes(console, outcome)
    if smoke:
        return
    # A trial that diverged would diverge again: its hyperparameters are the cause.
    if any("diverged at" not in reason for reason in outcome.reasons):
        print_line(console, "fix the cause, then rerun with --retry-failed", "dim")
    # After a signal the next step is to resume, which the sentence above says.
    if outcome.signal is None and last:
        _next(console, outcome)


def _searched(outcome: Outcome, smoke: bool) -> str:
    """One sentence on where a search stands."""
    name, ended = outcome.study, _ended(outcome.groups)
    trials, fresh = counted(ended, "trial"), counted(outcome.fresh, "trial")
    if outcome.signal is not None:
        parked = _parked(outcome)
        return f"{name}: stopped after {trials}{parked}; rerun the same command to resume."
    if smoke:
        return f"{name}: the tiny copy finished in {duration(outcome.seconds)}; nothing was kept."
    if not outcome.finished:
        return f"{name}: timeout reached after {trials}; rerun the same command to continue."
    if outcome.fresh == 0:
        done = "its trial is" if ended == 1 else f"all {ended} trials are"
        return f"{name}: {done} done; nothing to do."
    return f"{name}: {fresh} in {duration(outcome.seconds)}; {ended} in total."


def confirmed(
    console: Console, outcome: Outcome, *, last: bool = True, quiet: bool = False
) -> None:
    """How a confirmation ended and, after the last of a command, what to do next."""
    if quiet:
        _warnings(console, outcome)
        print_line(console, _confirmed(outcome))
        return
    columns = ("runs", "done", "failed")
    table = table_of("strategy", *columns, right=columns)
    for group in outcome.groups or outcome.selection:
        counts = (group.target, group.complete, group.failed)
        table.add_row(escape(group.name), *map(str, counts))
    console.print(table)
    print_line(console, _confirmed(outcome))
    _notes(console, outcome)
    if outcome.finished and outcome.verdict is not None:
        print_heading(console, outcome.verdict.heading, outcome.verdict.headline)
        _needed(console, outcome.verdict.needed)
    if outcome.finished and last:
        _next(console, outcome)


def _needed(console: Console, needed: str) -> None:
    if needed:
        print_line(console, f"needed: {needed}")


def _confirmed(outcome: Outcome) -> str:
    """One sentence on where a confirmation stands."""
    name, arms = outcome.study, outcome.groups
    stage = "confirmation" if arms else "selection"
    selected, tested = _ended(outcome.selection), _ended(arms)
    if outcome.signal is not None:
        target = sum(group.target for group in arms or outcome.selection)
        return (
            f"{name}: stopped after {tested if arms else selected} of {target} {stage} runs"
            f"{_parked(outcome)}; rerun the same command to resume."
        )
    if not outcome.agreed:
        if outcome.offer is not None and outcome.offer.fresh:
            return (
                f"{name}: no seed was added. The verdict of the first look stands; rerun the same"
                " command to be asked again."
            )
        # Where others have tested these samples, the split is not untouched.
        seen = outcome.offer is not None and (outcome.offer.seen or outcome.offer.tested)
        kept = "The selection is kept" + ("" if seen else ", the test split is untouched")
        return f"{name}: not tested. {kept}; rerun the same command to be asked again."
    if not arms:
        return f"{name}: no run of the selection completed, so nothing can be tested."
    runs = f"{counted(selected, 'selection run')} and {counted(tested, 'confirmation run')}"
    if outcome.fresh == 0:
        return f"{name}: {runs} are done; nothing to do."
    now = "" if outcome.fresh == selected + tested else f", {outcome.fresh} of them now,"
    seeds = max(group.target for group in arms)
    return (
        f"{name}: {runs}{now} in {duration(outcome.seconds)};"
        f" {counted(len(arms), 'configuration')} tested on {seeds} seeds each."
    )


def _parked(outcome: Outcome) -> str:
    """Such as ``, 2 parked at epochs 3 and 5``; empty where no trial was running."""
    if not outcome.parked:
        return ""
    epochs = " and ".join(f"{done:g}" for done in outcome.parked)
    # Of many the epochs would only be a list of numbers.
    at = f" at epoch{'s' if len(outcome.parked) > 1 else ''} {epochs}"
    return f", {len(outcome.parked)} parked" + (at if len(outcome.parked) <= 3 else "")


def _ended(groups: Sequence[GroupProgress]) -> int:
    return sum(group.ended for group in groups)


def _notes(console: Console, outcome: Outcome) -> None:
    """What stored outputs saved, why trials failed, and what MLflow or the record lacks."""
    if outcome.fresh and outcome.saved_seconds >= 1:
        saved = duration(outcome.saved_seconds)
        text = f"Stored outputs of frozen stages have saved this study about {saved} of training."
        print_line(console, text)
    _warnings(console, outcome)


def _warnings(console: Console, outcome: Outcome) -> None:
    for reason in outcome.reasons:
        print_line(console, f"failed: {reason}", "red")
    if outcome.damaged:
        found = f"{counted(outcome.damaged, 'damaged checkpoint')} set aside (*.corrupt)"
        resumed = f"{counted(outcome.resumed, 'trial')} resumed from an earlier one"
        restarted = f"{counted(outcome.restarted, 'trial')} started again from epoch 1"
        then = [
            *([resumed] if outcome.resumed else []),
            *([restarted] if outcome.restarted else []),
        ]
        print_line(console, f"{found}; {', '.join(then)}", "yellow")
    if outcome.unsent:
        unsent = f"{counted(outcome.unsent, 'record')} not sent to MLflow yet"
        command = f"workbench sync {outcome.study}"
        print_line(console, f"{unsent}; once it answers again, run: {command}", "yellow")


def _next(console: Console, outcome: Outcome) -> None:
    """The report's path, or which command comes next."""
    if outcome.report is not None:
        print_line(console, f"report: {outcome.report}")
    if outcome.next_commands:
        print_line(console, f"next: {', or '.join(outcome.next_commands)}", "dim")


def report(console: Console, written: WrittenReport, *, quiet: bool = False) -> None:
    """The verdict, the report's path, and that of its article."""
    if written.verdict and not quiet:
        print_line(console, written.verdict)
        _needed(console, written.needed)
    for note in written.notes:
        print_line(console, f"note: {note}", "yellow")
    for page in written.pages[-1:] if quiet else written.pages:
        print_line(console, f"report: {page}")
    if not quiet:
        print_line(console, f"for a paper: {written.page.with_name('example.tex')}")
