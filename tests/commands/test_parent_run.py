"""A study's page in MLflow, in a real store: what it says, and how it is left."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path

import pytest
from mlflow import MlflowClient
from mlflow.entities import Run

from tests.support.mlflow_home import empty_store
from tests.support.studies import hold
from tests.support.tiny import Unseen
from tests.support.trials import write_light
from workbench import record
from workbench.commands import parent_run
from workbench.commands.report import sync
from workbench.commands.run import run_study
from workbench.driver.progress import GroupProgress
from workbench.driver.workers import InlineWorkers
from workbench.record import Role, environment
from workbench.study.config import load
from workbench.study.config.study_config import StudyConfig
from workbench.study.study import Study
from workbench.tracker import location

Write = Callable[..., Path]


@pytest.fixture
def home(stored: Path) -> Path:
    return stored


def client_of(home: Path) -> MlflowClient:
    return MlflowClient(f"sqlite:///{home / 'mlruns' / 'mlflow.db'}")


def parent_of(home: Path, name: str = "tiny search") -> Run:
    client = client_of(home)
    experiment = client.get_experiment_by_name("tiny")
    assert experiment is not None
    runs = client.search_runs([experiment.experiment_id])
    (parent,) = [run for run in runs if run.info.run_name == name]
    return parent


def files_of(home: Path, run: Run) -> dict[str, str]:
    """Text of every file below ``study/`` of a run, by name."""
    uri = run.info.artifact_uri
    assert uri is not None
    folder = Path(uri.removeprefix("file://")) / "study"
    return {path.name: path.read_text() for path in folder.iterdir()}


def repository(folder: Path) -> Path:
    """A git repository with one commit of one file."""
    folder.mkdir()
    (folder / "code.py").write_text("answer = 41\n")
    author = ("-c", "user.name=a", "-c", "user.email=a@example.org", "-c", "commit.gpgsign=false")
    for words in (("init", "-q"), ("add", "code.py"), (*author, "commit", "-q", "-m", "first")):
        subprocess.run(["git", "-C", str(folder), *words], check=True)
    return folder


def described(home: Path) -> dict[str, object]:
    text = (record.study_directory(home, "tiny") / "study.json").read_text()
    found: dict[str, object] = json.loads(text)
    return found


def test_the_page_of_a_study_says_what_the_study_is(tiny: Path, home: Path) -> None:
    hold(tiny, home)
    parent = parent_of(home)
    assert parent.data.params == {
        "mode": "balanced",
        "metric": "validation/accuracy",
        "direction": "maximize",
        "sampler": "tpe",
        "pruner": "median",
        "seed": "1",
        "backbone": "mlp",
        "dataset": "wine",
        "epochs": "3",
    }
    tags = parent.data.tags
    assert tags["workbench.file"] == str(tiny)
    assert tags["workbench.trials"] == "20"
    assert tags["workbench.role"] == "search"
    digest = tags["workbench.data_digest"]
    assert len(digest) == 64
    datasets = {item.dataset.name: item for item in parent.inputs.dataset_inputs}
    assert set(datasets) == {"wine training", "wine validation"}
    for context in ("training", "validation"):
        item = datasets[f"wine {context}"]
        assert digest.startswith(item.dataset.digest)
        assert [tag.value for tag in item.tags] == [context]


def test_the_files_of_a_study_are_kept_with_its_page(tiny: Path, home: Path) -> None:
    hold(tiny, home)
    files = files_of(home, parent_of(home))
    assert files["study.yaml"] == tiny.read_text()
    assert json.loads(files["study.json"]) == described(home)
    assert "torch" in json.loads(files["environment.json"])["packages"]
    assert f"pillow=={version('pillow')}" in files["packages.txt"].splitlines()


@pytest.mark.parametrize("status", ["FINISHED", "SCHEDULED"])
def test_a_page_is_closed_as_its_driver_says(tiny: Path, home: Path, status: str) -> None:
    hold(tiny, home, status=status)
    assert parent_of(home).info.status == status


def test_a_page_is_open_while_its_study_is_driven(tiny: Path, home: Path) -> None:
    config = load(tiny)
    with parent_run.open_parent(Study(config, home), Role.SEARCH) as page:
        assert parent_of(home).info.status == "RUNNING"
        assert parent_of(home).info.run_id == page.mirror.parent
    assert page.unsent == 0


def test_a_page_is_left_as_failed_when_the_driver_breaks(tiny: Path, home: Path) -> None:
    config = load(tiny)
    with (
        pytest.raises(RuntimeError, match="broken"),
        parent_run.open_parent(Study(config, home), Role.SEARCH),
    ):
        raise RuntimeError("broken")
    assert parent_of(home).info.status == "FAILED"


def test_a_page_goes_on_as_the_same_run_when_the_study_is_started_again(
    tiny: Path, home: Path
) -> None:
    hold(tiny, home, status="SCHEDULED")
    first = parent_of(home).info.run_id
    hold(tiny, home, status="FINISHED")
    assert (parent_of(home).info.run_id, parent_of(home).info.status) == (first, "FINISHED")


def test_a_try_does_not_change_what_the_search_was_made_with(
    write_study: Write, home: Path
) -> None:
    hold(write_study(), home)
    before = described(home)
    later = write_study(("epochs: 3", "epochs: 2"))
    hold(later, home, role=Role.TRY)
    assert described(home) == before
    hold(later, home)
    assert described(home)["epochs"] == 2


def test_the_resolved_study_lies_beside_its_trials(write_study: Write, home: Path) -> None:
    file = write_study(("  freeze_depth: [0, all]\n", ""))
    with parent_run.open_parent(Study(load(file, ["recipe.epochs=1"]), home), Role.SEARCH):
        found = described(home)
    assert (found["name"], found["epochs"]) == ("tiny", 1)
    assert found["overrides"] == ["recipe.epochs=1"]
    assert found["strategies"] == [
        {"name": "sgd", "levels": {"optimizer": "sgd"}},
        {"name": "adamw", "levels": {"optimizer": "adamw"}},
    ]


@pytest.mark.parametrize("role", [Role.SEARCH, Role.CONFIRMATION, Role.TRY])
def test_a_study_stays_in_the_store_that_its_last_command_wrote_to(
    tiny: Path, home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, role: Role
) -> None:
    hold(tiny, home)
    new = empty_store(tmp_path / "new")
    monkeypatch.setenv(location.VARIABLE, new)
    hold(tiny, home, role=role)
    monkeypatch.delenv(location.VARIABLE)
    store = location.shared_store(home, "tiny")
    assert store is not None and store.uri == new
    monkeypatch.setenv(location.VARIABLE, f"sqlite:///{home}/mlruns/mlflow.db")
    hold(tiny, home, role=role)
    monkeypatch.delenv(location.VARIABLE)
    assert location.shared_store(home, "tiny") is None


def test_a_finished_study_says_what_a_server_that_is_down_lacks(
    home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("MLFLOW_TRACKING_USERNAME", "MLFLOW_TRACKING_PASSWORD"):
        monkeypatch.setenv(name, "")
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")

    def unsent() -> int:
        outcome = run_study(write_light(tmp_path), ["name=tiny"], home, InlineWorkers(), Unseen())
        assert outcome.exit_code == 0
        return outcome.unsent

    assert unsent() == 0
    directory, down = record.study_directory(home, "tiny"), "http://127.0.0.1:9"
    monkeypatch.setenv(location.VARIABLE, down)
    assert unsent() == 2, "nothing was ever sent there"
    location.remember(directory, down)
    assert unsent() == 0, "all was sent before"
    location.unsent_mark(directory).touch()
    assert unsent() == 2, "a driver was killed"
    location.remember(directory, None)
    monkeypatch.delenv(location.VARIABLE)
    sync("tiny", home)
    assert not location.unsent_mark(directory).exists()


def test_a_try_before_any_search_leaves_a_description(tiny: Path, home: Path) -> None:
    hold(tiny, home, role=Role.TRY)
    assert described(home)["name"] == "tiny"


def in_repository(folder: Path, tiny: Path) -> Path:
    """The tiny study in a git repository of its own, with a change that was not committed."""
    repository(folder)
    (folder / "code.py").write_text("answer = 42\n")
    return Path(shutil.copy(tiny, folder))


def test_the_code_is_that_of_the_study_files_folder_wherever_the_command_runs(
    tiny: Path, home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = in_repository(tmp_path / "code", tiny)
    monkeypatch.chdir(repository(tmp_path / "elsewhere"))
    hold(file, home)
    tags = parent_of(home).data.tags
    state = environment.git_state(file.parent)
    assert tags["mlflow.source.git.commit"] == state["commit"]
    assert tags["workbench.git_dirty"] == "true"
    noted = json.loads(record.environment_path(record.study_directory(home, "tiny")).read_text())
    assert noted["commit"] == state["state"], "what each trial records"


@pytest.mark.parametrize(("wanted", "kept"), [(None, False), ("0", False), ("1", True)])
def test_uncommitted_changes_are_stored_on_request_alone(
    tiny: Path,
    home: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    wanted: str | None,
    kept: bool,
) -> None:
    monkeypatch.delenv("WORKBENCH_LOG_DIFF", raising=False)
    if wanted is not None:
        monkeypatch.setenv("WORKBENCH_LOG_DIFF", wanted)
    hold(in_repository(tmp_path / "code", tiny), home)
    files = files_of(home, parent_of(home))
    assert ("git.diff" in files) == kept
    assert not kept or "-answer = 41\n+answer = 42\n" in files["git.diff"]


def test_a_clean_tree_leaves_its_commit_and_no_diff(
    tiny: Path, home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WORKBENCH_LOG_DIFF", "1")
    hold(Path(shutil.copy(tiny, repository(tmp_path / "code"))), home)
    parent = parent_of(home)
    assert "git.diff" not in files_of(home, parent)
    assert parent.data.tags["workbench.git_dirty"] == "false"
    assert len(parent.data.tags["mlflow.source.git.commit"]) == 40


def test_outside_of_git_nothing_is_said_of_it(
    tiny: Path, home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    hold(tiny, home)
    parent = parent_of(home)
    assert "git.diff" not in files_of(home, parent)
    assert not [name for name in parent.data.tags if "git" in name]


def test_a_start_without_a_trial_to_train_keeps_the_code_and_changes_the_description(
    write_study: Write, home: Path, tmp_path: Path
) -> None:
    folder = repository(tmp_path / "code")
    file = Path(shutil.copy(write_study(), folder))
    hold(file, home)
    before = parent_of(home)
    files = files_of(home, before)
    noted = record.environment_path(record.study_directory(home, "tiny")).read_bytes()
    (folder / "code.py").write_text("answer = 43\n")
    file.write_text(file.read_text().replace("fits the wines", "fits these wines"))
    config = load(file)
    with parent_run.open_parent(Study(config, home), Role.SEARCH, trains=False) as page:
        page.status = "FINISHED"
    after = parent_of(home)
    for name in ("mlflow.source.git.commit", "workbench.git_dirty"):
        assert after.data.tags[name] == before.data.tags[name]
    assert files_of(home, after)["environment.json"] == files["environment.json"]
    assert "these wines" in files_of(home, after)["study.json"]
    assert record.environment_path(record.study_directory(home, "tiny")).read_bytes() == noted


def test_the_note_shows_how_far_every_strategy_is(tiny: Path) -> None:
    config: StudyConfig = load(tiny)
    groups = [
        GroupProgress(name="sgd-0", target=5, complete=2, pruned=1, best=0.91237),
        GroupProgress(name="sgd-all", target=5, failed=1),
    ]
    lines = parent_run.note(config, groups).splitlines()
    assert lines[0] == "Which optimizer fits the wines?"
    assert lines[2].startswith("Searching: 4 of 10 trials have ended. EXPLORATORY")
    assert lines[-2:] == ["| sgd-0 | 2 | 1 | 0 | 0.9124 |", "| sgd-all | 0 | 0 | 1 |  |"]


def test_the_note_of_a_confirmation_says_how_far_it_is_and_no_value(tiny: Path) -> None:
    groups = [
        GroupProgress(name="sgd-0", target=7, complete=3, failed=1, best=0.91237),
        GroupProgress(name="default", target=7),
    ]
    config: StudyConfig = load(tiny)
    note = parent_run.confirmation_note(config, Role.CONFIRMATION, groups, "abc")
    assert note.splitlines() == [
        "Which optimizer fits the wines?",
        "",
        "Testing what was selected: 4 of 14 runs have ended. No test value is shown before the "
        "last.",
        "By the protocol abc (study/protocol.json).",
        "",
        "| arm | runs | complete | failed |",
        "|:--|--:|--:|--:|",
        "| sgd-0 | 7 | 3 | 1 |",
        "| default | 7 | 0 | 0 |",
    ]
    selecting = parent_run.confirmation_note(config, Role.SELECTION, groups[:1], "abc")
    assert "Selecting on validation data: 4 of 7 runs have ended." in selecting
    assert "| strategy | runs |" in selecting


def test_the_page_of_a_confirmation_reads_the_test_split_and_keeps_its_files(
    tiny: Path, home: Path
) -> None:
    config = load(tiny)
    with parent_run.open_parent(
        Study(config, home),
        Role.CONFIRMATION,
        tags={"workbench.protocol": "abc"},
        files={"protocol.json": "{}"},
    ) as page:
        page.status = "SCHEDULED"
    parent = parent_of(home, "tiny confirmation")
    assert parent.info.status == "SCHEDULED"
    assert parent.data.tags["workbench.protocol"] == "abc"
    assert "workbench.trials" not in parent.data.tags, "those of the search"
    assert parent.data.params == {
        "metric": "test/accuracy",
        "selection_metric": "validation/accuracy",
        "direction": "maximize",
        "backbone": "mlp",
        "dataset": "wine",
        "epochs": "3",
    }
    files = files_of(home, parent)
    assert files["protocol.json"] == "{}"
    used = {item.dataset.name for item in parent.inputs.dataset_inputs}
    assert used == {"wine training", "wine validation", "wine test"}
