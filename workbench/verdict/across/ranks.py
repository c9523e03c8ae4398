"""What several data sets show together: wins and losses, ranks. They decide no verdict."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

from workbench.messages import joined
from workbench.verdict import ClaimError, Design, Doubt, Verdict, Word
from workbench.verdict.judgement import Level
from workbench.verdict.refusals import because
from workbench.verdict.results import ResultRow
from workbench.verdict.statistics import several
from workbench.verdict.statistics.several import LEAST_DATASETS

Table = NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class PairCounts:
    """On how many data sets ``first`` won, tied and lost against ``second``.

    A tie is one shown by an equivalence test; ``open`` counts where nothing was shown.
    """

    first: str
    second: str
    wins: int
    ties: int
    losses: int
    open: int


@dataclass(frozen=True, kw_only=True)
class Friedman:
    """Friedman's test of the ranks, in the form of Iman and Davenport."""

    statistic: float
    p: float


@dataclass(frozen=True, kw_only=True)
class Ranks:
    """What six data sets or more show together.

    Attributes:
        means: Over seeds, [data sets][strategies].
        ranks: Average rank of each strategy; 1 is the best.
        groups: Strategies that no test separates.
    """

    datasets: tuple[str, ...]
    strategies: tuple[str, ...]
    means: list[list[float]]
    ranks: list[float]
    friedman: Friedman
    groups: tuple[tuple[str, ...], ...]


def different(rows: Sequence[ResultRow]) -> None:
    """Data sets with other names are other data sets (rule 8).

    Raises:
        ClaimError: Two of them have the same value for every strategy and seed.
    """
    found: dict[str, dict[tuple[str, str], float | None]] = {}
    for row in rows:
        found.setdefault(row.dataset, {})[row.strategy, row.seed] = row.value
    for first, second in combinations(found, 2):
        if found[first] == found[second]:
            raise ClaimError(
                8,
                f"{first} and {second} have the same value for every strategy and seed, expected"
                " other results on another data set.",
            )


def outcomes(names: Sequence[str], verdicts: Mapping[str, Verdict]) -> list[PairCounts]:
    """Wins, ties and losses of each pair that was compared on any data set.

    Where the verdict on a data set supports no claim, nothing is shown.
    """
    counts = []
    for first, second in combinations(names, 2):
        pairs = [
            (pair, verdict.level is not Level.NONE)
            for verdict in verdicts.values()
            for pair in verdict.comparisons
            if {pair.first, pair.second} == {first, second}
        ]
        # A difference can be both significant and negligible: that counts as a win.
        beaten = [pair.first for pair, shown in pairs if shown and pair.beaten]
        ties = sum(shown and pair.equivalent and not pair.beaten for pair, shown in pairs)
        if pairs:
            counts.append(
                PairCounts(
                    first=first,
                    second=second,
                    wins=beaten.count(first),
                    ties=ties,
                    losses=beaten.count(second),
                    open=len(pairs) - len(beaten) - ties,
                )
            )
    return counts


def means(names: Sequence[str], verdicts: Mapping[str, Verdict]) -> Table:
    """Mean over seeds of each strategy on each data set, shape [data sets, strategies]."""
    found = []
    for each in verdicts.values():
        of = {side.name: side.mean.estimate for side in each.sides if side.mean}
        found.append([of[name] for name in names])
    return np.array(found, dtype=np.float64)


def across(
    names: Sequence[str],
    verdicts: Mapping[str, Verdict],
    design: Design,
) -> Ranks | None:
    """Ranks over six data sets or more; None for fewer, or where they do not compare."""
    if len(verdicts) < LEAST_DATASETS or refused(names, verdicts):
        return None
    return of_table(tuple(verdicts), names, means(names, verdicts), design)


def of_table(
    datasets: tuple[str, ...], names: Sequence[str], table: Table, design: Design
) -> Ranks:
    """Ranks of the strategies by their means, shape [data sets, strategies].

    Raises:
        ValueError: Fewer than 6 data sets or 2 strategies, or a value that is not finite.
    """
    # Rank 1 is the best, so an error is ranked by its negative.
    turned = table if design.direction == "maximize" else -table
    diagram = several.critical_difference(turned, alpha=design.alpha)
    friedman = diagram.friedman
    return Ranks(
        datasets=datasets,
        strategies=tuple(names),
        means=table.tolist(),
        ranks=friedman.ranks.tolist(),
        friedman=Friedman(statistic=friedman.statistic, p=friedman.p),
        groups=tuple(tuple(names[at] for at in group) for group in diagram.groups),
    )


def refused(names: Sequence[str], verdicts: Mapping[str, Verdict]) -> list[Doubt]:
    """Why the data sets or searches do not compare: one does not, or lacks a strategy."""
    found = []
    for dataset, each in verdicts.items():
        if each.word == Word.NOT_COMPARABLE:
            reason = each.reasons[0]
            text = f"On {dataset}: {reason.text}"
            found.append(Doubt(rule=reason.rule, word=Word.NOT_COMPARABLE, text=text))
            continue
        missing = [name for name in names if name not in {side.name for side in each.sides}]
        if missing:
            verb = "was" if len(missing) == 1 else "were"
            text = f"{joined(missing)} {verb} not run on {dataset}."
            found.append(because(6, Word.NOT_COMPARABLE, text))
    return found
