"""Evidence with planted differences, for the tests of verdicts and refusals."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from workbench.verdict import Arm, Design, Evidence, Run, Stage

_OF_EVIDENCE = ("searches", "datasets", "doubts", "seconds")
SEEDS = tuple(map(str, range(1, 13)))


def noise(seed: int, n: int = 12) -> np.ndarray:
    """Deviations of n seeds, of mean 0 and SD 1."""
    drawn = np.random.default_rng(seed).normal(size=n)
    scaled: np.ndarray = (drawn - drawn.mean()) / drawn.std(ddof=1)
    return scaled


def arm(name: str, values: Sequence[float | None], **given: Any) -> Arm:
    """An arm with one run for each value, on seeds 1, 2, ..."""
    runs = tuple(
        Run(
            seed=str(place),
            value=None if value is None else float(value),
            state="failed" if value is None else "complete",
            run_id=f"{name}-{place}",
        )
        for place, value in enumerate(values, start=1)
    )
    return Arm(name=name, runs=runs, **given)


def design(**given: Any) -> Design:
    fields: dict[str, Any] = {
        "metric": "test/accuracy",
        "direction": "maximize",
        "smallest_effect": 0.01,
        "bounds": (0.0, 1.0),
    }
    return Design(**{**fields, **given})


def evidence(*arms: Arm, stage: Stage = Stage.CONFIRMATION, **given: Any) -> Evidence:
    """Evidence of the arms; what a design has goes to it, the rest to the evidence."""
    own = {name: given.pop(name) for name in _OF_EVIDENCE if name in given}
    given.setdefault("seeds", tuple(dict.fromkeys(run.seed for a in arms for run in a.runs)))
    return Evidence(stage=stage, design=design(**given), arms=arms, **own)


def planted(means: Mapping[str, float], *, sd: float = 0.01, n: int = 12) -> tuple[Arm, ...]:
    """Arms whose means are exactly these; correlation of two of them about one half."""
    shared = noise(0, n)
    return tuple(
        arm(name, mean + sd * np.sqrt(0.5) * (shared + noise(place, n)), baseline=name == "default")
        for place, (name, mean) in enumerate(means.items(), start=1)
    )


def changed(arm: Arm, at: str, **fields: Any) -> Arm:
    """The arm with other fields of its run on one seed."""
    runs = tuple(replace(run, **fields) if run.seed == at else run for run in arm.runs)
    return replace(arm, runs=runs)
