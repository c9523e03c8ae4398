"""Weights of files and folders: names that must fit, prefixes, and hashes."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from workbench.backbones.stages import Stage, Staged
from workbench.backbones.weights import Pretrained, WeightsError, fingerprint, is_file, load


class Wrapped(nn.Module):
    """A body of two layers, a norm and a head, one level down, as a wrapped model has them."""

    def __init__(self, *, outputs: int = 3, width: int = 4) -> None:
        super().__init__()
        self.model = nn.ModuleDict(
            {
                "bert": nn.ModuleDict(
                    {
                        "first": nn.Linear(2, width),
                        "second": nn.Linear(width, width),
                        "norm": nn.LayerNorm(width),
                    }
                ),
                "classifier": nn.Linear(width, outputs),
            }
        )


def staged(*, outputs: int = 3, width: int = 4, seed: int = 0) -> Staged:
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)
        module = Wrapped(outputs=outputs, width=width)
    for parameter in module.model["bert"].parameters():
        parameter.data += 0.1 * seed
    stage = Stage(name="body", modules=(module.model["bert"],))
    return Staged(module=module, stages=(stage,), head=module.model["classifier"])


def state(*, seed: int = 1) -> dict[str, Tensor]:
    return {name: value.clone() for name, value in staged(seed=seed).module.state_dict().items()}


def renamed(old: str, new: str) -> dict[str, Tensor]:
    return {name.replace(old, new, 1): value for name, value in state().items()}


def body_equals(found: Staged, expected: dict[str, Tensor]) -> bool:
    return all(
        torch.equal(value, expected[name])
        for name, value in found.module.state_dict().items()
        if name.startswith("model.bert.")
    )


def test_names_that_fit_are_taken_as_they_are() -> None:
    target, before = staged(), staged()
    assert load(target, state(), keep_head=False, source="it") == []
    assert body_equals(target, state())
    assert torch.equal(target.head.weight, before.head.weight)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("model.", "module.model.", "without the prefix module"),
        ("model.", "_orig_mod.model.", "without the prefix _orig_mod"),
        ("model.", "", "with the prefix model"),
        ("model.", "module.", "without the prefix module and with the prefix model"),
        ("model.bert.", "", "with the prefix model.bert"),
        ("model.bert.", "encoder.", "without the prefix encoder and with the prefix model.bert"),
    ],
)
def test_a_common_prefix_is_recognised_where_that_makes_names_fit(
    old: str, new: str, said: str
) -> None:
    found = renamed(old, new)
    if old == "model.bert.":
        found = {name: value for name, value in found.items() if "classifier" not in name}
    target = staged()
    assert load(target, found, keep_head=False, source="it") == [
        f"The names in the weights it are read {said}."
    ]
    assert body_equals(target, state())


def test_a_prefix_is_left_alone_where_taking_it_away_finds_nothing() -> None:
    found = {f"vit.{name}.kernel": value for name, value in state().items()}
    with pytest.raises(WeightsError, match=r"unexpected: vit\.model\.bert\.first\.weight\.kernel"):
        load(staged(), found, keep_head=False, source="it")


def test_one_layer_never_stands_in_for_another() -> None:
    """All that is common to a few names is no prefix."""
    found = state()
    for name in ("weight", "bias"):
        found[f"model.bert.third.{name}"] = found.pop(f"model.bert.second.{name}")
    with pytest.raises(WeightsError) as refusal:
        load(staged(), found, keep_head=False, source="it")
    assert "missing: model.bert.second.weight, model.bert.second.bias;" in str(refusal.value)
    assert "unexpected: model.bert.third.weight, model.bert.third.bias." in str(refusal.value)


def test_a_kept_head_with_a_prefix_is_taken_too() -> None:
    target = staged()
    load(target, renamed("model.", "module."), keep_head=True, source="it")
    assert torch.equal(target.head.weight, state()["model.classifier.weight"])  # type: ignore[arg-type]


def test_long_lists_of_names_are_cut_and_counted() -> None:
    found = {**state(), **{f"extra.{number:02}": torch.zeros(1) for number in range(14)}}
    with pytest.raises(WeightsError, match=r"unexpected: extra\.00, .*extra\.09 and 4 more\.$"):
        load(staged(), found, keep_head=False, source="it")


def test_without_strict_what_fits_is_taken_and_the_rest_is_said() -> None:
    found = {**state(), "extra": torch.zeros(1)}
    del found["model.bert.norm.bias"]
    target, before = staged(), staged()
    notes = load(target, found, keep_head=False, source="it", strict=False)
    assert "lack model.bert.norm.bias;" in notes[0] and "Of the weights it, extra" in notes[1]
    assert len(notes) == 2
    after, old = target.module.state_dict(), before.module.state_dict()
    assert torch.equal(after["model.bert.first.weight"], found["model.bert.first.weight"])
    assert torch.equal(after["model.bert.norm.bias"], old["model.bert.norm.bias"])


def test_without_strict_a_shape_must_fit_all_the_same_and_nothing_is_changed() -> None:
    found = {**state(), "extra": torch.zeros(1), "model.bert.norm.bias": torch.zeros(5)}
    target, before = staged(), staged()
    with pytest.raises(WeightsError, match=r"norm\.bias \(5,\) instead of \(4,\)"):
        load(target, found, keep_head=False, source="it", strict=False)
    assert body_equals(target, dict(before.module.state_dict()))


def test_without_strict_weights_that_share_no_name_are_refused() -> None:
    with pytest.raises(WeightsError, match=r"missing: model\.bert\.first\.weight"):
        load(staged(), {"other": torch.zeros(1)}, keep_head=False, source="it", strict=False)


def test_what_a_family_says_may_lack_may_lack_and_nothing_else() -> None:
    found = state()
    del found["model.bert.norm.bias"]
    lacking = Pretrained(
        tensors=found, lacking=("model.bert.norm.bias",), notes=("They have another head.",)
    )
    other, new = load(staged(), lacking, keep_head=False, source="it")
    assert other == "They have another head." and "lack model.bert.norm.bias" in new
    del found["model.bert.norm.weight"]
    with pytest.raises(WeightsError, match=r"missing: model\.bert\.norm\.weight\."):
        load(staged(), lacking, keep_head=False, source="it")


def test_weights_of_half_precision_fill_a_model_of_single() -> None:
    target = staged()
    half = {name: value.half() for name, value in state().items()}
    load(target, half, keep_head=False, source="it")
    assert {value.dtype for value in target.module.state_dict().values()} == {torch.float32}
    assert body_equals(target, {name: value.float() for name, value in half.items()})


@pytest.mark.parametrize(
    ("source", "file"),
    [("a/weights.safetensors", True), ("w.pth", True), ("w.pt", True), ("o/bert.pth-v2", False)],
)
def test_a_file_of_weights_is_known_by_the_end_of_its_name(source: str, file: bool) -> None:
    assert is_file(source) is file


def sharded(folder: Path, *files: str) -> None:
    for number, name in enumerate(files):
        save_file({f"tensor{number}": torch.full((2,), float(number))}, folder / name)
    names = {f"tensor{number}": name for number, name in enumerate(files)}
    index = {"metadata": {}, "weight_map": names}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))


def test_the_fingerprint_of_one_file_is_its_own_hash(tmp_path: Path) -> None:
    path = tmp_path / "model.safetensors"
    save_file(state(), path)
    (tmp_path / "pytorch_model.bin").write_bytes(b"not read")
    assert fingerprint(tmp_path) == hashlib.sha256(path.read_bytes()).hexdigest()


def test_the_fingerprint_of_several_files_is_that_of_their_hashes(tmp_path: Path) -> None:
    files = ("model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors")
    sharded(tmp_path, *files)
    lines = "".join(
        f"{hashlib.sha256((tmp_path / name).read_bytes()).hexdigest()}  {name}\n" for name in files
    )
    assert fingerprint(tmp_path) == hashlib.sha256(lines.encode()).hexdigest()
    save_file({"tensor1": torch.ones(3)}, tmp_path / files[1])
    assert fingerprint(tmp_path) != hashlib.sha256(lines.encode()).hexdigest()


def test_a_folder_without_all_its_weights_is_refused(tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match=r"neither model\.safetensors nor pytorch_model\.bin"):
        fingerprint(tmp_path)
    sharded(tmp_path, "a.safetensors", "b.safetensors")
    (tmp_path / "b.safetensors").unlink()
    with pytest.raises(WeightsError, match=r"incomplete; missing: b\.safetensors\."):
        fingerprint(tmp_path)


def test_a_damaged_list_of_files_is_refused(tmp_path: Path) -> None:
    (tmp_path / "model.safetensors.index.json").write_text('{"weight_map": []}')
    with pytest.raises(WeightsError, match="does not list weights files"):
        fingerprint(tmp_path)
