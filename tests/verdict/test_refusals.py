"""For each of the 17 refusals: someone tries to obtain the forbidden claim and is told why not.

An attempt goes the way on which the claim would be made: through ``decide`` where evidence decides,
through the module that would hand out what is forbidden, else through the guard that everyone asks.
Beside each stands the nearest thing that is allowed, so that no guard refuses everything.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from tests.support.planted import SEEDS, arm, changed, evidence, planted
from workbench.report import wording
from workbench.report.results import Row
from workbench.verdict import (
    REFUSALS,
    ClaimError,
    Doubt,
    Level,
    Stage,
    Verdict,
    Word,
    as_json,
    decide,
    guards,
)
from workbench.verdict.refusals import because
from workbench.verdict.statistics import correction

SPREAD = {"adamw-2": 0.95, "sgd-0": 0.92, "adam-0": 0.90, "default": 0.89}
CLAIMED = (Word.WINNER, Word.GOOD_ENOUGH)


class Told(NamedTuple):
    """What someone heard instead of the claim."""

    rule: int | None
    text: str


def refused(claim: Callable[[], Any]) -> Told:
    with pytest.raises(ClaimError) as caught:
        claim()
    assert REFUSALS[caught.value.rule].instead in str(caught.value), "and what may be done"
    return Told(caught.value.rule, str(caught.value))


def denied(verdict: Verdict, word: Word) -> Told:
    """The first reason of a verdict that claims nothing."""
    assert verdict.word == word and verdict.leader is None
    assert verdict.claim.startswith("No claim")
    return Told(verdict.reasons[0].rule, verdict.reasons[0].text)


# One attempt for each number. The first of a pair is what was tried, the second what it heard.


def a_first_place_from_search_values() -> tuple[Told, str]:
    # The very values that make a winner of a confirmation, and the larger arm has more of them.
    arms = (arm("large", [0.9, 0.91, 0.99]), arm("small", [0.9]))
    verdict = decide(evidence(*arms, stage=Stage.SEARCH))
    assert decide(evidence(*planted(SPREAD))).word == Word.WINNER
    assert decide(evidence(*planted(SPREAD), stage=Stage.SEARCH)).word == Word.EXPLORATORY
    return denied(verdict, Word.EXPLORATORY), "All values come from the search: 4 trials of 2"


def values_on_the_test_split_of_several_configurations() -> tuple[Told, str]:
    first, *others = (
        replace(a, runs=tuple(replace(run, config=a.name) for run in a.runs))
        for a in planted(SPREAD)
    )
    assert decide(evidence(first, *others)).word == Word.WINNER
    verdict = decide(evidence(changed(first, "3", config="another"), *others))
    assert {p.first for p in verdict.comparisons} == {"sgd-0", "adam-0"}, "others are shown"
    told = denied(verdict, Word.NOT_COMPARABLE)
    return told, "adamw-2 was run in 2 configurations, expected one."


def a_comparison_at_unequal_budgets() -> tuple[Told, str]:
    first, second, third, default = (replace(a, budget=12) for a in planted(SPREAD))
    default = replace(default, budget=None)
    assert decide(evidence(first, second, third, default)).word == Word.WINNER
    verdict = decide(evidence(replace(first, budget=60), second, third, default))
    shown = {frozenset((p.first, p.second)) for p in verdict.comparisons}
    assert shown == {
        frozenset(two)
        for two in (
            ("sgd-0", "adam-0"),
            ("sgd-0", "default"),
            ("adam-0", "default"),
            ("adamw-2", "default"),
        )
    }
    assert decide(evidence(replace(first, budget=None), second, third, default)).word == (
        Word.NOT_COMPARABLE
    ), "an unknown budget is not an equal one"
    # A baseline that a search has chosen had a budget like the others.
    own = replace(first, budget=60, baseline=True)
    searched = decide(evidence(own, second, third))
    assert searched.word == Word.NOT_COMPARABLE and searched.reasons[0].rule == 4
    assert {p.first for p in searched.comparisons} == {"sgd-0"}, "none with the baseline"
    assert decide(evidence(replace(own, budget=12), second, third)).word == Word.WINNER
    return denied(verdict, Word.NOT_COMPARABLE), "(adamw-2 60, sgd-0 12, adam-0 12)"


def a_pruned_run_as_a_score() -> tuple[Told, str]:
    first, *others = planted(SPREAD)
    verdict = decide(evidence(changed(first, "3", state="pruned", value=0.99), *others))
    side = next(side for side in verdict.sides if side.name == "adamw-2")
    assert side.values[2] is None and side.mean is None, "its intermediate value is no score"
    return denied(verdict, Word.NOT_COMPARABLE), "adamw-2 was pruned on seed 3."


def a_failed_run_left_out() -> tuple[Told, str]:
    first, *others = planted(SPREAD)
    gone = replace(first, runs=tuple(run for run in first.runs if run.seed != "3"))
    verdict = decide(evidence(gone, *others, seeds=SEEDS))
    # Told as what it is, a failure, it counts with the worst value and costs the first place.
    honest = decide(evidence(changed(first, "3", state="failed", value=None), *others))
    assert honest.word not in CLAIMED and honest.leader != "adamw-2"
    return denied(verdict, Word.NOT_COMPARABLE), "adamw-2 has no run for seed 3."


def a_p_value_of_too_few_seeds_and_an_equality_of_a_large_one() -> tuple[Told, str]:
    verdict = decide(evidence(*planted(SPREAD, n=5)))
    assert verdict.word == Word.UNDERPOWERED and verdict.excluded == ()
    assert verdict.claim.startswith("No claim")
    # Corrected over all pairs: none of these p values decides a pair as it comes.
    enough = decide(evidence(*planted(SPREAD)))
    holm = correction.holm([found.p for found in enough.comparisons])
    assert [found.p_holm for found in enough.comparisons] == pytest.approx(holm)
    # A test that finds nothing shows no closeness, and is not worded as an equality.
    nothing = decide(evidence(*planted(dict.fromkeys(SPREAD, 0.9), sd=0.03)))
    assert nothing.word == Word.INCONCLUSIVE and nothing.excluded == ()
    assert all(found.p_holm > 0.05 for found in nothing.comparisons)
    said = [nothing.headline, nothing.claim, *(reason.text for reason in nothing.reasons)]
    assert not re.search(r"\b(equal|same|ties?|identical|are equivalent)\b", " ".join(said))
    reason = verdict.reasons[0]
    return Told(reason.rule, reason.text), "smallest possible p value is 0.062, above alpha = 0.05"


def seeds_as_data_sets() -> tuple[Told, str]:
    for names in (SEEDS, ("fold 1", "fold 2"), ("epoch-3", "epoch-4"), ("seed=1",), ("Seeds",)):
        assert refused(lambda names=names: guards.data_sets(names)).rule == 8  # type: ignore[misc]
    guards.data_sets(["pets", "cars", "pets", "cifar10", "split-brain"])
    told = refused(lambda: guards.data_sets(["x", "pets"], seeds=["x"]))
    return told, "x look like seeds, folds or epochs, expected names of data sets."


def pairs_that_are_none() -> tuple[Told, str]:
    arms = [
        replace(a, runs=tuple(replace(run, split="one") for run in a.runs)) for a in planted(SPREAD)
    ]
    assert decide(evidence(*arms)).word == Word.WINNER
    other = changed(arms[0], "3", split="two")
    verdict = decide(evidence(other, *arms[1:]))
    assert {p.first for p in verdict.comparisons} == {"sgd-0", "adam-0"}
    # Other seeds are no pairs either.
    shifted = replace(
        arms[0], runs=tuple(replace(run, seed=f"other {run.seed}") for run in arms[0].runs)
    )
    elsewhere = decide(evidence(shifted, *arms[1:], stage=Stage.EXTERNAL, seeds=()))
    assert {reason.rule for reason in elsewhere.reasons} == {9} and not elsewhere.comparisons
    return denied(verdict, Word.NOT_COMPARABLE), (
        "On seed 3 the configurations were tested on different samples (adamw-2 against sgd-0,"
    )


def seeds_added_until_it_works() -> tuple[Told, str]:
    arms = planted(SPREAD)
    verdict = decide(evidence(*arms, seeds=SEEDS[:10]))
    assert verdict.comparisons == (), "no p value of them"
    assert decide(evidence(*(replace(a, runs=a.runs[:10]) for a in arms))).word == Word.WINNER
    allowed = REFUSALS[10].instead
    assert "new name gives a study new confirmation seeds" in allowed
    assert "another search.seed also gives it another test split" in allowed
    return denied(verdict, Word.EXPLORATORY), (
        "adamw-2 was also run on seeds 11 and 12, which are not among the 10 seeds of the protocol"
    )


def an_expected_maximum_of_an_adaptive_search() -> tuple[Told, str]:
    guards.expected_maximum("random")
    for sampler in ("grid", "cmaes"):
        assert refused(lambda sampler=sampler: guards.expected_maximum(sampler)).rule == 12  # type: ignore[misc]
    assert "2 pruned trials" in refused(
        lambda: guards.expected_maximum("random", pruned=2)
    ).text  # fmt: skip
    return refused(lambda: guards.expected_maximum("tpe")), "by 'tpe', expected 'random'"


def mixed_conditions_without_a_flag() -> tuple[Told, str]:
    runs = ["a1b2"] * 11 + ["c3d4"]
    assert guards.provenance({"commit": ["a1b2"] * 12, "hardware": [None] * 12}) == ()
    flags = guards.provenance({"commit": runs, "packages": [None, *["x"] * 11]})
    assert [flag.rule for flag in flags] == [16, 16] and {flag.word for flag in flags} == {None}
    assert "1 of 12 runs have no record of their packages" in flags[1].text
    # Nobody gets the verdict without them.
    verdict = decide(evidence(*planted(SPREAD), doubts=flags))
    assert verdict.word == Word.WINNER and verdict.flags == flags
    assert flags[0].text in json.dumps(as_json(verdict), ensure_ascii=False)
    return Told(flags[0].rule, flags[0].text), "differ in commit: 2 values (a1b2 (11); c3d4 (1))"


ATTEMPTS: dict[int, Callable[[], tuple[Told, str]]] = {
    1: a_first_place_from_search_values,
    2: values_on_the_test_split_of_several_configurations,
    4: a_comparison_at_unequal_budgets,
    5: a_pruned_run_as_a_score,
    6: a_failed_run_left_out,
    7: a_p_value_of_too_few_seeds_and_an_equality_of_a_large_one,
    8: seeds_as_data_sets,
    9: pairs_that_are_none,
    10: seeds_added_until_it_works,
    12: an_expected_maximum_of_an_adaptive_search,
    16: mixed_conditions_without_a_flag,
}


@pytest.mark.parametrize("number", ATTEMPTS)
def test_whoever_tries_to_obtain_a_forbidden_claim_is_told_why_not(number: int) -> None:
    told, found = ATTEMPTS[number]()
    assert told.rule == number
    assert found in told.text, "what was found"
    assert REFUSALS[number].because in told.text, "and why it matters"


def test_the_table_holds_all_seventeen_and_what_could_be_asked_for_has_an_attempt() -> None:
    # Nobody can ask for these: an adaptive search has no medians; captions say what a bar is, name
    # the evaluators of importances and warn of bounds; one search has no level about strategies
    # (several have one, see test_combining); emphasis comes with its rule.
    never = (3, 11, 13, 14, 15, 17)
    assert list(ATTEMPTS) == [number for number in range(1, 18) if number not in never]
    assert list(REFUSALS) == list(range(1, 18))
    assert all(number == refusal.number for number, refusal in REFUSALS.items())
    verdict = decide(evidence(*planted(SPREAD)))
    assert verdict.level == Level.CONFIGURATION
    text = wording.emphasis(verdict, [Row(name="a", baseline=False, best=True)])
    assert text is not None and text.startswith("Bold: best mean")


def test_the_table_may_stand_in_a_report_of_search_data() -> None:
    loaded = ("wins", "winner", "better", "significant", "outperform", "beats")
    said = " ".join(f"{r.forbidden} {r.because} {r.instead}" for r in REFUSALS.values()).lower()
    assert [word for word in loaded if word in said] == []


def test_a_refusal_is_a_value_error_that_carries_its_number() -> None:
    error = ClaimError(3, "Asked for.")
    assert isinstance(error, ValueError) and error.rule == 3
    assert str(error).startswith(f"Asked for. Refused (rule 3: {REFUSALS[3].forbidden}). ")


def test_a_reason_keeps_what_was_found_apart_from_why_it_matters() -> None:
    assert because(6, None, "a is lost.") == Doubt(
        rule=6, word=None, text=f"a is lost. {REFUSALS[6].because}", found="a is lost."
    )


@pytest.mark.parametrize(
    "names",
    [
        ("digits fold 1", "wine"), ("digits_fold1", "wine"), ("digitsFold1", "wine"),
        ("digits cv-3", "wine"), ("folds 1-5", "wine"), ("digits, 1st run", "wine"),
        ("digits (split 2)", "wine"), ("digits.seed=7.csv", "wine"), ("5-fold", "wine"),
        ("part1", "part2", "part3"), ("Digits (1)", "digits (2)", "digits (10)"),
    ],
)  # fmt: skip
def test_what_only_repeats_one_data_set_is_told_from_its_name(names: tuple[str, ...]) -> None:
    told = refused(lambda: guards.data_sets(names))
    assert told.rule == 8 and names[0] in told.text and "expected names of data sets" in told.text


@pytest.mark.parametrize(
    "names",
    [
        ("cifar10", "cifar100"), ("cifar10", "cifar100", "mnist", "glue-rte"), ("part1", "part2"),
        ("manifold1", "unfold 2"), ("split-brain", "cifar10-split"), ("drum3", "recv2", "office31"),
        ("wmt14", "wmt16", "squad2"),
    ],
)  # fmt: skip
def test_names_of_data_sets_with_numbers_in_them_pass(names: tuple[str, ...]) -> None:
    guards.data_sets(names)


# Through the modules that would hand out what is forbidden.


def test_the_test_split_stays_sealed_without_a_protocol(tmp_path: Path) -> None:
    from workbench import datasets

    with pytest.raises(datasets.SealedError, match="there is no protocol at"):
        datasets.load_test(
            {"name": "wine"},
            target="",
            study_seed=0,
            seed=1,
            protocol=tmp_path / "protocol.json",
            sha256="0" * 64,
        )


def test_the_guards_are_there_without_anything_heavy() -> None:
    script = (
        "import sys\n"
        "import workbench.verdict.guards\n"
        "heavy = {'numpy', 'scipy', 'pandas', 'torch', 'matplotlib', 'mlflow'}\n"
        "print(sorted(heavy & set(sys.modules)))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "[]"
