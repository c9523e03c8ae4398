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
from functools import lru_cache
from itertools import starmap
from typing import Any, NamedTuple

import numpy as np
import optuna
from numpy.typing import NDArray
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution
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


Distribution = CategoricalDistribution | FloatDistribution | IntDistribution


class Setting(NamedTuple):
    """The setting of one knob in one trial, and the range that applied to the trial."""

    knob: str
    value: float | str
    range: Distribution


class Observation(NamedTuple):
    """One completed trial: its settings and its value (lower is better)."""

    settings: tuple[Setting, ...]
    loss: float


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


def cached(observations: tuple[Observation, ...]) -> Importances:
    """``evaluate``, or what an earlier command found for the same observations."""
    known = FileCache(["importances", repr(observations)], [])
    found = known.get()
    if found is None:
        # The same objects as next time, so that their pickles are equal (``rendering``).
        found = json.loads(json.dumps(evaluate(observations)))
        known.put(found)
    n, rows, level, draws, of, skipped = found
    return Importances(n, tuple(starmap(Importance, rows)), level, draws, of, tuple(skipped))


@lru_cache(maxsize=16)
def evaluate(observations: tuple[Observation, ...], seed: int = 0) -> Importances:
    """Importances of every knob that varies; the same arguments give the same numbers.

    PED-ANOVA shares sum to 1 over the knobs; a fANOVA share is of the variance of the fitted
    forest; the rest is due to interactions. fANOVA gets a number as its position in the range that
    applied to the trial, on the range's scale, so that a learning rate with a different range for
    each optimizer counts as one knob.

    Args:
        observations: At least 10; their order does not matter to PED-ANOVA.
        seed: Of the forests and the bootstrap.

    Raises:
        ValueError: Too few observations, or fewer than two different values.

    Source:
        Watanabe et al. (2023), PED-ANOVA: efficiently quantifying hyperparameter importance in
        arbitrary subspaces, IJCAI, as Optuna implements it for conditional knobs. Hutter et al.
        (2014), An efficient approach for assessing hyperparameter importance, ICML.
    """
    n = len(observations)
    if n < LEAST:
        raise ValueError(f"{n} trials completed; importances need {LEAST} or more.")
    if len({item.loss for item in observations}) < 2:
        raise ValueError("All completed trials have the same value, so importances are undefined.")
    settings = _by_knob(observations)
    knobs = [knob for knob, own in settings.items() if len({item.value for item in own}) > 1]
    if not knobs:
        raise ValueError("No knob varies between the completed trials.")
    everywhere = [knob for knob in knobs if len(settings[knob]) == n]
    table, cells = _table([settings[knob] for knob in everywhere], n)
    losses = np.array([item.loss for item in observations])
    frozen = [_trial(number, item) for number, item in enumerate(observations)]
    # Resamples dominate the time of a report of many trials, so these get fewer.
    draws, of = (30 if n <= 200 else 20), min(n, _MOST_TRIALS)
    generator = np.random.default_rng(seed)
    ped, first = _ped_anova(frozen, knobs), _fanova(table, losses, cells, TREES, seed)
    ped_draws, first_draws = [], []
    for _ in range(draws):
        chosen = generator.integers(0, n, size=of)
        ped_draws.append(_ped_anova([frozen[index] for index in chosen], knobs))
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


def _by_knob(observations: Sequence[Observation]) -> dict[str, list[Setting]]:
    """The settings of each knob, in the order of the observations that have it."""
    settings: dict[str, list[Setting]] = {}
    for item in observations:
        for setting in item.settings:
            settings.setdefault(setting.knob, []).append(setting)
    return settings


def _trial(number: int, item: Observation) -> FrozenTrial:
    now = datetime(2000, 1, 1)  # a completed trial needs dates; the evaluator ignores them
    # Not ``optuna.create_trial``: it gives all trials one id, by which the evaluator selects them.
    return FrozenTrial(
        number=number,
        trial_id=number,
        state=TrialState.COMPLETE,
        value=item.loss,
        datetime_start=now,
        datetime_complete=now,
        params={setting.knob: setting.value for setting in item.settings},
        distributions={setting.knob: setting.range for setting in item.settings},
        user_attrs={},
        system_attrs={},
        intermediate_values={},
    )


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


def _table(knobs: Sequence[Sequence[Setting]], n: int) -> tuple[Array, list[tuple[float, float]]]:
    """Positions in [0, 1] or indices of choices, shape [n, knobs]; and the ends per knob."""
    columns, cells = [], []
    for settings in knobs:
        choices = list(dict.fromkeys(label for item in settings for label in _choices(item)))
        if choices:
            columns.append([float(choices.index(str(item.value))) for item in settings])
            # Each choice is an interval of width 1, so that all have the same weight.
            cells.append((-0.5, len(choices) - 0.5))
        else:
            columns.append([_position(item) for item in settings])
            cells.append((0.0, 1.0))
    return np.array(columns, dtype=float).T.reshape(n, len(knobs)), cells


def _choices(setting: Setting) -> tuple[str, ...]:
    if isinstance(setting.range, CategoricalDistribution):
        return tuple(map(str, setting.range.choices))
    return ()


def _position(setting: Setting) -> float:
    assert not isinstance(setting.range, CategoricalDistribution)
    low, high = setting.range.low, setting.range.high
    return position(float(setting.value), low, high, log=setting.range.log)


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
    settings: Mapping[str, float | str], ranges: Mapping[str, Range], loss: float
) -> Observation:
    """One trial with the ranges that applied to it.

    Args:
        settings: By knob; those without a range are left out.
        ranges: By knob.
        loss: Its value, negated where the study maximises.
    """
    observed = []
    for knob, value in settings.items():
        entry = ranges.get(knob)
        if entry is None:
            continue
        if entry.choices:
            choices = CategoricalDistribution(tuple(map(str, entry.choices)))
            observed.append(Setting(knob, str(value), choices))
            continue
        low, high, log = entry.low, entry.high, bool(entry.log)
        if low is None or high is None or not isinstance(value, int | float):
            continue
        # An enqueued setting may be outside the range, which Optuna's distributions refuse.
        if low <= value <= high:
            own: Distribution = FloatDistribution(low, high, log)
            if isinstance(value, int):
                own = IntDistribution(int(low), int(high), log)
            observed.append(Setting(knob, value, own))
    return Observation(tuple(observed), float(loss))
