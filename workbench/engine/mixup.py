"""Mixup and CutMix: training samples and their targets, mixed in pairs. Used by the training loop.

All random draws are a function of (seed, epoch, step).
"""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import Tensor

from workbench.record.seeds import derive
from workbench.record.strategy import Plan


def check(plan: Plan, kind: str) -> None:
    """Check that a plan's mixing fits the kind of its samples.

    Args:
        plan: Of the trial.
        kind: Of the samples: ``image``, ``vector`` or ``text``.

    Raises:
        ValueError: Mixup of texts, or CutMix of anything but images.
    """
    methods = [name for name, alpha in (("mixup", plan.mixup), ("cutmix", plan.cutmix)) if alpha]
    if methods and kind == "text":
        raise ValueError(
            f"{' and '.join(methods)} cannot mix texts: words have no mean. "
            f"Remove {' and '.join(methods)} from the recipe."
        )
    if plan.cutmix and kind != "image":
        raise ValueError(
            f"cutmix pastes a part of one image into another, but the samples are {kind}s; "
            f"use mixup instead."
        )


def mix(
    inputs: Tensor,
    targets: Tensor,
    *,
    mixup: float,
    cutmix: float,
    seed: int,
    epoch: int,
    step: int,
) -> tuple[Tensor, Tensor]:
    """Mix every sample of a batch with another one of the same batch.

    Mixup (Zhang et al. 2018) takes ``share * x + (1 - share) * other``; CutMix (Yun et al. 2019)
    pastes a box of the other image, whose area is ``1 - share`` of the image before it is clipped
    at the border. Targets are mixed in proportion to what each sample contributes. The share is
    drawn from a Beta distribution, once for a batch.

    Args:
        inputs: ``[B, ...]``; images ``[B, C, H, W]`` for CutMix. Not changed.
        targets: ``float32 [B, O]``.
        mixup: Both parameters of its Beta distribution; 0 turns mixup off.
        cutmix: The same for CutMix. With both, each batch gets one of them with probability 1/2.
        seed: The trial's training seed.
        epoch: Counted from 1.
        step: Within the phase.
    """
    # On the CPU, so that a GPU mixes the same samples.
    draw = np.random.default_rng(derive(seed, "mixing", epoch, step))
    cuts = cutmix > 0 and (mixup == 0 or bool(draw.random() < 0.5))
    share = float(draw.beta(cutmix, cutmix) if cuts else draw.beta(mixup, mixup))
    partners = torch.from_numpy(draw.permutation(len(inputs))).to(inputs.device)
    if cuts:
        height, width = inputs.shape[-2:]
        side = math.sqrt(1.0 - share)
        top, bottom = _span(height, side, float(draw.random()))
        left, right = _span(width, side, float(draw.random()))
        mixed = inputs.clone()
        mixed[..., top:bottom, left:right] = inputs[partners][..., top:bottom, left:right]
        # The box may have been clipped: count the pixels that were pasted.
        share = 1.0 - (bottom - top) * (right - left) / (height * width)
    else:
        mixed = share * inputs + (1.0 - share) * inputs[partners]
    return mixed, share * targets + (1.0 - share) * targets[partners]


def _span(length: int, part: float, middle: float) -> tuple[int, int]:
    """First and last position of a box on an axis, clipped at the border.

    Args:
        length: Of the axis, in pixels.
        part: Side of the box, as a part of the length.
        middle: Centre of the box, as a part of the length.
    """
    centre, half = int(middle * length), int(part * length) // 2
    return max(0, centre - half), min(length, centre + half)
