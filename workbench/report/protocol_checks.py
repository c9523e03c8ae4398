"""Whether the protocols of a confirmation were fixed before its runs, by their SHA-256."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from workbench.messages import counted, listed
from workbench.report.material import Material
from workbench.report.runs import Confirmation
from workbench.tracker.trial_run import TrialRun


class ProtocolProblem(NamedTuple):
    """A reason why the plan may have changed after the start, and the runs that show it."""

    text: str
    runs: tuple[TrialRun, ...] = ()


def protocol_problems(material: Material, confirmation: Confirmation) -> list[ProtocolProblem]:
    """Signs that the protocol, or that of a second look, was not fixed before its runs."""
    study, second = material.study, material.study.second_look
    logged, stored = study.protocol_logged, study.protocol_sha256
    planned = confirmation.protocol
    seeds = planned.seeds[: planned.seeds_by_look[0]]
    runs = [arm.runs[seed] for arm in confirmation.arms for seed in seeds if seed in arm.runs]
    problems = [*_not_fixed("protocol.json", logged, stored, material.protocol_on_disk, runs)]
    if second is None:
        return problems
    added = [*(run for run in confirmation.runs if run not in runs), *confirmation.later]
    on_disk = material.second_on_disk
    problems += _not_fixed("protocol-2.json", second.logged, second.sha256, on_disk, added)
    if second.protocol.get("amends") != (logged or stored):
        text = "protocol-2.json was written for another protocol.json than the one of this study."
        problems.append(ProtocolProblem(text))
    return problems


def _not_fixed(
    name: str,
    logged: str | None,
    stored: str | None,
    on_disk: str | None,
    runs: Sequence[TrialRun],
) -> Iterator[ProtocolProblem]:
    """Signs that a protocol was changed after the runs that it planned had begun.

    Args:
        name: Of the file.
        logged: Its SHA-256 when its runs began.
        stored: Of the file in MLflow now.
        on_disk: Of the file in the study's folder now.
        runs: Those that it planned.
    """
    if not logged:
        text = f"No SHA-256 of {name} was logged, so it may have been written later."
        yield ProtocolProblem(text)
    for place, digest in (("in MLflow", stored), ("on disk", on_disk)):
        if logged and digest and digest != logged:
            text = (
                f"{name} {place} was edited after the confirmation began: its SHA-256 is"
                f" {digest[:12]}, {logged[:12]} was logged."
            )
            yield ProtocolProblem(text)
    expected = logged or stored
    other = tuple(run for run in runs if run.protocol and run.protocol != expected)
    if expected and other:
        text = (
            f"{counted(len(other), 'confirmation run')} of {len(runs)} used a different"
            f" {name} than the one that was logged ({expected[:12]})."
        )
        yield ProtocolProblem(text, other)
    blank = tuple(run for run in runs if run.ended and not run.protocol)
    if blank:
        text = (
            f"{counted(len(blank), 'confirmation run')} of {len(runs)} ended without the hash of a"
            f" protocol ({named(blank)}), so it may have been written later."
        )
        yield ProtocolProblem(text, blank)


def named(runs: Sequence[TrialRun]) -> str:
    """The first three of some runs by their names."""
    return listed((run.name for run in runs), 3)
