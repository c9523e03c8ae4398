"""Runs one trial, from its specification to its result, and writes the trial directory.

Used by workers. Each epoch is reported to a callable, whose answer says whether to continue. A run
of the confirmation is tested when its training is complete.
"""

from __future__ import annotations

import gc
import json
import logging
import os
import socket
import time
import traceback
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace

import torch

from workbench import backbones, record, tasks
from workbench.backbones.stages import OutOfMemoryError
from workbench.datasets import Data
from workbench.datasets.preparation import Preparation, preparation_of
from workbench.engine import memory
from workbench.engine.batches import is_dead_loader
from workbench.engine.devices import choose_device, set_gpu_precision
from workbench.engine.loop import DivergedError, Interrupted
from workbench.record import (
    Decision,
    EpochResult,
    Result,
    Role,
    State,
    TrialDirectory,
    TrialSpec,
    environment,
)
from workbench.record.files import DiskError, lock, writing
from workbench.tasks.task import Task
from workbench.trial import (
    artifacts,
    best_epoch,
    checkpoint,
    code,
    evaluation,
    failures,
    saved_weights,
)
from workbench.trial.best_epoch import BestEpoch
from workbench.trial.evaluation import EvaluationResult
from workbench.trial.trainers import Trainer, trainer_of

_LOGGER = logging.getLogger(__name__)

Report = Callable[[EpochResult], Decision]

CHECKPOINT_SECONDS = 10.0
# Some network file systems release the lock of a node that was lost only after 90 s.
LOCK_SECONDS = 120.0
# Seconds before each further attempt to write to a full disk.
DISK_PAUSES = (1.0, 5.0, 15.0)


class Fenced(Exception):
    """A later attempt of this trial exists; this one must stop writing."""


class Lost(Exception):
    """A process that this attempt needs has died; another attempt may finish the trial."""


def run(directory: TrialDirectory, *, report: Report, interrupted: Callable[[], bool]) -> Result:
    """Run the trial that a directory specifies, or resume it.

    An error inside the trial becomes its result. No epoch is written twice. The last one of the
    history is reported again, because its answer may have been lost, and so is every epoch that
    has to be trained again.

    Args:
        directory: Contains the specification, and the record of an earlier attempt.
        report: Blocks until the driver has answered.
        interrupted: Polled before every batch; true parks the trial.

    Raises:
        Fenced: The driver has given the trial to another worker.
        LockedError: An earlier attempt is still running.
        DiskError: The record cannot be written. The trial has not failed; it can be resumed from
            its last checkpoint.
        Lost: A loader process died. The next attempt continues from the last checkpoint.
    """
    note = f"process {os.getpid()} on {socket.gethostname()}"
    with lock(directory.lock_path, note=note, wait_seconds=LOCK_SECONDS):
        directory.reopen()
        spec = directory.spec()
        if spec is None:
            raise FileNotFoundError(f"There is no specification in {directory.path}.")
        attempt = _Attempt(
            spec=spec,
            directory=directory,
            report=report,
            interrupted=interrupted,
            history=directory.repair_history(),
        )
        result = attempt.run()
        attempt.store(lambda: directory.write_result(result))
        # After the result: a kill in between leaves a checkpoint too many, never one too few.
        if result.state.ended:
            directory.drop_checkpoints()
        return result


@dataclass(kw_only=True, eq=False)
class _Attempt:
    """One attempt at a trial.

    Attributes:
        micro_batch_size: The plan's, halved because training ran out of memory.
        keeps_weights: Whether the best epoch's weights are written when the trial is complete.
    """

    spec: TrialSpec
    directory: TrialDirectory
    report: Report
    interrupted: Callable[[], bool]
    history: list[EpochResult]
    begun: int = field(default_factory=record.now)
    chosen: BestEpoch | None = None
    trainer: Trainer | None = None
    data: Data | None = None
    preparation: Preparation | None = None
    task: Task | None = None
    device: torch.device | None = None
    provenance: Mapping[str, str] = field(default_factory=dict)
    peak_is_known: bool = False
    peak: int | None = None
    tested: EvaluationResult | None = None
    restarted: bool = False
    micro_batch_size: int | None = None
    keeps_weights: bool = True

    def run(self) -> Result:
        error = None
        try:
            with writing(self.directory.path):
                state, reason = self._train_and_test()
        except Interrupted:
            state, reason = State.PARKED, "interrupted"
        except DivergedError as divergence:
            state, reason = State.FAILED, str(divergence)
        except (Fenced, DiskError):
            raise  # Not a failure of the trial: no result is written.
        except Exception as failure:
            if is_dead_loader(failure):
                raise Lost(
                    f"a loader process died: {failure} The machine may have run out of memory; "
                    "with loader_workers: 0 the training process makes the batches itself."
                ) from failure
            state, error = State.FAILED, traceback.format_exc()
            reason = failures.reason(failure, self.spec.plan.code)
        if state is State.COMPLETE and (chosen := self.chosen) is not None:
            data, preparation = self.data, self.preparation
            assert data is not None and preparation is not None
            kept = self.directory, self.spec, chosen, data, preparation
            if self.keeps_weights:
                self.store(lambda: saved_weights.write_weights(*kept))
            self.store(
                lambda: artifacts.write_examination(self.directory, chosen.scores, chosen.mistakes)
            )
        return self._result(state, reason, error)

    def store(self, write: Callable[[], None]) -> None:
        """Write a part of the record; if the disk is full or fails, wait and try again.

        Raises:
            Fenced: A later attempt has begun, because this one seemed lost: its node was cut off.
            DiskError: Every attempt failed, or the trial was asked to stop meanwhile.
        """
        current = self.directory.stored_spec()
        if current is not None and current.attempt > self.spec.attempt:
            raise Fenced(self.spec.name)
        for pause in DISK_PAUSES:
            try:
                with writing(self.directory.path):
                    return write()
            except DiskError as error:
                _LOGGER.warning("%s: %s Retrying in %g s.", self.spec.name, error, pause)
                until = time.monotonic() + pause
                # In short sleeps, so that a signal does not wait for the end of the pause.
                while time.monotonic() < until:
                    if self.interrupted():
                        raise
                    time.sleep(0.1)
        with writing(self.directory.path):
            return write()

    def _train_and_test(self) -> tuple[State, str | None]:
        """Train, and test a confirmation run; returns the state and its reason."""
        if self.spec.role is Role.CONFIRMATION:
            evaluation.must_be_open(self.directory, self.spec)
        try:
            state, reason = self._train()
        finally:
            # Before the test, so that runs with and without a test are comparable.
            if self.device is not None and self.peak_is_known:
                self.peak = memory.peak(self.device)
        if state is State.COMPLETE and self.spec.role is Role.CONFIRMATION:
            self._test()
        return state, reason

    def _test(self) -> None:
        """Evaluate the kept model on the test split; a run's result contains it once.

        A run killed before its result was written resumes from its last checkpoint and is tested
        again; the table of the first test is overwritten with the same numbers.
        """
        chosen, data, task, device = self.chosen, self.data, self.task, self.device
        assert chosen is not None and data is not None and task is not None and device is not None

        def before() -> None:
            if self.interrupted():
                assert self.trainer is not None
                self._checkpoint(self.trainer)
                raise Interrupted("asked to stop during the test")

        self.tested = evaluation.measure(
            self.directory,
            self.spec,
            chosen=chosen,
            data=data,
            task=task,
            device=device,
            before=before,
        )
        tested = self.tested
        # Before the result: a result with a test always has its table.
        self.store(lambda: tested.write(self.directory))

    def _train(self) -> tuple[State, str | None]:
        """Train; once more with half the micro-batch where that runs out of memory."""
        try:
            return self._train_once()
        except OutOfMemoryError as failure:
            if (half := self.micro_batch_size) is not None:
                again = f"{failure} This was the second try, with micro_batch_size: {half}."
                raise OutOfMemoryError(again) from failure
            half = self._half_micro_batch()
            if half is None:
                raise
            again = "trained once more, with micro-batches of"
            _LOGGER.warning("%s: %s %d: %s", self.spec.name, again, half, str(failure))
        # After the block, whose error holds tensors; and the engine is part of a reference cycle.
        self.trainer, self.micro_batch_size = None, half
        gc.collect()
        return self._train()

    def _half_micro_batch(self) -> int | None:
        """Half the samples of a forward pass; None if smaller passes cannot help."""
        plan = self.spec.plan
        # They do not help to build a model, and are not known to a user's own training.
        if self.trainer is None or self.data is None or plan.trial is not None:
            return None
        size = plan.micro_batch_size or plan.batch_size
        return min(size, len(self.data.train.index)) // 2 or None

    def _train_once(self) -> tuple[State, str | None]:
        """Train until the plan, early stopping or the driver ends it; returns state and reason."""
        trainer, restored = self._resume()
        plan, accepted = self.spec.plan, len(self.history)
        if self.history and (answer := self._ask(self.history[-1])) is not Decision.CONTINUE:
            return self._obey(answer)
        if self._ends_early(restored):
            return State.COMPLETE, best_epoch.early_stop_reason(self.history, plan)
        saved = time.monotonic()
        for result in trainer.epochs():
            answer = Decision.CONTINUE
            if result.epoch > accepted:
                best_epoch.require_metric(result, self.spec.objective)
                self.store(lambda line=result: self.directory.append(line))  # type: ignore[misc]
                self.history.append(result)
            # An epoch that is repeated after a crash keeps its recorded metrics: the driver has
            # decided by them, and a GPU may not repeat them bit for bit.
            self._choose(trainer, self.history[result.epoch - 1])
            # Repeated ones are reported too: the driver shows them, and must not take the trial for
            # stalled. The last one was reported above.
            if result.epoch != accepted:
                answer = self._ask(self.history[result.epoch - 1])
            # A parked trial must lose nothing; after a crash some seconds are trained again.
            if answer is Decision.PARK or time.monotonic() - saved >= CHECKPOINT_SECONDS:
                self._checkpoint(trainer)
                saved = time.monotonic()
            if answer is not Decision.CONTINUE:
                return self._obey(answer)
            if self._ends_early(result.epoch):
                return State.COMPLETE, best_epoch.early_stop_reason(self.history, plan)
        return State.COMPLETE, None

    def _trainer(self) -> Trainer:
        """Check code and data, and build the trainer."""
        plan = self.spec.plan
        # The number of threads changes the last bits of sums.
        torch.set_num_threads(plan.threads)
        device = self.device = choose_device(plan.device)
        set_gpu_precision(plan.precision)
        # At the start, because the code may be edited while the trial runs.
        self.provenance = environment.provenance(str(device), plan.threads, self._commit())
        self.peak_is_known = memory.start_peak(device)
        code.require_planned(plan.code)
        self.data = data = backbones.prepare(plan.backbone, artifacts.data_of(self.spec))
        # At the start, because the files of the data set may be gone at the end.
        self.preparation = preparation_of(plan.dataset, data, target=tasks.target_of(plan.task))
        self.task = task = tasks.build(plan.task, data.classes, data.train.targets)
        if self.micro_batch_size is not None:
            plan = replace(plan, micro_batch_size=self.micro_batch_size)
            tag = f"{self.micro_batch_size}, halved after running out of memory"
            self.provenance = {**self.provenance, "micro_batch_size": tag}
        return trainer_of(replace(self.spec, plan=plan), data, task, device, self.interrupted)

    def _ask(self, result: EpochResult) -> Decision:
        answer = self.report(result)
        if answer is Decision.FENCED:
            raise Fenced(self.spec.name)
        # The last answer counts: a user's own training may report more often than planned.
        self.keeps_weights = answer is not Decision.DROP_WEIGHTS
        return answer if self.keeps_weights else Decision.CONTINUE

    def _obey(self, answer: Decision) -> tuple[State, str]:
        state = State.PRUNED if answer is Decision.PRUNE else State.PARKED
        return state, f"{state} at {best_epoch.place(self.history, self.spec.plan)}"

    def _ends_early(self, reports: int) -> bool:
        plan, objective = self.spec.plan, self.spec.objective
        early = best_epoch.stopped_early(self.history[:reports], objective, plan)
        return early and reports < plan.reports

    def _choose(self, trainer: Trainer, result: EpochResult) -> None:
        assert self.task is not None and self.data is not None
        if best_epoch.is_better(result, self.chosen, self.spec.objective):
            self.chosen = best_epoch.choose(
                result, self.spec.objective, trainer, self.task, self.data
            )

    def _checkpoint(self, trainer: Trainer) -> None:
        kept = self.chosen, self.micro_batch_size
        self.store(lambda: checkpoint.write(self.directory, trainer, *kept))

    def _resume(self) -> tuple[Trainer, int]:
        """The trainer after the last checkpoint, and the number of its report; 0 without one."""
        path, damaged = self.directory.find_checkpoint()
        self.restarted = self.restarted or (path is None and bool(damaged))
        content = {} if path is None else checkpoint.read(path)
        self.micro_batch_size = self.micro_batch_size or content.get("micro_batch_size")
        trainer = self.trainer = self._trainer()
        reached = int(content["engine"]["epoch"]) if content else 0
        if reached > len(self.history):
            return trainer, 0  # The history was damaged and cut: its epochs are trained again.
        if content:
            chosen = checkpoint.restore(content, trainer)
            # When memory has run out, the best epoch may be later than the checkpoint.
            self.chosen = self.chosen or chosen
        if self.micro_batch_size is not None:
            self._checkpoint(trainer)  # So that a later attempt trains with it too.
        return trainer, reached

    def _commit(self) -> str:
        """The commit of the study's code, as the driver recorded it; empty if it did not."""
        path = record.environment_path(record.study_of(self.directory, self.spec))
        return str(json.loads(path.read_text())["commit"]) if path.exists() else ""

    def _result(self, state: State, reason: str | None, error: str | None) -> Result:
        seconds = [result.metrics.get("seconds", 0.0) for result in self.history]
        started = self.begun
        if self.history:
            # The first attempt began before its first epoch was recorded.
            started = min(started, self.history[0].timestamp - round(1000 * seconds[0]))
        chosen = self.chosen if state is State.COMPLETE else None
        device = "" if self.device is None else str(self.device)
        return Result(
            state=state,
            attempt=self.spec.attempt,
            reason=reason,
            traceback=error,
            value=None if chosen is None else chosen.value,
            epoch=None if chosen is None else chosen.epoch,
            metrics={} if chosen is None else self.history[chosen.epoch - 1].metrics,
            confusion=None if chosen is None else chosen.confusion,
            classes=None if self.data is None else list(self.data.classes),
            parameters={} if self.trainer is None else self.trainer.parameters,
            started=started,
            ended=record.now(),
            seconds=sum(seconds),
            saved_seconds=0.0 if self.trainer is None else self.trainer.saved_seconds,
            device=device,
            test={} if chosen is None or self.tested is None else self.tested.metrics,
            provenance=self.provenance,
            peak_memory=self.peak,
            damaged_checkpoints=self.directory.damaged_checkpoints(),
            restarted=self.restarted,
        )
