"""Shares in percent: everything that is printed is scaled together, and what is stored is not."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path

import pytest

from tests.support import confirmed
from tests.support.pages import files
from workbench import report
from workbench.report import Material, writing
from workbench.report.percent import in_percent, named
from workbench.tracker.stored_study import CitedValue


@pytest.fixture(scope="module")
def material() -> Material:
    """Three strategies of which one is ahead, a failed run and a value from the literature."""
    found = confirmed.material(
        strategies=confirmed.THREE, seeds=10, gap=3, diverged=[("sgd-0", 4)], scored=True
    )
    cited = CitedValue(name="LeNet-5", value=0.9905, sd=0.001, n=5, source="LeCun et al. 1998")
    return replace(found, study=replace(found.study, cited=(cited,)))


@pytest.mark.parametrize(
    ("metric", "name"),
    [
        ("test/accuracy", "test/accuracy (%)"),
        ("validation/micro_f1", "validation/micro_f1 (%)"),
        ("validation/top_error", "validation/top_error"),
        ("test/top_loss", "test/top_loss"),
        ("test/auroc", "test/auroc"),
        ("validation/loss", "validation/loss"),
    ],
)
def test_only_shares_that_papers_print_in_percent_are_scaled(metric: str, name: str) -> None:
    assert named(metric) == name


def test_a_verdict_in_percent_is_the_same_with_all_values_times_100(material: Material) -> None:
    raw = report.compose(material, figures=False).summary
    scaled = report.compose(in_percent(material), figures=False).summary
    one, other = raw.verdict, scaled.verdict
    assert (other.word, other.leader, other.p_win) == (one.word, one.leader, one.p_win)
    assert [pair.p_holm for pair in other.comparisons] == [pair.p_holm for pair in one.comparisons]
    assert (one.smallest_effect, other.smallest_effect) == (0.01, 1.0)
    assert other.metric == "test/accuracy (%)" and other.metric.split(" ")[0] == one.metric
    assert raw.confirmation and scaled.confirmation
    for before, after in zip(raw.confirmation.arms, scaled.confirmation.arms, strict=True):
        assert after.mean == pytest.approx(100 * (before.mean or 0))
        assert after.validation_mean == pytest.approx(100 * (before.validation_mean or 0))
        assert after.p_best == before.p_best
    for row, same in zip(raw.confirmation.selection, scaled.confirmation.selection, strict=True):
        assert same.mean == pytest.approx(100 * (row.mean or 0))
        assert same.values == pytest.approx([100 * (value or 0) for value in row.values])
    assert (scaled.cited[0].value, scaled.cited[0].sd) == pytest.approx((99.05, 0.1))
    assert raw.top and scaled.top and raw.top.value and scaled.top.value
    assert scaled.top.value == pytest.approx(100 * raw.top.value)
    loss = "validation/loss"
    assert scaled.top.metrics[loss] == raw.top.metrics[loss]
    assert [plain.partition(" ")[0] for plain in scaled.metrics] == raw.metrics


def test_page_and_paper_are_in_percent_and_stored_values_are_not(
    material: Material, tmp_path: Path
) -> None:
    composed = report.compose(material, figures=False)
    writing.write(composed, tmp_path / "raw")
    writing.write(composed, tmp_path / "percent", percent=True)
    raw, percent = files(tmp_path / "raw"), files(tmp_path / "percent")
    same = [name for name in raw if name.startswith("data/") or name == "report.json"]
    assert len(same) > 4 and all(raw[name] == percent[name] for name in same)
    leader = json.loads(raw["report.json"])["confirmation"]["arms"][0]
    mean = f"{100 * leader['mean']:.2f}"
    for name in ("index.html", "report.md", "macros.tex", "tables/confirmation.tex"):
        assert mean in percent[name].decode() and mean not in raw[name].decode()
    assert "test accuracy (%)" in percent["index.html"].decode()
    for name in ("index.html", "methods.tex"):
        text = percent[name].decode()
        assert re.search(r"\b1 percentage point\b", text), "not a hundredth of the value"
    candidate = json.loads(raw["report.json"])["confirmation"]["selection"][0]
    searched = f"{100 * candidate['searched']:.2f}"
    assert f">{searched}<" in percent["index.html"].decode()
    assert r"Test accuracy (\%)" in percent["tables/confirmation.tex"].decode()
