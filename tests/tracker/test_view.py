from __future__ import annotations

import json

from tests.support.searched import describe
from workbench.tracker import store, view


def test_the_page_of_a_study_opens_with_its_best_trials_and_curves() -> None:
    study = describe(question="Which?")
    key = store.page("http://127.0.0.1:5123", "7").rpartition("viewStateShareKey=")[2]
    tags = view.tags_of(study)
    assert tags["mlflow.note.content"] == "Which?"
    shown = json.loads(tags[f"mlflow.sharedViewState.{key}"])
    assert (shown["orderByKey"], shown["orderByAsc"]) == ("metrics.`objective`", False)
    for name in study.factors:
        assert f"params.`{name}`" in shown["selectedColumns"]
    name, _, *order = shown["columnOrder"]
    assert order == shown["selectedColumns"] and name in shown["columnWidths"]
    assert order[:2] == ["tags.`workbench.strategy`", "tags.`workbench.role`"]
    unfolded = [entry["name"] for entry in shown["compareRunSections"] if entry["display"]]
    assert unfolded == ["Search", "validation"]
    (chart,) = shown["compareRunCharts"]
    assert chart["selectedMetrics"] == ["objective"] and set(study.factors) < {
        *chart["selectedParams"]
    }
