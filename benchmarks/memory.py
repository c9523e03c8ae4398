"""The memory of a trial: an MLP of 100 million parameters, trained with AdamW on the CPU.

    python -m benchmarks.memory

Prints the peak of the process, and what weights, gradients and the optimizer's state take: 16 bytes
a parameter. A checkpoint is written after each of four epochs.
"""

from __future__ import annotations

import tempfile
import time
from pathlib import Path

import psutil

from tests.support.trials import directory_for, go_on, never, spec_for
from workbench.trial import run

STUDY = """\
name: memory
recipe:
  dataset: {name: digits, train_per_class: 10, validation: 100, test: 100}
  backbone: {name: mlp, hidden: [10000, 9900]}
  optimizer: adamw
  epochs: 4
  batch_size: 50
tune: {learning_rate: {low: 1.0e-6, high: 1.0e-1, log: true, default: 1.0e-5}}
search: {trials: 2, pruner: none}
objective: {metric: validation/accuracy}
"""


def main() -> None:
    """Train and print."""
    run.CHECKPOINT_SECONDS = 0.0
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "memory.yaml").write_text(STUDY)
        spec = spec_for(folder / "memory.yaml", folder)
        before, began = psutil.Process().memory_info().rss, time.perf_counter()
        result = run.run(directory_for(spec, folder / "trial"), report=go_on, interrupted=never)
        seconds = time.perf_counter() - began
    assert result.peak_memory is not None, result.reason
    needed = 16 * result.parameters["trainable"]
    print(f"{result.peak_memory / 1e9:.2f} GB at the peak, {before / 1e9:.2f} GB before the trial")
    print(f"{needed / 1e9:.2f} GB are weights, gradients and the optimizer's state")
    print(f"{seconds:.0f} s")


if __name__ == "__main__":
    main()
