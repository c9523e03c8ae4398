"""Importance of each knob among a study's trials, by two evaluators, with intervals.

PED-ANOVA measures which knobs distinguish the best tenth of the trials; fANOVA measures how much of
a random forest's variance a knob explains by itself. They often disagree, so the report shows both,
with bootstrap intervals over trials. An adaptive search does not sample the space evenly: its
importances describe the search only.
"""

from __future__ import annotations

import json
import warnings
from collections.abc import Container, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime
from itertools import starmap
from typing import Any, NamedTuple

import numpy as np
import optuna
from numpy.typing import NDArray
from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)
from optuna.trial import FrozenTrial, TrialState

from workbench.record.file_cache import FileCache
from workbench.report.checks.bounds import position
from workbench.tracker.stored_study import Range

LEAST = 10  # completed trials
PED_ANOVA, FANOVA = "PED-ANOVA", "fANOVA"
LEVEL = 0.95
TREES = 64
_TREES_A_DRAW = 10
_MOST_TRIALS = 300  # in a resample; more would take longer and hardly change the interval

Array = NDArray[np.float64]


class Importance(NamedTuple):
    """Importance of one knob by one evaluator, in [0, 1], with a percentile interval."""

    knob: str
    evaluator: str
    estimate: float
    low: float
    high: float


class Importances(NamedTuple):
    """Importances of all knobs in the given order, by each evaluator that applies.

    Attributes:
        n: Completed trials.
        draws: Bootstrap resamples of the trials.
        of: Trials in a resample.
        skipped: Knobs that fANOVA cannot evaluate, because not every trial has them.
    """

    n: int
    rows: tuple[Importance, ...]
    level: float
    draws: int
    of: int
    skipped: tuple[str, ...]


def cached(trials: Sequence[FrozenTrial]) -> Importances:
    """``evaluate``, or what an earlier command found for the same trials."""
    known = FileCache(["importances", repr(trials)], [])
    found = known.get()
    if found is None:
        # The same objects as next time, so that their pickles are equal (``rendering``).
        found = json.loads(json.dumps(evaluate(trials)))
        known.put(found)
    n, rows, level, draws, of, skipped = found
    return Importances(n, tuple(starmap(Importance, rows)), level, draws, of, tuple(skipped))


def evaluate(trials: Sequence[FrozenTrial], seed: int = 0) -> Importances:
    """Importances of every knob that varies; the same arguments give the same numbers.

    PED-ANOVA shares sum to 1 over the knobs; a fANOVA share is of the variance of the fitted
    forest; the rest is due to interactions. fANOVA gets a number as its position in the range that
    applied to the trial, on the range's scale, so that a learning rate with a different range for
    each optimizer counts as one knob.

    Args:
        trials: At least 10, from ``observe``; their order does not matter to PED-ANOVA.
        seed: Of the forests and the bootstrap.

    Raises:
        ValueError: Too few trials, or fewer than two different values.

    Source:
        Watanabe et al. (2023), PED-ANOVA: efficiently quantifying hyperparameter importance in
        arbitrary subspaces, IJCAI, as Optuna implements it for conditional knobs. Hutter et al.
        (2014), An efficient approach for assessing hyperparameter importance, ICML.
    """
    n = len(trials)
    if n < LEAST:
        raise ValueError(f"{n} trials completed; importances need {LEAST} or more.")
    losses = np.array([trial.value for trial in trials], dtype=float)
    if len(set(losses)) < 2:
        raise ValueError("All completed trials have the same value, so importances are undefined.")
    values: dict[str, list[Any]] = {}
    for trial in trials:
        for knob, value in trial.params.items():
            values.setdefault(knob, []).append(value)
    knobs = [knob for knob, own in values.items() if len(set(own)) > 1]
    if not knobs:
        raise ValueError("No knob varies between the completed trials.")
    everywhere = [knob for knob in knobs if len(values[knob]) == n]
    table, cells = _table(trials, everywhere)
    # Resamples dominate the time of a report of many trials, so these get fewer.
    draws, of = (30 if n <= 200 else 20), min(n, _MOST_TRIALS)
    generator = np.random.default_rng(seed)
    ped, first = _ped_anova(trials, knobs), _fanova(table, losses, cells, TREES, seed)
    ped_draws, first_draws = [], []
    for _ in range(draws):
        chosen = generator.integers(0, n, size=of)
        ped_draws.append(_ped_anova([trials[index] for index in chosen], knobs))
        forest = int(generator.integers(2**31))
        first_draws.append(_fanova(table[chosen], losses[chosen], cells, _TREES_A_DRAW, forest))
    rows = []
    for place, knob in enumerate(knobs):
        rows.append(_row(knob, PED_ANOVA, ped[place], [draw[place] for draw in ped_draws]))
        if knob in everywhere:
            column = everywhere.index(knob)
            rows.append(_row(knob, FANOVA, first[column], [d[column] for d in first_draws]))
    skipped = tuple(knob for knob in knobs if knob not in everywhere)
    return Importances(n, tuple(rows), LEVEL, draws, of, skipped)


def _row(knob: str, evaluator: str, estimate: float, draws: Sequence[float]) -> Importance:
    low, high = np.quantile(draws, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    # A resample repeats trials and so exaggerates importances: without this the estimate could be
    # outside its interval.
    at = float(estimate)
    return Importance(knob, evaluator, at, min(float(low), at), max(float(high), at))


class _Sample(optuna.Study):
    """A study with given trials.

    Adding the trials to a storage copies each of them, which took four times as long as evaluating
    them.
    """

    def __init__(self, trials: Sequence[FrozenTrial]) -> None:
        storage = optuna.storages.InMemoryStorage()
        optuna.create_study(study_name="sample", storage=storage, direction="minimize")
        super().__init__("sample", storage)
        self._given = list(trials)

    def get_trials(
        self, deepcopy: bool = True, states: Container[TrialState] | None = None
    ) -> list[FrozenTrial]:
        return [trial for trial in self._given if states is None or trial.state in states]


def _ped_anova(trials: Sequence[FrozenTrial], knobs: Sequence[str]) -> Array:
    """Shares by knob, with the sum 1; all 0 where the best tenth is distributed like the rest."""
    # Not at the top: it loads scikit-learn, which a report of known importances does not need.
    from optuna.importance import PedAnovaImportanceEvaluator

    with _quietly():
        by_knob = PedAnovaImportanceEvaluator().evaluate(_Sample(trials))
    # A resample may have no trial with a conditional knob, which Optuna then leaves out.
    shares = np.array([by_knob.get(knob, 0.0) for knob in knobs])
    total = float(shares.sum())
    return np.asarray(shares / total) if total > 0 else shares


@contextmanager
def _quietly() -> Iterator[None]:
    """Suppress Optuna's line for every study and its warnings about ranges with few trials."""
    before = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        optuna.logging.set_verbosity(before)


def _table(
    trials: Sequence[FrozenTrial], knobs: Sequence[str]
) -> tuple[Array, list[tuple[float, float]]]:
    """Positions in [0, 1] or indices of choices, shape [trials, knobs]; and the ends per knob."""
    columns, cells = [], []
    for knob in knobs:
        settings = [(trial.params[knob], trial.distributions[knob]) for trial in trials]
        choices = list(dict.fromkeys(label for _, own in settings for label in _choices(own)))
        if choices:
            columns.append([float(choices.index(str(value))) for value, _ in settings])
            # Each choice is an interval of width 1, so that all have the same weight.
            cells.append((-0.5, len(choices) - 0.5))
        else:
            columns.append([_position(value, own) for value, own in settings])
            cells.append((0.0, 1.0))
    return np.array(columns, dtype=float).T.reshape(len(trials), len(knobs)), cells


def _choices(own: BaseDistribution) -> tuple[str, ...]:
    return tuple(map(str, own.choices)) if isinstance(own, CategoricalDistribution) else ()


def _position(value: float, own: BaseDistribution) -> float:
    assert isinstance(own, FloatDistribution | IntDistribution)
    return position(float(value), own.low, own.high, log=own.log)


def _fanova(
    table: Array, losses: Array, cells: Sequence[tuple[float, float]], trees: int, seed: int
) -> Array:
    """Share of a forest's variance that each knob explains by itself, shape [knobs].

    The variance is over the whole space, not over the trials, as in Hutter et al. (2014).
    """
    from sklearn.ensemble import RandomForestRegressor

    if not cells:
        return np.zeros(0)
    forest = RandomForestRegressor(n_estimators=trees, random_state=seed, n_jobs=1)
    forest.fit(table, losses)
    shares = []
    for tree in forest.estimators_:
        low, high, values = _leaves(tree.tree_, cells)
        widths = (high - low) / np.array([end - start for start, end in cells])
        volumes = widths.prod(axis=1)
        mean = float(volumes @ values)
        total = float(volumes @ (values - mean) ** 2)
        if total > 0:
            shares.append(
                [
                    _alone(low[:, knob], high[:, knob], widths[:, knob], volumes, values - mean)
                    / total
                    for knob in range(len(cells))
                ]
            )
    return np.mean(shares, axis=0) if shares else np.zeros(len(cells))


def _leaves(tree: Any, cells: Sequence[tuple[float, float]]) -> tuple[Array, Array, Array]:
    """The box of each leaf, shapes [leaves, knobs], and its value, shape [leaves]."""
    count = tree.node_count
    low = np.tile([start for start, _ in cells], (count, 1))
    high = np.tile([end for _, end in cells], (count, 1))
    # Scikit-learn numbers children after their parent, so that one pass fills all boxes.
    for node in np.flatnonzero(tree.children_left >= 0):
        left, right, knob = tree.children_left[node], tree.children_right[node], tree.feature[node]
        for child in (left, right):
            low[child], high[child] = low[node], high[node]
        high[left, knob] = low[right, knob] = tree.threshold[node]
    ends = np.flatnonzero(tree.children_left < 0)
    return low[ends], high[ends], tree.value[ends, 0, 0]


def _alone(low: Array, high: Array, widths: Array, volumes: Array, values: Array) -> float:
    """Variance along one knob of a tree's mean over all other knobs (the marginal variance)."""
    edges = np.unique(np.concatenate([low, high]))
    # A leaf contributes this much to the mean at every position that it spans. Adding it where the
    # leaf begins and subtracting it where it ends gives all means in one cumulative sum.
    weights = volumes / widths * values
    steps = np.zeros(len(edges))
    np.add.at(steps, np.searchsorted(edges, low), weights)
    np.add.at(steps, np.searchsorted(edges, high), -weights)
    means = np.cumsum(steps)[:-1]
    return float(np.diff(edges) / (edges[-1] - edges[0]) @ means**2)


def observe(
    number: int, settings: Mapping[str, float | str], ranges: Mapping[str, Range], loss: float
) -> FrozenTrial:
    """One completed trial with the ranges that applied to it.

    Args:
        number: Different for each trial.
        settings: By knob; those without a range are left out.
        ranges: By knob.
        loss: Its value, negated where the study maximises.
    """
    params: dict[str, float | str] = {}
    distributions: dict[str, BaseDistribution] = {}
    for knob, value in settings.items():
        entry = ranges.get(knob)
        if entry is None:
            continue
        if entry.choices:
            params[knob] = str(value)
            distributions[knob] = CategoricalDistribution(tuple(map(str, entry.choices)))
            continue
        low, high, log = entry.low, entry.high, bool(entry.log)
        if low is None or high is None or not isinstance(value, int | float):
            continue
        # An enqueued setting may be outside the range, which Optuna's distributions refuse.
        if low <= value <= high:
            params[knob] = value
            distributions[knob] = FloatDistribution(low, high, log)
            if isinstance(value, int):
                distributions[knob] = IntDistribution(int(low), int(high), log)
    now = datetime(2000, 1, 1)  # a completed trial needs dates; the evaluator ignores them
    # Not ``optuna.create_trial``: it gives all trials one id, by which the evaluator selects them.
    return FrozenTrial(
        number=number,
        trial_id=number,
        state=TrialState.COMPLETE,
        value=float(loss),
        datetime_start=now,
        datetime_complete=now,
        params=params,
        distributions=distributions,
        user_attrs={},
        system_attrs={},
        intermediate_values={},
    )
