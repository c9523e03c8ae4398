"""A verdict on external results: on each data set, and over all of them where there are several.

``workbench verdict`` uses it. Results come without a protocol, so a claim is never above *this
configuration*, or *across data sets* from six data sets on.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from workbench.verdict import Level, Refused, Verdict, as_json, question
from workbench.verdict.across import deciding, ranks
from workbench.verdict.across.ranks import PairCounts, Ranks
from workbench.verdict.guards import data_sets
from workbench.verdict.question import Question
from workbench.verdict.results import Results, Unreadable


@dataclass(frozen=True, kw_only=True)
class ExternalVerdict:
    """What may be said of external results.

    Attributes:
        verdict: On the only data set, or over all of them.
        datasets: The verdict on each data set; a single one may have the empty name.
        outcomes: Wins, ties and losses of each pair; empty for a single data set.
        across: Ranks; None for fewer than six data sets, or where they do not compare.
    """

    results: Results
    verdict: Verdict
    datasets: Mapping[str, Verdict]
    outcomes: tuple[PairCounts, ...] = ()
    across: Ranks | None = None

    @property
    def usable(self) -> bool:
        """Whether a claim can be made: over all data sets, or on any one."""
        return any(one.level != Level.NONE for one in (self.verdict, *self.datasets.values()))

    def as_json(self) -> dict[str, Any]:
        """The content of results.json."""
        content = {
            "schema": 1,
            "source": self.results.source,
            "verdict": self.verdict,
            "datasets": [{"name": name, "verdict": one} for name, one in self.datasets.items()],
            "outcomes": self.outcomes,
            "across": self.across,
            "notes": self.results.notes,
        }
        return as_json(content)


def judge(results: Results, asked: Question) -> ExternalVerdict:
    """Compare the strategies on each data set and over all of them.

    Raises:
        Unreadable: The results cannot be compared as asked; the message says why.
    """
    names = question.check(results.rows, asked)
    verdicts = {}
    for dataset in dict.fromkeys(row.dataset for row in results.rows):
        rows = [row for row in results.rows if row.dataset == dataset]
        present = {row.strategy for row in rows}
        verdicts[dataset] = question.judge(rows, [n for n in names if n in present], asked)
    if len(verdicts) == 1:
        (verdict,) = verdicts.values()
        return ExternalVerdict(results=results, verdict=verdict, datasets=verdicts)
    try:
        data_sets(list(verdicts), seeds={row.seed for row in results.rows})
        ranks.different(results.rows)
    except Refused as error:
        raise Unreadable(str(error)) from None
    return ExternalVerdict(
        results=results,
        verdict=deciding.verdict(names, verdicts, asked),
        datasets=verdicts,
        outcomes=tuple(ranks.outcomes(names, verdicts)),
        across=ranks.across(names, verdicts, asked),
    )
