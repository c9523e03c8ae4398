"""What several data sets show together: wins and losses, ranks.

Describes; the verdict is for ``several``. Knows neither files nor pages.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import combinations
from typing import Any

import numpy as np
from numpy.typing import NDArray

from workbench.verdict import Doubt, Refused, Verdict, Word, statistics
from workbench.verdict.question import Question
from workbench.verdict.refusals import because
from workbench.verdict.results import Result
from workbench.verdict.statistics.several import LEAST_DATASETS

Table = NDArray[np.float64]


def different(rows: Sequence[Result]) -> None:
    """Data sets with other names are other data sets (rule 8).

    Raises:
        Refused: Two of them have the same value for every strategy and seed.
    """
    found: dict[str, dict[tuple[str, str], float | None]] = {}
    for row in rows:
        found.setdefault(row.dataset, {})[row.strategy, row.seed] = row.value
    for first, second in combinations(found, 2):
        if found[first] == found[second]:
            raise Refused(
                8,
                f"{first} and {second} have the same value for every strategy and seed, expected"
                " other results on another data set.",
            )


def outcomes(names: Sequence[str], verdicts: Mapping[str, Verdict]) -> list[dict[str, Any]]:
    """Of each pair: on how many data sets the first won, tied, lost, or neither was shown.

    A tie is one shown by an equivalence test; where nothing was shown it is ``open``.
    """
    found = []
    for first, second in combinations(names, 2):
        counts = dict.fromkeys(("wins", "ties", "losses", "open"), 0)
        for verdict in verdicts.values():
            pair = next(
                (p for p in verdict.comparisons if {p.first, p.second} == {first, second}), None
            )
            if pair is None:
                continue
            if pair.beaten:
                counts["wins" if pair.first == first else "losses"] += 1
            else:
                counts["ties" if pair.equivalent else "open"] += 1
        if any(counts.values()):
            found.append({"first": first, "second": second, **counts})
    return found


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
    question: Question,
) -> dict[str, Any] | None:
    """What is shown across six data sets or more; None of fewer, or where they do not compare.

    Returns:
        ``means`` [data sets][strategies]; ``ranks`` and Friedman's test; ``groups`` that no test
        separates.
    """
    if len(verdicts) < LEAST_DATASETS or refused(names, verdicts):
        return None
    table = means(names, verdicts)
    turned = table if question.direction == "maximize" else -table
    friedman = statistics.friedman(turned)
    diagram = statistics.critical_difference(turned, alpha=question.design.alpha)
    return {
        "datasets": list(verdicts),
        "strategies": list(names),
        "means": table.tolist(),
        "ranks": friedman.ranks.tolist(),
        "friedman": {"statistic": friedman.f_statistic, "p": friedman.f_p},
        "groups": [[names[at] for at in group] for group in diagram.groups],
    }


def refused(names: Sequence[str], verdicts: Mapping[str, Verdict]) -> list[Doubt]:
    """Why the data sets do not compare: one of them does not, or lacks a strategy."""
    found = []
    for dataset, each in verdicts.items():
        if each.word == Word.NOT_COMPARABLE:
            told = each.reasons[0]
            text = f"On {dataset}: {told.text}"
            found.append(Doubt(rule=told.rule, word=Word.NOT_COMPARABLE, text=text))
            continue
        missing = [name for name in names if name not in {side.name for side in each.sides}]
        if missing:
            text = f"{', '.join(missing)} was not run on {dataset}."
            found.append(because(6, Word.NOT_COMPARABLE, text))
    return found
