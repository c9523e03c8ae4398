"""What a study gives a verdict to go by: its arms, and every doubt that the records raise."""

from __future__ import annotations

import random
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest

from tests.support import confirmed
from tests.support.confirmed import THREE, changed
from tests.support.searched import describe, realistic, row, runs
from workbench.report import Material, evidence
from workbench.report.checks.conditions import CONDITIONS
from workbench.report.runs import Confirmation, read, sealed
from workbench.report.trials import of_search
from workbench.tracker.stored_study import Strategy
from workbench.verdict import Evidence, Stage, Word, decide

ONE = {"role": "confirmation", "strategy": "adam-0", "number": 3}
ALL = {"role": "confirmation"}


def gather(found: Material) -> Evidence:
    trials = of_search(found.study, found.trials)
    return evidence.gather(found, trials, read(found))


def confirmation(**knobs: Any) -> Confirmation:
    found = read(three(**knobs))
    assert found is not None
    return found


def three(**knobs: Any) -> Material:
    return confirmed.material(**{"strategies": THREE, "scored": False, **knobs})


def doubts(found: Material, word: str | None = None) -> list[str]:
    return [doubt.text for doubt in gather(found).doubts if doubt.word == word]


def with_study(found: Material, **changes: Any) -> Material:
    return replace(found, study=replace(found.study, **changes))


def with_rows(found: Material, *rows: Mapping[str, Any]) -> Material:
    """The same with copies of one confirmation run, changed."""
    source = next(
        run for run in found.trials if all(getattr(run, name) == x for name, x in ONE.items())
    )
    return replace(found, trials=(*found.trials, *(replace(source, **item) for item in rows)))


# Arms


def test_a_search_gives_its_trials_and_no_test_value() -> None:
    found = gather(Material(study=describe(), trials=runs(realistic())))
    assert found.stage is Stage.SEARCH
    assert [len(arm.runs) for arm in found.arms] == [12] * 9
    assert found.design.metric == "validation/accuracy"
    assert found.doubts == ()


def test_a_finished_confirmation_gives_each_arm_in_the_order_of_the_protocols_seeds() -> None:
    found = three(scored=True)
    order = random.Random(3).sample(found.trials, len(found.trials))
    shuffled = replace(found, trials=tuple(order))
    assert gather(shuffled) == gather(found)
    made = gather(found)
    case = confirmed.Case(strategies=THREE)
    assert made.stage is Stage.CONFIRMATION
    assert made.design.seeds == tuple(case.seed_names)
    assert [arm.name for arm in made.arms] == [*THREE, "default"]
    for arm in made.arms:
        assert [run.seed for run in arm.runs] == case.seed_names
        for number, run in enumerate(arm.runs):
            scores = case.scored_runs[arm.name, number]
            assert run.scores == scores
            assert run.value == pytest.approx(sum(scores) / len(scores))
            assert run.run_id == confirmed.run_id(arm.name, number)
    assert [arm.baseline for arm in made.arms] == [False, False, False, True]
    assert [arm.budget for arm in made.arms] == [12, 12, 12, None]
    assert made.doubts == ()


def test_the_design_is_the_protocols() -> None:
    design = gather(three(smallest_effect=0.02)).design
    assert (design.metric, design.direction) == ("test/accuracy", "maximize")
    assert (design.smallest_effect, design.bounds) == (0.02, (0.0, 1.0))
    assert design.alpha == 0.05


def test_arms_of_a_joint_study_share_one_search_and_are_compared_with_the_default() -> None:
    found = gather(three(joint=True))
    assert found.design.contrast == "baseline"
    assert {arm.budget for arm in found.arms if not arm.baseline} == {36}


def test_a_strategy_that_is_the_default_one_is_the_baseline_itself() -> None:
    found = gather(three(default_is="sgd-0"))
    assert [arm.name for arm in found.arms] == [*THREE]
    assert [arm.baseline for arm in found.arms] == [True, False, False]


def test_a_diverged_run_stays_in_without_a_value() -> None:
    found = gather(three(diverged=[("adam-0", 3)]))
    (lost,) = [run for arm in found.arms for run in arm.runs if run.value is None]
    assert lost.state == "failed"


def test_a_confirmation_that_has_begun_is_no_evidence_until_all_runs_have_ended() -> None:
    for ended in (0, 5, 47):
        found = gather(three(ended=ended))
        assert found.stage is Stage.SEARCH
        assert found.design.metric == "validation/accuracy"
        text = f"{ended} of 48 runs have ended; test values are shown once all have ended."
        assert any(text in doubt.text for doubt in found.doubts if doubt.word == "EXPLORATORY")
    assert gather(three(ended=48)).stage is Stage.CONFIRMATION


def test_before_the_selection_has_ended_there_is_no_test_value_to_wait_for() -> None:
    found = with_study(three(ended=0), selection=None)
    (text,) = doubts(found, "EXPLORATORY")
    assert "selection has not ended" in text
    left = tuple(run for run in found.trials if run.role != "confirmation")
    found = replace(found, trials=left)
    made = read(found)
    assert made is not None
    assert (made.done, made.planned, made.finished) == (0, 48, False)


def test_no_test_value_survives_in_what_an_unfinished_report_is_written_from() -> None:
    found = sealed(three(ended=5, scored=True))
    assert found.scores == {}
    assert not any(run.test for run in found.trials)
    done = three(scored=True)
    assert sealed(done) is done


def test_a_protocol_without_what_a_verdict_needs_is_refused_by_name() -> None:
    found = three()
    protocol = {
        k: v for k, v in (found.study.protocol or {}).items() if k not in ("seeds", "metric")
    }
    with pytest.raises(ValueError, match=r"lacks metric, seeds.*`workbench confirm`"):
        gather(with_study(found, protocol=protocol))


def test_a_run_of_an_older_store_is_paired_by_the_number_of_its_seed() -> None:
    assert gather(changed(three(), ALL, seed="")) == gather(three())


# Doubts about the protocol


def test_a_protocol_that_was_edited_in_the_store_makes_it_exploratory() -> None:
    (text,) = doubts(three(edited=True), "EXPLORATORY")
    assert "protocol.json in MLflow was edited" in text


def test_a_protocol_that_was_edited_on_disk_makes_it_exploratory() -> None:
    found = three()
    logged = found.study.protocol_logged
    assert logged
    assert doubts(replace(found, protocol_on_disk=logged), "EXPLORATORY") == []
    (text,) = doubts(replace(found, protocol_on_disk="ab" * 32), "EXPLORATORY")
    assert "protocol.json on disk was edited" in text and logged[:12] in text


def test_runs_under_another_protocol_make_it_exploratory() -> None:
    (text,) = doubts(changed(three(), ONE, protocol="ab" * 32), "EXPLORATORY")
    assert text.startswith("1 confirmation run of 48 ")


def test_without_a_logged_hash_nothing_proves_that_the_protocol_came_first() -> None:
    (text,) = doubts(with_study(three(), protocol_logged=None), "EXPLORATORY")
    assert "may have been written later" in text


def test_runs_that_ended_without_a_hash_of_the_protocol_make_it_exploratory() -> None:
    (text,) = doubts(changed(three(), ONE, protocol=""), "EXPLORATORY")
    assert text.startswith("1 confirmation run of 48 ended without the hash of a protocol")
    assert "adam-0/003" in text
    blank = with_study(changed(three(), ALL, protocol=""), protocol_logged=None)
    assert len(doubts(blank, "EXPLORATORY")) == 2
    open_runs = changed(three(ended=5), {**ALL, "state": "parked"}, protocol="")
    assert not any("hash" in text for text in doubts(open_runs, "EXPLORATORY"))


def test_confirmation_runs_whose_protocol_is_gone_are_no_plain_search() -> None:
    found = with_study(three(scored=True), protocol=None, selection=None)
    made = gather(found)
    assert made.stage is Stage.SEARCH
    (text,) = doubts(found, "EXPLORATORY")
    assert text.startswith("There are 48 confirmation runs without a protocol")
    shut = sealed(found)
    assert shut.scores == {} and not any(run.test for run in shut.trials)


# Doubts about the runs


@pytest.mark.parametrize("seed", ["4711", None])
def test_runs_beyond_the_list_of_seeds_make_it_exploratory_by_rule_10(seed: str | None) -> None:
    extra: dict[str, Any] = {"number": 12, "run_id": "e" * 32}
    found = with_rows(three(), extra if seed is None else {**extra, "seed": seed})
    (doubt,) = gather(found).doubts
    assert (doubt.rule, doubt.word) == (10, "EXPLORATORY")
    assert "1 confirmation run beyond the 12 seeds" in doubt.text
    assert all(len(arm.runs) == 12 for arm in gather(found).arms)


def test_a_configuration_that_was_not_chosen_has_no_business_on_the_test_split() -> None:
    found = with_rows(three(), {"group": "lion-0", "strategy": "lion-0", "run_id": "e" * 32})
    (doubt,) = gather(found).doubts
    assert (doubt.rule, doubt.word) == (2, "EXPLORATORY")
    assert "lion-0/003" in doubt.text


def test_a_second_configuration_of_an_arm_that_was_tested_beyond_the_plan_is_refused() -> None:
    extra = {"number": 12, "seed": "4711", "run_id": "e" * 32}
    found = with_rows(three(), {**extra, "hyperparameters": {"learning_rate": 0.3}})
    (doubt,) = [doubt for doubt in gather(found).doubts if doubt.word == "NOT COMPARABLE"]
    assert doubt.rule == 2
    text = "adam-0 has test values of 2 configurations (adam-0/011 and adam-0/012), expected 1."
    assert doubt.text.startswith(text)


def test_a_run_of_another_configuration_than_the_chosen_one_is_not_comparable() -> None:
    found = changed(three(), ONE, hyperparameters={"learning_rate": 0.3})
    (doubt,) = gather(found).doubts
    assert (doubt.rule, doubt.word) == (2, "NOT COMPARABLE")
    assert "1 run of adam-0" in doubt.text


def test_a_search_that_went_on_after_the_protocol_makes_it_exploratory() -> None:
    found = three()
    later = replace(found, trials=(*found.trials, *runs([row("adam-0", 12, 0.9)])))
    (doubt,) = gather(later).doubts
    assert (doubt.rule, doubt.word) == (4, "EXPLORATORY")
    assert "adam-0 has 13, not 12" in doubt.text


def test_search_trials_that_are_gone_from_the_store_make_it_exploratory() -> None:
    found = three()
    lost = [f"adam-0/{number:03d}" for number in range(3)]
    left = tuple(run for run in found.trials if run.role != "search" or run.name not in lost)
    (doubt,) = gather(replace(found, trials=left)).doubts
    assert (doubt.rule, doubt.word) == (6, "EXPLORATORY")
    assert "no longer in MLflow: adam-0 has 9, not 12" in doubt.text


def test_a_strategy_that_was_added_after_the_protocol_makes_it_exploratory() -> None:
    found = three()
    later = replace(found, trials=(*found.trials, *runs([row("lion-0", 0, 0.9)])))
    assert doubts(later, "EXPLORATORY") == [], "a strategy that left the study long ago"
    named = (*found.study.strategies, Strategy(name="lion-0", levels={}))
    (text,) = doubts(with_study(later, strategies=named), "EXPLORATORY")
    assert "lion-0 was searched after the protocol was written" in text


@pytest.mark.parametrize("kind", CONDITIONS)
def test_mixed_conditions_are_flagged_by_rule_16_and_decide_nothing(kind: str) -> None:
    other = {**confirmed.PROVENANCE, kind: "another"}
    (doubt,) = gather(changed(three(), ONE, provenance=other)).doubts
    assert (doubt.rule, doubt.word) == (16, None)
    assert kind in doubt.text and "another (1)" in doubt.text


def test_other_data_than_the_protocols_are_not_comparable() -> None:
    (doubt,) = gather(changed(three(), ONE, data_digest="sha256:ffff")).doubts
    assert (doubt.rule, doubt.word) == (16, "NOT COMPARABLE")
    assert "2 versions of the data set" in doubt.text
    (doubt,) = gather(changed(three(), ALL, data_digest="sha256:ffff")).doubts
    assert doubt.word == "NOT COMPARABLE"
    assert "other data (ffff) than the protocol" in doubt.text


def test_a_strategy_that_could_not_be_confirmed_is_named_beside_the_verdict() -> None:
    found = three()
    lost = [{"strategy": "lion-0", "reason": "none of its 12 trials completed"}]
    protocol = {**(found.study.protocol or {}), "not_comparable": lost}
    evidence = gather(with_study(found, protocol=protocol))
    assert evidence.absent == {"lion-0": "none of its 12 trials completed"}
    verdict = decide(evidence)
    assert verdict.word == Word.GOOD_ENOUGH and verdict.comparisons, "the others are compared"
    assert "lion-0 (none of its 12 trials completed)" in verdict.headline
