"""A second look in the report: withheld until it has ended, then judged with the first one."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from tests.support import confirmed
from tests.support.confirmed import THREE, changed
from tests.support.pages import Page
from workbench import report
from workbench.report import Material, evidence, templates
from workbench.report.figures import FIGURES
from workbench.report.runs import read, sealed
from workbench.report.trials import of_search
from workbench.verdict import Evidence, Stage, Verdict, Word, decide

FIRST, FRESH = 8, 5
ARMS = len(THREE) + 1
SECOND = {"role": "confirmation", "number": FIRST}


def study(**knobs: Any) -> Material:
    given = {"strategies": THREE, "seeds": FIRST, "looks": 2, "fresh": FRESH, "gap": 0}
    return confirmed.material(**{**given, **knobs})


def gather(found: Material) -> Evidence:
    return evidence.gather(found, of_search(found.study, found.trials), read(found))


def verdict(found: Material) -> Verdict:
    return decide(gather(sealed(found)), draws=100)


def with_second(found: Material, **changes: Any) -> Material:
    second = found.study.second_look
    assert second is not None
    return replace(found, study=replace(found.study, second_look=replace(second, **changes)))


def test_once_it_has_ended_the_seeds_of_both_looks_are_judged_at_half_the_level() -> None:
    made = gather(study())
    case = confirmed.Case(strategies=THREE, seeds=FIRST, fresh=FRESH)
    assert made.design.seeds == tuple(case.seed_names)
    assert (made.design.alpha, made.design.looks) == (0.025, 2)
    assert made.design.seeds_by_look == (FIRST, FRESH)
    assert {len(arm.runs) for arm in made.arms} == {FIRST + FRESH}
    assert made.doubts == ()


@pytest.mark.parametrize("ended", [0, 1, ARMS * FRESH - 1])
def test_until_its_last_run_has_ended_the_verdict_is_that_of_the_first_look(ended: int) -> None:
    unfinished = verdict(study(ended=ARMS * FIRST + ended))
    # What is drawn for the first seeds does not depend on how many there are later.
    alone = verdict(without_second(study()))
    assert unfinished.word == alone.word and unfinished.headline == alone.headline
    assert [side.values for side in unfinished.sides] == [side.values for side in alone.sides]
    assert unfinished.seeds_by_look == (FIRST,)
    (flag,) = [flag.text for flag in unfinished.flags if "second look" in flag.text]
    assert f"{ended} of {ARMS * FRESH} runs have ended" in flag


def without_second(found: Material) -> Material:
    """As it was before the second look began."""
    trials = tuple(run for run in found.trials if run.role != "confirmation" or run.number < FIRST)
    return replace(found, trials=trials, study=replace(found.study, second_look=None))


def test_until_its_last_run_has_ended_no_test_value_of_it_is_in_the_material() -> None:
    shut = sealed(study(ended=ARMS * (FIRST + FRESH) - 1, scored=True))
    tested = {run.number for run in shut.trials if run.test}
    assert tested == set(range(FIRST))
    known = {run.run_id for run in shut.trials if run.role == "confirmation" and run.test}
    assert set(shut.scores) == known


@pytest.mark.parametrize("ended", [None, ARMS * FIRST + 1])
@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"sha256": "ab" * 32}, "protocol-2.json in MLflow was edited"),
        ({"logged": None}, "No SHA-256 of protocol-2.json was logged"),
    ],
)
def test_an_edited_protocol_of_the_second_look_makes_it_exploratory(
    ended: int | None, changes: dict[str, Any], said: str
) -> None:
    found = verdict(with_second(study(ended=ended), **changes))
    assert found.word == Word.EXPLORATORY
    assert any(said in reason.text for reason in found.reasons)


def test_it_is_compared_with_the_file_on_disk_as_well() -> None:
    found = study()
    second = found.study.second_look
    assert second is not None
    assert gather(replace(found, second_on_disk=second.logged)).doubts == ()
    edited = verdict(replace(found, second_on_disk="cd" * 32))
    assert edited.word == Word.EXPLORATORY
    assert "protocol-2.json on disk was edited" in edited.reasons[0].text


def test_a_second_look_of_another_protocol_makes_it_exploratory() -> None:
    found = study()
    second = found.study.second_look
    assert second is not None
    other = with_second(found, protocol={**second.protocol, "amends": "ef" * 32})
    assert verdict(other).word == Word.EXPLORATORY


def test_a_run_of_the_second_look_by_the_first_protocol_makes_it_exploratory() -> None:
    found = study()
    moved = changed(found, SECOND, protocol=found.study.protocol_logged)
    made = verdict(moved)
    assert made.word == Word.EXPLORATORY
    assert "used a different protocol-2.json" in made.reasons[0].text


def test_seeds_of_a_second_look_that_no_protocol_plans_make_it_exploratory_by_rule_10() -> None:
    made = verdict(study(looks=1))
    assert made.word == Word.EXPLORATORY
    assert {reason.rule for reason in made.reasons} == {10}


def test_a_damaged_protocol_of_the_second_look_is_named() -> None:
    with pytest.raises(ValueError, match=r"protocol-2\.json has no seeds"):
        read(with_second(study(), protocol={"amends": "x"}))


def test_methods_and_report_json_say_how_many_seeds_came_in_each_look() -> None:
    summary = report.compose(study()).summary.content
    assert summary["confirmation"]["seeds_by_look"] == [FIRST, FRESH]
    assert (summary["confirmation"]["looks"], summary["confirmation"]["n"]) == (2, FIRST + FRESH)
    said = "This is the second of two planned looks (8 seeds, then 5 more), each tested at 2.5 %"
    page = words_of(page_of(summary))
    methods = templates.methods(summary)
    for text in (page, templates.markdown(summary), methods):
        assert said in " ".join(text.split())
    second = summary["confirmation"]["protocol_2_sha256"]
    assert second[:16] in methods and second in templates.reproducibility(summary)


def page_of(summary: dict[str, Any]) -> str:
    return templates.html(summary, dict.fromkeys(FIGURES, ""))


def words_of(page: str) -> str:
    return " ".join("".join(Page(page).text).split())


@pytest.mark.parametrize("effect", [0.001, 0.5])
def test_the_page_names_the_command_of_the_look_that_is_left(effect: float) -> None:
    summary = report.compose(without_second(study(smallest_effect=effect))).summary.content
    fresh = summary["verdict"]["fresh"]
    assert summary["verdict"]["word"] in ("GOOD ENOUGH", "NARROWED", "INCONCLUSIVE")
    command = f"workbench confirm digits --fresh {fresh}"
    page = words_of(page_of(summary))
    for text in (page, templates.markdown(summary), templates.note(summary)):
        assert command in text
    done = report.compose(study(smallest_effect=effect)).summary.content
    assert "--fresh" not in page_of(done)
    assert gather(study(ended=ARMS * FIRST)).stage is Stage.CONFIRMATION
