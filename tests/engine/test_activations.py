"""Kept outputs of frozen stages give the numbers of running the stages, bit for bit."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from tests.support.freeze_contract import LARGE, SMALLEST, images
from tests.support.training import AUGMENTATION, make, phase
from workbench import backbones
from workbench.backbones import stages
from workbench.backbones.stages import Staged
from workbench.datasets import Part
from workbench.engine import activations
from workbench.engine.activations import Kept
from workbench.engine.loop import Interrupted
from workbench.record.strategy import Lora, Phase


class InMemory:
    """Keeps whatever can be kept, and counts the passes over the frozen stages."""

    def __init__(self) -> None:
        self.given: list[tuple[int, int]] = []

    def get(
        self,
        staged: Staged,
        depth: int,
        part: Part,
        *,
        size: int,
        fill: bool,
        passes: int,
        before: Callable[[], None],
    ) -> Kept | None:
        split = activations.split(staged, depth, part.inputs, size)
        if split is None:
            return None
        count = len(part.inputs)
        rows = [torch.full((count, *shape), torch.nan, dtype=kind) for shape, kind in split.rows]
        activations.compute(staged, split, part.inputs, rows, size=size, fill=fill, before=before)
        self.given.append((depth, passes))
        return Kept(split=split, rows=tuple(rows))


def trained(
    *phases: Phase, keeper: InMemory | None, **fields: Any
) -> tuple[list[dict[str, float]], dict[str, Tensor]]:
    engine = make(*phases, keeper=keeper, **fields)
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
        # The last batch of 20 samples has 2, and of a step of 6 the last pass has 2.
        ([phase(depth=2)], {"batch_size": 6, "micro_batch_size": 4}, [2, 2]),
        ([phase(depth=1)], MLP, [1, 1]),
        ([phase(depth=2)], {**MLP, "batch_size": 5}, [2, 2]),
        ([phase(depth=2, epochs=3, unfreeze_every=1)], {}, [2, 2, 1, 1]),
        ([phase(name="head", depth=2), phase(name="rest", depth=1)], {}, [2, 2, 1, 1]),
        ([phase(name="all"), phase(name="head", depth=2)], {}, [2, 2]),
        ([phase(depth=1, l2_sp=0.1)], {"clip_norm": 0.5}, [1, 1]),
        ([phase(depth=1)], {"report_every": 0.5, "batch_size": 5}, [1, 1]),
    ],
)
def test_training_and_validation_are_the_same_bit_for_bit(
    phases: list[Phase], fields: dict[str, Any], depths: list[int]
) -> None:
    keeper = InMemory()
    kept, recomputed = (trained(*phases, keeper=each, **fields) for each in (keeper, None))
    assert [depth for depth, _ in keeper.given] == depths, "training and validation are both kept"
    assert kept[0] == recomputed[0]
    assert kept[1].keys() == recomputed[1].keys()
    assert all(torch.equal(kept[1][name], recomputed[1][name]) for name in kept[1])


def test_dropout_behind_the_frozen_stages_draws_the_same_numbers() -> None:
    fields = {**MLP, "backbone": {"name": "mlp", "hidden": [8, 8, 8], "dropout": 0.5}}
    kept, recomputed = (
        trained(phase(depth=1), keeper=keeper, **fields) for keeper in (InMemory(), None)
    )
    assert kept[0] == recomputed[0]


@pytest.mark.parametrize(
    "fields",
    [
        {"augmentation": AUGMENTATION},
        {"mixup": 0.2},
        {"ema": 0.9},
        {**MLP, "lora": Lora(rank=2)},
        {"precision": "bfloat16"},
    ],
)
def test_nothing_is_kept_where_the_frozen_stages_see_something_else_each_time(
    fields: dict[str, Any],
) -> None:
    keeper = InMemory()
    trained(phase(depth=1), keeper=keeper, **fields)
    assert keeper.given == []


def test_texts_are_not_kept() -> None:
    """The length of a batch depends on its longest text, and with it the last bits."""
    data = images(8)

    class Named:
        def __len__(self) -> int:
            return 2

        def __getitem__(self, positions: Tensor) -> dict[str, Tensor]:
            return {"input_ids": positions}

        def to(self, device: torch.device) -> Named:
            return self

    staged = backbones.build(
        {"name": "small_cnn"},
        weights=None,
        keep_head=False,
        input_shape=data.input_shape,
        outputs=2,
        seed=0,
    )
    assert activations.split(staged, 1, Named(), 2) is None


def test_a_stop_while_outputs_are_computed_continues_to_the_same_numbers() -> None:
    calls = iter([False] * 2)
    stopped = make(
        phase(depth=2), keeper=InMemory(), interrupted=lambda: next(calls, None) is not False
    )
    with pytest.raises(Interrupted):
        list(stopped.epochs())
    again = make(phase(depth=2), keeper=InMemory())
    again.restore(stopped.state())
    uninterrupted = make(phase(depth=2), keeper=None)
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
def test_each_family_continues_from_kept_outputs_in_any_batch(name: str) -> None:
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
    inputs, size = data.train.inputs, 4 if name in LARGE else 8
    depths = sorted({1, len(staged.stages) // 2, len(staged.stages)})
    splits = {depth: activations.split(staged, depth, inputs, size) for depth in depths}
    assert splits[len(staged.stages)] is not None, "a linear probe is what it is for"
    for split in filter(None, splits.values()):
        rows = [torch.empty((len(inputs), *shape), dtype=kind) for shape, kind in split.rows]
        activations.compute(staged, split, inputs, rows, size=size, fill=True, before=lambda: None)
        kept = Kept(split=split, rows=tuple(rows))
        order = torch.randperm(len(inputs), generator=torch.Generator().manual_seed(0))
        for positions in torch.split(order, size):
            if len(positions) in (1, 3):
                continue  # Some kernels sum in another order for so few samples.
            with torch.no_grad():
                expected = staged.module(inputs[positions])
                found = kept.forward(staged.module, kept.at(positions))
            assert torch.equal(found, expected), name


def test_a_model_that_reads_its_inputs_behind_the_cut_is_not_split() -> None:
    class Skip(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.body, self.head = nn.Linear(4, 4), nn.Linear(4, 2)

        def forward(self, inputs: Tensor) -> Tensor:
            return self.head(self.body(inputs)) + inputs[:, :2]  # type: ignore[no-any-return]

    torch.manual_seed(0)
    module = Skip()
    example = torch.randn(6, 4)
    staged = stages.discover(module, example, head=module.head)
    assert activations.split(staged, 1, _Rows(example), 6) is None


class _Rows:
    def __init__(self, values: Tensor) -> None:
        self.values = values

    def __len__(self) -> int:
        return len(self.values)

    def __getitem__(self, positions: Tensor) -> Tensor:
        return self.values[positions]

    def to(self, device: torch.device) -> _Rows:
        return self
