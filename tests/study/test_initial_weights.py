"""First weights are found by a file, a folder, a name, a hub id, another study, or a run."""

from __future__ import annotations

import json
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pytest

from tests.support import tiny_bert
from tests.support.mlflow_home import home_in
from tests.support.tiny import Unseen
from workbench import record
from workbench.commands.run import run_study
from workbench.downloads import NotDownloadedError
from workbench.driver.workers import InlineWorkers
from workbench.record.strategy import Plan
from workbench.study import contamination, description
from workbench.study.checks import check
from workbench.study.config import load
from workbench.study.config.document import StudyFileError
from workbench.study.confirm import requirements
from workbench.study.study import Study
from workbench.study.weights import find
from workbench.tracker import Tracker

FIRST = """\
# A first MLP.
name: first
recipe:
  dataset: {name: wine, validation: 40, test: 40}
  backbone: {name: mlp, hidden: [8]}
  epochs: 1
compare:
  optimizer: [sgd, adam]
search: {trials_per_strategy: 1}
"""


@pytest.fixture(scope="module")
def ran(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A folder with a study file, and a home in which it has run."""
    folder = tmp_path_factory.mktemp("studies")
    home = home_in(folder / "home")
    (folder / "first.yaml").write_text(FIRST)
    run_study(folder / "first.yaml", [], home, InlineWorkers(), Unseen())
    return folder, home


def best_of(home: Path) -> record.TrialDirectory:
    trials = record.scan(record.study_directory(home, "first"))
    kept = [(spec, trial) for trial, spec in trials if trial.weights.is_file()]
    assert len(kept) == 2
    results = [(trial.result(), trial) for _, trial in kept]
    return max(results, key=lambda pair: pair[0].value if pair[0] else 0.0)[1]  # type: ignore[arg-type,return-value]


def test_a_study_gives_the_weights_of_its_best_trial(ran: tuple[Path, Path]) -> None:
    folder, home = ran
    found = find("first.yaml", "mlp", folder=folder, home=home)
    best = best_of(home)
    assert found.source == str(best.weights)
    assert found.sha256 == record.sha256_of(best.weights)


def test_a_study_that_has_not_run_stands_for_its_weights_only_when_looking_ahead(
    ran: tuple[Path, Path], tmp_path: Path
) -> None:
    folder, _ = ran
    assert find("first.yaml", "mlp", folder=folder, home=tmp_path, pending=True).sha256 is None
    with pytest.raises(ValueError, match="has no completed trial to take weights from"):
        find("first.yaml", "mlp", folder=folder, home=tmp_path)


def test_a_run_gives_the_weights_of_its_trial(ran: tuple[Path, Path]) -> None:
    folder, home = ran
    trials = Tracker(home).read_trials("first")
    best = best_of(home)
    spec = best.spec()
    assert spec is not None
    (run_id,) = [trial.run_id for trial in trials if trial.group == spec.group]
    found = find(f"run:{run_id}", "mlp", folder=folder, home=home)
    assert found.source == str(best.weights)


def test_a_run_that_is_unknown_or_no_trials_is_refused(ran: tuple[Path, Path]) -> None:
    folder, home = ran
    with pytest.raises(ValueError, match="run:abc: MLflow has no run abc in"):
        find("run:abc", "mlp", folder=folder, home=home)
    parent = Tracker(home).read_study("first").parent_run_id
    with pytest.raises(ValueError, match="is the trial first/search, which has no weights"):
        find(f"run:{parent}", "mlp", folder=folder, home=home)


def test_a_home_without_mlflow_knows_no_run(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="run:abc: "):
        find("run:abc", "mlp", folder=tmp_path, home=tmp_path)


def test_a_models_folder_is_hashed_by_its_weights(tmp_path: Path) -> None:
    tiny_bert.save(tmp_path / "bert")
    here = partial(find, folder=tmp_path, home=tmp_path)
    named = here("hub", str(tmp_path / "bert"))
    given = here("./bert", "bert-base-uncased")
    assert named.sha256 == given.sha256 is not None
    assert given.source == str(tmp_path / "bert")
    config = json.loads((tmp_path / "bert" / "config.json").read_text())
    assert config["model_type"] == "bert"


def test_a_hub_id_is_weights_of_a_model_of_the_hub_only(tmp_path: Path) -> None:
    here = partial(find, folder=tmp_path, home=tmp_path)
    with pytest.raises(NotDownloadedError, match="of org/model are not on this machine"):
        here("org/model", "bert-base-uncased")
    with pytest.raises(ValueError, match="is not a file; weights are a file"):
        here("org/model", "resnet18")


def test_a_name_that_the_family_knows_needs_no_file(tmp_path: Path) -> None:
    found = find("imagenet", "resnet18", folder=tmp_path, home=tmp_path)
    assert found.source == "IMAGENET1K_V1" and found.sha256 is None


def test_weights_that_are_nowhere_are_refused_with_the_nearest_file(tmp_path: Path) -> None:
    (tmp_path / "weights").mkdir()
    (tmp_path / "weights" / "best.safetensors").write_bytes(b"")
    with pytest.raises(ValueError, match=r"did you mean weights/best\.safetensors\?"):
        find("weights/bets.safetensors", "mlp", folder=tmp_path, home=tmp_path)


def test_a_second_study_starts_from_a_run(ran: tuple[Path, Path], tmp_path: Path) -> None:
    _, home = ran
    run_id = Tracker(home).read_trials("first")[0].run_id
    text = FIRST.replace("name: first", "name: second")
    text = text.replace("hidden: [8]}", f"hidden: [8], weights: 'run:{run_id}'}}")
    (tmp_path / "second.yaml").write_text(text)
    config = load(tmp_path / "second.yaml")
    study = Study(config, home)
    check(study)
    weights = study.strategies[0].plan.weights
    assert weights is not None and weights.source.endswith("best.safetensors")
    broken = text.replace(run_id, "nothing")
    (tmp_path / "second.yaml").write_text(broken)
    with pytest.raises(StudyFileError, match="MLflow has no run nothing"):
        check(Study(load(tmp_path / "second.yaml"), home))


def started(ran: tuple[Path, Path], source: str, *overrides: str) -> Study:
    """A study that starts from weights, on the data of the first one."""
    folder, home = ran
    text = FIRST.replace("name: first", "name: second") + "confirm: {smallest_effect: 0.01}\n"
    text = text.replace("hidden: [8]}", f"hidden: [8], weights: {source}}}")
    (folder / "second.yaml").write_text(text)
    return Study(load(folder / "second.yaml", overrides), home)


def write(ran: tuple[Path, Path], name: str, plan: Plan, digest: str) -> record.TrialDirectory:
    """The record of a trial of another study, with the weights of the first one's."""
    first = best_of(ran[1])
    spec = first.spec()
    assert spec is not None
    trial = record.TrialDirectory(record.study_directory(ran[1], name) / "trial")
    trial.write_spec(replace(spec, study=name, plan=plan, data_digest=digest))
    trial.weights.write_bytes(first.weights.read_bytes())
    return trial


def seen(study: Study) -> list[int | None]:
    return [found.seen for found in contamination.find(study)]


@pytest.mark.parametrize("source", ["first.yaml", "best.safetensors"])
def test_a_confirmation_never_tests_on_what_its_initial_weights_have_learnt_from(
    ran: tuple[Path, Path], source: str
) -> None:
    if source != "first.yaml":
        source = str(best_of(ran[1]).weights)
    study = started(ran, source, "search.seed=1")
    (problem,) = requirements.find(study)
    (found,) = contamination.find(study)
    assert found.seen is not None and 0 < found.seen < found.tested == 40
    assert problem.place == f"{study.file}:5" and problem.key == "recipe.backbone.weights"
    assert f"{found.seen} of 40 test samples were in the training" in str(problem)
    assert "search.seed" in str(problem)
    # The author and the reader of the report learn of it too.
    assert any(str(found) in note for note in description.notes(study))
    assert description.describe(study)["backbone"]["notes"] == [str(found)]


@pytest.fixture(scope="module")
def others(ran: tuple[Path, Path]) -> str:
    """A data set of other samples with as many features, as a study file names it."""
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(200, 13)).astype("float32"), np.arange(200) % 3
    np.savez(ran[0] / "others.npz", x=x, y=y)
    return "recipe.dataset={name: arrays, path: others.npz}"


def test_weights_may_come_from_the_same_division_of_the_data_or_from_other_data(
    ran: tuple[Path, Path], others: str
) -> None:
    same = started(ran, "first.yaml")
    assert requirements.find(same) == [] and seen(same) == []
    assert description.describe(same)["backbone"]["notes"] == []
    assert seen(started(ran, "first.yaml", others, "search.seed=1")) == []


@pytest.mark.parametrize(
    "change", ["recipe.dataset.test=60", "recipe.dataset.classes=[class_0, class_2]"]
)
def test_the_same_seed_does_not_divide_other_parts_of_the_data_alike(
    ran: tuple[Path, Path], change: str
) -> None:
    (count,) = seen(started(ran, "first.yaml", change))
    assert count


def test_what_earlier_trials_in_a_chain_of_weights_have_learnt_from_counts(
    ran: tuple[Path, Path], others: str
) -> None:
    study = started(ran, "first.yaml", others)
    # Of other data, so that only the first trial of the chain has seen wines.
    between = write(ran, "between", plan := study.strategies[0].plan, study.inputs.digest(plan))
    (found,) = contamination.find(started(ran, str(between.weights), "search.seed=1"))
    assert found.seen and found.trial.startswith("first's ")


def test_that_a_trials_data_have_changed_since_is_said_and_refuses_nothing(
    ran: tuple[Path, Path],
) -> None:
    plan = started(ran, "first.yaml").strategies[0].plan
    other = write(ran, "other", replace(plan, weights=None), "of other rows")
    study = started(ran, str(other.weights), "search.seed=1")
    (found,) = contamination.find(study)
    assert found.seen is None and "its data have changed since" in str(found)
    assert requirements.find(study) == []
