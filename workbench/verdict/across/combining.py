"""Finished studies as evidence over data sets, and over searches of one data set."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import combinations

from workbench.messages import joined
from workbench.verdict import Design, Doubt, Verdict, Word
from workbench.verdict.across import deciding
from workbench.verdict.contrast import ALL, BASELINE
from workbench.verdict.refusals import because
from workbench.verdict.results import ResultRow, Results, ResultsError

DEFAULT = "default"  # the side of the default configuration
# What studies that are combined must agree in.
_SHARED: dict[str, Callable[[Verdict], object]] = {
    "metric": lambda verdict: verdict.metric,
    "direction": lambda verdict: verdict.direction,
    "contrast": lambda verdict: verdict.contrast,
    "smallest effect": lambda verdict: verdict.smallest_effect,
    "number of planned looks": lambda verdict: verdict.looks,
    # Else there would be no saying which of the looks the verdict over all of them is.
    "number of looks taken": lambda verdict: max(1, len(verdict.seeds_by_look)),
    "level of each test": lambda verdict: verdict.alpha,
}


@dataclass(frozen=True, kw_only=True)
class ConfirmedStudy:
    """A study whose confirmation has ended.

    Attributes:
        dataset: Name of its data set; studies of one data set are replicates of its search.
        data: SHA-256 of the data set with its options; ``content`` of its samples, whatever its
            name is; ``tested`` of its test samples' numbers. Empty where unknown.
        settings: Of its search, strategies and recipe, by key; without its data set and its seeds.
        seed: Of the search.
        across: Name of its file, of a file with ``across``; empty otherwise.
        planned: Names of all studies of that file, as they were fixed before this one was tested.
        bounds: See ``Design.bounds``.
    """

    study: str
    dataset: str
    seed: int
    verdict: Verdict
    across: str = ""
    planned: tuple[str, ...] = ()
    data: str = ""
    content: str = ""
    tested: str = ""
    settings: Mapping[str, object] = field(default_factory=dict)
    bounds: tuple[float | None, float | None] = (None, None)

    def as_json(self) -> dict[str, object]:
        """For results.json: the study, and the word and headline of its verdict."""
        return {
            "study": self.study,
            "dataset": self.dataset,
            "search_seed": self.seed,
            "word": self.verdict.word,
            "headline": self.verdict.headline,
        }


def results(studies: Sequence[ConfirmedStudy], source: str) -> Results:
    """Every confirmation run of the studies as rows."""
    several = _repeated(studies)
    rows = tuple(
        ResultRow(
            strategy=side.name,
            seed=f"{seed} (search {one.seed})" if several else seed,
            # Data sets hold what was measured, and no stand-in for a failed run.
            value=None if seed in side.imputed else value,
            state="failed" if seed in side.imputed else "complete",
            dataset=one.dataset,
            where=one.study,
            run_id=run_id,
        )
        for one in studies
        for side in one.verdict.sides
        for seed, value, run_id in zip(one.verdict.seeds, side.values, side.run_ids, strict=True)
    )
    return Results(rows=rows, metric=studies[0].verdict.metric, source=source)


def _repeated(studies: Sequence[ConfirmedStudy]) -> bool:
    return len({one.dataset for one in studies}) < len(studies)


def doubts(studies: Sequence[ConfirmedStudy]) -> tuple[Doubt, ...]:
    """Whether the list of studies was changed while their results became known (rule 10)."""
    first = studies[0]
    # The order of the list changes nothing.
    other = next((one for one in studies if {*one.planned} != {*first.planned}), None)
    if other is None or not first.across or any(one.across != first.across for one in studies):
        return ()
    changed = joined(sorted({*first.planned} ^ {*other.planned}), 6)
    text = (
        f"The list of studies in {first.across} was changed after a confirmation had begun:"
        f" {first.study} plans {len(first.planned)}, {other.study} {len(other.planned)}"
        f" ({changed})."
    )
    return (because(10, Word.EXPLORATORY, text),)


def caveat(studies: Sequence[ConfirmedStudy]) -> str:
    """A sentence for the claim, unless the studies are all those of one file with ``across``."""
    names = {one.study for one in studies}
    if doubts(studies) or all({*one.planned} == names for one in studies):
        return ""
    return "Which studies were combined was not planned before their results were known."


def by_dataset(
    studies: Sequence[ConfirmedStudy],
) -> tuple[tuple[str, ...], dict[str, Verdict], Design]:
    """Names of the strategies, a verdict for each data set, and the design that all share.

    Raises:
        ResultsError: The studies cannot be combined; the message says why.
    """
    if problems := [*_problems(studies)]:
        raise ResultsError("\n".join(problems))
    first = studies[0].verdict
    names = tuple(dict.fromkeys(side.name for one in studies for side in one.verdict.sides))
    design = Design(
        metric=first.metric,
        direction=first.direction,
        smallest_effect=first.smallest_effect,
        contrast=BASELINE if first.contrast == BASELINE else ALL,
        bounds=studies[0].bounds,
        alpha=first.alpha,
        looks=first.looks,
        seeds_by_look=tuple(first.seeds_by_look),
    )
    verdicts = {}
    datasets = list(dict.fromkeys(one.dataset for one in studies))
    # Then the verdict over all data sets has the doubts about the choice of studies.
    several = len(datasets) > 1
    for dataset in datasets:
        own = [one for one in studies if one.dataset == dataset]
        searches = {f"search {one.seed}": _with_default(one.verdict, names) for one in own}
        verdicts[dataset] = next(iter(searches.values()))
        if len(searches) > 1:
            verdicts[dataset] = deciding.over_replicates(
                names,
                searches,
                design,
                one_test=all(one.tested and one.tested == own[0].tested for one in own),
                doubts=() if several else doubts(studies),
                caveat="" if several else caveat(studies),
            )
    return names, verdicts, design


def _with_default(verdict: Verdict, names: Collection[str]) -> Verdict:
    """The verdict with a side for the default configuration, if other studies have one.

    A strategy whose chosen configuration is the default one is the baseline of its study itself.
    """
    own = next((side for side in verdict.sides if side.baseline), None)
    if own is None or own.name == DEFAULT or DEFAULT not in names:
        return verdict
    sides = [replace(side, baseline=False) for side in verdict.sides]
    pairs = [
        replace(
            pair,
            first=DEFAULT if pair.first == own.name else pair.first,
            second=DEFAULT if pair.second == own.name else pair.second,
        )
        for pair in verdict.comparisons
        if own.name in (pair.first, pair.second)
    ]
    return replace(
        verdict,
        sides=(*sides, replace(own, name=DEFAULT)),
        comparisons=(*verdict.comparisons, *pairs),
    )


def _problems(studies: Sequence[ConfirmedStudy]) -> Iterator[str]:
    if len(studies) < 2:
        yield f"There is one study, {studies[0].study}; combining needs two."
    for what, of in _SHARED.items():
        found = {one.study: of(one.verdict) for one in studies}
        if len(set(found.values())) > 1:
            named = (f"{value} in {study}" for study, value in found.items())
            yield f"The studies have no common {what}: {joined(named, 6)}."
    for one in studies:
        if one.verdict.word == Word.EXPLORATORY:
            yield (
                f"{one.study} supports no claim: {one.verdict.headline} Finish its confirmation"
                f" (`workbench confirm {one.study}`), or leave it out."
            )
    for first, second in combinations(studies, 2):
        if first.dataset != second.dataset:
            if first.content and first.content == second.content:
                yield (
                    f"{first.study} and {second.study} have the same samples under two names,"
                    f" {first.dataset} and {second.dataset}: they are one data set. Leave one out."
                )
        elif first.seed == second.seed:
            yield (
                f"{first.study} and {second.study} searched the same data set, {first.dataset},"
                f" with the same seed, {first.seed}: they are no replicates of each other."
            )
        elif first.data != second.data:
            yield (
                f"{first.study} and {second.study} have other data under one name, {first.dataset}"
                f" (digests {first.data[:12]} and {second.data[:12]}; options of the data set count"
                " too): they are no replicates of each other."
            )
        elif differing := [*_differing(first, second)]:
            yield (
                f"{first.study} and {second.study} have no common search protocol, so they are no"
                f" replicates of each other: {joined(differing, 6)}."
            )


def _differing(first: ConfirmedStudy, second: ConfirmedStudy) -> Iterator[str]:
    """Settings that differ between two searches of one data set, with both values."""
    for key in dict.fromkeys([*first.settings, *second.settings]):
        found = [one.settings.get(key) for one in (first, second)]
        if found[0] != found[1]:
            yield f"{key} is {found[0]} in {first.study}, {found[1]} in {second.study}"
