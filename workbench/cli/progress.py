"""The progress of a running study: redrawn in a terminal, line by line in a log."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.markup import escape
from rich.progress import BarColumn, Progress, TextColumn
from rich.spinner import Spinner
from rich.text import Text

from workbench.cli.printed.layout import number, print_line, table_of
from workbench.commands.session import Watcher
from workbench.driver.progress import RunningTrial, StudyProgress
from workbench.messages import listed
from workbench.verdict.wording.numbers import duration, given

_LOG_SECONDS = 10.0
# Running trials that a line of a log names.
_LOGGED = 4
_BARS = "▁▂▃▄▅▆▇█"
# Values of a sparkline.
_SHOWN = 24
_CHECKING = "checking data, backbone and weights"
_STOPPING = "parking running trials after the current batch; press Ctrl-C again to quit at once"


class TerminalWatcher(Watcher):
    """A bar for each study, its strategies and its running trials, redrawn in place."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._live: Live | None = None
        self._pace = Pace()
        self._title = ""
        # By group: its best value after each number of ended trials.
        self._bests: dict[str, dict[int, float]] = {}

    def prepare(self, title: str) -> None:
        """A study is being checked."""
        self._show(Spinner("dots", f"{title}: {_CHECKING}"))

    def begin(self, title: str, notes: Sequence[str]) -> None:
        """A study begins."""
        self.end()
        self._title, self._pace, self._bests = title, Pace(), {}
        for note in notes:
            print_line(self._console, f"note: {note}", "dim")
        self._show("")

    def update(self, progress: StudyProgress) -> None:
        """Redraw."""
        if self._live is None:
            return
        self._pace.see(progress)
        left = self._pace.left(progress)
        bar = Progress(
            TextColumn("[bold]{task.description}"),
            BarColumn(),
            TextColumn("{task.completed:.0f}/{task.total:.0f} trials  {task.fields[left]}"),
            console=self._console,
        )
        bar.add_task(self._title, total=progress.target, completed=progress.ended, left=left)
        numbers = ("done", "pruned", "failed", "running", "best")
        table = table_of("strategy", *numbers, "best so far", right=numbers)
        for group in progress.groups:
            bests = self._bests.setdefault(group.name, {})
            if group.best is not None:
                bests.setdefault(group.ended, group.best)
            failed = f"[red]{group.failed}[/red]" if group.failed else "0"
            counts = (str(group.complete), str(group.pruned), failed, str(group.running))
            table.add_row(
                escape(group.name), *counts, number(group.best), sparkline([*bests.values()])
            )
        inside = table_of("running trial", "epoch", "value", right=("epoch", "value"))
        for trial in progress.running:
            inside.add_row(escape(trial.name), _epochs(trial), number(trial.value))
        parts: list[RenderableType] = [bar, table]
        if progress.running:
            parts += [Text(), inside]
        if progress.stopping:
            parts.append(Text(_STOPPING, style="yellow"))
        self._live.update(Group(*parts))

    def end(self) -> None:
        """Leave the terminal as it was."""
        if self._live is not None:
            self._live.stop()
            self._live = None

    # rich hides the cursor while it draws; ``stop`` shows it again.
    def _show(self, picture: RenderableType) -> None:
        self.end()
        # A new one each time: a stopped one would be drawn over the lines printed since.
        self._live = Live(picture, console=self._console, refresh_per_second=4, transient=True)
        self._live.start()


def sparkline(values: Sequence[float]) -> str:
    """The last values as bars, from the lowest of all to the highest."""
    low, high = min(values, default=0.0), max(values, default=0.0)
    scale = (len(_BARS) - 1) / (high - low) if high > low else 0.0
    return "".join(_BARS[round((value - low) * scale)] for value in values[-_SHOWN:])


class LogWatcher(Watcher):
    """Plain lines: one when a study begins, then one every ten seconds, then the last."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._shown = 0.0
        self._pace = Pace()
        self._title = ""
        self._last = StudyProgress(groups=())
        self._prepared = ""

    def prepare(self, title: str) -> None:
        """A study is being checked; printed once, even if it is checked twice."""
        if title == self._prepared:
            return
        self._prepared = title
        print_line(self._console, f"{title}: {_CHECKING}")

    def begin(self, title: str, notes: Sequence[str]) -> None:
        """A study begins."""
        self._title, self._pace, self._last = title, Pace(), StudyProgress(groups=())
        self._shown = time.monotonic()
        for note in notes:
            print_line(self._console, f"note: {note}")

    def update(self, progress: StudyProgress) -> None:
        """Print a line if the last one is old enough."""
        if progress.stopping and not self._last.stopping:
            print_line(self._console, _STOPPING)
        self._last = progress
        self._pace.see(progress)
        # A log on a cluster is a file that people search: one line must not become thousands.
        if time.monotonic() - self._shown >= _LOG_SECONDS:
            self._print()

    def end(self) -> None:
        """Print the last line, once."""
        self._last = StudyProgress(groups=self._last.groups)
        if self._last.groups:
            self._print()
        self._last = StudyProgress(groups=())

    def _print(self) -> None:
        self._shown = time.monotonic()
        groups, running = self._last.groups, self._last.running
        left = self._pace.left(self._last)
        counts = {
            name: sum(getattr(group, name) for group in groups)
            for name in ("complete", "pruned", "failed")
        }
        words = ", ".join(f"{count} {name}" for name, count in counts.items())
        best = "; ".join(f"{s.name} {number(s.best)}" for s in groups if s.best is not None)
        inside = listed((_inside(trial) for trial in running), most=_LOGGED)
        print_line(
            self._console,
            f"{self._title}: {self._last.ended}/{self._last.target} trials ({words})"
            + (f", {left}" if left else "")
            + (f"; best so far: {best}" if best else "")
            + (f"; {len(running)} running: {inside}" if running else ""),
        )


def _epochs(trial: RunningTrial) -> str:
    return f"{given(trial.epoch)} of {trial.epochs}"


def _inside(trial: RunningTrial) -> str:
    """How far a trial is, for a log."""
    return f"{trial.name} epoch {_epochs(trial)} {number(trial.value)}".rstrip()


class Pace:
    """How fast trials end, from those that this process has seen ending.

    A worker's first trial waits until the worker has loaded its libraries, which may take longer
    than the trial itself, and workers that begin together end together. So the first round, one
    trial for each worker, counts for nothing. Before another one has ended, the epochs of the
    running trials are counted instead, each from a trial's first report on.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._workers = 1
        # How many trials had ended, and when that was first seen.
        self._marks: list[tuple[int, float]] = []
        # By trial: the first and the last (epoch, time) that were seen.
        self._epochs: dict[str, list[tuple[float, float]]] = {}

    def see(self, progress: StudyProgress) -> None:
        """Take note of how far the groups and the running trials are now."""
        ended, now = progress.ended, self._clock()
        self._workers = max(self._workers, sum(group.running for group in progress.groups))
        if not self._marks or ended > self._marks[-1][0]:
            self._marks.append((ended, now))
        for trial in progress.running:
            seen = self._epochs.setdefault(trial.name, [])
            if seen and trial.epoch < seen[-1][0]:
                seen.clear()  # It repeats epochs, because its checkpoint is gone or older.
            if trial.epoch and (not seen or trial.epoch != seen[-1][0]):
                seen[1:] = [(trial.epoch, now)]

    def left(self, progress: StudyProgress) -> str:
        """About how long the rest will take; empty where it cannot be estimated yet."""
        missing = progress.target - progress.ended
        if missing <= 0:
            return ""
        warm = [mark for mark in self._marks if mark[0] - self._marks[0][0] >= self._workers]
        if not warm or warm[-1][0] - warm[0][0] < self._workers:
            return self._left_by_epochs(progress.running, missing)
        (first, began), (last, until) = warm[0], warm[-1]
        each = (until - began) / (last - first)
        # Trials that run are no delay until they have taken longer than those before.
        overdue = self._clock() - until - each * self._workers
        seconds = (each + max(overdue, 0.0) / (last - first)) * missing
        return _left(seconds)

    def _left_by_epochs(self, running: Sequence[RunningTrial], missing: int) -> str:
        """The same from epochs, as if all missing trials had as many as the running ones."""
        spans = [(seen[0], seen[-1]) for seen in self._epochs.values() if len(seen) > 1]
        epochs = sum(last - first for (first, _), (last, _) in spans)
        if not running or epochs <= 0:
            return ""
        each = sum(until - began for (_, began), (_, until) in spans) / epochs
        planned = sum(trial.epochs for trial in running) / len(running)
        rest = missing * planned - sum(trial.epoch for trial in running)
        return _left(each * rest / len(running))


def _left(seconds: float) -> str:
    return f"about {duration(seconds)} left"
