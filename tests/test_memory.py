"""When memory runs out, the message says what was asked for, what is needed and what is free."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn
from training import CPU, parts, phase

from workbench import backbones
from workbench.engine import OutOfMemory, memory
from workbench.stages import Staged


class Hungry(nn.Module):
    """Asks for 4 million GB in the forward pass of a training batch."""

    def __init__(self, inner: nn.Module) -> None:
        super().__init__()
        self.inner = inner

    def forward(self, inputs: Tensor) -> Tensor:
        if self.training:
            torch.empty(10**15)
        outputs: Tensor = self.inner(inputs)
        return outputs


def hungry(staged: Staged) -> Staged:
    return Staged(module=Hungry(staged.module), stages=staged.stages, head=staged.head)


def test_a_batch_that_does_not_fit_ends_with_figures_and_ways_out() -> None:
    engine, _, _ = parts(phase(), backbone="mlp", change=hungry, micro_batch_size=4)
    with pytest.raises(
        OutOfMemory,
        match=(
            r"out of memory while training with batches of 8: 4,000.0 TB were asked for at once; "
            r"[0-9.]+ [GMT]B are free on cpu; weights, gradients and optimizer need about 401 kB, "
            r"and a pass of 4 samples keeps [0-9.]+ kB more. Less memory is needed with "
            r"a smaller batch_size, or micro_batch_size .*, a smaller backbone or a higher freeze_d"
        ),
    ):
        next(engine.epochs())


def test_a_model_that_does_not_fit_is_told_of_in_the_same_words() -> None:
    wide = {"name": "mlp", "hidden": [1000, 10**13]}
    with (
        pytest.raises(
            OutOfMemory,
            match=(
                r"while building the backbone: 40,000.0 TB were asked for at once; "
                r"[0-9.]+ [GMT]B are free on cpu. Less memory is needed with a smaller backbone"
            ),
        ),
        memory.told("building the backbone", device=CPU),
    ):
        backbones.build(
            wide, weights=None, keep_head=False, input_shape=(1, 8, 8), outputs=2, seed=0
        )


def test_what_is_frozen_needs_neither_gradients_nor_an_optimizer() -> None:
    said = []
    for depth in (0, 2):
        _, staged, _ = parts(phase("sgd", depth=depth), backbone="mlp")
        said.append(memory.needed(staged, None, depth=depth, samples=8, slots=1))
    total, head = 64 * 128 + 128 + 128 * 128 + 128 + 258, 258
    assert said == [
        f"weights, gradients and optimizer need about {4 * count / 1000:.3g} kB"
        for count in (3 * total, total + 2 * head)
    ]


def test_an_accelerators_allocator_is_understood() -> None:
    said = "CUDA out of memory. Tried to allocate 20.00 GiB. GPU 0 has a total capacity of 8 GiB."
    with pytest.raises(OutOfMemory, match=r"21.5 GB were asked for"), memory.told("x", device=CPU):
        raise torch.OutOfMemoryError(said)


def test_other_errors_pass_as_they_are() -> None:
    with pytest.raises(RuntimeError, match=r"^shapes do not fit$"), memory.told("x", device=CPU):
        raise RuntimeError("shapes do not fit")


def test_the_peak_is_that_since_it_was_last_forgotten() -> None:
    if not memory.start_peak(CPU):
        pytest.skip("this system does not forget a peak")
    before = memory.peak(CPU)
    assert before is not None
    size = 200 * 2**20
    held = torch.ones(size, dtype=torch.uint8)
    del held
    after = memory.peak(CPU)
    assert after is not None and 0.9 * size < after - before < 1.5 * size
    assert memory.start_peak(CPU)
    now = memory.peak(CPU)
    assert now is not None and now < after - 0.5 * size


def test_a_device_that_nobody_measures_has_no_peak() -> None:
    assert not memory.start_peak(torch.device("mps"))
