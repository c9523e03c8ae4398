"""Checks that runs were made under the same conditions: commit, packages, hardware, and so on.

Used for the trials of a search and for the runs of a confirmation.
"""

from __future__ import annotations

from collections.abc import Sequence

from workbench.messages import joined
from workbench.report.checks import Answer
from workbench.tracker.trial_run import TrialRun
from workbench.verdict import Doubt
from workbench.verdict.guards import provenance
from workbench.verdict.refusals import because

CONDITIONS = ("commit", "packages", "hardware", "threads")


def mixed(runs: Sequence[TrialRun]) -> tuple[Doubt, ...]:
    """A doubt for each condition that differs between runs that have ended.

    And one for runs that ran out of memory and were not trained as planned.
    """
    ended = [run for run in runs if run.ended]
    kinds = {name: [run.provenance.get(name) for run in ended] for name in CONDITIONS}
    doubts = provenance(kinds)
    if halved := [run.name for run in ended if "micro_batch_size" in run.provenance]:
        text = "After running out of memory, trained with half the micro-batch: "
        text += f"{joined(halved)}. Dropout then draws other masks, and batch normalization sees"
        text += " fewer samples at a time."
        doubts += (because(16, None, text),)
    return doubts


def compare(runs: Sequence[TrialRun], noun: str) -> Answer:
    """Whether all runs had the same ``CONDITIONS``.

    Args:
        runs: Those whose numbers are compared.
        noun: The word for a run in the answer.
    """
    recorded = [run for run in runs if run.provenance]
    if not recorded:
        return Answer("not checked", f"No {noun} has recorded its conditions yet.")
    counts = {name: sum(bool(run.provenance.get(name)) for run in recorded) for name in CONDITIONS}
    blank = [name for name, count in counts.items() if not count]
    unknown = f" Not recorded by any {noun}, so not checked: {joined(blank)}." if blank else ""
    warnings = [flag.found or flag.text for flag in mixed(runs)]
    # Two runs may share a commit and still differ in changes that were not committed.
    if dirty := sum(_is_dirty(run) for run in recorded):
        warnings.append(f"{dirty} of {len(runs)} {noun}s used code with uncommitted changes.")
    if warnings:
        return Answer("warning", " ".join(warnings) + unknown)
    by_condition = ", ".join(f"{name} {count}" for name, count in counts.items() if count)
    same = f" Equal in all that recorded it, of {len(runs)} {noun}s: {by_condition}."
    if blank:
        return Answer("not checked", f"{unknown}{same}".strip())
    return Answer("ok", f"Yes.{same}")


def _is_dirty(run: TrialRun) -> bool:
    """Whether the study's code or Workbench's code had uncommitted changes."""
    return any("dirty." in run.provenance.get(name, "") for name in ("commit", "packages"))
