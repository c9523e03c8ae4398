"""What many workers cost the driver, with workers in virtual time that train nothing.

    python -m benchmarks.scale [WORKERS ...]
    python -m benchmarks.scale --trials 100000 --minutes 15

For each number of workers (10, 100, 1,000 and 5,000 by default) a random search of two strategies
with two trials for each worker, at least 200, and four reports each. Prints the driver's processor
milliseconds for each report and each trial, without MLflow's thread, and those of the clock, which
include waiting for the disk; and how many workers one driver can serve if a trial takes a minute.

With ``--trials`` one such search by 1,000 workers, which ends after so many minutes at the latest:
the same for every tenth of its trials, and the memory of the process.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from pathlib import Path

import psutil

from tests.support.virtual_workers import STUDY, Crash, VirtualWorkers, drive

_TRIAL_SECONDS = 60.0


class _Watched(VirtualWorkers):
    """Says what each ``every`` trials cost; the driver crashes when the time is up."""

    def __init__(self, count: int, every: int, seconds: float) -> None:
        super().__init__(count)
        self._every, self._until = every, time.monotonic() + seconds
        self._said, self._before = 0, (0.0, 0.0)

    def _crash(self) -> None:
        late = time.monotonic() > self._until
        if late or self.counts["finish"] >= self._said + self._every:
            self.say()
        if late:
            raise Crash

    def say(self) -> None:
        """Print the line of the trials since the last one."""
        ended = self.counts["finish"]
        if ended > self._said:
            now = sum(self.calls.values()), sum(self.elapsed.values())
            each = [
                1e3 * (b - a) / (ended - self._said) for a, b in zip(self._before, now, strict=True)
            ]
            self._said, self._before = ended, now
            memory = psutil.Process().memory_info().rss / 2**20
            print(
                f"{ended:7,} trials: {each[0]:5.1f} ms a trial since the last line, by the clock "
                f"{each[1]:5.1f}; {memory:,.0f} MiB",
                flush=True,
            )


def main() -> None:
    """Run and print."""
    parser = argparse.ArgumentParser()
    parser.add_argument("workers", type=int, nargs="*", default=[10, 100, 1_000, 5_000])
    parser.add_argument("--trials", type=int)
    parser.add_argument("--minutes", type=float, default=15.0)
    given = parser.parse_args()
    _search(VirtualWorkers(1), 200)  # loads the libraries
    if given.trials:
        memory = psutil.Process().memory_info().rss / 2**20
        print(f"{0:7,} trials: {memory:,.0f} MiB", flush=True)
        watched = _Watched(1_000, given.trials // 10, 60 * given.minutes)
        _search(watched, given.trials)
        watched.say()
        return
    for count in given.workers:
        trials, workers = max(200, 2 * count), VirtualWorkers(count)
        _search(workers, trials)
        report = 1e3 * workers.calls["report"] / workers.counts["report"]
        each = 1e3 * sum(workers.calls.values()) / trials
        clock = 1e3 * sum(workers.elapsed.values()) / trials
        print(
            f"{count:6,} workers, {trials:6,} trials: {report:5.2f} ms a report, {each:5.1f} ms a "
            f"trial, by the clock {clock:5.1f}: enough for {_TRIAL_SECONDS / clock * 1e3:6,.0f} "
            f"workers with trials of {_TRIAL_SECONDS:.0f} s",
            flush=True,
        )


def _search(workers: VirtualWorkers, trials: int) -> None:
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "virtual.yaml"
        file.write_text(STUDY.replace("COUNT", str(trials // 2)))
        search = next(drive(file, Path(folder), workers))
        search.close()


if __name__ == "__main__":
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    main()
