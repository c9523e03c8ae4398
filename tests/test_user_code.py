"""The page on one's own code tells the truth: its files are written, and its studies run."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from mlflow_home import home_in
from test_end_to_end import Unseen

from workbench import launch, record
from workbench.config import Changed
from workbench.record import State
from workbench.workers import InlineWorkers

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
    outcome = launch.run_file(folder / f"{name}.yaml", [], home, InlineWorkers(), Unseen())
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
    with pytest.raises(Changed, match=r"boosting\.py"):
        run(tmp_path, "own_trees")


def test_a_trial_that_fails_in_ones_own_code_names_the_line(tmp_path: Path, stored: Path) -> None:
    (tmp_path / "late.py").write_text(
        "def train(trial):\n    yield {'validation/accuracy': 0.5}\n    raise KeyError('late')\n"
    )
    text = STUDIES["own_trial"].replace("name: own_trial", "name: late")
    (tmp_path / "late.yaml").write_text(re.sub(r"trial: \S+", "trial: late.py:train", text))
    launch.run_file(tmp_path / "late.yaml", [], stored, InlineWorkers(), Unseen())
    (first, _), *_ = record.scan(record.study_directory(stored, "late"))
    result = first.result()
    assert result is not None and result.state is State.FAILED
    assert str(result.reason).endswith(f"KeyError: 'late' ({tmp_path / 'late.py'}:3)")
