"""The page's mistakes: of which trial they are, which are folded, and that they are text."""

from __future__ import annotations

import base64
from dataclasses import replace
from pathlib import Path
from typing import Any

from tests.support import confirmed
from tests.support.pages import Page
from tests.support.searched import HOSTILE, describe, row, runs
from workbench import report
from workbench.report import Material, templates
from workbench.report.figures import FIGURES
from workbench.report.runs import sealed
from workbench.report.trials import best_of_each, of_search
from workbench.tracker.trial_artifacts import TrialArtifacts

PNG = bytes.fromhex("89504e470d0a1a0a0000000d49484452000001900000006408020000") + bytes(9)
DRAWN = {"confusion_matrix": PNG, "mistakes": PNG}


def of_classes(*names: str, drawn: bool = True, text: str | None = None) -> TrialArtifacts:
    scores = tuple(
        {"class": name, "precision": "0.5", "recall": "0.25", "f1": f"0.{n:03d}", "support": "60"}
        for n, name in enumerate(names, start=1)
    )
    wrong: dict[str, Any] = {
        "sample": 7,
        "name": None,
        "true": names[0],
        "predicted": "other",
        "confidence": 0.875,
    }
    if text is not None:
        wrong["text"] = text
    return TrialArtifacts(
        scores=scores,
        mistakes=(wrong,),
        pictures=DRAWN if drawn else {},
    )


def material(**knobs: Any) -> Material:
    """Every strategy's best trial and the first run of every arm have pictures."""
    found = confirmed.material(strategies=confirmed.THREE, **knobs)
    best = best_of_each(found.study, of_search(found.study, found.trials)).values()
    artifacts = {trial.run_id: of_classes("5", "6") for trial in best}
    for trial in found.trials:
        if trial.role == "confirmation" and trial.number == 0:
            artifacts[trial.run_id] = of_classes("5", "6")
    return replace(found, artifacts=artifacts)


def mistakes(found: Material) -> list[dict[str, Any]]:
    shown: list[dict[str, Any]] = report.compose(found, figures=False).summary.content["mistakes"]
    return shown


def page_of(found: Material) -> Page:
    content = report.compose(found, figures=False).summary.content
    sources = {
        f"{run_id}/{name}": templates.source(png)
        for run_id, one in found.artifacts.items()
        for name, png in one.pictures.items()
    }
    return Page(templates.html(content, {**dict.fromkeys(FIGURES, ""), **sources}))


def test_of_a_confirmed_strategy_the_first_seed_is_shown_the_best_mean_first_and_open() -> None:
    found = material()
    arms = report.compose(found, figures=False).summary.content["confirmation"]["arms"]
    shown = mistakes(found)
    assert [one["strategy"] for one in shown] == [arm["name"] for arm in arms]
    assert [one["trial"] for one in shown] == [f"confirmation/{a['name']}/000" for a in arms]
    assert [one["run_id"] for one in shown] == [arm["runs"][0]["run_id"] for arm in arms]
    assert [one["first"] for one in shown] == [True] + [False] * (len(arms) - 1)


def test_before_a_confirmation_has_ended_its_runs_are_not_shown() -> None:
    shown = mistakes(material(ended=8))
    assert {one["seed"] for one in shown} == {None}


def test_predictions_on_the_test_split_are_sealed_until_the_confirmation_has_ended() -> None:
    for ended, kept in ((8, False), (None, True)):
        found = confirmed.material(strategies=confirmed.THREE, ended=ended)
        run = next(trial.run_id for trial in found.trials if trial.role == "confirmation")
        known = replace(found, predictions={run: {"age": ([1.0], [2.0])}})
        assert (run in sealed(known).predictions) == kept


def test_the_page_has_each_picture_with_a_text_alternative_and_one_strategy_open() -> None:
    found = material()
    page = page_of(found)
    images = [attributes for tag, attributes in page.elements if tag == "img"]
    assert len(images) == 2 * len(mistakes(found))
    for image in images:
        source = image["src"] or ""
        assert base64.b64decode(source.removeprefix("data:image/png;base64,")) == PNG
        assert image["width"] == "200"
    assert "true 5, predicted other, confidence 0.88" in (images[1]["alt"] or "")
    assert "Confusion matrix of" in (images[0]["alt"] or "")


def test_texts_numbers_and_hostile_names_are_cells_of_tables() -> None:
    bad = HOSTILE.strip()
    rows = [row("sgd-0", 0, 0.5), row("adam-0", 0, 0.6)]
    numbers = {"column": bad, "mae": "12.5", "rmse": "20.25", "r2": "0.5", "support": "80"}
    wrong = {"sample": 1, "name": bad, "true": {bad: 3.5}, "predicted": {bad: 90.0}, "error": 86.5}
    study = Material(study=describe(), trials=runs(rows))
    first, second = (trial.run_id for trial in study.trials)
    artifacts = {
        first: of_classes("good", drawn=False, text=bad),
        second: TrialArtifacts(scores=(numbers,), mistakes=(wrong,), pictures={}),
    }
    page = page_of(replace(study, artifacts=artifacts))
    assert [tag for tag, _ in page.elements].count("script") == 1
    assert page.text.count(bad) >= 3
    assert {"12.50", "86.5", "0.88"} <= {text.strip() for text in page.text}


def test_of_many_classes_the_worst_are_listed_and_the_number_of_all_is_said() -> None:
    found = Material(study=describe(), trials=runs([row("sgd-0", 0, 0.5)]))
    names = [f"c{n}" for n in range(99, -1, -1)]
    many = of_classes(*names)
    (shown,) = mistakes(replace(found, artifacts={found.trials[0].run_id: many}))
    assert [one["class"] for one in shown["scores"]] == names[:30]
    assert shown["classes"] == 100


def test_a_study_whose_trials_have_none_of_it_has_no_such_section(tmp_path: Path) -> None:
    found = Material(study=describe(), trials=runs([row("sgd-0", 0, 0.5)]))
    assert ("h2", {"id": "mistakes"}) not in page_of(found).elements
