"""Terminal I/O, workers and error handling of the commands."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import typer

T = TypeVar("T")

if TYPE_CHECKING:
    from rich.console import Console

    from workbench.commands.session import Watcher
    from workbench.driver import Workers
    from workbench.study.confirm.offer import Offer


def console(*, error: bool = False) -> Console:
    """Standard output or standard error."""
    from rich.console import Console

    found = Console(stderr=error, emoji=False)
    # A file or a pipe has no width to fit.
    return found if found.is_terminal else Console(stderr=error, emoji=False, width=200)


def watcher(*, quiet: bool = False) -> Watcher:
    """Shows progress: redrawn in a terminal, line by line in a log."""
    from workbench.cli.progress import LogWatcher, TerminalWatcher
    from workbench.commands.session import Watcher

    if quiet:
        return Watcher()
    shown = console(error=True)
    return TerminalWatcher(shown) if shown.is_terminal else LogWatcher(shown)


def print_json(content: object) -> None:
    """Print what ``--json`` promises."""
    typer.echo(json.dumps(content, indent=1))


@contextmanager
def json_of_studies(asked: str | Path) -> Iterator[dict[str, object]]:
    """A block that collects the JSON of studies by name; at its end it is printed.

    A file with ``across`` has a list, also if not all of its studies were reached; what was asked
    for as one study has one object, of its last step.
    """
    from workbench import record

    found: dict[str, object] = {}
    try:
        yield found
    finally:
        if any(record.is_cell(name) and name != str(asked) for name in found):
            print_json(list(found.values()))
        elif found:
            print_json([*found.values()][-1])


@contextmanager
def home_or_temporary(home: Path, smoke: bool) -> Iterator[Path]:
    """Where the state goes: the home, or a throwaway folder for a smoke run."""
    import tempfile

    if not smoke:
        yield home.absolute()
        return
    # Nothing of it is kept, on a shared server neither.
    shared = ("MLFLOW_TRACKING_URI", "WORKBENCH_OPTUNA_STORAGE")
    kept = {name: os.environ.pop(name) for name in shared if name in os.environ}
    try:
        with tempfile.TemporaryDirectory(prefix="workbench-smoke-") as folder:
            yield Path(folder)
    finally:
        os.environ.update(kept)


def ask_consent(offer: Offer, yes: bool, *, quiet: bool = False, error: bool = False) -> bool:
    """Show what is about to be tested, and ask whether to continue.

    Args:
        offer: What it is.
        yes: Whether the answer is given already.
        quiet: Show nothing where it is.
        error: Use standard error.
    """
    from workbench.cli import printed

    asked = console(error=error)
    # Who is asked must see what for.
    if not (quiet and yes):
        printed.offer(asked, offer)
    if yes:
        return True
    # A script or a scheduler would wait for ever for an answer.
    if not (asked.is_terminal and sys.stdin.isatty()):
        asked.print("Cannot ask for confirmation (no terminal). Rerun with --yes.")
        return False
    models = f"{offer.runs} models" + (" of fresh seeds" if offer.fresh else "")
    question = f"The test can be run only once. Test {models} on the test split now?"
    try:
        return typer.confirm(question, err=error)
    except typer.Abort:
        return False


def answer(
    given: str | None, question: str, default: str | None, understood: Callable[[str], T]
) -> T:
    """What an option says, or else the user, who is asked until the answer is understood.

    Raises:
        ValueError: The option's value is not understood.
    """
    if given is not None:
        return understood(given)

    def again(written: str) -> T:
        try:
            return understood(written)
        except ValueError as error:
            raise typer.BadParameter(str(error)) from None

    found: T = typer.prompt(question, default=default, value_proc=again)
    return found


@contextmanager
def started_workers(
    home: Path, workers: int | None, inline: bool, on: str | None = None
) -> Iterator[Workers]:
    """Where trials run, until the end of the block.

    Args:
        home: Has the logs of workers.
        workers: How many; by default as many as there is room for.
        inline: In this process.
        on: ``ray``, or the address of a Ray cluster: ``ray://HOST:PORT``.
    """
    from workbench.driver.workers import InlineWorkers, LocalWorkers

    if inline and on is not None:
        raise typer.BadParameter("--inline and --on exclude each other.")
    logs = home / "mlruns" / "workers"
    with ExitStack() as stack:
        pool: Workers
        if inline:
            pool = InlineWorkers()
        elif on is None:
            pool = LocalWorkers(workers, logs)
        else:
            from workbench.cli.printed.layout import print_line
            from workbench.driver.workers import ClusterError

            try:
                from workbench.driver import ray_workers
            except ImportError:
                raise ClusterError("Ray is not installed: pip install 'ray[client]'.") from None
            cluster = stack.enter_context(ray_workers.connected(on))
            print_line(console(error=True), cluster)
            pool = ray_workers.RayWorkers(workers, logs)
        # Also after an error: an abandoned worker would keep its GPU memory.
        stack.callback(pool.close)
        yield pool


@contextmanager
def errors(*, go_on: bool = False, also: tuple[type[Exception], ...] = ()) -> Iterator[None]:
    """Turn errors that a user can fix (``also`` adds more) into a message and an exit code."""
    from workbench.cli.printed.layout import print_line
    from workbench.commands import outcomes

    fixable = (*outcomes.FIXABLE, *also)
    try:
        yield
    except fixable as error:
        print_line(console(error=True), str(error), "red")
        if not go_on:
            known = isinstance(error, outcomes.FIXABLE)
            raise typer.Exit(outcomes.exit_code(error) if known else outcomes.BAD_STUDY) from None
