"""Runs on a real tracking server over HTTP, with a user, which hangs and stops.

It takes many seconds to start, and so starts once: it is not there yet for the first test, and the
last one stops it.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tarfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support import mlflow_home as made
from tests.support.commands import call, works
from tests.support.processes import free_port
from tests.support.shared_store import SECRET, AfterTrials, leaked, states
from tests.support.tiny import Unseen
from tests.support.trials import write_light
from workbench import record, report
from workbench.commands import parent_run
from workbench.commands import report as publish
from workbench.commands.run import run_study
from workbench.driver.workers import InlineWorkers
from workbench.record import State
from workbench.study.config import load
from workbench.study.study import Study
from workbench.tracker import Tracker, location
from workbench.tracker.client import RunClient
from workbench.tracker.store import StoreError

auth = pytest.importorskip("mlflow.server.auth", reason="flask-wtf is not installed")
pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]

ARCHIVE = Path(__file__).parents[1] / "support" / "stored_home.tar.xz"


class Server:
    """``mlflow server`` on one port, with its files in a folder and one user, ``me``.

    Attributes:
        uri: Its address, which has no password.
    """

    def __init__(self, folder: Path) -> None:
        self.folder, self.port = folder, free_port()
        self.uri = f"http://127.0.0.1:{self.port}"
        self._process: subprocess.Popen[bytes] | None = None
        settings = (Path(auth.__file__).parent / "basic_auth.ini").read_text()
        settings = settings.replace("sqlite:///basic_auth.db", f"sqlite:///{folder}/users.db")
        # Else it takes a tenth of a second to compare the password, for each request.
        settings += "\nauth_cache_ttl_seconds = 60\n"
        (folder / "users.ini").write_text(settings)

    def start(self) -> None:
        if self._process is not None:
            return
        words = [
            *(sys.executable, "-m", "mlflow", "server", "--workers", "1"),
            *("--app-name", "basic-auth", "--host", "127.0.0.1", "--port", str(self.port)),
            *("--backend-store-uri", f"sqlite:///{self.folder}/server.db"),
            *("--artifacts-destination", str(self.folder / "files")),
        ]
        environment = {
            **os.environ,
            "MLFLOW_AUTH_CONFIG_PATH": str(self.folder / "users.ini"),
            "MLFLOW_AUTH_ADMIN_USERNAME": "me",
            "MLFLOW_AUTH_ADMIN_PASSWORD": SECRET,
            "MLFLOW_FLASK_SERVER_SECRET_KEY": "of this test",
            # Ten more processes, for what these tests do not use.
            "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
        }
        with (self.folder / "log").open("ab") as log:
            self._process = subprocess.Popen(
                words, stdout=log, stderr=log, env=environment, start_new_session=True
            )
        for _ in range(2400):
            try:
                urllib.request.urlopen(f"{self.uri}/health", timeout=5).close()
                return
            except (urllib.error.URLError, OSError):
                assert self._process.poll() is None, (self.folder / "log").read_text()
                time.sleep(0.1)
        pytest.fail("the server did not start")

    def stop(self) -> None:
        if self._process is not None:
            self._process.send_signal(signal.SIGTERM)
            self._process.wait(timeout=30)
            self._process = None

    def pause(self) -> None:
        """It accepts connections and answers none, until it continues."""
        self._signal_all(signal.SIGSTOP)

    def go_on(self) -> None:
        self._signal_all(signal.SIGCONT)

    def _signal_all(self, number: signal.Signals) -> None:
        assert self._process is not None
        os.killpg(self._process.pid, number)


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server that may not have been started, or may have been stopped."""
    server = Server(tmp_path_factory.mktemp("server"))
    yield server
    server.stop()


@pytest.fixture
def server(place: Server) -> Server:
    place.start()
    return place


@pytest.fixture(autouse=True)
def environment(place: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_USERNAME", "me")
    monkeypatch.setenv("MLFLOW_TRACKING_PASSWORD", SECRET)
    monkeypatch.setenv(location.VARIABLE, place.uri)
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_TIMEOUT", "10")


def test_a_server_that_is_not_there_delays_no_trial_and_gets_all_of_them_later(
    place: Server,
    tmp_path: Path,
    home: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    place.stop()
    # User and password may also stand in the address.
    for name in ("MLFLOW_TRACKING_USERNAME", "MLFLOW_TRACKING_PASSWORD"):
        monkeypatch.setenv(name, "")
    monkeypatch.setenv(location.VARIABLE, place.uri.replace("//", f"//me:{SECRET}@"))
    file = write_light(tmp_path)
    for study in ("early", "other"):
        done = run_study(file, [f"name={study}"], home, InlineWorkers(), Unseen())
        assert (done.exit_code, done.fresh) == (0, 2) and done.unsent
    again = run_study(file, ["name=early"], home, InlineWorkers(), Unseen())
    assert (again.exit_code, again.fresh) == (0, 0)
    place.start()
    assert publish.sync("early", home) > 0
    assert states(home, "early") == ["complete"] * 2
    assert publish.sync("early", home) == 0
    assert run_study(file, ["name=other"], home, InlineWorkers(), Unseen()).unsent == 0
    assert states(home, "other") == ["complete"] * 2

    assert "MLflow cannot be updated now" in caplog.text
    assert "Connection refused" in caplog.text
    assert SECRET not in caplog.text
    assert leaked(home, place.folder) == []
    assert not (home / "mlruns" / "mlflow.db").exists()


def test_a_server_that_hangs_for_a_while_delays_no_trial_and_has_each_of_them_once(
    server: Server,
    tmp_path: Path,
    home: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_TIMEOUT", "1")
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    file = write_light(tmp_path)
    pausing = AfterTrials({1: server.pause})
    try:
        done = run_study(file, ["name=paused", "search.trials=4"], home, InlineWorkers(), pausing)
    finally:
        server.go_on()
    assert (done.exit_code, done.fresh) == (0, 4) and done.unsent
    assert caplog.text.count("MLflow cannot be updated now") == 1
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_TIMEOUT", "10")
    publish.sync("paused", home)
    assert states(home, "paused") == ["complete"] * 4
    # The server has also done what nobody waited for.
    client = Tracker(home, "paused")._client
    runs = client.read(client.experiments()["paused"], "paused")
    keys = sorted(run.tags["workbench.key"] for run in runs if not run.deleted)
    assert len(keys) == len({*keys}) == 5, "the parent and each trial"
    assert {run.status for run in runs if not run.deleted} == {"FINISHED"}


def test_a_run_that_a_slow_server_has_made_twice_stays_once(
    server: Server, tmp_path: Path, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_TIMEOUT", "1")
    create, names = RunClient.create, []

    def late(self: RunClient, experiment: str, name: str, *rest: Any) -> Any:
        names.append(name)
        if len(names) == 2:
            # MLflow's client repeats a request whose answer is late; the server carries out both.
            create(self, experiment, name, *rest)
            time.sleep(location.request_seconds() + 0.1)
        return create(self, experiment, name, *rest)

    monkeypatch.setattr(RunClient, "create", late)
    file = write_light(tmp_path)
    done = run_study(file, ["name=twice"], home, InlineWorkers(), Unseen())
    assert (done.exit_code, done.fresh) == (0, 2)
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_TIMEOUT", "10")
    publish.sync("twice", home)
    client = Tracker(home, "twice")._client
    runs = client.read(client.experiments()["twice"], "twice")
    assert len([run for run in runs if run.deleted]) == 1, "the server made it twice"
    assert len({run.tags["workbench.key"] for run in runs}) == len(runs) - 1 == 3
    assert states(home, "twice") == ["complete"] * 2


def test_a_server_that_refuses_the_password_is_an_error_before_any_trial(
    server: Server, tmp_path: Path, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = write_light(tmp_path)
    monkeypatch.setenv("MLFLOW_TRACKING_PASSWORD", f"{SECRET}!")
    run = ("run", file, "--inline", "--set", "name=refused")
    for words in (run, ("report", "refused")):
        code, output, errors = call(*words, "--home", home)
        assert code == 4, output + errors
        assert f"{server.uri} refuses" in errors and "MLFLOW_TRACKING_PASSWORD" in errors
        assert SECRET not in output + errors
    assert not [*record.study_directory(home, "refused").glob("trials/*/*/")]
    monkeypatch.setenv("MLFLOW_TRACKING_PASSWORD", SECRET)
    works(*run, "--home", home)
    assert states(home, "refused") == ["complete"] * 2
    assert "refused" in works("list", "--home", home)
    assert leaked(home, server.folder) == []


def numbers(home: Path) -> Any:
    """What a report says, without the ids of runs, and where they are."""
    tracker, directory = Tracker(home, "tiny"), record.study_directory(home, "tiny")
    content = report.compose(
        publish.material(tracker, "tiny", directory), figures=False
    ).summary.content
    text = re.sub(r'"[0-9a-f]{32}"', '"a run"', json.dumps(dict(content)))
    return {key: value for key, value in json.loads(text).items() if key != "provenance"}


def test_the_report_of_a_study_on_a_server_has_the_numbers_of_the_local_one(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    local, shared = tmp_path / "local", tmp_path / "shared"
    with tarfile.open(ARCHIVE) as archive:
        archive.extractall(local, filter="data")
    for path in (local / "mlruns").glob("mlflow.db*"):
        path.unlink()
    shutil.copytree(local, shared)
    works("report", "tiny", "--home", shared)
    works("ui", "tiny", "--home", shared)
    code, _, errors = call("verdict", "--mlflow", "tiny", "--metric", "x", "--home", shared)
    assert code == 2 and "tiny is a study of Workbench" in errors
    on_server = numbers(shared)
    monkeypatch.delenv(location.VARIABLE)
    works("sync", "tiny", "--home", local)
    assert numbers(local) == on_server
    page = (shared / "reports" / "tiny" / "index.html").read_text()
    assert server.uri in page and SECRET not in page


def start(home: Path, record_id: str, epochs: int = 3) -> tuple[Tracker, str]:
    """A study's directory with a trial, and its parent run."""
    study = record.study_directory(home, made.STUDY)
    study.mkdir(parents=True)
    content = {"name": made.STUDY, "record_id": record_id}
    (study / "study.json").write_text(json.dumps(content))
    made.write(home, epochs=epochs, ended=made.result(State.COMPLETE), weights=b"weights")
    tracker = Tracker(home, made.STUDY)
    return tracker, made.parent_of(tracker)


def test_two_homes_do_not_share_a_study_by_its_name_and_a_deleted_one_gives_it_free(
    tmp_path: Path,
) -> None:
    first, parent = start(tmp_path / "first", "a")
    study = record.study_directory(tmp_path / "first", made.STUDY)
    assert first.reconcile(study) == 1
    assert first.reconcile(study) == 0
    (trial,) = first.read_trials(made.STUDY)
    assert first.register(trial.run_id, "digits", "a card", champion=True) == "1"
    folder = tmp_path / "report"
    (folder / "data").mkdir(parents=True)
    (folder / "data" / "trials.csv").write_text("a\n")
    first.log_report(parent, folder)
    client = first._client._client
    listed = [file.path for file in client.list_artifacts(parent, "report/data")]
    assert listed == ["report/data/trials.csv"]

    with pytest.raises(StoreError, match=r"another study digits.*delete its experiment digits"):
        start(tmp_path / "second", "b")
    assert first.reconcile(study) == 0, "nothing of it was touched"
    client.delete_experiment(first.experiment(made.STUDY))
    shutil.rmtree(tmp_path / "second")
    second, other = start(tmp_path / "second", "b", epochs=2)
    second.reconcile(record.study_directory(tmp_path / "second", made.STUDY))
    assert other != parent
    (trial,) = second.read_trials(made.STUDY)
    with second.reading(made.STUDY) as stored:
        curves = stored.histories(["train/loss"], [trial.run_id])
    assert [epoch for epoch, _ in curves[trial.run_id]["train/loss"]] == [1, 2]


def test_a_home_says_where_its_runs_go_and_where_they_went_before(
    tmp_path: Path, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    study = Study(load(write_light(tmp_path), ["name=moving"]), tmp_path)
    address = server.uri
    assert parent_run.places(study) == [f"Runs are written to MLflow at {address}."]
    study.directory.mkdir(parents=True)
    (study.directory / "study.json").write_text("{}")
    assert "written to the home's own store" in parent_run.places(study)[1]
    monkeypatch.delenv(location.VARIABLE)
    assert parent_run.places(study) == []
    (study.directory / "study.json").write_text(json.dumps({"tracking_uri": address}))
    assert parent_run.places(study) == [f"Runs are written to MLflow at {address}."]


def test_a_server_that_stops_meanwhile_delays_no_trial(
    server: Server, tmp_path: Path, home: Path, caplog: pytest.LogCaptureFixture
) -> None:
    stopping = AfterTrials({1: server.stop})
    done = run_study(write_light(tmp_path), ["name=stopped"], home, InlineWorkers(), stopping)
    assert (done.exit_code, done.fresh) == (0, 2) and done.unsent
    assert caplog.text.count("MLflow cannot be updated now") == 1
    assert "Connection refused" in caplog.text
