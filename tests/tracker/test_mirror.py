from __future__ import annotations

import logging
import re
import sqlite3
import subprocess
import sys
import time
from contextlib import closing
from pathlib import Path

import pytest

from tests.support import mlflow_home as made
from workbench.record import State
from workbench.tracker import Tracker
from workbench.tracker.mirror import Mirror

KEY = "digits/search/adamw-2/007"


@pytest.fixture
def home(tmp_path: Path) -> Path:
    return made.home_in(tmp_path / "home")


def mirror_of(home: Path, **options: float) -> Mirror:
    tracker = Tracker(home)
    parent = made.parent_of(tracker)
    return Mirror(tracker, lambda: parent, **options)


def wait_for(true: object, seconds: float = 20.0) -> None:
    assert callable(true)
    patience = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < patience, "it never came true"
        time.sleep(0.02)


def test_a_running_trial_is_sent_once_an_interval_and_a_finished_one_at_once(home: Path) -> None:
    with mirror_of(home, interval_seconds=60) as mirror:
        directory = made.write(home, epochs=0)
        for number in range(1, 6):
            directory.append(made.epoch(number))
            mirror.changed(directory)
        assert mirror.pending == 1
        directory.write_result(made.result(State.COMPLETE))
        mirror.changed(directory)
        wait_for(lambda: mirror.pending == 0)
        # A line that had been sent before would count.
        assert mirror.sent == 1
    run_id, status, _ = made.run_of(home, KEY)
    assert status == "FINISHED"
    assert len(made.history_of(home, run_id, "train/loss")) == 5


def test_a_running_trial_is_seen_while_it_runs(home: Path) -> None:
    with mirror_of(home, interval_seconds=0.05) as mirror:
        mirror.changed(made.write(home, epochs=2))
        wait_for(lambda: mirror.pending == 0)
        assert made.run_of(home, KEY)[1] == "RUNNING"


def test_of_several_descriptions_only_the_last_is_sent(home: Path) -> None:
    with mirror_of(home, interval_seconds=60) as mirror:
        for _ in range(50):
            mirror.describe(lambda: "an earlier text")
        mirror.describe(lambda: "made late")
        assert mirror.pending == 1
        assert mirror.drain()
        assert mirror.sent == 1
    run_id, _, _ = made.run_of(home, "digits/search")
    assert made.tags_of(home, run_id)["mlflow.note.content"] == "made late"


def test_the_last_best_trial_of_a_strategy_is_marked(home: Path) -> None:
    ended = made.result(State.COMPLETE)
    first = made.write(home, made.spec(1), ended=ended, weights=b"1")
    second = made.write(home, made.spec(2), ended=ended, weights=b"2")
    with mirror_of(home, interval_seconds=60) as mirror:
        mirror.best("adamw-2", first)
        mirror.best("adamw-2", second)
    run_id, _, _ = made.run_of(home, "digits/search/adamw-2/002")
    assert made.tags_of(home, run_id)["workbench.best"] == "true"
    assert len(made.rows(home, "SELECT * FROM tags WHERE key = 'workbench.best'")) == 1


def test_whoever_reports_a_change_never_waits_for_a_store_that_another_process_holds(
    home: Path,
) -> None:
    program = (
        "import sqlite3, sys; c = sqlite3.connect(sys.argv[1]); c.execute('BEGIN IMMEDIATE'); "
        "print('held', flush=True); sys.stdin.readline()"
    )
    mirror = mirror_of(home, interval_seconds=0.01)
    with subprocess.Popen(
        [sys.executable, "-c", program, str(home / "mlruns" / "mlflow.db")],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as other:
        assert other.stdin is not None
        assert other.stdout is not None
        assert other.stdout.readline() == "held\n"
        mirror.start()
        for number in range(20):
            directory = made.write(home, made.spec(number), ended=made.result(State.COMPLETE))
            mirror.changed(directory)
            mirror.describe(lambda: "still running")
        assert not mirror.drain(timeout=0.3)
        # The store is held until here, so that nothing above has waited for it.
        assert made.rows(home, "SELECT COUNT(*) FROM runs") == [(1,)]
        other.stdin.write("\n")
        other.stdin.flush()
    assert mirror.close()
    assert mirror.pending == 0
    assert made.rows(home, "SELECT COUNT(*) FROM runs WHERE status = 'FINISHED'") == [(20,)]


def test_a_file_that_a_worker_has_not_finished_is_never_sent(home: Path) -> None:
    with mirror_of(home) as mirror:
        directory = made.write(home, ended=made.result(State.COMPLETE))
        (directory.artifacts / "predictions.parquet.5391.tmp").write_bytes(b"half")
        (directory.artifacts / "notes.tmp").write_text("of the study's own code")
        mirror.changed(directory)
    sent = made.artifacts_of(home, made.run_of(home, KEY)[0])
    assert (sent / "notes.tmp").exists()
    assert not (sent / "predictions.parquet.5391.tmp").exists()


def rename(home: Path, old: str, new: str) -> None:
    with closing(sqlite3.connect(home / "mlruns" / "mlflow.db")) as connection:
        connection.execute(f"ALTER TABLE {old} RENAME TO {new}")


def test_what_a_broken_store_refuses_is_kept_and_sent_when_it_is_whole_again(
    home: Path, caplog: pytest.LogCaptureFixture
) -> None:
    mirror = mirror_of(home, interval_seconds=0.01, retry_seconds=0.02)
    rename(home, "runs", "runs_elsewhere")
    with caplog.at_level(logging.WARNING), mirror:
        for number in range(3):
            mirror.changed(made.write(home, made.spec(number), ended=made.result(State.COMPLETE)))
        wait_for(lambda: caplog.records)
        assert (mirror.sent, mirror.pending) == (0, 3)
        rename(home, "runs_elsewhere", "runs")
        wait_for(lambda: mirror.pending == 0)
    assert made.rows(home, "SELECT COUNT(*) FROM runs WHERE status = 'FINISHED'") == [(3,)]
    # One a minute, and none of MLflow's own tracebacks.
    assert [line.name for line in caplog.records] == ["workbench.tracker.mirror"]
    assert re.search(r"\(no such table: \S*runs\)\. Training continues", caplog.text)


def test_a_mirror_of_a_broken_store_is_closed_in_time_and_says_what_is_left(home: Path) -> None:
    mirror = mirror_of(home, interval_seconds=0.01)
    rename(home, "runs", "runs_elsewhere")
    mirror.start()
    mirror.changed(made.write(home, ended=made.result(State.COMPLETE)))
    assert not mirror.close(timeout=0.5)
    assert mirror.pending == 1


def test_one_record_that_cannot_be_sent_does_not_hold_up_the_others(
    home: Path, caplog: pytest.LogCaptureFixture
) -> None:
    bad = made.write(home, made.spec(0), ended=made.result(State.COMPLETE))
    (bad.path / "spec.json").write_text("{}")
    with mirror_of(home, interval_seconds=0.01, retry_seconds=0.05) as mirror:
        mirror.changed(bad)
        wait_for(lambda: caplog.records)
        mirror.changed(made.write(home, made.spec(1), ended=made.result(State.COMPLETE)))
        wait_for(lambda: mirror.sent == 1)
        assert made.run_of(home, "digits/search/adamw-2/001")[1] == "FINISHED"
        # It gives up long before that, which is the limit of a test.
        assert not mirror.close(timeout=300)
        assert mirror.pending == 1


def test_a_mirror_that_was_never_started_closes_at_once(home: Path) -> None:
    mirror = mirror_of(home)
    assert mirror.close()
    mirror.describe(lambda: "too late")
    assert not mirror.drain()
