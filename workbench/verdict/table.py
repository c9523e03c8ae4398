"""Evidence as a table of arms by seeds.

Diverged and failed runs get the worst value. Pruned, missing and unfinished runs get none, and
their arm is not compared.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from workbench.verdict import comparability
from workbench.verdict.evidence import Arm, Design, Doubt, Evidence, Run, Stage
from workbench.verdict.judgement import Word
from workbench.verdict.refusals import because

Scores = NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class Row:
    """An arm, or a level of a factor, by seed.

    Attributes:
        values: In the order of the table's seeds, in the metric's own direction.
        scores: Of the test examples, shape [seeds, examples]; None where a run has none, and
            ``scores_missing`` says why.
        splits: Test samples of each seed; empty where unknown.
        sound: It may be compared with another sound row.
    """

    name: str
    values: tuple[float | None, ...]
    run_ids: tuple[str, ...] = ()
    imputed: tuple[str, ...] = ()
    baseline: bool = False
    budget: int | None = None
    levels: Mapping[str, str] = field(default_factory=dict)
    splits: tuple[str, ...] = ()
    scores: Scores | None = None
    scores_missing: str | None = None
    sound: bool = True

    @property
    def searched(self) -> bool:
        """Whether a search chose its configuration: of the default one, none that is known."""
        return not self.baseline or self.budget is not None

    @property
    def counted(self) -> list[float]:
        """The values that are there."""
        return [value for value in self.values if value is not None]


@dataclass(frozen=True, kw_only=True)
class Table:
    """Rows over one list of seeds.

    Attributes:
        doubts: What was found, those that decide the verdict and flags alike.
        hidden: Runs are still to come, so that to show a value would be a look at the test split.
    """

    seeds: tuple[str, ...]
    rows: tuple[Row, ...]
    doubts: tuple[Doubt, ...]
    hidden: bool = False


def read(evidence: Evidence) -> Table:
    """The arms by seed, with what forbids to compare them.

    Raises:
        ValueError: Two arms have one name.
    """
    names = [arm.name for arm in evidence.arms]
    for name in names:
        if names.count(name) > 1:
            raise ValueError(f"Two arms are named {name!r}; names must differ.")
    design, arms = evidence.design, evidence.arms
    seeds = design.seeds or tuple(dict.fromkeys(run.seed for arm in arms for run in arm.runs))
    # Test values that are seen too early could influence which runs are made.
    hidden = evidence.stage == Stage.CONFIRMATION and any(_to_come(arm, seeds) for arm in arms)
    worst, bounded = _worst(evidence), worst_value(design) is not None
    rows = []
    doubts = list(comparability.additions(arms, design))
    for arm in arms:
        found = list(comparability.of_arm(arm, seeds, design))
        if not hidden:
            found += comparability.out_of_bounds(arm, design)
            found += comparability.contradictions(arm, design)
            if not found and not bounded and not _measured(arm, seeds):
                text = (
                    f"{arm.name} has no completed run, and the worst possible value of"
                    f" {design.metric} is not known, so no value can be used instead."
                )
                found.append(because(6, Word.NOT_COMPARABLE, text))
        # An arm without any value gets none from the others: it would look measured.
        stand_in = worst if bounded or _measured(arm, seeds) else None
        row = _row(arm, seeds, stand_in, sound=not found)
        rows.append(row)
        doubts += found
        if not hidden and row.sound:
            doubts += _imputations(row, design, worst)
    doubts += comparability.samples({row.name: row.splits for row in rows}, seeds)
    doubts += comparability.budgets({row.name: row.budget for row in rows if row.searched})
    if not hidden:
        doubts += comparability.constants({arm.name: _measured(arm, seeds) for arm in arms})
        doubts += comparability.copies({row.name: row.values for row in rows if row.sound})
    if hidden:
        text = "The confirmation is not finished. Test values are shown and compared once it is."
        doubts.append(Doubt(rule=10, word=Word.NOT_COMPARABLE, text=text))
    return Table(seeds=seeds, rows=tuple(rows), doubts=tuple(doubts), hidden=hidden)


def comparable(first: Row, second: Row) -> bool:
    """Whether two rows are whole, on the same test samples and from searches of one size."""
    # The default was not searched for, so it can be compared with a search of any size.
    same_budget = not (first.searched and second.searched) or first.budget == second.budget
    # An empty name is an unknown split, which contradicts no other.
    same_samples = all(
        not a or not b or a == b for a, b in zip(first.splits, second.splits, strict=True)
    )
    return first.sound and second.sound and same_budget and same_samples


def _to_come(arm: Arm, seeds: Sequence[str]) -> bool:
    """Whether a planned run of an arm has not ended."""
    ended = {run.seed for run in arm.runs if run.ended}
    return bool(arm.runs) and not ended.issuperset(seeds)


def _measured(arm: Arm, seeds: Sequence[str]) -> list[float]:
    return [
        run.value
        for run in arm.runs
        if run.seed in seeds and run.measured and run.value is not None
    ]


def worst_value(design: Design) -> float | None:
    """The worst value that the metric can have; None where there is none or it is not known."""
    return design.bounds[0 if design.direction == "maximize" else 1]


def _worst(evidence: Evidence) -> float | None:
    if (bound := worst_value(evidence.design)) is not None:
        return bound
    maximize = evidence.design.direction == "maximize"
    values = [
        run.value
        for arm in evidence.arms
        for run in arm.runs
        if run.measured and run.value is not None
    ]
    return (min if maximize else max)(values, default=None)


def _row(arm: Arm, seeds: Sequence[str], worst: float | None, *, sound: bool) -> Row:
    by_seed = {run.seed: run for run in arm.runs}
    runs = [by_seed.get(seed) for seed in seeds]
    imputed = tuple(run.seed for run in runs if run is not None and run.lost)
    values = tuple(_value(run, worst) for run in runs)
    scores, missing = _scores(arm.name, runs, imputed)
    return Row(
        name=arm.name,
        values=values,
        run_ids=tuple(run.run_id for run in runs if run is not None and run.run_id),
        imputed=imputed,
        baseline=arm.baseline,
        budget=arm.budget,
        levels=arm.levels,
        # What a lost run would have been tested on is not known.
        splits=tuple("" if run is None or run.lost else run.split for run in runs),
        scores=scores,
        scores_missing=missing,
        sound=sound and None not in values,
    )


def _value(run: Run | None, worst: float | None) -> float | None:
    if run is None:
        return None
    if run.lost:
        return worst
    return run.value if run.measured else None


def _scores(
    name: str, runs: Sequence[Run | None], imputed: Sequence[str]
) -> tuple[Scores | None, str | None]:
    """Per-example scores of every run, or why they cannot be used."""
    if imputed:
        # The worst score for every example would say that the examples do not vary.
        text = comparability.named(imputed)
        return None, f"{name} diverged or failed on {text} and has no per-example scores there"
    whole = [run for run in runs if run is not None]
    if not whole or not all(len(run.scores) for run in whole):
        return None, f"{name} has no per-example scores"
    if len({len(run.scores) for run in whole}) > 1:
        return None, f"the runs of {name} have scores of different numbers of examples"
    return np.array([run.scores for run in whole], dtype=np.float64), None


def _imputations(row: Row, design: Design, worst: float | None) -> Iterator[Doubt]:
    if not row.imputed or worst is None:
        return
    known = worst_value(design) is not None
    kind = (
        f"the worst value of {design.metric}"
        if known
        else "the worst value seen, so neither SD nor interval is given"
    )
    whole = len(row.imputed) == len(row.values)
    text = (
        f"No run of {row.name} completed: its mean is {kind} ({worst:g}), not a measurement."
        if whole
        else f"{row.name} diverged or failed on {comparability.named(row.imputed)} and counts "
        f"there with {worst:g}, {kind}."
    )
    yield Doubt(rule=6, text=text)
