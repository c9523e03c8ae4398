"""What the numbers of runs depend on besides their plans: the same for all runs, or not.

Used for the trials of a search and for the runs of a confirmation alike.
"""

from __future__ import annotations

from collections.abc import Sequence

from workbench.report.checks import Answer
from workbench.tracker.trial_run import TrialRun
from workbench.verdict import Doubt
from workbench.verdict.guards import provenance
from workbench.verdict.wording.numbers import listed

CONDITIONS = ("commit", "packages", "hardware", "threads")


def mixed(runs: Sequence[TrialRun]) -> tuple[Doubt, ...]:
    """Flags for the conditions that differ between runs that have ended."""
    ended = [run for run in runs if run.ended]
    return provenance({name: [run.provenance.get(name) for run in ended] for name in CONDITIONS})


def compare(runs: Sequence[TrialRun], noun: str) -> Answer:
    """Whether all runs had the same ``CONDITIONS``.

    Args:
        runs: Those whose numbers are compared.
        noun: What a run is called.
    """
    known = [run for run in runs if run.provenance]
    if not known:
        return Answer("not checked", f"No {noun} has recorded where it comes from yet.")
    counts = {name: sum(bool(run.provenance.get(name)) for run in known) for name in CONDITIONS}
    blank = [name for name, count in counts.items() if not count]
    unknown = f" Not recorded by any {noun}, so not checked: {listed(blank)}." if blank else ""
    found = [flag.found or flag.text for flag in mixed(runs)]
    if dirty := sum(_is_dirty(run) for run in known):
        found.append(f"{dirty} of {len(runs)} {noun}s used code with uncommitted changes.")
    if found:
        return Answer("warning", " ".join(found) + unknown)
    said = ", ".join(f"{name} {count}" for name, count in counts.items() if count)
    same = f" The same in all that recorded it, of {len(runs)} {noun}s: {said}."
    if blank:
        return Answer("not checked", f"{unknown}{same}".strip())
    return Answer("ok", f"Yes.{same}")


def _is_dirty(run: TrialRun) -> bool:
    """Whether the study's code or Workbench's own differed from its commit."""
    return any("dirty." in run.provenance.get(name, "") for name in ("commit", "packages"))
