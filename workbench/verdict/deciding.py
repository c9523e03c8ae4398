"""From evidence to a verdict with its sentences: checks, comparison, decision, seeds needed."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from statistics import fmean

from workbench.messages import joined
from workbench.verdict import contrast
from workbench.verdict.comparing import sign_draws
from workbench.verdict.conclusion import build, conclude
from workbench.verdict.contrast import Contrast
from workbench.verdict.evidence import Arm, Design, Doubt, Evidence, Stage, corrected
from workbench.verdict.factors import effects
from workbench.verdict.judgement import Level, SeedPlan, Side, Verdict, Word
from workbench.verdict.refusals import because
from workbench.verdict.statistics import paired, planning
from workbench.verdict.table import Table, read
from workbench.verdict.wording import wording, words
from workbench.verdict.wording.numbers import fixed, measured

_MISSED = 0.2  # chance that the seeds of a plan do not find the smallest effect


def decide(evidence: Evidence, *, draws: int = 10_000) -> Verdict:
    """The verdict that the evidence allows; see ``workbench.verdict.decide``."""
    search = evidence.stage == Stage.SEARCH
    verdict = _of_search(evidence) if search else _of_arms(evidence, draws)
    open_ended = verdict.word in (Word.NARROWED, Word.INCONCLUSIVE)
    # With a look left, what is good enough may still be shown to be the winner.
    open_ended |= verdict.word == Word.GOOD_ENOUGH and verdict.look_left
    plan = tuple(_plans(verdict, evidence)) if open_ended else ()
    verdict = replace(verdict, absent=evidence.absent, caveat=evidence.caveat, plan=plan)
    return wording.worded(replace(verdict, fresh=_fresh(verdict)))


def _of_search(evidence: Evidence) -> Verdict:
    """EXPLORATORY, whatever the values of the search are, unless a doubt makes it NOT COMPARABLE.

    No mean, no interval and no p value: trials are proposed one after another, differ in their
    hyperparameters, and each strategy shows the best of its own.

    Sides are in the order of their best trial. A pruned, failed or unfinished trial has no value.
    """
    trials = sum(len(arm.runs) for arm in evidence.arms)
    found = f"All values come from the search: {trials} trials of {len(evidence.arms)} strategies."
    if not any(run.measured for arm in evidence.arms for run in arm.runs):
        found = f"There was only a search, and none of its {trials} trials has a value."
    doubts = [*evidence.doubts, because(1, Word.EXPLORATORY, found)]
    counts = {arm.name: len(arm.runs) for arm in evidence.arms}
    if len(set(counts.values())) > 1:
        numbers = ", ".join(f"{name} {count}" for name, count in counts.items())
        doubts.append(
            because(4, None, f"The strategies have different numbers of trials ({numbers}).")
        )
    sign = -1.0 if evidence.design.direction == "maximize" else 1.0

    def best(side: Side) -> float:
        return min((sign * value for value in side.values if value is not None), default=math.inf)

    sides = sorted(map(_side, evidence.arms), key=best)
    return build(evidence.design, doubts, stage=evidence.stage, sides=sides)


def _side(arm: Arm) -> Side:
    values = [run.value if run.measured else None for run in arm.runs]
    return Side(
        name=arm.name,
        values=tuple(values),
        run_ids=tuple(run.run_id for run in arm.runs if run.run_id),
        imputed=(),
        n=sum(value is not None for value in values),
        mean=None,
        sd=None,
        baseline=arm.baseline,
    )


def _of_arms(evidence: Evidence, draws: int) -> Verdict:
    """The verdict on test values by seed."""
    design, table = evidence.design, read(evidence)
    compared = contrast.of(design, table)
    doubts = (
        *evidence.doubts,
        *table.doubts,
        *compared.doubts,
        *_absent(evidence),
        *_better_baseline(design, table, compared),
    )
    flips = sign_draws(len(compared.pairs), design.alpha)
    verdict = conclude(
        compared,
        design,
        doubts,
        stage=evidence.stage,
        level=Level.CONFIGURATION,
        seeds=table.seeds,
        shown=not table.hidden,
        test=partial(paired.sign_flip, draws=flips),
        draws=draws,
    )
    if verdict.leader is None:
        return verdict
    planned = design.effects and design.contrast == contrast.ALL
    found = effects(table.rows, design) if planned else ()
    failed = any(row.imputed for row in table.rows)
    assumptions = tuple(_assumptions(verdict, failed=failed))
    return replace(verdict, effects=found, assumptions=assumptions)


def _assumptions(verdict: Verdict, *, failed: bool) -> Iterator[str]:
    """How well the values meet what the rule assumes: symmetric differences, and no rare failure.

    The rates are those of docs/verdict_validation.md.

    Source:
        Joanes and Gill (1998), Comparing measures of sample skewness and kurtosis, J. R. Stat. Soc.
        D 47, for the standard error of the skewness of normal values.
    """
    n = len(verdict.seeds)
    if n > 2:
        error = math.sqrt(6 * n * (n - 1) / ((n - 2) * (n + 1) * (n + 3)))
        skewed = [
            f"{words.rival(pair, verdict)} (skewness {fixed(pair.skewness, 1)})"
            for pair in words.against_leader(verdict)
            if pair.skewness is not None and abs(pair.skewness) > 2 * error
        ]
        if skewed:
            yield (
                f"The differences from {verdict.leader} are skewed for {joined(skewed)}: a few"
                " seeds dominate. The tests assume symmetric differences; with one skewed"
                " configuration, the set of the best lost it in up to 9 % of simulated studies."
            )
    if not failed:
        # The upper end of Clopper and Pearson's one-sided 95 % interval of 0 of n.
        most = 100 * (1 - 0.05 ** (1 / n))
        yield (
            f"On none of {n} seeds did a run fail, which excludes failure rates above {most:.0f} %"
            " (95 % confidence, each configuration by itself). Where one configuration"
            " collapses on 15 % of the seeds, up to 19 % of simulated studies named a false winner."
        )


def _absent(evidence: Evidence) -> Iterator[Doubt]:
    for name, reason in evidence.absent.items():
        text = f"{name} is {Word.NOT_COMPARABLE} and was not confirmed: {reason}."
        yield Doubt(text=f"{text} The verdict is about the others only.")


def _better_baseline(design: Design, table: Table, compared: Contrast) -> Iterator[Doubt]:
    """A flag for a baseline outside the contrast over a factor that has the best mean of all."""
    # A contrast over a factor leaves the baseline out, but a reader will compare with it.
    default = next((row for row in table.rows if row.baseline and row.sound), None)
    if table.hidden or design.contrast in (contrast.ALL, contrast.BASELINE) or default is None:
        return
    sign = 1.0 if design.direction == "maximize" else -1.0
    mean = fmean(default.counted)
    others = [fmean(row.counted) for row in compared.rows if row.sound]
    if others and all(sign * mean > sign * other for other in others):
        text = (
            f"The baseline, {default.name}, has a mean of {measured(mean)}, which no level of"
            f" {design.contrast} reaches; the contrast over {design.contrast} does not include it."
        )
        yield Doubt(text=text)


def _fresh(verdict: Verdict) -> int | None:
    """Seeds for the look that is left: as many again, or what the plans need where that is more."""
    settled = (Word.WINNER, Word.NOT_COMPARABLE, Word.EXPLORATORY)
    if not verdict.look_left or verdict.word in settled:
        return None
    n = len(verdict.seeds)
    floor = planning.seeds_floor(corrected(verdict.contrast, verdict.pairs), alpha=verdict.alpha)
    return max([n, floor - n, *(plan.estimate - n for plan in verdict.plan)])


def _plans(verdict: Verdict, evidence: Evidence) -> Iterator[SeedPlan]:
    """Seeds for the smallest effect against each rival that more seeds could separate.

    The effect is the one that matters, never the one seen. A winner must be found against all
    rivals: by Bonferroni's inequality each may be missed with its part of 20 %.
    """
    trained = sum(bool(arm.runs) for arm in evidence.arms)
    cost = None if evidence.seconds is None else evidence.seconds * trained
    effect = verdict.smallest_effect
    if effect is None:
        return
    # Without an interval the SD is that of stand-ins for failed runs.
    open_pairs = [
        pair
        for pair in words.against_leader(verdict)
        if words.rival(pair, verdict) in verdict.candidates
        and not (pair.undecidable or pair.sd == 0 or math.isnan(pair.difference.low))
    ]
    for pair in open_pairs:
        needed = planning.seeds_needed(
            pair.sd,
            pair.n,
            effect,
            pairs=corrected(verdict.contrast, verdict.pairs),
            alpha=verdict.alpha,
            power=1 - _MISSED / len(open_pairs),
        )
        yield SeedPlan(
            **needed._asdict(),
            rival=words.rival(pair, verdict),
            seconds_low=None if cost is None else cost * needed.low,
            seconds_high=None if cost is None or needed.high is None else cost * needed.high,
        )
