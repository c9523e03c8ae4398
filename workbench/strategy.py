"""What a trial is: a strategy, its hyperparameters, and the phases they resolve to.

Pure data. Knows neither how a study file is written nor how a plan is carried out.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

Scalar = bool | int | float | str | None


@dataclass(frozen=True, kw_only=True)
class Strategy:
    """The values of the compared factors: what a report ranks.

    Attributes:
        name: The labels of its levels joined by ``-``, safe as a folder's name: ``adamw-2``.
        levels: The label of each factor, in the order of the study file.
        knobs: What those levels set, by the knob's path from ``recipe``.
    """

    name: str
    levels: Mapping[str, str] = field(default_factory=dict)
    knobs: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Schedule:
    """How the learning rate moves within a phase.

    Attributes:
        name: An entry of ``optimizers.SCHEDULES``.
        warmup_epochs: Length of the linear warm-up from zero, in epochs (may be a fraction).
        step_epochs: ``step`` only: epochs between two decays.
        gamma: ``step`` only: the factor of a decay.
        final: ``linear`` and ``cosine``: the last factor of the learning rate.
    """

    name: str = "constant"
    warmup_epochs: float = 0.0
    step_epochs: float = 1.0
    gamma: float = 0.1
    final: float = 0.0


@dataclass(frozen=True, kw_only=True)
class Phase:
    """A stretch of epochs with its own optimizer, learning rate and freeze depth.

    Attributes:
        freeze_depth: How many stages, counted from the input, are frozen.
        options: The optimizer's other arguments, complete: ``{"momentum": 0.9, ...}``.
    """

    name: str
    epochs: int
    freeze_depth: int
    optimizer: str
    learning_rate: float
    weight_decay: float
    options: Mapping[str, Scalar]
    schedule: Schedule


@dataclass(frozen=True, kw_only=True)
class Weights:
    """Where a backbone's first weights come from.

    Attributes:
        source: ``imagenet`` or another name that the backbone's family knows, or a file's path.
        sha256: Hash of the file; None for a name that the family resolves.
    """

    source: str
    sha256: str | None = None


@dataclass(frozen=True, kw_only=True)
class Plan:
    """All that the engine reads of a trial: nothing is left to a default later on.

    Attributes:
        dataset: ``name`` and the data set's options.
        backbone: ``name`` and the backbone's options, without the weights.
        weights: None trains from scratch.
        keep_head: Take the head from the weights too.
        task: ``name`` and the task's options.
        batch_size: Samples a step of the optimizer.
        augmentation: Transforms of a training sample, in order, each ``{name: options}``.
        threads: Threads of one worker. Part of the plan, because it changes the last bits.
        phases: In the order in which they are trained; epochs count through.
    """

    dataset: Mapping[str, Any]
    backbone: Mapping[str, Any]
    weights: Weights | None
    keep_head: bool
    task: Mapping[str, Any]
    batch_size: int
    augmentation: tuple[Mapping[str, Any], ...]
    device: str
    threads: int
    phases: tuple[Phase, ...]

    @property
    def epochs(self) -> int:
        """Epochs of all phases together."""
        return sum(phase.epochs for phase in self.phases)
