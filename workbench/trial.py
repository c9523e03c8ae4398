"""One trial in a worker, from its specification to its result.

Drives the engine, writes the trial directory and draws the trial's figures. Knows neither Optuna
nor MLflow: it reports each epoch to a callable and does what the answer says.
"""

from __future__ import annotations

import io
import json
import logging
import time
import traceback
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from safetensors.torch import save

from workbench import backbones, datasets, record, tasks, usercode
from workbench.engine import Diverged, Engine, Interrupted, choose_device
from workbench.figures import confusion_matrix, learning_curve, style
from workbench.record import Decision, EpochResult, Result, State, TrialDirectory, TrialSpec

Report = Callable[[EpochResult], Decision]

_LOGGER = logging.getLogger(__name__)

CHECKPOINT_SECONDS = 10.0
LOCK_SECONDS = 30.0


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
    """Draw the confusion matrix of a completed trial into its artifacts, if it has one."""
    result = directory.result()
    if result is not None and result.confusion and result.classes:
        figure = confusion_matrix.draw(confusion_matrix.summarize(result.confusion, result.classes))
        directory.artifacts.mkdir(parents=True, exist_ok=True)
        style.save(figure, directory.artifacts / "confusion_matrix", formats=("png",))


def _same_code(planned: Mapping[str, str]) -> None:
    """A trial never runs other code than the one it was planned with."""
    for path, digest in planned.items():
        if usercode.sha256_of(f"{path}:_") != digest:
            raise ValueError(f"{path} has changed since the study was planned.")


@dataclass
class _Chosen:
    """The epoch that the objective's rule has chosen so far."""

    epoch: int
    value: float
    confusion: list[list[int]] | None
    weights: Mapping[str, torch.Tensor]


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
        self.chosen: _Chosen | None = None
        self.begun = record.now()
        self.engine: Engine | None = None
        self.classes: list[str] | None = None
        self.device = ""

    def to_the_end(self) -> Result:
        try:
            state = self._train()
            reason = None if state is State.COMPLETE else f"{state} at epoch {len(self.history)}"
            error = None
        except Interrupted:
            state, reason, error = State.PARKED, "interrupted", None
            if self.engine is not None and self.history:
                self._checkpoint(self.engine)
        except Diverged as divergence:
            state, error = State.FAILED, None
            reason = f"diverged at epoch {divergence.epoch}: {divergence.what}"
        except Fenced:
            raise
        except Exception as failure:
            state, error = State.FAILED, traceback.format_exc()
            reason = f"{type(failure).__name__}: {failure}"
        if state.ended and self.history:
            try:
                self._draw(state)
            except Exception:  # a picture must not cost a trial
                _LOGGER.warning("%s: no learning curve", self.spec.name, exc_info=True)
        if state is State.COMPLETE:
            self._keep_weights()
        return self._result(state, reason, error)

    def _train(self) -> State:
        plan = self.spec.plan
        torch.set_num_threads(plan.threads)
        device = choose_device(plan.device)
        self.device = str(device)
        _same_code(plan.code)
        data = datasets.load(
            plan.dataset,
            target=tasks.target_of(plan.task),
            study_seed=self.spec.study_seed,
            seed=self.spec.seed,
        )
        if data.digest != self.spec.data_digest:
            raise ValueError(
                f"The data set has changed since the study was planned: its hash is {data.digest}, "
                f"the specification says {self.spec.data_digest}."
            )
        data = backbones.prepare(plan.backbone, data)
        task = tasks.build(plan.task, data.classes, data.train.targets)
        self.classes = list(data.classes)
        staged = backbones.build(
            plan.backbone,
            weights=plan.weights,
            keep_head=plan.keep_head,
            input_shape=data.input_shape,
            outputs=task.outputs,
            seed=self.spec.seed,
        )
        self.engine = engine = Engine(
            plan=plan,
            staged=staged,
            task=task,
            data=data,
            seed=self.spec.seed,
            device=device,
            interrupted=self.interrupted,
        )
        self._restore(engine)
        accepted = len(self.history)
        if self.history and (answer := self._ask(self.history[-1])) is not Decision.CONTINUE:
            return self._obey(answer)
        saved = time.monotonic()
        for result in engine.epochs():
            answer = Decision.CONTINUE
            if result.epoch > accepted:
                self.directory.append(result)
                self.history.append(result)
            self._choose(engine, result)
            if result.epoch > accepted:
                answer = self._ask(result)
            if answer is Decision.PARK or time.monotonic() - saved >= CHECKPOINT_SECONDS:
                self._checkpoint(engine)
                saved = time.monotonic()
            if answer is not Decision.CONTINUE:
                return self._obey(answer)
        return State.COMPLETE

    def _ask(self, result: EpochResult) -> Decision:
        answer = self.report(result)
        if answer is Decision.FENCED:
            raise Fenced(self.spec.name)
        return answer

    def _obey(self, answer: Decision) -> State:
        return State.PRUNED if answer is Decision.PRUNE else State.PARKED

    def _choose(self, engine: Engine, result: EpochResult) -> None:
        objective = self.spec.objective
        value = result.metrics[objective.metric]
        best = None if self.chosen is None else self.chosen.value
        if objective.epoch == "last" or objective.better(value, best):
            self.chosen = _Chosen(
                epoch=result.epoch,
                value=value,
                confusion=engine.confusion,
                weights=engine.weights(),
            )

    def _checkpoint(self, engine: Engine) -> None:
        chosen = self.chosen
        state = {
            "engine": engine.state(),
            "chosen": None
            if chosen is None
            else {
                "epoch": chosen.epoch,
                "value": chosen.value,
                "confusion": chosen.confusion,
                "weights": dict(chosen.weights),
            },
        }
        buffer = io.BytesIO()
        torch.save(state, buffer)
        # After a power cut no state may be ahead of the history.
        self.directory.sync_history()
        self.directory.save_checkpoint(buffer.getvalue())

    def _restore(self, engine: Engine) -> None:
        content, _ = self.directory.load_checkpoint()
        if content is None:
            return
        state: dict[str, Any] = torch.load(io.BytesIO(content), weights_only=True)
        if state["engine"]["epoch"] > len(self.history):
            return
        engine.restore(state["engine"])
        if state["chosen"] is not None:
            self.chosen = _Chosen(**state["chosen"])

    def _keep_weights(self) -> None:
        assert self.chosen is not None
        content = save(dict(self.chosen.weights))
        record.write_atomically(self.directory.weights, content)
        description = {
            "format": "safetensors: the state dict of the whole model",
            "study": self.spec.study,
            "trial": self.spec.name,
            "epoch": self.chosen.epoch,
            "metric": self.spec.objective.metric,
            "value": self.chosen.value,
            "backbone": record.plain(self.spec.plan.backbone),
            "dataset": record.plain(self.spec.plan.dataset),
            "classes": self.classes,
            "sha256": record.sha256_of(self.directory.weights),
        }
        text = json.dumps(description, indent=1)
        record.write_atomically(self.directory.weights_description, text.encode())

    def _draw(self, state: State) -> None:
        chosen = self.chosen.epoch if state is State.COMPLETE and self.chosen else None
        summary = learning_curve.summarize(self.history, chosen, self.spec.objective)
        self.directory.artifacts.mkdir(parents=True, exist_ok=True)
        path = self.directory.artifacts / "learning_curve"
        style.save(learning_curve.draw(summary), path, formats=("png",))

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
            classes=self.classes,
            parameters={} if self.engine is None else self.engine.parameters,
            started=started,
            ended=record.now(),
            seconds=sum(seconds),
            device=self.device,
        )
