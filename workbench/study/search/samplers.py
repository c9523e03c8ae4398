"""Who proposes a trial's settings and who ends it early: Optuna's samplers and pruners.

Built afresh for each trial, from (seed, group, trial) alone, so that what is proposed does not
depend on when a process was started.
"""

from __future__ import annotations

import warnings
from collections.abc import Container
from typing import Any

import optuna
from optuna.trial import FrozenTrial, TrialState

from workbench.record.seeds import derive
from workbench.study.config.study_config import StudyConfig

_PRUNERS: dict[str, type[optuna.pruners.BasePruner]] = {
    "none": optuna.pruners.NopPruner,
    "median": optuna.pruners.MedianPruner,
    "successive_halving": optuna.pruners.SuccessiveHalvingPruner,
    "hyperband": optuna.pruners.HyperbandPruner,
}


def sampler_of(config: StudyConfig, group: str, number: int) -> optuna.samplers.BaseSampler:
    """The sampler of one trial of a group; a grid is enumerated by ``space`` and needs none.

    Groups draw independently of each other: what one search happens to try first is no strategy's
    advantage that all of them share.
    """
    seed = derive(config.search.seed, "sampler", group, number) % 2**32
    knobs = config.search.sampler
    if knobs.name != "tpe":
        return optuna.samplers.RandomSampler(seed=seed)
    options: dict[str, Any] = {"n_startup_trials": config.startup_trials, **knobs.options}
    # Optuna marks the options of a multivariate TPE as experimental each time.
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        return optuna.samplers.TPESampler(seed=seed, multivariate=True, group=True, **options)


def pruner_of(config: StudyConfig) -> optuna.pruners.BasePruner:
    """The pruner of a study; it counts reports, of which an epoch may have several."""
    options: dict[str, Any] = dict(config.search.pruner.options)
    if config.search.pruner.name == "median":
        options.setdefault("n_startup_trials", config.startup_trials)
    return _PRUNERS[config.search.pruner.name](**options)


class OneStrategy(optuna.Study):
    """A joint study as a pruner may see it: the trials of one strategy alone.

    Else a strategy that starts slowly would be pruned against one that starts fast.
    """

    def __init__(self, study: optuna.Study, strategy: str) -> None:
        super().__init__(
            study_name=study.study_name,
            storage=study._storage,
            sampler=study.sampler,
            pruner=study.pruner,
        )
        self._strategy = strategy

    def get_trials(
        self, deepcopy: bool = True, states: Container[TrialState] | None = None
    ) -> list[FrozenTrial]:
        """Those of the strategy."""
        trials = super().get_trials(deepcopy=deepcopy, states=states)
        return [t for t in trials if t.user_attrs.get("strategy") == self._strategy]
