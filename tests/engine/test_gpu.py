"""On an NVIDIA GPU: the freeze contract, resume, precision, memory, and trials that share the GPU.

    pytest -m gpu

Left out where torch finds no GPU.
"""

from __future__ import annotations

import gc
import json
import subprocess
import sys
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from tests.support import freeze_contract
from tests.support.training import AUGMENTATION, every, make, must_resume, parts, phase
from tests.support.trials import directory_for, go_on, never, planned, spec_for
from workbench.datasets import augmentations
from workbench.engine import memory
from workbench.engine.devices import set_gpu_precision
from workbench.record import Result, State
from workbench.trial import run as trial_run

pytestmark = pytest.mark.gpu

GPU = torch.device("cuda")
# A layer of so many numbers needs far more memory than all that is around it.
WIDE = """\
# Does half a batch fit?
name: wide
recipe:
  dataset: {name: digits, classes: [1, 7], train_per_class: 64, validation: 2, test: 2}
  backbone: {name: mlp, hidden: [8, 1000000]}
  batch_size: 128
  epochs: 1
  device: cuda
tune:
  learning_rate: {low: 1e-4, high: 1e-3, log: true, default: 1e-3}
search: {trials: 1, sampler: random, pruner: none}
"""
SHARED = """\
# Do two trials share a GPU?
name: shared
resources: {gpus: 0.5}
recipe:
  dataset: {name: digits, classes: [1, 7], train_per_class: 20, validation: 20, test: 20}
  backbone: {name: small_cnn}
  epochs: 2
  device: cuda
compare:
  freeze_depth: [0, all]
tune:
  learning_rate: {low: 1e-4, high: 1e-2, log: true, default: 1e-3}
search: {trials_per_strategy: 3, sampler: random, pruner: none}
"""


@pytest.mark.parametrize("depth", freeze_contract.DEPTHS)
@pytest.mark.parametrize("name", ["resnet18", "convnext_tiny", "vit_b_32"])
def test_a_trial_changes_what_is_live_and_not_one_bit_of_what_is_frozen(
    name: str, depth: int | str
) -> None:
    freeze_contract.hold({"name": name}, freeze_contract.images(64), depth, device="cuda")


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"augmentation": AUGMENTATION, "mixup": 0.2, "ema": 0.9},
        {"precision": "tf32"},
        {"precision": "bfloat16", "micro_batch_size": 4},
        {"loader_workers": 1, "augmentation": AUGMENTATION},
    ],
    ids=["float32", "augmentation, mixup, EMA", "tf32", "bfloat16", "loader process"],
)
def test_a_trial_resumes_to_the_last_bit(fields: dict[str, Any]) -> None:
    set_gpu_precision(fields.get("precision", "float32"))
    must_resume(lambda: make(phase(depth=1), device=GPU, **fields))


def test_float32_is_that_of_the_cpu_and_bfloat16_is_not() -> None:
    def losses(**fields: Any) -> list[float]:
        set_gpu_precision(fields.get("precision", "float32"))
        engine = make(phase(epochs=2), **fields)
        return [result.metrics["train/loss"] for result in engine.epochs()]

    expected = losses()
    assert losses(device=GPU) == pytest.approx(expected, rel=1e-4)
    reduced = losses(device=GPU, precision="bfloat16")
    assert reduced != pytest.approx(expected, rel=1e-5)
    assert reduced == pytest.approx(expected, rel=0.1)


def test_tf32_rounds_in_products_and_convolutions_and_float32_does_not() -> None:
    generator = torch.Generator().manual_seed(1)
    matrix = torch.randn(512, 512, generator=generator, dtype=torch.float64)
    images = torch.randn(8, 64, 32, 32, generator=generator, dtype=torch.float64)
    kernels = torch.randn(64, 64, 3, 3, generator=generator, dtype=torch.float64)

    def errors() -> list[float]:
        pairs: list[tuple[Any, Tensor, Tensor]] = [
            (torch.matmul, matrix, matrix),
            (torch.conv2d, images, kernels),
        ]
        found = []
        for compute, first, second in pairs:
            exact = compute(first, second)
            got = compute(first.float().to(GPU), second.float().to(GPU)).cpu().double()
            found.append(float((got - exact).abs().max() / exact.abs().max()))
        return found

    set_gpu_precision("float32")
    assert max(errors()) < 5e-5
    set_gpu_precision("tf32")
    assert min(errors()) > 5e-5


def test_augmented_images_are_those_of_the_cpu() -> None:
    _, _, data = parts(phase())
    augment = augmentations.build(AUGMENTATION, mean=data.mean, std=data.std)
    assert augment is not None
    images, index = every(data.train), data.train.index

    def augmented(device: torch.device) -> Tensor:
        return augment(images.to(device), seed=1, epoch=2, index=index).cpu()

    torch.testing.assert_close(augmented(GPU), augmented(images.device), rtol=1e-4, atol=1e-4)


def test_a_trial_without_memory_is_trained_with_half_the_micro_batch(
    tmp_path: Path, home: Path
) -> None:
    (tmp_path / "wide.yaml").write_text(WIDE)
    spec = spec_for(tmp_path / "wide.yaml", home)

    def trained(name: str, **changes: int) -> Result:
        # Engines are parts of reference cycles.
        gc.collect()
        torch.cuda.empty_cache()
        directory = directory_for(planned(spec, **changes), tmp_path / name)
        return trial_run.run(directory, report=go_on, interrupted=never)

    def peak(size: int) -> int:
        assert trained(str(size), micro_batch_size=size).state is State.COMPLETE
        found = memory.peak(GPU)
        assert found is not None
        return found

    total = torch.cuda.mem_get_info()[1]
    torch.cuda.set_per_process_memory_fraction((peak(64) + peak(128)) / 2 / total)
    try:
        result = trained("short")
    finally:
        torch.cuda.set_per_process_memory_fraction(1.0)
    assert result.state is State.COMPLETE
    assert result.provenance["micro_batch_size"] == "64, halved after running out of memory"


def test_two_trials_share_a_gpu(tmp_path: Path, home: Path) -> None:
    file = tmp_path / "shared.yaml"
    file.write_text(SHARED)
    command = [sys.executable, "-m", "workbench", "run", str(file), "--home", str(home)]
    done = subprocess.run([*command, "--json"], capture_output=True, text=True, timeout=280)
    assert done.returncode == 0, done.stderr
    results = [json.loads(path.read_text()) for path in home.rglob("result.json")]
    assert len(results) == 6
    assert {result["state"] for result in results} == {"complete"}
    times = sorted((result["started"], result["ended"]) for result in results)
    assert any(second[0] < first[1] for first, second in pairwise(times)), "they overlap"
    device = torch.cuda.get_device_name(0)
    assert {result["provenance"]["hardware"] for result in results} == {device}
