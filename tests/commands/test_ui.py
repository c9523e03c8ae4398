"""MLflow's own server and pages on a study's store, as ``workbench ui`` starts them."""

from __future__ import annotations

import json
import shutil
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.mlflow_home import home_in
from tests.support.tiny import TINY, Unseen
from workbench.commands import verdict as elsewhere
from workbench.commands.run import run_study
from workbench.driver.workers import InlineWorkers

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the server is started."""
    return tmp_path_factory.mktemp("ui")


@pytest.fixture(scope="module")
def served(folder: Path) -> Iterator[tuple[int, str]]:
    """The port of a server on the tiny study's store, and the address that it printed."""
    file, home, port = folder / "tiny.yaml", home_in(folder / "home"), free_port()
    file.write_text(TINY.replace("trials_per_strategy: 5", "trials_per_strategy: 1"))
    run_study(file, [], home, InlineWorkers(), Unseen())
    home = home.rename(folder / "möved home")
    words = ["ui", "tiny", "--home", str(home), "--port", str(port)]
    with (folder / "output").open("w") as output:
        server = subprocess.Popen(
            [sys.executable, "-u", "-m", "workbench", *words],
            stdout=output,
            stderr=subprocess.STDOUT,
            cwd=folder,
        )
        while not (printed := (folder / "output").read_text()).endswith("\n"):
            assert server.poll() is None, printed
            time.sleep(0.1)
        address = next(word for word in printed.split() if word.startswith("http"))
        for _ in range(240):
            try:
                urllib.request.urlopen(f"http://127.0.0.1:{port}/health", timeout=5).close()
                break
            except OSError:
                assert server.poll() is None, "the server ended"
                time.sleep(0.5)
        yield port, address
        server.terminate()
        server.wait(30)


def post(port: int, path: str, content: object, host: str | None = None) -> dict[str, object]:
    headers = {"Content-Type": "application/json", **({"Host": host} if host else {})}
    request = urllib.request.Request(
        f"http://127.0.0.1:{port}/api/2.0/mlflow/{path}", json.dumps(content).encode(), headers
    )
    with urllib.request.urlopen(request, timeout=30) as answer:
        found: dict[str, object] = json.load(answer)
    return found


def test_the_server_shows_every_run_of_the_study(served: tuple[int, str]) -> None:
    port, address = served
    experiment = address.partition("experiments/")[2].partition("/")[0]
    content = {"experiment_ids": [experiment], "max_results": 100}
    runs = post(port, "runs/search", content)["runs"]
    assert isinstance(runs, list) and len(runs) == 5


def test_the_server_of_a_moved_home_shows_its_artifacts(served: tuple[int, str]) -> None:
    port, address = served
    experiment = address.partition("experiments/")[2].partition("/")[0]
    runs = post(port, "runs/search", {"experiment_ids": [experiment], "max_results": 100})["runs"]
    assert isinstance(runs, list)
    for run in runs:
        asked = (
            f"http://127.0.0.1:{port}/api/2.0/mlflow/artifacts/list?run_id={run['info']['run_id']}"
        )
        with urllib.request.urlopen(asked, timeout=30) as answer:
            assert json.load(answer)["files"]


def test_artifacts_of_runs_are_shown_and_files_of_others_refused(
    served: tuple[int, str], folder: Path
) -> None:
    address = f"http://127.0.0.1:{served[0]}"
    experiment = served[1].partition("experiments/")[2].partition("/")[0]
    content = {"experiment_ids": [experiment], "max_results": 1}
    runs = post(served[0], "runs/search", {**content, "filter": "tags.workbench.role = 'search'"})
    assert isinstance(runs["runs"], list)
    parent = next(
        item["value"]
        for item in runs["runs"][0]["data"]["tags"]
        if item["key"] == "mlflow.parentRunId"
    )
    with urllib.request.urlopen(
        f"{address}/get-artifact?path=study/study.yaml&run_uuid={parent}", timeout=30
    ) as answer:
        assert answer.read() == (folder / "tiny.yaml").read_bytes()
    for prefix in ("api", "ajax-api"):
        request = urllib.request.Request(
            f"{address}/{prefix}/2.0/mlflow-artifacts/artifacts/planted.txt", b"a", method="PUT"
        )
        with pytest.raises(urllib.error.HTTPError) as refusal:
            urllib.request.urlopen(request, timeout=30)
        assert refusal.value.code == 503
        refusal.value.close()
    assert not (folder / "mlartifacts").exists()


def test_the_address_is_not_buried_under_the_servers_own_lines(
    served: tuple[int, str], folder: Path
) -> None:
    first, *rest = (folder / "output").read_text().splitlines()
    assert first.endswith(served[1])
    assert [line for line in rest if not line.startswith("[MLflow] Security middleware")] == []


def test_results_are_judged_from_a_server_as_from_a_file(served: tuple[int, str]) -> None:
    port, _ = served
    number = post(port, "experiments/create", {"name": "foreign"})["experiment_id"]
    for place in range(16):
        strategy, seed = ("a", "b")[place % 2], str(place // 2)
        tags = [{"key": "strategy", "value": strategy}, {"key": "seed", "value": seed}]
        made = post(port, "runs/create", {"experiment_id": number, "start_time": 1, "tags": tags})
        assert isinstance(made["run"], dict)
        run_id = made["run"]["info"]["run_id"]
        value = 0.9 - 0.1 * (place % 2) + 0.001 * (place // 2) * (-1) ** place
        metric = {"run_id": run_id, "key": "acc", "value": value, "timestamp": 1}
        post(port, "runs/log-metric", metric)
        post(port, "runs/update", {"run_id": run_id, "status": "FINISHED", "end_time": 2})
    found = elsewhere.judge(
        None,
        experiment="foreign",
        uri=f"http://127.0.0.1:{port}",
        home=Path(),
        metric="acc",
        smallest_effect=0.01,
    )
    verdict = found.result.as_json()["verdict"]
    assert (verdict["word"], verdict["leader"], len(verdict["seeds"])) == ("WINNER", "a", 8)


def test_the_server_refuses_another_hosts_name(served: tuple[int, str]) -> None:
    with pytest.raises(urllib.error.HTTPError) as refusal:
        post(served[0], "experiments/search", {"max_results": 1}, host="10.evil.example")
    assert refusal.value.code == 403
    refusal.value.close()


@pytest.mark.skipif(shutil.which("chromium") is None, reason="needs Chromium to draw the page")
def test_the_page_opens_on_the_trials_with_the_best_first(
    served: tuple[int, str], tmp_path: Path
) -> None:
    command = ["chromium", "--headless", "--no-sandbox", "--disable-gpu", "--disable-sync"]
    command += ["--no-first-run", "--disable-background-networking", "--disable-component-update"]
    command += [f"--user-data-dir={tmp_path}", "--virtual-time-budget=30000", "--dump-dom"]
    done = subprocess.run(
        [*command, served[1]], capture_output=True, text=True, check=True, timeout=120
    )
    assert "Sort: objective" in done.stdout
    assert "adamw-0/000" in done.stdout and "tiny search" in done.stdout
