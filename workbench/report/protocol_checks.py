"""Whether the protocols of a confirmation were fixed before its runs, by their SHA-256."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from workbench.messages import listed
from workbench.report.material import Material
from workbench.report.runs import Confirmation
from workbench.tracker.trial_run import TrialRun
from workbench.verdict.wording.numbers import counted


class ProtocolProblem(NamedTuple):
    """A reason why the plan may have changed after the start, and the runs that show it."""

    text: str
    runs: tuple[TrialRun, ...] = ()


def protocol_problems(material: Material, confirmation: Confirmation) -> list[ProtocolProblem]:
    """Signs that the protocol, or that of a second look, was not fixed before its runs."""
    study, second = material.study, material.study.second_look
    first = _File(
        name="protocol.json",
        logged=study.protocol_logged,
        stored=study.protocol_sha256,
        on_disk=material.protocol_on_disk,
    )
    planned = confirmation.protocol
    seeds = planned.seeds[: planned.seeds_by_look[0]]
    runs = [arm.runs[seed] for arm in confirmation.arms for seed in seeds if seed in arm.runs]
    problems = [*_not_fixed(first, runs)]
    if second is None:
        return problems
    own = _File(
        name="protocol-2.json",
        logged=second.logged,
        stored=second.sha256,
        on_disk=material.second_on_disk,
    )
    added = (run for run in confirmation.runs if run not in runs)
    problems += _not_fixed(own, [*added, *confirmation.later])
    if second.protocol.get("amends") != first.expected:
        text = "protocol-2.json was written for another protocol.json than the one of this study."
        problems.append(ProtocolProblem(text))
    return problems


@dataclass(frozen=True, kw_only=True)
class _File:
    """SHA-256 of a protocol: when its runs began, in MLflow now, and in the study's folder now."""

    name: str
    logged: str | None
    stored: str | None
    on_disk: str | None

    @property
    def expected(self) -> str | None:
        return self.logged or self.stored


def _not_fixed(file: _File, runs: Sequence[TrialRun]) -> Iterator[ProtocolProblem]:
    """Signs that a file was changed after the runs that it planned had begun."""
    if not file.logged:
        text = f"No SHA-256 of {file.name} was logged, so it may have been written later."
        yield ProtocolProblem(text)
    for place, digest in (("in MLflow", file.stored), ("on disk", file.on_disk)):
        if file.logged and digest and digest != file.logged:
            text = (
                f"{file.name} {place} was edited after the confirmation began: its SHA-256 is"
                f" {digest[:12]}, {file.logged[:12]} was logged."
            )
            yield ProtocolProblem(text)
    expected = file.expected
    other = tuple(run for run in runs if run.protocol and run.protocol != expected)
    if expected and other:
        text = (
            f"{counted(len(other), 'confirmation run')} of {len(runs)} used a different"
            f" {file.name} than the one that was logged ({expected[:12]})."
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
