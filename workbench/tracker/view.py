"""How MLflow's pages show a study: the columns and order of its table of runs, and its charts.

MLflow keeps a view that a user shares as a tag of the experiment; ``?viewStateShareKey=workbench``
opens this one. A release of MLflow that does not know a key of it ignores the key.
"""

from __future__ import annotations

import json
from collections.abc import Sequence

from workbench.tracker.entry import NOTE, VIEW
from workbench.tracker.params import valid_name
from workbench.tracker.stored_study import StoredStudy

# Sections of the charts by the prefix of their metrics: curves first. Numbers of a whole trial,
# which would be charts of single points, are folded.
_SEARCH = "Search"
_OPEN = (_SEARCH, "validation")
_FOLDED = ("train", "test", "Model metrics", "trial", "parameters", "study")
_FOLDED_BEST = ("best", "best/train", "best/validation")
_MOST_KNOBS = 6
_NAME = "attributes.`Run Name`"
_STRATEGY, _ROLE = "tags.`workbench.strategy`", "tags.`workbench.role`"
# In pixels: for ``confirmation/adamw-2/007 lr=3.1e-4``, and for the names of the columns.
_WIDTHS = {_NAME: 270, _STRATEGY: 150, _ROLE: 130}


def tags_of(study: StoredStudy) -> dict[str, str]:
    """The tags of a study's experiment."""
    tuned = dict.fromkeys(entry.knob for entry in study.tune)
    knobs = [valid_name(knob) for knob in dict.fromkeys([*study.factors, *tuned])][:_MOST_KNOBS]
    # MLflow leaves runs out of a chart that lack one of its settings.
    everywhere = {valid_name(entry.knob) for entry in study.tune if not entry.when}
    charted = [knob for knob in knobs if knob in study.factors or knob in everywhere]
    columns = [
        _STRATEGY,
        _ROLE,
        "metrics.`objective`",
        *(f"params.`{knob}`" for knob in knobs),
        "attributes.`Duration`",
        "tags.`workbench.state`",
        "tags.`workbench.reason`",
        "tags.`workbench.verdict`",
    ]
    view = {
        "selectedColumns": columns,
        # Else tags come last, out of sight. The first two are always shown.
        "columnOrder": [_NAME, "runDateAndNestInfo", *columns],
        "columnWidths": _WIDTHS,
        # The best first, instead of parents whose trials are hidden below them.
        "orderByKey": "metrics.`objective`",
        "orderByAsc": study.objective.direction == "minimize",
        "isAccordionReordered": True,
        "compareRunSections": [
            *(_section(name, unfolded=True) for name in _OPEN),
            *(_section(name, unfolded=False) for name in (*_FOLDED, *_FOLDED_BEST)),
        ],
        "compareRunCharts": [_parallel_coordinates(charted)],
    }
    # Without a question, a description that somebody wrote in MLflow stays.
    note = {NOTE: study.question} if study.question else {}
    return {f"mlflow.sharedViewState.{VIEW}": json.dumps(view), **note}


def _section(name: str, *, unfolded: bool) -> dict[str, object]:
    shown = {"uuid": name, "name": name, "display": unfolded, "isReordered": False}
    return {**shown, "deleted": False, "isGenerated": True}


def _parallel_coordinates(knobs: Sequence[str]) -> dict[str, object]:
    return {
        "type": "PARALLEL",
        "uuid": "parallel-coordinates",
        "metricSectionId": _SEARCH,
        "deleted": False,
        "isGenerated": False,
        "runsCountToCompare": 100,
        "showAllRuns": True,
        "selectedParams": list(knobs),
        "selectedMetrics": ["objective"],
    }
