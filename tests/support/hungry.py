"""A user's own backbone that runs out of memory with more samples a pass than it is allowed."""

from __future__ import annotations

from pathlib import Path

HUNGRY = """\
from pathlib import Path

import torch
from torch import nn


class Hungry(nn.Module):
    def __init__(self, features, outputs, most, passes):
        super().__init__()
        self.body = nn.Sequential(nn.Linear(features, 8), nn.ReLU())
        self.head = nn.Linear(8, outputs)
        self.most, self.passes = most, passes

    def forward(self, inputs):
        self.passes -= self.training
        short = self.passes < 0 and not Path(__file__).with_name("free").exists()
        if self.training and len(inputs) > self.most and short:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 MiB.")
        return self.head(self.body(inputs))


def hungry(input_shape, outputs, most, passes=0):
    return Hungry(input_shape[0], outputs, most, passes)
"""


def write_hungry(folder: Path) -> None:
    """Write ``hungry.py``; beside a file ``free`` its model has all the memory it wants.

    The first ``passes`` in training mode have it too.
    """
    (folder / "hungry.py").write_text(HUNGRY)
