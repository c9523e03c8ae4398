"""Every family of backbones is held to the freeze contract, by training it.

Models of transformers are held to it in test_transformers_models.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from tests.support.freeze_contract import DEPTHS, LARGE, SMALLEST, cases, data_of, hold, images
from workbench.backbones.torchvision_names import FAMILIES
from workbench.datasets.samples import Tensors

# MaxViT and the other large families take a minute together: one of them stands for the others.
NIGHTLY = [name for name in LARGE if name != "convnext"]


def test_every_family_of_torchvision_is_held_to_it() -> None:
    assert SMALLEST.keys() == FAMILIES.keys()
    assert all(model in FAMILIES[name].names for name, (model, _) in SMALLEST.items())


@pytest.mark.parametrize(("name", "depth"), cases(SMALLEST, thorough=["resnet"], nightly=NIGHTLY))
def test_a_model_of_torchvision_holds_still_where_it_is_frozen(name: str, depth: str | int) -> None:
    model, side = SMALLEST[name]
    hold({"name": model}, images(side, samples=6 if name in LARGE else 10), depth)


@pytest.mark.parametrize("depth", DEPTHS)
@pytest.mark.parametrize(
    "backbone",
    [{"name": "mlp", "dropout": 0.3}, {"name": "small_cnn", "width": 4}],
    ids=lambda backbone: str(backbone["name"]),
)
def test_the_own_backbones_hold_still_where_they_are_frozen(
    backbone: dict[str, Any], depth: str | int
) -> None:
    hold(backbone, images(8), depth)


@pytest.mark.parametrize("depth", DEPTHS)
@pytest.mark.parametrize("model", ["test_efficientnet", "test_vit"])
def test_a_model_of_timm_holds_still_where_it_is_frozen(model: str, depth: str | int) -> None:
    pytest.importorskip("timm")
    hold({"name": f"timm:{model}"}, images(32), depth)


@pytest.mark.slow  # 7 and 11 million parameters
@pytest.mark.nightly
@pytest.mark.parametrize("depth", DEPTHS)
@pytest.mark.parametrize(("model", "side"), [("crossvit_tiny_240", 120), ("hrnet_w18_small", 32)])
def test_a_model_of_several_scales_holds_still_where_it_is_frozen(
    model: str, side: int, depth: str | int
) -> None:
    pytest.importorskip("timm")
    hold({"name": f"timm:{model}"}, images(side, samples=6), depth)


USERS = """\
import torch
from torch import nn


class Net(nn.Module):
    def __init__(self, features, outputs):
        super().__init__()
        self.token = nn.Parameter(torch.zeros(4))
        self.enter = nn.Linear(features, 4)
        self.blocks = nn.ModuleList(
            nn.TransformerEncoderLayer(4, 2, 8, batch_first=True) for _ in range(3)
        )
        self.norm = nn.BatchNorm1d(4)
        self.out = nn.Linear(4, outputs)

    def forward(self, inputs):
        tokens = torch.stack([self.token.expand(len(inputs), 4), self.enter(inputs)], dim=1)
        for block in self.blocks:
            tokens = block(tokens)
        return self.out(self.norm(tokens[:, 0]))


class Skipping(nn.Module):
    def __init__(self, features, outputs):
        super().__init__()
        self.down = nn.ModuleList(
            nn.Sequential(
                nn.Linear(features if number == 0 else 8, 8),
                nn.BatchNorm1d(8),
                nn.ReLU(),
                nn.Dropout(0.3),
            )
            for number in range(3)
        )
        self.up = nn.ModuleList(nn.Linear(8, 8) for _ in range(2))
        self.head = nn.ModuleList(nn.Linear(8, outputs) for _ in range(3))

    def forward(self, inputs):
        levels = [inputs]
        for block in self.down:
            levels.append(block(levels[-1]))
        made = [levels.pop()]
        for block in self.up:
            made.append(block(made[-1]) + levels.pop())
        return sum(head(level) for head, level in zip(self.head, made, strict=True))


def net(input_shape, outputs):
    return Net(input_shape[0], outputs)


def skipping(input_shape, outputs):
    return Skipping(input_shape[0], outputs)
"""


@pytest.mark.parametrize(
    ("name", "depth"),
    [*(("net", depth) for depth in DEPTHS), *(("skipping", depth) for depth in range(4))],
)
def test_a_users_own_model_holds_still_where_it_is_frozen(
    tmp_path: Path, name: str, depth: str | int
) -> None:
    file = tmp_path / "net.py"
    file.write_text(USERS)
    values = torch.randn(10, 6, generator=torch.Generator().manual_seed(1))
    data = data_of(Tensors(values[:8]), Tensors(values[8:]), (6,), kind="vector")
    hold({"name": f"{file}:{name}"}, data, depth)
