"""How long a study takes against a hand-written Optuna loop: whole commands, both sides in turn.

    python benchmarks/study_vs_loop.py [mixed|probe|large] [ROUNDS]

``mixed``: 12 trials of 2 epochs, ResNet-18 from scratch on 1,000 images of 32 x 32, two of each
freeze depth. ``probe``: 64 linear probes of 5 epochs on the same images. ``large``: the same probes
on 20,000 images. Always 280 more to validate. The opponents train the same models with the same
budget: Optuna's tutorial loop with a DataLoader, and the same loop on tensors in memory, each in
one process with a thread for each core. Workbench starts without stored activations (``cold``) and,
for probes, once more with those of the run before (``warm``).

The loops of ``probe`` would take an hour, and those of ``large`` a day: they run 4 of the 64
trials, and one epoch of one trial. All trials and epochs take the same; the time is multiplied.

Prints seconds as minimum, median and maximum, and how often the median of Workbench's fits into
each opponent's.
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

CLASSES, SIDE = 10, 32
VALIDATION, TEST = 280, 100
# Trials, epochs, training images; and the trials and epochs that a loop runs of them.
MODES = {"mixed": (12, 2, 1_000), "probe": (64, 5, 1_000), "large": (64, 5, 20_000)}
LOOPS = {"mixed": (12, 2), "probe": (4, 5), "large": (1, 1)}

STUDY = """\
# Which depth?
name: {mode}
recipe:
  dataset: {{name: arrays, path: data.npz, validation: {validation}, test: {test}}}
  backbone: {{name: resnet18}}
  epochs: {epochs}
  batch_size: 32
  {fixed}
tune:
  learning_rate: {{low: 1e-4, high: 1e-1, log: true, default: 1e-3}}
search: {{{trials}, sampler: random, pruner: none}}
"""

LOOP = """\
import sys, time
import numpy as np, optuna, torch, torchvision
from torch.utils.data import DataLoader, TensorDataset

data = np.load("data.npz")
images = torch.from_numpy(data["x"]).float().div(255).sub(0.5).div(0.25)
labels = torch.from_numpy(data["y"])
mode, loader, trials, epochs = sys.argv[1], sys.argv[2] == "loader", *map(int, sys.argv[3:])
train = (images[:{train}], labels[:{train}])
held_out = (images[{train}:{train} + {validation}], labels[{train}:{train} + {validation}])
STAGES = [["conv1", "bn1"], ["layer1"], ["layer2"], ["layer3"], ["layer4"]]

def batches(part, size, shuffle):
    if loader:
        yield from DataLoader(TensorDataset(*part), batch_size=size, shuffle=shuffle)
        return
    order = torch.randperm(len(part[1])) if shuffle else torch.arange(len(part[1]))
    for chunk in order.split(size):
        yield part[0][chunk], part[1][chunk]

def objective(trial):
    depth = trial.number % 6 if mode == "mixed" else 5
    rate = trial.suggest_float("learning_rate", 1e-4, 1e-1, log=True)
    model = torchvision.models.resnet18(num_classes={classes})
    frozen = [model.get_submodule(name) for stage in STAGES[:depth] for name in stage]
    for module in frozen:
        module.requires_grad_(False)
    optimizer = torch.optim.AdamW([p for p in model.parameters() if p.requires_grad], lr=rate)
    for epoch in range(epochs):
        model.train()
        for module in frozen:
            module.eval()
        for x, y in batches(train, 32, True):
            optimizer.zero_grad()
            torch.nn.functional.cross_entropy(model(x), y).backward()
            optimizer.step()
        model.eval()
        with torch.no_grad():
            right = 0
            for x, y in batches(held_out, 280, False):
                right += int((model(x).argmax(1) == y).sum())
        trial.report(right / len(held_out[1]), epoch)
    return right / len(held_out[1])

study = optuna.create_study(direction="maximize", storage="sqlite:///loop.db")
began = time.perf_counter()
study.optimize(objective, n_trials=trials)
print(time.perf_counter() - began)
"""


def main() -> None:
    """Run and print."""
    mode = sys.argv[1] if len(sys.argv) > 1 else "mixed"
    rounds = int(sys.argv[2]) if len(sys.argv) > 2 else 3
    probe = mode != "mixed"
    sides = ["workbench cold", *(["workbench warm"] if probe else [])]
    sides += ["loop on tensors", "tutorial loop"]
    seconds: dict[str, list[float]] = {side: [] for side in sides}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        _write(folder, mode)
        for number in range(rounds):
            cache = folder / f"cache{number}"
            for side in sides:
                took = _timed(folder, side, cache, f"home-{number}-{side[-4:]}", mode)
                seconds[side].append(took)
                print(f"round {number + 1}: {side} {took:.1f} s", flush=True)
    print(f"{'':18}{'min':>8}{'median':>8}{'max':>8}  against cold" + "  warm" * probe)
    ours = [statistics.median(seconds[side]) for side in sides if side.startswith("workbench")]
    for side, took in seconds.items():
        middle = statistics.median(took)
        ratios = "".join(f"{middle / own:>12.2f}x" for own in ours)
        print(f"{side:18}{min(took):8.1f}{middle:8.1f}{max(took):8.1f}{ratios}")


def _write(folder: Path, mode: str) -> None:
    trials, epochs, train = MODES[mode]
    count = train + VALIDATION + TEST
    draw = np.random.default_rng(0)
    labels = draw.integers(0, CLASSES, count)
    shades = draw.integers(0, 128, (CLASSES, 3, SIDE, SIDE))
    images = (shades[labels] + draw.integers(0, 128, (count, 3, SIDE, SIDE))).astype(np.uint8)
    np.savez(folder / "data.npz", x=images, y=labels)
    probe = mode != "mixed"
    text = STUDY.format(
        mode=mode,
        validation=VALIDATION,
        test=TEST,
        epochs=epochs,
        trials=f"trials: {trials}" if probe else f"trials_per_strategy: {trials // 6}",
        fixed="freeze_depth: all"
        if probe
        else "optimizer: adamw\ncompare:\n  freeze_depth: [0, 1, 2, 3, 4, all]",
    )
    (folder / "study.yaml").write_text(text)
    values = {"train": train, "validation": VALIDATION, "classes": CLASSES}
    loop = LOOP
    for key, value in values.items():
        loop = loop.replace(f"{{{key}}}", str(value))
    (folder / "loop.py").write_text(loop)


def _timed(folder: Path, side: str, cache: Path, home: str, mode: str) -> float:
    """Seconds of a whole command, its start included."""
    trials, epochs, _ = MODES[mode]
    some_trials, some_epochs = LOOPS[mode]
    if side.startswith("workbench"):
        (folder / home).mkdir()
        command = [sys.executable, "-m", "workbench", "run", "study.yaml", "--home", home]
    else:
        kind = "tensors" if side == "loop on tensors" else "loader"
        (folder / "loop.db").unlink(missing_ok=True)
        command = [sys.executable, "loop.py", mode, kind, str(some_trials), str(some_epochs)]
    began = time.perf_counter()
    done = subprocess.run(
        command,
        cwd=folder,
        env={**os.environ, "WORKBENCH_DATA": str(cache)},
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise SystemExit(done.stdout + done.stderr)
    took = time.perf_counter() - began
    if side.startswith("workbench"):
        return took
    return took + float(done.stdout) * (trials * epochs / (some_trials * some_epochs) - 1)


if __name__ == "__main__":
    main()
