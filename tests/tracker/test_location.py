"""Where runs go, and what is said and left out when a shared store cannot be used."""

from __future__ import annotations

import os
import socket
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from tests.support import mlflow_home as made
from tests.support.commands import call
from workbench import record
from workbench.record import State
from workbench.tracker import Tracker, location
from workbench.tracker.mirror import Mirror
from workbench.tracker.shared_store import check_reachable, redacted, without_credentials
from workbench.tracker.store import StoreError, UnreachableError

SECRET = "hunter2"


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """What a shared store sets for MLflow is gone after the test."""
    for name in (location.VARIABLE, "MLFLOW_TRACKING_USERNAME", "MLFLOW_TRACKING_PASSWORD"):
        monkeypatch.setenv(name, "")
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_TIMEOUT", "1")
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")


def place(home: Path, study: str | None = None) -> str | None:
    store = location.shared_store(home, study)
    return None if store is None else store.uri


def test_the_first_address_that_is_given_counts(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    study = record.study_directory(home, "digits")
    study.mkdir(parents=True)
    assert place(home, "digits") is None
    (study / "study.json").write_text('{"tracking_uri": "http://before.org"}')
    assert (place(home, "digits"), place(home), place(home, "other")) == (
        "http://before.org",
        None,
        None,
    )
    cell = study.with_name("wines@one")
    study.rename(cell)
    assert place(home, "wines") == "http://before.org"
    (home / "mlruns" / "workbench.toml").write_text('tracking_uri = "http://home.org"')
    assert place(home, "wines") == "http://home.org"
    monkeypatch.setenv(location.VARIABLE, "http://environment.org")
    assert place(home, "wines") == "http://environment.org"


def test_the_homes_own_store_is_not_a_shared_one(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(home)
    for uri in ("sqlite:///mlruns/mlflow.db", f"sqlite:///{home}/mlruns/mlflow.db"):
        monkeypatch.setenv(location.VARIABLE, uri)
        assert place(home) is None
    monkeypatch.setenv(location.VARIABLE, "sqlite:///other.db")
    assert place(home) == f"sqlite:///{home}/other.db"


@pytest.mark.parametrize(
    ("text", "said"),
    [("tracking_uri", "workbench.toml cannot be read"), ("uri = 'x'", "uri is unknown or missing")],
)
def test_a_broken_file_of_settings_is_named(home: Path, text: str, said: str) -> None:
    (home / "mlruns").mkdir()
    (home / "mlruns" / "workbench.toml").write_text(text)
    with pytest.raises(StoreError, match=said):
        location.shared_store(home)


@pytest.mark.parametrize("place", ["ftp://{}files.org/runs", "http://{}files.org:port"])
def test_an_address_that_mlflow_cannot_write_to_is_refused_without_its_password(
    home: Path, monkeypatch: pytest.MonkeyPatch, place: str
) -> None:
    monkeypatch.setenv(location.VARIABLE, place.format(f"me:{SECRET}@") + f"?key={SECRET}")
    with pytest.raises(StoreError, match=f"{place.format('')} is no address") as caught:
        location.shared_store(home)
    assert SECRET not in str(caught.value)


@pytest.mark.parametrize("place", ["postgresql://me:{}@h:port/m", "postgresql://me:{}@[::1/m"])
def test_a_database_at_no_address_is_named_without_its_password(place: str) -> None:
    with pytest.raises(StoreError, match="is no address of a database") as caught:
        check_reachable(place.format(SECRET))
    assert SECRET not in str(caught.value)


@pytest.mark.parametrize("character", "#/?@[")
def test_a_password_that_is_not_quoted_is_shown_in_no_message(
    home: Path, monkeypatch: pytest.MonkeyPatch, character: str
) -> None:
    for scheme in ("http", "postgresql+psycopg"):
        address = f"{scheme}://me:hun{character}{SECRET}@host.org:5000"
        assert redacted(address) == f"{scheme}://host.org:5000"
        monkeypatch.setenv(location.VARIABLE, address)
        # Only an @ belongs to the password in any case.
        if character != "@":
            with pytest.raises(StoreError, match=f"{scheme[:4]}.*://host.org:5000 .*%23") as caught:
                location.shared_store(home)
            assert "hun" not in str(caught.value)


def test_a_quoted_password_is_left_out_of_a_message_that_has_it_as_it_is_meant() -> None:
    uri = "postgresql+psycopg://me:hun%40ter2@host.org/runs"
    for said in (uri, "hun%40ter2", "hun@ter2"):
        assert "ter2" not in without_credentials(f"no entry for {said}", uri)


def test_a_token_in_an_address_is_refused_and_not_dropped(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(location.VARIABLE, f"https://:{SECRET}@host.org")
    with pytest.raises(StoreError, match=r"https://host.org: .*MLFLOW_TRACKING_TOKEN") as caught:
        location.shared_store(home)
    assert SECRET not in str(caught.value)


def test_an_option_names_the_store_for_its_command_alone(home: Path) -> None:
    address = f"http://me:{SECRET}@127.0.0.1:9"
    code, output, errors = call("ui", "--home", home, "--tracking-uri", address)
    assert (code, output.strip().partition("/#/")[0]) == (0, "http://127.0.0.1:9")
    assert SECRET not in output + errors
    assert os.environ[location.VARIABLE] == ""
    code, _, errors = call("report", "digits", "--home", home, "--tracking-uri", address)
    assert code == 4 and "MLflow at http://127.0.0.1:9 cannot be reached now" in errors
    assert SECRET not in errors


class Refusing(BaseHTTPRequestHandler):
    """A server that wants a password."""

    def do_GET(self) -> None:
        self.send_response(401)
        self.end_headers()

    def do_POST(self) -> None:
        self.do_GET()

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@contextmanager
def served(server: HTTPServer) -> Iterator[str]:
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://me:{SECRET}@127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def test_a_server_that_wants_a_password_is_an_error_and_not_an_outage(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with served(HTTPServer(("127.0.0.1", 0), Refusing)) as uri:
        monkeypatch.setenv(location.VARIABLE, uri)
        with pytest.raises(StoreError, match="MLFLOW_TRACKING_USERNAME") as caught:
            made.parent_of(Tracker(home))
    assert not isinstance(caught.value, UnreachableError)
    assert SECRET not in str(caught.value)


def test_a_server_that_hangs_delays_nobody_who_reports_a_change_and_the_end_by_seconds(
    home: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        address = f"127.0.0.1:{silent.getsockname()[1]}"
        monkeypatch.setenv(location.VARIABLE, f"http://me:{SECRET}@{address}")
        tracker = Tracker(home)
        mirror = Mirror(tracker, lambda: made.parent_of(tracker), interval_seconds=0.01)
        with pytest.raises(UnreachableError):
            _ = mirror.parent
        mirror.start()
        for number in range(20):
            directory = made.write(home, made.spec(number), ended=made.result(State.COMPLETE))
            began = time.monotonic()
            mirror.changed(directory)
            assert time.monotonic() - began < 0.5
        began = time.monotonic()
        assert not mirror.drain()
        assert not mirror.close()
        # Two requests of a second each, on a busy machine.
        assert time.monotonic() - began < 15
        assert mirror.pending == 20
    warnings = [line for line in caplog.messages if "cannot be updated" in line]
    assert len(warnings) == 1 and f"http://{address}" in warnings[0]
    assert SECRET not in caplog.text


def test_a_database_that_is_not_there_is_an_outage_that_is_noticed_at_once(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    address = f"postgresql+psycopg://me:{SECRET}@127.0.0.1:9/runs?password={SECRET}"
    monkeypatch.setenv(location.VARIABLE, address)
    began = time.monotonic()
    with pytest.raises(
        UnreachableError, match=r"postgresql\+psycopg://127.0.0.1:9/runs cannot"
    ) as caught:
        Tracker(home).read_trials("digits")
    assert SECRET not in str(caught.value)
    assert time.monotonic() - began < 10


@pytest.mark.parametrize(
    ("scheme", "module", "package"),
    [
        ("postgresql", "psycopg", r"'psycopg\[binary\]'"),
        ("postgresql+psycopg", "psycopg", r"'psycopg\[binary\]'"),
        ("mysql+pymysql", "pymysql", "pymysql"),
    ],
)
def test_a_database_whose_driver_is_missing_says_what_to_install(
    home: Path, monkeypatch: pytest.MonkeyPatch, scheme: str, module: str, package: str
) -> None:
    monkeypatch.setitem(sys.modules, module, None)
    with socket.create_server(("127.0.0.1", 0)) as database:
        port = database.getsockname()[1]
        monkeypatch.setenv(location.VARIABLE, f"{scheme}://me:{SECRET}@127.0.0.1:{port}/runs")
        with pytest.raises(StoreError, match=f"pip install {package}") as caught:
            Tracker(home).read_trials("digits")
    assert not isinstance(caught.value, UnreachableError)
    assert SECRET not in str(caught.value)


def test_an_unknown_driver_is_named(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(location.VARIABLE, "postgresql+psycop:///runs")
    with pytest.raises(StoreError, match=r"postgresql\.psycop\b"):
        Tracker(home).read_trials("digits")


def test_trials_below_a_parent_that_was_deleted_are_not_discarded_for_another_home(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(location.VARIABLE, f"sqlite:///{tmp_path}/common.db")
    for name in ("first", "second"):
        study = record.study_directory(tmp_path / name, made.STUDY)
        study.mkdir(parents=True)
        (study / "study.json").write_text(f'{{"name": "digits", "record_id": "{name}"}}')
    first = Tracker(tmp_path / "first", made.STUDY)
    parent = made.parent_of(first)
    directory = made.write(tmp_path / "first", ended=made.result(State.COMPLETE), weights=b"w")
    run_id = first.mark_best(parent, "adamw-2", directory)
    client = first._client._client
    client.delete_run(parent)
    with pytest.raises(StoreError, match=f"another study digits.*{parent}"):
        made.parent_of(Tracker(tmp_path / "second", made.STUDY))
    run = client.get_run(run_id)
    assert run.info.lifecycle_stage == "active"
    model = client.get_logged_model(run.data.tags["workbench.model_id"])
    assert model.status == "READY"


def test_a_moved_home_does_not_write_to_its_old_place(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(location.VARIABLE, f"sqlite:///{tmp_path}/common.db")
    old, new = tmp_path / "old", tmp_path / "new"
    made.write(old, ended=made.result(State.COMPLETE))
    Tracker(old, made.STUDY).reconcile(record.study_directory(old, made.STUDY))
    old.rename(new)
    made.write(new, made.spec(8), ended=made.result(State.COMPLETE))
    study = record.study_directory(new, made.STUDY)
    with pytest.raises(StoreError, match=f"{old}/mlruns/artifacts/digits.*{new}"):
        Tracker(new, made.STUDY).reconcile(study)
    assert not old.exists()
    old.symlink_to(new)
    assert Tracker(new, made.STUDY).reconcile(study) == 1


def test_a_database_takes_the_runs_of_several_homes_with_the_files_in_each(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(location.VARIABLE, f"sqlite:///{tmp_path}/common.db")
    for name in ("first", "second"):
        home = tmp_path / name
        directory = made.write(
            home, made.spec(study=name), ended=made.result(State.COMPLETE), weights=b"weights"
        )
        tracker = Tracker(home, name)
        assert tracker.reconcile(record.study_directory(home, name)) == 1
        assert tracker.reconcile(record.study_directory(home, name)) == 0
        (trial,) = tracker.read_trials(name)
        stored = home / "mlruns" / "artifacts" / name / trial.run_id / "artifacts"
        assert (stored / "mistakes.png").read_bytes() == b"picture"
        assert trial.key == f"{name}/search/{directory.path.parent.name}/007"
        assert not (home / "mlruns" / "mlflow.db").exists()
    assert {*Tracker(home)._client.experiments()} == {"first", "second"}
