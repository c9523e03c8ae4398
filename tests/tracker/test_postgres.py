"""Runs in a real PostgreSQL database, which is stopped and started again."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support import postgres
from tests.support.commands import call, works
from tests.support.postgres import Postgres
from tests.support.shared_store import SECRET, AfterTrials, leaked, states
from tests.support.tiny import Unseen
from tests.support.trials import write_light
from workbench.commands import report as publish
from workbench.commands.run import run_study
from workbench.driver.workers import InlineWorkers
from workbench.record import study_directory
from workbench.tracker import Tracker, location
from workbench.tracker.store import StoreError, UnreachableError

pytest.importorskip("psycopg", reason="psycopg is not installed")
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(postgres.PROGRAMS is None, reason="PostgreSQL is not installed"),
]


@pytest.fixture(scope="module")
def database() -> Iterator[Postgres]:
    with postgres.running() as server:
        yield server


def test_trials_do_not_wait_for_a_database_that_is_stopped_and_it_has_all_of_them_later(
    database: Postgres,
    tmp_path: Path,
    home: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    file = write_light(tmp_path)
    monkeypatch.setenv(location.VARIABLE, database.uri)

    def start_once_it_is_missed() -> None:
        until = time.monotonic() + 60
        while "cannot be updated" not in caplog.text and time.monotonic() < until:
            time.sleep(0.02)
        database.start()

    acts = AfterTrials({1: database.stop, 3: start_once_it_is_missed})
    done = run_study(file, ["search.trials=4"], home, InlineWorkers(), acts)
    assert (done.exit_code, done.fresh, done.unsent) == (0, 4, 0)
    assert states(home, "tiny") == ["complete"] * 4

    acts = AfterTrials({5: database.stop})
    more = run_study(file, ["search.trials=6"], home, InlineWorkers(), acts)
    assert (more.exit_code, more.fresh) == (0, 2) and more.unsent
    database.start()
    assert publish.sync("tiny", home) > 0
    assert states(home, "tiny") == ["complete"] * 6
    assert publish.sync("tiny", home) == 0

    assert caplog.text.count("MLflow cannot be updated now") == 2, "once for each command"
    assert {record.levelno for record in caplog.records} == {logging.WARNING}
    # The study keeps the address without user and password, which PostgreSQL finds by itself.
    monkeypatch.delenv(location.VARIABLE)
    monkeypatch.setenv("PGUSER", "me")
    monkeypatch.setenv("PGPASSWORD", SECRET)
    assert "complete" in (said := works("show", "tiny", "--home", home))
    assert states(home, "tiny") == ["complete"] * 6
    assert SECRET not in said + caplog.text
    assert leaked(home, database.log) == []
    assert not (home / "mlruns" / "mlflow.db").exists()


def test_a_database_that_refuses_is_an_error_at_once_and_before_any_trial(
    database: Postgres, tmp_path: Path, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import sqlalchemy

    engine = sqlalchemy.create_engine(database.uri, isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        connection.execute(sqlalchemy.text(f"CREATE ROLE guest LOGIN PASSWORD '{SECRET}'"))
        connection.execute(sqlalchemy.text("CREATE DATABASE empty OWNER me"))
    engine.dispose()
    began = time.monotonic()
    for address, said in (
        (database.of("me", f"{SECRET}!"), 'failed for user "me".*PGPASSWORD'),
        (database.of("nobody", SECRET), 'failed for user "nobody".*PGPASSWORD'),
        (
            database.of("me", SECRET, "other"),
            'database "other" does not exist. Create the database first',
        ),
        (database.of("guest", SECRET, "empty"), r"permission denied for schema public\.$"),
    ):
        monkeypatch.setenv(location.VARIABLE, address)
        with pytest.raises(StoreError, match=said) as caught:
            Tracker(home).read_trials("tiny")
        assert not isinstance(caught.value, UnreachableError)
        assert SECRET not in str(caught.value)
    wrong = database.of("me", f"{SECRET}!")
    monkeypatch.setenv(location.VARIABLE, wrong)
    file = write_light(tmp_path)
    with pytest.raises(StoreError, match="refuses"):
        run_study(file, ["name=refused"], home, InlineWorkers(), Unseen())
    assert not [*study_directory(home, "refused").glob("trials/*/*/")]
    code, _, errors = call(
        *(
            "verdict",
            "--mlflow",
            "tiny",
            "--metric",
            "loss",
            "--home",
            home,
            "--tracking-uri",
            wrong,
        )
    )
    assert code == 2 and 'failed for user "me"' in errors and SECRET not in errors
    assert time.monotonic() - began < 30, "MLflow would try for more than a minute"
    assert leaked(home, database.log) == []
