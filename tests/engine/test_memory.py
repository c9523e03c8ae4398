"""When memory runs out, the message says what was asked for, what is needed and what is free."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from tests.support.training import CPU, parts, phase
from workbench import backbones
from workbench.backbones.stages import OutOfMemoryError, Staged, footprint
from workbench.engine import memory
from workbench.record.strategy import Lora


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
        OutOfMemoryError,
        match=(
            r"out of memory while training with batches of 4: tried to allocate 4,000.0 TB; "
            r"[0-9.]+ [GMT]B free on cpu; weights, gradients and optimizer need about 401 kB, "
            r"and activations of 4 samples about [0-9.]+ kB more. To use less memory, choose "
            r"a smaller batch_size, or micro_batch_size .*, a smaller backbone or a higher freeze_d"
        ),
    ):
        next(engine.epochs())


def build(backbone: dict[str, Any], shape: tuple[int, ...] = (1, 8, 8)) -> Staged:
    return backbones.build(
        backbone, weights=None, keep_head=False, input_shape=shape, outputs=2, seed=0
    )


@pytest.mark.parametrize(
    ("backbone", "shape", "needs"),
    [
        ({"name": "mlp", "hidden": [1000, 10**13]}, (1, 8, 8), r"40,120\.0 TB"),
        ({"name": "small_cnn", "width": 4 * 10**8}, (1, 8, 8), r"[0-9,.]+ TB"),
        ({"name": "small_text", "width": 4 * 10**8}, (), r"[0-9,.]+ TB"),
        ({"name": "vit_b_16", "dropout": 0.1}, (3, 16 * 10**5, 16 * 10**5), r"[0-9,.]+ TB"),
    ],
    ids=lambda value: value.get("name", "") if isinstance(value, dict) else "",
)
def test_a_model_that_does_not_fit_is_refused_before_it_is_made(
    backbone: dict[str, Any], shape: tuple[int, ...], needs: str
) -> None:
    said = (
        rf"the parameters of the backbone {backbone['name']} need at least {needs} of memory, but "
        rf"only [0-9.]+ [GMT]B are free"
    )
    with pytest.raises(OutOfMemoryError, match=said), memory.explain_errors("building", device=CPU):
        build(backbone, shape)


def test_layers_that_do_not_fit_together_are_refused_before_the_first_is_made(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(footprint, "free_memory", lambda: 10**9)
    if not memory.start_peak(CPU):
        pytest.skip("this system does not forget a peak")
    before = memory.peak(CPU)
    with pytest.raises(OutOfMemoryError, match=r"need at least 1\.54 GB of memory, but only 1 GB"):
        build({"name": "mlp", "hidden": [8000] * 7})
    after = memory.peak(CPU)
    assert before is not None and after is not None and after - before < 10**8


def test_a_number_that_torch_cannot_count_to_is_refused_in_words() -> None:
    with (
        pytest.raises(OutOfMemoryError, match="one tensor has more numbers than torch can count; "),
        memory.explain_errors("building the backbone", device=CPU),
    ):
        build({"name": "mlp", "hidden": [10**22]})


def test_a_users_model_that_does_not_fit_is_refused_and_made_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "net.py"
    file.write_text(
        "import torch\n"
        "def net(input_shape, outputs, layers):\n"
        "    with open(__file__ + '.log', 'a') as log:\n"
        "        log.write('made ')\n"
        "    # The values of a tensor that nothing can be copied from are not known.\n"
        "    assert float(torch.ones(1)) == 1.0\n"
        "    parts = [torch.nn.Linear(64, 64) for _ in range(layers)]\n"
        "    return torch.nn.Sequential(torch.nn.Flatten(), *parts, torch.nn.Linear(64, outputs))\n"
    )
    monkeypatch.setattr(footprint, "free_memory", lambda: 10**6)
    assert len(build({"name": f"{file}:net", "layers": 3}).stages) > 0
    with pytest.raises(
        ValueError, match=r"net\.py:7: .*need at least 1\.01 MB of memory, but only 1 MB"
    ):
        build({"name": f"{file}:net", "layers": 100})
    assert Path(f"{file}.log").read_text() == "made made "


def test_adapters_that_do_not_fit_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("peft")
    with pytest.raises(
        OutOfMemoryError, match=r"adding LoRA's adapters: tried to allocate 25\.6 TB"
    ):
        parts(phase(), backbone="mlp", lora=Lora(rank=10**11))
    monkeypatch.setattr(footprint, "free_memory", lambda: 10**6)
    with pytest.raises(OutOfMemoryError, match=r"adapters of rank 9000 need at least [0-9.]+ MB"):
        parts(phase(), backbone="mlp", lora=Lora(rank=9000))


def test_what_is_frozen_needs_neither_gradients_nor_an_optimizer() -> None:
    said = []
    for depth in (0, 2):
        _, staged, _ = parts(phase("sgd", depth=depth), backbone="mlp")
        said.append(memory.needed(staged, None, samples=8, slots=1))
    total, head = 64 * 128 + 128 + 128 * 128 + 128 + 258, 258
    assert said == [
        f"weights, gradients and optimizer need about {4 * count / 1000:.3g} kB"
        for count in (3 * total, total + 2 * head)
    ]


def test_an_accelerators_allocator_is_understood() -> None:
    said = "CUDA out of memory. Tried to allocate 20.00 GiB. GPU 0 has a total capacity of 8 GiB."
    allocation = r"tried to allocate 21\.5 GB"
    with pytest.raises(OutOfMemoryError, match=allocation), memory.explain_errors("x", device=CPU):
        raise torch.OutOfMemoryError(said)


def test_other_errors_pass_as_they_are() -> None:
    with (
        pytest.raises(RuntimeError, match=r"^shapes do not fit$"),
        memory.explain_errors("x", device=CPU),
    ):
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
