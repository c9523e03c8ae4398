"""From the runs of the selection to the arms of the confirmation, written to ``selection.json``.

Reads values on validation data alone, from the records.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import repeat
from pathlib import Path
from statistics import fmean
from typing import Any

from workbench import record
from workbench.record import (
    Result,
    Role,
    State,
    TrialSpec,
    directory_of,
    spec_from_json,
    to_json,
)
from workbench.study.config.changes import StudyChangedError, file_differences
from workbench.study.config.consistency import BASELINE
from workbench.study.confirm.candidates import plan_text
from workbench.study.confirm.planning import SELECTION, Protocol, baseline_of
from workbench.study.study import Study


@dataclass(frozen=True, kw_only=True)
class Time:
    """When a run began and ended, in seconds since 1970, and how much of it was training."""

    begun: float
    ended: float
    training: float

    @property
    def overhead(self) -> float:
        """Seconds for libraries, data and writing."""
        return self.ended - self.begun - self.training


@dataclass(frozen=True, kw_only=True)
class CandidateRuns:
    """What the selection's runs of one candidate reached.

    Attributes:
        spec: Of the search trial.
        values: On validation data, by seed; None where the run failed or diverged.
        mean: With the worst value for each that failed; None where there is no worst value.
        seconds: Mean time that a run which completed has trained.
        times: Of those that one attempt has completed.
        trainable: Number of trainable parameters; None where no run completed.
    """

    spec: TrialSpec
    values: tuple[float | None, ...]
    mean: float | None
    seconds: float | None
    times: tuple[Time, ...]
    trainable: int | None


@dataclass(frozen=True, kw_only=True)
class Arm:
    """A configuration that is tested.

    Attributes:
        spec: What its runs are made from, but for seed and number.
        baseline: It is the default configuration.
        values: What its selection runs reached; empty of a default that was no candidate.
    """

    name: str
    spec: TrialSpec
    baseline: bool
    values: tuple[float | None, ...] = ()


@dataclass(frozen=True, kw_only=True)
class SelectionOutcome:
    """A finished selection.

    Attributes:
        runs: Of every strategy, its candidates in the order of the protocol.
        chosen: The candidate of every strategy that is to stand for it.
        finalists: Strategies that are tested, in the order of the study file.
        arms: What is tested.
        default_is: The strategy whose chosen configuration is the default one, if any is.
    """

    runs: Mapping[str, tuple[CandidateRuns, ...]]
    chosen: Mapping[str, CandidateRuns]
    finalists: tuple[str, ...]
    arms: tuple[Arm, ...]
    default_is: str | None

    @property
    def usable(self) -> bool:
        """Whether any run has completed."""
        return any(v is not None for found in self.runs.values() for c in found for v in c.values)

    @property
    def content(self) -> dict[str, Any]:
        """What the file says."""
        content = {
            "chosen": {
                name: {
                    "candidate": one.spec.number,
                    "trial": one.spec.name,
                    "hyperparameters": dict(one.spec.hyperparameters),
                    "values": list(one.values),
                    "mean": one.mean,
                    "cost_seconds": one.seconds,
                }
                for name, one in self.chosen.items()
            },
            "runs": {
                name: [
                    {"candidate": one.spec.number, "values": list(one.values), "mean": one.mean}
                    for one in found
                ]
                for name, found in self.runs.items()
            },
            "finalists": list(self.finalists),
            "arms": [
                {
                    "name": arm.name,
                    "strategy": arm.spec.strategy,
                    "levels": dict(arm.spec.levels),
                    "hyperparameters": dict(arm.spec.hyperparameters),
                    "baseline": arm.baseline,
                }
                for arm in self.arms
            ],
            "default_is": self.default_is,
        }
        return dict(record.plain(content))


def choose(study: Study, protocol: Protocol) -> SelectionOutcome:
    """What is tested, by the records of a selection whose runs have all ended.

    The candidate with the best mean is chosen. Ties go to fewer trainable parameters, then to
    fewer epochs, then to the earlier trial; measured seconds would not be reproducible.
    """
    config, runs = study.config, _runs(protocol, study.directory)
    sign = -1 if config.objective.direction == "maximize" else 1

    def order(one: CandidateRuns) -> tuple[float, float, int, int]:
        mean = math.inf if one.mean is None else sign * one.mean
        size = math.inf if one.trainable is None else one.trainable
        return (mean, size, one.spec.plan.epochs, one.spec.number)

    chosen = {name: min(found, key=order) for name, found in runs.items()}
    # Without the number, which says nothing between strategies: ties keep the order of the file.
    best = sorted(chosen, key=lambda name: order(chosen[name])[:3])
    finalists = [name for name in chosen if name in best[: config.finalists or len(best)]]
    baseline = _baseline(study)
    same = [name for name in finalists if plan_text(chosen[name].spec) == plan_text(baseline)]
    if config.added:
        same = []  # What is added is compared with the default that its study has tested.
    default_is = baseline.strategy if baseline.strategy in same else next(iter(same), None)
    arms = [
        Arm(
            name=name,
            spec=chosen[name].spec,
            baseline=name == default_is,
            values=chosen[name].values,
        )
        for name in finalists
    ]
    if default_is is None and config.added is None:
        arms.append(Arm(name=BASELINE, spec=baseline, baseline=True))
    return SelectionOutcome(
        runs=runs,
        chosen=chosen,
        finalists=tuple(finalists),
        arms=tuple(arms),
        default_is=default_is,
    )


def _baseline(study: Study) -> TrialSpec:
    """The default configuration as a search trial, as its record would read back."""
    proposal = baseline_of(study.config)
    spec = study.spec(proposal, role=Role.SEARCH, group=proposal.strategy.name, number=0)
    return spec_from_json(to_json(spec))


def _runs(protocol: Protocol, directory: Path) -> dict[str, tuple[CandidateRuns, ...]]:
    """What the selection's runs reached, by strategy; a failed run counts with the worst value.

    That is the bound of the metric, where it has one, else the worst that any run has reached.
    """
    seeds = range(len(protocol.content["selection"]["seeds"]))
    results = {
        name: [[_result(spec, name, number, directory) for number in seeds] for spec in candidates]
        for name, candidates in protocol.candidates.items()
    }
    upwards = protocol.content["direction"] == "maximize"
    worst = protocol.content["bounds"][0 if upwards else 1]
    if worst is None:
        values = [_value(r) for found in results.values() for runs in found for r in runs]
        seen = [value for value in values if value is not None]
        worst = (min if upwards else max)(seen, default=None)
    return {
        name: tuple(map(_chosen, candidates, results[name], repeat(worst)))
        for name, candidates in protocol.candidates.items()
    }


def _chosen(
    spec: TrialSpec, results: Sequence[Result | None], worst: float | None
) -> CandidateRuns:
    values = tuple(_value(result) for result in results)
    counted = [worst if value is None else value for value in values]
    complete = [r for r in results if r is not None and r.state is State.COMPLETE]
    return CandidateRuns(
        spec=spec,
        values=values,
        mean=None if None in counted else fmean(v for v in counted if v is not None),
        seconds=fmean(r.seconds for r in complete) if complete else None,
        times=tuple(
            Time(begun=r.started / 1000, ended=r.ended / 1000, training=r.seconds)
            for r in complete
            if r.attempt == 1
        ),
        trainable=complete[0].parameters.get("trainable") if complete else None,
    )


def _result(spec: TrialSpec, strategy: str, number: int, directory: Path) -> Result | None:
    run = replace(spec, role=Role.SELECTION, group=f"{strategy}/{spec.number:03d}", number=number)
    return directory_of(directory, run).result()


def _value(result: Result | None) -> float | None:
    return result.value if result is not None and result.state is State.COMPLETE else None


def write_selection(selected: SelectionOutcome, directory: Path, file: Path) -> str:
    """Write what the selection has chosen once, or compare it with what was written before.

    Args:
        selected: By the records as they are.
        directory: The study's directory; the caller holds its lease.
        file: The study file, for the message.

    Returns:
        The file's text.

    Raises:
        StudyChangedError: Another choice was written: it, or a record, has been edited since.
    """
    path = directory / SELECTION
    text = json.dumps(selected.content, indent=1) + "\n"
    if path.exists():
        lines = file_differences(path, text.encode())
        if lines:
            raise StudyChangedError.in_lines(
                f"{file}: {path} differs from the records of the selection",
                lines,
                "What was chosen is fixed before the test. Restore the file and the records, or "
                "give the study a new name.",
            )
        return text
    record.write_atomically(path, text.encode())
    return text
