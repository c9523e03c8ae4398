"""What the whole product says of studies whose answer is known: search, confirmation, report."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.support.tiny import Unseen
from workbench import record, report
from workbench.commands import report as publish
from workbench.commands.confirm import confirm_study
from workbench.commands.run import run_study
from workbench.driver.workers import InlineWorkers
from workbench.tracker import Tracker

Write = Callable[..., Path]

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]


@pytest.fixture
def home(stored: Path) -> Path:
    return stored


OPTIMIZERS = "optimizer: [sgd, adamw]\n  freeze_depth: [0, all]"
BUDGET = ("trials_per_strategy: 5", "trials_per_strategy: 2")
CONFIRM = "\nconfirm: {seeds: 7, smallest_effect: 0.02, select: {configs: 2, seeds: 2}}\n"


def confirmed(file: Path, home: Path) -> dict[str, Any]:
    """The content of report.json after search and confirmation."""
    file.write_text(file.read_text() + CONFIRM)
    run_study(file, [], home, InlineWorkers(), Unseen())
    confirm_study(file, [], home, InlineWorkers(), Unseen(), agree=lambda offer: True)
    directory = record.study_directory(home, file.stem)
    return report.compose(publish.material(Tracker(home), file.stem, directory)).summary.content


def test_one_optimizer_under_two_names_is_no_winner(write_study: Write, home: Path) -> None:
    twice = (
        "optimizer:\n"
        "    first: {optimizer: adamw, freeze_depth: 0}\n"
        "    second: {optimizer: adamw, freeze_depth: 0}"
    )
    tuned = ("  momentum: {when: {optimizer: sgd}, low: 0.5, high: 0.99, default: 0.9}\n", "")
    # One trial each, the default: two searches find different settings.
    single = (BUDGET[0], "trials_per_strategy: 1")
    file = write_study((OPTIMIZERS, twice.replace("optimizer:", "name:", 1)), tuned, single)
    content = confirmed(file, home)
    verdict = content["verdict"]
    assert verdict["word"] in ("NARROWED", "INCONCLUSIVE"), verdict["reasons"]
    assert {"first", "second"} <= set(verdict["candidates"])
    pair = next(
        pair
        for pair in verdict["comparisons"]
        if {pair["first"], pair["second"]} == {"first", "second"}
    )
    assert set(pair["differences"]) == {0.0}, "the same seeds give the same runs"


def test_a_planted_gap_is_a_winner(write_study: Write, home: Path) -> None:
    planted = "rate:\n    poor: {learning_rate: 1e-6}\n    good: {learning_rate: 1e-2}"
    ranges = (
        "  learning_rate: {low: 1e-4, high: 1e-1, log: true, default: 1e-2}\n"
        "  momentum: {when: {optimizer: sgd}, low: 0.5, high: 0.99, default: 0.9}\n",
        "  weight_decay: {low: 1e-5, high: 1e-3, log: true, default: 1e-4}\n",
    )
    file = write_study((OPTIMIZERS, planted), ranges, BUDGET, ("epochs: 3", "epochs: 6"))
    content = confirmed(file, home)
    verdict = content["verdict"]
    assert (verdict["word"], verdict["leader"]) == ("WINNER", "good"), verdict["reasons"]
    assert verdict["size"] == "above the smallest effect"
    assert verdict["level"] == "this configuration"
    sides = {side["name"]: side for side in verdict["sides"]}
    pair = next(pair for pair in verdict["comparisons"] if pair["second"] == "poor")
    assert pair["difference"]["estimate"] > 3 * pair["sd"]
    assert sides["good"]["n"] == 7 and len(sides["good"]["run_ids"]) == 7
