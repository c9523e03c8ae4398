"""The search: Optuna as the source of a study's trials."""

from __future__ import annotations

import json
import time
import warnings
from collections import Counter, deque
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

import optuna
from optuna.storages import BaseStorage
from optuna.trial import FrozenTrial, TrialState
from sqlalchemy.exc import SQLAlchemyError

from workbench.driver.attempts import orphaned, take_over
from workbench.driver.progress import GroupProgress
from workbench.record import (
    Decision,
    EpochResult,
    Result,
    Role,
    State,
    TrialDirectory,
    TrialSpec,
    directory_of,
)
from workbench.record.files import write_atomically
from workbench.study import optuna_storage, space
from workbench.study.search import retries
from workbench.study.search.recovery import (
    PRUNED_AT,
    STATES,
    Records,
    reconcile,
    records_of,
    rewrite,
)
from workbench.study.search.samplers import OneStrategy, pruner_of, sampler_of
from workbench.study.search.storage import (
    close_storage,
    definition_path,
    open_storage,
    refuse_changes,
    stored_definitions,
)
from workbench.study.search.write_through import WriteThroughStorage
from workbench.study.study import Study
from workbench.tracker.store import StoreError

optuna.logging.set_verbosity(optuna.logging.WARNING)

_ENDED = {theirs: ours for ours, theirs in STATES.items()}


def refuse_another_search(study: Study) -> None:
    """Compare the study with the settings that its trials were made with.

    Raises:
        StudyChangedError: They differ.
        StorageError: The settings were lost.
    """
    location = optuna_storage.locate(study.directory)
    storage = open_storage(location)
    try:
        names = [group.name for group in study.groups]
        refuse_changes(stored_definitions(location, names, storage), study)
    finally:
        close_storage(storage)


class Search:
    """A source of trials that asks Optuna (``driver.Source``).

    Every group has an Optuna study of its own, and the group with the fewest trials is asked next.
    Sampler and pruner are built afresh for each trial, from (seed, group, trial) alone, so that
    what is proposed does not depend on when a process was started.

    Args:
        study: The study; ``optuna_storage`` says where its storage is.
        retry_failed: Whether failed trials are run again, see ``retries``.

    Raises:
        StudyChangedError: Trials exist that were made with other settings.
        StorageError: The storage is of another version, or nothing tells with which settings.
        DamagedRecordError: A record cannot be read.
    """

    def __init__(self, study: Study, *, retry_failed: bool = False) -> None:
        self._study = study
        self._config = config = study.config
        self._directory = study.directory
        self._began = time.monotonic()
        self._groups = {group.name: group for group in config.groups}
        # By group: fixed points that are not tried yet.
        self._fixed: dict[str, deque[Mapping[str, Any]]] = {}
        self._targets = space.targets(config)
        self._live: dict[str, optuna.Trial] = {}
        self._reported: dict[str, dict[int, float]] = {}  # values by report
        self._started = dict.fromkeys(self._groups, 0)
        self._ended: dict[str, Counter[State]] = {name: Counter() for name in self._groups}
        self._best_values: dict[str, float] = {}
        self._best: dict[str, tuple[TrialDirectory, tuple[float, int]]] = {}
        self._location = optuna_storage.locate(self._directory)
        self._database = open_storage(self._location)
        try:
            self._location.remember()
            self._storage = WriteThroughStorage(self._database, self._location.prefix)
            self._studies = self._open_all(retry_failed)
            for name in self._groups:
                self._count(name)
        except BaseException:
            close_storage(self._database)  # The caller gets no search that it could close.
            raise

    # -- Optuna's studies -------------------------------------------------------------------

    def _open_all(self, retry_failed: bool) -> dict[str, optuna.Study]:
        """Optuna's study of every group, with the trials that the records hold."""
        study, directory, storage = self._study, self._directory, self._storage
        records = records_of(directory)
        definitions = {group.name: group.definition for group in study.groups}
        stored = dict(stored_definitions(self._location, definitions, self._database))
        corrected = [
            name
            for name, held in stored.items()
            if retry_failed and retries.accepts(held, definitions[name], records.get(name, {}))
        ]
        for name, held in stored.items():
            if held is not None:
                self._keep(name, held)  # Before a rewritten study loses it.
        stored |= {name: definitions[name] for name in corrected}
        refuse_changes(stored, study)
        for name in [name for name, held in stored.items() if held is None]:
            # Left by a driver that ended before its first trial: its direction may have changed.
            with suppress(KeyError):
                optuna.delete_study(study_name=name, storage=storage)
        studies = {name: self._open(storage, name, records.get(name, {})) for name in definitions}
        for name, asked in studies.items():
            if retry_failed:
                retries.retry(asked, self._directory_at, corrected=name in corrected)
            retries.mark(asked, self._directory_at)
            self._keep(name, stored[name] or definitions[name])
        storage.flush()
        return studies

    def _keep(self, name: str, definition: Mapping[str, Any]) -> None:
        path = definition_path(self._directory, name)
        content = json.dumps(definition, indent=1).encode()
        if not path.exists() or path.read_bytes() != content:
            write_atomically(path, content)

    def _open(self, storage: WriteThroughStorage, name: str, records: Records) -> optuna.Study:
        study = self._create(storage, name)
        trials = reconcile(self._config, self._groups[name], study, records)
        if trials is None:
            return study
        with storage.transaction():
            rewrite(study, trials, storage)
        return self._create(storage, name)

    def _create(self, storage: BaseStorage, name: str) -> optuna.Study:
        study = optuna.create_study(
            storage=storage,
            study_name=name,
            direction=optuna.study.StudyDirection[self._config.objective.direction.upper()],
            load_if_exists=True,
            pruner=pruner_of(self._config),
        )
        if study.metric_names is None:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
                study.set_metric_names([self._config.objective.metric])  # shown by dashboards
        return study

    def _count(self, name: str) -> None:
        replaced = retries.successors(self._studies[name])
        trials = self._studies[name].get_trials(deepcopy=False)
        tried = [trial.system_attrs.get("fixed_params") for trial in trials]
        fixed = space.fixed(self._config, self._groups[name])
        self._fixed[name] = deque(point for point in fixed if dict(point) not in tried)
        for trial in trials:
            if trial.state is TrialState.WAITING or trial.number in replaced:
                continue
            self._started[name] += 1
            if trial.state in _ENDED:
                value = trial.value if trial.state is TrialState.COMPLETE else None
                self._note_end(name, _ENDED[trial.state], value)
                spec = None if value is None else self._directory_at(name, trial.number).spec()
                if value is not None and spec is not None:
                    self._becomes_best(spec, value)

    def _note_end(self, name: str, state: State, value: float | None) -> None:
        self._ended[name][state] += 1
        if value is not None and self._config.objective.better(value, self._best_values.get(name)):
            self._best_values[name] = value

    def _becomes_best(self, spec: TrialSpec, value: float) -> bool:
        """Note a completed trial if it is the best of its strategy so far; whether it is."""
        rank, best = spec.objective.rank(value, spec.number), self._best.get(spec.strategy)
        if best is not None and best[1] <= rank:
            return False
        self._best[spec.strategy] = (directory_of(self._directory, spec), rank)
        return True

    def _may_be_best(self, spec: TrialSpec) -> bool:
        """Whether a trial that has sent its last report may be the best of its strategy."""
        objective, values = spec.objective, self._reported[spec.key]
        counted = [values[max(values)]] if objective.epoch == "last" else values.values()
        best = self._best.get(spec.strategy)
        return best is None or min(objective.rank(v, spec.number) for v in counted) < best[1]

    def _directory_at(self, group: str, number: int) -> TrialDirectory:
        return TrialDirectory(self._directory / "trials" / group / f"{number:03d}")

    # -- what the driver asks for (driver.Source) ------------------------------------------

    def adopt(self) -> list[TrialSpec]:
        """Unfinished trials of an earlier driver, which has ended: the caller holds the lease."""
        unfinished = []
        for name, study in self._studies.items():
            for trial in study.get_trials(deepcopy=False, states=(TrialState.RUNNING,)):
                spec = self._adopt(name, study, trial)
                if spec is not None:
                    unfinished.append(spec)
        return unfinished

    def _adopt(self, name: str, study: optuna.Study, trial: FrozenTrial) -> TrialSpec | None:
        directory = self._directory_at(name, trial.number)
        study.sampler = sampler_of(self._config, name, trial.number)
        live = optuna.Trial(study, trial._trial_id)
        with orphaned(directory, f"trial {name}/{trial.number:03d}"):
            recorded = directory.spec()
            spec = recorded or self._spec(name, live)
            self._live[spec.key] = live
            if recorded is None:
                return spec  # Its driver ended before any worker had it.
            self._reported[spec.key] = dict(trial.intermediate_values)
            for line in directory.repair_history(keep=self._undamaged(spec, trial, directory)):
                self._take(spec, line)
            return take_over(spec, directory, self.finish)

    def _undamaged(
        self, spec: TrialSpec, trial: FrozenTrial, directory: TrialDirectory
    ) -> int | None:
        """How many epochs of a history come before one that was reported with another value."""
        for line in directory.repair_history():
            value = trial.intermediate_values.get(line.epoch)
            if value is not None and value != line.metrics[spec.objective.metric]:
                return line.epoch - 1
        return None

    def next(self) -> TrialSpec | None:
        """Ask the group with the fewest trials; None when each has its number or time is up."""
        open_groups = [name for name in self._groups if self._started[name] < self._targets[name]]
        if not open_groups:
            return None
        name = min(open_groups, key=lambda group: self._started[group])
        timeout = self._config.search.timeout
        # All groups must have had the same number of trials, or their best values do not compare.
        full_round = len({self._started[group] for group in open_groups}) == 1
        if timeout and time.monotonic() - self._began >= timeout and full_round:
            return None
        study = self._studies[name]
        waiting = study.get_trials(deepcopy=False, states=(TrialState.WAITING,))
        # Optuna hands out a waiting trial first, so the sampler is that of its number.
        numbers = [trial.number for trial in waiting]
        number = min(numbers, default=len(study.get_trials(deepcopy=False)))
        study.sampler = sampler_of(self._config, name, number)
        if not waiting and self._fixed[name]:
            study.enqueue_trial(dict(self._fixed[name].popleft()))
        trial = study.ask()
        self._started[name] += 1
        spec = self._spec(name, trial)
        # Before the driver writes the record: what the record names is found in the database.
        self._storage.flush()
        self._live[spec.key] = trial
        return spec

    def report(self, spec: TrialSpec, result: EpochResult) -> Decision:
        """Hand an epoch to Optuna, and ask the pruner."""
        self._take(spec, result)
        trial = self._live[spec.key]
        if result.epoch >= spec.plan.reports:
            return Decision.CONTINUE if self._may_be_best(spec) else Decision.DROP_WEIGHTS
        decided = trial.user_attrs.get(PRUNED_AT)
        if decided is not None:
            return Decision.PRUNE if 0 < decided <= result.epoch else Decision.CONTINUE
        if not self._prunes(spec, trial):
            return Decision.CONTINUE
        # Successive halving keeps no state: asked again for this epoch it would answer "continue".
        trial.set_user_attr(PRUNED_AT, result.epoch)
        return Decision.PRUNE

    def _prunes(self, spec: TrialSpec, trial: optuna.Trial) -> bool:
        study = self._studies[spec.group]
        # Hyperband divides the trials of a study into brackets itself.
        if self._config.balanced or isinstance(study.pruner, optuna.pruners.HyperbandPruner):
            return trial.should_prune()
        trials = study.get_trials(deepcopy=False)
        return study.pruner.prune(OneStrategy(study, spec.strategy), trials[trial.number])

    def _take(self, spec: TrialSpec, result: EpochResult) -> None:
        reported = self._reported.setdefault(spec.key, {})
        value = result.metrics[spec.objective.metric]
        # Optuna ignores a second report of an epoch, with a warning.
        if result.epoch not in reported:
            self._live[spec.key].report(value, step=result.epoch)
        # An epoch whose record was lost is trained again, perhaps with another value.
        reported[result.epoch] = value

    def finish(self, spec: TrialSpec, result: Result) -> None:
        """Tell Optuna; keep the weights of the best trial of each strategy only."""
        study, trial = self._studies[spec.group], self._live.pop(spec.key)
        self._reported.pop(spec.key, None)
        completed = result.state is State.COMPLETE
        study.tell(trial, result.value if completed else None, state=STATES[result.state])
        self._note_end(spec.group, result.state, result.value)
        if result.value is not None:
            before = self._best.get(spec.strategy)
            if not self._becomes_best(spec, result.value):
                directory_of(self._directory, spec).drop_weights()
            elif before is not None:
                before[0].drop_weights()

    @property
    def outage(self) -> Exception | None:
        """Why trials must park: Optuna's database did not answer for too long."""
        return self._storage.outage

    # -- what people ask for ---------------------------------------------------------------

    def close(self) -> None:
        """Write what the database lacks, and close it; the search cannot be used any more."""
        # Where it cannot be written, the records have all of it, and the error that ended the
        # search, of a full disk for example, must be the one that is told.
        with suppress(SQLAlchemyError, optuna.exceptions.StorageInternalError, StoreError):
            self._storage.flush()
        close_storage(self._database)

    def progress(self) -> list[GroupProgress]:
        """How far every group is."""
        return [
            GroupProgress.of(
                name,
                self._targets[name],
                self._ended[name],
                begun=self._started[name],
                best=self._best_values.get(name),
            )
            for name in self._groups
        ]

    def best(self) -> Mapping[str, TrialDirectory]:
        """The best completed trial of every strategy that has one."""
        return {strategy: directory for strategy, (directory, _) in self._best.items()}

    def _spec(self, group: str, trial: optuna.Trial) -> TrialSpec:
        proposal = space.suggest(self._config, self._groups[group], trial)
        if not self._config.balanced:
            trial.set_user_attr("strategy", proposal.strategy.name)
        return self._study.spec(proposal, role=Role.SEARCH, group=group, number=trial.number)
