"""From a study file to a report, with real processes, a real MLflow store and real Optuna."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from mlflow import MlflowClient

from tests.support import processes
from tests.support.commands import wait_for, works
from tests.support.mlflow_home import home_in, runs_of
from tests.support.processes import Forked
from tests.support.tiny import THREE, TINY, TWO, Unseen
from workbench import record
from workbench.commands import outcomes
from workbench.commands.run import run_study
from workbench.driver.workers import InlineWorkers
from workbench.record import Role, State

Write = Callable[..., Path]


pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]


def in_process(file: Path, home: Path) -> outcomes.Outcome:
    return run_study(file, [], home, InlineWorkers(), Unseen())


def found(home: Path, study: str) -> dict[str, Any]:
    """What a search found: everything but the clock."""
    rows = {}
    for directory, spec in record.scan(record.study_directory(home, study)):
        result = directory.result()
        assert result is not None, spec.name
        lines = [
            (line.epoch, {k: v for k, v in line.metrics.items() if k != "seconds"})
            for line in directory.history()
        ]
        rows[spec.name] = (
            dict(spec.hyperparameters),
            result.state,
            result.value,
            result.epoch,
            lines,
        )
    return rows


@pytest.fixture(scope="module")
def searched(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """The tiny study, searched by two workers and reported on: its file and its home."""

    folder = tmp_path_factory.mktemp("searched")
    file, home = folder / "tiny.yaml", folder / "home"
    file.write_text(TINY.replace(*THREE))
    home.mkdir()
    assert Forked(processes.command, "run", file, "--home", home, "--workers", "2").wait() == 0
    works("report", "tiny", "--home", home)
    return file, home


def test_every_trial_is_a_child_run_with_an_honest_status(searched: tuple[Path, Path]) -> None:
    runs = runs_of(searched[1], "tiny")
    parents = [run for run in runs if "mlflow.parentRunId" not in run.data.tags]
    children = [run for run in runs if "mlflow.parentRunId" in run.data.tags]
    (parent,) = parents
    assert parent.info.run_name == "tiny search"
    assert parent.info.status == "FINISHED"
    assert len(children) == 12
    status = {"complete": "FINISHED", "pruned": "KILLED", "failed": "FAILED"}
    for run in children:
        assert run.data.tags["mlflow.parentRunId"] == parent.info.run_id
        assert run.info.status == status[run.data.tags["workbench.state"]]
        assert run.info.run_name is not None
        assert run.info.run_name.startswith(f"{run.data.tags['workbench.strategy']}/0")
        assert " lr=" in run.info.run_name
        assert run.data.tags["workbench.role"] == "search"


def test_runs_carry_params_metrics_by_epoch_and_the_chosen_epoch(
    searched: tuple[Path, Path],
) -> None:
    home = searched[1]
    client = MlflowClient(f"sqlite:///{home / 'mlruns' / 'mlflow.db'}")
    by_key = {run.data.tags.get("workbench.key"): run for run in runs_of(home, "tiny")}
    for directory, spec in record.scan(record.study_directory(home, "tiny")):
        run, result = by_key[spec.key], directory.result()
        assert result is not None
        assert run.data.params["optimizer"] == spec.plan.phases[0].optimizer
        assert float(run.data.params["learning_rate"]) == spec.plan.phases[0].learning_rate
        lines = client.get_metric_history(run.info.run_id, "validation/accuracy")
        assert [(line.step, line.value) for line in lines] == [
            (line.epoch, line.metrics["validation/accuracy"]) for line in directory.history()
        ]
        best = run.data.metrics.get("best/validation/accuracy")
        assert best == (result.value if result.state is State.COMPLETE else None)
        assert run.inputs is not None
        used = {use.dataset.name.partition(" ")[0] for use in run.inputs.dataset_inputs}
        assert used == {"wine"}


def test_only_the_best_trial_of_each_strategy_has_weights_and_a_confusion_matrix(
    searched: tuple[Path, Path],
) -> None:
    home = searched[1]
    client = MlflowClient(f"sqlite:///{home / 'mlruns' / 'mlflow.db'}")
    marked = []
    for run in runs_of(home, "tiny"):
        if "mlflow.parentRunId" not in run.data.tags:
            continue
        if run.data.tags.get("workbench.best") == "true":
            marked.append(run.data.tags["workbench.strategy"])
            (model,) = run.outputs.model_outputs
            assert client.get_logged_model(model.model_id).name == marked[-1]
            files = {item.path for item in client.list_artifacts(run.info.run_id)}
            assert "confusion_matrix.png" in files
        else:
            assert not run.outputs.model_outputs
    assert sorted(marked) == ["adamw-0", "adamw-all", "sgd-0", "sgd-all"]


def test_the_parent_run_holds_what_a_reader_needs_to_repeat_the_study(
    searched: tuple[Path, Path],
) -> None:
    file, home = searched
    client = MlflowClient(f"sqlite:///{home / 'mlruns' / 'mlflow.db'}")
    (parent,) = [r for r in runs_of(home, "tiny") if "mlflow.parentRunId" not in r.data.tags]
    kept = {item.path for item in client.list_artifacts(parent.info.run_id, "study")}
    assert {"study/study.yaml", "study/study.json", "study/environment.json"} <= kept
    folder = Path(client.download_artifacts(parent.info.run_id, "study"))
    assert (folder / "study.yaml").read_text() == file.read_text()
    environment = json.loads((folder / "environment.json").read_text())
    assert {"torch", "optuna", "mlflow"} <= set(environment["packages"])
    note = parent.data.tags["mlflow.note.content"]
    trials = [run for run in runs_of(home, "tiny") if "mlflow.parentRunId" in run.data.tags]
    best = max(run.data.metrics.get("objective", 0.0) for run in trials)
    assert parent.data.metrics == {"study/trials": len(trials), "study/best": best}
    assert parent.data.tags["workbench.verdict"] == "EXPLORATORY"
    assert all(name in note for name in ("sgd-0", "sgd-all", "adamw-0", "adamw-all"))
    report = {item.path for item in client.list_artifacts(parent.info.run_id, "report")}
    assert "report/index.html" in report


def test_the_report_is_whole_and_claims_nothing(searched: tuple[Path, Path]) -> None:
    folder = searched[1] / "reports" / "tiny"
    for name in ("index.html", "report.md", "report.json", "data/trials.csv"):
        assert (folder / name).stat().st_size > 0
    assert list(folder.glob("tables/*.tex"))
    for suffix in ("pdf", "png", "svg"):
        assert list(folder.glob(f"figures/*.{suffix}"))
    page = (folder / "index.html").read_text()
    assert "EXPLORATORY" in page
    for loading in ("<link", "<script src", '<img src="http', "@import", "url(h", "url(/"):
        assert loading not in page, "the page loads something"


def test_a_second_run_does_nothing_and_says_so(searched: tuple[Path, Path]) -> None:
    file, home = searched
    before = {run.info.run_id: run.info.end_time for run in runs_of(home, "tiny")}
    output = works("run", file, "--home", home)
    assert "all 12 trials are done; nothing to do" in output
    after = {run.info.run_id: run.info.end_time for run in runs_of(home, "tiny")}
    assert before.keys() == after.keys()


@pytest.fixture(scope="module")
def settled(searched: tuple[Path, Path]) -> tuple[Path, Path]:
    """The same, once a command has found that nothing is left to do."""
    file, home = searched
    # What was written a moment ago is not trusted.
    time.sleep(2.1)
    for words in (("run", file), ("check", file)):
        works(*words, "--home", home)
    return file, home


HEAVY = {"torch", "torchvision", "transformers", "sklearn", "pandas", "matplotlib", "mlflow"}
LIBRARIES = HEAVY | {"scipy", "jinja2", "optuna", "sqlalchemy", "numpy"}


# In one process, so each may load no less than the one before.
NEEDLESS: tuple[tuple[str, set[str]], ...] = (
    ("list", LIBRARIES),
    ("show tiny", LIBRARIES),
    ("show tiny/sgd-0/000", LIBRARIES),
    ("check --help", LIBRARIES),
    ("run FILE", HEAVY | {"scipy", "jinja2"}),
    ("check FILE", HEAVY | {"scipy.stats", "jinja2"}),
)


def test_a_command_loads_only_what_it_needs(settled: tuple[Path, Path]) -> None:
    file, home = settled
    script = (
        "import sys\n"
        "from workbench.cli.app import app\n"
        f"for words, needless in {NEEDLESS}:\n"
        "    try:\n"
        f"        app([{str(file)!r} if word == 'FILE' else word for word in words.split()])\n"
        "    except SystemExit as ended:\n"
        "        assert not ended.code, words\n"
        "    assert not needless & set(sys.modules), (words, needless & set(sys.modules))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script],
        env={**os.environ, "WORKBENCH_HOME": str(home)},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr


def test_list_and_show_tell_the_same_as_the_records(searched: tuple[Path, Path]) -> None:
    home = searched[1]
    (row,) = json.loads(works("list", "--home", home, "--json"))
    assert (row["name"], row["state"], row["trials"]) == ("tiny", "complete", 12)
    shown = json.loads(works("show", "tiny", row["best_trial"], "--home", home, "--json"))
    assert shown["value"] == row["best"]
    assert len(shown["history"]) == 3


def test_two_workers_whose_driver_is_killed_and_then_stopped_end_with_the_numbers_of_one_process(
    write_study: Write, stored: Path, tmp_path: Path
) -> None:
    file = write_study(
        TWO,
        ("sampler: tpe, pruner: median", "sampler: random, pruner: none"),
        ("epochs: 3", "epochs: 8"),
    )
    whole = home_in(tmp_path / "whole")
    in_process(file, whole)
    study = record.study_directory(stored, "tiny")

    def ended() -> int:
        return len(list(study.glob("trials/*/*/result.json")))

    for count, number, code in (
        (2, signal.SIGKILL, -signal.SIGKILL),
        (5, signal.SIGTERM, outcomes.RESUMABLE),
    ):
        driver = Forked(processes.command, "run", file, "--home", stored, "--workers", "2")
        wait_for(lambda count=count: ended() >= count, driver)  # type: ignore[misc]
        driver.send_signal(number)
        assert driver.wait() == code
        assert ended() < 10, "it was over before the signal"
    assert "RUNNING" not in {run.info.status for run in runs_of(stored, "tiny")}
    in_process(file, stored)
    assert found(stored, "tiny") == found(whole, "tiny")
    runs = runs_of(stored, "tiny")
    assert {run.info.status for run in runs} == {"FINISHED"}
    assert len({run.data.tags["workbench.key"] for run in runs}) == len(runs) == 11


def test_a_try_is_tracked_but_not_counted(searched: tuple[Path, Path]) -> None:
    file, home = searched
    output = works("try", file, "optimizer=adamw", "learning_rate=5e-3", "--home", home)
    assert "adamw-0/000  complete" in output
    tries = [r for r in runs_of(home, "tiny") if r.data.tags.get("workbench.role") == Role.TRY]
    assert any(run.data.params.get("learning_rate") == "0.005" for run in tries)
    (row,) = json.loads(works("list", "--home", home, "--json"))
    assert row["complete"] + row["pruned"] + row["failed"] == 12
