"""Runs on a real tracking server over HTTP, which is stopped and started again."""

from __future__ import annotations

import json
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
from workbench.tracker.store import StoreError

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]

ARCHIVE = Path(__file__).parents[1] / "support" / "stored_home.tar.xz"
SECRET = "hunter2"


class Server:
    """``mlflow server`` on one port, with its files in a folder."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.port = folder, free_port()
        self.uri = f"http://me:{SECRET}@127.0.0.1:{self.port}"
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        words = [
            *(sys.executable, "-m", "mlflow", "server", "--workers", "1"),
            *("--host", "127.0.0.1", "--port", str(self.port)),
            *("--backend-store-uri", f"sqlite:///{self.folder}/server.db"),
            *("--artifacts-destination", str(self.folder / "files")),
        ]
        with (self.folder / "log").open("ab") as log:
            self._process = subprocess.Popen(words, stdout=log, stderr=log)
        for _ in range(2400):
            try:
                urllib.request.urlopen(f"http://127.0.0.1:{self.port}/health", timeout=5).close()
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


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    server = Server(tmp_path_factory.mktemp("server"))
    server.start()
    yield server
    server.stop()


@pytest.fixture(autouse=True)
def environment(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("MLFLOW_TRACKING_USERNAME", "MLFLOW_TRACKING_PASSWORD"):
        monkeypatch.setenv(name, "")
    monkeypatch.setenv(location.VARIABLE, server.uri)
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_TIMEOUT", "10")


class Stopping(Unseen):
    """Stops the server after the first trial."""

    def __init__(self, server: Server) -> None:
        super().__init__()
        self._server = server

    def update(self, groups: Any, running: Any = (), *, stopping: bool = False) -> None:
        if any(group.complete for group in groups):
            self._server.stop()


def leaked(*folders: Path) -> list[Path]:
    """Files that hold the password."""
    files = (path for folder in folders for path in folder.rglob("*") if path.is_file())
    return [path for path in files if SECRET.encode() in path.read_bytes()]


def states(home: Path, study: str) -> list[str]:
    return [trial.state for trial in Tracker(home, study).read_trials(study)]


def test_a_server_that_stops_or_is_not_there_delays_no_trial_and_gets_all_of_them_later(
    server: Server, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    home, file = tmp_path / "home", write_light(tmp_path)
    home.mkdir()
    done = run_study(file, ["name=stopped"], home, InlineWorkers(), Stopping(server))
    assert (done.exit_code, done.fresh) == (0, 2) and done.unsent
    other = run_study(file, ["name=other"], home, InlineWorkers(), Unseen())
    assert (other.exit_code, other.fresh) == (0, 2) and other.unsent
    again = run_study(file, ["name=stopped"], home, InlineWorkers(), Unseen())
    assert (again.exit_code, again.fresh) == (0, 0)
    server.start()
    for study in ("stopped", "other"):
        assert publish.sync(study, home) > 0
        assert states(home, study) == ["complete"] * 2
        assert publish.sync(study, home) == 0
    assert run_study(file, ["name=other"], home, InlineWorkers(), Unseen()).unsent == 0

    assert "MLflow cannot be updated now" in caplog.text
    assert "Connection refused" in caplog.text
    assert SECRET not in caplog.text
    assert leaked(home, server.folder) == []
    assert not (home / "mlruns" / "mlflow.db").exists()


def numbers(home: Path) -> Any:
    """What a report says, without the ids of runs, and where they are."""
    tracker, directory = Tracker(home, "tiny"), record.study_directory(home, "tiny")
    content = report.summarize(publish.material(tracker, "tiny", directory), figures=False)
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
    assert f"http://127.0.0.1:{server.port}" in page and SECRET not in page


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
    address = f"http://127.0.0.1:{server.port}"
    assert parent_run.places(study) == [f"Runs are written to MLflow at {address}."]
    study.directory.mkdir(parents=True)
    (study.directory / "study.json").write_text("{}")
    assert "written to the home's own store" in parent_run.places(study)[1]
    monkeypatch.delenv(location.VARIABLE)
    assert parent_run.places(study) == []
    (study.directory / "study.json").write_text(json.dumps({"tracking_uri": address}))
    assert parent_run.places(study) == [f"Runs are written to MLflow at {address}."]
