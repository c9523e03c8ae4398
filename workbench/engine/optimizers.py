"""Optimizers and learning rate schedules, by name.

The study file's reader takes the names, the knobs and their defaults from here; the engine builds
what they name. Importing it loads no torch.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from pkgutil import resolve_name
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import Field

from workbench.record.knob import AboveZero, BelowOne, Knob
from workbench.record.strategy import Phase, Scalar, Schedule

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True, kw_only=True)
class Optimizer:
    """An optimizer that a study file may name.

    Attributes:
        target: The class, as ``module:name``.
        learning_rate: Default learning rate.
        weight_decay: Default weight decay: decoupled (Loshchilov and Hutter 2019) for ``adamw`` and
            ``adafactor``, and for ``nadam`` and ``radam`` unless their knob says otherwise; an L2
            penalty for all others.
        knobs: The knobs of its own. Optimizers that share a name share its type and help too,
            because the name is one knob of the study file.
        fused: One kernel for all parameters. On one CPU core a step of AdamW takes a fifth of its
            time with small_cnn, and a third with resnet18.
        slots: Numbers that it remembers for each parameter, at most: what its memory costs.
    """

    target: str
    knobs: Mapping[str, Knob]
    learning_rate: float = 1e-3
    weight_decay: float = 0.0
    fused: bool = False
    slots: int = 2

    @property
    def options(self) -> dict[str, Scalar]:
        """The defaults of its own knobs, by name."""
        return {name: knob.default for name, knob in self.knobs.items()}


_FromZero = Annotated[float, Field(ge=0)]

_MOMENTUM = Knob(BelowOne, 0.9, "Momentum factor.")
_EPSILON = Knob(AboveZero, 1e-8, "Added to the divisor, for numerical stability.", "eps")
_DECOUPLED = Knob(bool, True, "Whether `weight_decay` is decoupled from the gradient.")
_ADAM = {
    "beta1": Knob(BelowOne, 0.9, "Decay of the mean of the gradients.", "betas"),
    "beta2": Knob(BelowOne, 0.999, "Decay of the mean of their squares.", "betas"),
    "epsilon": _EPSILON,
}

OPTIMIZERS: dict[str, Optimizer] = {
    "sgd": Optimizer(
        target="torch.optim:SGD",
        learning_rate=1e-2,
        knobs={
            "momentum": _MOMENTUM,
            "nesterov": Knob(bool, False, "Use Nesterov momentum."),
        },
        fused=True,
        slots=1,
    ),
    "adam": Optimizer(
        target="torch.optim:Adam",
        knobs=_ADAM,
        fused=True,
    ),
    "adamw": Optimizer(
        target="torch.optim:AdamW",
        weight_decay=1e-2,
        knobs=_ADAM,
        fused=True,
    ),
    # Dozat 2016.
    "nadam": Optimizer(
        target="torch.optim:NAdam",
        knobs={
            **_ADAM,
            "momentum_decay": Knob(_FromZero, 4e-3, "Decay of the momentum itself."),
            "decoupled_weight_decay": _DECOUPLED,
        },
    ),
    # Liu et al. 2020.
    "radam": Optimizer(
        target="torch.optim:RAdam",
        knobs={**_ADAM, "decoupled_weight_decay": _DECOUPLED},
    ),
    # Kingma and Ba 2015, section 7.1.
    "adamax": Optimizer(
        target="torch.optim:Adamax",
        knobs=_ADAM,
    ),
    # Tieleman and Hinton 2012. The square root of the mean is taken before epsilon is added.
    "rmsprop": Optimizer(
        target="torch.optim:RMSprop",
        knobs={
            "momentum": replace(_MOMENTUM, default=0.0),
            "alpha": Knob(BelowOne, 0.99, "Decay of the mean of the squared gradients."),
            "epsilon": _EPSILON,
            "centered": Knob(bool, False, "Whether to divide by the gradients' deviation."),
        },
        slots=3,
    ),
    # Duchi et al. 2011. Not fused: torch has no such kernel for Apple's GPUs.
    "adagrad": Optimizer(
        target="torch.optim:Adagrad",
        learning_rate=1e-2,
        knobs={
            "epsilon": replace(_EPSILON, default=1e-10),
            "rate_decay": Knob(_FromZero, 0.0, "Decay of the learning rate.", "lr_decay"),
            "initial_accumulator": Knob(
                _FromZero, 0.0, "First sum of squared gradients.", "initial_accumulator_value"
            ),
        },
        slots=1,
    ),
    # Zeiler 2012.
    "adadelta": Optimizer(
        target="torch.optim:Adadelta",
        learning_rate=1.0,
        knobs={
            "epsilon": replace(_EPSILON, default=1e-6),
            "rho": Knob(
                Annotated[float, Field(ge=0, le=1)], 0.9, "Decay of the mean of squared gradients."
            ),
        },
    ),
    # Shazeer and Stern 2018. torch's learning rate is the largest relative step, 0.01 in the paper.
    "adafactor": Optimizer(
        target="torch.optim:Adafactor",
        learning_rate=1e-2,
        knobs={
            "beta2_decay": Knob(
                Annotated[float, Field(le=0)], -0.8, "Exponent of the decay of the mean of squares."
            ),
            "update_clip": Knob(
                Annotated[float, Field(ge=1)], 1.0, "Largest root mean square of a step.", "d"
            ),
        },
        slots=0,
    ),
}


def build(
    phase: Phase, parameters: Iterable[torch.nn.Parameter] | Iterable[dict[str, Any]]
) -> torch.optim.Optimizer:
    """The optimizer of a phase, without state.

    Args:
        phase: Says which optimizer, and all its arguments.
        parameters: Only those that are to be trained, or groups of them as torch takes them.

    Raises:
        ValueError: torch refuses a value.
    """
    # The study file's reader has checked the name and the options.
    entry = OPTIMIZERS[phase.optimizer]
    # Not every optimizer of torch takes the argument.
    arguments: dict[str, Any] = {"fused": True} if entry.fused else {}
    for name, knob in entry.knobs.items():
        argument, value = knob.argument or name, phase.options.get(name, knob.default)
        # torch takes beta1 and beta2 as one tuple.
        arguments[argument] = (arguments[argument], value) if argument in arguments else value
    optimizer: torch.optim.Optimizer = resolve_name(entry.target)(
        parameters, lr=phase.learning_rate, weight_decay=phase.weight_decay, **arguments
    )
    if arguments.get("fused") and "momentum" in arguments:
        optimizer.register_step_pre_hook(_begin_momentum)
    return optimizer


def _begin_momentum(optimizer: torch.optim.Optimizer, *_: Any) -> None:
    """Give parameters that join later the momentum 0, from which they start as from none.

    A model may leave out some of its layers in some steps; torch's fused kernel wants the momentum
    of all parameters or of none.
    """
    import torch

    for group in optimizer.param_groups:
        if not group["momentum"]:
            continue
        live = [parameter for parameter in group["params"] if parameter.grad is not None]
        without = [p for p in live if optimizer.state[p].get("momentum_buffer") is None]
        if len(without) < len(live):
            for parameter in without:
                optimizer.state[parameter]["momentum_buffer"] = torch.zeros_like(parameter)


def _constant(schedule: Schedule, progress: float, epochs: float) -> float:
    return 1.0


def _linear(schedule: Schedule, progress: float, epochs: float) -> float:
    return schedule.final + (1.0 - schedule.final) * (1.0 - progress)


def _cosine(schedule: Schedule, progress: float, epochs: float) -> float:
    """Half a cosine, without restarts (Loshchilov and Hutter 2017, SGDR, equation 5)."""
    return schedule.final + (1.0 - schedule.final) * 0.5 * (1.0 + math.cos(math.pi * progress))


def _step(schedule: Schedule, progress: float, epochs: float) -> float:
    return float(schedule.gamma ** math.floor(epochs / schedule.step_epochs))


SCHEDULES: dict[str, Callable[[Schedule, float, float], float]] = {
    "constant": _constant,
    "linear": _linear,
    "cosine": _cosine,
    "step": _step,
}


def factor(schedule: Schedule, *, step: int, steps: int, steps_per_epoch: int) -> float:
    """What the learning rate is multiplied by at a step of a phase.

    A pure function of the step, so that resuming needs no state. The linear warm-up comes first
    and ends at 1; the schedule proper takes the steps that are left. As in torch's own schedulers
    ``linear`` and ``cosine`` reach their final factor when the phase is over: its last step still
    moves the weights, even where the final factor is 0.

    Args:
        schedule: Of the phase.
        step: Counted from 0 at the phase's start.
        steps: In the whole phase.
        steps_per_epoch: Turns the schedule's epochs into steps.
    """
    warmup = round(schedule.warmup_epochs * steps_per_epoch)
    if step < warmup:
        return (step + 1) / warmup
    done = step - warmup
    return SCHEDULES[schedule.name](schedule, done / (steps - warmup), done / steps_per_epoch)


def set_learning_rates(
    optimizer: torch.optim.Optimizer, phase: Phase, *, step: int, steps_per_epoch: int
) -> dict[str, float]:
    """Set the learning rates of a step; returns them by the names of their metrics.

    Args:
        optimizer: Built for the phase.
        phase: Has the rates and their schedule.
        step: Counted from 0 at the phase's start.
        steps_per_epoch: Of the optimizer.
    """
    steps = phase.epochs * steps_per_epoch
    scale = factor(phase.schedule, step=step, steps=steps, steps_per_epoch=steps_per_epoch)
    for group in optimizer.param_groups:
        group["lr"] = group["rate"] * scale
    rates = {"learning_rate": phase.learning_rate * scale}
    if phase.head_learning_rate not in (None, phase.learning_rate):
        rates["learning_rate/head"] = phase.head_learning_rate * scale
    return rates
