"""The report of a confirmed study: verdict first, every number from report.json, no early look."""

from __future__ import annotations

import json
import math
import random
import re
from collections.abc import Iterator, Mapping
from dataclasses import asdict, replace
from functools import cache
from pathlib import Path
from statistics import fmean
from typing import Any

import pandas as pd
import pytest

from tests.support import confirmed
from tests.support.confirmed import THREE, changed
from tests.support.pages import FORBIDDEN, Page, files
from tests.support.searched import HOSTILE, respelled
from workbench import report
from workbench.messages import counted
from workbench.record import State
from workbench.report import Material, methods, templates, wording, writing
from workbench.report.figures import FIGURES, Findings, forest
from workbench.report.paper import files as paper
from workbench.report.results import Row
from workbench.report.writing import CONTENTS
from workbench.tracker.stored_study import CitedValue, Range, StoredStudy, read
from workbench.verdict import Doubt, Verdict, Word
from workbench.verdict.wording import numbers

TEXTS = (".html", ".md", ".tex", ".json", ".csv", ".bib")
CITED = CitedValue(name="LeNet-5", value=0.9905, sd=0.001, n=5, source="LeCun et al. 1998")
SENTINEL = 0.31415926535


def three(**knobs: Any) -> Material:
    return confirmed.material(**{"strategies": THREE, "seeds": 10, "scored": False, **knobs})


@cache
def _verdict() -> Verdict:
    return report.compose(without_search(three())).summary.verdict


def verdict(**changes: Any) -> Verdict:
    """That of three strategies and the default, with some fields changed."""
    return replace(_verdict(), **changes)


def with_study(found: Material, **changes: Any) -> Material:
    return replace(found, study=replace(found.study, **changes))


def with_protocol(found: Material, **changes: Any) -> Material:
    return with_study(found, protocol={**(found.study.protocol or {}), **changes})


def page_of(summary: Mapping[str, Any]) -> str:
    return templates.html(summary, dict.fromkeys(FIGURES, ""))


def numbers_in(value: Any) -> Iterator[float]:
    """Every number of a JSON value, and every one in its keys and texts."""
    if isinstance(value, Mapping):
        for key, item in value.items():
            yield from numbers_in(key)
            yield from numbers_in(item)
    elif isinstance(value, list):
        for item in value:
            yield from numbers_in(item)
    elif isinstance(value, str):
        yield from map(float, re.findall(r"\d+(?:\.\d+)?", value))
    elif value is not None and not isinstance(value, bool):
        yield float(value)


def planted() -> Material:
    """A planted gap, per-example scores and a cited value."""
    return with_study(three(gap=3, scored=True), cited=(CITED,))


def without_search(found: Material) -> Material:
    """The same as if nothing was searched: figures of the search take their time."""
    planned = [{**item, "trials": 0} for item in (found.study.protocol or {})["strategies"]]
    found = with_protocol(found, strategies=planned)
    trials = tuple(run for run in found.trials if run.role != "search")
    return replace(found, trials=trials)


@pytest.fixture(scope="module")
def summary() -> dict[str, Any]:
    return report.compose(planted()).summary.content


@pytest.fixture(scope="module")
def page(summary: dict[str, Any]) -> str:
    return page_of(summary)


# The verdict


@pytest.mark.parametrize(
    ("knobs", "word"),
    [
        ({"gap": 3}, "WINNER"),
        ({"gap": 0, "smallest_effect": 0.05}, "GOOD ENOUGH"),
        ({"gap": 1, "smallest_effect": 0.001}, "NARROWED"),
        ({"gap": 0.3, "smallest_effect": 0.001}, "INCONCLUSIVE"),
        ({"gap": 3, "seeds": 5}, "UNDERPOWERED BY DESIGN"),
        ({"edited": True}, "EXPLORATORY"),
        ({"ended": 5}, "EXPLORATORY"),
    ],
)
def test_the_word_of_the_verdict_is_the_first_thing_on_every_page(
    knobs: dict[str, Any], word: str
) -> None:
    summary = report.compose(three(**knobs)).summary.content
    assert summary["verdict"]["word"] == word
    page = page_of(summary)
    assert f"<title>digits ({word})</title>" in page
    assert page.index(f'<p class="word">{word}</p>') < page.index("<table")
    assert f"> **{word}.**" in templates.markdown(summary).partition("|")[0]
    assert f"**{word}**" in templates.note(summary)


def test_that_another_study_tested_the_same_samples_is_a_flag_of_the_report() -> None:
    said = "The study first has tested the same test samples."
    summary = report.compose(replace(three(gap=3), tested_by_others=(said,))).summary.content
    assert [flag["text"] for flag in summary["verdict"]["flags"] if flag["text"] == said]
    assert said in page_of(summary) and said in templates.markdown(summary)


def test_identical_strategies_have_no_winner_in_the_report() -> None:
    for seed in range(4):
        summary = report.compose(three(gap=0, seed=seed)).summary.content
        assert summary["verdict"]["word"] in ("GOOD ENOUGH", "NARROWED", "INCONCLUSIVE")


def test_a_mixed_data_set_is_not_comparable_and_nothing_is_emphasised() -> None:
    one = {"role": "confirmation", "strategy": "adam-0", "number": 3}
    summary = report.compose(changed(three(gap=3), one, data_digest="sha256:ffff")).summary.content
    assert summary["verdict"]["word"] == "NOT COMPARABLE"
    assert summary["emphasis"] is None
    arms = summary["confirmation"]["arms"]
    assert not any(arm["best"] or arm["may_be_best"] for arm in arms)
    assert [arm["name"] for arm in arms] == [*THREE, "default"], "in no order of merit"
    page = page_of(summary)
    assert 'class="plain best"' not in page and 'class="plain candidate"' not in page
    assert "rule 16" in page


def test_claim_reasons_and_what_would_be_needed_are_on_every_page() -> None:
    summary = report.compose(three(gap=0, smallest_effect=0.001)).summary.content
    verdict = summary["verdict"]
    text = " ".join("".join(Page(page_of(summary)).text).split())
    marked = templates.markdown(summary).replace("\\", "")
    plan, reasons = verdict["plan"], [d["text"] for d in verdict["reasons"]]
    assert len(reasons) > 1 and plan
    for said in (verdict["claim"], verdict["headline"], *reasons):
        assert said in text
        assert said in marked
    assert f"Needed for a conclusion. {verdict['needed']}" in text
    for found in (marked, templates.note(summary).replace("\\", "")):
        assert f"Needed for a conclusion: {verdict['needed']}" in found
        assert found.count(verdict["needed"]) == 1
    assert "this configuration" in text


@pytest.mark.parametrize("knobs", [{"edited": True}, {"ended": 7}])
def test_an_exploratory_report_of_a_confirmed_study_has_none_of_a_winners_words(
    knobs: dict[str, Any],
) -> None:
    summary = report.compose(three(**knobs)).summary.content
    texts = [json.dumps(summary), page_of(summary), templates.markdown(summary)]
    for text in (*texts, templates.note(summary), templates.methods(summary)):
        assert [word for word in FORBIDDEN if word in text.lower()] == []


# No look before the end


def test_an_unfinished_confirmation_shows_no_test_value_in_any_file(tmp_path: Path) -> None:
    found = three(ended=17, scored=True)
    told = {"test/accuracy": SENTINEL, "test/f1": SENTINEL}
    found = changed(found, {"role": "confirmation"}, test=told)
    found = replace(found, scores={run_id: [SENTINEL] * 496 for run_id in found.scores})
    writing.write(report.compose(without_search(found)), tmp_path / "digits")
    summary = json.loads((tmp_path / "digits/report.json").read_text())
    assert (summary["confirmation"]["done"], summary["confirmation"]["planned"]) == (17, 40)
    assert all(arm["mean"] is None for arm in summary["confirmation"]["arms"])
    shown = {entry["name"] for entry in summary["figures"]}
    assert not shown & {"forest", "confirmed", "cost_quality"}
    for path in (tmp_path / "digits").rglob("*"):
        if path.suffix in TEXTS:
            assert not re.search(r"0\.3141?[56]?", path.read_text().partition("<svg")[0]), path.name
        if path.suffix == ".parquet":
            assert "0.314" not in pd.read_parquet(path).to_csv(), path.name
    page = (tmp_path / "digits/index.html").read_text()
    assert "17 of 40 runs have ended; test values are shown once all have ended" in page
    assert "17 of 40 runs" in templates.note(summary)


def test_the_note_says_how_far_a_selection_is() -> None:
    found = with_study(three(ended=0), selection=None)
    summary = report.compose(found).summary.content
    assert "the selection has not ended" in templates.note(summary)
    assert "there is no test value yet" in page_of(summary)


# Numbers


def test_every_number_of_the_page_stands_in_report_json(page: str, summary: dict[str, Any]) -> None:
    known = {*numbers_in(summary)}
    looked_at = 0
    for tag, attributes in Page(page).elements:
        cells = [attributes.get("data-value")] if tag in ("td", "th") else []
        titles = re.findall(r"-?\d+\.\d{5,}(?:e-?\d+)?", attributes.get("title") or "")
        for text in (*cells, *(titles if tag in ("td", "a", "small", "span") else ())):
            try:
                value = float(text or "")
            except ValueError:
                continue
            assert value in known or abs(value) in known, (tag, attributes)
            looked_at += 1
    assert looked_at > 300


def test_the_main_table_shows_each_configuration_as_report_json_has_it(
    page: str, summary: dict[str, Any]
) -> None:
    table = page[page.index('class="sortable main"') :]
    rows = re.findall(r"<tr><th scope=\"row\">.*?</tr>", table, flags=re.DOTALL)[:4]
    arms = summary["confirmation"]["arms"]
    assert [arm["name"] for arm in arms] == ["adamw-0", *(a["name"] for a in arms[1:])]
    for row, arm in zip(rows, arms, strict=True):
        assert f'<th scope="row">{arm["name"]}' in row
        assert f">{templates.number(arm['mean'])}</a>" in row
        assert f"± {templates.number(arm['sd'])}" in row
        assert f">{templates.interval(arm['low'], arm['high'])}<" in row
        assert templates.signed(arm["validation_gap"]) in row
        if arm["versus"]:
            assert templates.signed(arm["versus"]["difference"]) in row
            ahead = numbers.ahead_on(arm["versus"]["leads"]).replace(", ", ",\n")
            assert f">{ahead}</td>" in row
            beyond = arm["versus"]["beyond"]
            assert f">{templates.interval(beyond['low'], beyond['high'])}<" in row
        assert f">{templates.bare_p(arm['p_best'])}</td>" in row
        assert f">{templates.number(arm['behind'])}</td>" in row


def test_means_and_intervals_are_those_of_the_runs(summary: dict[str, Any]) -> None:
    case = confirmed.Case(strategies=THREE, seeds=10, gap=3)
    for arm in summary["confirmation"]["arms"]:
        values = [math.fsum(case.scored_runs[arm["name"], n]) / confirmed.TEST for n in range(10)]
        series = pd.Series(values)
        assert [run["value"] for run in arm["runs"]] == pytest.approx(values)
        assert arm["mean"] == pytest.approx(series.mean())
        assert arm["sd"] == pytest.approx(series.std())
        half = 2.2621571627982 * series.std() / 10**0.5  # Student's t, 9 degrees of freedom
        assert arm["low"] == pytest.approx(series.mean() - half)
        assert arm["high"] == pytest.approx(series.mean() + half)
        validation = [run["validation"] for run in arm["runs"]]
        gap = math.fsum(v - t for v, t in zip(validation, values, strict=True)) / 10
        assert arm["validation_gap"] == pytest.approx(gap)


@pytest.mark.parametrize("direction", ["maximize", "minimize"])
def test_a_difference_is_this_mean_minus_the_best_one_whatever_the_direction(
    direction: str,
) -> None:
    made = report.compose(with_protocol(three(), direction=direction)).summary
    arms = made.content["confirmation"]["arms"]
    means = [arm["mean"] for arm in arms]
    assert means == sorted(means, reverse=direction == "maximize")
    shown = forest.summarize(
        Findings(
            study=StoredStudy(),
            trials=(),
            confirmation=made.confirmation,
            verdict=made.verdict,
        )
    )
    assert {row.name: row.comparison.difference.estimate for row in shown.rows} == pytest.approx(
        {arm["name"]: arm["versus"]["difference"] for arm in arms[1:]}
    ), "figure and table have one sign"
    assert arms[0]["best"] and arms[0]["versus"] is None
    for arm in arms[1:]:
        versus = arm["versus"]
        assert versus["name"] == arms[0]["name"]
        assert versus["difference"] == pytest.approx(arm["mean"] - means[0])
        assert versus["low"] < versus["difference"] < versus["high"]
        assert math.fsum(versus["leads"]) / 10 == pytest.approx(-abs(versus["difference"]))


def test_a_joint_studys_finalists_are_compared_with_the_default() -> None:
    arms = report.compose(three(joint=True, gap=3)).summary.content["confirmation"]["arms"]
    versus = {arm["name"]: arm["versus"] for arm in arms}
    assert versus.pop("default") is None
    assert {item["name"] for item in versus.values()} == {"default"}
    base = next(arm for arm in arms if arm["name"] == "default")
    for arm in arms[:1]:
        assert versus[arm["name"]]["difference"] == pytest.approx(arm["mean"] - base["mean"])
        assert versus[arm["name"]]["difference"] > 0
    assert all(arm["search_seconds"] is None for arm in arms), "one search has no shares"


def test_levels_of_a_factor_are_compared_and_arms_are_only_shown() -> None:
    found = confirmed.material(contrast="optimizer", seeds=8, scored=False)
    summary = report.compose(found).summary.content
    assert {side["name"] for side in summary["verdict"]["sides"]} == {"sgd", "adam", "adamw"}
    arms = summary["confirmation"]["arms"]
    assert len(arms) == 10 and all(arm["versus"] is None for arm in arms)
    assert sum(arm["best"] for arm in arms) == 1
    assert summary["emphasis"].endswith(
        "good. Levels of optimizer were compared, not single configurations."
    )
    levels = summary["confirmation"]["levels"]
    assert [level["name"] for level in levels if level["versus"]] != [] != summary["columns"]
    page = page_of(summary)
    assert page.count("difference from") == 1
    for side in summary["verdict"]["sides"]:
        cell = f">{templates.number(side['mean']['estimate'])} <small"
        assert re.search(rf'<th scope="row">{side["name"]}</th>.*{re.escape(cell)}', page)
    assert page.count("<td>sgd</td>") + page.count('<th scope="row">sgd</th>') >= 2
    assert "Levels of optimizer were compared" in page


def test_bold_and_underline_follow_the_verdict_and_the_rule_is_stated_beside_them() -> None:
    summary = report.compose(three(gap=0, smallest_effect=0.05)).summary.content
    arms = summary["confirmation"]["arms"]
    assert [arm["best"] for arm in arms] == [True, False, False, False]
    _, *others = summary["verdict"]["candidates"]
    assert others and [arm["name"] for arm in arms if arm["may_be_best"]] == others
    assert summary["emphasis"] == (
        "Bold: best mean; chosen for being the best, it is on average a little too good."
        " Underlined: may be the best as well (in the 95 % confidence set of the best)."
    )
    page = page_of(summary)
    assert page.count('class="plain best"') == 1
    assert page.count('class="plain candidate"') == sum(arm["may_be_best"] for arm in arms)
    assert summary["emphasis"] in page
    text = templates.markdown(summary)
    assert f"| **{templates.number(arms[0]['mean'])}** ±" in text
    assert "Italics, underlined elsewhere: may be the best" in text


def test_a_diverged_run_counts_with_the_worst_value_and_is_marked() -> None:
    summary = report.compose(three(diverged=[("adam-0", 3)])).summary.content
    content = summary["confirmation"]
    (arm,) = [arm for arm in content["arms"] if arm["failed"]]
    (run,) = [run for run in arm["runs"] if run["imputed"]]
    assert (run["value"], run["counted"], run["state"]) == (None, 0.0, "failed")
    assert arm["n"] == 10 and content["imputed"] == 1
    counted = [item["counted"] for item in arm["runs"]]
    assert arm["mean"] == pytest.approx(math.fsum(counted) / 10)
    side = next(s for s in summary["verdict"]["sides"] if s["name"] == "adam-0")
    assert side["values"] == counted, "the verdict counts it the same"
    page = page_of(summary)
    assert "0.0000<sup>†</sup>" in page
    assert "1 run diverged or failed and counts with the worst value" in page
    (check,) = [c for c in summary["health"] if c["name"] == "confirmation failures"]
    assert check["status"] == "warning" and check["runs"] == [run["run_id"]]


@pytest.mark.parametrize(
    ("contrast", "cells", "said"),
    [
        ("all", {"state": State.PRUNED, "test": {}}, "1 run was pruned against the protocol"),
        ("optimizer", {"state": State.PRUNED, "test": {}}, "1 run was pruned against the protocol"),
        ("all", {"test": {}}, "No run of the confirmation was pruned."),
    ],
)
def test_a_run_that_the_verdict_gives_no_value_gets_none_in_any_table(
    contrast: str, cells: dict[str, Any], said: str
) -> None:
    one = {"role": "confirmation", "strategy": "adam-0", "number": 3}
    found = changed(without_search(three(contrast=contrast)), one, **cells)
    summary = report.compose(found).summary.content
    assert summary["verdict"]["word"] == "NOT COMPARABLE"
    content = summary["confirmation"]
    arm = next(arm for arm in content["arms"] if arm["name"] == "adam-0")
    assert [arm[key] for key in ("mean", "sd", "low", "high")] == [None] * 4
    assert (arm["runs"][3]["counted"], arm["runs"][3]["imputed"]) == (None, False)
    assert (arm["n"], arm["failed"], content["imputed"]) == (9, 0, 0)
    assert content["pruned"] == (cells.get("state") == "pruned")
    for other in content["arms"]:
        if other is not arm:
            values = [run["value"] for run in other["runs"]]
            assert other["mean"] == pytest.approx(math.fsum(values) / 10)
    assert said in templates.methods(summary)
    assert "worst value" not in page_of(summary)


def test_every_arm_counts_as_the_verdict_counts_it() -> None:
    summary = report.compose(without_search(three(diverged=[("adam-0", 3)]))).summary.content
    sides = {side["name"]: side for side in summary["verdict"]["sides"]}
    for arm in summary["confirmation"]["arms"]:
        side = sides[arm["name"]]
        own = {"estimate": arm["mean"], "low": arm["low"], "high": arm["high"]}
        assert own == {key: side["mean"][key] for key in own}
        assert (arm["sd"], arm["n"]) == (side["sd"], side["n"])
        assert [run["counted"] for run in arm["runs"]] == side["values"]


def test_where_only_the_baseline_is_compared_nothing_is_underlined() -> None:
    summary = report.compose(three(joint=True, gap=0, smallest_effect=0.05)).summary.content
    content = summary["confirmation"]
    assert sum(arm["best"] for arm in content["arms"]) == 1
    assert not any(arm["may_be_best"] for arm in content["arms"])
    assert summary["emphasis"].endswith("good. Only comparisons with the baseline were made.")
    page = page_of(summary)
    assert (
        "Underlined" not in page and "at most behind" not in page and "decide nothing" not in page
    )
    text = templates.methods(summary)
    assert "corrected over 3 comparisons [Holm 1979]" in text and "intersection" not in text


def test_confirmation_runs_without_a_protocol_are_told_and_show_no_test_value(
    tmp_path: Path,
) -> None:
    found = changed(three(), {"role": "confirmation"}, test={"test/accuracy": SENTINEL})
    found = without_search(replace(found, scores={"x": [SENTINEL]}))
    gone = dict.fromkeys(("protocol", "protocol_sha256", "protocol_logged", "selection"))
    writing.write(report.compose(with_study(found, **gone)), tmp_path / "digits")
    summary = json.loads((tmp_path / "digits/report.json").read_text())
    assert summary["verdict"]["word"] == "EXPLORATORY"
    text = "There are 40 confirmation runs without a protocol"
    assert summary["verdict"]["reasons"][0]["text"].startswith(text)
    assert "the test split was not loaded" not in json.dumps(summary)
    assert text in (tmp_path / "digits/index.html").read_text()
    for path in (tmp_path / "digits").rglob("*"):
        if path.suffix in TEXTS:
            assert not re.search(r"0\.3141?[56]?", path.read_text().partition("<svg")[0]), path.name


def test_a_number_of_strategies_is_written_with_its_plural() -> None:
    assert counted(2, "strategy") == "2 strategies"
    assert [counted(2, noun) for noun in ("class", "day", "run")] == [
        *("2 classes", "2 days", "2 runs")
    ]
    text = templates.methods(report.compose(without_search(three(joint=True))).summary.content)
    assert "At most 3 strategies advanced as finalists." in text


def test_an_interval_ends_at_the_metrics_bounds() -> None:
    own = {"role": "confirmation", "strategy": "adamw-0"}
    found = changed(three(gap=0), own, test={"test/accuracy": 1.0})
    found = changed(found, {**own, "number": 3}, test={"test/accuracy": 0.9})
    arms = report.compose(found).summary.content["confirmation"]["arms"]
    # The t interval of nine ones and 0.9 would reach 1.013.
    assert arms[0]["mean"] == pytest.approx(0.99)
    assert arms[0]["high"] == 1.0 and arms[0]["low"] == pytest.approx(0.967378, abs=1e-6)


# Runs, costs, validity


def test_every_value_stands_beside_its_run(page: str, summary: dict[str, Any]) -> None:
    text = templates.markdown(summary)
    for arm in summary["confirmation"]["arms"]:
        for run in arm["runs"]:
            shown = templates.number(run["value"])
            assert re.search(rf">{shown} <a[^>]*><code title=\"{run['run_id']}\">", page)
            assert f"{shown} ({run['run_id']})" in text
    for row in summary["confirmation"]["selection"]:
        assert len(row["run_ids"]) == 3
        for run_id, value in zip(row["run_ids"], row["values"], strict=True):
            assert re.search(rf"{templates.number(value)} <a[^>]*><code title=\"{run_id}\">", page)


def test_runs_are_linked_where_a_server_can_show_them() -> None:
    found = with_study(three(), tracking_uri="https://mlflow.example.org")
    summary = report.compose(found).summary.content
    links = [a.get("href") for tag, a in Page(page_of(summary)).elements if tag == "a"]
    for arm in summary["confirmation"]["arms"]:
        for run in arm["runs"]:
            assert f"https://mlflow.example.org/#/experiments/1/runs/{run['run_id']}" in links


def test_every_mean_leads_to_its_runs(page: str) -> None:
    elements = Page(page).elements
    targets = {a.get("id") for _, a in elements if a.get("id")}
    inner = [a["href"] for tag, a in elements if tag == "a" and a.get("href")]
    assert len([href for href in inner if str(href).startswith("#runs-")]) == 4
    assert {str(href)[1:] for href in inner if str(href).startswith("#")} <= targets


def test_a_caution_says_what_was_found_whole() -> None:
    text = "protocol.json: seeds: 7, not 0.5 more. It was edited later."
    reason = Doubt(rule=None, word=Word.NOT_COMPARABLE, text=text)
    told = wording.caution(verdict(word=Word.NOT_COMPARABLE, reasons=[reason]))
    assert told is not None and "protocol.json: seeds: 7, not 0.5 more. The numbers" in told
    reason = replace(reason, found="the file of adam-0: 3 runs")
    told = wording.caution(verdict(word=Word.NOT_COMPARABLE, reasons=[reason]))
    assert told is not None and ": the file of adam-0: 3 runs. The numbers" in told


def test_levels_that_were_compared_are_told_from_single_rows_in_the_plural() -> None:
    best = Row(name="a", baseline=False, best=True)
    told = wording.emphasis(verdict(contrast="optimizer"), [best], "strategy")
    assert told is not None and told.endswith("not single strategies.")


def test_what_a_run_costs_is_the_mean_of_those_that_completed() -> None:
    made = confirmed.material(strategies=THREE, seeds=10, gap=3)
    arm = {"role": "confirmation", "strategy": "adam-0"}
    failed = {"state": State.FAILED, "seconds": 0.0, "value": None, "test": {}}

    def seconds_of(found: Material) -> Any:
        arms = report.compose(found).summary.content["confirmation"]["arms"]
        return next(item["seconds_mean"] for item in arms if item["name"] == "adam-0")

    tested = [run for run in made.trials if (run.role, run.group) == ("confirmation", "adam-0")]
    others = [run.seconds or 0.0 for run in tested if run.number > 0]
    assert len(others) == 9
    one = changed(made, {**arm, "number": 0}, **failed)
    assert seconds_of(one) == pytest.approx(fmean(others))
    assert seconds_of(changed(made, arm, **failed)) is None


def test_costs_are_those_of_the_runs(summary: dict[str, Any]) -> None:
    case = confirmed.Case(strategies=THREE, seeds=10, gap=3)
    content = summary["confirmation"]
    rows = confirmed.rows(case)

    def seconds(role: str, *strategies: str) -> list[float]:
        named = strategies or ("default", *THREE)
        return [row["seconds"] for row in rows if row["role"] == role and row["strategy"] in named]

    for role in ("search", "selection", "confirmation"):
        assert content["cost"][f"{role}_seconds"] == pytest.approx(sum(seconds(role)))
    arm = next(arm for arm in content["arms"] if arm["name"] == "adam-0")
    assert arm["search_seconds"] == pytest.approx(sum(seconds("search", "adam-0")))
    assert arm["seconds_mean"] == pytest.approx(fmean(seconds("confirmation", "adam-0")))
    assert (arm["trainable"], arm["peak_memory"]) == (66_000, 3e8 + 9e6)
    assert arm["trial"] == case.chosen["adam-0"]["trial"]
    default = next(arm for arm in content["arms"] if arm["name"] == "default")
    assert default["search_seconds"] is None and default["selection_seconds"] is None
    costs = page_of(summary).partition('id="costs"')[2].partition("</table>")[0]
    (row,) = re.findall(r'<tr><th scope="row">default</th>.*', costs)
    assert row.count(">none</td>") == 2 and "0.0 s" not in row


def test_the_validity_panel_answers_for_the_confirmation() -> None:
    checks = {c["name"]: c for c in report.compose(three(gap=3)).summary.content["health"]}
    for name in ("protocol", "conditions", "confirmation failures"):
        assert checks[name]["status"] == "ok", name
    assert "adam-0 +0.0" in checks["validation to test"]["finding"]
    assert checks["selection"]["status"] == "note"
    one = {"role": "confirmation", "strategy": "adam-0", "number": 3}
    other = {**confirmed.PROVENANCE, "commit": "0ddba11"}
    edited = report.compose(changed(three(edited=True), one, provenance=other)).summary.content
    checks = {c["name"]: c for c in edited["health"]}
    assert checks["protocol"]["status"] == checks["conditions"]["status"] == "warning"
    assert "0ddba11" in checks["conditions"]["finding"]
    open_ = {c["name"]: c for c in report.compose(three(ended=5)).summary.content["health"]}
    assert open_["validation to test"]["status"] == "not checked"


def test_a_confirmed_configuration_at_a_bound_is_a_warning() -> None:
    found = three()
    tune = (Range(knob="learning_rate", low=1e-4, high=1e-2, log=True, default=1e-3),)
    checks = {
        c["name"]: c for c in report.compose(with_study(found, tune=tune)).summary.content["health"]
    }
    assert checks["confirmed bounds"]["status"] == "warning"
    assert (
        "default: learning rate = 0.01, upper bound 0.01" in checks["confirmed bounds"]["finding"]
    )


def test_cited_values_are_shown_as_cited_and_no_verdict_is_about_them(
    page: str, summary: dict[str, Any]
) -> None:
    assert summary["cited"] == [asdict(CITED)]
    for text in (page, templates.markdown(summary)):
        assert "LeNet-5" in text and "LeCun et al. 1998" in text
        assert "the verdict does not include them" in text
    assert "LeNet" not in json.dumps(summary["verdict"]) + json.dumps(summary["confirmation"])


# Words


def test_methods_name_selection_seeds_tests_and_their_sources(summary: dict[str, Any]) -> None:
    text = templates.methods(summary)
    first, second = text.strip().split("\n\n")
    assert first.startswith("The study covers 3 strategies")
    verdict = summary["verdict"]
    nearest = next(
        pair
        for pair in verdict["comparisons"]
        if {pair["first"], pair["second"]} == {verdict["leader"], verdict["closest"]}
    )
    for said in (
        "The 3 best configurations of each strategy by validation accuracy were trained again with"
        " 3 fresh seeds",
        "Each of these 4 configurations was trained with the same 10 seeds.",
        "the 496 test samples are the same for all",
        "were kept and evaluated once on the test split.",
        "at alpha = 0.05",
        "wins if the exact sign-flip permutation test of the paired differences [Fisher 1935;"
        " Pitman 1937] rejects against every other one",
        "[Berger 1982; Gutmann and Maymin 1987; Hung and Fithian 2019]",
        "multiple comparisons with the best [Edwards and Hsu 1983]",
        "flipping the signs of whole seeds, the same for all [Westfall and Young 1993].",
        "fixed in advance as 0.01",
        "secondary and decide nothing: their p values were corrected over 6 pairs [Holm 1979]",
        "two one-sided tests of equivalence [Schuirmann 1987]",
        "A bootstrap over seeds and test examples together [Owen 2007] gives the difference between"
        f" {nearest['first']} and {nearest['second']} a 95 % interval from"
        f" {templates.reach(nearest['beyond']['low'], nearest['beyond']['high'])}.",
    ):
        assert said in second, said
    assert summary["confirmation"]["protocol_sha256"][:16] in second
    bare = report.compose(with_protocol(three(), epoch=None, selection={})).summary.content
    assert "The TODO best configurations" in templates.methods(bare)


@pytest.mark.parametrize(
    ("seeds", "said"),
    [
        (15, "exact sign-flip permutation test"),
        (16, "sign-flip permutation test with 20,000 random draws"),
    ],
)
def test_every_text_says_how_the_test_was_made(seeds: int, said: str) -> None:
    made = report.compose(without_search(three(seeds=seeds))).summary
    summary, tables = made.content, paper.files(made, venue="neurips")
    texts = [page_of(summary), templates.markdown(summary), templates.methods(summary)]
    texts += [tables["tables/confirmation.tex"], tables["tables/pairwise.tex"]]
    for text in texts:
        assert said in text
        assert seeds == 15 or not re.search(r"\bexact (sign|and)|is exact", text)
    bibliography = tables["references.bib"]
    assert ("phipson2010" in bibliography) == (seeds == 16) and "berger1982" in bibliography


def test_more_draws_are_told_where_more_pairs_were_compared() -> None:
    pairs = [replace(pair, n=16) for pair in verdict().comparisons]
    found = wording.primary_test(verdict(comparisons=pairs, pairs=501))
    assert found == "sign-flip permutation test with 20,040 random draws"


def test_every_part_of_a_report_on_a_changed_protocol_says_that_it_is_descriptive() -> None:
    made = report.compose(three(gap=3, edited=True)).summary
    said = "because the protocol was changed or not kept"
    summary, files = made.content, paper.files(made, venue="neurips")
    assert said in summary["caution"] and summary["caution"].endswith("are descriptive only.")
    for text in (page_of(summary), templates.markdown(summary), templates.note(summary)):
        assert summary["caution"] in text.replace("\\", "")
    for name in ("tables/confirmation.tex", "captions.tex", "checklist.md"):
        assert said in files[name], name
    methods = templates.methods(summary)
    assert "because its protocol was changed or not kept" in methods
    assert "Before the confirmation began" not in methods and "The claim is" not in methods
    captions = {f["name"]: f["caption"] for f in summary["figures"] if f["of"] == "confirmation"}
    assert captions and all(text.endswith(summary["caution"]) for text in captions.values())
    assert "claim level" not in files["example.tex"]


def test_what_decides_a_verdict_stands_first_and_excluded_rivals_last() -> None:
    def reasons(*pairs: tuple[str, str]) -> list[Doubt]:
        return [Doubt(rule=None, word=None, text=text, rival=rival) for text, rival in pairs]

    open_ = reasons(("b stays open.", "b"), ("a beats c.", "c"), ("d stays open.", "d"))
    made = verdict(word=Word.INCONCLUSIVE, closest="b", excluded=("c",), reasons=open_)
    found = wording.why(made)
    assert [doubt.text[0] for doubt in found.first] == ["b", "d"]
    assert [doubt.text for doubt in found.excluded] == ["a beats c."]
    won = reasons(("a beats b.", "b"), ("The gap.", ""), ("a beats c.", "c"))
    found = wording.why(replace(made, word=Word.WINNER, excluded=("b", "c"), reasons=won))
    assert [doubt.text for doubt in found.first] == ["a beats b.", "The gap."]
    assert [doubt.text for doubt in found.excluded] == ["a beats c."]


def test_many_excluded_rivals_are_folded_on_the_page(summary: dict[str, Any]) -> None:
    excluded: list[dict[str, Any]] = [
        {"text": f"sgd beats s{n} (p).", "rule": None} for n in range(6)
    ]
    first = summary["why"]["first"]
    few, many = (
        page_of({**summary, "why": {"first": first, "excluded": excluded[:n]}}) for n in (5, 6)
    )
    assert "6 other rivals are not the single best</summary>" in many
    assert "rivals are not the single best" not in few
    assert all(reason["text"] in many for reason in excluded)


def test_a_strategy_that_could_not_be_confirmed_has_a_row_without_numbers() -> None:
    found = three(gap=3)
    reason = "none of its 12 trials completed"
    found = with_protocol(found, not_comparable=[{"strategy": "lion-0", "reason": f"{reason}."}])
    made = report.compose(without_search(found)).summary
    summary = made.content
    table = paper.files(made, venue="neurips")["tables/confirmation.tex"]
    rows = (
        (page_of(summary), '<th scope="row">lion-0</th><td class="n" data-value="">0</td>'),
        (templates.markdown(summary), "| lion-0 | 0 | not comparable |"),
        (table, "lion-0 & 0 & not comparable &"),
    )
    for text, row in rows:
        assert row in text.replace("\\raggedright ", "") and f"confirmed: {reason}." in text


def test_methods_checklist_and_captions_name_what_could_not_be_confirmed() -> None:
    reason = "none of its 12 trials completed"
    found = with_protocol(three(gap=3), not_comparable=[{"strategy": "lion-0", "reason": reason}])
    made = report.compose(without_search(found)).summary
    summary, written = made.content, paper.files(made, venue="neurips")
    said = f"lion-0 is not comparable and was not confirmed: {reason}."
    assert said in templates.methods(summary)
    assert "of every strategy with a completed trial by" in templates.methods(summary)
    for name in ("confirmation", "pairwise", "cost"):
        assert said in written[f"tables/{name}.tex"].replace(r"\allowbreak{}", "")
    captions = [f["caption"] for f in summary["figures"] if f["of"] == "confirmation"]
    assert captions and all(said in caption for caption in captions)
    lost = replace(made, progress=replace(made.progress, started=36, failed=12))
    answer = (
        templates.checklist(lost.content, confirmed=lost.shows_tests)
        .partition("Were runs excluded?")[2]
        .partition("##")[0]
    )
    assert "0 of 36 trials were pruned and 12 failed" in answer
    assert f"lion-0 was left out of the confirmation, because {reason}" in answer


def test_a_training_from_scratch_or_by_own_code_is_told_as_such(summary: dict[str, Any]) -> None:
    assert "A trial fine-tuned" in templates.methods(summary)
    given = {"own": None, "scratch": True, "redrawn": "x"}
    assert " from scratch for" in templates.methods({**summary, "training": given})
    given |= {"own": "own.py:sam", "redrawn": "training and validation data"}
    text = templates.methods({**summary, "training": given})
    assert "A trial ran the study's own training code (own.py:sam)" in text
    assert "new head" not in text and "fine-tuned" not in text


def test_counts_have_one_kind_of_thousands() -> None:
    assert [templates.whole(n) for n in (999, 25_744, None)] == ["999", "25,744", "–"]


def test_methods_of_a_joint_study_say_what_was_proposed_and_selected() -> None:
    summary = report.compose(confirmed.material(joint=True, seeds=8, scored=False)).summary.content
    text = templates.methods(summary)
    assert "best configurations of every strategy with a completed trial" in text
    assert "best configurations of the search" not in text
    strategies = summary["strategies"]
    rest = [{**item, "started": 0, "complete": 0} for item in strategies[1:]]
    text = templates.methods({**summary, "strategies": [strategies[0], *rest]})
    name, count = strategies[0]["name"], len(strategies)
    assert f"It proposed 1 of the {count} strategies ({name}); nothing is known" in text
    one = [{"strategy": "a"}, {"strategy": "a"}, {"strategy": "b"}]
    few = {**summary["confirmation"], "selection": one, "selection_configs": 2}
    text = templates.methods({**summary, "confirmation": few})
    assert "Up to 2 of the best configurations of every strategy" in text and "(3 in all)" in text


def test_of_a_condition_that_no_run_recorded_nothing_is_said() -> None:
    found = without_search(three(gap=3))
    known = {k: v for k, v in confirmed.PROVENANCE.items() if k in ("packages", "hardware")}
    found = changed(found, {"role": "confirmation"}, provenance=known)
    checks = {check["name"]: check for check in report.compose(found).summary.content["health"]}
    assert checks["conditions"]["status"] == "not checked"
    assert (
        "Not recorded by any run, so not checked: commit and threads."
        in (checks["conditions"]["finding"])
    )


def test_of_two_the_one_with_the_better_mean_stands_first_whatever_is_better(
    summary: dict[str, Any],
) -> None:
    for direction, word in (("maximize", "higher"), ("minimize", "lower")):
        turned = {**summary["confirmation"], "direction": direction}
        page = page_of({**summary, "confirmation": turned})
        assert f"the one with the better ({word}) mean first" in page


def test_sums_of_time_say_that_they_hold_what_was_not_confirmed(summary: dict[str, Any]) -> None:
    strategies = report.compose(planted()).summary.strategies
    other = replace(strategies[0], name="lion-0")
    said = wording.unconfirmed([*strategies, other], THREE)
    assert said and said.endswith("not confirmed: lion-0.")
    assert wording.unconfirmed(strategies, THREE) is None
    assert f"The row “all” also counts {said.partition('count ')[2]}" in page_of(
        {**summary, "unconfirmed": said}
    )


@pytest.mark.parametrize(
    ("plan", "said"),
    [
        ({"weights": {"source": "w"}}, "the initialisation of the new head"),
        ({"weights": None}, "the initialisation of the whole network"),
        ({"weights": {"source": "w"}, "keep_head": True}, "layers without given weights"),
        ({"backbone": {"name": "/x/net.py:Net"}}, "what the network's own code initialises"),
        ({"trial": "/x/own.py:sam"}, "and is passed to the study's own training code"),
    ],
)
def test_what_a_seed_redraws_depends_on_what_a_training_starts_from(
    plan: dict[str, Any], said: str
) -> None:
    found = methods.training(read({"plans": {"a": plan}}))
    assert said in found.redrawn
    assert ("the order of the training data" in found.redrawn) == ("trial" not in plan)
    assert found.own == ("own.py:sam" if "trial" in plan else None)


@pytest.mark.parametrize(
    ("redrawn", "said"),
    [
        (
            None,
            "training and validation data where the data set does not define the split, the order",
        ),
        ({"parts": [], "of": 100}, "the order of the training data, the initialisation"),
        (
            {"parts": ["training"], "of": 900},
            "which 100 of the same 900 samples are used for training,",
        ),
        (
            {"parts": ["training", "validation"], "of": 400},
            "the division of the same 400 samples (100 for training, 300 for validation), the",
        ),
        (
            {"parts": ["training", "validation"], "of": 410, "train_at_most": 110},
            "the division of the same 410 samples (300 for validation; at most 110 for training,"
            " 100 in the search, since",
        ),
    ],
)
def test_what_a_seed_redraws_of_the_data_is_read_from_the_split(
    redrawn: dict[str, Any] | None, said: str
) -> None:
    data: dict[str, Any] = {"train": 100, "validation": 300, "redrawn": redrawn, "others": []}
    plan = {"weights": None, "augmentation": [["flip"]]}
    found = methods.training(read({"plans": {"a": plan}, "data": data})).redrawn
    assert found.startswith(said) and found.endswith(" and the augmentation")
    still = methods.training(read({"plans": {"a": {**plan, "augmentation": []}}, "data": data}))
    assert "augmentation" not in still.redrawn


def test_a_gap_that_is_a_rounding_error_is_none() -> None:
    found = three(gap=0)
    for place in range(10):
        where = {"role": "confirmation", "strategy": "adam-0", "number": place}
        value = 0.7 if place == 9 else (0.8, 0.9, 0.4)[place % 3]
        found = changed(found, where, test={"test/accuracy": 0.7}, value=value)
    content = report.compose(without_search(found)).summary.content["confirmation"]
    (arm,) = [arm for arm in content["arms"] if arm["name"] == "adam-0"]
    assert math.fsum(run["validation"] - run["value"] for run in arm["runs"]) != 0
    assert arm["validation_gap"] == 0


def test_a_document_has_one_minus_sign() -> None:
    summary = report.compose(without_search(three(gap=3))).summary.content
    marked = templates.markdown(summary)
    text = "".join(Page(re.sub(r"(?s)<style>.*?</style>", "", page_of(summary))).text)
    assert "\N{MINUS SIGN}0.0" in marked and "\N{MINUS SIGN}0.0" in text
    assert not re.findall(r"(?<![\w.)-])-\d+\.\d", marked + text)


def test_importances_stand_with_evaluator_number_and_interval() -> None:
    found = report.compose(
        confirmed.material(scored=False, seeds=8, contrast="optimizer")
    ).summary.content
    shown = found["importances"]
    assert shown["n"] == found["progress"]["complete"]
    assert {row["evaluator"] for row in shown["rows"]} == {"PED-ANOVA", "fANOVA"}
    assert all(row["low"] <= row["high"] for row in shown["rows"])
    assert f"over {shown['n']} completed trials" in page_of(found)
    assert report.compose(without_search(three(ended=0))).summary.content["importances"] is None


def test_methods_name_no_test_that_was_not_made() -> None:
    text = templates.methods(report.compose(three(ended=5)).summary.content)
    assert "Holm" not in text and "unfinished (5 of 40 runs)" in text
    assert "bootstrap" not in templates.methods(report.compose(three(edited=True)).summary.content)


def test_the_reproducibility_statement_tells_commit_data_protocol_and_seeds(
    summary: dict[str, Any],
) -> None:
    text = templates.reproducibility(summary)
    content = summary["confirmation"]
    for said in ("148fd37c0ffee", "0123456789abcdef", content["protocol_sha256"]):
        assert said in text
    assert f"the {len(content['seeds'])} confirmation seeds are listed in data/" in text
    assert "TODO" in text, "no log knows a licence"


def test_seeds_of_nineteen_digits_stand_in_one_place_of_the_page(
    page: str, summary: dict[str, Any]
) -> None:
    listed = ", ".join(summary["confirmation"]["seeds"])
    assert page.count(listed) == 1 and page.index('id="provenance"') < page.index(listed)


def test_curves_of_the_confirmation_stand_in_its_part_of_the_page(
    summary: dict[str, Any],
) -> None:
    of = {entry["name"]: entry["of"] for entry in summary["figures"]}
    assert (of["learning_curves"], of["strategies"]) == ("confirmation", "search")


def test_the_note_of_many_configurations_stays_short() -> None:
    found = confirmed.material(scored=False)
    long = json.loads(json.dumps(report.compose(found).summary.content))
    long["confirmation"]["arms"] = [
        {**arm, "name": f"{arm['name']}-{n}-{'x' * 60}"}
        for n in range(30)
        for arm in long["confirmation"]["arms"]
    ]
    text = templates.note(long)
    assert len(text) < 6000
    assert "more configurations" in text
    short = templates.note(report.compose(found).summary.content)
    assert "more configuration" not in short, "one arm more than strategies: the default"
    assert short.index("GOOD ENOUGH") < short.index("mean ± SD") < short.index("best validation")


# Safety and bytes


def test_a_hostile_arm_is_shown_as_text() -> None:
    label = HOSTILE.strip()

    spoilt = respelled(three(gap=3), lambda text: text.replace("adamw-0", label))
    spoilt = with_study(spoilt, cited=(CitedValue(name=label, value=0.5, source=label),))
    spoilt = with_protocol(spoilt, not_comparable=[{"strategy": label, "reason": label}])
    summary = report.compose(spoilt).summary.content
    assert summary["verdict"]["leader"] == label
    page = Page(page_of(summary))
    assert [tag for tag, _ in page.elements].count("script") == 1
    assert sum(label in text for text in page.text) > 15
    text = templates.markdown(summary)
    assert "<script" not in text
    for block in re.findall(r"(?:^\|.*\n)+", text, flags=re.MULTILINE):
        assert len({len(re.findall(r"(?<!\\)\|", line)) for line in block.splitlines()}) == 1
    assert "<script" not in templates.note(summary)


def test_a_confirmed_report_is_whole_and_the_same_bytes_again(tmp_path: Path) -> None:
    found = without_search(planted())
    written = writing.write(report.compose(found), tmp_path / "once").parent
    shuffled = replace(
        found, trials=tuple(random.Random(1).sample(found.trials, len(found.trials)))
    )
    writing.write(report.compose(shuffled), tmp_path / "again")
    assert files(tmp_path / "again") == files(written)
    assert {path.name for path in written.iterdir()} == {*CONTENTS}
    content = json.loads((written / "report.json").read_text())
    shown = [entry["name"] for entry in content["figures"]]
    assert {"forest", "confirmed"} <= {*shown}
    assert all((written / f"figures/{name}.pdf").exists() for name in shown)


def test_an_unknown_venue_is_refused_and_nothing_is_written(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="neurips"):
        writing.write(report.compose(without_search(three())), tmp_path / "digits", venue="nature")
    assert list(tmp_path.iterdir()) == []
