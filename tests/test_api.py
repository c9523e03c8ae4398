"""The Python interface: a study from a dictionary to its model, and the notebook that shows it."""

from __future__ import annotations

import ast
import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
import yaml

import workbench as wb
from tests.support.tiny import TINY
from workbench.commands.browse import Unknown
from workbench.study.config.document import StudyFileError
from workbench.verdict.results import Unreadable

NOTEBOOK = Path(__file__).parent.parent / "docs" / "quickstart.ipynb"
SETTINGS: dict[str, Any] = yaml.safe_load(TINY)


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.delenv("WORKBENCH_HOME", raising=False)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_the_notebook_runs_and_shows_every_result(here: Path) -> None:
    cells = [c for c in json.loads(NOTEBOOK.read_text())["cells"] if c["cell_type"] == "code"]
    names: dict[str, Any] = {}
    shown = []
    for cell in cells:
        *before, last = ast.parse("".join(cell["source"])).body
        exec(compile(ast.Module(before, []), "notebook", "exec"), names)
        if isinstance(last, ast.Expr):
            value = eval(compile(ast.Expression(last.value), "notebook", "eval"), names)
            html = getattr(value, "_repr_html_", None)
            shown.append(repr(value) if html is None else html())
        else:
            exec(compile(ast.Module([last], []), "notebook", "exec"), names)
    plan, study, trials, exploratory, figure, verdict, runs, forest, page, rows = shown
    assert "mlp" in plan and "12 seeds" in plan
    assert "complete" in study
    assert "hyperparameters.learning_rate" in trials
    assert "EXPLORATORY" in exploratory
    assert figure.startswith("<img") and "12 trials" in figure
    assert "<strong>" in verdict and "EXPLORATORY" not in verdict
    assert "default" in runs and "image/png" in forest
    assert page == "PosixPath('reports/wine_optimizers/index.html')"
    assert "class_" in rows
    assert (here / "reports" / "wine_optimizers" / "index.html").is_file()
    # The command line continues what the notebook began.
    again = wb.Study("wine_optimizers.yaml").run()
    assert (again.fresh, again.finished) == (0, True)
    assert wb.open_study("wine_optimizers").verdict() == names["study"].verdict()
    model, inputs = names["model"], torch.zeros(2, 13)
    assert model(inputs).shape == (2, 3) and not model.training


def test_a_study_as_a_dictionary_has_the_checks_of_a_file(here: Path) -> None:
    with pytest.raises(StudyFileError) as raised:
        wb.Study({**SETTINGS, "recipe": {**SETTINGS["recipe"], "epoch": 3}})
    assert "tiny.yaml" in str(raised.value) and "did you mean epochs?" in str(raised.value)
    # The file that a dictionary was written to may be written again, with a question.
    study = wb.Study(SETTINGS, question="Which optimizer?", search={"trials_per_strategy": 1})
    assert study.check().as_json()[0]["question"] == "Which optimizer?"
    assert repr(study) == "tiny: not run yet"


def test_a_study_file_of_somebody_else_is_kept(here: Path) -> None:
    (here / "tiny.yaml").write_text(TINY)
    with pytest.raises(FileExistsError, match=r"Study\('tiny.yaml'\)"):
        wb.Study(SETTINGS)
    assert (here / "tiny.yaml").read_text() == TINY
    with pytest.raises(ValueError, match="overrides"):
        wb.Study("tiny.yaml", search={})


@pytest.mark.parametrize(
    ("change", "named"),
    [({"name": "a/b"}, "a/b"), ({"recipe": {"epochs": np.float64(3)}}, "float64")],
    ids=["name", "value"],
)
def test_a_dictionary_that_no_file_can_hold_is_refused(
    here: Path, change: dict[str, Any], named: str
) -> None:
    with pytest.raises(ValueError, match=named):
        wb.Study({**SETTINGS, **change})
    assert not list(here.glob("*.yaml"))


def test_a_home_that_does_not_exist_and_a_study_that_it_lacks_are_named(here: Path) -> None:
    with pytest.raises(NotADirectoryError, match="nowhere"):
        wb.Study(SETTINGS, home="nowhere")
    with pytest.raises(Unknown, match="digts"):
        wb.open_study("digts")


def test_a_test_needs_consent(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    settings = {**SETTINGS, "compare": {"optimizer": ["sgd", "adamw"]}}
    study = wb.Study(settings, search={"trials_per_strategy": 2}, confirm={"smallest_effect": 0.02})
    assert study.run(inline=True).finished
    outcome = study.confirm(inline=True)
    assert not outcome.agreed and not outcome.confirmed
    assert "confirm(yes=True)" in capsys.readouterr().out
    assert study.confirmation().empty
    with pytest.raises(ValueError, match="strategies"):
        study.figure("strategie")


def test_results_in_a_table_are_judged_like_those_in_a_file(here: Path) -> None:
    rows = [
        {"strategy": name, "seed": seed, "value": 0.9 + lead + seed * (1 + 30 * lead) / 1000}
        for name, lead in (("a", 0.0), ("b", 0.1))
        for seed in range(8)
    ]
    frame = pd.DataFrame(rows)
    assert wb.judge(frame, smallest_effect=0.01).verdict.heading == "WINNER"
    assert wb.judge(frame, minimize=True).verdict.leader == "a"
    with pytest.raises(Unreadable, match=r"results\.csv:18: a with seed 0 occurs twice"):
        wb.judge(pd.concat([frame, frame[:1]]))
