"""What is shown while a study runs."""

from __future__ import annotations

import io
import time

from rich.console import Console

from workbench import progress
from workbench.driver import Standing
from workbench.progress import LogWatcher, TerminalWatcher

STANDINGS = [
    Standing(name="sgd-0", target=12, complete=3, pruned=1, running=1, best=0.75),
    Standing(name="adamw-0", target=12, complete=2, failed=1),
]


def test_a_log_gets_plain_lines_with_counts_and_the_best_of_each_strategy() -> None:
    output = io.StringIO()
    watcher = LogWatcher(Console(file=output, width=300))
    watcher.begin("digits", ["the confirmation comes later"])
    watcher.update(STANDINGS)
    watcher.end()
    assert output.getvalue().splitlines() == [
        "note: the confirmation comes later",
        "digits: 7/24 trials (5 complete, 1 pruned, 1 failed); best so far: sgd-0 0.7500",
    ]


def test_a_log_says_once_that_the_study_is_stopping() -> None:
    output = io.StringIO()
    watcher = LogWatcher(Console(file=output, width=300))
    watcher.begin("digits", [])
    for _ in range(3):
        watcher.update(STANDINGS, stopping=True)
    assert output.getvalue().count("stopping: running trials are parked") == 1


def test_a_log_is_not_flooded() -> None:
    output = io.StringIO()
    watcher = LogWatcher(Console(file=output, width=300))
    watcher.begin("digits", [])
    for _ in range(100):
        watcher.update(STANDINGS)
    assert output.getvalue() == ""


def test_a_terminal_shows_a_bar_and_a_row_for_each_strategy() -> None:
    output = io.StringIO()
    console = Console(file=output, width=100, force_terminal=True, color_system=None)
    watcher = TerminalWatcher(console)
    console.print(watcher._picture(STANDINGS))
    text = output.getvalue()
    assert "7/24 trials" in text
    assert "sgd-0" in text and "0.7500" in text
    assert "adamw-0" in text


def test_the_time_left_comes_from_what_this_process_has_done() -> None:
    began = time.monotonic() - 10.0
    assert progress.time_left(began, 5, 10) == "about 20 s left"
    assert progress.time_left(began, 5, 1000) == "about 33 min left"
    assert progress.time_left(began, 2, 5000) == "about 6.9 h left"


def test_nobody_guesses_the_time_left_from_nothing() -> None:
    assert progress.time_left(time.monotonic(), 1, 10) == ""
    assert progress.time_left(time.monotonic(), 5, 0) == ""
