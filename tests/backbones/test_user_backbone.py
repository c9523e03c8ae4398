"""A user's own backbone: what it may return, how it is cut, and errors that name the file."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from tests.support.training import every, parts, phase
from workbench import backbones
from workbench.backbones import stages
from workbench.backbones.stages import Staged

MODELS = """\
import torch
from torch import nn
from workbench import Stage, Staged


class Block(nn.Module):
    def __init__(self, width):
        super().__init__()
        self.norm = nn.LayerNorm(width)
        self.linear = nn.Linear(width, width)

    def forward(self, inputs):
        return inputs + torch.relu(self.linear(self.norm(inputs)))


class Net(nn.Module):
    def __init__(self, features, outputs, depth, width):
        super().__init__()
        self.enter = nn.Linear(features, width)
        self.blocks = nn.Sequential(*(Block(width) for _ in range(depth)))
        self.classifier = nn.Linear(width, outputs)

    def forward(self, inputs):
        return self.classifier(self.blocks(self.enter(inputs)))


def net(input_shape, outputs, depth=3, width=8):
    return Net(input_shape[0], outputs, depth, width)


def plain(input_shape, outputs):
    return nn.Sequential(nn.Linear(input_shape[0], 4), nn.ReLU(), nn.Linear(4, outputs))


def staged(input_shape, outputs):
    body, head = nn.Linear(input_shape[0], 4), nn.Linear(4, outputs)
    module = nn.Sequential(body, head)
    return Staged(module=module, stages=(Stage(name="body", modules=(body,)),), head=head)


class Fixed(nn.Module):
    # Random features, which its author has fixed, and a buffer that may be saved or not.
    def __init__(self, features, outputs, persistent):
        super().__init__()
        self.basis = nn.Linear(features, 8).requires_grad_(False)
        self.middle = nn.Linear(8, 8)
        self.head = nn.Linear(8, outputs)
        self.register_buffer("scale", torch.ones(8), persistent=persistent)

    def forward(self, inputs):
        features = torch.relu(self.basis(inputs))
        if self.training:
            self.scale = 0.9 * self.scale + 0.1 * features.detach().abs().mean(dim=0)
        return self.head(torch.relu(self.middle(features / self.scale)))


def fixed(input_shape, outputs, persistent=True):
    return Fixed(input_shape[0], outputs, persistent)


def text(input_shape, outputs):
    return "no model"


def wrong_outputs(input_shape, outputs):
    return nn.Linear(input_shape[0], outputs + 1)


def wrong_inputs(input_shape, outputs):
    return nn.Linear(99, outputs)


def fails(input_shape, outputs):
    raise KeyError("width")


class Late(nn.Sequential):
    def forward(self, inputs):
        if self.training:
            raise ValueError("not now")
        return super().forward(inputs)


def late(input_shape, outputs):
    return Late(nn.Linear(input_shape[0], 4), nn.Linear(4, outputs))


NUMBER = 3
"""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "models.py"
    path.write_text(MODELS)
    return path


def make(
    file: Path, name: str, shape: tuple[int, ...] = (6,), outputs: int = 2, **options: Any
) -> Staged:
    return backbones.build(
        {"name": f"{file}:{name}", **options},
        weights=None,
        keep_head=False,
        input_shape=shape,
        outputs=outputs,
        seed=0,
    )


def test_blocks_of_a_users_module_become_stages_and_options_reach_it(file: Path) -> None:
    staged = make(file, "net", depth=4, width=5)
    assert staged.names == ("stem", "blocks.0", "blocks.1", "blocks.2", "blocks.3")
    assert staged.head is staged.module.classifier
    assert dict(stages.describe(staged))["blocks.3"] == 2 * 5 + 5 * 5 + 5


def test_another_depth_is_another_structure(file: Path) -> None:
    assert len(make(file, "net", depth=2).stages) == 3
    assert len(make(file, "net", depth=5).stages) == 6


def test_a_module_without_a_named_head_ends_in_its_last_layer(file: Path) -> None:
    staged = make(file, "plain")
    assert staged.head is staged.module.get_submodule("2")
    assert staged.names == ("0",)


def test_stages_may_be_named(file: Path) -> None:
    assert make(file, "net", stages=["blocks.1"]).names == ("stem", "blocks.1")


def test_a_staged_model_is_taken_as_it_is(file: Path) -> None:
    assert make(file, "staged").names == ("body",)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("text", "returned str, not a torch.nn.Module or a Staged"),
        ("wrong_outputs", r"returns shape \[2, 3\] for a batch \[2, 6\]; .* \[2, 2\]"),
        ("wrong_inputs", r":69: wrong_inputs raised RuntimeError for a batch \[2, 6\]"),
        ("late", r":80: late raised ValueError in training mode: not now"),
        ("fails", r":74: fails raised KeyError while building the model: 'width'"),
        ("NUMBER", "NUMBER is a int; a backbone must be a function"),
        ("absent", "has no absent"),
    ],
)
def test_what_is_wrong_is_said_with_the_file(file: Path, name: str, message: str) -> None:
    with pytest.raises(ValueError, match=message) as refusal:
        make(file, name)
    assert str(file) in str(refusal.value)


def test_an_option_that_the_function_does_not_take_is_named(file: Path) -> None:
    with pytest.raises(ValueError, match=r"models\.py.*unexpected keyword argument 'widht'"):
        make(file, "net", widht=3)


def test_stages_that_are_none_are_refused_with_the_file(file: Path) -> None:
    with pytest.raises(ValueError, match=r"models\.py:net: The model calls no module blocks\.7"):
        make(file, "net", stages=["blocks.7"])


def test_building_leaves_the_numbers_of_the_body_alone(file: Path) -> None:
    first, again = make(file, "net"), make(file, "net")
    for name, value in first.module.state_dict().items():
        assert torch.equal(value, again.module.state_dict()[name])


WINE = {"name": "wine", "validation": 40, "test": 40}


@pytest.mark.parametrize("fields", [{}, {"depth": 1, "unfreeze_every": 1, "epochs": 3}])
def test_parameters_that_their_author_has_fixed_are_never_trained(
    file: Path, fields: dict[str, Any]
) -> None:
    engine, staged, _ = parts(phase(**fields), backbone=f"{file}:fixed", dataset=WINE)
    before = {name: value.clone() for name, value in staged.module.state_dict().items()}
    list(engine.epochs())
    now = staged.module.state_dict()
    for name, value in before.items():
        assert torch.equal(value, now[name]) == name.startswith("basis"), name
    trained = sum(value.numel() for name, value in now.items() if name[:4] in ("midd", "head"))
    assert engine.parameters["trainable"] == trained


def test_a_buffer_that_training_changes_must_be_saved_with_the_model(file: Path) -> None:
    own = {"name": f"{file}:fixed"}
    engine, _, data = parts(phase(), backbone=own, dataset=WINE)
    list(engine.epochs())
    assert engine.validated is not None
    copy = make(file, "fixed", shape=data.input_shape, outputs=3).module
    copy.load_state_dict(engine.weights())
    with torch.inference_mode():
        torch.testing.assert_close(copy.eval()(every(data.validation)), engine.validated[0])
    engine, _, _ = parts(phase(), backbone={**own, "persistent": False}, dataset=WINE)
    with pytest.raises(ValueError, match=r"models\.py:fixed: .* buffer scale, .* persistent=True"):
        list(engine.epochs())
