"""What many workers cost the driver, with workers in virtual time that train nothing.

    python -m benchmarks.scale [WORKERS ...]

For each number of workers (10, 100, 1,000 and 5,000 by default) a random search of two strategies
with two trials for each worker, at least 200, and four reports each. Prints the driver's processor
milliseconds for each report and each trial, without MLflow's thread; how many workers one driver
can serve if a trial takes a minute; and the memory that 1,000 trials more take.
"""

from __future__ import annotations

import os
import sys
import tempfile
from pathlib import Path

import psutil

from tests.support.virtual_workers import STUDY, VirtualWorkers, drive

_TRIAL_SECONDS = 60.0


def main() -> None:
    """Run and print."""
    process = psutil.Process()
    # The first one, of which nothing is printed, loads the libraries.
    for count in [1, *([int(given) for given in sys.argv[1:]] or [10, 100, 1_000, 5_000])]:
        trials = max(200, 2 * count)
        workers = VirtualWorkers(count)
        with tempfile.TemporaryDirectory() as folder:
            file = Path(folder) / "virtual.yaml"
            file.write_text(STUDY.replace("COUNT", str(trials // 2)))
            before = process.memory_info().rss
            for _ in drive(file, Path(folder), workers):
                grown = (process.memory_info().rss - before) / 2**20 / trials * 1_000
        report = 1e3 * workers.calls["report"] / workers.counts["report"]
        if count == 1:
            continue
        each = 1e3 * sum(workers.calls.values()) / trials
        print(
            f"{count:6,} workers, {trials:6,} trials: {report:5.2f} ms a report, {each:5.1f} ms a "
            f"trial, enough for {_TRIAL_SECONDS / each * 1e3:6,.0f} workers with trials of "
            f"{_TRIAL_SECONDS:.0f} s; {grown:.0f} MiB for 1,000 trials",
            flush=True,
        )


if __name__ == "__main__":
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    main()
