"""Data classes of a strategy and of a plan: the resolved settings of one trial.

``study`` makes them from a study file, ``engine`` and ``trial`` read them, and the record stores
them as JSON; their field names are part of the file format.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any

from pydantic import Field

Scalar = bool | int | float | str | None
# Settings of a block of a study file by key, nested as in the file: plain JSON values.
Knobs = Mapping[str, Any]


@dataclass(frozen=True, kw_only=True)
class Strategy:
    """One combination of the compared factors; reports rank strategies.

    Attributes:
        name: The labels of its levels joined by ``-``, safe as a folder's name: ``adamw-2``.
        levels: The label of each factor, in the order of the study file.
        knobs: The settings of these levels, by the knob's path from ``recipe``.
    """

    name: str
    levels: Mapping[str, str] = field(default_factory=dict)
    knobs: Knobs = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Schedule:
    """How the learning rate moves within a phase."""

    name: str = "constant"
    warmup_epochs: Annotated[
        float, Field(ge=0, description="Epochs of a linear warm-up from zero, before the schedule.")
    ] = 0.0
    step_epochs: Annotated[float, Field(gt=0, description="`step`: epochs between two decays.")] = (
        1.0
    )
    gamma: Annotated[float, Field(gt=0, le=1, description="`step`: the factor of a decay.")] = 0.1
    final: Annotated[
        float,
        Field(ge=0, le=1, description="`linear`, `cosine`: last factor of the learning rate."),
    ] = 0.0


@dataclass(frozen=True, kw_only=True)
class Phase:
    """A number of epochs with one optimizer, learning rate and freeze depth.

    Attributes:
        freeze_depth: Number of stages, from the input, that are frozen when the phase begins.
        options: All other arguments of the optimizer: ``{"momentum": 0.9, ...}``.
        unfreeze_every: Epochs after which one more stage is unfrozen, from the head downwards
            (gradual unfreezing, Howard and Ruder 2018); 0 does not change the freeze depth.
        trainable: What is trained in the stages that are not frozen: ``all`` parameters, the
            ``bias`` terms (BitFit, Ben Zaken et al. 2022) or the ``norm`` layers' affine
            parameters. The head is always trained.
        layer_decay: Factor of the learning rate from one stage to the one before it, counted from
            the head, whose factor is 1 (Clark et al. 2020, ELECTRA).
        head_learning_rate: Of the head; None uses that of the phase.
        l2_sp: Strength of the penalty on the squared distance of the body's parameters from their
            initial values (Li et al. 2018).
    """

    name: str
    epochs: int
    freeze_depth: int
    optimizer: str
    learning_rate: float
    weight_decay: float
    options: Mapping[str, Scalar]
    schedule: Schedule
    unfreeze_every: int = 0
    trainable: str = "all"
    layer_decay: float = 1.0
    head_learning_rate: float | None = None
    l2_sp: float = 0.0


@dataclass(frozen=True, kw_only=True)
class EarlyStopping:
    """When a trial ends before its last epoch."""

    patience: Annotated[
        int,
        Field(
            ge=1,
            description="Reports without a better value before a trial ends. Those of the last "
            "phase count, with `unfreeze` those after the last stage is unfrozen.",
        ),
    ]
    least: Annotated[
        float, Field(ge=0, description="By how much a value must be better to count.")
    ] = 0.0


@dataclass(frozen=True, kw_only=True)
class Lora:
    """Low-rank adapters in the stages that are not frozen (Hu et al. 2022)."""

    rank: Annotated[
        int, Field(ge=1, le=65_536, description="Rank of the update of each weight matrix.")
    ] = 8
    alpha: Annotated[float, Field(gt=0, description="The update is scaled by `alpha / rank`.")] = (
        16.0
    )
    dropout: Annotated[
        float, Field(ge=0, lt=1, description="Probability of dropout before the adapter.")
    ] = 0.0
    targets: Annotated[
        tuple[str, ...] | None,
        # A study file has lists, which strict validation would not take for a tuple.
        Field(strict=False, description="Ends of the names of the adapted modules."),
    ] = None


@dataclass(frozen=True, kw_only=True)
class Weights:
    """Source of a backbone's initial weights.

    Attributes:
        source: ``IMAGENET1K_V1`` or another name of the backbone's family, a hub id, or the path of
            a file or of a model's folder.
        sha256: Hash of the file or of the folder's weights; None for a name.
    """

    source: str
    sha256: str | None = None


@dataclass(frozen=True, kw_only=True)
class Plan:
    """All settings of a trial, with every default filled in.

    Attributes:
        dataset: ``name`` and the data set's options.
        backbone: ``name`` and the backbone's options, without the weights.
        weights: None trains from scratch.
        keep_head: Load the head from the weights too.
        task: ``name`` and the task's options.
        batch_size: Samples per step of the optimizer.
        micro_batch_size: Samples per forward pass, if a step takes several passes.
        augmentation: Transforms of a training sample, in order, each ``{name: options}``.
        threads: Threads of one worker. Part of the plan, because it changes the last bits.
        phases: In the order of training; epochs are numbered through all phases.
        precision: ``float32``, ``tf32``, or ``bfloat16`` for automatic mixed precision.
        clip_norm: Largest norm of a step's gradient; None does not clip.
        ema: Decay of the moving average of the weights, which is then validated and kept; None
            uses the weights themselves.
        mixup: Alpha of mixup (Zhang et al. 2018); 0 does not mix.
        cutmix: Alpha of CutMix (Yun et al. 2019); 0 does not mix. With both, one of the two is
            drawn for each batch.
        report_every: Epochs between two reports: 1, or one over a whole number.
        early_stopping: None trains to the last epoch.
        lora: None trains the weights themselves.
        loader_workers: Number of processes that load and augment; 0 does it in the worker.
        activations_gb: Largest size of the activation store; 0 does not use it.
        trial: A user's own training, ``FILE.py:NAME``; None for the engine.
        trial_options: The keyword arguments of that training.
        code: By path, the hash of every file of a user's own code that the plan names, of the files
            in its folder that it imports, and of the configuration and tokenizer in a model's
            folder; by ``hub:ID``, the commit of a model of the hub.
    """

    dataset: Knobs
    backbone: Knobs
    weights: Weights | None
    keep_head: bool
    task: Knobs
    batch_size: int
    augmentation: tuple[Knobs, ...]
    device: str
    threads: int
    phases: tuple[Phase, ...]
    micro_batch_size: int | None = None
    precision: str = "float32"
    clip_norm: float | None = None
    ema: float | None = None
    mixup: float = 0.0
    cutmix: float = 0.0
    report_every: float = 1.0
    early_stopping: EarlyStopping | None = None
    lora: Lora | None = None
    loader_workers: int = 0
    activations_gb: float = 10.0
    trial: str | None = None
    trial_options: Knobs = field(default_factory=dict)
    code: Mapping[str, str] = field(default_factory=dict)

    @property
    def epochs(self) -> int:
        """Number of epochs of all phases."""
        return sum(phase.epochs for phase in self.phases)

    def place_of(self, epoch: int) -> tuple[int, int]:
        """Index of an epoch's phase, and the epoch's number within it, from 1.

        Raises:
            ValueError: The plan has fewer epochs.
        """
        before = 0
        for number, phase in enumerate(self.phases):
            if epoch <= before + phase.epochs:
                return number, epoch - before
            before += phase.epochs
        raise ValueError(f"Epoch {epoch} does not exist: the plan has {before} epochs.")

    @property
    def reports_per_epoch(self) -> int:
        """Number of reports per epoch."""
        return round(1 / self.report_every)

    @property
    def reports(self) -> int:
        """Number of reports of a trial that is not ended early."""
        return self.epochs * self.reports_per_epoch
