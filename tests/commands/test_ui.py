"""MLflow's own server and pages on a study's store, as ``workbench ui`` starts them."""

from __future__ import annotations

import json
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.support import browser
from tests.support.mlflow_home import home_in
from tests.support.processes import free_port
from tests.support.tiny import TINY, Unseen
from workbench.commands import report
from workbench.commands import verdict as elsewhere
from workbench.commands.run import run_study
from workbench.driver.workers import InlineWorkers

if TYPE_CHECKING:
    from playwright.sync_api import Page

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]


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
    report.write("tiny", home, None)
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


def test_results_are_judged_from_a_server_as_from_a_file(
    served: tuple[int, str], monkeypatch: pytest.MonkeyPatch
) -> None:
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
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"http://127.0.0.1:{port}")
    found = elsewhere.judge(
        None, experiment="foreign", home=Path(), metric="acc", smallest_effect=0.01
    )
    verdict = found.result.as_json()["verdict"]
    assert (verdict["word"], verdict["leader"], len(verdict["seeds"])) == ("WINNER", "a", 8)


def test_the_server_refuses_another_hosts_name(served: tuple[int, str]) -> None:
    with pytest.raises(urllib.error.HTTPError) as refusal:
        post(served[0], "experiments/search", {"max_results": 1}, host="10.evil.example")
    assert refusal.value.code == 403
    refusal.value.close()


# As a person sees it


@pytest.fixture(scope="module")
def page(served: tuple[int, str]) -> Iterator[Page]:
    """Of the study's table; the panel beside it, which asks for a language model, is closed."""
    with browser.chromium() as started:
        page = started.new_page(viewport={"width": 1400, "height": 900})
        page.set_default_timeout(60_000)
        page.goto(served[1])
        page.get_by_role("button", name="Close", exact=True).click()
        yield page


def open_table(page: Page, served: tuple[int, str]) -> None:
    page.goto(served[1])
    page.get_by_role("link", name="tiny search").wait_for()


def open_tab(page: Page, name: str) -> None:
    # A tab of a run, a link of a model.
    page.get_by_text(name, exact=True).click()


def test_the_page_opens_on_the_trials_with_the_best_first(
    served: tuple[int, str], page: Page
) -> None:
    open_table(page, served)
    page.get_by_text("Sort: objective").wait_for()
    cells = page.locator("[role=gridcell][col-id*='objective']")
    shown = [text for text in cells.all_inner_texts() if text]
    browser.keep(page, "mlflow-table")
    *values, parent = shown
    assert parent == "-" and len(values) == 4
    assert [float(value) for value in values] == sorted(map(float, values), reverse=True)


def test_a_trial_has_curves_of_its_epochs(served: tuple[int, str], page: Page) -> None:
    open_table(page, served)
    page.get_by_role("link", name="adamw-0/000").click()
    open_tab(page, "Model metrics")
    page.get_by_placeholder("Search metric charts").fill("validation/loss")
    # The path of a single point has no line to another one.
    page.locator("path.js-line[d*='L']").first.wait_for(state="attached")
    browser.keep(page, "mlflow-curves")


def test_two_trials_are_compared(served: tuple[int, str], page: Page) -> None:
    open_table(page, served)
    names = ("adamw-0/000", "sgd-all/000")
    for name in names:
        row = page.get_by_role("row").filter(has_text=name)
        row.get_by_role("checkbox", name="Press Space").check(force=True)
    page.get_by_role("button", name="Compare").click()
    page.get_by_role("heading", name="Comparing 2 Runs").wait_for()
    browser.keep(page, "mlflow-comparison")
    for name in names:
        page.get_by_text(name).first.wait_for()
    page.get_by_text("validation/accuracy", exact=True).first.wait_for(state="attached")


def test_a_studys_run_lists_its_trials_and_shows_the_report(
    served: tuple[int, str], page: Page
) -> None:
    open_table(page, served)
    page.get_by_role("link", name="tiny search").click()
    page.get_by_role("link", name="sgd-all/000").wait_for()
    browser.keep(page, "mlflow-study")
    open_tab(page, "Artifacts")
    page.get_by_text("report", exact=True).click()
    page.get_by_text("index.html", exact=True).click()
    report = page.frame_locator("iframe")
    report.get_by_role("heading", name="tiny", exact=True).wait_for()
    browser.keep(page, "mlflow-report")
    head = report.locator("th", has_text="complete")
    head.get_by_role("button").click()
    assert head.get_attribute("aria-sort") == "ascending", "its script runs here too"


def test_the_models_tab_lists_the_best_trials_models_and_opens_one(
    served: tuple[int, str], page: Page
) -> None:
    open_table(page, served)
    page.get_by_role("link", name="Models", exact=True).click()
    for name in ("sgd-0", "sgd-all", "adamw-0", "adamw-all"):
        page.get_by_role("link", name=name, exact=True).wait_for()
    browser.keep(page, "mlflow-models")
    page.get_by_role("link", name="adamw-0", exact=True).click()
    open_tab(page, "Artifacts")
    page.get_by_text("MLmodel", exact=True).wait_for()
    browser.keep(page, "mlflow-model")
