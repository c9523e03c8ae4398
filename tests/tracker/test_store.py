from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from tests.support import mlflow_home as made
from workbench.record import State, TrialDirectory
from workbench.tracker import Tracker, store
from workbench.tracker.store import StoreError, prepare


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The tables of these tests are no store that another test can use."""
    monkeypatch.setenv("WORKBENCH_DATA", str(tmp_path / "cache"))


def nothing(uri: str) -> None:
    raise AssertionError(f"{uri} must not be made")


def small(uri: str) -> None:
    """Tables of a make-believe revision."""
    with closing(sqlite3.connect(uri.removeprefix("sqlite:///"))) as connection:
        connection.execute("CREATE TABLE alembic_version (version_num TEXT)")
        connection.execute("INSERT INTO alembic_version VALUES ('r1')")
        connection.commit()


def test_a_store_is_made_once_and_found_afterwards(tmp_path: Path) -> None:
    made_store = prepare(tmp_path, make_tables=small, revision="r1")
    found = prepare(tmp_path, make_tables=nothing, revision="r1")

    assert made_store == found
    assert found.uri == f"sqlite:///{tmp_path}/mlruns/mlflow.db"
    assert not found.read_only


def test_an_empty_store_is_made_once_for_all_homes_and_again_if_it_was_damaged(
    tmp_path: Path,
) -> None:
    prepare(tmp_path / "first", make_tables=small, revision="r1")
    second = prepare(tmp_path / "second", make_tables=nothing, revision="r1")
    assert made.rows(second.home, "SELECT * FROM alembic_version") == [("r1",)]
    (tmp_path / "cache" / "mlflow" / "r1.db").write_bytes(b"damaged")
    third = prepare(tmp_path / "third", make_tables=small, revision="r1")
    assert made.rows(third.home, "SELECT * FROM alembic_version") == [("r1",)]


def test_readers_do_not_wait_for_the_writer(tmp_path: Path) -> None:
    database = prepare(tmp_path, make_tables=small, revision="r1").database
    with (
        closing(sqlite3.connect(database)) as writer,
        closing(sqlite3.connect(database, timeout=0)) as reader,
    ):
        writer.execute("BEGIN IMMEDIATE")
        writer.execute("UPDATE alembic_version SET version_num = 'r2'")
        assert reader.execute("SELECT version_num FROM alembic_version").fetchone() == ("r1",)


def test_a_making_that_was_broken_off_leaves_no_store_and_is_begun_anew(tmp_path: Path) -> None:
    def broken(uri: str) -> None:
        small(uri)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        prepare(tmp_path, make_tables=broken, revision="r1")
    assert not (tmp_path / "mlruns" / "mlflow.db").exists()

    prepare(tmp_path, make_tables=small, revision="r1")
    assert made.rows(tmp_path, "SELECT * FROM alembic_version") == [("r1",)]


FULL = (
    "import resource, sys\n"
    "from pathlib import Path\n"
    "from workbench.tracker import Tracker\n"
    "from workbench.tracker.store import StoreError\n"
    "resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))\n"
    "try:\n"
    "    Tracker(Path(sys.argv[1]))\n"
    "except StoreError as error:\n"
    "    print(error)\n"
)


def test_a_disk_too_small_for_the_store_is_named_and_leaves_none(tmp_path: Path) -> None:
    # A limit on a file's size is what a full disk looks like to sqlite.
    command = [sys.executable, "-c", FULL, str(tmp_path)]
    full = subprocess.run(command, capture_output=True, text=True, check=False)
    database = tmp_path / "mlruns/mlflow.db"
    assert full.stdout.startswith(f"MLflow's store {database} cannot be made: "), full.stderr
    assert "bytes are free" in full.stdout
    assert not database.exists()


def test_a_store_of_another_version_is_refused_and_left_as_it_is(tmp_path: Path) -> None:
    database = prepare(tmp_path, make_tables=small, revision="r1").database
    before = database.read_bytes()

    with pytest.raises(StoreError, match=r"another version of MLflow.*mlflow db upgrade sqlite"):
        prepare(tmp_path, make_tables=nothing, revision="r2")
    assert database.read_bytes() == before


def test_a_file_that_is_no_store_is_refused(tmp_path: Path) -> None:
    database = tmp_path / "mlruns" / "mlflow.db"
    database.parent.mkdir()
    database.write_text("not a database, but a text of some length" * 100)
    with pytest.raises(
        StoreError, match=r"cannot be opened: file is not a database\. Put .* sync STUDY"
    ):
        prepare(tmp_path, make_tables=nothing, revision="r1")


def test_a_half_made_store_of_somebody_else_is_refused(tmp_path: Path) -> None:
    database = tmp_path / "mlruns" / "mlflow.db"
    database.parent.mkdir()
    with closing(sqlite3.connect(database)) as connection:
        connection.execute("CREATE TABLE runs (x TEXT)")
    with pytest.raises(StoreError, match="is not a store of MLflow's, or one whose making"):
        prepare(tmp_path, make_tables=nothing, revision="r1")


def test_a_reader_makes_no_store(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match=r"No MLflow store at .*Run a study first"):
        prepare(tmp_path, make_tables=nothing, revision="r1", create=False)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["100%", "what?"])
def test_a_home_that_mlflow_cannot_name_is_refused_at_once(tmp_path: Path, name: str) -> None:
    with pytest.raises(StoreError, match="'%' and '\\?' have a meaning of their own"):
        prepare(tmp_path / name, make_tables=nothing, revision="r1")


@contextmanager
def as_nobody() -> Iterator[None]:
    """Root may write anywhere, so become someone who may not."""
    if os.geteuid() != 0:
        yield
        return
    os.setresuid(65534, 65534, 0)
    try:
        yield
    finally:
        os.setresuid(0, 0, 0)


def test_a_home_that_cannot_be_written_to_can_be_read_and_refuses_to_be_written() -> None:
    # Not in tmp_path: nobody but its owner may look into that.
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o755)
        home = made.home_in(Path(folder) / "home")
        tracker = Tracker(home)
        directory = made.write(home, ended=made.result(State.COMPLETE))
        parent = made.parent_of(tracker, files={"study.json": '{"name": "digits"}'})
        tracker.mirror(directory, parent)
        made.close(tracker)
        moved = home.rename(Path(folder) / "moved")
        directory = TrialDirectory(moved / directory.path.relative_to(home))
        home = moved
        (home / "mlruns").chmod(0o555)
        try:
            with as_nobody():
                reading = Tracker(home)
                assert reading.read_only
                assert reading.uri == f"sqlite:///{home}/mlruns/mlflow.db"
                assert [trial.state for trial in reading.read_trials(made.STUDY)] == ["complete"]
                assert reading.read_study(made.STUDY).name == "digits"
                with pytest.raises(StoreError, match="cannot be written to"):
                    reading.mirror(directory, parent)
                _, environment = store.serve(home, 5000)
                served = environment["MLFLOW_BACKEND_STORE_URI"]
                assert served != reading.uri
                with closing(sqlite3.connect(served.removeprefix("sqlite:///"))) as copy:
                    uris = [uri for (uri,) in copy.execute("SELECT artifact_uri FROM runs")]
                assert all(uri.startswith(home.as_uri()) for uri in uris)
        finally:
            (home / "mlruns").chmod(0o755)


@pytest.mark.slow
def test_processes_that_start_at_once_make_one_sound_store(tmp_path: Path) -> None:
    program = (
        "import sys; from pathlib import Path; from workbench.tracker import Tracker; "
        "print(Tracker(Path(sys.argv[1])).experiment('digits'))"
    )
    command = [sys.executable, "-W", "error", "-c", program, str(tmp_path)]
    started = [
        subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        for _ in range(2)
    ]
    ended = [process.communicate() for process in started]

    assert ended == [("1\n", ""), ("1\n", "")]
    assert made.rows(tmp_path, "SELECT name FROM experiments ORDER BY experiment_id") == [
        ("Default",),
        ("digits",),
    ]
    assert made.rows(tmp_path, "PRAGMA journal_mode") == [("wal",)]


def test_the_server_answers_to_this_machines_names_and_runs_nothing(tmp_path: Path) -> None:
    command, environment = store.serve(tmp_path, 5123)
    assert "localhost:5123,127.0.0.1:5123" in command
    assert environment["MLFLOW_SERVER_ENABLE_JOB_EXECUTION"] == "false"
    assert environment["MLFLOW_ALLOW_PICKLE_DESERIALIZATION"] == "false"
