"""The report's ``confirmation``: each arm with its runs, what the selection did, what it all cost.

Describes; which arm stands out is taken over from the verdict. While runs are open it holds no
test value.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

from workbench.record import State
from workbench.report.results import (
    ArmResult,
    CandidateResult,
    ConfirmationResult,
    SeedResult,
    Versus,
)
from workbench.report.runs import Arm, Confirmation
from workbench.report.wording import COMPARED, known
from workbench.tracker.trial_run import TrialRun
from workbench.verdict import Comparison, Evidence, Side, Verdict, Word, comparing, table
from workbench.verdict.contrast import ALL, BASELINE
from workbench.verdict.statistics.values import differences, moments


def summarize(
    confirmation: Confirmation,
    evidence: Evidence,
    verdict: Verdict,
    *,
    search_seconds: Mapping[str, float],
    sha256: str | None,
) -> ConfirmationResult:
    """The confirmation as a report shows it.

    Args:
        confirmation: As it was read.
        evidence: What was gathered of it.
        verdict: Reached from that evidence.
        search_seconds: Of all search trials of each strategy.
        sha256: Of the protocol that the confirmation began with.
    """
    protocol, chosen = confirmation.protocol, confirmation.chosen
    arms = _arms(confirmation, evidence, verdict, search_seconds)
    selection = (run for runs in confirmation.selection.values() for run in runs)
    return ConfirmationResult(
        finished=confirmation.finished,
        selected=chosen is not None,
        done=confirmation.done,
        planned=confirmation.planned,
        metric=protocol.metric,
        validation_metric=protocol.validation_metric,
        direction=protocol.direction,
        smallest_effect=protocol.smallest_effect,
        alpha=protocol.alpha,
        gamma=protocol.gamma,
        bounds=protocol.bounds,
        n=len(protocol.seeds),
        seeds=protocol.seeds,
        seeds_floor=protocol.seeds_floor,
        protocol_sha256=sha256,
        contrast=protocol.contrast,
        pairs=protocol.pairs,
        epoch=protocol.epoch,
        default_is=chosen.default_is if chosen else None,
        finalists=protocol.finalists,
        not_comparable=protocol.not_comparable,
        arms=tuple(arms),
        imputed=sum(run.imputed for arm in arms for run in arm.runs),
        failed=sum(arm.failed for arm in arms),
        pruned=sum(arm.pruned for arm in arms),
        selection=tuple(_candidates(confirmation)),
        selection_configs=protocol.selection_configs,
        selection_seeds=protocol.selection_seeds,
        beyond=len(confirmation.beyond),
        cost={
            "search_seconds": math.fsum(search_seconds.values()),
            "selection_seconds": _seconds(selection),
            "confirmation_seconds": _seconds((*confirmation.runs, *confirmation.beyond)),
        },
        test_samples=protocol.test_samples,
        test_digest=protocol.test_digest,
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
        own_search = not protocol.joint and arm.name == arm.plan.strategy
        seconds = search_seconds.get(arm.plan.strategy) if own_search else None
        arms.append(_arm(confirmation, arm, sides.get(arm.name), seconds))
    if not confirmation.finished:
        return arms
    arms = _compared(arms, protocol.maximizes, verdict)
    if verdict.word is Word.NOT_COMPARABLE:
        return arms
    sign = -1 if protocol.maximizes else 1
    # The best first: the order is a fact, and what it means is the verdict's to say.
    return sorted(arms, key=lambda arm: math.inf if arm.mean is None else sign * arm.mean)


def _arm(
    confirmation: Confirmation, arm: Arm, side: Side | None, search_seconds: float | None
) -> ArmResult:
    seeds = confirmation.protocol.seeds
    runs = [arm.runs[seed] for seed in seeds if seed in arm.runs]
    chosen = confirmation.chosen.chosen.get(arm.name) if confirmation.chosen else None
    selected = [
        run
        for group, found in confirmation.selection.items()
        if group.rpartition("/")[0] == arm.name
        for run in found
    ]
    result = ArmResult(
        name=arm.name,
        strategy=arm.plan.strategy,
        levels=arm.plan.levels,
        baseline=arm.plan.baseline,
        trial=chosen.trial if chosen else None,
        hyperparameters=arm.plan.hyperparameters,
        failed=sum(run.state == State.FAILED for run in runs),
        pruned=sum(run.state == State.PRUNED for run in runs),
        trainable=max((run.trainable for run in runs if run.trainable), default=None),
        # A run that failed took as long as it took to fail, which is no cost of the arm.
        seconds_mean=_mean(run.seconds for run in runs if run.state == State.COMPLETE),
        search_seconds=search_seconds,
        selection_seconds=_seconds(selected) if selected else None,
        confirmation_seconds=_seconds(runs),
        peak_memory=max((run.peak_memory for run in runs if run.peak_memory), default=None),
        runs=tuple(map(_open, runs)),
    )
    return result if side is None else _measured(confirmation, result, runs, side)


def _open(run: TrialRun) -> SeedResult:
    """A run without its values, which are shown when all runs have ended."""
    return SeedResult(
        seed=run.seed,
        run_id=run.run_id,
        number=run.number,
        state=run.state,
        reason=run.reason,
        seconds=run.seconds,
    )


def _measured(
    confirmation: Confirmation, arm: ArmResult, runs: Sequence[TrialRun], side: Side
) -> ArmResult:
    """The arm with its values as the verdict counts them, and the gap to validation."""
    protocol = confirmation.protocol
    results = tuple(
        replace(
            result,
            value=run.test.get(protocol.metric),
            validation=run.value,
            metrics=dict(sorted(run.test.items())),
            counted=counted,
            imputed=seed in side.imputed,
        )
        for result, run, seed, counted in zip(
            arm.runs, runs, protocol.seeds, side.values, strict=True
        )
    )
    both = [
        (result.validation, result.value)
        for result in results
        if result.validation is not None and result.value is not None
    ]
    return replace(
        arm,
        n=side.n,
        mean=side.mean.estimate if side.mean else None,
        low=known(side.mean.low) if side.mean else None,
        high=known(side.mean.high) if side.mean else None,
        sd=side.sd,
        validation_mean=_mean(validation for validation, _ in both),
        validation_gap=moments(differences(*zip(*both, strict=True)))[0] if both else None,
        runs=results,
    )


def _sides(evidence: Evidence, verdict: Verdict) -> dict[str, Side]:
    """Each arm as the verdict counts it; where that is about levels, by the same functions."""
    if verdict.contrast in (ALL, BASELINE):
        return {side.name: side for side in verdict.sides}
    rows = table.read(evidence).rows
    return {row.name: comparing.side(row, evidence.design, shown=True) for row in rows}


def _compared(arms: list[ArmResult], maximizes: bool, verdict: Verdict) -> list[ArmResult]:
    """Arms with the best mean marked, what is not separated from it, and each against one arm."""
    pairs = {frozenset((pair.first, pair.second)): pair for pair in verdict.comparisons}
    sign = 1 if maximizes else -1
    means = [(sign * arm.mean, arm) for arm in arms if arm.mean is not None]
    if not means:
        return arms
    _, top = max(means, key=lambda item: item[0])
    marked = verdict.word in COMPARED
    base = next((arm for arm in arms if arm.baseline), None)
    reference = base if verdict.contrast == BASELINE else top
    found = []
    for arm in arms:
        to_top = pairs.get(frozenset((arm.name, top.name)))
        tied = arm is not top and to_top is not None and not to_top.beaten
        pair = None
        if reference is not None and arm is not reference:
            pair = pairs.get(frozenset((arm.name, reference.name)))
        found.append(
            replace(
                arm,
                best=marked and arm is top,
                tied_with_best=marked and verdict.contrast == ALL and tied,
                versus=None if pair is None else _versus(arm.name, pair, maximizes),
            )
        )
    return found


def _versus(name: str, pair: Comparison, maximizes: bool) -> Versus:
    """A comparison from one arm's side, as its value minus the other's."""
    seen = pair if pair.first == name else pair.flipped()
    # A comparison says how far its first is ahead, whatever the metric's direction.
    sign = 1 if maximizes else -1
    low, high = sorted((sign * seen.difference.low, sign * seen.difference.high))
    ahead = seen.improvement
    return Versus(
        name=seen.second,
        difference=sign * seen.difference.estimate,
        low=low,
        high=high,
        p_holm=seen.p_holm,
        p_equivalence=seen.p_equivalence,
        improvement={"estimate": ahead.estimate, "low": ahead.low, "high": ahead.high},
    )


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
