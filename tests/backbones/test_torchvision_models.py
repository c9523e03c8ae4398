"""torchvision's models: all of them by name, with its numbers and weights; what is refused."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
import torchvision
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from torchvision import models

from workbench import backbones, downloads
from workbench.backbones import stages
from workbench.backbones.stages import Staged
from workbench.backbones.torchvision_models import _rename, build, pretrained
from workbench.backbones.torchvision_names import FAMILIES, FAMILY_OF, WEIGHTS
from workbench.backbones.weights import WeightsError
from workbench.record.strategy import Weights

torch.set_num_threads(1)

# What a user of these models calls their stages.
STAGES: dict[str, tuple[int, tuple[str, ...]]] = {
    "densenet121": (32, ("stem", *(f"denseblock{n}" for n in range(1, 5)))),
    "efficientnet_b0": (16, ("stem", *(f"features.{n}" for n in range(1, 8)))),
    "googlenet": (
        32,
        (
            "stem",
            *("inception3a", "inception3b"),
            *(f"inception4{letter}" for letter in "abcde"),
            *("inception5a", "inception5b"),
        ),
    ),
    "mnasnet0_5": (16, ("stem", *(f"layers.{n}" for n in range(8, 14)))),
    "mobilenet_v2": (16, ("stem", *(f"features.{n}" for n in range(1, 18)))),
    "mobilenet_v3_small": (16, ("stem", *(f"features.{n}" for n in range(1, 12)))),
    "regnet_x_400mf": (16, ("stem", "block1", "block2", "block3", "block4")),
    "resnet18": (8, ("stem", "layer1", "layer2", "layer3", "layer4")),
    "shufflenet_v2_x0_5": (16, ("stem", "stage2", "stage3", "stage4")),
    "squeezenet1_1": (17, ("stem", *(f"features.{n}" for n in (3, 4, 6, 7, 9, 10, 11, 12)))),
}
LARGE: dict[str, tuple[int, tuple[str, ...]]] = {
    "alexnet": (63, ("stem", "features.3", "features.6", "classifier.1")),
    "convnext_tiny": (32, ("stem", "features.1", "features.3", "features.5", "features.7")),
    "inception_v3": (
        75,
        (
            "stem",
            *("Mixed_5b", "Mixed_5c", "Mixed_5d"),
            *("Mixed_6b", "Mixed_6c", "Mixed_6d", "Mixed_6e"),
            *("Mixed_7b", "Mixed_7c"),
        ),
    ),
    "maxvit_t": (224, ("stem", "blocks.0", "blocks.1", "blocks.2", "blocks.3")),
    "swin_t": (32, ("stem", "features.1", "features.3", "features.5", "features.7")),
    "vgg11_bn": (
        32,
        ("stem", "features.4", "features.8", "features.15", "features.22", "classifier.0"),
    ),
    "vit_b_32": (64, ("stem", *(f"encoder_layer_{n}" for n in range(12)))),
}


def make(model: str, side: int, *, outputs: int = 5, **options: Any) -> Staged:
    return backbones.build(
        {"name": model, **options},
        weights=options.pop("weights", None),
        keep_head=False,
        input_shape=(3, side, side),
        outputs=outputs,
        seed=0,
    )


def theirs(model: str, side: int, **options: Any) -> nn.Module:
    if model in ("googlenet", "inception_v3"):
        options |= {"init_weights": False, "aux_logits": False, "transform_input": True}
    if model == "vit_b_32":
        options["image_size"] = side
    made: nn.Module = models.get_model(model, weights=None, **options)
    return made


def body(staged: Staged) -> dict[str, Tensor]:
    head = {id(tensor) for tensor in staged.head.state_dict(keep_vars=True).values()}
    tensors = staged.module.state_dict(keep_vars=True)
    return {name: tensor for name, tensor in tensors.items() if id(tensor) not in head}


def test_the_names_are_torchvisions_own() -> None:
    assert sorted(FAMILY_OF) == models.list_models(module=models)
    assert sum(len(family.names) for family in FAMILIES.values()) == len(FAMILY_OF)


def test_the_weights_are_torchvisions_own() -> None:
    theirs = {
        model: (
            "imagenet",
            *(n for n in models.get_model_weights(model).__members__ if n != "DEFAULT"),
        )
        for model in FAMILY_OF
    }
    assert theirs == WEIGHTS


@pytest.mark.parametrize("model", STAGES)
def test_a_model_has_its_stages_and_torchvisions_numbers(model: str) -> None:
    check_model(model, *STAGES[model])


@pytest.mark.slow  # 25 to 130 million parameters each
@pytest.mark.parametrize(
    "model",
    [
        pytest.param(name, marks=[] if name == "convnext_tiny" else [pytest.mark.nightly])
        for name in LARGE
    ],
)
def test_a_large_model_has_its_stages_and_torchvisions_numbers(model: str) -> None:
    check_model(model, *LARGE[model])


def check_model(model: str, side: int, names: tuple[str, ...]) -> None:
    staged = make(model, side)
    assert staged.names == names
    reference = theirs(model, side, num_classes=5)
    reference.load_state_dict(staged.module.state_dict())
    batch = torch.randn(2, 3, side, side, generator=torch.Generator().manual_seed(2))
    with torch.no_grad():
        expected, found = reference.eval()(batch), staged.module.eval()(batch)
    assert found.shape == (2, 5)
    for depth in range(1, len(names) + 1):
        assert stages.cut(staged, depth, batch) is not None, "every stage can be cut off"
    torch.testing.assert_close(found, expected, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("model", ["squeezenet1_1", "mnasnet0_5", "mobilenet_v3_small"])
def test_the_body_does_not_depend_on_the_number_of_outputs(model: str) -> None:
    side = STAGES[model][0]
    two, nine = body(make(model, side, outputs=2)), body(make(model, side, outputs=9))
    assert two.keys() == nine.keys()
    assert all(torch.equal(value, nine[name]) for name, value in two.items())


def test_stages_can_be_chosen_by_the_ends_of_their_names() -> None:
    staged = make("mobilenet_v3_small", 16, stages=["features.4", "features.9"])
    assert staged.names == ("stem", "features.4", "features.9")
    assert len(staged.stages[0].modules) > 0


def test_an_option_reaches_the_model() -> None:
    staged = make("squeezenet1_1", 17, dropout=0.25)
    assert [part.p for part in staged.module.modules() if isinstance(part, nn.Dropout)] == [0.25]
    staged = make("efficientnet_b0", 16, stochastic_depth=0.0)
    assert {
        part.p
        for part in staged.module.modules()
        if isinstance(part, torchvision.ops.StochasticDepth)
    } == {0.0}


@pytest.mark.parametrize(
    ("backbone", "shape", "message"),
    [
        (
            {"name": "resnet18"},
            (1, 8, 8),
            r"3 channels, but these have 1; set dataset\.channels: 3",
        ),
        (
            {"name": "alexnet"},
            (3, 32, 32),
            r"smallest images that the backbone alexnet takes are 63 x 63 pixels, but these are "
            r"32 x 32; set dataset\.image_size: 63",
        ),
        (
            {"name": "vit_b_16"},
            (3, 40, 40),
            r"16 x 16 pixels, and whole multiples of 16, but .* 40 x 40; .*image_size: 48",
        ),
        ({"name": "vit_b_16"}, (3, 32, 64), "but these are 32 x 64"),
        (
            {"name": "resnet18", "dropout": 0.1},
            (3, 8, 8),
            "no option dropout; its options are stages",
        ),
        (
            {"name": "resnet18", "stages": ["layer5"]},
            (3, 8, 8),
            r"calls no module layer5; did you mean layer\d\?",
        ),
    ],
)
def test_what_does_not_fit_is_refused_with_what_does(
    backbone: dict[str, Any], shape: tuple[int, ...], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        backbones.build(
            backbone, weights=None, keep_head=False, input_shape=shape, outputs=2, seed=0
        )


# --------------------------------------------------------------------------------------- weights


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """torch's own folder of weights, empty."""
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    folder = tmp_path / "hub" / "checkpoints"
    folder.mkdir(parents=True)
    return folder


Plant = Callable[..., Path]


@pytest.fixture
def planted(cache: Path, monkeypatch: pytest.MonkeyPatch) -> Plant:
    """Puts weights where torchvision would have downloaded them to, under their own hash."""

    def plant(model: str, state: dict[str, Tensor], weights: str = "DEFAULT") -> Path:
        buffer = io.BytesIO()
        torch.save(state, buffer)
        name = f"{model}-{hashlib.sha256(buffer.getvalue()).hexdigest()[:8]}.pth"
        (cache / name).write_bytes(buffer.getvalue())
        entry = models.get_model_weights(model)[weights]
        monkeypatch.setattr(entry._value_, "url", f"https://download.invalid/{name}")
        return cache / name

    return plant


def test_a_checkpoint_in_torchs_cache_fills_the_body_and_gives_the_same_features(
    planted: Plant,
) -> None:
    reference = theirs("resnet18", 32)
    planted("resnet18", reference.state_dict())
    staged = backbones.build(
        {"name": "resnet18"},
        weights=Weights(source="imagenet"),
        keep_head=False,
        input_shape=(3, 32, 32),
        outputs=5,
        seed=0,
    )
    reference.set_submodule("fc", staged.head)
    batch = torch.randn(2, 3, 32, 32)
    with torch.no_grad():
        torch.testing.assert_close(
            staged.module.eval()(batch), reference.eval()(batch), rtol=1e-6, atol=1e-6
        )


def test_a_named_version_of_the_weights_is_the_file_that_is_read(planted: Plant) -> None:
    state = models.mobilenet_v2(weights=None).state_dict()
    planted("mobilenet_v2", state, "IMAGENET1K_V1")
    found = pretrained(source="IMAGENET1K_V1", model="mobilenet_v2").tensors
    assert all(torch.equal(found[name], value) for name, value in state.items())
    with pytest.raises(downloads.NotDownloadedError, match="imagenet of mobilenet_v2"):
        pretrained(source="imagenet", model="mobilenet_v2")


def test_absent_weights_are_named_with_the_place_where_they_belong(cache: Path) -> None:
    with pytest.raises(downloads.NotDownloadedError) as refusal:
        pretrained(source="imagenet", model="resnet18")
    message = str(refusal.value)
    assert "weights imagenet of resnet18 are not on this machine" in message
    assert f"downloads resnet18-f37072fd.pth, or copy it to {cache}" in message


def test_a_download_is_checked_against_the_hash_in_its_name(
    cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = cache.parent / "resnet18-0123456789.pth"
    torch.save({"fc.bias": torch.ones(3)}, source)
    monkeypatch.setattr(models.ResNet18_Weights.DEFAULT._value_, "url", source.as_uri())
    with (
        downloads.allowed(),
        pytest.raises(downloads.NotDownloadedError, match="invalid hash value"),
    ):
        pretrained(source="imagenet", model="resnet18")
    assert list(cache.iterdir()) == []


def test_a_download_with_the_right_hash_is_kept(
    cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    state = {"fc.bias": torch.ones(3)}
    buffer = io.BytesIO()
    torch.save(state, buffer)
    digest = hashlib.sha256(buffer.getvalue()).hexdigest()[:8]
    source = cache.parent / f"resnet18-{digest}.pth"
    source.write_bytes(buffer.getvalue())
    monkeypatch.setattr(models.ResNet18_Weights.DEFAULT._value_, "url", source.as_uri())
    with downloads.allowed():
        found = pretrained(source="imagenet", model="resnet18").tensors
    assert torch.equal(found["fc.bias"], torch.ones(3))
    assert (cache / source.name).exists()
    assert pretrained(source="imagenet", model="resnet18").tensors.keys() == state.keys()


def test_a_damaged_file_is_named(planted: Plant) -> None:
    file = planted("resnet18", {"fc.bias": torch.ones(3)})
    content = bytearray(file.read_bytes())
    content[content.index(torch.ones(3).numpy().tobytes())] ^= 1
    file.write_bytes(content)
    with pytest.raises(WeightsError, match=rf"{file.name} are damaged.*Remove the file"):
        pretrained(source="imagenet", model="resnet18")


def test_a_file_of_another_format_is_named(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    name = f"resnet18-{hashlib.sha256(b'no weights').hexdigest()[:8]}.pth"
    (cache / name).write_bytes(b"no weights")
    monkeypatch.setattr(models.ResNet18_Weights.DEFAULT._value_, "url", f"https://x.invalid/{name}")
    with pytest.raises(WeightsError, match=rf"{name} are damaged or of another format"):
        pretrained(source="imagenet", model="resnet18")


def test_unknown_weights_are_refused_with_those_that_the_model_has() -> None:
    with pytest.raises(WeightsError, match="no weights V3; it has imagenet, IMAGENET1K_V1, IMAGE"):
        pretrained(source="V3", model="resnet50")


def test_old_names_and_auxiliary_heads_in_the_files_are_understood() -> None:
    one = torch.ones(1)
    densenet = _rename(
        {"features.denseblock1.denselayer1.norm.1.weight": one}, "densenet121", "imagenet"
    )
    assert set(densenet.tensors) == {"features.denseblock1.denselayer1.norm1.weight"}
    vit = _rename({"encoder.layers.encoder_layer_0.mlp.linear_2.bias": one}, "vit_b_16", "imagenet")
    assert set(vit.tensors) == {"encoder.layers.encoder_layer_0.mlp.3.bias"}
    googlenet = _rename({"aux1.fc1.bias": one, "conv1.x": one}, "googlenet", "imagenet")
    assert set(googlenet.tensors) == {"conv1.x"}
    (note,) = googlenet.notes
    assert "auxiliary heads in the weights imagenet of googlenet" in note


def test_googlenet_loads_a_whole_checkpoint_of_torchvision(planted: Plant) -> None:
    reference = models.googlenet(weights=None, init_weights=False, aux_logits=True)
    planted("googlenet", reference.state_dict())
    staged = backbones.build(
        {"name": "googlenet"},
        weights=Weights(source="imagenet"),
        keep_head=True,
        input_shape=(3, 32, 32),
        outputs=1000,
        seed=0,
    )
    # As torchvision sets it with these weights.
    reference.transform_input = True
    batch = torch.randn(2, 3, 32, 32)
    with torch.no_grad():
        torch.testing.assert_close(
            staged.module.eval()(batch), reference.eval()(batch), rtol=1e-6, atol=1e-6
        )


def test_a_part_of_the_weights_that_is_not_there_is_drawn_anew() -> None:
    features = {
        "features.0.weight": torch.ones(1),
        "classifier.0.weight": torch.full((1,), float("nan")),
    }
    found = _rename(features, "vgg16", "IMAGENET1K_FEATURES")
    assert set(found.tensors) == {"features.0.weight"}
    assert found.lacking == ("classifier.0.weight",)


def test_weights_that_were_saved_and_read_again_fit(tmp_path: Path) -> None:
    """MNASNet of torchvision refuses a state dict without its version, as files have none."""
    staged = build(model="mnasnet0_5", input_shape=(3, 16, 16), outputs=2)
    save_file(staged.module.state_dict(), tmp_path / "kept.safetensors")
    again = build(model="mnasnet0_5", input_shape=(3, 16, 16), outputs=2)
    again.module.load_state_dict(load_file(tmp_path / "kept.safetensors"))
    for name, value in staged.module.state_dict().items():
        assert torch.equal(again.module.state_dict()[name], value)
