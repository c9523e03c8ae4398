"""What a trial costs the driver: processor time a trial, in studies whose trials train nothing.

    python benchmarks/driver.py [COUNT ...]

Runs a study of each number of trials (100, 1,000 and 5,000 by default) in a throwaway home: random
search over four strategies, 12 reports a trial, one worker. Prints the processor milliseconds of
the driver for each trial, with the thread that mirrors trials into MLflow, and without it.
"""

from __future__ import annotations

import os
import sys
import tempfile
import time
from pathlib import Path

from workbench.commands.run import run_study
from workbench.commands.session import Watcher
from workbench.driver.progress import StudyProgress
from workbench.driver.workers import LocalWorkers

STUDY = """\
# What does a trial cost?
name: driver
recipe:
  dataset: {name: digits, validation: 100, test: 100}
  backbone: {name: mlp}
  epochs: 12
  trial: driver_trial.py:train
compare:
  optimizer: [sgd, adam, adamw, nadam]
tune:
  learning_rate: {low: 1e-4, high: 1e-1, log: true, default: 1e-3}
search: {sampler: random, pruner: none, trials_per_strategy: COUNT, seed: 0}
objective: {metric: validation/accuracy}
"""
TRIAL = """\
def train(trial):
    for epoch in range(trial.plan.epochs):
        yield {"validation/accuracy": trial.plan.phases[0].learning_rate * epoch}
"""


class Clock(Watcher):
    """Takes the processor time of this thread, and of this process, while trials run."""

    def __init__(self) -> None:
        self.taken: list[tuple[float, float]] = []

    def update(self, progress: StudyProgress) -> None:
        """Take the times once the first trial has ended, and as long as one is left."""
        if progress.ended:
            self.taken.append((time.thread_time(), time.process_time()))


def main() -> None:
    """Run and print."""
    for count in [int(given) for given in sys.argv[1:]] or [100, 1_000, 5_000]:
        clock = Clock()
        with tempfile.TemporaryDirectory() as folder:
            home = Path(folder)
            file = home / "driver.yaml"
            file.write_text(STUDY.replace("COUNT", str(count // 4)))
            file.with_name("driver_trial.py").write_text(TRIAL)
            workers = LocalWorkers(1, home / "mlruns" / "workers")
            try:
                run_study(file, [], home, workers, clock)
            finally:
                workers.close()
        first, last = clock.taken[0], clock.taken[-1]
        own, whole = (1e3 * (b - a) / (count - 1) for a, b in zip(first, last, strict=True))
        print(f"{count:6,} trials: {whole:5.1f} ms a trial, without MLflow {own:5.1f} ms")


if __name__ == "__main__":
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    main()
