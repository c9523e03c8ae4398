"""Mixup and CutMix: training samples mixed in pairs, and their targets with them.

Knows no task beyond targets that can be mixed. What is drawn is a function of (seed, epoch, step),
and of nothing else.
"""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import Tensor

from workbench.record.seeds import derive
from workbench.record.strategy import Plan


def check(plan: Plan, kind: str) -> None:
    """Refuse to mix what cannot be mixed.

    Args:
        plan: Says what is mixed.
        kind: Of the samples: ``image``, ``vector`` or ``text``.

    Raises:
        ValueError: Texts are to be mixed, or vectors cut.
    """
    asked = [name for name, alpha in (("mixup", plan.mixup), ("cutmix", plan.cutmix)) if alpha]
    if asked and kind == "text":
        raise ValueError(
            f"{' and '.join(asked)} cannot mix texts: the words of two texts have no mean. "
            f"Take {' and '.join(asked)} out of the recipe."
        )
    if plan.cutmix and kind != "image":
        raise ValueError(
            f"cutmix pastes a part of one image into another, but the samples are {kind}s; "
            f"mixup mixes them."
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
    """A batch in which every sample is mixed with another one of the batch.

    Mixup (Zhang et al. 2018) takes ``share * x + (1 - share) * other``; CutMix (Yun et al. 2019)
    pastes a box of the other image, ``1 - share`` of the area before the border cuts it. Either
    way the targets are mixed by what each sample contributes. The share is drawn from a Beta
    distribution, once for a batch.

    Args:
        inputs: ``[B, ...]``; images ``[B, C, H, W]`` for CutMix. Left as they are.
        targets: ``float32 [B, O]``.
        mixup: Both parameters of its Beta distribution; 0 leaves mixup out.
        cutmix: The same for CutMix. With both, one is drawn for each batch, evenly.
        seed: The trial's training seed.
        epoch: Counted from 1.
        step: Of the phase.
    """
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
        share = 1.0 - (bottom - top) * (right - left) / (height * width)
    else:
        mixed = share * inputs + (1.0 - share) * inputs[partners]
    return mixed, share * targets + (1.0 - share) * targets[partners]


def _span(length: int, part: float, middle: float) -> tuple[int, int]:
    """Where a box begins and ends on an axis; the border cuts it."""
    centre, half = int(middle * length), int(part * length) // 2
    return max(0, centre - half), min(length, centre + half)
