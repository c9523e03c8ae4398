"""A verdict on results: on each data set, and over all of them where there are several.

``workbench verdict`` uses it for external results, ``combine`` for finished studies. External
results come without a protocol, so a claim is never above *this configuration*, or *across data
sets* from six data sets on.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from workbench.verdict import ClaimError, Design, Doubt, Level, Verdict, as_json, question
from workbench.verdict.across import combining, deciding, ranks
from workbench.verdict.across.combining import ConfirmedStudy
from workbench.verdict.across.ranks import PairCounts, Ranks
from workbench.verdict.guards import data_sets
from workbench.verdict.results import Results, ResultsError


@dataclass(frozen=True, kw_only=True)
class ResultsVerdict:
    """What may be said of external results.

    Attributes:
        verdict: On the only data set, or over all of them.
        datasets: The verdict on each data set; a single one may have the empty name.
        outcomes: Wins, ties and losses of each pair; empty for a single data set.
        across: Ranks; None for fewer than six data sets, or where they do not compare.
        studies: Whose confirmations the results are; empty for external results.
    """

    results: Results
    verdict: Verdict
    datasets: Mapping[str, Verdict]
    outcomes: tuple[PairCounts, ...] = ()
    across: Ranks | None = None
    studies: tuple[ConfirmedStudy, ...] = ()

    def __repr__(self) -> str:
        return repr(self.verdict)

    def _repr_html_(self) -> str:
        """For a notebook."""
        return self.verdict._repr_html_()

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
            "studies": [one.as_json() for one in self.studies],
        }
        return as_json(content)


def judge(results: Results, design: Design, baseline: str | None) -> ResultsVerdict:
    """Compare the strategies on each data set and over all of them.

    Raises:
        ResultsError: The results cannot be compared as asked; the message says why.
    """
    names = question.check(results.rows, design, baseline)
    verdicts = {}
    for dataset in dict.fromkeys(row.dataset for row in results.rows):
        rows = [row for row in results.rows if row.dataset == dataset]
        present = {row.strategy for row in rows}
        shown = [name for name in names if name in present]
        verdicts[dataset] = question.judge(rows, shown, design, baseline)
    return _over_all(results, names, verdicts, design)


def combine(studies: Sequence[ConfirmedStudy], source: str) -> ResultsVerdict:
    """The verdict over the data sets, or the searches of one data set, of finished studies.

    Raises:
        ResultsError: They cannot be combined; the message says why.
    """
    names, verdicts, design = combining.by_dataset(studies)
    found = _over_all(
        combining.results(studies, source),
        names,
        verdicts,
        design,
        doubts=combining.doubts(studies),
        caveat=combining.caveat(studies),
    )
    return replace(found, studies=tuple(studies))


def _over_all(
    results: Results,
    names: Sequence[str],
    verdicts: Mapping[str, Verdict],
    design: Design,
    *,
    doubts: Sequence[Doubt] = (),
    caveat: str = "",
) -> ResultsVerdict:
    """The verdict over all data sets, from the verdict on each.

    Raises:
        ResultsError: What are called data sets are none.
    """
    if len(verdicts) == 1:
        (verdict,) = verdicts.values()
        return ResultsVerdict(results=results, verdict=verdict, datasets=verdicts)
    try:
        data_sets(list(verdicts), seeds={row.seed for row in results.rows})
        ranks.different(results.rows)
    except ClaimError as error:
        raise ResultsError(str(error)) from None
    return ResultsVerdict(
        results=results,
        verdict=deciding.over_data_sets(names, verdicts, design, doubts=doubts, caveat=caveat),
        datasets=verdicts,
        outcomes=tuple(ranks.outcomes(names, verdicts)),
        # Ranks are tested as well, and a test needs data sets that were planned.
        across=None if doubts else ranks.across(names, verdicts, design),
    )
