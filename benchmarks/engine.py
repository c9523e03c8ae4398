"""What an epoch of the engine takes beside the same epoch of a bare torch loop.

    python benchmarks/engine.py [BACKBONE] [ROUNDS] [DEVICE]

Both train the same model (ResNet-18 by default), all of it, on 640 images of 32 x 32 in memory, in
batches of 32, with AdamW, and validate 128 images; on the CPU with one thread; an epoch each in
turn. Prints the seconds of an epoch as minimum, median and maximum, their ratio, and the share that
the bare loop reaches of the device's speed in large matrix products. Both sides compute with
``float32``, and on a GPU with deterministic algorithms; no such trial can be faster than that loop.
"""

from __future__ import annotations

import statistics
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import torch
from torch.utils.flop_counter import FlopCounterMode

from workbench import backbones, tasks
from workbench.engine.devices import set_gpu_precision
from workbench.record import Role, TrialSpec
from workbench.study.config import load
from workbench.study.study import Study
from workbench.trial import artifacts
from workbench.trial.trainers import trainer_of

TRAIN, VALIDATION, BATCH = 640, 128, 32
STUDY = """\
# How long does an epoch take?
name: engine
recipe:
  dataset: {{name: arrays, path: data.npz, validation: {validation}, test: 32}}
  backbone: {{name: {backbone}}}
  optimizer: adamw
  freeze_depth: 0
  learning_rate: 1e-3
  epochs: {epochs}
  batch_size: {batch}
tune:
  weight_decay: {{low: 1e-4, high: 1e-2, log: true, default: 1e-2}}
search: {{trials: 1, sampler: random, pruner: none}}
"""


def main() -> None:
    """Run and print."""
    backbone = sys.argv[1] if len(sys.argv) > 1 else "resnet18"
    rounds = int(sys.argv[2]) if len(sys.argv) > 2 else 7
    device = torch.device(sys.argv[3] if len(sys.argv) > 3 else "cpu")
    torch.set_num_threads(1)
    set_gpu_precision("float32")
    sides: dict[str, list[float]] = {"engine": [], "bare loop": []}
    with TemporaryDirectory() as name:
        spec = _spec(Path(name), backbone, rounds + 1)
        loop, engine = _bare_loop(spec, device), _engine(spec, device)
        operations = next(loop)
        next(engine)
        for _ in range(rounds):
            for side, epochs in (("engine", engine), ("bare loop", loop)):
                began = time.perf_counter()
                next(epochs)
                _wait(device)
                sides[side].append(time.perf_counter() - began)
    for side, seconds in sides.items():
        low, middle, high = min(seconds), statistics.median(seconds), max(seconds)
        print(f"{side:10}{low:8.2f}{middle:8.2f}{high:8.2f} s an epoch")
    bare = statistics.median(sides["bare loop"])
    print(f"bare loop / engine: {bare / statistics.median(sides['engine']):.2f} (of the medians)")
    print(f"bare loop: {operations / bare / _peak(device):.0%} of the speed of a matrix product")


def _spec(folder: Path, backbone: str, epochs: int) -> TrialSpec:
    draw = np.random.default_rng(0)
    count = TRAIN + VALIDATION + 32
    images = draw.integers(0, 256, (count, 3, 32, 32)).astype(np.uint8)
    np.savez(folder / "data.npz", x=images, y=draw.integers(0, 10, count))
    text = STUDY.format(backbone=backbone, epochs=epochs, batch=BATCH, validation=VALIDATION)
    (folder / "study.yaml").write_text(text)
    study = Study(load(folder / "study.yaml"), folder)
    proposal = study.groups[0].proposals[0]
    return study.spec(proposal, role=Role.SEARCH, group=study.groups[0].name, number=0)


def _engine(spec: TrialSpec, device: torch.device) -> Iterator[object]:
    data = backbones.prepare(spec.plan.backbone, artifacts.data_of(spec))
    task = tasks.build(spec.plan.task, data.classes, data.train.targets)
    return trainer_of(spec, data, task, device, lambda: False).epochs()


def _bare_loop(spec: TrialSpec, device: torch.device) -> Iterator[int]:
    """An epoch at each step; yields the floating point operations of the first one."""
    data = backbones.prepare(spec.plan.backbone, artifacts.data_of(spec))
    model = backbones.build(
        spec.plan.backbone,
        weights=None,
        keep_head=False,
        input_shape=data.input_shape,
        outputs=len(data.classes),
        seed=0,
    ).module.to(device)
    parts = []
    for part in (data.train, data.validation):
        inputs = part.inputs[torch.arange(len(part.index))]
        assert isinstance(inputs, torch.Tensor)
        parts.append((inputs.to(device), part.targets.to(device)))
    (images, labels), (held_out, _) = parts
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3, fused=True)

    def epoch() -> None:
        model.train()
        for chunk in torch.randperm(len(images), device=device).split(BATCH):
            optimizer.zero_grad()
            outputs = model(images[chunk])
            torch.nn.functional.cross_entropy(outputs, labels[chunk]).backward()
            optimizer.step()
        model.eval()
        with torch.no_grad():
            model(held_out)

    with FlopCounterMode(display=False) as counter:
        epoch()
    while True:
        yield counter.get_total_flops()
        epoch()


def _wait(device: torch.device) -> None:
    """Until a GPU has done what it was told to do."""
    if device.type != "cpu":
        torch.accelerator.synchronize()


def _peak(device: torch.device) -> float:
    """Operations a second of a product of two large matrices, the best of five."""
    size = 2048
    matrix = torch.randn(size, size, device=device)
    seconds = []
    for _ in range(5):
        began = time.perf_counter()
        matrix @ matrix
        _wait(device)
        seconds.append(time.perf_counter() - began)
    return 2 * size**3 / min(seconds)


if __name__ == "__main__":
    main()
