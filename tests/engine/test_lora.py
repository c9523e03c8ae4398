"""Adapters train, weights stay, and what is kept is a plain model."""

from __future__ import annotations

import sys
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from transformers.pytorch_utils import Conv1D

from tests.support.training import every, make, must_resume, parts, phase, same
from workbench.backbones import stages
from workbench.backbones.stages import Stage, Staged
from workbench.engine import devices, lora
from workbench.record.strategy import Lora

MLP = {"name": "mlp", "hidden": [16, 16, 16]}


def plain() -> dict[str, Tensor]:
    """The state dict that the trials below begin with."""
    _, staged, _ = parts(phase(), backbone=MLP)
    return {name: value.clone() for name, value in staged.module.state_dict().items()}


def test_only_adapters_in_live_stages_and_the_head_are_trained() -> None:
    before = plain()
    engine, staged, _ = parts(phase(depth=1), backbone=MLP, lora=Lora(rank=2))
    list(engine.epochs())
    live = {name for name, p in staged.module.named_parameters() if p.requires_grad}
    adapters = {
        f"hidden{stage}.0.lora_{matrix}.default.weight" for stage in (2, 3) for matrix in "AB"
    }
    assert live == adapters | {"head.weight", "head.bias"}
    assert engine.parameters["trainable"] == 2 * 2 * (16 + 16) + 16 * 2 + 2
    held = engine.state()["optimizer"].values()
    assert sum(slots["exp_avg"].numel() for slots in held) == engine.parameters["trainable"]
    now = {name.replace(".base_layer", ""): v for name, v in staged.module.state_dict().items()}
    for name, value in before.items():
        assert torch.equal(now[name], value) != name.startswith("head"), name
    assert all(now[name].any() for name in adapters)


def test_what_is_kept_loads_without_adapters_and_computes_the_same() -> None:
    engine, _, data = parts(phase(epochs=3), backbone=MLP, lora=Lora(rank=2), ema=0.5)
    list(engine.epochs())
    kept, before = engine.weights(), plain()
    assert kept.keys() == before.keys()
    assert not torch.equal(kept["hidden2.0.weight"], before["hidden2.0.weight"])
    assert torch.equal(kept["hidden2.0.bias"], before["hidden2.0.bias"])
    _, staged, _ = parts(phase(), backbone=MLP)
    staged.module.load_state_dict(kept)
    assert engine.validated is not None
    with torch.inference_mode():
        outputs = staged.module.eval()(every(data.validation))
    torch.testing.assert_close(outputs, engine.validated[0], rtol=1e-4, atol=1e-5)
    difference = kept["hidden2.0.weight"] - before["hidden2.0.weight"]
    assert torch.linalg.matrix_rank(difference, atol=1e-5) == 2


def test_taking_the_weights_leaves_the_model_as_it_is() -> None:
    engine, staged, _ = parts(phase(), backbone=MLP, lora=Lora(rank=2), ema=0.5)
    for _ in engine.epochs():
        before = {name: value.clone() for name, value in staged.module.state_dict().items()}
        engine.weights()
        assert same(before, dict(staged.module.state_dict()))


@pytest.mark.parametrize(
    "fields",
    [
        {"depth": 2, "unfreeze_every": 1, "layer_decay": 0.5},
        {"depth": 1, "head_learning_rate": 0.1},
    ],
)
def test_a_trial_with_adapters_resumes_to_the_last_bit(fields: dict[str, Any]) -> None:
    main = phase(epochs=3, **fields)
    must_resume(lambda: make(main, backbone=MLP, lora=Lora(rank=2, dropout=0.3), ema=0.8))


@pytest.mark.parametrize("depth", [1, 4])
def test_weights_of_a_model_in_channels_last_can_be_stored(depth: int) -> None:
    def change(staged: Staged) -> Staged:
        devices.to_channels_last(staged.module)
        return staged

    adapters = Lora(rank=2, targets=("block2.0", "block3.0"))
    engine = make(phase(depth=depth), lora=adapters, change=change)
    list(engine.epochs())
    # safetensors takes no other format.
    assert all(weight.is_contiguous() for weight in engine.weights().values())


def test_adapters_change_nothing_until_they_are_trained() -> None:
    _, staged, data = parts(phase(), backbone=MLP)
    before = staged.module(every(data.train))
    example = every(data.train)[:2]
    adapted = lora.inject(staged, Lora(rank=2), frozen=0, seed=1, example=example)
    assert torch.equal(adapted.module(every(data.train)), before)
    assert same(lora.merged(adapted.module, {}), plain())


def test_a_freeze_depth_draws_the_same_adapters() -> None:
    drawn = []
    for frozen in (0, 2):
        _, staged, data = parts(phase(), backbone=MLP)
        example = every(data.train)[:2]
        torch.manual_seed(frozen)
        state = torch.get_rng_state()
        module = lora.inject(staged, Lora(rank=2), frozen=frozen, seed=1, example=example).module
        assert torch.equal(torch.get_rng_state(), state)
        drawn.append(module.get_parameter("hidden3.0.lora_A.default.weight").detach())
    assert torch.equal(drawn[0], drawn[1])


def test_gradual_unfreezing_trains_adapters_stage_by_stage() -> None:
    engine, staged, _ = parts(
        phase(epochs=3, depth=3, unfreeze_every=1), backbone=MLP, lora=Lora(rank=2)
    )
    moving = []
    for _ in engine.epochs():
        moved = {
            name.split(".")[0]
            for name, value in staged.module.named_parameters()
            if "lora_B" in name and value.any()
        }
        moving.append(moved)
    assert moving == [set(), {"hidden3"}, {"hidden2", "hidden3"}]


def test_a_linear_probe_needs_no_adapters() -> None:
    ends = []
    for adapters in (None, Lora()):
        engine = make(phase(depth=3), backbone=MLP, lora=adapters)
        list(engine.epochs())
        ends.append(engine.weights())
    assert same(ends[0], ends[1])


@pytest.mark.parametrize("ema", [None, 0.5])
def test_a_linear_probe_with_lora_needs_no_peft(
    monkeypatch: pytest.MonkeyPatch, ema: float | None
) -> None:
    for name in [known for known in sys.modules if known.partition(".")[0] == "peft"]:
        monkeypatch.setitem(sys.modules, name, None)
    monkeypatch.setitem(sys.modules, "peft", None)
    engine, staged, _ = parts(phase(depth=3), backbone=MLP, lora=Lora(), ema=ema)
    list(engine.epochs())
    assert engine.weights().keys() == staged.module.state_dict().keys()


# -------------------------------------------------------------------------------- kinds of layers


class Mixed(nn.Module):
    """A convolution, GPT-2's linear layer, torch's attention and a linear layer."""

    def __init__(self, outputs: int) -> None:
        super().__init__()
        self.patch = nn.Conv2d(1, 8, kernel_size=2, stride=2)
        self.block = nn.ModuleDict(
            {
                "mix": Conv1D(8, 8),  # type: ignore[no-untyped-call]
                "attention": nn.MultiheadAttention(8, 2, batch_first=True),
                "project": nn.Linear(8, 8),
            }
        )
        self.head = nn.Linear(8, outputs)

    def forward(self, inputs: Tensor) -> Tensor:
        tokens = self.patch(inputs).flatten(start_dim=2).transpose(1, 2).contiguous()
        tokens = tokens + self.block["mix"](tokens)
        tokens = tokens + self.block["attention"](tokens, tokens, tokens, need_weights=False)[0]
        outputs: Tensor = self.head(self.block["project"](tokens).mean(dim=1))
        return outputs


def mixed(staged: Staged) -> Staged:
    torch.manual_seed(3)
    module = Mixed(2)
    found = (
        Stage(name="patch", modules=(module.patch,)),
        Stage(name="block", modules=(module.block,)),
    )
    return Staged(module=module, stages=found, head=module.head)


def adapted(engine_and_staged: Any) -> set[str]:
    names = dict(engine_and_staged[1].module.named_parameters())
    return {name.partition(".lora_")[0] for name in names if ".lora_" in name}


def test_every_linear_layer_gets_one_by_default() -> None:
    assert adapted(parts(phase(), change=mixed, lora=Lora())) == {"block.mix", "block.project"}


def test_a_stage_that_is_itself_a_layer_is_adapted_in_its_place() -> None:
    targets = ("patch", "mix")
    made = parts(phase(epochs=2), change=mixed, lora=Lora(rank=2, targets=targets))
    engine, staged, data = made
    assert adapted(made) == {"patch", "block.mix"}
    list(engine.epochs())
    copy = mixed(staged).module
    copy.load_state_dict(engine.weights())
    assert engine.validated is not None
    with torch.inference_mode():
        outputs = copy.eval()(every(data.validation))
    torch.testing.assert_close(outputs, engine.validated[0], rtol=1e-4, atol=1e-5)


def test_stages_that_are_never_trained_get_none_and_the_contract_holds() -> None:
    _, made, data = parts(phase())
    staged, example = mixed(made), every(data.train)[:2]
    staged = lora.inject(staged, Lora(targets=("mix",)), frozen=1, seed=0, example=example)
    assert [sum(t.numel() for t in tensors) for _, tensors in staged.tensors()] == [
        2 * 2 * 8 + 8,
        8 * 8 + 8 + 2 * 8 * 8 + (3 * 8 * 8 + 3 * 8) + (8 * 8 + 8) + (8 * 8 + 8),
        8 * 2 + 2,
    ]
    assert stages.describe(staged)[0] == ("patch", 2 * 2 * 8 + 8)


class Functional(nn.Module):
    """Attention as Swin's and BEiT's: it reads the weights of its layer, which is never called."""

    def __init__(self, outputs: int) -> None:
        super().__init__()
        self.block = nn.ModuleDict({"qkv": nn.Linear(64, 24), "project": nn.Linear(24, 8)})
        self.head = nn.Linear(8, outputs)

    def forward(self, inputs: Tensor) -> Tensor:
        qkv = self.block["qkv"]
        assert isinstance(qkv, nn.Linear)
        made = nn.functional.linear(inputs.flatten(start_dim=1), qkv.weight, qkv.bias)
        outputs: Tensor = self.head(self.block["project"](made))
        return outputs


def functional(staged: Staged) -> Staged:
    torch.manual_seed(3)
    module = Functional(2)
    block = Stage(name="block", modules=(module.block,))
    return Staged(module=module, stages=(block,), head=module.head)


def test_a_layer_whose_weights_are_only_read_gets_none() -> None:
    assert adapted(parts(phase(), change=functional, lora=Lora())) == {"block.project"}
    with pytest.raises(ValueError, match=r"ends in qkv and is called .* layers: block\.project"):
        make(phase(), change=functional, lora=Lora(targets=("qkv",)))


# --------------------------------------------------------------------------------- what is refused


@pytest.mark.parametrize(
    ("targets", "message"),
    [
        (("projekt",), "ends in projekt and .*; did you mean project?"),
        (("head",), "ends in head and"),
        (("out_proj",), "ends in out_proj and"),
    ],
)
def test_a_target_that_names_nothing_is_refused_with_what_there_is(
    targets: tuple[str, ...], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        make(phase(), change=mixed, lora=Lora(targets=targets))


def test_a_backbone_without_linear_layers_says_what_could_have_adapters() -> None:
    with pytest.raises(
        ValueError,
        match=r"block3 have none; name other layers in lora.targets .*stem\.0",
    ):
        make(phase(), lora=Lora())
    make(phase(), lora=Lora(rank=2, targets=("0",)))


@pytest.mark.parametrize("fields", [{"trainable": "norm"}, {"l2_sp": 0.1}])
def test_methods_that_act_on_the_bodys_own_weights_exclude_adapters(fields: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"so .* has no effect"):
        make(phase(**fields), backbone=MLP, lora=Lora())


def test_without_peft_it_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "peft", None)
    with pytest.raises(ValueError, match=r"pip install peft"):
        make(phase(), backbone=MLP, lora=Lora())
