"""The Python interface: a study from a dictionary to its model, and the notebook that shows it."""

from __future__ import annotations

import ast
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
import yaml

import workbench as wb
from tests.support.tiny import TINY
from workbench.commands.home_studies import UnknownNameError
from workbench.study.config.changes import NotReadyError
from workbench.study.config.document import StudyFileError
from workbench.verdict.results import ResultsError

NOTEBOOK = Path(__file__).parent.parent / "docs" / "quickstart.ipynb"
SETTINGS: dict[str, Any] = yaml.safe_load(TINY)


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.delenv("WORKBENCH_HOME", raising=False)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.slow
def test_the_notebook_runs_and_shows_every_result(
    here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Each worker takes seconds to start.
    monkeypatch.setattr("workbench.driver.workers.local_count", lambda resources: 1)
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
    message = "tiny: recipe.epoch: unknown key 'epoch'; did you mean epochs?"
    assert str(raised.value).startswith(message)
    assert not list(here.iterdir()), "nothing is left of a study that is wrong"
    study = wb.Study(SETTINGS, question="Which optimizer?", search={"trials_per_strategy": 1})
    assert study.check().as_json()[0]["question"] == "Which optimizer?"
    assert repr(study) == "tiny: not run yet"


def test_a_number_that_pyyaml_reads_as_a_text_is_a_number_and_a_name_stays_a_text(
    here: Path,
) -> None:
    content = yaml.safe_load(TINY.replace("name: tiny", "name: '1e3'"))
    assert content["tune"]["learning_rate"]["low"] == "1e-4"
    assert wb.Study(content).name == "1e3"
    assert yaml.safe_load((here / "1e3.yaml").read_text())["tune"]["learning_rate"]["low"] == 1e-4


def test_a_file_that_was_written_from_other_settings_is_replaced_only_if_asked(here: Path) -> None:
    wb.Study(SETTINGS)
    wb.Study({**SETTINGS, "search": dict(SETTINGS["search"])})
    before = (here / "tiny.yaml").read_text()
    other = {**SETTINGS, "search": {"trials_per_strategy": 1}, "confirm": {"seeds": 9}}
    with pytest.raises(FileExistsError, match=r"other settings: search, confirm\. .*overwrite="):
        wb.Study(other)
    with pytest.raises(StudyFileError):
        wb.Study({**other, "name": "tiny", "recipe": {}}, overwrite=True)
    assert [path.name for path in here.iterdir()] == ["tiny.yaml"]
    assert (here / "tiny.yaml").read_text() == before
    wb.Study(other, overwrite=True)
    assert yaml.safe_load((here / "tiny.yaml").read_text())["confirm"] == {"seeds": 9}


@pytest.mark.parametrize(
    "method", ["verdict", "trials", "confirmation", "best_model", "write_report", "register"]
)
def test_results_of_a_study_that_was_not_run_are_refused_with_what_to_do(
    here: Path, method: str
) -> None:
    with pytest.raises(NotReadyError, match=r"tiny was not run yet in .*study\.run\(\)"):
        getattr(wb.Study(SETTINGS), method)()


def test_arguments_of_another_type_are_named(here: Path) -> None:
    study = wb.Study(SETTINGS)
    wrong: list[tuple[type[Exception], str, Callable[[], object]]] = [
        (TypeError, "study has the type int", lambda: wb.Study(3)),  # type: ignore[arg-type]
        (TypeError, "out has the type int", lambda: wb.judge("a.csv", out=3)),  # type: ignore[arg-type]
        (TypeError, "home has the type int", lambda: wb.Study(SETTINGS, home=3)),  # type: ignore[arg-type]
        (TypeError, "overrides is a text", lambda: wb.Study(SETTINGS, overrides="a=b")),
        (ValueError, "workers is 'two'", lambda: study.run(workers="two")),  # type: ignore[arg-type]
        (ValueError, "workers is 0", lambda: study.confirm(workers=0)),
        (ValueError, "inline and on", lambda: study.run(inline=True, on="ray")),
        (ValueError, "fresh is -1", lambda: study.confirm(fresh=-1)),
        (TypeError, "results has the type list", lambda: wb.judge([1])),  # type: ignore[arg-type]
        (TypeError, "folder has the type int", lambda: wb.load_model(3)),  # type: ignore[arg-type]
    ]
    for error, message, call in wrong:
        with pytest.raises(error, match=message):
            call()


def test_numbers_of_numpy_are_numbers(here: Path) -> None:
    rates = {"low": np.float64(1e-3), "high": np.float32(0.125), "log": np.bool_(True)}
    tune = {"learning_rate": {**rates, "default": 0.01}}
    wb.Study({**SETTINGS, "tune": tune, "recipe": {**SETTINGS["recipe"], "epochs": np.int64(2)}})
    written = yaml.safe_load((here / "tiny.yaml").read_text())
    assert written["recipe"]["epochs"] == 2
    plain = {"low": 1e-3, "high": 0.125, "log": True}
    assert written["tune"]["learning_rate"] == {**plain, "default": 0.01}


@pytest.mark.parametrize(
    ("content", "why"), [("My notes", "no mapping"), ("a: [1\nb: 2", "cannot be read: .*")]
)
def test_an_edited_file_that_is_no_study_any_more_is_kept_and_named(
    here: Path, content: str, why: str
) -> None:
    wb.Study(SETTINGS)
    file = here / "tiny.yaml"
    mark = file.read_text().splitlines()[-1]
    file.write_text(f"{content}\n{mark}\n")
    with pytest.raises(FileExistsError, match=rf"tiny\.yaml was edited .*{why}.*overwrite=True"):
        wb.Study(SETTINGS)
    assert file.read_text().startswith(content)
    wb.Study(SETTINGS, overwrite=True)
    assert yaml.safe_load(file.read_text())["name"] == "tiny"


def test_a_study_file_of_somebody_else_is_kept(here: Path) -> None:
    (here / "tiny.yaml").write_text(TINY)
    with pytest.raises(FileExistsError, match=r"Study\('tiny.yaml'\)"):
        wb.Study(SETTINGS)
    assert (here / "tiny.yaml").read_text() == TINY
    with pytest.raises(ValueError, match="overrides"):
        wb.Study("tiny.yaml", search={})


@pytest.mark.parametrize(
    ("change", "named"),
    [({"name": "a/b"}, "a/b"), ({"recipe": {"epochs": np.ones(3)}}, "ndarray")],
    ids=["name", "value"],
)
def test_a_dictionary_that_no_file_can_hold_is_refused(
    here: Path, change: dict[str, Any], named: str
) -> None:
    with pytest.raises(ValueError, match=named):
        wb.Study({**SETTINGS, **change})
    assert not list(here.glob("*.yaml"))


def test_a_misspelt_name_is_answered_with_the_key(here: Path) -> None:
    misspelt = {"nam" if key == "name" else key: value for key, value in SETTINGS.items()}
    with pytest.raises(ValueError, match=r"unknown key nam; did you mean name\?"):
        wb.Study(misspelt)
    with pytest.raises(ValueError, match="name: a study needs one"):
        wb.Study({key: value for key, value in SETTINGS.items() if key != "name"})


def test_a_home_that_does_not_exist_and_a_study_that_it_lacks_are_named(here: Path) -> None:
    with pytest.raises(NotADirectoryError, match="nowhere"):
        wb.Study(SETTINGS, home="nowhere")
    with pytest.raises(UnknownNameError, match="digts"):
        wb.open_study("digts")


def test_a_test_needs_consent(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    settings = {**SETTINGS, "compare": {"optimizer": ["sgd", "adamw"]}}
    study = wb.Study(settings, search={"trials_per_strategy": 2}, confirm={"smallest_effect": 0.02})
    found = study.run(inline=True)
    assert found.finished
    assert repr(found).splitlines()[0] == "tiny: 4 runs (4 complete, 0 pruned, 0 failed)"
    assert repr(study).startswith("tiny: complete, 4 trials (4 complete, 0 pruned, 0 failed)\n")
    assert repr(study.verdict()).startswith("EXPLORATORY: ")
    assert all(len(line) <= 80 for shown in (found, study) for line in repr(shown).splitlines())
    with pytest.raises(TypeError, match=r"a path, a pandas table or a NumPy array; .* list"):
        study.best_model().predict([[0.0] * 13])  # type: ignore[list-item]
    opened = wb.open_study("tiny")
    assert opened.check().studies and opened.run(inline=True).finished
    outcome = opened.confirm(inline=True)
    assert not outcome.agreed and not outcome.confirmed
    assert "confirm(yes=True)" in capsys.readouterr().out
    assert study.confirmation().empty
    with pytest.raises(ValueError, match="strategies"):
        study.figure("strategie")


def test_results_in_a_table_are_judged_like_those_in_a_file(
    here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WORKBENCH_HOME", "nowhere")  # a table needs no home
    rows = [
        {"strategy": name, "seed": seed, "value": 0.9 + lead + seed * (1 + 30 * lead) / 1000}
        for name, lead in (("a", 0.0), ("b", 0.1))
        for seed in range(8)
    ]
    frame = pd.DataFrame(rows)
    found = wb.judge(frame, smallest_effect=0.01)
    assert repr(found).startswith("WINNER: b wins: ") and "WINNER" in found._repr_html_()
    frame.to_csv("runs.csv", index=False)
    assert wb.judge("runs.csv", smallest_effect=0.01).verdict == found.verdict
    narrow = frame.assign(value=[0.1 * (row + 1) for row in range(8)] * 2)
    narrow.loc[8:, "value"] += 0.01
    constant = wb.judge(narrow.astype({"value": "float32"}), smallest_effect=0.001)
    assert constant.verdict.word == "INCONCLUSIVE", "the digits that float32 has"
    assert wb.judge(frame, minimize=True).verdict.leader == "a"
    twice = pd.concat([frame, frame[:1].set_axis(["x"])])
    with pytest.raises(ResultsError, match=r"^row x of the frame: a with seed 0 occurs twice"):
        wb.judge(twice)
    with pytest.raises(ResultsError, match="The frame is empty; expected the columns strategy"):
        wb.judge(pd.DataFrame())
