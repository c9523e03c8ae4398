"""Models of transformers: what they compute, what is trained of them, and what they refuse."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers
from torch import Tensor
from transformers import AutoModelForImageClassification, AutoModelForSequenceClassification

from tests.support import tiny_bert
from tests.support.freeze_contract import cases, data_of, hold
from workbench import backbones
from workbench.backbones.stages import Staged
from workbench.backbones.transformers_configs import quiet
from workbench.backbones.weights import WeightsError, fingerprint
from workbench.datasets import Data, Part
from workbench.datasets.samples import Tensors, Texts, Tokens
from workbench.engine.loop import Engine
from workbench.engine.optimizers import OPTIMIZERS
from workbench.record.strategy import Phase, Plan, Schedule, Weights
from workbench.tasks.classification import Classification

CLASSES = ("bad", "fine", "good")
HUB = Weights(source="hub")
# As the checkpoints on the hub are configured, but for their sizes.
SIZES = {
    "vocab_size": 60,
    "hidden_size": 16,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "intermediate_size": 32,
    "max_position_embeddings": 40,
}
DECODER = {**SIZES, "num_key_value_heads": 1, "bos_token_id": 1, "eos_token_id": 2}
TEXTS: dict[str, tuple[str, dict[str, Any]]] = {
    "bert": ("Bert", SIZES),
    "distilbert": (
        "DistilBert",
        {
            "vocab_size": 60,
            "dim": 16,
            "n_layers": 2,
            "n_heads": 2,
            "hidden_dim": 32,
            "max_position_embeddings": 40,
        },
    ),
    "roberta": ("Roberta", SIZES),
    "albert": ("Albert", {**SIZES, "embedding_size": 8}),
    "electra": ("Electra", {**SIZES, "embedding_size": 8}),
    "mpnet": ("MPNet", SIZES),
    "deberta-v2": (
        "DebertaV2",
        {
            **SIZES,
            "relative_attention": True,
            "pos_att_type": ["p2c", "c2p"],
            "position_biased_input": False,
            "norm_rel_ebd": "layer_norm",
            "share_att_key": True,
        },
    ),
    "xlm-roberta": ("XLMRoberta", SIZES),
    "modernbert": (
        "ModernBert",
        {
            **SIZES,
            "pad_token_id": 0,
            "bos_token_id": 1,
            "eos_token_id": 2,
            "cls_token_id": 1,
            "sep_token_id": 2,
            "local_attention": 4,
        },
    ),
    "gpt2": (
        "GPT2",
        {
            "vocab_size": 60,
            "n_embd": 16,
            "n_layer": 2,
            "n_head": 2,
            "n_positions": 40,
            "bos_token_id": 59,
            "eos_token_id": 59,
        },
    ),
    "llama": ("Llama", DECODER),
    "qwen2": ("Qwen2", DECODER),
}
VISION = {
    "hidden_size": 16,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "intermediate_size": 32,
    "image_size": 16,
    "patch_size": 8,
}
IMAGES: dict[str, tuple[str, dict[str, Any]]] = {
    "vit": ("ViT", VISION),
    "deit": ("DeiT", VISION),
    "swin": (
        "Swin",
        {
            "embed_dim": 8,
            "depths": [1, 1],
            "num_heads": [2, 2],
            "window_size": 2,
            "image_size": 16,
            "patch_size": 2,
        },
    ),
    "convnext": (
        "ConvNext",
        {"hidden_sizes": [8, 16], "depths": [1, 1], "num_stages": 2, "patch_size": 2},
    ),
    "beit": ("Beit", {**VISION, "use_relative_position_bias": True}),
    "dinov2": ("Dinov2", {k: v for k, v in VISION.items() if k != "intermediate_size"}),
    "resnet": (
        "ResNet",
        {
            "embedding_size": 8,
            "hidden_sizes": [8, 16],
            "depths": [1, 1],
            "layer_type": "basic",
        },
    ),
}
FAMILIES = {**TEXTS, **IMAGES}


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A classifier of every family with three classes, as ``save_pretrained`` writes it."""
    root = tmp_path_factory.mktemp("models")
    for family in FAMILIES:
        save(root / family, family)
    return {family: root / family for family in FAMILIES}


def save(folder: Path, family: str, **more: Any) -> Path:
    name, options = FAMILIES[family]
    auto: Any = (
        AutoModelForSequenceClassification if family in TEXTS else AutoModelForImageClassification
    )
    with quiet(), torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(5)
        config = getattr(transformers, f"{name}Config")(**{**options, "num_labels": 3, **more})
        config.architectures = []
        model = auto.from_config(config)
        # New heads and norms are zeros or ones, new biases zeros: then much would compute the same.
        for parameter in model.parameters():
            parameter.data += 0.05 * torch.randn_like(parameter)
        model.save_pretrained(folder)
    return folder


def build(
    name: str | Path,
    *,
    weights: Weights | None = HUB,
    keep_head: bool = False,
    input_shape: tuple[int, ...] = (),
    outputs: int = 3,
    seed: int = 0,
    notes: list[str] | None = None,
    **options: Any,
) -> Staged:
    return backbones.build(
        {"name": str(name), **options},
        weights=weights,
        keep_head=keep_head,
        input_shape=input_shape,
        outputs=outputs,
        seed=seed,
        notes=notes,
    )


def shape_of(family: str) -> tuple[int, ...]:
    return () if family in TEXTS else (3, 16, 16)


def pad_of(folder: Path) -> int:
    config = json.loads((folder / "config.json").read_text())
    pad = config.get("pad_token_id")
    return int(pad if pad is not None else config["eos_token_id"])


def some_tokens(folder: Path, count: int = 16, longest: int = 10) -> Tokens:
    """Texts of 4 tokens to ``longest`` that no padding is among."""
    generator = torch.Generator().manual_seed(1)
    lengths = torch.randint(4, longest + 1, (count,), generator=generator)
    lengths[0] = longest
    ids = torch.randint(5, 55, (count, longest), generator=generator)
    mask = torch.arange(longest) < lengths[:, None]
    columns = {
        "input_ids": torch.where(mask, ids, pad_of(folder)),
        "attention_mask": mask.long(),
    }
    return Tokens(columns, lengths)


def some_images(count: int = 16) -> Tensors:
    return Tensors(torch.randn(count, 3, 16, 16, generator=torch.Generator().manual_seed(1)))


def inputs_of(family: str, folder: Path, count: int = 16) -> Tokens | Tensors:
    return some_tokens(folder, count) if family in TEXTS else some_images(count)


def body(staged: Staged) -> dict[str, Tensor]:
    head = {id(tensor) for tensor in staged.head.state_dict(keep_vars=True).values()}
    state = staged.module.state_dict(keep_vars=True)
    return {name: value for name, value in state.items() if id(value) not in head}


def same(first: dict[str, Tensor], second: dict[str, Tensor]) -> bool:
    return first.keys() == second.keys() and all(
        torch.equal(value, second[name]) for name, value in first.items()
    )


@pytest.mark.parametrize("family", FAMILIES)
def test_the_logits_are_those_of_transformers_with_the_same_weights(
    family: str, folders: dict[str, Path]
) -> None:
    folder = folders[family]
    staged = build(folder, keep_head=True, input_shape=shape_of(family))
    batch = inputs_of(family, folder)[torch.arange(4)]
    auto: Any = (
        AutoModelForSequenceClassification if family in TEXTS else AutoModelForImageClassification
    )
    with quiet():
        theirs = auto.from_pretrained(folder).eval()
    if theirs.config.get_text_config().to_dict().get("pad_token_id") is None:
        theirs.config.pad_token_id = pad_of(folder) if family in TEXTS else None
    with torch.inference_mode():
        ours = staged.module.eval()(batch)
        expected = theirs(**(batch if isinstance(batch, dict) else {"pixel_values": batch})).logits
    assert ours.shape == (4, 3)
    assert float(ours.std()) > 1e-3
    torch.testing.assert_close(ours, expected, rtol=0, atol=1e-6)


@pytest.mark.parametrize("family", TEXTS)
def test_padding_does_not_change_a_text(family: str, folders: dict[str, Path]) -> None:
    tokens = some_tokens(folders[family])
    module = build(folders[family], keep_head=True).module.eval()
    shortest = int(tokens.lengths.argmin())
    assert int(tokens.lengths[shortest]) < int(tokens.lengths.max())
    with torch.inference_mode():
        alone = module(tokens[torch.tensor([shortest])])
        among = module(tokens[torch.arange(len(tokens))])[shortest]
    torch.testing.assert_close(alone[0], among, rtol=0, atol=1e-5)


@pytest.mark.parametrize("family", FAMILIES)
def test_body_and_head_have_randomness_of_their_own(family: str, folders: dict[str, Path]) -> None:
    shape = shape_of(family)
    before = torch.get_rng_state()
    first = build(folders[family], weights=None, input_shape=shape)
    loaded = build(folders[family], input_shape=shape)
    assert torch.equal(torch.get_rng_state(), before)
    other = build(folders[family], weights=None, input_shape=shape, outputs=5)
    another = build(folders[family], weights=None, input_shape=shape, seed=1)
    assert same(body(first), body(other))
    assert not same(body(first), body(another))
    assert not same(body(first), body(loaded))
    assert same(first.head.state_dict(), loaded.head.state_dict())
    assert not same(first.head.state_dict(), another.head.state_dict())


@pytest.mark.parametrize("family", FAMILIES)
def test_a_stage_is_a_stem_or_a_block(family: str, folders: dict[str, Path]) -> None:
    """Studies name these stages, so that the names must not change."""
    block = {"albert": "albert_layer_groups", "gpt2": "h", "convnext": "stages", "resnet": "stages"}
    layers = ("modernbert", "llama", "qwen2", "vit", "deit", "swin", "beit")
    name = block.get(family, "layers" if family in layers else "layer")
    expected = ("stem", f"{name}.0") if family == "albert" else ("stem", f"{name}.0", f"{name}.1")
    staged = build(folders[family], weights=None, input_shape=shape_of(family))
    assert staged.names == expected


@pytest.mark.parametrize("family", FAMILIES)
def test_the_head_is_what_transformers_puts_on_its_base_model(
    family: str, folders: dict[str, Path]
) -> None:
    staged = build(folders[family], weights=None, input_shape=shape_of(family))
    model: Any = staged.module.model
    base = {id(parameter) for parameter in model.base_model.parameters()}
    head = {id(parameter) for parameter in staged.head.parameters()}
    assert not base & head
    assert base | head == {id(parameter) for parameter in staged.module.parameters()}


def test_distilbert_has_two_layers_in_its_head(folders: dict[str, Path]) -> None:
    staged = build(folders["distilbert"], weights=None)
    parts = {id(parameter) for parameter in staged.head.parameters()}
    named = [n for n, p in staged.module.named_parameters() if id(p) in parts]
    assert named == [
        "model.pre_classifier.weight",
        "model.pre_classifier.bias",
        "model.classifier.weight",
        "model.classifier.bias",
    ]


def engine(
    staged: Staged, inputs: Tokens | Tensors, *, depth: int, epochs: int = 2, rate: float = 1e-2
) -> Engine:
    count = len(inputs)
    targets = torch.arange(count) % 3
    part = Part(inputs=inputs, targets=targets, index=torch.arange(count))
    kind = "text" if isinstance(inputs, Tokens) else "image"
    data = Data(
        kind=kind,
        train=part,
        validation=part,
        classes=CLASSES,
        input_shape=() if kind == "text" else (3, 16, 16),
        digest="none",
    )
    phase = Phase(
        name="main",
        epochs=epochs,
        freeze_depth=depth,
        optimizer="adamw",
        learning_rate=rate,
        weight_decay=0.01,
        options=OPTIMIZERS["adamw"].options,
        schedule=Schedule(),
    )
    plan = Plan(
        dataset={"name": "none"},
        backbone={"name": "none"},
        weights=None,
        keep_head=False,
        task={"name": "classification"},
        batch_size=8,
        augmentation=(),
        device="cpu",
        threads=1,
        phases=(phase,),
    )
    return Engine(
        plan=plan,
        staged=staged,
        task=Classification(classes=CLASSES, targets=targets),
        data=data,
        seed=0,
        device=torch.device("cpu"),
        interrupted=lambda: False,
    )


# Live, but without any effect on the logits: it stands for patches that are hidden in pretraining.
STILL = {"dinov2": ("embeddings.mask_token",)}


@pytest.mark.parametrize(("family", "depth"), cases(FAMILIES, thorough=["bert", "gpt2", "vit"]))
def test_the_freeze_contract_holds_for_every_family(
    family: str, depth: str | int, folders: dict[str, Path]
) -> None:
    kind, shape = ("text", ()) if family in TEXTS else ("image", (3, 16, 16))
    train = inputs_of(family, folders[family], 8)
    data = data_of(train, inputs_of(family, folders[family], 4), shape, kind=kind)
    hold({"name": str(folders[family])}, data, depth, weights=HUB, still=STILL.get(family, ()))


def test_training_on_texts_learns_them(tmp_path: Path) -> None:
    folder = tiny_bert.save(tmp_path / "bert")
    texts = ("the film was good", "a great story", "it was bad", "the play is poor and dull")
    inputs = backbones.prepare_inputs({"name": str(folder)}, "text", Texts(texts * 4))
    staged = build(folder, outputs=3)
    assert isinstance(inputs, Tokens)
    trained = engine(staged, inputs, depth=0, epochs=8, rate=3e-3)
    losses = [result.metrics["train/loss"] for result in trained.epochs()]
    assert losses[-1] < losses[0]


def test_training_repeats_to_the_last_bit_with_dropout_in_the_attention(
    folders: dict[str, Path],
) -> None:
    tokens = some_tokens(folders["bert"])
    ends = []
    for _ in range(2):
        staged = build(folders["bert"])
        list(engine(staged, tokens, depth=1).epochs())
        ends.append(dict(staged.module.state_dict()))
    assert same(ends[0], ends[1])


def test_a_layer_that_albert_calls_for_each_of_its_layers_drops_other_units(
    tmp_path: Path,
) -> None:
    folder = save(tmp_path / "albert", "albert", num_hidden_layers=4)
    staged = build(folder)
    (layer,) = (
        module
        for name, module in staged.module.named_modules()
        if name.endswith("attention.output_dropout")
    )
    seeds: list[int] = []
    layer.register_forward_hook(
        lambda module, *_: (
            seeds.append(torch.default_generator.initial_seed()) if module.training else None
        )
    )
    list(engine(staged, some_tokens(folder), depth=0, epochs=1).epochs())
    assert len(seeds) == 4 * 2
    assert len(set(seeds)) == len(seeds)


def test_only_what_stands_before_the_padding_of_a_decoder_is_pooled(
    folders: dict[str, Path],
) -> None:
    """GPT-2 has no padding token: its end of text takes the place, and is no text."""
    module = build(folders["gpt2"], keep_head=True).module.eval()
    ids = torch.tensor([[7, 8, 9]])
    mask = torch.ones_like(ids)
    with torch.inference_mode():
        alone = module({"input_ids": ids, "attention_mask": mask})
        filled = torch.nn.functional.pad(ids, (0, 2), value=59)
        longer = torch.nn.functional.pad(mask, (0, 2))
        among = module({"input_ids": filled, "attention_mask": longer})
    torch.testing.assert_close(alone, among, rtol=0, atol=1e-5)


def test_weights_for_another_task_start_a_body_and_say_what_they_lack(tmp_path: Path) -> None:
    folder, notes = tiny_bert.save(tmp_path / "bert"), []  # type: ignore[var-annotated]
    staged = build(folder, notes=notes)
    with quiet():
        theirs = transformers.BertForMaskedLM.from_pretrained(folder).state_dict()
    ours = staged.module.state_dict()
    shared = [name for name in theirs if name.startswith("bert.")]
    assert len(shared) > 30
    assert all(torch.equal(ours[f"model.{name}"], theirs[name]) for name in shared)
    assert len(notes) == 2
    assert f"Of the weights {folder}, cls.predictions.bias, " in notes[0]
    assert notes[0].endswith(" belong to another head.")
    assert f"The weights {folder} lack model.bert.pooler.dense.weight, " in notes[1]
    again = build(folder, notes=[])
    assert same(body(staged), body(again)), "a lacking pooler is drawn from the seed"


def test_weights_that_lack_more_than_a_pooler_are_refused(tmp_path: Path) -> None:
    folder = tiny_bert.save(tmp_path / "shallow", layers=1)
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**config, "num_hidden_layers": 2}))
    with pytest.raises(WeightsError, match=r"missing: model\.bert\.encoder\.layer\.1\..* more\."):
        build(folder)
    notes: list[str] = []
    build(folder, strict=False, notes=notes)
    assert any("lack model.bert.encoder.layer.1." in note for note in notes)


@pytest.mark.parametrize("bare", [False, True])
def test_weights_of_a_deeper_body_are_refused(tmp_path: Path, bare: bool) -> None:
    folder = tiny_bert.save(tmp_path / "deep", layers=3)
    if bare:
        with quiet():
            transformers.AutoModel.from_pretrained(folder).save_pretrained(folder)
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**config, "num_hidden_layers": 2}))
    with pytest.raises(
        WeightsError, match=r"unexpected: model\.bert\.encoder\.layer\.2\.atten.* more"
    ):
        build(folder)
    notes: list[str] = []
    build(folder, strict=False, notes=notes)
    assert any("model.bert.encoder.layer.2.attention" in note for note in notes)


def test_a_pooler_that_the_model_has_no_use_for_is_left_out(tmp_path: Path) -> None:
    """As in ``roberta-base``, whose weights have one."""
    config = transformers.RobertaConfig.from_dict(dict(SIZES))
    with quiet():
        transformers.RobertaModel(config).save_pretrained(tmp_path)
    notes: list[str] = []
    build(tmp_path, notes=notes)
    assert len(notes) == 1 and "pooler.dense.bias" in notes[0]


def test_weights_that_do_not_fit_their_own_configuration_are_refused(tmp_path: Path) -> None:
    folder = save(tmp_path, "bert")
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**config, "intermediate_size": 48}))
    with pytest.raises(
        WeightsError, match=r"their own config\.json\. .*\(32,\) instead of \(48,\)"
    ):
        build(folder)


def test_a_head_that_does_not_fit_its_own_configuration_is_only_a_head(tmp_path: Path) -> None:
    folder = save(tmp_path, "bert")
    config = json.loads((folder / "config.json").read_text())
    more = {"id2label": {"0": "bad", "1": "good"}, "label2id": {"bad": 0, "good": 1}}
    (folder / "config.json").write_text(json.dumps({**config, **more}))
    build(folder)
    with pytest.raises(WeightsError, match=r"missing: model\.classifier\.weight"):
        build(folder, keep_head=True)


def test_weights_may_come_from_another_folder_of_the_same_architecture(tmp_path: Path) -> None:
    first = save(tmp_path / "first", "bert")
    second = save(tmp_path / "second", "bert", num_labels=7)
    weights = Weights(source=str(second), sha256=fingerprint(second))
    staged = build(first, weights=weights)
    own = build(second)
    assert same(body(staged), body(own))
    with pytest.raises(WeightsError, match=r"classifier\.weight \(7, 16\) instead of \(3, 16\)"):
        build(first, weights=weights, keep_head=True)


def test_weights_of_another_architecture_are_refused(folders: dict[str, Path]) -> None:
    other = Weights(source=str(folders["electra"]))
    with pytest.raises(
        WeightsError, match=r"electra.* the type electra, but the backbone .*bert has"
    ):
        build(folders["bert"], weights=other)


def test_weights_of_another_width_are_refused(tmp_path: Path, folders: dict[str, Path]) -> None:
    wide = save(tmp_path / "wide", "bert", intermediate_size=48)
    with pytest.raises(WeightsError, match=r"different shape: .*\(48, 16\) instead of \(32, 16\)"):
        build(folders["bert"], weights=Weights(source=str(wide)))


def test_a_folder_that_has_changed_since_it_was_planned_is_refused(tmp_path: Path) -> None:
    folder = tiny_bert.save(tmp_path / "bert")
    planned = Weights(source="hub", sha256=fingerprint(folder))
    build(folder, weights=planned)
    tiny_bert.save(folder, initializer_range=0.5)
    with pytest.raises(WeightsError, match=f"have changed: .*{planned.sha256} was planned"):
        build(folder, weights=planned)


def test_the_weights_of_a_trial_start_another(tmp_path: Path, folders: dict[str, Path]) -> None:
    from safetensors.torch import save_file

    staged = build(folders["gpt2"])
    path = tmp_path / "weights.safetensors"
    save_file(staged.module.state_dict(), path)
    again = build(folders["gpt2"], weights=Weights(source=str(path)), seed=1, outputs=5)
    assert same(body(again), body(staged))


def test_a_state_dict_of_transformers_is_weights_too(
    tmp_path: Path, folders: dict[str, Path]
) -> None:
    notes: list[str] = []
    file = folders["roberta"] / "model.safetensors"
    staged = build(folders["roberta"], weights=Weights(source=str(file)), notes=notes)
    assert same(body(staged), body(build(folders["roberta"])))
    assert notes == [f"The names in the weights {file} are read with the prefix model."]


def test_half_precision_weights_are_trained_in_single_precision(tmp_path: Path) -> None:
    folder = tmp_path / "half"
    with quiet():
        model = transformers.AutoModel.from_pretrained(tiny_bert.save(tmp_path / "bert"))
        model.half().save_pretrained(folder)
    assert json.loads((folder / "config.json").read_text())["dtype"] == "float16"
    for weights in (HUB, None):
        module = build(folder, weights=weights).module
        assert {parameter.dtype for parameter in module.parameters()} == {torch.float32}


def test_weights_that_are_pickled_are_read_without_running_them(tmp_path: Path) -> None:
    folder = tiny_bert.save(tmp_path / "bert")
    safe = build(folder)
    with quiet():
        state = transformers.BertForMaskedLM.from_pretrained(folder).state_dict()
    (folder / "model.safetensors").unlink()
    torch.save(state, folder / "pytorch_model.bin")
    assert same(body(build(folder)), body(safe))
    trace = tmp_path / "trace"
    torch.save({**state, "planted": Planted(trace)}, folder / "pytorch_model.bin")
    with pytest.raises(WeightsError, match="cannot be loaded: "):
        build(folder)
    assert not trace.exists()


class Planted:
    """Creates a file when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.touch, (self.path,)


def test_nothing_is_said_but_in_our_own_words(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """Transformers prints a report on what weights lack, and bars of progress."""
    folder = tiny_bert.save(tmp_path / "bert")
    capfd.readouterr()
    backbones.prepare_inputs({"name": str(folder)}, "text", Texts(("a film", "")))
    build(folder)
    assert capfd.readouterr() == ("", "")


def test_code_beside_a_model_is_never_run(tmp_path: Path) -> None:
    folder, trace = tmp_path / "own", tmp_path / "trace"
    folder.mkdir()
    code = f"import pathlib\npathlib.Path({str(trace)!r}).touch()\n"
    (folder / "configuration_own.py").write_text(code)
    config = {"model_type": "own", "auto_map": {"AutoConfig": "configuration_own.OwnConfig"}}
    (folder / "config.json").write_text(json.dumps(config))
    with pytest.raises(ValueError, match=r"cannot use the configuration of .*own in "):
        build(folder, weights=None)
    assert not trace.exists()


@pytest.mark.parametrize(
    ("family", "shape", "message"),
    [
        ("vit", (), "takes images, but the samples are texts"),
        ("bert", (3, 16, 16), "a bert, which takes texts, but the samples are images"),
        ("vit", (1, 16, 16), r"3 channels, but these have 1; set dataset\.channels: 3\."),
        ("resnet", (1, 16, 16), r"3 channels, but these have 1; set dataset\.channels: 3\."),
        (
            "vit",
            (3, 32, 24),
            r"16 x 16 pixels, but these have 32 x 24; set dataset\.image_size: 16\.",
        ),
        ("deit", (3, 8, 8), r"but these have 8 x 8; set dataset\.image_size: 16\."),
    ],
)
def test_samples_that_a_model_cannot_take_are_refused(
    family: str, shape: tuple[int, ...], message: str, folders: dict[str, Path]
) -> None:
    with pytest.raises(ValueError, match=message):
        build_directly(folders[family], shape)


def build_directly(folder: Path, shape: tuple[int, ...]) -> Staged:
    """As where ``config.json`` was not there yet when the study file was read."""
    from workbench.backbones import transformers_models

    return transformers_models.build(model=str(folder), input_shape=shape, outputs=3)


@pytest.mark.parametrize("family", ["swin", "convnext", "beit", "dinov2", "resnet"])
def test_a_model_that_takes_any_size_may_have_it(family: str, folders: dict[str, Path]) -> None:
    staged = build(folders[family], input_shape=(3, 32, 32))
    assert staged.module.eval()(torch.zeros(2, 3, 32, 32)).shape == (2, 3)


def test_an_architecture_that_classifies_nothing_is_refused(tmp_path: Path) -> None:
    config = transformers.Wav2Vec2BertConfig(hidden_size=16, num_hidden_layers=1)
    config.save_pretrained(tmp_path)
    with pytest.raises(ValueError, match="which cannot be used by transformers for texts"):
        build_directly(tmp_path, ())


def test_stages_may_be_cut_where_a_study_file_says(folders: dict[str, Path]) -> None:
    staged = build(folders["bert"], stages=["encoder.layer.1"])
    assert len(staged.stages) == 2


def test_one_output_is_a_number_and_not_a_class(folders: dict[str, Path]) -> None:
    staged = build(folders["bert"], outputs=1)
    batch = some_tokens(folders["bert"])[torch.arange(4)]
    assert staged.module.eval()(batch).shape == (4, 1)


def test_the_weights_of_a_trial_go_back_to_transformers(folders: dict[str, Path]) -> None:
    staged = build(folders["distilbert"], keep_head=True)
    state = {n.removeprefix("model."): v for n, v in staged.module.state_dict().items()}
    with quiet():
        theirs = AutoModelForSequenceClassification.from_pretrained(folders["distilbert"])
    assert same(state, dict(theirs.state_dict()))
