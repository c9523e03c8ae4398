"""Which stages of a trial are frozen, and what is asked of an activation source for them.

Used by ``loop``; ``trial.evaluation`` asks for the test part alike.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import partial
from typing import TYPE_CHECKING

import torch

from workbench.backbones.stages import Staged
from workbench.datasets.samples import Tokens
from workbench.engine import inference, parameter_groups
from workbench.engine.activations import ActivationSource, Request, StoredActivations
from workbench.record.strategy import Plan

if TYPE_CHECKING:
    from workbench.datasets import Data, Part
    from workbench.engine.batches import Batches


@dataclass(frozen=True, kw_only=True, eq=False)
class StoredParts:
    """What is stored for training and for validation; None where the model runs all stages."""

    train: StoredActivations | None = None
    validation: StoredActivations | None = None


@dataclass(kw_only=True, eq=False)
class FrozenStages:
    """Asks for the outputs of a trial's frozen stages.

    Once for each freeze depth; with augmentation, in every epoch for training.

    Attributes:
        source: None where nothing may be stored.
        plan: Of the trial.
        data: Of the trial.
        batches: Its training batches.
        before_batch: See ``Request``.
        saved_seconds: About how much longer the epochs would have taken without stored outputs;
            negative if they took longer to compute than they have saved so far.
    """

    source: ActivationSource | None
    plan: Plan
    data: Data
    batches: Batches
    before_batch: Callable[[], None]
    saved_seconds: float = 0.0
    _depth: int = 0
    _epoch: int = 0
    _found: StoredParts = field(default_factory=StoredParts)

    def outputs(self, staged: Staged, epoch: int) -> StoredParts:
        """The outputs of the stages that are frozen in an epoch; changes the model's mode.

        Called for each report.
        """
        frozen = frozen_depth(self.plan, epoch)
        if self.source is None or not frozen:
            return StoredParts()
        staged.module.eval()
        started = time.perf_counter()
        if frozen != self._depth:
            asked = for_evaluation(
                staged, frozen, self.data.validation, before_batch=self.before_batch
            )
            self._found = StoredParts(validation=self.source.get(asked))
        if frozen != self._depth or (self.plan.augmentation and epoch != self._epoch):
            train = self._train(self.source, staged, frozen, epoch)
            self._found = replace(self._found, train=train)
        self._depth, self._epoch = frozen, epoch
        if self._found.train is not None:
            self.saved_seconds += self._found.train.saved_seconds / self.plan.reports_per_epoch
        if self._found.validation is not None:
            self.saved_seconds += self._found.validation.saved_seconds
        self.saved_seconds -= time.perf_counter() - started
        return self._found

    def _train(
        self, source: ActivationSource, staged: Staged, frozen: int, epoch: int
    ) -> StoredActivations | None:
        plan, part = self.plan, self.data.train
        passed = plan.micro_batch_size
        read = partial(self.batches.read, epoch)
        stored = source.get(
            Request(
                staged=staged,
                depth=frozen,
                read=read,
                index=part.index,
                epoch=epoch if plan.augmentation else None,
                epochs=plan.epochs if plan.augmentation else 1,
                size=min(passed or plan.batch_size, len(part.index)),
                # Which samples share the last batch changes every epoch.
                pad_last=True,
                before_batch=self.before_batch,
            )
        )
        return stored and stored.with_sizes(self.batches.sizes(passed), staged.module, read)


def for_evaluation(
    staged: Staged, depth: int, part: Part, *, before_batch: Callable[[], None]
) -> Request:
    """A request for a part that a model is evaluated on, in batches of ``outputs_of``."""
    staged.module.eval()
    return Request(
        staged=staged,
        depth=depth,
        read=part.inputs.__getitem__,
        index=part.index,
        size=min(inference.batch_size(part.inputs), len(part.index)),
        pad_last=False,
        before_batch=before_batch,
    )


def frozen_depth(plan: Plan, epoch: int) -> int:
    """How many stages no epoch up to this one has trained."""
    places = [plan.place_of(each) for each in range(1, epoch + 1)]
    return min(parameter_groups.depth(plan.phases[phase], within) for phase, within in places)


def is_cacheable(plan: Plan, device: torch.device, *parts: Part) -> bool:
    """Whether the outputs of a trial's frozen stages may be of use to other trials or epochs.

    Only on the CPU, where it is known that the numbers are the same.
    """
    # Else a batch of texts has the length of its longest one, on which the last bits depend.
    if any(isinstance(part.inputs, Tokens) and not part.inputs.uniform for part in parts):
        return False
    mixed = plan.mixup or plan.cutmix
    # An average of frozen weights may differ from them in the last bit; adapters change outputs.
    same = not (mixed or plan.ema or plan.lora) and plan.precision in ("float32", "tf32")
    return same and device.type == "cpu"
