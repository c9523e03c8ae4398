"""A study's values in percent, where its metrics are shares: 93.9, as papers print 0.939.

The one place where values are scaled: what is composed from ``in_percent`` has them in percent
everywhere, with ``(%)`` in the names of their metrics. Used by ``writing``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, TypeVar

from workbench import tasks
from workbench.report.material import Material
from workbench.tracker.trial_run import TrialRun

# Only what a task of the catalogue measures: the name of a user's own metric says nothing.
_SHARES = {metric for task in tasks.TASKS.values() for metric in task.shares}
_SIGN = " (%)"

_Value = TypeVar("_Value", float, float | None)


def named(metric: str) -> str:
    """The name of a metric, with ``(%)`` if it is printed in percent."""
    return metric + _SIGN if _is_share(metric) else metric


def plain(metric: str) -> str:
    """The metric's own name."""
    return metric.removesuffix(_SIGN)


def _is_share(metric: str) -> bool:
    return metric.rpartition("/")[2] in _SHARES


def in_percent(material: Material) -> Material:
    """The material with every share in percent; other metrics are unchanged."""
    study, protocol = material.study, material.study.protocol
    searched, tested = study.objective.metric, (protocol or {}).get("metric", "")
    # Cited values are of the test metric, or of the objective before a confirmation.
    cited = tested or searched
    return replace(
        material,
        study=replace(
            study,
            objective=replace(study.objective, metric=named(searched)),
            protocol=_protocol(protocol, searched, tested) if protocol else protocol,
            selection=_selection(study.selection, searched) if study.selection else None,
            cited=tuple(
                replace(item, value=_scaled(item.value, cited), sd=_scaled(item.sd, cited))
                for item in study.cited
            ),
        ),
        trials=tuple(_trial(run, searched) for run in material.trials),
        scores={
            run_id: [_scaled(score, tested) for score in scores]
            for run_id, scores in material.scores.items()
        },
        histories={
            run_id: {
                named(name): [(epoch, _scaled(value, name)) for epoch, value in points]
                for name, points in history.items()
            }
            for run_id, history in material.histories.items()
        },
        added=tuple(map(in_percent, material.added)),
    )


def _scaled(value: _Value, metric: str) -> _Value:
    return 100 * value if value is not None and _is_share(metric) else value


def _metrics(metrics: Mapping[str, float]) -> dict[str, float]:
    return {named(name): _scaled(value, name) for name, value in metrics.items()}


def _trial(run: TrialRun, searched: str) -> TrialRun:
    value = _scaled(run.value, searched)
    return replace(run, value=value, metrics=_metrics(run.metrics), test=_metrics(run.test))


def _protocol(protocol: Mapping[str, Any], searched: str, tested: str) -> dict[str, Any]:
    validated, selection = protocol.get("validation_metric"), protocol.get("selection") or {}
    candidates = {
        strategy: [{**one, "value": _scaled(one.get("value"), searched)} for one in of]
        for strategy, of in (selection.get("candidates") or {}).items()
    }
    return {
        **protocol,
        "metric": named(tested),
        "validation_metric": validated and named(validated),
        "smallest_effect": _scaled(protocol.get("smallest_effect"), tested),
        "bounds": [_scaled(end, tested) for end in protocol.get("bounds") or (None, None)],
        "selection": {**selection, "candidates": candidates},
    }


def _selection(selection: Mapping[str, Any], searched: str) -> dict[str, Any]:
    runs = {
        strategy: [{**run, "mean": _scaled(run.get("mean"), searched)} for run in candidates]
        for strategy, candidates in (selection.get("runs") or {}).items()
    }
    return {**selection, "runs": runs}
