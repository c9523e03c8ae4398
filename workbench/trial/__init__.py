"""One trial in a worker, from its specification to its result.

Drives the engine, or a training of the user's own, and writes the trial directory. Knows neither
Optuna nor MLflow: it reports each epoch to a callable and does what the answer says.
"""

from __future__ import annotations

import io
import time
import traceback
from collections.abc import Callable, Mapping
from typing import Any

import torch

from workbench import backbones, beside, record, tasks
from workbench.backbones import WeightsError
from workbench.datasets import Data
from workbench.downloads import Absent
from workbench.engine import Diverged, Engine, Interrupted, OutOfMemory, choose_device, memory
from workbench.engine.batches import LoaderDied
from workbench.record import Decision, EpochResult, Result, State, TrialDirectory, TrialSpec
from workbench.tasks import Task
from workbench.trial import artifacts, choice
from workbench.trial.choice import Chosen, Trainer
from workbench.usercode import UserCodeError

Report = Callable[[EpochResult], Decision]

CHECKPOINT_SECONDS = 10.0
LOCK_SECONDS = 30.0

# What says in a sentence all that a researcher needs: the kind of error would add nothing.
_TOLD = (Absent, WeightsError, UserCodeError, OutOfMemory, LoaderDied)


class Fenced(Exception):
    """A later attempt of this trial exists: this one must write nothing more."""


def run(directory: TrialDirectory, *, report: Report, interrupted: Callable[[], bool]) -> Result:
    """Carry out what a trial directory specifies, or go on with it.

    Whatever goes wrong inside the trial ends in its result. The epochs that its history holds are
    neither written nor reported twice; the last one alone is sent again, because the answer to it
    may have been lost.

    Args:
        directory: Holds the specification, and what an earlier attempt left.
        report: Blocks until the driver has answered.
        interrupted: Polled before every batch; true parks the trial.

    Raises:
        Fenced: The driver has given the trial to somebody else.
        Locked: An earlier attempt still runs.
    """
    with record.lock(directory.lock_path, wait_seconds=LOCK_SECONDS):
        directory.reopen()
        spec = directory.spec()
        if spec is None:
            raise FileNotFoundError(f"There is no specification in {directory.path}.")
        result = _Run(spec, directory, report, interrupted).to_the_end()
        directory.write_result(result)
        if result.state.ended:
            directory.drop_checkpoints()
        return result


def draw_confusion(directory: TrialDirectory) -> None:
    """Draw what only the best trial of a strategy shows; see ``artifacts.draw_best``."""
    artifacts.draw_best(directory)


def same_code(planned: Mapping[str, str]) -> None:
    """Nothing, if a user's files and the models' are those that a trial was planned with.

    Raises:
        ValueError: One has changed, or is gone.
    """
    for path, digest in planned.items():
        if not beside.is_as_planned(path, digest):
            raise ValueError(f"{path} has changed since the study was planned.")


def _where(failure: BaseException, code: Mapping[str, str]) -> str:
    """The line of the user's own code that a failure came from, if it did."""
    frames = traceback.extract_tb(failure.__traceback__)
    lines = [f"{frame.filename}:{frame.lineno}" for frame in frames if frame.filename in code]
    return f" ({lines[-1]})" if lines else ""


class _Run:
    """State of one attempt."""

    def __init__(
        self,
        spec: TrialSpec,
        directory: TrialDirectory,
        report: Report,
        interrupted: Callable[[], bool],
    ) -> None:
        self.spec = spec
        self.directory = directory
        self.report = report
        self.interrupted = interrupted
        self.history = directory.repair_history()
        self.chosen: Chosen | None = None
        self.begun = record.now()
        self.trainer: Trainer | None = None
        self.data: Data | None = None
        self.task: Task | None = None
        self.device = ""

    def to_the_end(self) -> Result:
        error = None
        try:
            state, reason = self._train()
        except Interrupted:
            state, reason = State.PARKED, "interrupted"
            if self.trainer is not None and self.history:
                self._checkpoint(self.trainer)
        except Diverged as divergence:
            state = State.FAILED
            reason = f"diverged at epoch {divergence.epoch}: {divergence.what}"
        except Fenced:
            raise
        except Exception as failure:
            state, error = State.FAILED, traceback.format_exc()
            told = isinstance(failure, _TOLD)
            reason = str(failure) if told else f"{type(failure).__name__}: {failure}"
            reason += "" if told else _where(failure, self.spec.plan.code)
        if state is State.COMPLETE and self.chosen is not None and self.data is not None:
            artifacts.write_weights(
                self.directory,
                self.spec,
                self.chosen.weights,
                epoch=self.chosen.epoch,
                value=self.chosen.value,
                classes=self.data.classes,
            )
        if state.ended:
            self._leave_artifacts(state)
        return self._result(state, reason, error)

    def _train(self) -> tuple[State, str | None]:
        """Train to the end, or to where the driver or the plan ends it; and why."""
        trainer = self.trainer = self._trainer()
        plan, restored = self.spec.plan, self._restore(trainer)
        accepted = len(self.history)
        if self.history and (answer := self._ask(self.history[-1])) is not Decision.CONTINUE:
            return self._obey(answer)
        if self._ends_early(restored):
            return State.COMPLETE, choice.early(self.history, plan)
        saved = time.monotonic()
        for result in trainer.epochs():
            answer = Decision.CONTINUE
            if result.epoch > accepted:
                choice.must_count(result, self.spec.objective)
                self.directory.append(result)
                self.history.append(result)
            # What was accepted is what counts, even if it could not be repeated bit for bit.
            self._choose(trainer, self.history[result.epoch - 1])
            if result.epoch > accepted:
                answer = self._ask(result)
            if answer is Decision.PARK or time.monotonic() - saved >= CHECKPOINT_SECONDS:
                self._checkpoint(trainer)
                saved = time.monotonic()
            if answer is not Decision.CONTINUE:
                return self._obey(answer)
            if self._ends_early(result.epoch):
                return State.COMPLETE, choice.early(self.history, plan)
        return State.COMPLETE, None

    def _trainer(self) -> Trainer:
        """What trains by the plan, ready to begin."""
        plan = self.spec.plan
        torch.set_num_threads(plan.threads)
        device = choose_device(plan.device)
        self.device = str(device)
        same_code(plan.code)
        self.data = data = backbones.prepare(plan.backbone, artifacts.data_of(self.spec))
        self.task = task = tasks.build(plan.task, data.classes, data.train.targets)
        if plan.trial is not None:
            from workbench.trial.usertrial import Trial, UserTrial

            given = Trial(
                plan=plan,
                data=data,
                task=task,
                seed=self.spec.seed,
                device=device,
                _interrupted=self.interrupted,
            )
            return UserTrial(reference=plan.trial, trial=given)
        with memory.told("building the backbone", device=torch.device("cpu")):
            staged = backbones.build(
                plan.backbone,
                weights=plan.weights,
                keep_head=plan.keep_head,
                input_shape=data.input_shape,
                outputs=task.outputs,
                seed=self.spec.seed,
            )
        return Engine(
            plan=plan,
            staged=staged,
            task=task,
            data=data,
            seed=self.spec.seed,
            device=device,
            interrupted=self.interrupted,
        )

    def _ask(self, result: EpochResult) -> Decision:
        answer = self.report(result)
        if answer is Decision.FENCED:
            raise Fenced(self.spec.name)
        return answer

    def _obey(self, answer: Decision) -> tuple[State, str]:
        state = State.PRUNED if answer is Decision.PRUNE else State.PARKED
        return state, f"{state} at {choice.place(self.history, self.spec.plan)}"

    def _ends_early(self, reports: int) -> bool:
        plan, objective = self.spec.plan, self.spec.objective
        early = choice.stopped_early(self.history[:reports], objective, plan)
        return early and reports < plan.reports

    def _choose(self, trainer: Trainer, result: EpochResult) -> None:
        assert self.task is not None and self.data is not None
        if choice.counts(result, self.chosen, self.spec.objective):
            self.chosen = choice.taken(result, self.spec.objective, trainer, self.task, self.data)

    def _checkpoint(self, trainer: Trainer) -> None:
        reached = trainer.state()
        if reached is None:
            return
        state = {"engine": reached, "chosen": None if self.chosen is None else vars(self.chosen)}
        buffer = io.BytesIO()
        torch.save(state, buffer)
        # After a power cut no state may be ahead of the history.
        self.directory.sync_history()
        self.directory.save_checkpoint(buffer.getvalue())

    def _restore(self, trainer: Trainer) -> int:
        """Go on from the last checkpoint; the number of the report that it stands after."""
        content, _ = self.directory.load_checkpoint()
        if content is None:
            return 0
        state: dict[str, Any] = torch.load(io.BytesIO(content), weights_only=True)
        reached = int(state["engine"]["epoch"])
        if reached > len(self.history):
            return 0
        trainer.restore(state["engine"])
        if state["chosen"] is not None:
            self.chosen = Chosen(**state["chosen"])
        return reached

    def _leave_artifacts(self, state: State) -> None:
        directory, chosen = self.directory, self.chosen if state is State.COMPLETE else None

        def curve() -> None:
            epoch, objective = None if chosen is None else chosen.epoch, self.spec.objective
            artifacts.draw_learning_curve(directory, self.history, epoch, objective)

        if self.history:
            artifacts.guarded(self.spec.name, "learning curve", curve)
        if chosen is not None and chosen.scores:

            def examined() -> None:
                artifacts.write_scores(directory, chosen.scores)
                artifacts.write_mistakes(directory, chosen.mistakes)

            artifacts.guarded(self.spec.name, "scores of the classes", examined)

    def _result(self, state: State, reason: str | None, error: str | None) -> Result:
        seconds = [result.metrics.get("seconds", 0.0) for result in self.history]
        started = self.begun
        if self.history:
            started = min(started, self.history[0].timestamp - round(1000 * seconds[0]))
        counted = self.chosen if state is State.COMPLETE else None
        return Result(
            state=state,
            attempt=self.spec.attempt,
            reason=reason,
            traceback=error,
            value=None if counted is None else counted.value,
            epoch=None if counted is None else counted.epoch,
            metrics={} if counted is None else self.history[counted.epoch - 1].metrics,
            confusion=None if counted is None else counted.confusion,
            classes=None if self.data is None else list(self.data.classes),
            parameters={} if self.trainer is None else self.trainer.parameters,
            started=started,
            ended=record.now(),
            seconds=sum(seconds),
            device=self.device,
        )
