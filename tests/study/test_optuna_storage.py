"""Optuna's studies in a real PostgreSQL database, which is stopped and started again."""

from __future__ import annotations

import contextlib
import json
import logging
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import optuna
import pytest
import sqlalchemy

from tests.support import postgres
from tests.support.commands import call, wait_for
from tests.support.mlflow_home import run_of
from tests.support.postgres import Postgres
from tests.support.processes import Forked, free_port
from tests.support.shared_store import SECRET, leaked, states
from tests.support.tiny import Unseen
from tests.support.trials import write_light
from workbench import record
from workbench.cli.terminal import home_or_temporary
from workbench.commands.outcomes import Outcome
from workbench.commands.run import run_study
from workbench.driver import Driver
from workbench.driver.workers import InlineWorkers
from workbench.record import Decision, EpochResult, State, TrialDirectory, study_directory
from workbench.study.optuna_storage import VARIABLE, StorageLocation, locate
from workbench.study.search import write_through
from workbench.study.search.storage import close_storage, open_storage, serve_dashboard
from workbench.tracker.store import StoreError, UnreachableError

needs_postgres = [
    pytest.mark.slow,
    pytest.mark.skipif(postgres.PROGRAMS is None, reason="PostgreSQL is not installed"),
]
psycopg = pytest.importorskip("psycopg", reason="psycopg is not installed")


@pytest.fixture(scope="module")
def server() -> Iterator[Postgres]:
    with postgres.running() as server:
        yield server


@pytest.fixture
def database(server: Postgres, monkeypatch: pytest.MonkeyPatch) -> Postgres:
    """The server with an empty database, which the variable names; epochs are written at once."""
    execute(server, "DROP SCHEMA public CASCADE", "CREATE SCHEMA public")
    monkeypatch.setenv(VARIABLE, server.uri)
    monkeypatch.setattr(write_through, "RETRY_SECONDS", 0.0)
    monkeypatch.setattr(write_through, "_WRITE_SECONDS", 0.0)
    return server


def execute(server: Postgres, *statements: str) -> None:
    engine = sqlalchemy.create_engine(server.uri, isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        for statement in statements:
            connection.exec_driver_sql(statement)
    engine.dispose()


def search(file: Path, home: Path, trials: int) -> Outcome:
    return run_study(file, [f"search.trials={trials}"], home, InlineWorkers(), Unseen())


def test_the_dashboard_of_the_file_can_change_nothing(home: Path) -> None:
    dashboard_changes_nothing(locate(study_directory(home, "tiny")))


def dashboard_changes_nothing(location: StorageLocation) -> None:
    """Show a study in Optuna's dashboard, and try to delete it there."""
    pytest.importorskip("optuna_dashboard", reason="optuna-dashboard is not installed")
    storage = open_storage(location)
    study = optuna.create_study(study_name="kept", storage=storage)
    port = free_port()
    server = Forked(serve_dashboard, location, port)
    address = f"http://127.0.0.1:{port}/api/studies"

    def shown() -> list[str]:
        with urllib.request.urlopen(address, timeout=30) as answer:
            return [each["study_name"] for each in json.load(answer)["study_summaries"]]

    def answers() -> bool:
        with contextlib.suppress(urllib.error.URLError):
            return bool(shown())
        return False

    try:
        wait_for(answers, server)
        assert shown() == ["kept"]
        request = urllib.request.Request(f"{address}/{study._study_id}", method="DELETE")
        with pytest.raises(urllib.error.HTTPError) as refusal:
            urllib.request.urlopen(request, timeout=30)
        refusal.value.close()
    finally:
        server.kill()
        server.wait()
    assert optuna.get_all_study_names(storage) == ["kept"]
    close_storage(storage)


def before_reports(
    monkeypatch: pytest.MonkeyPatch, acts: dict[tuple[str, int], Callable[[], None]]
) -> None:
    """Do something before the driver gets the report of an epoch of a trial, once each."""
    report = Driver.report

    def act(self: Driver, directory: TrialDirectory, result: EpochResult) -> Decision:
        acts.pop((directory.path.name, result.epoch), lambda: None)()
        return report(self, directory, result)

    monkeypatch.setattr(Driver, "report", act)


def trials_at(location: StorageLocation) -> dict[str, list[tuple[object, ...]]]:
    """All that Optuna knows of the trials of each study, by its name."""
    storage = open_storage(location)
    try:
        return {
            study.study_name: [
                (t.number, t.state, t.value, t.params, t.distributions, t.intermediate_values)
                for t in optuna.load_study(study_name=study.study_name, storage=storage).trials
            ]
            for study in optuna.get_all_study_summaries(storage)
        }
    finally:
        close_storage(storage)


def trials_of(home: Path) -> dict[str, list[tuple[object, ...]]]:
    """The same of the study of a home, by its groups."""
    location = locate(study_directory(home, "tiny"))
    found = trials_at(location).items()
    prefix = location.prefix
    return {name.removeprefix(prefix): ts for name, ts in found if name.startswith(prefix)}


@pytest.fixture
def in_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, list[Any]]:
    """What Optuna knows of an undisturbed search of four trials in a sqlite file."""
    with monkeypatch.context() as without:
        without.delenv(VARIABLE, raising=False)
        home = tmp_path / "reference"
        home.mkdir()
        assert search(write_light(tmp_path), home, 4).exit_code == 0
        return trials_of(home)


class TestPostgres:
    pytestmark = needs_postgres

    def test_a_database_that_is_restarted_in_mid_study_ends_with_the_trials_of_a_file(
        self,
        in_file: dict[str, list[Any]],
        database: Postgres,
        tmp_path: Path,
        home: Path,
        monkeypatch: pytest.MonkeyPatch,
        caplog: pytest.LogCaptureFixture,
    ) -> None:
        acts = {("001", 2): database.stop, ("002", 3): database.start}
        before_reports(monkeypatch, acts)
        assert search(write_light(tmp_path), home, 4).exit_code == 0
        assert trials_of(home) == in_file
        assert caplog.text.count("Optuna's storage at postgresql+psycopg://127.0.0.1") == 1
        assert {entry.levelno for entry in caplog.records} == {logging.WARNING}
        assert SECRET not in caplog.text
        assert leaked(home, database.log) == []
        assert not locate(study_directory(home, "tiny")).file.exists()

    def test_after_a_longer_outage_the_study_is_parked_and_the_next_run_completes_it(
        self,
        in_file: dict[str, list[Any]],
        database: Postgres,
        tmp_path: Path,
        home: Path,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        monkeypatch.setattr(write_through, "OUTAGE_SECONDS", 0.0)
        before_reports(monkeypatch, {("001", 1): database.stop})
        file = write_light(tmp_path)
        with pytest.raises(
            UnreachableError, match=r"the study is parked\. Nothing is lost"
        ) as caught:
            search(file, home, 4)
        kept = [directory.result() for directory, _ in record.scan(study_directory(home, "tiny"))]
        assert [result and result.state for result in kept] == [State.COMPLETE, State.PARKED]
        assert run_of(home, "tiny/search")[1] == "SCHEDULED"
        code, _, errors = call("run", file, "--home", home, "--set", "search.trials=4")
        assert code == 4 and "Optuna's storage at postgresql" in errors
        database.start()
        # The study keeps the address without user and password, which PostgreSQL finds by itself.
        monkeypatch.delenv(VARIABLE)
        monkeypatch.setenv("PGUSER", "me")
        monkeypatch.setenv("PGPASSWORD", SECRET)
        done = search(file, home, 4)
        assert (done.exit_code, done.fresh) == (0, 3)
        assert trials_of(home) == in_file
        assert states(home, "tiny") == ["complete"] * 4
        assert SECRET not in str(caught.value) + errors
        assert leaked(home, database.log) == []

    def test_a_database_that_refuses_in_mid_study_parks_it_and_fails_no_trial(
        self,
        in_file: dict[str, list[Any]],
        database: Postgres,
        tmp_path: Path,
        home: Path,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        read_only = "ALTER DATABASE postgres SET default_transaction_read_only"
        reconnect = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'me'"

        def refuse() -> None:
            execute(database, f"{read_only} = on", f"{reconnect} AND pid <> pg_backend_pid()")

        before_reports(monkeypatch, {("001", 1): refuse})
        file = write_light(tmp_path)
        with pytest.raises(StoreError, match=r"refuses: .*read-only.* The study is parked") as told:
            search(file, home, 4)
        assert not isinstance(told.value, UnreachableError)
        kept = [directory.result() for directory, _ in record.scan(study_directory(home, "tiny"))]
        assert [result and result.state for result in kept] == [State.COMPLETE, State.PARKED]
        assert run_of(home, "tiny/search")[1] == "SCHEDULED"
        execute(database, "SET default_transaction_read_only = off", f"{read_only} = off")
        assert search(file, home, 4).exit_code == 0
        assert trials_of(home) == in_file

    def test_a_database_that_came_back_empty_gets_all_trials_again(
        self,
        in_file: dict[str, list[Any]],
        database: Postgres,
        tmp_path: Path,
        home: Path,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        def empty() -> None:
            database.start()
            execute(database, "TRUNCATE studies CASCADE")

        before_reports(monkeypatch, {("001", 2): database.stop, ("002", 3): empty})
        assert search(write_light(tmp_path), home, 4).exit_code == 0
        assert trials_of(home) == in_file

    def test_homes_that_share_a_database_keep_their_studies_of_one_name_apart(
        self, in_file: dict[str, list[Any]], database: Postgres, tmp_path: Path, home: Path
    ) -> None:
        other = tmp_path / "other"
        other.mkdir()
        file = write_light(tmp_path)
        search(file, home, 2)
        search(file, other, 4)
        search(file, home, 4)
        assert trials_of(home) == trials_of(other) == in_file
        names = trials_at(locate(study_directory(home, "tiny")))
        assert len(names) == 2 and all(name.startswith("tiny-") for name in names)

    def test_a_study_that_moves_between_file_and_database_takes_its_trials_along(
        self,
        in_file: dict[str, list[Any]],
        database: Postgres,
        tmp_path: Path,
        home: Path,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        file = write_light(tmp_path)
        for trials, place in ((1, "sqlite"), (3, database.uri), (4, "sqlite")):
            monkeypatch.setenv(VARIABLE, place)
            assert search(file, home, trials).fresh == min(trials, 2) - (trials == 4)
            assert trials_of(home) == {name: ts[:trials] for name, ts in in_file.items()}

    def test_homes_may_open_a_new_database_together(
        self, database: Postgres, tmp_path: Path
    ) -> None:
        locations = [locate(tmp_path / f"{n}/mlruns/studies/tiny") for n in range(4)]
        with ThreadPoolExecutor(4) as threads:
            for storage in threads.map(open_storage, locations):
                close_storage(storage)

    @pytest.mark.parametrize("options", ["", "?options=-c%20search_path%3Dpublic"])
    def test_the_dashboard_of_the_database_can_change_nothing(
        self, database: Postgres, home: Path, monkeypatch: pytest.MonkeyPatch, options: str
    ) -> None:
        monkeypatch.setenv(VARIABLE, f"{database.uri}{options}")
        dashboard_changes_nothing(locate(study_directory(home, "tiny")))

    @pytest.mark.parametrize("stored", [False, True])
    def test_a_connection_that_is_lost_in_a_transaction_loses_and_doubles_no_trial(
        self,
        in_file: dict[str, list[Any]],
        database: Postgres,
        tmp_path: Path,
        home: Path,
        stored: bool,
        monkeypatch: pytest.MonkeyPatch,
        caplog: pytest.LogCaptureFixture,
    ) -> None:
        inserted = 0

        def count(connection: Any, cursor: Any, statement: str, *_: Any) -> None:
            nonlocal inserted
            if connection.engine.name == "postgresql":
                inserted += statement.startswith("INSERT INTO trials ")
                if inserted == 2 and not stored:
                    inserted += 1
                    connection.connection.driver_connection.close()

        commit = psycopg.Connection.commit

        def commit_without_answer(connection: Any) -> None:
            nonlocal inserted
            commit(connection)
            if inserted == 2 and stored:
                inserted += 1
                raise psycopg.OperationalError("the connection is closed")

        monkeypatch.setattr(psycopg.Connection, "commit", commit_without_answer)
        sqlalchemy.event.listen(sqlalchemy.Engine, "before_cursor_execute", count)
        try:
            assert search(write_light(tmp_path), home, 4).exit_code == 0
        finally:
            sqlalchemy.event.remove(sqlalchemy.Engine, "before_cursor_execute", count)
        assert caplog.text.count("connection is closed") == 1
        assert trials_of(home) == in_file

    def test_a_database_that_refuses_is_an_error_before_any_trial(
        self, database: Postgres, tmp_path: Path, home: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        file = write_light(tmp_path)
        role = f"CREATE ROLE guest LOGIN PASSWORD '{SECRET}'"
        execute(database, role, "GRANT USAGE ON SCHEMA public TO guest")
        for address, said in (
            (database.of("guest", SECRET), "refuses: permission denied for schema public"),
            (database.of("me", f"{SECRET}%7B"), 'refuses: .*failed for user "me".*PGPASSWORD'),
            (database.of("me", SECRET, "other"), 'database "other" does not exist'),
        ):
            monkeypatch.setenv(VARIABLE, address)
            with pytest.raises(StoreError, match=said) as caught:
                search(file, home, 1)
            assert SECRET not in str(caught.value)
        assert not [*study_directory(home, "tiny").glob("trials/*/*/")]


def test_the_variable_counts_before_the_home_s_setting_and_that_before_what_was_used(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    directory = study_directory(home, "tiny")
    directory.mkdir(parents=True)
    assert locate(directory).uri is None
    uris = [f"postgresql+psycopg://{name}.org/optuna" for name in ("used", "home", "variable")]
    used = {"storage": uris[0], "key": "0123abcd"}
    (directory / "optuna.json").write_text(json.dumps(used))
    assert locate(directory).prefix == "tiny-0123abcd/"
    found = [locate(directory).uri]
    settings = f'tracking_uri = "http://runs.org"\noptuna_storage = "{uris[1]}"'
    (home / "mlruns" / "workbench.toml").write_text(settings)
    found.append(locate(directory).uri)
    monkeypatch.setenv(VARIABLE, uris[2])
    found.append(locate(directory).uri)
    assert found == uris
    monkeypatch.setenv(VARIABLE, "sqlite")
    assert locate(directory).uri is None


def test_a_smoke_run_uses_no_database_of_the_environment(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(VARIABLE, "postgresql+psycopg://host.org/optuna")
    with home_or_temporary(home, smoke=True) as folder:
        assert locate(study_directory(folder, "tiny")).uri is None
    assert locate(study_directory(home, "tiny")).uri is not None


@pytest.mark.parametrize("uri", ["mysql://me:{}@host.org/x", "postgresql+psycopg://me:{}/a@h/x"])
def test_another_address_than_one_of_postgresql_is_refused_without_its_password(
    home: Path, monkeypatch: pytest.MonkeyPatch, uri: str
) -> None:
    monkeypatch.setenv(VARIABLE, uri.format(SECRET))
    with pytest.raises(StoreError, match=r"no address of a database .*workbench\.toml") as caught:
        locate(study_directory(home, "tiny"))
    assert SECRET not in str(caught.value)


def test_a_damaged_note_of_the_database_is_named_with_what_to_do(home: Path) -> None:
    directory = study_directory(home, "tiny")
    directory.mkdir(parents=True)
    (directory / "optuna.json").write_text("[1]")
    with pytest.raises(record.DamagedRecordError, match=r"optuna\.json is damaged .* Delete it"):
        locate(directory)
