"""Stored outputs of frozen stages give the numbers of running the stages, bit for bit."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from tests.support import tiny_bert
from tests.support.freeze_contract import CLASSES, LARGE, SMALLEST, data_of, images
from tests.support.training import AUGMENTATION, CPU, make, phase, plan, through_disk
from workbench import backbones
from workbench.backbones import stages
from workbench.backbones.stages import Staged
from workbench.datasets import Data
from workbench.datasets.samples import Tensors, Texts
from workbench.engine import activations
from workbench.engine.activations import NotReplayableError, Read, Request, Split, StoredActivations
from workbench.engine.loop import Engine, Interrupted
from workbench.record.strategy import Lora, Phase
from workbench.tasks.classification import Classification


class InMemory:
    """Stores whatever can be stored, and counts the passes over the frozen stages."""

    def __init__(self) -> None:
        self.given: list[int] = []

    def get(self, request: Request) -> StoredActivations | None:
        found = stored_for(request)
        if found is not None:
            self.given.append(request.depth)
        return found


def request(staged: Staged, depth: int, read: Read, count: int, *, size: int) -> Request:
    return Request(
        staged=staged,
        depth=depth,
        read=read,
        index=torch.arange(count),
        size=size,
        pad_last=True,
        before_batch=lambda: None,
    )


def stored_for(asked: Request) -> StoredActivations | None:
    """What is asked for, in memory."""
    split = activations.split(asked)
    if split is None:
        return None
    rows = rows_for(split, len(asked.index))
    activations.compute(asked, split, rows)
    return StoredActivations(split=split, rows=tuple(rows), sizes=asked.sizes)


def rows_for(split: Split, count: int) -> list[Tensor]:
    return [
        torch.full((count, *value.shape[1:]), torch.nan, dtype=value.dtype)
        for value in split.first.values
    ]


def trained(
    *phases: Phase, source: InMemory | None, **fields: Any
) -> tuple[list[dict[str, float]], dict[str, Tensor]]:
    engine = make(*phases, activation_source=source, **fields)
    metrics = [
        {name: value for name, value in report.metrics.items() if name != "seconds"}
        for report in engine.epochs()
    ]
    return metrics, engine.weights()


MLP: dict[str, Any] = {
    "backbone": {"name": "mlp", "hidden": [8, 8]},
    "dataset": {"name": "wine", "validation": 40, "test": 40},
}


@pytest.mark.parametrize(
    ("phases", "fields", "depths"),
    [
        ([phase(depth=1)], {}, [1, 1]),
        ([phase(depth=2)], {}, [2, 2]),
        ([phase(depth=2)], {"batch_size": 7}, [2, 2]),
        # Batches of 1 and 3 samples, for which some kernels sum in another order.
        ([phase(depth=2)], {"batch_size": 17}, [2, 2]),
        ([phase(depth=2)], {"batch_size": 19}, [2, 2]),
        ([phase(depth=2)], {"batch_size": 8, "micro_batch_size": 3}, [2, 2]),
        ([phase(depth=2)], {"batch_size": 6, "micro_batch_size": 4}, [2, 2]),
        ([phase(depth=1)], MLP, [1, 1]),
        ([phase(depth=2)], {**MLP, "batch_size": 5}, [2, 2]),
        ([phase(depth=2, epochs=3, unfreeze_every=1)], {}, [2, 2, 1, 1]),
        ([phase(name="head", depth=2), phase(name="rest", depth=1)], {}, [2, 2, 1, 1]),
        # Outputs of stages that this trial has trained are of use to no other.
        ([phase(name="all"), phase(name="head", depth=2)], {}, []),
        ([phase(depth=1, l2_sp=0.1)], {"clip_norm": 0.5}, [1, 1]),
        ([phase(depth=1)], {"report_every": 0.5, "batch_size": 5}, [1, 1]),
        # Training images differ in each of the two epochs.
        ([phase(depth=1)], {"augmentation": AUGMENTATION}, [1, 1, 1]),
        ([phase(depth=2)], {"augmentation": AUGMENTATION, "batch_size": 17}, [2, 2, 2]),
    ],
)
def test_training_and_validation_are_the_same_bit_for_bit(
    phases: list[Phase], fields: dict[str, Any], depths: list[int]
) -> None:
    source = InMemory()
    stored, recomputed = (trained(*phases, source=each, **fields) for each in (source, None))
    assert source.given == depths, "training and validation are both stored"
    assert stored[0] == recomputed[0]
    assert stored[1].keys() == recomputed[1].keys()
    assert all(torch.equal(stored[1][name], recomputed[1][name]) for name in stored[1])


def test_dropout_behind_the_frozen_stages_draws_the_same_numbers() -> None:
    fields = {**MLP, "backbone": {"name": "mlp", "hidden": [8, 8, 8], "dropout": 0.5}}
    stored, recomputed = (
        trained(phase(depth=1), source=source, **fields) for source in (InMemory(), None)
    )
    assert stored[0] == recomputed[0]


@pytest.mark.parametrize(
    "fields",
    [
        {"mixup": 0.2},
        {"ema": 0.9},
        {**MLP, "lora": Lora(rank=2)},
        {"precision": "bfloat16"},
    ],
)
def test_nothing_is_stored_where_the_frozen_stages_see_something_else_each_time(
    fields: dict[str, Any],
) -> None:
    source = InMemory()
    trained(phase(depth=1), source=source, **fields)
    assert source.given == []


def texts(rows: Sequence[str]) -> Texts:
    return Texts(tuple(rows))


@pytest.mark.parametrize(("padding", "asked"), [("longest", 0), ("max_length", 2)])
def test_texts_are_stored_where_all_batches_have_one_length(
    tmp_path: Path, padding: str, asked: int
) -> None:
    """Else the length of a batch depends on its longest text, and with it the last bits."""
    folder = tiny_bert.save(tmp_path / "bert")
    words = [" ".join(tiny_bert.WORDS[: 1 + number % 5]) for number in range(20)]
    plain = data_of(texts(words), texts(words), (), kind="text")
    backbone = {"name": str(folder), "max_length": 8, "padding": padding}
    losses, sources = [], (InMemory(), None)
    for source in sources:
        data = backbones.prepare(backbone, plain)
        staged = backbones.build(
            backbone, weights=None, keep_head=False, input_shape=(), outputs=2, seed=0
        )
        fields: dict[str, Any] = {"backbone": backbone, "batch_size": 8}
        engine = engine_of(data, source, staged, phases=phase(depth=2), **fields)
        losses.append([{**report.metrics, "seconds": 0.0} for report in engine.epochs()])
    assert sources[0] is not None and len(sources[0].given) == asked
    assert losses[0] == losses[1]


def engine_of(data: Data, source: InMemory | None, staged: Staged, **fields: Any) -> Engine:
    """An engine that trains with the first stages frozen."""
    fields = {"backbone": {"name": "small_cnn"}, **fields}
    phases = fields.pop("phases", phase(depth=1))
    return Engine(
        plan=plan(phases, dataset={"name": "own"}, **fields),
        staged=staged,
        task=Classification(classes=CLASSES, targets=data.train.targets),
        data=data,
        seed=0,
        device=CPU,
        interrupted=lambda: False,
        activation_source=source,
    )


def small_cnn(input_shape: tuple[int, ...] = (3, 8, 8)) -> Staged:
    return backbones.build(
        {"name": "small_cnn"},
        weights=None,
        keep_head=False,
        input_shape=input_shape,
        outputs=2,
        seed=0,
    )


def test_training_images_are_cropped_before_their_outputs_are_stored() -> None:
    """They have a margin, which is there for the augmentation."""
    large, small = (torch.randn(20, 1, side, side) for side in (12, 8))
    data = data_of(Tensors(large), Tensors(small), (1, 8, 8))
    losses = []
    for source in (InMemory(), None):
        engine = engine_of(data, source, small_cnn((1, 8, 8)))
        losses.append([report.metrics["train/loss"] for report in engine.epochs()])
    assert losses[0] == losses[1]


class Counted(Tensors):
    """Counts the samples that are read."""

    def __init__(self, tensor: Tensor) -> None:
        super().__init__(tensor)
        self.read = 0

    def __getitem__(self, positions: Tensor) -> Tensor:
        self.read += len(positions)
        return super().__getitem__(positions)

    def to(self, device: torch.device) -> Counted:
        return self


def test_images_are_not_read_again_once_their_outputs_are_stored() -> None:
    train, validation = Counted(torch.randn(20, 3, 8, 8)), Counted(torch.randn(20, 3, 8, 8))
    data = data_of(train, validation, (3, 8, 8))
    engine = engine_of(data, InMemory(), small_cnn(), phases=phase(depth=1, epochs=3))
    epochs = engine.epochs()
    next(epochs)
    trained, validated = train.read, validation.read
    assert len(list(epochs)) == 2
    assert train.read == trained
    # One sample, for the size of a batch.
    assert validation.read - validated < 20


def test_a_stop_while_outputs_are_computed_continues_to_the_same_numbers() -> None:
    calls = iter([False] * 2)
    stopped = make(
        phase(depth=2),
        activation_source=InMemory(),
        interrupted=lambda: next(calls, None) is not False,
    )
    state = through_disk(stopped.state())
    with pytest.raises(Interrupted):
        list(stopped.epochs())
    again = make(phase(depth=2), activation_source=InMemory())
    again.restore(state)
    uninterrupted = make(phase(depth=2), activation_source=None)
    assert [r.metrics["train/loss"] for r in again.epochs()] == [
        r.metrics["train/loss"] for r in uninterrupted.epochs()
    ]


@pytest.mark.parametrize(
    "name",
    [
        pytest.param(
            name,
            marks=[]
            if name in ("resnet", "densenet", "mobilenet_v3", "shufflenet_v2", "convnext")
            else [pytest.mark.slow, pytest.mark.nightly],
        )
        for name in SMALLEST
    ],
)
def test_each_family_continues_from_stored_outputs_in_any_batch(name: str) -> None:
    model, side = SMALLEST[name]
    torch.set_num_threads(1)
    data = images(side, samples=12)
    staged = backbones.build(
        {"name": model},
        weights=None,
        keep_head=False,
        input_shape=data.input_shape,
        outputs=2,
        seed=0,
    )
    staged.module.eval()
    read, size = data.train.inputs.__getitem__, 4 if name in LARGE else 8
    count, depths = len(data.train.index), {1, len(staged.stages) // 2, len(staged.stages)}
    found = {depth: stored_for(request(staged, depth, read, count, size=size)) for depth in depths}
    assert found[len(staged.stages)] is not None, "a linear probe is what it is for"
    for stored in filter(None, found.values()):
        more = stored.with_sizes(range(1, size), staged.module, read)
        assert len(more.sizes) > 1 or name in LARGE
        order = torch.randperm(count, generator=torch.Generator().manual_seed(0))
        for positions in torch.split(order, size):
            with torch.no_grad():
                expected = staged.module(read(positions))
                outputs = more.forward(staged.module, positions, read)
            assert torch.equal(outputs, expected), name


def test_a_linear_probe_runs_nothing_but_its_head() -> None:
    staged = small_cnn()
    data = data_of(Tensors(torch.randn(24, 3, 8, 8)), Tensors(torch.randn(8, 3, 8, 8)), (3, 8, 8))
    depth = len(staged.stages)
    engine = engine_of(data, InMemory(), staged, phases=phase(depth=depth, epochs=3))
    epochs = engine.epochs()
    next(epochs)
    calls: list[nn.Module] = []
    for module in (staged.module, staged.head):
        module.register_forward_hook(lambda module, *_: calls.append(module))
    assert len(list(epochs)) == 2
    # Three batches and the validation, in each of two epochs.
    assert calls == [staged.head] * 8


class Twice(nn.Module):
    """Its head is called twice, and is not given one tensor alone, if ``named``."""

    def __init__(self, *, named: bool, training: bool = True) -> None:
        super().__init__()
        self.body, self.head = nn.Linear(4, 4), nn.Linear(4, 2)
        self.named, self.only_training = named, training

    def forward(self, inputs: Tensor) -> Tensor:
        body = self.body(inputs)
        outputs: Tensor = self.head(input=body) if self.named else self.head(body)
        if self.named or (self.only_training and not self.training):
            return outputs
        other: Tensor = self.head(body.relu())
        return other


class Changing(nn.Module):
    """Changes the outputs of its head in place, in training alone if it is to."""

    def __init__(self, *, training: bool) -> None:
        super().__init__()
        self.body, self.head = nn.Linear(4, 4), nn.Linear(4, 2)
        self.only_training = training

    def forward(self, inputs: Tensor) -> Tensor:
        outputs: Tensor = self.head(self.body(inputs))
        return outputs.mul_(0.5) if self.training or not self.only_training else outputs


class OfLists(nn.Module):
    """Its head takes a list of tensors."""

    def __init__(self) -> None:
        super().__init__()
        self.body, self.head = nn.Linear(4, 4), Sum()

    def forward(self, inputs: Tensor) -> Tensor:
        outputs: Tensor = self.head([self.body(inputs), self.body(inputs)])
        return outputs


class Sum(nn.Linear):
    def __init__(self) -> None:
        super().__init__(4, 2)

    def forward(self, inputs: Sequence[Tensor]) -> Tensor:  # type: ignore[override]
        return super().forward(inputs[0] + inputs[1])


class Hooked(nn.Module):
    """A hook changes what its head is given."""

    def __init__(self) -> None:
        super().__init__()
        self.body, self.head = nn.Linear(4, 4), nn.Linear(4, 2)
        self.head.register_forward_pre_hook(lambda _, args: (2 * args[0],))

    def forward(self, inputs: Tensor) -> Tensor:
        outputs: Tensor = self.head(self.body(inputs))
        return outputs


@pytest.mark.parametrize(
    "module",
    [
        Twice(named=True),
        Twice(named=False),
        Twice(named=False, training=False),
        Changing(training=True),
        Changing(training=False),
        OfLists(),
        Hooked(),
    ],
)
def test_a_head_that_is_not_all_that_is_left_of_a_model_does_not_run_alone(
    module: nn.Module,
) -> None:
    inputs = torch.randn(8, 4)
    head = module.head
    assert isinstance(head, nn.Module)
    staged = stages.discover(module, inputs[:4], head=head)
    split = activations.split(request(staged, 1, inputs.__getitem__, 8, size=4))
    assert split is None or not split.head_alone


def test_the_look_for_a_split_leaves_a_head_with_batch_normalisation_as_it_was() -> None:
    head = nn.Sequential(nn.BatchNorm1d(4), nn.Linear(4, 2))
    module, inputs = nn.Sequential(nn.Linear(4, 4), head), torch.randn(8, 4)
    staged = stages.discover(module, inputs[:4], head=head)
    staged.module.eval()
    before = {name: value.clone() for name, value in module.state_dict().items()}
    split = activations.split(request(staged, 1, inputs.__getitem__, 8, size=4))
    assert split is not None and split.head_alone
    assert all(torch.equal(value, before[name]) for name, value in module.state_dict().items())
    assert not any(each.training for each in module.modules())


class Masked(nn.Module):
    """Its live part reads the inputs, which differ from what is expected in a late sample alone."""

    def __init__(self) -> None:
        super().__init__()
        self.body, self.head = nn.Linear(4, 4), nn.Linear(4, 2)

    def forward(self, inputs: Tensor) -> Tensor:
        outputs: Tensor = self.head(self.body(inputs))
        return outputs.masked_fill((inputs == 0).any(1, keepdim=True), 0.0)


def test_a_live_part_that_reads_the_inputs_gets_them() -> None:
    torch.manual_seed(0)
    module, inputs = Masked(), torch.randn(8, 4)
    inputs[7, 0] = 0.0
    staged = stages.discover(module, inputs[:4], head=module.head)
    stored = stored_for(request(staged, 1, inputs.__getitem__, 8, size=4))
    assert stored is not None
    late = torch.arange(4, 8)
    outputs = stored.forward(module, late, inputs.__getitem__)
    assert torch.equal(outputs, module(inputs[late]))


class Skipping(nn.Module):
    """Its live part reads the inputs in training alone."""

    def __init__(self) -> None:
        super().__init__()
        self.body, self.norm, self.head = nn.Linear(4, 4), nn.BatchNorm1d(4), nn.Linear(4, 2)

    def forward(self, inputs: Tensor) -> Tensor:
        outputs: Tensor = self.head(self.norm(self.body(inputs)))
        return outputs + inputs[:, :2] if self.training else outputs


def test_a_live_part_that_reads_the_inputs_in_training_alone_gets_them() -> None:
    torch.manual_seed(0)
    module, inputs = Skipping(), torch.randn(8, 4)
    staged = stages.discover(module, inputs[:4], head=module.head)
    module.eval()
    stored = stored_for(request(staged, 1, inputs.__getitem__, 8, size=4))
    assert stored is not None
    assert int(module.norm.num_batches_tracked or 0) == 0, "trying a split trains nothing"
    stages.train_mode(staged, 1)
    some = torch.arange(4)
    outputs = stored.forward(module, some, inputs.__getitem__)
    assert torch.equal(outputs, module(inputs[some]))


class Switching(nn.Module):
    """For large inputs, its live part uses a result of the frozen part that is not kept."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.body, self.head = nn.Linear(4, 4), nn.Linear(4, 4), nn.Linear(4, 2)

    def forward(self, inputs: Tensor) -> Tensor:
        first = self.first(inputs)
        outputs: Tensor = self.head(self.body(first))
        return outputs + first[:, :2] if bool((inputs > 100).any()) else outputs


@pytest.mark.parametrize(
    ("verified", "sample", "noticed"),
    [(1, 10, "8 to 11"), (3, 14, "12 to 15"), (3, 10, None), (3, 22, "20 to 23")],
)
def test_a_batch_that_cannot_be_continued_is_noticed_where_it_is_verified(
    verified: int, sample: int, noticed: str | None
) -> None:
    torch.manual_seed(0)
    module, inputs = Switching(), torch.randn(24, 4)
    inputs[sample, 0] = 1000.0
    staged = stages.discover(module, inputs[:4], head=module.head)
    asked = request(staged, len(staged.stages), inputs.__getitem__, 24, size=4)
    split = activations.split(asked)
    assert split is not None
    rows = rows_for(split, 24)
    if noticed is None:
        activations.compute(asked, split, rows, verified=verified)
        assert not any(row.isnan().any() for row in rows)
        return
    with pytest.raises(NotReplayableError, match=f"samples {noticed}"):
        activations.compute(asked, split, rows, verified=verified)


class BatchStatistics(nn.Module):
    """Its frozen part uses the statistics of the batch, in evaluation too."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Sequential(nn.Linear(4, 8), nn.BatchNorm1d(8, track_running_stats=False))
        self.body, self.head = nn.Linear(8, 4), nn.Linear(4, 2)

    def forward(self, inputs: Tensor) -> Tensor:
        outputs: Tensor = self.head(torch.relu(self.body(torch.relu(self.first(inputs)))))
        return outputs


@pytest.mark.parametrize("size", [16, 32])
def test_outputs_that_depend_on_the_other_samples_of_a_batch_are_not_stored(size: int) -> None:
    torch.manual_seed(0)
    module, inputs = BatchStatistics(), torch.randn(64, 4)
    staged = stages.discover(module, inputs[:4], head=module.head)
    staged.module.eval()
    assert stages.cut(staged, 1, inputs[:2]) is not None
    # Batches as large as the one that is tried would look right.
    assert activations.split(request(staged, 1, inputs.__getitem__, 64, size=size)) is None
