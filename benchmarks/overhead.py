"""What a search costs beside the training: its wall time over the training time, as a ratio.

    python benchmarks/overhead.py [STUDY] [WORKERS]

Runs a study from scratch in a throwaway home, once with MLflow and Optuna as they are, and prints
the seconds spent training (from the trials' histories), the wall time of the search after all its
processes were warm, and their ratio for the number of workers. 1.0 would be no overhead at all.
"""

from __future__ import annotations

import sys
import tempfile
import time
from pathlib import Path

from workbench import record
from workbench.commands.run import run_study
from workbench.commands.session import Watcher
from workbench.driver.progress import StudyProgress
from workbench.driver.workers import LocalWorkers
from workbench.record import Role


class Stopwatch(Watcher):
    """Notes when the first trial of the last study is under way, and when all have ended."""

    def __init__(self) -> None:
        self.first: float | None = None
        self.last = 0.0
        self._title = ""

    def prepare(self, title: str) -> None:
        """A study is looked at."""
        self.first, self._title = None, title

    def update(self, progress: StudyProgress) -> None:
        """Take the times."""
        now = time.perf_counter()
        if self.first is None and progress.ended:
            self.first = now
        self.last = now


def main() -> None:
    """Run and print."""
    file = Path(sys.argv[1] if len(sys.argv) > 1 else "studies/digits.yaml")
    count = int(sys.argv[2]) if len(sys.argv) > 2 else 2
    watch = Stopwatch()
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder)
        crew = LocalWorkers(count, home / "mlruns" / "workers")
        try:
            outcome = run_study(file, [], home, crew, watch)
        finally:
            crew.close()
        found = record.scan(record.study_directory(home, outcome.study))
        seconds = [
            sum(line.metrics["seconds"] for line in directory.history())
            for directory, spec in found
            if spec.role is Role.SEARCH
        ]
    assert watch.first is not None
    wall = watch.last - watch.first
    training = sum(seconds)
    print(f"study {outcome.study}, {len(seconds)} trials, {count} workers")
    print(
        f"training and validation: {training:.1f} s in all, {training / len(seconds):.2f} s a trial"
    )
    print(f"search after the first trial: {wall:.1f} s")
    print(f"ratio wall x workers / training: {wall * count / training:.2f}")


if __name__ == "__main__":
    main()
