"""What is shown while a study runs."""

from __future__ import annotations

import io

import pytest
from rich.console import Console

from workbench.cli.progress import LogWatcher, Pace, TerminalWatcher
from workbench.driver.progress import GroupProgress, RunningTrial, StudyProgress

GROUPS = [
    GroupProgress(name="sgd-0", target=12, complete=3, pruned=1, running=1, best=0.75),
    GroupProgress(name="adamw-0", target=12, complete=2, failed=1),
]
RUNNING = [
    RunningTrial(name="sgd-0/004", epoch=3, epochs=12, value=0.93),
    RunningTrial(name="adamw-0/003", epoch=0, epochs=12),
]


def test_a_log_gets_plain_lines_with_counts_and_the_best_of_each_strategy() -> None:
    output = io.StringIO()
    watcher = LogWatcher(Console(file=output, width=300))
    watcher.begin("digits", ["the confirmation comes later"])
    watcher.update(StudyProgress(groups=GROUPS))
    watcher.end()
    assert output.getvalue().splitlines() == [
        "note: the confirmation comes later",
        "digits: 7/24 trials (5 complete, 1 pruned, 1 failed); best so far: sgd-0 0.7500",
    ]


def test_a_log_says_how_far_the_running_trials_are(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("workbench.cli.progress._LOG_SECONDS", 0.0)
    output = io.StringIO()
    watcher = LogWatcher(Console(file=output, width=300))
    watcher.begin("digits", [])
    watcher.update(StudyProgress(groups=GROUPS, running=RUNNING * 3))
    (line,) = output.getvalue().splitlines()
    first, _, rest = line.partition("; 6 running: ")
    assert first.endswith("0.7500")
    assert rest.startswith("sgd-0/004 epoch 3 of 12 0.9300, adamw-0/003 epoch 0 of 12, sgd-0")
    assert rest.endswith(" and 2 more")


def test_a_log_says_once_that_a_study_is_looked_at() -> None:
    output = io.StringIO()
    watcher = LogWatcher(Console(file=output, width=300))
    for title in ("digits", "digits", "pretrain", "digits"):
        watcher.prepare(title)
    said = [line.partition(":")[0] for line in output.getvalue().splitlines()]
    assert said == ["digits", "pretrain", "digits"]


def test_a_log_says_once_that_the_study_is_stopping() -> None:
    output = io.StringIO()
    watcher = LogWatcher(Console(file=output, width=300))
    watcher.begin("digits", [])
    for _ in range(3):
        watcher.update(StudyProgress(groups=GROUPS, stopping=True))
    assert output.getvalue().count("parking running trials") == 1


def test_a_log_is_not_flooded() -> None:
    output = io.StringIO()
    watcher = LogWatcher(Console(file=output, width=300))
    watcher.begin("digits", [])
    for _ in range(100):
        watcher.update(StudyProgress(groups=GROUPS))
    assert output.getvalue() == ""


def test_a_terminal_shows_a_bar_and_a_row_for_each_strategy() -> None:
    output = io.StringIO()
    console = Console(file=output, width=100, force_terminal=True, color_system=None)
    watcher = TerminalWatcher(console)
    watcher.begin("digits", [])
    watcher.update(StudyProgress(groups=GROUPS))
    watcher.end()
    text = output.getvalue()
    assert "7/24 trials" in text
    assert "sgd-0" in text and "0.7500" in text
    assert "adamw-0" in text


def test_a_terminal_shows_the_course_of_the_best_value() -> None:
    output = io.StringIO()
    console = Console(file=output, width=100, force_terminal=True, color_system=None)
    watcher = TerminalWatcher(console)
    watcher.begin("digits", [])
    for complete, best in ((0, None), (1, 0.5), (1, 0.5), (2, 0.5), (3, 0.75), (4, 1.0)):
        group = GroupProgress(name="sgd-0", target=12, complete=complete, best=best)
        watcher.update(StudyProgress(groups=[group]))
    watcher.end()
    assert "▁▁▅█" in output.getvalue(), "one bar for each trial that ended"


def test_a_terminal_shows_how_far_each_running_trial_is() -> None:
    output = io.StringIO()
    console = Console(file=output, width=100, force_terminal=True, color_system=None)
    watcher = TerminalWatcher(console)
    watcher.begin("digits", [])
    watcher.update(StudyProgress(groups=GROUPS, running=RUNNING))
    watcher.end()
    lines = [line.split() for line in output.getvalue().splitlines()]
    assert ["sgd-0/004", "3", "of", "12", "0.9300"] in lines
    assert ["adamw-0/003", "0", "of", "12"] in lines


class Watched:
    """A pace whose clock is set by hand."""

    def __init__(self, workers: int, target: int, *, before: int = 0) -> None:
        self.now = 0.0
        self._workers, self._target = workers, target
        self._pace = Pace(lambda: self.now)
        self.ended(before, at=0.0)

    def ended(self, count: int, *, at: float) -> str:
        """What is said once so many trials have ended."""
        self.now = at
        running = min(self._workers, self._target - count)
        groups = [GroupProgress(name="a", target=self._target, complete=count, running=running)]
        self._pace.see(StudyProgress(groups=groups))
        return self._pace.left(StudyProgress(groups=groups))


def test_the_time_left_leaves_out_the_round_in_which_the_workers_start() -> None:
    watched = Watched(workers=2, target=101, before=1)
    assert watched.ended(2, at=10.0) == "", "one worker has not begun in earnest"
    assert watched.ended(3, at=10.1) == ""
    assert watched.ended(4, at=11.0) == "", "no round since"
    assert watched.ended(5, at=11.1) == "about 48 s left"
    assert watched.ended(101, at=60.0) == "", "nothing is left"


@pytest.mark.parametrize(
    ("each", "said"),
    [(1, "about 79 s left"), (60, "about 79 min left"), (600, "about 13 h left")],
)
def test_the_time_left_is_said_in_the_unit_that_fits(each: float, said: str) -> None:
    watched = Watched(workers=1, target=81)
    watched.ended(1, at=1000.0)
    assert watched.ended(2, at=1000.0 + each) == said


def test_a_trial_that_takes_longer_than_those_before_makes_the_time_left_longer() -> None:
    watched = Watched(workers=1, target=12)
    watched.ended(1, at=10.0)
    assert watched.ended(2, at=11.0) == "about 10 s left"
    assert watched.ended(2, at=12.0) == "about 10 s left"
    assert watched.ended(2, at=15.0) == "about 40 s left"


def test_the_time_left_of_a_first_trial_is_told_from_its_epochs() -> None:
    clock = iter((0.0, 100.0, 130.0, 160.0))
    pace = Pace(lambda: next(clock))
    groups = [GroupProgress(name="a", target=3, running=1)]
    said = []
    for epoch in (0, 1, 2, 3):
        running = [RunningTrial(name="a/000", epoch=epoch, epochs=10)]
        pace.see(StudyProgress(groups=groups, running=running))
        said.append(pace.left(StudyProgress(groups=groups, running=running)))
    # The first report includes the start of the worker. 27 epochs of 30 s are left.
    assert said == ["", "", "about 14 min left", "about 14 min left"]


def test_the_time_left_of_a_trial_that_repeats_epochs_is_told_from_where_it_trains() -> None:
    clock = iter((0.0, 100.0, 130.0))
    pace = Pace(lambda: next(clock))
    groups = [GroupProgress(name="a", target=3, running=1)]
    for epoch in (9, 1, 2):
        running = [RunningTrial(name="a/000", epoch=epoch, epochs=10)]
        pace.see(StudyProgress(groups=groups, running=running))
    # 28 epochs of 30 s are left.
    assert pace.left(StudyProgress(groups=groups, running=running)) == "about 14 min left"
