"""Finished studies together: a verdict over data sets, and over searches of one data set."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from tests.support.planted import changed, evidence, planted
from workbench.verdict import Level, Unit, Verdict, Word, decide, external, level
from workbench.verdict.across.combining import ConfirmedStudy
from workbench.verdict.results import ResultsError

NAMES = ("cars", "birds", "flowers", "food", "textures", "scenes", "pets", "maps")


def judged(seed: int, means: dict[str, float] | None = None, **knobs: Any) -> Verdict:
    """The verdict of one study; its means differ a little from those of the others."""
    draw = np.random.default_rng(seed)
    wanted = means or {"a": 0.90, "b": 0.87, "c": 0.80}
    arms = planted({name: mean + 0.002 * draw.normal() for name, mean in wanted.items()})
    return decide(evidence(*arms, **knobs))


def searches(count: int, **knobs: Any) -> list[ConfirmedStudy]:
    return [
        ConfirmedStudy(
            study=f"cars-{seed}",
            dataset="cars",
            seed=seed,
            tested="t",
            verdict=judged(seed, **knobs),
        )
        for seed in range(count)
    ]


def over_data_sets(count: int) -> list[ConfirmedStudy]:
    return [
        ConfirmedStudy(study=name, dataset=name, seed=0, verdict=judged(at))
        for at, name in enumerate(NAMES[:count])
    ]


def test_six_searches_of_one_data_set_support_a_claim_about_the_strategies() -> None:
    found = external.combine(searches(6), "cars").verdict
    assert (found.word, found.leader) == (Word.WINNER, "a")
    assert (found.level, found.unit) == (Level.STRATEGY, Unit.REPLICATE)
    assert found.p_win == 2 / 2**6, "one value of a strategy is its mean in one search"
    assert "ahead on 6 of 6 search replicates" in found.headline
    assert found.claim.startswith(
        "For these strategies under this search protocol, on this data set and test split, a has a"
    )
    assert "every other strategy compared" in found.claim


def test_a_claim_over_searches_says_where_each_drew_a_test_split_of_its_own() -> None:
    for tested in ("t{}", ""):  # or where it is not known
        studies = [replace(one, tested=tested.format(one.seed)) for one in searches(6)]
        assert external.combine(studies, "cars").verdict.claim.startswith(
            "For these strategies under this search protocol, on this data set, with a test split"
            " drawn for each search, a has a higher"
        )


def with_failures(seed: int, count: int) -> Verdict:
    """The verdict of a study in which so many runs of "c" failed."""
    *others, last = planted({"a": 0.90, "b": 0.87, "c": 0.80})
    for at in range(count):
        last = changed(last, last.runs[at].seed, value=None, state="failed")
    return replace(decide(evidence(*others, last)), flags=())


def test_failed_runs_are_counted_as_runs_and_not_as_searches() -> None:
    studies = [
        replace(one, verdict=with_failures(at, 3 * (at == 2))) for at, one in enumerate(searches(7))
    ]
    found = external.combine(studies, "cars")
    said = "In search 2, 3 runs of c failed and count with the worst value."
    assert said in found.verdict.headline and said in found.verdict.claim
    assert "seeds. " not in found.verdict.claim and "of 7 seeds" not in found.verdict.claim
    (c,) = (side for side in found.verdict.sides if side.name == "c")
    assert len(c.imputed) == 3

    rows = [row for row in external.combine(studies, "cars").results.rows if row.state == "failed"]
    assert len(rows) == 3 and all(row.value is None for row in rows), "no stand-in is data"

    others = over_data_sets(6)[1:]
    both = [
        *studies[1:3],
        *others,
        *(replace(one, study=f"{one.study}-1", seed=1) for one in others),
    ]
    over_all = external.combine(both, "all").verdict
    assert "On cars 3 runs of c failed" in over_all.claim, "of two searches there"


def test_five_searches_cannot_show_a_winner() -> None:
    found = external.combine(searches(5), "cars").verdict
    assert (found.word, found.level) == (Word.UNDERPOWERED, Level.NONE)
    assert "at least 6 search replicates are needed" in found.reasons[0].text
    assert found.claim == "No claim: 5 search replicates cannot show a difference."


def test_the_spread_between_searches_counts_and_not_that_of_seeds() -> None:
    # Within each search "a" or "b" is far ahead, in turn: neither wins over the searches.
    turns = [{"a": 0.90, "b": 0.85}, {"a": 0.85, "b": 0.90}]
    studies = [
        ConfirmedStudy(study=f"cars-{n}", dataset="cars", seed=n, verdict=judged(n, turns[n % 2]))
        for n in range(8)
    ]
    assert {one.verdict.word for one in studies} == {Word.WINNER}
    assert external.combine(studies, "cars").verdict.word == Word.INCONCLUSIVE


def test_six_data_sets_support_a_claim_across_data_sets_and_five_none() -> None:
    found = external.combine(over_data_sets(6), "all")
    assert (found.verdict.word, found.verdict.level) == (Word.WINNER, Level.DATASETS)
    assert "test accuracy" in found.verdict.headline, "the metric in words, as in each report"
    assert found.across is not None and found.across.ranks == [1.0, 2.0, 3.0]
    assert [one["study"] for one in found.as_json()["studies"]] == list(NAMES[:6])
    assert external.combine(over_data_sets(5), "all").verdict.word == Word.UNDERPOWERED


def test_searches_of_each_data_set_are_averaged_before_data_sets_are_compared() -> None:
    studies = [
        ConfirmedStudy(study=f"{name}-{n}", dataset=name, seed=n, verdict=judged(10 * at + n))
        for at, name in enumerate(NAMES[:6])
        for n in range(2)
    ]
    found = external.combine(studies, "all")
    assert found.verdict.level == Level.DATASETS and len(found.verdict.seeds) == 6
    assert found.datasets["cars"].unit == Unit.REPLICATE
    means = [
        side.mean.estimate
        for one in studies[:2]
        for side in one.verdict.sides
        if side.name == "a" and side.mean
    ]
    (over_both,) = (side for side in found.datasets["cars"].sides if side.name == "a")
    assert over_both.mean is not None
    assert over_both.mean.estimate == pytest.approx(sum(means) / 2)
    assert len(found.results.rows) == 12 * 3 * 12, "every confirmation run is in the data"


def test_a_strategy_that_is_the_default_itself_counts_for_both() -> None:
    first, *others = over_data_sets(6)

    def named(one: ConfirmedStudy, name: str) -> ConfirmedStudy:
        sides = [
            replace(side, name=name, baseline=True) if side.name == "c" else side
            for side in one.verdict.sides
        ]
        return replace(one, verdict=replace(one.verdict, sides=sides))

    # In the first study "c" is the default configuration; in the others that is a side of its own.
    with_both = [
        replace(
            one,
            verdict=replace(
                one.verdict,
                sides=(*one.verdict.sides, named(one, "default").verdict.sides[-1]),
            ),
        )
        for one in others
    ]
    found = external.combine([named(first, "c"), *with_both], "all").verdict
    assert found.word == Word.WINNER
    assert {side.name for side in found.sides} == {"a", "b", "c", "default"}
    assert [side.name for side in found.sides if side.baseline] == ["default"]


def of_one_file(studies: list[ConfirmedStudy]) -> list[ConfirmedStudy]:
    """The same as the studies of a file with ``across``, which plans exactly these."""
    planned = tuple(one.study for one in studies)
    return [replace(one, across="file", planned=planned) for one in studies]


@pytest.mark.parametrize("made", [searches, over_data_sets])
def test_a_claim_says_that_nobody_planned_which_studies_are_combined(made: Any) -> None:
    said = "Which studies were combined was not planned before their results were known."
    free = external.combine(made(6), "free").verdict
    assert free.word == Word.WINNER and said in free.headline and said in free.claim
    planned = external.combine(of_one_file(made(6)), "file").verdict
    assert planned.word == Word.WINNER and said not in planned.headline + planned.claim
    some = external.combine(of_one_file(made(7))[:6], "some of a file").verdict
    assert said in some.claim, "these six of the seven were chosen"


@pytest.mark.parametrize("made", [searches, over_data_sets])
def test_a_study_that_was_added_to_a_file_later_makes_it_exploratory(made: Any) -> None:
    seven = made(7)
    later = of_one_file(seven)[-1]
    first, *others = of_one_file(seven)
    turned = [replace(first, planned=first.planned[::-1]), *others]
    assert external.combine(turned, "file").verdict.word == Word.WINNER, "only the order changed"
    found = external.combine([*of_one_file(seven[:6]), later], "file")
    assert (found.verdict.word, found.verdict.level) == (Word.EXPLORATORY, Level.NONE)
    assert found.verdict.reasons[0].rule == 10
    assert f"{seven[0].study} plans 6, {later.study} 7 ({later.study})" in found.verdict.headline
    assert found.verdict.claim.startswith("No claim")
    assert found.verdict.leader is None and found.across is None


LOOKS: dict[str, Any] = {"looks": 2, "seeds_by_look": (12,), "alpha": level(2)}


def test_two_looks_are_corrected_for_over_searches_and_over_data_sets_too() -> None:
    six, seven = (external.combine(searches(n, **LOOKS), "cars").verdict for n in (6, 7))
    # The least p of six searches, 2 / 2^6, is above half of alpha.
    assert (six.word, six.alpha) == (Word.UNDERPOWERED, level(2))
    assert "at least 7 search replicates" in six.reasons[0].text
    assert (seven.word, seven.looks) == (Word.WINNER, 2)
    assert seven.look and seven.look in seven.headline and seven.look in seven.claim
    assert "seeds" not in seven.look, "its values are those of searches"

    def on_data_sets(count: int) -> Verdict:
        studies = [
            ConfirmedStudy(study=name, dataset=name, seed=0, verdict=judged(at, **LOOKS))
            for at, name in enumerate(NAMES[:count])
        ]
        return external.combine(studies, "all").verdict

    assert on_data_sets(6).word == Word.UNDERPOWERED
    found = on_data_sets(7)
    assert found.word == Word.WINNER
    assert found.look and found.look in found.headline and found.look in found.claim


@pytest.mark.parametrize(
    ("other", "said"),
    [
        ({}, "no common number of planned looks: 2 in cars-0 and 1 in cars-1"),
        ({**LOOKS, "seeds_by_look": (7, 5)}, "no common number of looks taken"),
    ],
)
def test_studies_with_other_looks_are_refused(other: dict[str, Any], said: str) -> None:
    first, second = searches(1, **LOOKS)[0], searches(2, **other)[1]
    with pytest.raises(ResultsError, match=said):
        external.combine([first, second], "cars")


@pytest.mark.parametrize(
    ("studies", "said"),
    [
        (searches(1), "There is one study, cars-0"),
        ([*searches(1), *searches(1)], "no replicates of each other"),
        (
            [searches(1)[0], replace(searches(2)[1], data="d2")],
            "cars-0 and cars-1 have other data under one name, cars",
        ),
        (
            [replace(one, content="c1") for one in over_data_sets(2)],
            "the same samples under two names, cars and birds",
        ),
        (
            [
                replace(one, settings={"search.trials.a": 8 + at, "search.sampler": "tpe"})
                for at, one in enumerate(searches(2))
            ],
            "no common search protocol.*: search.trials.a is 8 in cars-0, 9 in cars-1\\.$",
        ),
        (
            [
                *searches(1),
                replace(searches(1, smallest_effect=0.2)[0], study="birds", dataset="birds"),
            ],
            "no common smallest effect",
        ),
    ],
)
def test_studies_that_do_not_belong_together_are_refused(
    studies: list[ConfirmedStudy], said: str
) -> None:
    with pytest.raises(ResultsError, match=said):
        external.combine(studies, "all")


def test_a_study_without_a_finished_confirmation_is_refused_with_the_next_step() -> None:
    first, second = searches(2)
    unfinished = replace(second, verdict=replace(second.verdict, word=Word.EXPLORATORY))
    with pytest.raises(ResultsError, match="workbench confirm cars-1"):
        external.combine([first, unfinished], "all")


def test_of_two_strategies_no_p_of_being_the_best_is_given_over_data_sets() -> None:
    """Of two standardized values the difference is the same on every data set."""
    means = {"a": 0.90, "b": 0.87}
    studies = [
        ConfirmedStudy(study=name, dataset=name, seed=0, verdict=judged(at, means))
        for at, name in enumerate(NAMES[:6])
    ]
    found = external.combine(studies, "all").verdict
    assert (found.word, found.candidates) == (Word.WINNER, ("a",))
    assert {side.p_best for side in found.sides} == {None}
    turns = [means if at % 2 else {"a": 0.87, "b": 0.90} for at in range(6)]
    studies = [replace(one, verdict=judged(at, turns[at])) for at, one in enumerate(studies)]
    found = external.combine(studies, "all").verdict
    assert found.word == Word.INCONCLUSIVE and set(found.candidates) == {"a", "b"}
