"""Anyone's results: read with every problem named, judged by the same rules, never above them."""

from __future__ import annotations

import json
import math
import random
import re
import shutil
import socket
import subprocess
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from tests.support.commands import call
from tests.support.mlflow_home import home_in
from workbench.commands import verdict as elsewhere
from workbench.commands.verdict import ResultsError, ResultsReport
from workbench.verdict import Size, Word
from workbench.verdict.statistics import correction, equivalence

SIX = ("pets", "cars", "birds", "flowers", "food", "textures", "scenes")


def rows(
    means: Mapping[str, float], *, n: int = 12, sd: float = 0.01, seed: int = 0
) -> list[tuple[str, str, float]]:
    """Strategy, seed and value; half of the variance is the seed's own."""
    draw = random.Random(seed)
    shared = [draw.gauss(0, sd / 2**0.5) for _ in range(n)]
    return [
        (name, str(at), round(mean + shared[at] + draw.gauss(0, sd / 2**0.5), 5))
        for name, mean in means.items()
        for at in range(n)
    ]


def table(
    folder: Path, found: Sequence[Sequence[object]], head: str = "strategy,seed,value"
) -> Path:
    path = folder / "results.csv"
    lines = [head, *(",".join(map(str, row)) for row in found)]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def datasets(
    folder: Path,
    means: Callable[[str], Mapping[str, float]],
    names: Sequence[str] = SIX,
    n: int = 10,
) -> Path:
    found = [
        (name, *row) for at, name in enumerate(names) for row in rows(means(name), n=n, seed=at)
    ]
    return table(folder, found, "dataset,strategy,seed,value")


def judge(path: Path, **given: Any) -> ResultsReport:
    return elsewhere.judge(path, **{"home": path.parent, "smallest_effect": 0.01, **given})


def refused(path: Path, **given: Any) -> str:
    with pytest.raises(ResultsError) as caught:
        judge(path, **given)
    return str(caught.value)


# The verdict


def test_a_gap_of_three_standard_deviations_is_found(tmp_path: Path) -> None:
    verdict = judge(
        table(tmp_path, rows({"adam": 0.94, "sgd": 0.91, "lion": 0.9}))
    ).result.as_json()["verdict"]
    assert (verdict["word"], verdict["leader"]) == (Word.WINNER, "adam")
    assert verdict["level"] == "this configuration"
    assert verdict["claim"].startswith("For these configurations, by the results given, ")


def test_identical_strategies_have_no_winner(tmp_path: Path) -> None:
    means = dict.fromkeys(("a", "b", "c"), 0.9)
    words = {
        judge(table(tmp_path, rows(means, seed=seed))).result.as_json()["verdict"]["word"]
        for seed in range(5)
    }
    assert words <= {Word.GOOD_ENOUGH, Word.NARROWED, Word.INCONCLUSIVE}


def test_where_lower_is_better_the_lowest_leads(tmp_path: Path) -> None:
    path = table(tmp_path, rows({"adam": 0.30, "sgd": 0.35}))
    verdict = judge(path, direction="minimize", metric="loss").result.as_json()["verdict"]
    assert (verdict["leader"], verdict["metric"]) == ("adam", "loss")


def test_without_a_smallest_effect_a_winner_is_named_and_its_size_left_open(tmp_path: Path) -> None:
    path = table(tmp_path, rows({"adam": 0.94, "sgd": 0.80}))
    verdict = judge(path, smallest_effect=None).result.as_json()["verdict"]
    assert (verdict["word"], verdict["size"]) == (Word.WINNER, None)
    assert "No smallest effect was given" in verdict["claim"]
    alike = judge(table(tmp_path, rows({"a": 0.9, "b": 0.9}, sd=0.001)), smallest_effect=None)
    assert alike.result.as_json()["verdict"]["word"] == Word.INCONCLUSIVE, "nothing is good enough"


def test_a_baseline_is_the_only_one_compared_with(tmp_path: Path) -> None:
    path = table(tmp_path, rows({"adam": 0.94, "sgd": 0.91, "lion": 0.9}))
    verdict = judge(path, baseline="sgd").result.as_json()["verdict"]
    assert verdict["pairs"] == 2
    assert all("sgd" in (pair["first"], pair["second"]) for pair in verdict["comparisons"])


def test_different_seeds_are_not_comparable_with_the_reason(tmp_path: Path) -> None:
    found = [row for row in rows({"adam": 0.94, "sgd": 0.91}) if row[:2] != ("sgd", "3")]
    verdict = judge(table(tmp_path, found)).result.as_json()["verdict"]
    assert verdict["word"] == Word.NOT_COMPARABLE
    assert "sgd has no run for seed 3" in verdict["headline"]
    assert verdict["reasons"][0]["rule"] == 9


def test_too_few_seeds_are_underpowered(tmp_path: Path) -> None:
    path = table(tmp_path, rows({"adam": 0.94, "sgd": 0.8}, n=3))
    assert judge(path).result.as_json()["verdict"]["word"] == Word.UNDERPOWERED


def test_failed_runs_count_with_the_worst_value(tmp_path: Path) -> None:
    found: list[Sequence[object]] = [*rows({"adam": 0.94, "sgd": 0.91})]
    for at, word in ((0, "failed"), (1, "nan"), (2, "inf"), (3, "diverged")):
        found[at] = (*found[at][:2], word)
    verdict = judge(table(tmp_path, found)).result.as_json()["verdict"]
    adam = next(side for side in verdict["sides"] if side["name"] == "adam")
    worst = min(float(str(row[2])) for row in found[4:])
    assert adam["imputed"] == ["0", "1", "2", "3"]
    assert adam["values"][:4] == [worst] * 4
    assert adam["n"] == 12


def test_stand_ins_for_failed_runs_have_no_interval_and_no_sd(tmp_path: Path) -> None:
    found: list[Sequence[object]] = [*rows({"a": 0.94, "b": 0.91, "lost": 0.9})]
    found[25:] = [(*row[:2], "failed") for row in found[25:]]
    judged = judge(table(tmp_path, found), out=tmp_path / "out")
    lost = judged.result.verdict.sides[-1]
    assert (lost.name, len(lost.imputed), lost.sd) == ("lost", 11, None)
    pairs = {(pair.first, pair.second): pair for pair in judged.result.verdict.comparisons}
    assert pairs["a", "lost"].beaten and pairs["a", "lost"].dz is None
    told = call("verdict", tmp_path / "results.csv")[1]
    shown = [line.split() for line in told.splitlines()]
    assert [line[3:5] for line in shown if line[:2] == ["lost", "12"]] == [["–", "–"]]
    assert [line[3] for line in shown if line[1:2] == ["lost"] and line[0] in "ab"] == 2 * ["–"]
    assert "no interval, because failed runs count with the worst value seen" in told
    assert "the worst value seen, so neither SD nor interval is given" in told
    for path in [tmp_path / "out/index.html", *(tmp_path / "out").glob("**/*.tex")]:
        assert not re.search(r"\bnan\b|None to", path.read_text()), path
    reason = 'title="failed runs count with the worst value seen">–'
    assert reason in (tmp_path / "out/index.html").read_text()
    assert "no SD and no interval is given" in (tmp_path / "out/tables/results.tex").read_text()


def test_a_difference_that_cannot_be_tested_has_no_p_value(tmp_path: Path) -> None:
    found = rows({"a": 0.94})
    found += [("b", seed, round(value - 0.02, 5)) for _, seed, value in found]
    _, told, _ = call("verdict", table(tmp_path, found), "--out", tmp_path / "out")
    assert "Nothing is decided for b" in told
    (pair,) = [line for line in told.splitlines() if line.startswith("a ") and " of 12 " in line]
    assert pair.split()[-1] == "–"
    assert " & 12 of 12 & -- &" in (tmp_path / "out/tables/pairwise.tex").read_text()
    claim = judge(tmp_path / "results.csv", baseline="b").result.verdict.claim
    assert "permutation test, no p value)" in claim


def test_what_results_cannot_prove_is_said(tmp_path: Path) -> None:
    judged = judge(table(tmp_path, rows({"adam": 0.94, "sgd": 0.91})))
    told = " ".join(flag["text"] for flag in judged.result.as_json()["verdict"]["flags"])
    for word in ("protocol", "test data", "budget", "seeds differ", "same samples", "hardware"):
        assert word in told


def test_a_verdict_that_says_nothing_exits_with_3(tmp_path: Path) -> None:
    few = datasets(tmp_path, lambda _: {"a": 0.9, "b": 0.7}, SIX[:2])
    assert call("verdict", few)[0] == 0, "there is one of each data set"
    few = datasets(tmp_path, lambda _: {"a": 0.9, "b": 0.7}, SIX[:2], n=4)
    assert call("verdict", few)[0] == 3
    lacking = rows({"a": 0.9, "b": 0.8})[:-1]
    assert call("verdict", table(tmp_path, lacking))[0] == 3
    assert call("verdict", table(tmp_path, rows({"a": 0.9, "b": 0.8})))[0] == 0


# Reading


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_tables_of_any_program_are_read(delimiter: str, encoding: str, tmp_path: Path) -> None:
    found = [("größe", seed, value) for _, seed, value in rows({"a": 0.9})]
    found += rows({"b": 0.9})
    lines = [f" Seed {delimiter}VALUE{delimiter}strategy", ""]
    lines += [delimiter.join((f"{seed}.0", str(value), f'"{name}"')) for name, seed, value in found]
    path = tmp_path / "results.csv"
    path.write_bytes("\r\n".join(lines).encode(encoding))
    verdict = judge(path).result.as_json()["verdict"]
    assert {side["name"] for side in verdict["sides"]} == {"größe", "b"}
    assert verdict["seeds"] == [str(n) for n in range(12)]


def test_a_column_named_like_the_metric_holds_the_values(tmp_path: Path) -> None:
    path = table(tmp_path, rows({"a": 0.9, "b": 0.8}), "strategy,seed,f1")
    assert judge(path, metric="f1").result.as_json()["verdict"]["metric"] == "f1"


def test_other_columns_are_ignored_and_named(tmp_path: Path) -> None:
    found = [(*row, 7, "x") for row in rows({"a": 0.9, "b": 0.8})]
    judged = judge(table(tmp_path, found, "strategy,seed,value,trial,note"))
    assert judged.result.results.notes == ("Ignored in results.csv: the columns trial, note.",)
    assert judged.result.as_json()["notes"] == list(judged.result.results.notes)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "results.csv is empty; expected a header with strategy, seed and value."),
        (
            "strategie,seed,value\na,1,1\n",
            "results.csv:1: there is no column strategy; did you mean strategie?",
        ),
        ("strategy,seed,value\n", "results.csv: there is no row below the header."),
        (
            "strategy,seed,value\na,1,high\n",
            "results.csv:2: the value 'high' is not a number, or failed.",
        ),
        (
            "strategy;seed;value\na;1;0,95\n",
            "results.csv:2: the value '0,95' is not a number; write it with a decimal point.",
        ),
        (
            "strategy,seed,value\na,1,\n",
            "results.csv:2: value is empty; write failed for a run that diverged or failed: it gets"
            " the worst value.",
        ),
        ("strategy,seed,value\n,,1\n", "results.csv:2: strategy and seed are empty."),
        ("strategy,seed,value\na,1\n", "results.csv:2: 2 cells, expected 3 as in the header."),
        (
            "strategy,seed,value\na,1,0.5\nb,1,0.5\na,1,0.6\n",
            "results.csv:4: a with seed 1 occurs twice (first in results.csv:2), expected one run"
            " for each; a strategy is one configuration.",
        ),
        ("strategy,seed,value,seed\na,1,0.5,1\n", "results.csv:1: there are two columns seed."),
        (
            "strategy,seed,value\na,1,0.5\n",
            "There is one strategy, 'a'; a comparison needs two.",
        ),
    ],
)
def test_what_is_wrong_with_a_file_is_said_with_its_line(
    text: str, message: str, tmp_path: Path
) -> None:
    path = tmp_path / "results.csv"
    path.write_text(text, encoding="utf-8")
    assert refused(path) == message


def test_all_problems_are_told_at_once_and_not_without_end(tmp_path: Path) -> None:
    path = table(tmp_path, [("a", n, "?") for n in range(15)])
    lines = refused(path).splitlines()
    assert len(lines) == 11
    assert lines[0].startswith("results.csv:2:") and lines[-1] == "... and 5 more."


def test_what_is_no_text_or_no_file_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "results.csv"
    assert refused(path) == f"{path} cannot be read: No such file or directory."
    path.write_bytes(b"strategy,seed,value\ngr\xf6\xdfe,1,0.5\n")
    assert refused(path) == "results.csv:2: not UTF-8 text; save the table as CSV in UTF-8."
    path.write_bytes("strategy,seed,value\na,1,0.5\n".encode("utf-16-le"))
    assert refused(path) == "results.csv: not a text file; expected CSV."
    assert "cannot be read" in refused(tmp_path)


def test_a_baseline_that_is_not_there_is_refused_with_the_nearest(tmp_path: Path) -> None:
    path = table(tmp_path, rows({"adamw": 0.9, "sgd": 0.8}))
    assert refused(path, baseline="adam") == (
        "The baseline 'adam' is not a strategy here; did you mean adamw?"
    )


def test_a_data_set_without_the_baseline_is_named(tmp_path: Path) -> None:
    lines = ["dataset,strategy,seed,value"]
    for dataset, strategies in (("glue", ("adamw", "sgd", "lion")), ("squad", ("sgd", "lion"))):
        lines += [
            f"{dataset},{name},{seed},0.{seed}" for name in strategies for seed in range(1, 6)
        ]
    path = tmp_path / "results.csv"
    path.write_text("\n".join(lines))
    assert refused(path, baseline="adamw") == (
        "The data set squad has no run of the baseline 'adamw', only of lion, sgd. Add its runs, or"
        " remove the data set."
    )


@pytest.mark.parametrize("effect", [0.0, -0.5, float("inf"), float("nan")])
def test_a_smallest_effect_that_is_none_is_refused(effect: float, tmp_path: Path) -> None:
    path = table(tmp_path, rows({"adamw": 0.9, "sgd": 0.8}))
    assert refused(path, smallest_effect=effect) == (
        f"The smallest effect is {effect:g}, expected a finite number above 0 in units of value;"
        " leave it out if it is not known."
    )


def test_the_help_and_the_refusal_of_a_smallest_effect_agree(tmp_path: Path) -> None:
    path = table(tmp_path, rows({"adamw": 0.9, "sgd": 0.8}))
    for effect in ("0", "-1"):
        code, _, errors = call("verdict", path, "--smallest-effect", effect)
        assert code == 2 and "above 0" in errors
    _, told, _ = call("verdict", "--help")
    assert "x>=0" not in told and "above 0" in told


def test_a_file_or_an_experiment_must_be_named(tmp_path: Path) -> None:
    for given in ({"experiment": None}, {"experiment": "x"}):
        path = None if given["experiment"] is None else tmp_path / "x.csv"
        with pytest.raises(ResultsError, match="Name either a CSV file or"):
            elsewhere.judge(path, home=tmp_path, **given)


@pytest.mark.parametrize("metric", ["loss", "val_loss", "test/error", "RMSE", "perplexity"])
def test_an_error_is_not_maximised(metric: str, tmp_path: Path) -> None:
    path = table(tmp_path, rows({"good": 0.3, "bad": 0.33}))
    assert refused(path, metric=metric) == (
        f"Lower values of {metric} are better, by its name: add --minimize. If higher ones are"
        " better, give the metric another name."
    )
    verdict = judge(path, metric=metric, direction="minimize").result.as_json()["verdict"]
    assert verdict["leader"] == "good"


@pytest.mark.parametrize(
    ("level", "usable"), [(0.9, True), (0.05, True), (93.0, True), (1.1, False), (120.0, False)]
)
def test_a_share_beyond_its_bounds_is_refused_with_its_line(
    level: float, usable: bool, tmp_path: Path
) -> None:
    path = table(tmp_path, rows({"a": level, "b": level + 0.02}))
    assert judge(path).result.as_json(), "of a metric without a name nothing is known"
    if usable:
        assert judge(path, metric="test_accuracy").result.as_json()
        return
    told = refused(path, metric="test_accuracy")
    assert re.match(
        r"results\.csv:\d+: test_accuracy is 1\d*\.\d+, expected values from 0 to 1", told
    )
    negative = table(tmp_path, [*rows({"a": 0.9, "b": 0.8}), ("a", "x", -0.1), ("b", "x", 0.8)])
    assert "results.csv:26: f1 is -0.1, expected values" in refused(negative, metric="f1")


@pytest.mark.parametrize("name", ["epoch {}", "fold-{}", "step{}", "{} epochs", "cv_{}"])
def test_parts_of_a_run_are_no_seeds(name: str, tmp_path: Path) -> None:
    found = [(s, name.format(seed), value) for s, seed, value in rows({"a": 0.9, "b": 0.8})]
    told = refused(table(tmp_path, found))
    assert told.startswith(f"The seeds {name.format(0)}, {name.format(1)}, ")
    assert "named like folds, epochs or steps" in told
    ours = [(s, f"seed {seed}", value) for s, seed, value in rows({"a": 0.9, "b": 0.8})]
    assert judge(table(tmp_path, ours)).result.as_json()["verdict"]["word"] == Word.WINNER


def test_copied_runs_are_no_seeds(tmp_path: Path) -> None:
    few = rows({"a": 0.9, "b": 0.88, "c": 0.8}, n=5)
    copied = [(s, f"{seed}{copy}", value) for s, seed, value in few for copy in "abcd"]
    assert refused(table(tmp_path, copied)) == (
        "The 20 seeds have 5 different results: 0a, 0b, 0c and 0d have the same value in every"
        " strategy, for example. Copied runs add no evidence: give each run once."
    )
    for strategies in ({"a": 0.9, "b": 0.88, "c": 0.8}, {"a": 0.9, "b": 0.8}):
        single = [*rows(strategies)]
        single += [(s, "copy", value) for s, seed, value in single if seed == "3"]
        verdict = judge(table(tmp_path, single)).result.as_json()["verdict"]
        flags = [flag["text"] for flag in verdict["flags"]]
        assert "The seeds 3 and copy have the same value in every strategy. Copied runs?" in flags
    # Two strategies on a test set of 50 samples meet now and then.
    coarse = [(s, seed, round(value * 50) / 50) for s, seed, value in rows({"a": 0.9, "b": 0.8})]
    assert judge(table(tmp_path, coarse)).result.as_json()


# Several data sets


@pytest.mark.parametrize(
    "names", [("1", "2"), ("fold1", "fold2"), ("seed_0", "seed_1"), ("epoch 5", "epoch 10")]
)
def test_seeds_and_folds_are_no_data_sets(names: Sequence[str], tmp_path: Path) -> None:
    path = datasets(tmp_path, lambda _: {"a": 0.9, "b": 0.8}, names)
    assert "expected names of data sets" in refused(path)


def test_one_data_set_under_several_names_is_refused(tmp_path: Path) -> None:
    same = rows({"a": 0.9, "b": 0.8})
    found = [("pets", *row) for row in rows({"a": 0.9, "b": 0.8}, seed=1)]
    found += [(name, *row) for name in ("cars", "birds") for row in reversed(same)]
    path = table(tmp_path, found, "dataset,strategy,seed,value")
    told = refused(path)
    assert told.startswith("cars and birds have the same value for every strategy and seed")
    assert "rule 8" in told
    found[-1] = (*found[-1][:3], 0.12345)
    judge(table(tmp_path, found, "dataset,strategy,seed,value"))


def test_fewer_than_six_data_sets_have_a_verdict_each_and_counts(tmp_path: Path) -> None:
    means = {
        "pets": {"a": 0.95, "b": 0.80},
        "cars": {"a": 0.80, "b": 0.95},
        "birds": {"a": 0.95, "b": 0.70},
    }
    content = judge(datasets(tmp_path, means.__getitem__, list(means))).result.as_json()
    assert [item["name"] for item in content["datasets"]] == list(means)
    assert [item["verdict"]["leader"] for item in content["datasets"]] == ["a", "b", "a"]
    assert content["outcomes"] == [
        {"first": "a", "second": "b", "wins": 2, "ties": 0, "losses": 1, "open": 0}
    ]
    over = content["verdict"]
    assert (over["word"], over["level"]) == (Word.UNDERPOWERED, "none")
    assert content["across"] is None and over["comparisons"] == []
    assert "Across the data sets" not in json.dumps(content)
    assert over["headline"] == (
        "One verdict for each of 3 data sets, and none over all of them. pets: WINNER (a); cars:"
        " WINNER (b); birds: WINNER (a). a against b: 2 wins, 0 ties, 1 loss, 0 undecided."
    )


def test_a_data_set_without_a_claim_is_no_win_and_no_tie(tmp_path: Path) -> None:
    path = datasets(tmp_path, lambda _: {"a": 0.9001, "b": 0.9}, SIX[:3], n=3)
    found = judge(path, smallest_effect=0.5).result
    assert {one.word for one in found.datasets.values()} == {Word.UNDERPOWERED}
    (counts,) = found.outcomes
    assert (counts.wins, counts.ties, counts.losses, counts.open) == (0, 0, 0, 3)


def test_few_data_sets_begin_with_the_verdict_on_each(tmp_path: Path) -> None:
    path = datasets(tmp_path, lambda _: {"a": 0.95, "b": 0.80}, SIX[:3])
    _, told, _ = call("verdict", path, "--out", tmp_path / "out")
    assert told.startswith("3 data sets  One verdict for each")
    assert "UNDERPOWERED" not in told
    assert '<p class="word">3 data sets</p>' in (tmp_path / "out/index.html").read_text()


@pytest.mark.parametrize(
    ("baseline", "least"), [(None, 6), ("b", 7)], ids=["winner of all", "against a baseline"]
)
def test_five_data_sets_carry_no_claim_and_the_least_number_is_named(
    baseline: str | None, least: int, tmp_path: Path
) -> None:
    means = {"a": 0.9, "b": 0.7, "c": 0.6}
    path = datasets(tmp_path, dict.fromkeys(SIX, means).__getitem__, SIX[:5])
    content = judge(path, baseline=baseline).result.as_json()
    over = content["verdict"]
    assert (over["word"], over["level"]) == (Word.UNDERPOWERED, "none")
    assert content["across"] is None and over["comparisons"] == []
    assert (over["candidates"], over["excluded"]) == ([], [])
    assert over["reasons"][0]["text"].startswith(
        f"5 data sets support no claim across data sets, which needs {least};"
    )


def test_six_data_sets_are_enough_for_a_winner_of_three(tmp_path: Path) -> None:
    means = {"a": 0.9, "b": 0.7, "c": 0.6}
    path = datasets(tmp_path, dict.fromkeys(SIX, means).__getitem__, SIX[:6])
    over = judge(path).result.as_json()["verdict"]
    assert (over["word"], over["leader"], over["p_win"]) == (Word.WINNER, "a", 2 / 2**6)
    assert all(pair["p_holm"] > 0.05 for pair in over["comparisons"]), "Holm over 3 pairs is above"
    six = judge(path, baseline="c").result.as_json()["verdict"]
    assert (six["word"], six["p_floor"]) == (Word.UNDERPOWERED, 2 * 2 / 2**6)


def test_a_winner_across_data_sets_is_tested_over_data_sets(tmp_path: Path) -> None:
    level = dict(zip(SIX, (0.9, 0.8, 0.7, 0.6, 0.85, 0.75, 0.65), strict=True))
    path = datasets(tmp_path, lambda name: {"a": level[name], "b": level[name] - 0.05})
    content = judge(path).result.as_json()
    over, across = content["verdict"], content["across"]
    assert (over["word"], over["level"], over["leader"]) == (Word.WINNER, "across data sets", "a")
    assert over["comparisons"][0]["p"] == pytest.approx(2 / 2**7)  # exact Wilcoxon, all one way
    assert over["comparisons"][0]["n"] == 7
    assert over["claim"].startswith("Across the data sets compared, a has a higher")
    assert across["ranks"] == [1.0, 2.0]
    assert across["groups"] == []
    assert "iqm" not in across, "the data sets are on different scales"


def test_across_data_sets_too_a_lead_has_no_size_without_a_smallest_effect(tmp_path: Path) -> None:
    path = datasets(tmp_path, lambda _: {"a": 0.9, "b": 0.8})
    over = judge(path, smallest_effect=None).result.as_json()["verdict"]
    assert (over["word"], over["size"]) == (Word.WINNER, None)
    assert "No smallest effect was given" in over["headline"]


def on_scales(huge: Mapping[str, float], usual: Mapping[str, float]) -> Callable[[str], Any]:
    """Means of ``huge`` on cars, of ``usual`` on every other data set."""
    return lambda name: huge if name == "cars" else usual


@pytest.mark.parametrize("baseline", [None, "c"])
def test_a_data_set_of_a_large_scale_does_not_choose_the_leader(
    baseline: str | None, tmp_path: Path
) -> None:
    means = on_scales({"a": 5000.0, "b": 5900.0, "c": 10.0}, {"a": 0.9, "b": 0.8, "c": 0.7})
    over = judge(datasets(tmp_path, means), baseline=baseline).result.as_json()["verdict"]
    assert over["sides"][0]["name"] == "b", "it has the best mean of raw values"
    assert over["leader"] == "a"
    if baseline:
        assert (over["word"], over["excluded"]) == (Word.WINNER, ["c"])
        return
    assert over["word"] == Word.NARROWED and over["excluded"] == ["c"]
    assert (
        "a has the best mean of standardized values and has a mean difference of −"
        in (over["headline"])
    )


def test_where_mean_and_ranks_disagree_across_data_sets_nobody_is_ahead(tmp_path: Path) -> None:
    names = (*SIX, "dogs", "cats", "planes", "trees", "ships")
    means = on_scales({"a": 5000.0, "b": 5900.0}, {"a": 0.9, "b": 0.8})
    path = datasets(tmp_path, means, names)
    over = judge(path).result.as_json()["verdict"]
    only = over["comparisons"][0]
    assert only["first"] == "b" and only["p_holm"] is None, "the ranks speak for a"
    assert not only["beaten"] and "opposite signs" in only["undecidable"]
    assert over["word"] != Word.WINNER and over["p_win"] == 1
    for baseline in ("a", "b"):
        against = judge(path, baseline=baseline).result.as_json()["verdict"]
        assert (against["word"], against["excluded"]) == (Word.INCONCLUSIVE, [])


def test_a_set_of_the_best_across_data_sets_is_named(tmp_path: Path) -> None:
    path = datasets(tmp_path, lambda _: {"a": 0.9, "b": 0.9, "c": 0.7})
    over = judge(path).result.as_json()["verdict"]
    assert over["word"] == Word.NARROWED, "no bound in units of the metric, so never GOOD ENOUGH"
    assert (sorted(over["candidates"]), over["excluded"]) == (["a", "b"], ["c"])
    assert all(side["behind"] is None for side in over["sides"])
    assert over["headline"].startswith("Across 7 data sets: if there is a single best strategy,")
    assert ", not c (95 % confidence). No single winner is shown: " in over["headline"]
    assert "mean of the standardized value, it is " in over["claim"]


def test_a_baseline_that_leads_all_data_sets_is_said_to_lead(tmp_path: Path) -> None:
    path = datasets(tmp_path, lambda _: {"a": 0.8, "base": 0.9})
    over = judge(path, baseline="base").result.as_json()["verdict"]
    assert (over["word"], over["leader"]) == (Word.WINNER, "base")
    assert over["headline"].startswith("Across 7 data sets base wins: value 0.899")
    assert "base has a higher value than a: " in over["claim"]


def test_with_a_baseline_no_closest_rival_is_told_of(tmp_path: Path) -> None:
    path = datasets(tmp_path, lambda _: {"a": 0.9, "c": 0.89, "base": 0.8}, n=8)
    over = judge(path, baseline="base").result.as_json()["verdict"]
    assert over["headline"].startswith(
        "Across 7 data sets a wins against the baseline base, which 2 of 2 configurations beat:"
        " value 0.898 against 0.799 of base (difference 0.0"
    )
    assert "a has a higher value than the baseline base: a mean" in over["claim"]
    for text in (over["headline"], over["claim"]):
        assert "closest" not in text
        assert "Configurations were compared with the baseline, not with each other." in text


def test_a_winner_over_the_baseline_alone_is_called_so_wherever_its_word_is_shown(
    tmp_path: Path,
) -> None:
    path = table(tmp_path, rows({"a": 0.9, "c": 0.89, "base": 0.8}))
    words = ("verdict", path, "--baseline", "base", "--out", tmp_path / "out")
    _, told, _ = call(*words)
    heading = "WINNER against the baseline base"
    assert told.startswith(f"{heading}  ")
    page = (tmp_path / "out/index.html").read_text()
    assert f"({heading})</title>" in page and f'<p class="word">{heading}</p>' in page
    assert f": {heading}." in (tmp_path / "out/tables/results.tex").read_text()
    plain = judge(path).result.verdict
    assert plain.heading == plain.word


def failing(path: Path, *runs: tuple[str, str, str]) -> Path:
    """The same table with these runs (data set, strategy, seed) failed."""
    lines = path.read_text(encoding="utf-8").splitlines()
    for at, line in enumerate(lines):
        if tuple(line.split(",")[:3]) in runs:
            lines[at] = line.rsplit(",", 1)[0] + ",failed"
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def test_failed_runs_are_named_with_their_data_set_and_shared_flags_once(tmp_path: Path) -> None:
    path = datasets(tmp_path, lambda _: {"a": 0.9, "b": 0.8}, n=8)
    failing(path, ("flowers", "b", "3"), ("food", "b", "1"), ("food", "b", "2"))
    over = judge(path).result.as_json()["verdict"]
    said = (
        " On flowers 1 run of b failed and counts with the worst value. On food 2 runs of b failed"
        " and count with the worst value."
    )
    assert over["word"] == Word.WINNER
    assert said in over["headline"] and said in over["claim"]
    texts = [flag["text"] for flag in over["flags"]]
    assert len(texts) == len(set(texts))
    assert [text.split(":")[0] for text in texts if text.startswith("On ")] == [
        "On flowers",
        "On food",
    ]
    assert sum("These results have no protocol" in text for text in texts) == 1


@pytest.mark.parametrize("baseline", [None, "b"])
def test_a_strategy_with_a_failed_run_is_not_ahead_across_data_sets(
    baseline: str | None, tmp_path: Path
) -> None:
    path = datasets(tmp_path, lambda _: {"a": 0.9, "b": 0.8}, n=8)
    assert judge(path, baseline=baseline).result.as_json()["verdict"]["word"] == Word.WINNER
    over = judge(failing(path, ("food", "a", "0")), baseline=baseline).result.as_json()["verdict"]
    assert (over["word"], over["leader"], over["excluded"]) == (Word.INCONCLUSIVE, "a", [])
    assert "Nothing is decided for b: failed runs of a count" in over["reasons"][0]["text"]


def test_the_same_difference_on_every_data_set_decides_nothing(tmp_path: Path) -> None:
    found = [
        (name, strategy, seed, round(0.5 + at / 20 + gap + draw, 5))
        for at, name in enumerate(SIX)
        for strategy, gap in (("a", 0.05), ("b", 0.0))
        for _, seed, draw in rows({strategy: 0.0}, n=8, seed=at)
    ]
    over = judge(table(tmp_path, found, "dataset,strategy,seed,value")).result.as_json()["verdict"]
    assert over["comparisons"][0]["p_holm"] is None
    assert (over["word"], over["candidates"]) == (Word.INCONCLUSIVE, ["a", "b"])
    assert "the same on every data set" in over["reasons"][0]["text"]


def test_means_that_differ_by_rounding_alone_put_nobody_ahead_across_data_sets(
    tmp_path: Path,
) -> None:
    found: list[Sequence[object]] = []
    for at, name in enumerate(SIX):
        ours = [value for _, _, value in rows({"a": 0.7}, n=9, seed=at)]
        for strategy, values in (("b", sorted(ours)), ("a", ours), ("c", sorted(ours)[::-1])):
            found += [(name, strategy, seed, value) for seed, value in enumerate(values)]
    over = judge(table(tmp_path, found, "dataset,strategy,seed,value")).result.as_json()["verdict"]
    means = {tuple(side["values"]) for side in over["sides"]}
    assert len(means) > 1, "the order of the seeds changes the last digit of some mean"
    assert (over["word"], over["leader"]) == (Word.INCONCLUSIVE, "b"), "the first of equals"
    assert [side["p_best"] for side in over["sides"]] == [1.0] * 3


def test_a_pair_without_spread_does_not_relax_the_correction_of_the_others(
    tmp_path: Path,
) -> None:
    # b is 0.003 above c on every data set; a against either varies, and alone would be equivalent.
    draw = random.Random(4)
    found: list[Sequence[object]] = []
    for at in range(10):
        level, gap = 0.5 + at / 50, draw.gauss(0, 0.0105)
        for strategy, mean in (("a", level + gap), ("b", level), ("c", level - 0.003)):
            for seed in range(6):
                found.append((f"set-{'abcdefghij'[at]}", strategy, seed, mean + seed / 1000))
    over = judge(table(tmp_path, found, "dataset,strategy,seed,value")).result.as_json()["verdict"]
    pairs = {(pair["first"], pair["second"]): pair for pair in over["comparisons"]}
    constant = pairs.pop(("b", "c"))
    assert (constant["p_equivalence"], constant["posterior"]) == (None, None)
    alone = [equivalence.tost(pair["differences"], 0.01) for pair in pairs.values()]
    holm = correction.holm([*alone, 1.0])
    assert [pair["p_equivalence"] for pair in pairs.values()] == pytest.approx(holm[:2])


@pytest.mark.parametrize(
    ("b", "size"), [(0.85, Size.ABOVE), (0.88, Size.NEGLIGIBLE), (0.87, Size.OPEN)]
)
def test_across_data_sets_a_lead_has_a_size_and_each_rival_its_reason(
    b: float, size: Size, tmp_path: Path
) -> None:
    path = datasets(tmp_path, lambda _: {"a": 0.9, "b": b, "c": 0.7}, n=8)
    over = judge(path, smallest_effect=0.03).result.as_json()["verdict"]
    assert (over["word"], over["size"]) == (Word.WINNER, size)
    assert [reason["rival"] for reason in over["reasons"]] == ["b", "c"]
    for reason in over["reasons"]:
        assert reason["text"].startswith(f"a is better than {reason['rival']}: a leads it by 0.")
        assert reason["text"].endswith("ahead on 7 of 7 data sets (p = 0.016).")


def test_page_numbers_and_data_agree_that_nothing_is_claimed(tmp_path: Path) -> None:
    path = datasets(tmp_path, lambda _: {"a": 0.9, "b": 0.7}, SIX[:3])
    judged = judge(path, out=tmp_path / "out")
    assert judged.result.as_json()["verdict"]["level"] == "none"
    page = (tmp_path / "out" / "index.html").read_text(encoding="utf-8")
    assert "<dt>Claim level</dt><dd>none</dd>" in page
    numbers = (tmp_path / "out" / "macros.tex").read_text(encoding="utf-8")
    assert r"\resultsLevel}{none}" in numbers


def test_a_misspelt_metric_is_refused_and_another_name_for_the_values_is_told(
    tmp_path: Path,
) -> None:
    lines = ["strategy,seed,value,accuracy,accuracy_std"]
    lines += [f"{name},{seed},{seed / 10},0.9,0.1" for name in "ab" for seed in range(6)]
    path = tmp_path / "results.csv"
    path.write_text("\n".join(lines), encoding="utf-8")
    with pytest.raises(elsewhere.ResultsError) as told:
        judge(path, metric="acuracy")
    assert "results.csv:1: there is no column acuracy; did you mean accuracy?" in str(told.value)
    notes = judge(path, metric="f1").result.results.notes
    assert "No column is called f1: the values are those of the column value." in notes


def test_files_keep_the_metrics_own_name_and_speak_of_no_study(tmp_path: Path) -> None:
    path = datasets(tmp_path, lambda _: {"a": 0.95, "b": 0.8}, ["pets"])
    path.write_text(path.read_text().replace("value", "test_acc", 1))
    judge(path, metric="test_acc", smallest_effect=0.01, out=tmp_path / "out")
    folder = tmp_path / "out"
    table, numbers = (
        (folder / name).read_text(encoding="utf-8") for name in ("tables/results.tex", "macros.tex")
    )
    assert r": test\_acc (to be maximised)" in table and r"{test\_acc}" in numbers
    for name in ("tables/results.tex", "tables/pairwise.tex", "macros.tex", "captions.tex"):
        assert "study" not in (folder / name).read_text(encoding="utf-8"), name
    assert "test_acc, higher is better" in (folder / "index.html").read_text(encoding="utf-8")
    assert "training seeds" not in (folder / "captions.tex").read_text(encoding="utf-8")


def test_only_what_is_underlined_has_a_rule_for_underlining(tmp_path: Path) -> None:
    path = datasets(tmp_path, lambda _: {"a": 0.95, "b": 0.8}, ["pets"])
    judge(path, smallest_effect=0.01, out=tmp_path / "out")
    table = (tmp_path / "out" / "tables" / "results.tex").read_text(encoding="utf-8")
    assert "Bold: best mean" in table and "Underlined" not in table


def test_files_on_results_from_elsewhere_speak_of_seeds_and_of_no_search(tmp_path: Path) -> None:
    path = datasets(tmp_path, lambda _: {"a": 0.95, "b": 0.8}, ["pets"], n=16)
    judge(path, out=tmp_path / "one")
    page = (tmp_path / "one" / "index.html").read_text(encoding="utf-8")
    captions = (tmp_path / "one" / "captions.tex").read_text(encoding="utf-8")
    assert "training seed" not in page + captions
    assert "sign-flip permutation test with 20,000 random draws" in page
    path = datasets(tmp_path, lambda _: {"a": 0.95, "b": 0.8}, ["pets", "cars"])
    judge(path, out=tmp_path / "two")
    article = (tmp_path / "two" / "example.tex").read_text(encoding="utf-8")
    assert "nothing is claimed over all data sets" in article and "by the search" not in article


def test_identical_strategies_have_no_winner_across_data_sets(tmp_path: Path) -> None:
    over = judge(datasets(tmp_path, lambda _: {"a": 0.9, "b": 0.9})).result.as_json()["verdict"]
    assert over["word"] in (Word.NARROWED, Word.INCONCLUSIVE)


def test_a_data_set_that_lacks_a_strategy_makes_all_not_comparable(tmp_path: Path) -> None:
    path = datasets(
        tmp_path,
        lambda name: dict(
            list({"a": 0.9, "b": 0.8, "c": 0.7, "d": 0.6}.items())[: 2 if name == "cars" else 4]
        ),
    )
    over = judge(path).result.as_json()["verdict"]
    assert over["word"] == Word.NOT_COMPARABLE
    assert "c and d were not run on cars." in over["reasons"][0]["text"]


# MLflow


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An experiment as somebody else's script would log it, in a home's own store."""
    from mlflow import MlflowClient

    home = home_in(tmp_path_factory.mktemp("foreign"))
    client = MlflowClient(f"sqlite:///{home}/mlruns/mlflow.db")
    papers, stopped, open_, own, older = (
        client.create_experiment(name, artifact_location=(home / name).as_uri())
        for name in ("papers", "stopped", "open", "digits", "older")
    )

    def log(
        status: str = "FINISHED",
        value: float | None = None,
        params: Mapping[str, str] | None = None,
        tags: Mapping[str, str] | None = None,
        number: str = papers,
    ) -> str:
        run = client.create_run(number, tags=dict(tags or {}))
        for key, text in (params or {}).items():
            client.log_param(run.info.run_id, key, text)
        if value is not None:
            client.log_metric(run.info.run_id, "acc", value)
        if status != "RUNNING":
            client.set_terminated(run.info.run_id, status)
        return str(run.info.run_id)

    parent = log(params={"strategy": "parent", "seed": "0"}, value=0.1)
    for name, seed, value in rows({"adam": 0.94, "sgd": 0.91}, n=8):
        said = {"strategy": name, "seed": seed}
        if name == "adam":
            log(value=value, params=said, tags={"mlflow.parentRunId": parent})
        else:
            failed = seed == "7"
            value = math.inf if seed == "6" else value  # the store keeps it as 1.797e308
            log("FAILED" if failed else "FINISHED", None if failed else value, tags=said)
    log(value=0.99)
    for name, seed, value in rows({"adam": 0.94, "sgd": 0.91}, n=8):
        said = {"strategy": name, "seed": seed}
        last = (name, seed) == ("sgd", "7")
        log("KILLED" if last else "FINISHED", value, said, number=stopped)
        log("RUNNING" if last else "FINISHED", value, said, number=open_)
        if not last:
            tags = {"workbench.study": "digits", "workbench.role": "confirmation"}
            log("FINISHED", value, said, tags, number=own)
            log("FINISHED", value, said, {"workbench.role": "search"}, number=older)
    return home


def test_an_experiment_of_mlflow_is_judged(store: Path) -> None:
    judged = elsewhere.judge(
        None, experiment="papers", home=store, metric="acc", smallest_effect=0.01
    )
    verdict = judged.result.as_json()["verdict"]
    sides = {side["name"]: side for side in verdict["sides"]}
    assert set(sides) == {"adam", "sgd"}  # neither the parent nor the nameless run
    assert sides["sgd"]["imputed"] == ["6", "7"]
    assert sides["adam"]["n"] == sides["sgd"]["n"] == 8
    assert all(len(run_id) == 32 for run_id in sides["adam"]["run_ids"])
    assert any(
        "1 run without a param or tag strategy and seed" in note
        for note in judged.result.results.notes
    )


@pytest.mark.parametrize(
    ("experiment", "rule", "said", "note"),
    [
        ("stopped", 5, "sgd was pruned on seed 7.", "is KILLED, so it has no result: pruned."),
        (
            "open",
            6,
            "sgd is not finished on seed 7 (running).",
            "is RUNNING, so it has no result: running.",
        ),
    ],
)
def test_a_run_that_was_stopped_or_goes_on_is_not_left_out(
    experiment: str, rule: int, said: str, note: str, store: Path
) -> None:
    judged = elsewhere.judge(
        None, experiment=experiment, home=store, metric="acc", smallest_effect=0.01
    )
    verdict = judged.result.as_json()["verdict"]
    assert verdict["word"] == Word.NOT_COMPARABLE
    assert (verdict["reasons"][0]["rule"], verdict["comparisons"]) == (rule, [])
    assert said in verdict["headline"]
    assert len(judged.result.results.notes) == 1 and judged.result.results.notes[0].endswith(note)


@pytest.mark.parametrize("experiment", ["digits", "older"])
@pytest.mark.parametrize("metric", ["acc", None])
def test_a_study_of_workbench_is_left_to_its_report(
    experiment: str, metric: str | None, store: Path
) -> None:
    with pytest.raises(ResultsError) as caught:
        elsewhere.judge(None, experiment=experiment, home=store, metric=metric)
    assert str(caught.value) == (
        f"{experiment} is a study of Workbench: workbench report {experiment} says what may be"
        " claimed."
    )


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"experiment": "paper", "metric": "acc"}, "no experiment 'paper'; did you mean papers?"),
        ({"experiment": "papers", "metric": "accu"}, "no metric 'accu'; did you mean acc"),
        ({"experiment": "papers"}, "Name the metric with --metric.*it has acc"),
    ],
)
def test_what_an_experiment_lacks_is_said(given: dict[str, Any], message: str, store: Path) -> None:
    with pytest.raises(ResultsError, match=message):
        elsewhere.judge(None, home=store, **given)


def test_a_store_that_does_not_exist_is_named_and_not_made(
    store: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "sqlite:////nowhere/mlflow.db")
    with pytest.raises(ResultsError, match="There is no MLflow store at /nowhere/mlflow"):
        elsewhere.judge(None, experiment="papers", home=store, metric="acc")
    assert not Path("/nowhere").exists()


def test_a_server_that_does_not_answer_is_told_without_the_password(
    store: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://me:secret@127.0.0.1:9")
    for name in ("USERNAME", "PASSWORD"):  # set from the address
        monkeypatch.setenv(f"MLFLOW_TRACKING_{name}", "")
    with pytest.raises(ResultsError) as caught:
        elsewhere.judge(None, experiment="x", home=store, metric="acc")
    assert "MLflow at http://127.0.0.1:9 cannot be read" in str(caught.value)
    assert "secret" not in str(caught.value)


def test_a_server_that_accepts_and_never_answers_is_given_up(
    store: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_TIMEOUT", "1")
    monkeypatch.delenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", raising=False)
    with socket.create_server(("127.0.0.1", 0)) as server:
        uri = f"http://127.0.0.1:{server.getsockname()[1]}"
        with pytest.raises(ResultsError) as caught:
            monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
            elsewhere.judge(None, experiment="x", home=store, metric="acc")
    assert str(caught.value) == (
        f"MLflow at {uri} cannot be read: it did not answer within 1 s. Check that the server "
        "works; the variable MLFLOW_HTTP_REQUEST_TIMEOUT sets how many seconds to wait."
    )


# Files


def contents(folder: Path) -> dict[str, bytes]:
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def test_everything_is_written_and_twice_the_same(tmp_path: Path) -> None:
    path = table(tmp_path, [*rows({"adam_w": 0.94, "sgd & 50%": 0.91})])
    judged = judge(path, out=tmp_path / "a")
    judge(path, out=tmp_path / "b")
    first, second = contents(tmp_path / "a"), contents(tmp_path / "b")
    assert first == second
    assert judged.page == (tmp_path / "a/index.html").resolve()
    assert json.loads(first["results.json"]) == judged.result.as_json()
    assert {"tables/results.tex", "macros.tex", "figures/forest.pdf"} <= first.keys()
    verdict = judged.result.as_json()["verdict"]
    page = first["index.html"].decode()
    assert verdict["word"] in page and "sgd &amp; 50%" in page
    mean = verdict["sides"][0]["mean"]["estimate"]
    assert f"{mean:.4f}" in page
    assert rf"\resultsAdamWMean}}{{{mean:.4f}}}" in first["macros.tex"].decode()
    data = pd.read_parquet(tmp_path / "a/data/results.parquet")
    assert len(data) == 24 and data["value"].notna().all()


def test_names_cannot_write_the_page(tmp_path: Path) -> None:
    attack = "<script>alert(1)</script>"
    path = table(tmp_path, rows({attack: 0.94, "b": 0.91}))
    page = judge(path, out=tmp_path / "out").page
    assert page is not None
    assert attack not in page.read_text(encoding="utf-8")


def test_tables_for_a_paper_count_the_seeds_on_which_both_are_equal(tmp_path: Path) -> None:
    found = rows({"a": 0.94, "b": 0.91})
    found[12] = ("b", "0", found[0][2])
    judge(table(tmp_path, found), out=tmp_path / "out")
    for name in ("results", "pairwise"):
        assert " 12, equal on 1 " in (tmp_path / f"out/tables/{name}.tex").read_text()


def test_a_folder_of_something_else_is_not_replaced(tmp_path: Path) -> None:
    path = table(tmp_path, rows({"a": 0.94, "b": 0.91}))
    other = tmp_path / "other"
    other.mkdir()
    (other / "thesis.tex").write_text("mine")
    with pytest.raises(FileExistsError, match=r"contains no results\.json"):
        judge(path, out=other)
    out = tmp_path / "out"
    judge(path, out=out)
    (out / "notes.txt").write_text("mine")
    judge(path, out=out)
    assert (out / "notes.txt").read_text() == "mine"


def test_a_folder_that_cannot_be_made_is_named_with_what_to_do(tmp_path: Path) -> None:
    path = table(tmp_path, rows({"a": 0.94, "b": 0.91}))
    code, _, errors = call("verdict", path, "--out", "/proc/x")
    assert code == 4
    assert errors.startswith("/proc/x cannot be written (") and "with --out" in errors


@pytest.mark.skipif(shutil.which("pdflatex") is None, reason="pdflatex is not installed")
def test_several_data_sets_are_written_for_a_paper_that_compiles(tmp_path: Path) -> None:
    names = ["pets_50%", "cars & trucks", *SIX[2:]]
    path = datasets(tmp_path, lambda _: {"a": 0.9, "b": 0.85}, names, n=8)
    out = tmp_path / "out"
    judge(path, out=out)
    for _ in range(2):
        done = subprocess.run(
            ["pdflatex", "-interaction=nonstopmode", "-halt-on-error", "example"],
            cwd=out,
            capture_output=True,
            timeout=60,
            check=False,
        )
        assert done.returncode == 0, done.stdout.decode("latin-1")[-2000:]
    log = (out / "example.log").read_text(encoding="latin-1")
    assert "Overfull" not in log and "undefined" not in log
    assert (out / "figures/critical_difference.pdf").is_file()
    macros = re.findall(r"\\renewcommand\{\\(\w+)\}", (out / "macros.tex").read_text())
    assert len(macros) == len(set(macros))


def test_an_effect_in_percent_of_values_that_are_shares_is_refused(tmp_path: Path) -> None:
    path = table(tmp_path, rows({"a": 0.95, "b": 0.8}))
    with pytest.raises(ResultsError, match=r"smallest effect is 5, .* shares .* 0\.05 for 5 %"):
        judge(path, metric="accuracy", smallest_effect=5.0)


def test_a_value_whose_square_is_no_number_is_named_with_its_line(tmp_path: Path) -> None:
    (_, seed, _), *others = rows({"a": 0.95, "b": 0.8})
    path = table(tmp_path, [("a", seed, 1e300), *others])
    with pytest.raises(ResultsError, match="expected a number within 1e150"):
        judge(path)
