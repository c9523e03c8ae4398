"""How long a report takes: over 1,000 search trials and a confirmation of ten arms, 10 s at most.

    python benchmarks/report.py [TRIALS] [VENUE]

Makes the study up (``tests/confirmed.py``), so that neither MLflow nor training is timed, and
prints the seconds of judging it, of each figure, of all the rest, and of the whole. Processor time,
because a busy machine says nothing about the report; imports are counted.
"""

from __future__ import annotations

import sys
import tempfile
import time
from collections import Counter, defaultdict
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd

sys.path.insert(0, str(Path(__file__).parent.parent / "tests"))

LIMIT = 10.0  # seconds


def large(trials: int) -> Any:
    """A confirmed study with about so many search trials."""
    import confirmed
    from test_figures import hash_of, realistic

    found = confirmed.material()
    others = found.trials[found.trials["role"] != "search"].to_dict("records")
    rows: list[dict[Any, Any]] = []
    each = len(found.trials) - len(others)
    for batch in range(-(-trials // each)):
        for item in realistic(batch):
            number = item["number"] + 12 * batch
            ids = {"run_id": f"{hash_of('large', item['strategy'], number):032x}"}
            rows.append({**item, **ids, "number": number, "test": {}})
    rows = rows[:trials]
    counts = Counter(item["strategy"] for item in rows)
    protocol = found.study["protocol"]
    # As many as the protocol says, or the verdict would be about a search that went on.
    planned = [{**item, "trials": max(counts.values())} for item in protocol["strategies"]]
    study = {**found.study, "protocol": {**protocol, "strategies": planned}}
    return replace(found, study=study, trials=pd.DataFrame([*rows, *others]))


def main(trials: int = 1000, venue: str = "neurips") -> None:
    """Write one report and print what took how long."""
    made = large(trials)
    began = time.process_time()
    from workbench.figures import rendering
    from workbench.report import summary, write

    spent: dict[str, float] = defaultdict(float)

    def timed(name: str, function: Callable[..., Any]) -> Callable[..., Any]:
        def call(*given: Any, **named: Any) -> Any:
            start = time.process_time()
            try:
                return function(*given, **named)
            finally:
                spent[name or f"figure {given[0]}"] += time.process_time() - start

        return call

    vars(summary)["decide"] = timed("verdict", summary.decide)
    vars(rendering)["render"] = timed("", rendering.render)
    with tempfile.TemporaryDirectory() as folder:
        page = write(made, Path(folder) / "digits", venue)
        size = page.stat().st_size / 1e6
    whole = time.process_time() - began
    for name, seconds in sorted(spent.items(), key=lambda item: -item[1]):
        print(f"{seconds:7.2f} s  {name}")
    print(f"{whole - sum(spent.values()):7.2f} s  imports, numbers, tables and texts")
    print(f"{whole:7.2f} s  report over {len(made.trials)} runs ({size:.1f} MB page)")
    if whole > LIMIT:
        raise SystemExit(f"slower than {LIMIT:g} s")


if __name__ == "__main__":
    main(*(kind(text) for kind, text in zip((int, str), sys.argv[1:], strict=False)))
