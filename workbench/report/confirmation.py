"""The report's ``confirmation``: each arm with its runs, the selection, and the costs.

The verdict decides which arm is marked. While runs are unfinished there is no test value here.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence

from workbench.record import State
from workbench.report import wording
from workbench.report.results import (
    ArmResult,
    CandidateResult,
    ConfirmationResult,
    Row,
    SeedResult,
)
from workbench.report.runs import Arm, Confirmation
from workbench.tracker.trial_run import TrialRun
from workbench.verdict import Evidence, Side, Verdict, Word, comparing, table
from workbench.verdict.contrast import ALL, BASELINE
from workbench.verdict.statistics.values import differences, moments


def summarize(
    confirmation: Confirmation,
    evidence: Evidence,
    verdict: Verdict,
    *,
    search_seconds: Mapping[str, float],
    sha256: Sequence[str | None],
) -> ConfirmationResult:
    """The confirmation as a report shows it.

    Args:
        confirmation: As read from the study.
        evidence: Of the confirmation.
        verdict: Of that evidence.
        search_seconds: Of all search trials, by strategy.
        sha256: Of the protocol as it was when the confirmation began, and of the second look's.
    """
    first, second = sha256
    protocol, chosen = confirmation.protocol, confirmation.chosen
    arms = _arms(confirmation, evidence, verdict, search_seconds)
    selection = (run for runs in confirmation.selection.values() for run in runs)
    return ConfirmationResult(
        protocol=protocol,
        protocol_sha256=first,
        protocol_2_sha256=second,
        finished=confirmation.finished,
        selected=chosen is not None,
        done=confirmation.done,
        planned=confirmation.planned,
        default_is=chosen.default_is if chosen else None,
        arms=tuple(arms),
        levels=tuple(wording.rows(verdict)) if verdict.contrast not in (ALL, BASELINE) else (),
        imputed=sum(run.imputed for arm in arms for run in arm.runs),
        failed=sum(arm.failed for arm in arms),
        pruned=sum(arm.pruned for arm in arms),
        selection=tuple(_candidates(confirmation)),
        beyond=len(confirmation.beyond),
        cost={
            "search_seconds": math.fsum(search_seconds.values()),
            "selection_seconds": _seconds(selection),
            "confirmation_seconds": _seconds(
                (*confirmation.runs, *confirmation.later, *confirmation.beyond)
            ),
        },
    )


def _arms(
    confirmation: Confirmation,
    evidence: Evidence,
    verdict: Verdict,
    search_seconds: Mapping[str, float],
) -> list[ArmResult]:
    protocol = confirmation.protocol
    sides = _sides(evidence, verdict) if confirmation.finished else {}
    arms = []
    for arm in confirmation.arms:
        # The time of a joint search cannot be divided among strategies; the default had none.
        own_search = not protocol.joint and arm.name == arm.plan.strategy
        seconds = search_seconds.get(arm.plan.strategy) if own_search else None
        arms.append(_arm(confirmation, arm, sides.get(arm.name), seconds))
    if not sides:
        return arms
    sign = 1 if protocol.maximizes else -1
    means = {arm.name: sign * arm.mean for arm in arms if arm.mean is not None}
    if means:
        # A verdict on a factor has a level as its leader.
        top = verdict.leader if verdict.leader in means else max(means, key=means.__getitem__)
        best = top if verdict.word in wording.COMPARED else None
        arms = [wording.marked(arm, verdict, best) for arm in arms]
    if verdict.word is Word.NOT_COMPARABLE:
        return arms
    # Ordered by mean whatever the verdict is: an order of means claims nothing.
    return sorted(arms, key=lambda arm: -means.get(arm.name, -math.inf))


def _arm(
    confirmation: Confirmation, arm: Arm, side: Side | None, search_seconds: float | None
) -> ArmResult:
    """An arm as the verdict counts it; without values before there is a side."""
    protocol = confirmation.protocol
    by_seed = {seed: arm.runs[seed] for seed in protocol.seeds if seed in arm.runs}
    runs = [*by_seed.values()]
    chosen = confirmation.chosen.chosen.get(arm.name) if confirmation.chosen else None
    selected = [
        run
        for group, candidate_runs in confirmation.selection.items()
        if group.rpartition("/")[0] == arm.name
        for run in candidate_runs
    ]
    counted = dict(zip(protocol.seeds, side.values, strict=True)) if side else {}
    results = [
        SeedResult(
            seed=run.seed,
            run_id=run.run_id,
            number=run.number,
            state=run.state,
            reason=run.reason,
            value=run.test.get(protocol.metric) if side else None,
            counted=counted.get(seed),
            imputed=side is not None and seed in side.imputed,
            validation=run.value if side else None,
            seconds=run.seconds,
            metrics=dict(sorted(run.test.items())) if side else {},
        )
        for seed, run in by_seed.items()
    ]
    row = wording.row(side) if side else Row(name=arm.name, baseline=arm.plan.baseline)
    # Over the same runs, or a failed run would shift one of the two means.
    both = [
        (result.validation, result.value)
        for result in results
        if result.validation is not None and result.value is not None
    ]
    counts = {
        "failed": sum(run.state == State.FAILED for run in runs),
        "pruned": sum(run.state == State.PRUNED for run in runs),
    }
    return ArmResult(
        **(vars(row) | counts),
        strategy=arm.plan.strategy,
        levels=arm.plan.levels,
        trial=chosen.trial if chosen else None,
        hyperparameters=arm.plan.hyperparameters,
        validation_mean=_mean(validation for validation, _ in both),
        validation_gap=moments(differences(*zip(*both, strict=True)))[0] if both else None,
        trainable=max((run.trainable for run in runs if run.trainable), default=None),
        # How long a failed run took before it failed says nothing about the arm's cost.
        seconds_mean=_mean(run.seconds for run in runs if run.state == State.COMPLETE),
        search_seconds=search_seconds,
        selection_seconds=_seconds(selected) if selected else None,
        confirmation_seconds=_seconds(runs),
        peak_memory=max((run.peak_memory for run in runs if run.peak_memory), default=None),
        runs=tuple(results),
    )


def _sides(evidence: Evidence, verdict: Verdict) -> dict[str, Side]:
    """Each arm as the verdict counts it."""
    if verdict.contrast in (ALL, BASELINE):
        return {side.name: side for side in verdict.sides}
    # A verdict on a factor has its levels as sides, so the arms are computed here.
    rows = table.read(evidence).rows
    return {row.name: comparing.side(row, evidence.design, shown=True) for row in rows}


def _candidates(confirmation: Confirmation) -> Iterable[CandidateResult]:
    """Each candidate of each strategy, with its values on validation by seed."""
    chosen = confirmation.chosen
    for strategy, candidates in confirmation.protocol.candidates.items():
        own = chosen.chosen.get(strategy) if chosen else None
        for candidate in candidates:
            number = candidate.number
            runs = confirmation.selection.get(f"{strategy}/{number:03d}", ())
            yield CandidateResult(
                strategy=strategy,
                candidate=number,
                trial=candidate.trial,
                searched=candidate.value,
                values=tuple(run.value for run in runs),
                mean=chosen.means.get((strategy, number)) if chosen else None,
                chosen=own is not None and own.candidate == number,
                run_ids=tuple(run.run_id for run in runs),
            )


def _seconds(runs: Iterable[TrialRun]) -> float:
    return math.fsum(run.seconds for run in runs if run.seconds is not None)


def _mean(values: Iterable[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return math.fsum(known) / len(known) if known else None
