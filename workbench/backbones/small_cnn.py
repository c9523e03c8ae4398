"""A small CNN for images of 8 to 32 pixels, fast on one CPU core."""

from __future__ import annotations

from functools import partial

import torch
from torch import Tensor, nn

from workbench.backbones.stages import Staged, create, discover

_STAGES = ("stem", "block1", "block2", "block3")


class SmallCNN(nn.Module):
    """Convolution, batch normalisation and ReLU four times; the last two halve the resolution."""

    def __init__(self, *, channels: int, outputs: int, width: int) -> None:
        super().__init__()
        self.stem = _block(channels, width, stride=1)
        self.block1 = _block(width, width, stride=1)
        self.block2 = _block(width, 2 * width, stride=2)
        self.block3 = _block(2 * width, 4 * width, stride=2)
        self.head = nn.Linear(4 * width, outputs)

    def forward(self, inputs: Tensor) -> Tensor:
        """Logits ``[B, outputs]`` of images ``[B, C, H, W]``."""
        features = self.block3(self.block2(self.block1(self.stem(inputs))))
        logits: Tensor = self.head(features.mean(dim=(2, 3)))
        return logits


def build(*, input_shape: tuple[int, ...], outputs: int, width: int = 16) -> Staged:
    """Stages ``stem``, ``block1``, ``block2`` and ``block3``; the head follows an average pool.

    Args:
        input_shape: ``(C, H, W)`` of one image.
        outputs: Number of outputs of the head.
        width: Channels of the stem and the first block; doubled twice.
    """
    make = partial(SmallCNN, channels=input_shape[0], outputs=outputs, width=width)
    module = create("the backbone small_cnn", make)
    return discover(
        module,
        torch.randn(2, *input_shape, generator=torch.Generator().manual_seed(0)),
        head=module.head,
        cuts=_STAGES,
        key=("small_cnn", input_shape),
    )


def _block(inputs: int, outputs: int, *, stride: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, kernel_size=3, stride=stride, padding=1, bias=False),
        nn.BatchNorm2d(outputs),
        nn.ReLU(inplace=True),
    )
