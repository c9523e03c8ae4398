"""What the catalogue promises of a backbone: its stages, its randomness, weights that must fit."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from workbench import backbones
from workbench.backbones import WeightsError, stages
from workbench.backbones.stages import Staged
from workbench.backbones.torchvision_names import FAMILIES
from workbench.commands.check import check_file
from workbench.record import sha256_of
from workbench.record.strategy import Weights

STAGES = {
    "mlp": ("hidden1", "hidden2"),
    "small_cnn": ("stem", "block1", "block2", "block3"),
    "resnet18": ("stem", "layer1", "layer2", "layer3", "layer4"),
}


def build(
    name: str = "small_cnn",
    *,
    weights: Weights | None = None,
    keep_head: bool = False,
    input_shape: tuple[int, ...] = (3, 8, 8),
    outputs: int = 5,
    seed: int = 0,
    **options: Any,
) -> Staged:
    return backbones.build(
        {"name": name, **options},
        weights=weights,
        keep_head=keep_head,
        input_shape=input_shape,
        outputs=outputs,
        seed=seed,
    )


def body(staged: Staged) -> dict[str, Tensor]:
    modules = [module for stage in staged.stages for module in stage.modules]
    return {
        f"{number}.{name}": value
        for number, module in enumerate(modules)
        for name, value in module.state_dict().items()
    }


def same(first: dict[str, Tensor], second: dict[str, Tensor]) -> bool:
    return first.keys() == second.keys() and all(
        torch.equal(value, second[name]) for name, value in first.items()
    )


def saved(path: Path, tensors: dict[str, Tensor]) -> Weights:
    if path.suffix == ".safetensors":
        save_file(tensors, path)
    else:
        torch.save(tensors, path)
    return Weights(source=str(path), sha256=sha256_of(path))


@pytest.mark.parametrize("name", STAGES)
def test_every_backbone_gives_logits_and_names_its_stages(name: str) -> None:
    staged = build(name)
    assert staged.names == STAGES[name]
    assert staged.module.eval()(torch.zeros(2, 3, 8, 8)).shape == (2, 5)
    described = stages.describe(staged)
    assert [place for place, _ in described] == [*STAGES[name], "head"]
    assert sum(count for _, count in described) == stages.parameters(staged)["total"]


@pytest.mark.parametrize("name", STAGES)
def test_the_stages_lie_on_the_models_own_path_in_order(name: str) -> None:
    staged = build(name)
    called: list[str] = []
    for stage in staged.stages:
        stage.modules[0].register_forward_pre_hook(
            lambda module, inputs, stage=stage: called.append(stage.name)
        )
    staged.head.register_forward_pre_hook(lambda module, inputs: called.append("head"))
    staged.module.eval()(torch.zeros(2, 3, 8, 8))
    assert called == [*STAGES[name], "head"]


@pytest.mark.parametrize("name", STAGES)
def test_body_and_head_have_randomness_of_their_own(name: str) -> None:
    first, again = build(name), build(name)
    assert same(body(first), body(again))
    assert same(first.head.state_dict(), again.head.state_dict())
    other_head = build(name, outputs=3)
    assert same(body(first), body(other_head))
    other_seed = build(name, seed=1)
    assert not same(body(first), body(other_seed))
    assert not same(first.head.state_dict(), other_seed.head.state_dict())


def test_a_new_head_does_not_depend_on_the_body() -> None:
    plain, dropping = build("mlp"), build("mlp", hidden=[64, 32, 128])
    assert same(plain.head.state_dict(), dropping.head.state_dict())


@pytest.mark.parametrize("name", STAGES)
def test_building_leaves_the_global_generator_alone(name: str) -> None:
    before = torch.get_rng_state()
    build(name)
    assert torch.equal(torch.get_rng_state(), before)


def test_an_mlp_has_a_stage_per_width_and_flattens_images() -> None:
    staged = build("mlp", hidden=[7, 6, 5], dropout=0.5, input_shape=(1, 4, 4))
    assert stages.describe(staged) == [
        ("hidden1", 16 * 7 + 7),
        ("hidden2", 7 * 6 + 6),
        ("hidden3", 6 * 5 + 5),
        ("head", 5 * 5 + 5),
    ]
    assert sum(isinstance(module, nn.Dropout) for module in staged.module.modules()) == 3


def test_the_width_of_a_small_cnn_is_that_of_its_stem() -> None:
    sizes = dict(stages.describe(build("small_cnn", width=4, input_shape=(1, 8, 8))))
    assert sizes["stem"] == 4 * 9 + 2 * 4
    assert sizes["head"] == 16 * 5 + 5


@pytest.mark.parametrize("suffix", [".safetensors", ".pth", ".pt"])
def test_weights_fill_the_body_and_leave_the_head_new(tmp_path: Path, suffix: str) -> None:
    source = build(outputs=10, seed=7)
    weights = saved(tmp_path / f"weights{suffix}", source.module.state_dict())
    loaded = build(weights=weights)
    assert same(body(loaded), body(source))
    assert same(loaded.head.state_dict(), build().head.state_dict())


def test_a_kept_head_comes_from_the_weights(tmp_path: Path) -> None:
    source = build(seed=7)
    weights = saved(tmp_path / "weights.safetensors", source.module.state_dict())
    loaded = build(weights=weights, keep_head=True)
    assert same(loaded.module.state_dict(), source.module.state_dict())


def test_a_kept_head_must_fit_the_task(tmp_path: Path) -> None:
    state = build(outputs=10).module.state_dict()
    weights = saved(tmp_path / "weights.safetensors", state)
    with pytest.raises(WeightsError, match=r"head\.weight \(10, 64\) instead of \(5, 64\)"):
        build(weights=weights, keep_head=True)


def test_a_head_cannot_be_kept_without_weights() -> None:
    with pytest.raises(ValueError, match=r"set backbone\.weights"):
        build(keep_head=True)


def test_weights_without_any_head_fit_a_new_one(tmp_path: Path) -> None:
    state = {
        name: value
        for name, value in build(seed=7).module.state_dict().items()
        if not name.startswith("head.")
    }
    weights = saved(tmp_path / "weights.safetensors", state)
    assert same(body(build(weights=weights)), body(build(seed=7)))
    with pytest.raises(WeightsError, match=r"missing: head\.weight, head\.bias\."):
        build(weights=weights, keep_head=True)


def test_weights_that_do_not_fit_are_refused_with_every_difference(tmp_path: Path) -> None:
    state = dict(build().module.state_dict())
    del state["block1.0.weight"]
    state["block9.0.weight"] = torch.zeros(1)
    state["stem.0.weight"] = torch.zeros(16, 1, 3, 3)
    weights = saved(tmp_path / "weights.pth", state)
    with pytest.raises(WeightsError) as refusal:
        build(weights=weights)
    message = str(refusal.value)
    assert "missing: block1.0.weight;" in message
    assert "unexpected: block9.0.weight;" in message
    assert "different shape: stem.0.weight (16, 1, 3, 3) instead of (16, 3, 3, 3)." in message


def test_weights_that_have_changed_since_they_were_planned_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "weights.safetensors"
    planned = saved(path, build().module.state_dict())
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    with pytest.raises(WeightsError, match=f"have changed: .*{planned.sha256} was planned"):
        build(weights=planned)


class Planted:
    """Creates a file when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.touch, (self.path,)


def test_a_pickled_object_is_refused_and_never_run(tmp_path: Path) -> None:
    trace, path = tmp_path / "trace", tmp_path / "model.pth"
    torch.save({"head.weight": Planted(trace)}, path)
    with pytest.raises(WeightsError, match=r"could run any code; save model\.state_dict"):
        build(weights=Weights(source=str(path)))
    assert not trace.exists()


def test_a_whole_pickled_model_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "model.pt"
    torch.save(build().module, path)
    with pytest.raises(WeightsError, match="Python objects"):
        build(weights=Weights(source=str(path)))


@pytest.mark.parametrize("suffix", [".safetensors", ".pth"])
@pytest.mark.parametrize("content", [b"", b"not weights at all", b"PK\x03\x04 cut off"])
def test_a_damaged_file_is_refused(tmp_path: Path, suffix: str, content: bytes) -> None:
    path = tmp_path / f"weights{suffix}"
    path.write_bytes(content)
    with pytest.raises(WeightsError, match=f"weights{suffix}"):
        build(weights=Weights(source=str(path)))


def test_a_checkpoint_that_wraps_its_weights_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "checkpoint.pth"
    torch.save({"epoch": 3, "model": build().module.state_dict()}, path)
    with pytest.raises(WeightsError, match="tensors by name"):
        build(weights=Weights(source=str(path)))


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("absent.safetensors", "absent.safetensors cannot be read: No such file"),
        ("imagenet", "neither a name that this backbone knows nor a file ending in .safetensors"),
    ],
)
def test_weights_that_are_not_there_are_refused(source: str, message: str) -> None:
    with pytest.raises(WeightsError, match=message):
        build(weights=Weights(source=source))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"name": "resnet81"}, r"no backbone resnet81; did you mean resnet18\?"),
        ({"name": "?"}, r"no backbone \?; there are mlp, small_cnn, .* and \d+ more"),
        ({"name": "small_cnn", "depth": 3}, "no option depth; its options are width"),
        ({"name": "resnet18", "width": 3}, "no option width; its options are stages"),
        ({"name": "resnet18", "input_shape": (1, 8, 8)}, "these have 1; set dataset.channels: 3"),
        ({"name": "mlp", "hidden": []}, "hidden is empty"),
    ],
)
def test_a_wrong_backbone_is_refused_with_what_is_valid(
    arguments: dict[str, Any], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        build(**arguments)


# ------------------------------------------------------------------------------ the page on them

PAGE = Path(__file__).parents[2] / "docs" / "backbones.md"


def test_the_page_names_every_family_with_its_smallest_image_and_its_options() -> None:
    rows = dict(re.findall(r"^\| (\w+) \| (.*) \|$", PAGE.read_text(), re.M))
    for name, family in FAMILIES.items():
        models, smallest, options = rows[name].split(" | ")
        assert tuple(re.findall(r"`(\w+)`", models)) == family.names
        assert set(re.findall(r"`(\w+)`", options)) == set(family.options), name
        assert all(str(family.side(model)[0]) in smallest for model in family.names), name


def test_the_study_on_the_page_is_looked_ahead_at(tmp_path: Path) -> None:
    (study,) = re.findall(r"^```yaml\n(.*?)^```", PAGE.read_text(), re.M | re.S)
    path = tmp_path / "study.yaml"
    path.write_text(study)
    ahead = check_file(path, [], tmp_path)[0]
    assert "features.9" in str(ahead)
    assert all(note.startswith("missing: The weights") for note in ahead.notes)
