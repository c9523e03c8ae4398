"""The freeze contract as one check, for tests over whatever can be trained.

Called on a backbone and data it trains with the real engine at a freeze depth, and compares every
parameter and buffer before and after.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from workbench import backbones
from workbench.backbones import stages
from workbench.datasets import Data, Part
from workbench.datasets.samples import Inputs, Tensors
from workbench.engine.loop import Engine
from workbench.engine.optimizers import OPTIMIZERS
from workbench.record.strategy import Phase, Plan, Schedule, Weights
from workbench.tasks.classification import Classification

CLASSES = ("left", "right")
DEPTHS = (0, "middle", "all")
# The smallest model of each family of torchvision, and the side of the images that it is given.
SMALLEST: dict[str, tuple[str, int]] = {
    "alexnet": ("alexnet", 63),
    "convnext": ("convnext_tiny", 32),
    "densenet": ("densenet121", 32),
    "efficientnet": ("efficientnet_b0", 16),
    "googlenet": ("googlenet", 32),
    "inception": ("inception_v3", 75),
    "maxvit": ("maxvit_t", 224),
    "mnasnet": ("mnasnet0_5", 16),
    "mobilenet_v2": ("mobilenet_v2", 16),
    "mobilenet_v3": ("mobilenet_v3_small", 16),
    "regnet": ("regnet_y_400mf", 16),
    "resnet": ("resnet18", 16),
    "shufflenet_v2": ("shufflenet_v2_x0_5", 32),
    "squeezenet": ("squeezenet1_1", 32),
    "swin": ("swin_t", 32),
    "vgg": ("vgg11_bn", 32),
    "vit": ("vit_b_32", 64),
}
# Families of 20 million parameters or more (MaxViT: of large images), which are given half as many
# samples.
LARGE = ("alexnet", "convnext", "inception", "maxvit", "swin", "vgg", "vit")
_NIGHTLY = [pytest.mark.slow, pytest.mark.nightly]


def cases(
    families: Iterable[str], *, thorough: Collection[str] = (), nightly: Collection[str] = ()
) -> list[Any]:
    """Each family at each depth, of which most run at night only.

    By day each family is tried at the middle depth, where some parts are frozen and others live.

    Args:
        families: Their names.
        thorough: Those that are tried at each depth by day as well.
        nightly: Those that are tried at night alone.
    """
    return [
        pytest.param(
            name,
            depth,
            marks=[]
            if name not in nightly and (depth == "middle" or name in thorough)
            else _NIGHTLY,
        )
        for name in families
        for depth in DEPTHS
    ]


def images(side: int, *, samples: int = 10, channels: int = 3) -> Data:
    """Random images of two classes, of which the last two are to validate on."""
    generator = torch.Generator().manual_seed(1)
    values = torch.randn(samples, channels, side, side, generator=generator)
    return data_of(Tensors(values[:-2]), Tensors(values[-2:]), (channels, side, side))


def data_of(
    train: Inputs, validation: Inputs, input_shape: tuple[int, ...], *, kind: str = "image"
) -> Data:
    """Data of two classes in turn."""

    def part(inputs: Inputs, first: int) -> Part:
        index = torch.arange(first, first + len(inputs))
        return Part(inputs=inputs, targets=index % 2, index=index)

    return Data(
        kind=kind,
        train=part(train, 0),
        validation=part(validation, len(train)),
        classes=CLASSES,
        input_shape=input_shape,
        digest="",
    )


def hold(
    backbone: dict[str, Any],
    data: Data,
    depth: int | str,
    *,
    weights: Weights | None = None,
    still: tuple[str, ...] = (),
    device: str = "cpu",
) -> None:
    """Train, and hold a backbone to the contract.

    Where nothing is frozen nothing must hold still, and one epoch shows that all of it moves.

    Args:
        backbone: As in a plan.
        data: Samples that it takes, of ``CLASSES``.
        depth: A number of stages, ``middle`` or ``all``.
        weights: First weights of the body.
        still: Ends of the names of parameters that get no gradient from such samples although they
            are live, each for a reason that the test says.
        device: Of the training.
    """
    torch.set_num_threads(1)
    staged = backbones.build(
        backbone,
        weights=weights,
        keep_head=False,
        input_shape=data.input_shape,
        outputs=len(CLASSES),
        seed=3,
    )
    count = len(staged.stages)
    frozen = count // 2 if depth == "middle" else stages.resolve_depth(depth, staged.names)
    engine = Engine(
        plan=_plan(backbone, frozen, epochs=2 if frozen else 1),
        staged=staged,
        task=Classification(classes=CLASSES, targets=data.train.targets),
        data=data,
        seed=3,
        device=torch.device(device),
        interrupted=lambda: False,
    )
    names = {id(tensor): name for name, tensor in _tensors(staged.module)}
    parts = list(staged.tensors())
    before = {id(t): t.detach().clone() for _, tensors in parts for t in tensors}
    assert before.keys() == names.keys(), "every tensor is in a stage or the head"

    for result in engine.epochs():
        assert all(math.isfinite(value) for value in result.metrics.values())

    trained = 0
    for number, (place, tensors) in enumerate(parts):
        for tensor in tensors:
            name = f"{place}: {names[id(tensor)]}"
            moved = not torch.equal(before[id(tensor)], tensor)
            if number < frozen:
                assert not moved, f"{name} is frozen but moved"
                assert not tensor.requires_grad and tensor.grad is None, name
            elif isinstance(tensor, nn.Parameter) and not name.endswith(still or ("\0",)):
                assert tensor.requires_grad, name
                assert moved, f"{name} is live but stayed"
                trained += 1
    assert len(engine.state()["optimizer"]) == trained, "the optimizer holds what is trained alone"
    for stage in staged.stages[:frozen]:
        for module in stage.modules:
            assert not any(inner.training for inner in module.modules()), stage.name


def _tensors(module: nn.Module) -> list[tuple[str, Tensor]]:
    return [*module.named_parameters(), *module.named_buffers()]


def _plan(backbone: dict[str, Any], depth: int, *, epochs: int) -> Plan:
    phase = Phase(
        name="main",
        epochs=epochs,
        freeze_depth=depth,
        optimizer="adamw",
        # Adam's steps are of this size whatever the gradient: small enough for any model.
        learning_rate=1e-4,
        weight_decay=0.01,
        options=dict(OPTIMIZERS["adamw"].options),
        schedule=Schedule(),
    )
    return Plan(
        dataset={"name": "none"},
        backbone=backbone,
        weights=None,
        keep_head=False,
        task={"name": "classification"},
        batch_size=4,
        augmentation=(),
        device="cpu",
        threads=1,
        phases=(phase,),
    )
