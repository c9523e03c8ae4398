"""The freeze contract on a model small enough to see; test_engine trains the whole catalogue."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from workbench import stages
from workbench.stages import Stage, Staged

NAMES = ("stem", "block1", "block2")


def toy() -> Staged:
    first = nn.Sequential(nn.Linear(4, 4), nn.BatchNorm1d(4), nn.Dropout(0.5))
    second = nn.Sequential(nn.Linear(4, 4), nn.BatchNorm1d(4), nn.Dropout(0.5))
    head = nn.Linear(4, 2)
    return Staged(
        module=nn.Sequential(first, second, head),
        stages=(Stage(name="first", modules=(first,)), Stage(name="second", modules=(second,))),
        head=head,
    )


@pytest.mark.parametrize(
    ("value", "depth"), [(0, 0), (2, 2), (3, 3), ("all", 3), ("stem", 1), ("block2", 3)]
)
def test_a_freeze_depth_is_a_number_a_stage_or_all(value: int | str, depth: int) -> None:
    assert stages.resolve_depth(value, NAMES) == depth


def test_all_stages_of_a_backbone_without_stages_are_none() -> None:
    assert stages.resolve_depth("all", ()) == 0


@pytest.mark.parametrize("value", [4, -1, "layer1", "2", True])
def test_an_invalid_freeze_depth_is_refused_with_the_valid_choices(value: int | str) -> None:
    with pytest.raises(ValueError, match="0 to 3, stem, block1, block2, or all"):
        stages.resolve_depth(value, NAMES)


def test_a_depth_beyond_the_backbone_is_called_too_deep() -> None:
    with pytest.raises(ValueError, match="7 is deeper than the backbone, which has 3 stages"):
        stages.resolve_depth(7, NAMES)


def test_a_parameter_outside_every_stage_is_refused_by_name() -> None:
    staged = toy()
    with pytest.raises(ValueError, match=r"1\.0\.weight belongs to no stage"):
        Staged(module=staged.module, stages=staged.stages[:1], head=staged.head)


def test_a_buffer_outside_every_stage_is_refused_by_name() -> None:
    staged = toy()
    staged.module.register_buffer("scale", torch.ones(1))
    with pytest.raises(ValueError, match="scale belongs to no stage"):
        Staged(module=staged.module, stages=staged.stages, head=staged.head)


def test_a_parameter_in_two_stages_is_refused_with_both() -> None:
    staged = toy()
    both = Stage(name="again", modules=staged.stages[0].modules)
    with pytest.raises(ValueError, match="to both first and again"):
        Staged(module=staged.module, stages=(*staged.stages, both), head=staged.head)


def test_a_head_that_the_model_does_not_hold_is_refused() -> None:
    staged = toy()
    body = nn.Sequential(*list(staged.module.children())[:2])
    with pytest.raises(ValueError, match="head hold parameters or buffers that the model does not"):
        Staged(module=body, stages=staged.stages, head=staged.head)


@pytest.mark.parametrize("name", ["second", "all"])
def test_stages_need_names_of_their_own(name: str) -> None:
    staged = toy()
    renamed = Stage(name=name, modules=staged.stages[0].modules)
    with pytest.raises(ValueError, match="names of their own"):
        Staged(module=staged.module, stages=(renamed, staged.stages[1]), head=staged.head)


def test_freezing_turns_gradients_off_drops_old_ones_and_can_be_undone() -> None:
    staged = toy()
    staged.module(torch.randn(8, 4)).sum().backward()
    stages.freeze(staged, 1)
    first, second = (stage.modules[0] for stage in staged.stages)
    assert all(not p.requires_grad and p.grad is None for p in first.parameters())
    assert all(p.requires_grad for p in [*second.parameters(), *staged.head.parameters()])
    stages.freeze(staged, 0)
    assert all(p.requires_grad for p in staged.module.parameters())


def test_freezing_deeper_than_the_backbone_is_refused() -> None:
    with pytest.raises(ValueError, match="deeper"):
        stages.freeze(toy(), 3)


def test_a_frozen_stage_is_one_fixed_function_in_training_mode() -> None:
    staged, inputs = toy(), torch.randn(8, 4)
    first, second = (stage.modules[0] for stage in staged.stages)
    before = {name: value.clone() for name, value in first.state_dict().items()}
    stages.train_mode(staged, 1)
    assert torch.equal(first(inputs), first(inputs))
    assert all(torch.equal(value, before[name]) for name, value in first.state_dict().items())
    assert not torch.equal(second(inputs), second(inputs))


def test_training_mode_wakes_a_stage_that_is_no_longer_frozen() -> None:
    staged = toy()
    stages.train_mode(staged, 2)
    stages.train_mode(staged, 0)
    assert all(module.training for module in staged.module.modules())


def test_only_live_parameters_are_counted_and_handed_out_as_trainable() -> None:
    staged = toy()
    stages.freeze(staged, 1)
    assert stages.parameters(staged) == {"total": 66, "trainable": 38}
    handed = {id(parameter) for parameter in stages.trainable_parameters(staged)}
    live = [*staged.stages[1].modules[0].parameters(), *staged.head.parameters()]
    assert handed == {id(parameter) for parameter in live}


def test_the_description_lists_stages_in_order_and_the_head_last() -> None:
    assert stages.describe(toy()) == [("first", 28), ("second", 28), ("head", 10)]
