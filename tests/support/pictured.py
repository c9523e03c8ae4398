"""Findings of the study that ``confirmed`` makes by hand, as a report hands them to its figures."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from functools import cache
from typing import Any

import numpy as np

from tests.support import confirmed
from tests.support.planted import design
from workbench.report.figures import Findings, load
from workbench.report.summary import compose
from workbench.report.trials import of_search
from workbench.verdict.across.ranks import Ranks, of_table


@cache
def findings(**knobs: Any) -> Findings:
    """All of it; the knobs are the fields of ``confirmed.Case``."""
    composed = compose(confirmed.material(**knobs))
    study, summary = composed.material.study, composed.summary
    return Findings(
        study=study,
        trials=of_search(study, composed.material.trials),
        confirmation=summary.confirmation,
        verdict=summary.verdict,
        histories=composed.material.histories,
        source=summary.training.source,
    )


NAMES = ("sgd", "adam", "adamw", "lamb")


def ranks_of(names: Sequence[str], table: np.ndarray[Any, Any]) -> Ranks:
    """Of means by data set and strategy."""
    datasets = tuple(f"data {number}" for number in range(len(table)))
    return of_table(datasets, names, table, design())


def across_data_sets() -> Ranks:
    """Four strategies on eight data sets, the last ahead of the first nearly everywhere."""
    noise = np.random.default_rng(0).normal(0, 0.03, (8, 4))
    return ranks_of(NAMES, 0.7 + 0.04 * np.arange(4) + noise)


def of_random_search(found: Findings) -> Findings:
    trials = [trial for trial in found.trials if trial.state != "pruned"]
    study = dataclasses.replace(found.study, search={"sampler": "random", "pruner": "none"})
    return dataclasses.replace(found, trials=trials, study=study)


def with_predictions(found: Findings, samples: int = 100) -> Findings:
    """Numbers predicted by every arm's first run, each better than the one after it."""
    assert found.confirmation is not None
    true = [float(number) for number in range(samples)]
    predictions = {
        run.run_id: {"age": (true, [value + 3.0 * place for value in true])}
        for place, arm in enumerate(found.confirmation.arms)
        for run in arm.runs
        if run.number == 0
    }
    return dataclasses.replace(found, predictions=predictions)


@cache
def numbers_of(name: str) -> Any:
    """Of any figure, from the study made by hand or a table of several data sets."""
    if name == "critical_difference":
        return load(name).summarize(across_data_sets(), 0.05)
    if name == "performance_profile":
        return load(name).summarize(across_data_sets())
    # Only all combinations of the levels have an interaction.
    found = findings() if name == "interaction" else findings(strategies=confirmed.THREE)
    if name == "predicted_against_true":
        found = with_predictions(found)
    return load(name).summarize(of_random_search(found) if name == "expected_maximum" else found)
