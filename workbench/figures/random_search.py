"""Trials of a random search as what they are: independent draws, strategy by strategy.

What every figure that needs independent draws asks first. Draws nothing.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from workbench.figures import LeftOut
from workbench.figures.trials import Trial, by_strategy, encoding
from workbench.record import State
from workbench.verdict.refusals import Refused, expected_maximum

LEAST = 5  # draws of a strategy; fewer say nothing of a distribution


class Sample(NamedTuple):
    """The draws of one strategy, best first; ``failed`` of them have no value.

    ``colour`` and ``line`` are the indices of its first and of its second factor's level.
    """

    strategy: str
    colour: int
    line: int
    values: tuple[float, ...]
    failed: int

    @property
    def n(self) -> int:
        """Draws in all."""
        return len(self.values) + self.failed


def samples(study: Mapping[str, Any], trials: Sequence[Trial]) -> tuple[Sample, ...]:
    """Ended trials that the sampler drew, without the default and what the file enqueued.

    Raises:
        LeftOut: Draws are not independent, some were pruned, or there are too few.
    """
    if all(trial.value is None for trial in trials):
        raise LeftOut("No trial completed, so there is no value to show.")
    enqueued = int((study.get("plan") or {}).get("enqueued") or 0)
    drawn = [trial for trial in trials if trial.ended and trial.number > enqueued]
    pruned = sum(trial.state == State.PRUNED for trial in drawn)
    try:
        expected_maximum(str(study["search"].get("sampler", "")), pruned=pruned)
    except Refused as refused:
        raise LeftOut(str(refused)) from refused
    sign = -1 if study["objective"]["direction"] == "maximize" else 1
    codes = encoding(study, trials)
    found = []
    for name, group in by_strategy(study, drawn).items():
        values = sorted((t.value for t in group if t.value is not None), key=lambda v: sign * v)
        if values and len(group) >= LEAST:
            found.append(Sample(name, *codes[name], tuple(values), len(group) - len(values)))
    if not found:
        raise LeftOut(f"No strategy has {LEAST} random trials, and a value among them.")
    return tuple(found)
