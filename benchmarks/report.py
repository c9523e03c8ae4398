"""How long a report takes: over 1,000 search trials and a confirmation of ten arms, 10 s at most.

    python benchmarks/report.py [TRIALS] [VENUE]

Makes the study up (``tests/support/confirmed.py``), so that no training is needed. First it prints,
in processor time, what of a report takes how long: judging the study, each figure, and the rest,
without MLflow. Then it writes records of that study, mirrors them into a store
(minutes: that is no part of a report) and times ``workbench report`` on it, from the command to its
end: imports, reading from MLflow, and storing the report there. The time on the clock says
something on a machine that does nothing else.
"""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
import tempfile
import time
from collections import Counter, defaultdict
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent.parent))

LIMIT = 10.0  # seconds


def large(trials: int) -> Any:
    """A confirmed study with so many search trials or a few more, equally many per strategy."""
    from tests.support import confirmed
    from tests.support.searched import hash_of, realistic, runs

    found = confirmed.material()
    others = [run for run in found.trials if run.role != "search"]
    rows: list[dict[str, Any]] = []
    each = len(found.trials) - len(others)
    for batch in range(-(-trials // each)):
        for item in realistic(batch):
            number = item["number"] + 12 * batch
            run_id = f"{hash_of('large', item['strategy'], number):032x}"
            rows.append({**item, "run_id": run_id, "number": number})
    counts = Counter(item["strategy"] for item in rows)
    protocol = found.study.protocol or {}
    # As many as the protocol says, or the verdict would be that they are too many or too few.
    planned = [{**item, "trials": counts[item["name"]]} for item in protocol["strategies"]]
    study = replace(found.study, protocol={**protocol, "strategies": planned})
    return replace(found, study=study, trials=(*runs(rows), *others))


def stored(made: Any, home: Path) -> None:
    """Records of the study in a home, and MLflow's runs of them."""
    from tests.support import confirmed, mlflow_home
    from tests.support.mlflow_home import record_of
    from workbench import record
    from workbench.record import Role
    from workbench.tracker import Tracker

    mlflow_home.home_in(home)
    tracker = Tracker(home)
    protocol = json.dumps(made.study.protocol)
    digest = hashlib.sha256(protocol.encode()).hexdigest()
    described = json.dumps(confirmed.described(confirmed.Case()))
    search = mlflow_home.parent_of(tracker, files={"study.json": described})
    confirmation = mlflow_home.parent_of(
        tracker,
        "confirmation",
        tags={"workbench.protocol": digest},
        files={"protocol.json": protocol, "selection.json": json.dumps(made.study.selection)},
    )
    for run in made.trials:
        searched = run.role == Role.SEARCH
        item = replace(run, seed=run.seed or "0", protocol=run.protocol and digest)
        directory = record_of(home, item, made.scores.get(run.run_id))
        seeds = 0 if searched else len(made.trials)
        tracker.mirror(directory, search if searched else confirmation, seeds_shown=seeds)
    path = record.protocol_path(record.study_directory(home, made.study.name))
    path.write_text(protocol, encoding="utf-8")
    selection = json.dumps(made.study.selection)
    path.with_name("selection.json").write_text(selection, encoding="utf-8")


def command(home: Path, venue: str) -> tuple[float, float]:
    """Seconds on the clock and of processors that ``workbench report`` takes."""
    began = time.perf_counter()
    arguments = ["report", "digits", "--home", str(home), "--venue", venue]
    process = subprocess.Popen([sys.executable, "-m", "workbench", *arguments])
    _, status, usage = os.wait4(process.pid, 0)
    taken = time.perf_counter() - began
    if status:
        raise SystemExit("the report was not written")
    return taken, usage.ru_utime + usage.ru_stime


def main(trials: int = 1000, venue: str = "neurips") -> None:
    """Write the report without MLflow and with it, and print what took how long."""
    made = large(trials)
    began = time.process_time()
    from workbench.report import summary, writing
    from workbench.report.figures import rendering

    spent: dict[str, float] = defaultdict(float)

    def timed(name: str, function: Callable[..., Any]) -> Callable[..., Any]:
        def call(*given: Any, **named: Any) -> Any:
            start = time.process_time()
            try:
                return function(*given, **named)
            finally:
                spent[name or f"figure {given[0]}"] += time.process_time() - start

        return call

    vars(summary)["decide"] = timed("verdict", vars(summary)["decide"])
    vars(rendering)["render"] = timed("", rendering.render)
    with tempfile.TemporaryDirectory() as folder:
        # Nothing is known of an earlier report.
        os.environ["WORKBENCH_DATA"] = str(Path(folder) / "cache")
        page = writing.write(summary.compose(made), Path(folder) / "digits", venue)
        size = page.stat().st_size / 1e6
    whole = time.process_time() - began
    for name, seconds in sorted(spent.items(), key=lambda item: -item[1]):
        print(f"{seconds:7.2f} s  {name}")
    print(f"{whole - sum(spent.values()):7.2f} s  imports, numbers, tables and texts")
    print(f"{whole:7.2f} s  report over {len(made.trials)} runs ({size:.1f} MB page)")
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder) / "home"
        began = time.perf_counter()
        stored(made, home)
        print(f"{time.perf_counter() - began:7.2f} s  records and MLflow's store of them")
        taken, processors = command(home, venue)
    print(f"{processors:7.2f} s  workbench report, of processors")
    print(f"{taken:7.2f} s  workbench report, on the clock")
    if taken > LIMIT:
        raise SystemExit(f"slower than {LIMIT:g} s")


if __name__ == "__main__":
    main(*(kind(text) for kind, text in zip((int, str), sys.argv[1:], strict=False)))
