"""Two processes draw a report's figures: the same bytes, and no failure that stays unseen."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.pages import files
from tests.support.pictured import numbers_of
from workbench.report.figures import drawing, rendering
from workbench.report.figures.drawing import Job, Second

NAMES = ("forest", "edf", "cost_quality")


@pytest.fixture(scope="module")
def second() -> Iterator[Second]:
    process = Second()
    yield process
    process.close()


def jobs_in(folder: Path, venue: str = "neurips") -> list[Job]:
    return [Job(name, numbers_of(name), "A caption", folder, venue) for name in NAMES]


def test_whichever_process_draws_a_figure_its_bytes_are_the_same(
    tmp_path: Path, second: Second
) -> None:
    here = drawing.draw(jobs_in(tmp_path / "here"))
    there = {job.name: second.draw(job) for job in jobs_in(tmp_path / "there")}
    both = drawing.draw(jobs_in(tmp_path / "both"), second)
    assert here == there == both
    assert files(tmp_path / "here") == files(tmp_path / "there") == files(tmp_path / "both")
    assert len(files(tmp_path / "here")) == 3 * len(NAMES)


def test_what_is_wrong_with_a_figure_is_raised_here(tmp_path: Path, second: Second) -> None:
    wrong = jobs_in(tmp_path, "nips")
    assert second.draw(wrong[0]) is None
    with pytest.raises(ValueError, match="no venue 'nips'"):
        drawing.draw(wrong, second)


def test_figures_are_drawn_where_the_second_process_has_died(tmp_path: Path) -> None:
    with drawing.second() as process:
        dead = process or Second()
        dead.stop()
        assert drawing.draw(jobs_in(tmp_path), dead).keys() == set(NAMES)
        dead.close()


class Unsendable:
    """What pickle gives up on, with an error of its own choice."""

    def __init__(self, error: type[Exception]) -> None:
        self.error = error

    def __reduce__(self) -> str:
        raise self.error


@pytest.mark.parametrize("error", [RecursionError, MemoryError, RuntimeError])
def test_a_figure_that_cannot_be_handed_over_is_drawn_here(
    tmp_path: Path, second: Second, monkeypatch: pytest.MonkeyPatch, error: type[Exception]
) -> None:
    monkeypatch.setattr(rendering, "render", lambda name, *_: f"svg of {name}")
    job = Job("forest", Unsendable(error), "A caption", tmp_path)
    # The hand-over has the job before this process draws.
    drawn = drawing.draw([job], second, lambda: time.sleep(0.05))
    assert drawn == {"forest": "svg of forest"}


@pytest.mark.skipif(not hasattr(signal, "SIGSTOP"), reason="needs POSIX signals")
def test_a_second_process_that_stands_still_is_not_waited_for_for_ever(tmp_path: Path) -> None:
    still = Second()
    try:
        os.kill(still._process.pid, signal.SIGSTOP)
        drawn = drawing.draw(jobs_in(tmp_path), still, patience=0.1)
        assert drawn.keys() == set(NAMES)
        assert len(files(tmp_path)) == 3 * len(NAMES)
        assert still._process.poll() is not None
    finally:
        still.close()


def test_there_is_no_second_process_without_a_core_for_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(drawing, "_cores", lambda: 1)
    with drawing.second() as process:
        assert process is None
