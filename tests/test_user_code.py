"""The page on one's own code tells the truth: its files are written, and its studies run."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from tests.support.mlflow_home import home_in
from tests.support.tiny import Unseen
from workbench import record
from workbench.commands.check import check_file
from workbench.commands.run import run_study
from workbench.datasets import loading
from workbench.driver.workers import InlineWorkers
from workbench.record import State
from workbench.study.config import StudyChangedError, load
from workbench.study.config.document import StudyFileError
from workbench.study.study import Study
from workbench.tracker.params import params_of

DOCS = Path(__file__).parent.parent / "docs"
TEXT = (DOCS / "user_code.md").read_text()
FILES = dict(re.findall(r"^```python\n# (\w+\.py)\n(.*?)^```", TEXT, re.M | re.S))
STUDIES = {
    re.findall(r"^name: (\w+)$", text, re.M)[0]: text
    for text in re.findall(r"^```yaml\n(.*?)^```", TEXT, re.M | re.S)
}


def write_page(folder: Path) -> Path:
    """Every file and every study of the page."""
    for name, text in FILES.items():
        (folder / name).write_text(text)
    for name, text in STUDIES.items():
        (folder / f"{name}.yaml").write_text(text)
    return folder


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the whole page, and a home that all its studies share."""
    folder = write_page(tmp_path_factory.mktemp("page"))
    home_in(folder / "home")
    return folder


def run(folder: Path, name: str) -> Path:
    """Runs a study of the page; gives the study's directory."""
    home = folder / "home"
    outcome = run_study(folder / f"{name}.yaml", [], home, InlineWorkers(), Unseen())
    assert outcome.finished and not outcome.reasons
    return record.study_directory(home, name)


def test_the_page_has_a_file_and_a_study_for_every_kind() -> None:
    kinds = re.findall(r"^\| \[(.+?)\]\(#(.+?)\)", TEXT, re.M)
    headings = re.findall(r"^## (.+)$", TEXT, re.M)
    assert [name for name, _ in kinds] == headings
    assert [place for _, place in kinds] == [name.lower().replace(" ", "-") for name in headings]
    assert TEXT.count("```python") == len(FILES)
    assert TEXT.count("```yaml") == len(STUDIES) == len(headings) + 1
    for heading in headings:
        section = TEXT[TEXT.index(f"## {heading}\n") :]
        section = section[: section.find("\n## ", 1)]
        assert "```python" in section and "```yaml" in section


@pytest.mark.parametrize("name", STUDIES)
def test_every_study_of_the_page_runs(name: str, folder: Path) -> None:
    for directory, spec in record.scan(run(folder, name)):
        result = directory.result()
        assert result is not None and result.state is State.COMPLETE
        assert len(directory.history()) == spec.plan.epochs
        assert spec.objective.metric in result.metrics
        assert (directory.artifacts / "per_class.csv").exists()
        # Every file that the study names is part of the plan, and only those.
        named = {file for file in FILES if f"{file}:" in STUDIES[name]}
        used = {Path(path).name for path in spec.plan.code}
        assert used <= named and (used or "holes" in STUDIES[name])


def test_a_metric_says_itself_in_which_direction_it_is_better(folder: Path) -> None:
    described = json.loads((run(folder, "own_metric") / "study.json").read_text())
    assert described["objective"]["direction"] == "minimize"


def test_a_file_that_has_changed_makes_another_study(tmp_path: Path, stored: Path) -> None:
    run(write_page(tmp_path), "own_trees")
    changed = FILES["boosting.py"].replace("random_state=0", "random_state=1")
    (tmp_path / "boosting.py").write_text(changed)
    with pytest.raises(StudyChangedError, match=r"boosting\.py"):
        run(tmp_path, "own_trees")


def test_a_trial_that_fails_in_ones_own_code_names_the_line(tmp_path: Path, stored: Path) -> None:
    (tmp_path / "late.py").write_text(
        "def train(trial):\n    yield {'validation/accuracy': 0.5}\n    raise KeyError('late')\n"
    )
    text = STUDIES["own_trial"].replace("name: own_trial", "name: late")
    text = re.sub(r"  trial\.rho: .*\n", "", text)
    (tmp_path / "late.yaml").write_text(re.sub(r"trial: \S+", "trial: late.py:train", text))
    run_study(tmp_path / "late.yaml", [], stored, InlineWorkers(), Unseen())
    (first, _), *_ = record.scan(record.study_directory(stored, "late"))
    result = first.result()
    assert result is not None and result.state is State.FAILED
    assert str(result.reason).endswith(f"KeyError: 'late' ({tmp_path / 'late.py'}:3)")


TRAINING = """\
def train(trial, rho, steps=1):
    assert isinstance(steps, int)
    for _ in range(trial.plan.epochs):
        yield {"validation/accuracy": rho / steps}
"""
OPTIONS = """\
name: options
recipe:
  dataset: {name: wine, validation: 40, test: 40}
  backbone: {name: mlp, hidden: [4]}
  trial: {name: train.py:train, rho: 0.1}
  epochs: 2
compare:
  trial.steps: [1, 2]
search: {trials_per_strategy: 1}
"""


def options(folder: Path, *replacements: tuple[str, str]) -> Path:
    text = OPTIONS
    for old, new in replacements:
        assert old in text
        text = text.replace(old, new)
    (folder / "train.py").write_text(TRAINING)
    (folder / "options.yaml").write_text(text)
    return folder / "options.yaml"


def values(home: Path) -> dict[str, float | None]:
    found = {}
    for directory, spec in record.scan(record.study_directory(home, "options")):
        result = directory.result()
        assert result is not None and result.state is State.COMPLETE, result
        found[spec.name] = result.value
    return found


def test_an_option_of_ones_own_training_is_compared(tmp_path: Path, stored: Path) -> None:
    outcome = run_study(options(tmp_path), [], stored, InlineWorkers(), Unseen())
    assert outcome.finished and not outcome.reasons
    assert values(stored) == {"trial.steps-1/000": 0.1, "trial.steps-2/000": 0.05}


def test_an_option_of_ones_own_training_is_tuned_and_recorded(tmp_path: Path, stored: Path) -> None:
    file = options(
        tmp_path,
        (", rho: 0.1}", "}"),
        ("compare:\n  trial.steps: [1, 2]", TUNED),
        ("trials_per_strategy: 1", "trials: 4"),
    )
    run_study(file, [], stored, InlineWorkers(), Unseen())
    assert len(values(stored)) == 4
    for directory, spec in record.scan(record.study_directory(stored, "options")):
        rho, steps = spec.plan.trial_options["rho"], spec.plan.trial_options["steps"]
        assert dict(spec.hyperparameters) == {"trial.rho": rho, "trial.steps": steps}
        assert params_of(spec)["trial.rho"] == str(rho)
        result = directory.result()
        assert result is not None and result.value == rho / steps


TUNED = """\
tune:
  trial.rho: {low: 0.01, high: 0.5, log: true, default: 0.05}
  trial.steps: {low: 1, high: 3, default: 2}"""


def test_another_option_of_ones_own_training_makes_another_study(
    tmp_path: Path, stored: Path
) -> None:
    run_study(options(tmp_path), [], stored, InlineWorkers(), Unseen())
    with pytest.raises(StudyChangedError, match=r"recipe\.trial\.rho: was 0\.1, is 0\.2"):
        run_study(
            options(tmp_path, ("rho: 0.1", "rho: 0.2")), [], stored, InlineWorkers(), Unseen()
        )


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        (
            "rho: 0.1}",
            "rho: 0.1, radius: 2}",
            "options.yaml:5: recipe.trial.name: found 'train.py:train': "
            "train.py:train: got an unexpected keyword argument 'radius'; "
            "its options are rho, steps",
        ),
        (
            ", rho: 0.1}",
            "}",
            "options.yaml:5: recipe.trial.name: found 'train.py:train': "
            "train.py:train: missing a required argument: 'rho'; its options are rho, steps",
        ),
        (
            "  trial: {name: train.py:train, rho: 0.1}\n",
            "",
            "options.yaml:2: recipe: found trial.steps without trial.name, "
            "expected trial: {name: FILE.py:NAME}",
        ),
    ],
)
def test_check_names_an_option_that_ones_own_training_does_not_take(
    tmp_path: Path, old: str, new: str, expected: str
) -> None:
    with pytest.raises(StudyFileError) as caught:
        check_file(options(tmp_path, (old, new)), [], tmp_path / "home")[0]
    assert expected in str(caught.value).replace(f"{tmp_path}/", "")


def test_a_data_set_that_differs_from_call_to_call_is_refused_by_check(tmp_path: Path) -> None:
    code = FILES["data.py"].replace("default_rng(0)", "default_rng()")
    (tmp_path / "data.py").write_text(code)
    file = tmp_path / "own_data.yaml"
    file.write_text(STUDIES["own_data"])
    with pytest.raises(StudyFileError) as caught:
        check_file(file, [], tmp_path / "home")
    (problem,) = caught.value.problems
    assert problem.key == "recipe.dataset" and "data.py:rings" in str(problem)
    assert "the same numbers in every call" in str(problem)


def test_data_of_ones_own_that_differ_from_process_to_process_are_refused_with_the_cause(
    tmp_path: Path, stored: Path
) -> None:
    code = FILES["data.py"].replace("default_rng(0)", 'default_rng(int(os.environ["DRAW"]))')
    (tmp_path / "data.py").write_text(f"import os\n{code}")
    (tmp_path / "own_data.yaml").write_text(STUDIES["own_data"])
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DRAW", "0")
        run(tmp_path, "own_data")
        patch.setenv("DRAW", "1")
        loading._pool.cache_clear()
        loading._read.cache_clear()
        with pytest.raises(
            StudyChangedError, match=r"samples of recipe\.dataset.*\n.*in every process"
        ):
            run(tmp_path, "own_data")


def test_a_missing_file_of_ones_own_training_is_told_at_its_key(tmp_path: Path) -> None:
    file = options(tmp_path)
    for code in tmp_path.glob("*.py"):
        code.unlink()
    with pytest.raises(StudyFileError) as caught:
        check_file(file, [], tmp_path / "home")[0]
    (problem,) = {line.partition(": found")[0] for line in str(caught.value).splitlines()}
    assert problem.endswith(": recipe.trial.name")


def test_a_study_stored_before_ones_own_training_had_options_is_the_same(tmp_path: Path) -> None:
    config = load(
        options(
            tmp_path,
            ("  trial: {name: train.py:train, rho: 0.1}\n", ""),
            ("compare:\n  trial.steps: [1, 2]", BEFORE),
        )
    )
    found = Study(config, tmp_path).groups[0].definition
    assert "trial_options" not in found["plan"]
    assert found["plan"]["trial"] == "train.py:train"
    assert found["space"][0]["sets"] == [{"trial": "train.py:train"}, {"trial": "train.py:other"}]


BEFORE = """\
compare:
  optimizer: [sgd]
tune:
  trial: {a: train.py:train, b: train.py:other}"""
