"""How long a command takes that has nothing to train: seconds on the clock and of processors.

    python benchmarks/startup.py [HOME] [ROUNDS]

On a copy of a home in which ``studies/digits.yaml`` was run, confirmed and reported, or on one that
is made first (minutes). Every round starts each command once, with a cache that the first ``check``
of the round finds empty; ``list`` and ``show`` need none. After a report, ``run`` asks MLflow,
whose store has changed.
"""

from __future__ import annotations

import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

STUDY = Path(__file__).parent.parent / "studies" / "digits.yaml"
# In this order: the first to need something pays for it.
COMMANDS: tuple[tuple[str, tuple[str, ...]], ...] = (
    ("--help", ("--help",)),
    ("list", ("list",)),
    ("show", ("show", "digits")),
    ("check, first time", ("check", str(STUDY))),
    ("check, second time", ("check", str(STUDY))),
    ("run, first time", ("run", str(STUDY))),
    ("run, second time", ("run", str(STUDY))),
    ("report, drawn", ("report", "digits")),
    ("report, unchanged", ("report", "digits")),
    ("run, after a report", ("run", str(STUDY))),
)
_TICK = 2.5  # seconds after which files of the last command are old enough to be trusted


def timed(words: tuple[str, ...], home: Path, cache: Path) -> tuple[float, float]:
    """Seconds that a command takes on the clock, and of processors."""
    environment = {**os.environ, "WORKBENCH_HOME": str(home), "WORKBENCH_DATA": str(cache)}
    began = time.perf_counter()
    process = subprocess.Popen(
        [sys.executable, "-m", "workbench", *words],
        env=environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    _, status, usage = os.wait4(process.pid, 0)
    taken = time.perf_counter() - began
    if status:
        raise SystemExit(f"workbench {' '.join(words)} failed in {home}")
    return taken, usage.ru_utime + usage.ru_stime


def main(given: Path | None = None, rounds: int = 5) -> None:
    """Time every command, round by round, and print minimum, median and maximum."""
    seconds: dict[str, list[tuple[float, float]]] = {name: [] for name, _ in COMMANDS}
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder) / "home"
        if given is None:
            home.mkdir()
            for words in (("run", str(STUDY)), ("confirm", str(STUDY), "--yes")):
                timed(words, home, Path(folder) / "cache")
        else:
            shutil.copytree(given, home, symlinks=True)
        for words in (("report", "digits"), ("run", str(STUDY))):
            # A home that was copied is put right once.
            timed(words, home, Path(folder) / "cache")
        for number in range(rounds):
            cache = Path(folder) / f"cache-{number}"
            for name, words in COMMANDS:
                time.sleep(_TICK)
                seconds[name].append(timed(words, home, cache))
    print(f"{'':22}{'on the clock':>24}{'of processors':>24}")
    print(f"{'':22}" + 2 * f"{'min':>8}{'median':>8}{'max':>8}")
    for name, pairs in seconds.items():
        sides = (
            (min(side), statistics.median(side), max(side)) for side in zip(*pairs, strict=True)
        )
        print(f"{name:22}" + "".join(f"{value:8.2f}" for side in sides for value in side))


if __name__ == "__main__":
    arguments = sys.argv[1:]
    main(*(kind(text) for kind, text in zip((Path, int), arguments, strict=False)))
