"""timm's models by any of its names: their stages, their weights, and what is refused."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from huggingface_hub import constants
from safetensors.torch import save_file
from torch import nn

from workbench import backbones, downloads
from workbench.backbones import stages
from workbench.backbones.stages import Staged
from workbench.backbones.weights import WeightsError
from workbench.record.files import sha256_of
from workbench.record.strategy import Weights

timm = pytest.importorskip("timm")
torch.set_num_threads(1)

STAGES = {
    "test_resnet": ("stem", "layer1", "layer2", "layer3", "layer4"),
    "test_efficientnet": ("stem", *(f"blocks.{n}" for n in range(5))),
    "test_convnext": ("stem", *(f"stages.{n}" for n in range(4))),
    "test_vit": ("stem", *(f"blocks.{n}" for n in range(6))),
}


def make(
    model: str,
    *,
    shape: tuple[int, ...] = (3, 32, 32),
    weights: Weights | None = None,
    outputs: int = 5,
    **options: Any,
) -> Staged:
    return backbones.build(
        {"name": f"timm:{model}", **options},
        weights=weights,
        keep_head=False,
        input_shape=shape,
        outputs=outputs,
        seed=0,
    )


def can_be_cut(staged: Staged, side: int) -> list[bool]:
    example = torch.randn(2, 3, side, side, generator=torch.Generator().manual_seed(3))
    depths = range(1, len(staged.stages) + 1)
    return [stages.cut(staged, depth, example) is not None for depth in depths]


@pytest.mark.parametrize("model", STAGES)
def test_a_model_has_its_own_blocks_as_stages_and_timms_numbers(model: str) -> None:
    staged = make(model)
    assert staged.names == STAGES[model]
    assert all(can_be_cut(staged, 32))
    size = {"img_size": 32} if "vit" in model else {}
    reference = timm.create_model(model, num_classes=5, **size)
    reference.load_state_dict(staged.module.state_dict())
    batch = torch.randn(2, 3, 32, 32)
    with torch.no_grad():
        expected = reference.eval()(batch)
        torch.testing.assert_close(staged.module.eval()(batch), expected, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize(
    ("model", "side", "names", "cuts"),
    [
        (
            "crossvit_tiny_240",
            120,
            ("stem", "blocks.0", "blocks.1", "blocks.2"),
            [True, True, True, False],
        ),
        (
            "hrnet_w18_small",
            32,
            ("stem", "stage2", "stage3", "stage4"),
            [True, False, False, True],
        ),
    ],
)
def test_a_model_of_several_scales_has_stages_where_it_cannot_be_cut(
    model: str, side: int, names: tuple[str, ...], cuts: list[bool]
) -> None:
    staged = make(model, shape=(3, side, side))
    assert staged.names == names
    assert can_be_cut(staged, side) == cuts


def test_images_may_have_any_number_of_channels() -> None:
    assert make("test_resnet", shape=(1, 32, 32)).module.eval()(torch.zeros(2, 1, 32, 32)).shape


def test_the_body_does_not_depend_on_the_number_of_outputs() -> None:
    two, nine = (make("test_resnet", outputs=outputs).module.state_dict() for outputs in (2, 9))
    different = {name for name, value in two.items() if not torch.equal(value, nine[name])}
    assert different == {"fc.weight", "fc.bias"}


def test_a_dropout_that_the_model_draws_itself_before_the_head_is_not_stored() -> None:
    """timm calls a function, not a layer: what comes before it can be frozen, not kept."""
    assert can_be_cut(make("test_resnet", dropout=0.5), 32) == [True] * 4 + [False]
    assert all(can_be_cut(make("test_resnet", dropout=0.0), 32))


def test_weights_in_the_hubs_cache_fill_the_body(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    with pytest.raises(downloads.NotDownloadedError, match=r"timm/test_resnet\.r160_in1k"):
        make("test_resnet", weights=Weights(source="timm"))
    kept = tmp_path / "models--timm--test_resnet.r160_in1k"
    (kept / "refs").mkdir(parents=True)
    (kept / "refs" / "main").write_text("abc")
    snapshot = kept / "snapshots" / "abc"
    snapshot.mkdir(parents=True)
    source: nn.Module = timm.create_model("test_resnet")
    save_file(source.state_dict(), snapshot / "model.safetensors")
    staged = make("test_resnet", weights=Weights(source="timm"))
    loaded = staged.module.state_dict()
    body = {name for name in source.state_dict() if not name.startswith("fc.")}
    assert body and all(torch.equal(loaded[n], source.state_dict()[n]) for n in body)
    planned = backbones.named("timm:test_resnet", "timm")
    assert planned.sha256 == sha256_of(snapshot / "model.safetensors")
    make("test_resnet", weights=planned)
    (snapshot / "model.safetensors").write_bytes(b"no weights")
    with pytest.raises(WeightsError, match=r"weights timm of .* changed"):
        make("test_resnet", weights=planned)
    with pytest.raises(WeightsError, match=r"model\.safetensors cannot be read"):
        make("test_resnet", weights=Weights(source="timm"))


def test_an_unknown_model_is_refused_with_the_nearest() -> None:
    with pytest.raises(ValueError, match=r"no model resnet81; did you mean timm:resnet\d+\?"):
        make("resnet81")


def test_images_that_are_too_small_are_refused_with_the_size_that_the_model_was_made_for() -> None:
    with pytest.raises(ValueError, match=r"cannot take images of 3 x 3 x 3 .*image_size: 160"):
        make("test_vit", shape=(3, 3, 3))


def test_without_timm_the_way_to_install_it_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "timm", None)
    with pytest.raises(ValueError, match=r"not installed: pip install timm"):
        make("resnet18")
