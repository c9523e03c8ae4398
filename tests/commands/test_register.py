"""Models in MLflow: loaded by a process that knows MLflow alone, registered, and served."""

from __future__ import annotations

import json
import os
import re
import shutil
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path

import pytest
from mlflow import MlflowClient

from tests.support.commands import call, works
from tests.support.mlflow_home import home_in
from tests.support.tiny import TINY, Unseen
from workbench.commands.confirm import confirm_study
from workbench.commands.run import run_study
from workbench.driver.workers import InlineWorkers

pytestmark = pytest.mark.slow

SMALL = TINY.replace("  freeze_depth: [0, all]\n", "").replace(
    "trials_per_strategy: 5", "trials_per_strategy: 2"
)
LOAD = """\
import sys, mlflow
mlflow.set_tracking_uri(sys.argv[1])
for uri in sys.argv[2:]:
    model = mlflow.pyfunc.load_model(uri)
    print(model.predict(model.input_example).to_csv(index=False))
"""


@pytest.fixture(scope="module")
def searched(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home with a finished search; never changed by a test."""
    folder = tmp_path_factory.mktemp("register")
    (folder / "tiny.yaml").write_text(SMALL)
    home = home_in(folder / "home")
    run_study(folder / "tiny.yaml", [], home, InlineWorkers(), Unseen())
    return home


@pytest.fixture(scope="module")
def confirmed(searched: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home with a finished confirmation, moved after its search."""
    home = tmp_path_factory.mktemp("confirmed") / "home"
    shutil.copytree(searched, home)
    confirm = {"smallest_effect": 0.9, "seeds": 7, "select.configs": 1, "select.seeds": 2}
    settings = [f"confirm.{key}={value}" for key, value in confirm.items()]
    confirm_study("tiny", settings, home, InlineWorkers(), Unseen(), agree=lambda _: True)
    return home


def uri_of(home: Path) -> str:
    return f"sqlite:///{home / 'mlruns' / 'mlflow.db'}"


def load(home: Path, *models: str) -> list[str]:
    """What a process of its own, which imports MLflow alone, predicts for the input examples."""
    done = subprocess.run(
        [sys.executable, "-c", LOAD, uri_of(home), *models],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.split()


def test_the_best_and_the_confirmed_models_are_logged_once_each_in_mlflow(confirmed: Path) -> None:
    client = MlflowClient(uri_of(confirmed))
    models = client.search_logged_models([client.get_experiment_by_name("tiny").experiment_id])
    assert sorted((model.tags["workbench.role"], model.name) for model in models) == [
        ("confirmation", "confirmation-adamw"),
        ("confirmation", "confirmation-sgd"),
        ("search", "adamw"),
        ("search", "sgd"),
    ]
    for model in models:
        assert str(model.status) == "READY" and model.params["backbone"] == "mlp"
        assert model.artifact_location.startswith(confirmed.as_uri()), "although the home was moved"
        run = client.get_run(model.source_run_id)
        measured = {metric.key: metric.value for metric in model.metrics}
        assert measured == {"validation/accuracy": run.data.metrics["best/validation/accuracy"]}
        assert [made.model_id for made in run.outputs.model_outputs] == [model.model_id]
    assert "up to date" in works("sync", "tiny", "--home", confirmed)
    again = client.search_logged_models([models[0].experiment_id])
    assert {model.model_id for model in again} == {model.model_id for model in models}


def test_weights_are_stored_once(confirmed: Path) -> None:
    stored = list((confirmed / "mlruns" / "artifacts").rglob("*.safetensors"))
    kept = {path.stat().st_ino for path in (confirmed / "mlruns/studies").rglob("*.safetensors")}
    new = [path for path in stored if path.stat().st_ino in kept]
    assert len(stored) == 4 and len(new) == 2, "those that were copied with the home are copies"


def test_without_a_confirmation_nothing_is_registered_unless_a_strategy_is_chosen(
    searched: Path, tmp_path: Path
) -> None:
    code, _, errors = call("register", "tiny", "--home", searched)
    assert code == 2 and "no finished confirmation" in errors and "--strategy" in errors
    home = tmp_path / "home"
    shutil.copytree(searched, home)
    told = works("register", "tiny", "--strategy", "sgd", "--name", "wines", "--home", home)
    assert "is version 1 of wines: models:/wines/1" in told
    assert "Not marked as champion: it was chosen with --strategy" in told
    client = MlflowClient(uri_of(home))
    assert client.get_registered_model("wines").aliases == {}, "no verdict supports a champion"
    card = client.get_model_version("wines", "1").description
    assert "EXPLORATORY" in card and "test/accuracy" not in card
    code, _, errors = call("register", "tiny", "--strategy", "sgb", "--home", home)
    assert code == 2 and "did you mean sgd?" in errors


def test_the_confirmed_leader_is_the_champion_and_answers_requests(confirmed: Path) -> None:
    told = works("register", "tiny", "--home", confirmed)
    assert works("register", "tiny", "--home", confirmed) == told, "no second version"
    assert "no alias" not in told
    client = MlflowClient(uri_of(confirmed))
    version = client.get_model_version_by_alias("tiny", "champion")
    run = client.get_run(version.run_id)
    assert f"tiny/{run.data.tags['mlflow.runName'].split()[0]}" in told
    card = version.description
    assert "Which optimizer" in card and "/confirmation/" in card and "wine" in card
    assert re.search(r"test/accuracy [\d.]+ on average over 7 seeds \(SD", card)
    assert "alcohol, malic_acid" in card and "class_0, class_1, class_2" in card
    (model_id,) = (made.model_id for made in run.outputs.model_outputs)
    header, row, *same = load(confirmed, "models:/tiny@champion", f"models:/{model_id}")
    assert header == "name,predicted,confidence,class_0,class_1,class_2"
    assert same == [header, row]

    example = Path(version.source.removeprefix("file://")) / "serving_input_example.json"
    served = serve(confirmed, "models:/tiny@champion", example.read_bytes())
    assert [str(value) for value in served[0].values()][:2] == row.split(",")[:2]


def serve(home: Path, model: str, content: bytes) -> list[dict[str, object]]:
    """The predictions of ``mlflow models serve`` for one request."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    tools = str(Path(sys.executable).parent)
    environment = os.environ | {
        "MLFLOW_TRACKING_URI": uri_of(home),
        "PATH": f"{tools}{os.pathsep}{os.environ['PATH']}",
    }
    words = ["models", "serve", "-m", model, "--env-manager", "local", "--host", "127.0.0.1"]
    process = subprocess.Popen(
        [sys.executable, "-m", "mlflow", *words, "-p", str(port)],
        env=environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        for _ in range(1200):
            time.sleep(0.1)
            try:
                request = urllib.request.Request(
                    f"http://127.0.0.1:{port}/invocations",
                    data=content,
                    headers={"Content-Type": "application/json"},
                )
                with urllib.request.urlopen(request) as answer:
                    found: list[dict[str, object]] = json.load(answer)["predictions"]
                    return found
            except (ConnectionError, urllib.error.URLError):
                continue
        raise AssertionError("the server does not answer")
    finally:
        os.killpg(process.pid, 15)
        process.wait()
