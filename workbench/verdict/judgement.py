"""What a verdict says, as plain data: complete enough that no template computes a number."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum
from html import escape
from typing import Any

from pydantic_core import to_jsonable_python

from workbench.verdict.estimates import Interval, Posterior
from workbench.verdict.evidence import Doubt, Stage


class Word(StrEnum):
    """The fixed words, in their order of precedence."""

    NOT_COMPARABLE = "NOT COMPARABLE"
    EXPLORATORY = "EXPLORATORY"
    UNDERPOWERED = "UNDERPOWERED BY DESIGN"
    WINNER = "WINNER"
    GOOD_ENOUGH = "GOOD ENOUGH"
    NARROWED = "NARROWED"
    INCONCLUSIVE = "INCONCLUSIVE"


class Size(StrEnum):
    """How a winner's lead compares with the smallest effect that matters."""

    ABOVE = "above the smallest effect"
    NEGLIGIBLE = "negligible"
    OPEN = "open"


class Unit(StrEnum):
    """What one value of a side belongs to, and the tests pair by."""

    SEED = "seed"
    # Of a strategy: its mean over the seeds of the configuration that one search chose.
    REPLICATE = "search replicate"
    DATA_SET = "data set"


class Level(StrEnum):
    """How far a claim reaches. The words of a higher level need the data of a higher level."""

    NONE = "none"
    CONFIGURATION = "this configuration"
    STRATEGY = "this strategy under this search protocol"
    DATASETS = "across data sets"


@dataclass(frozen=True, kw_only=True)
class Side:
    """One of what is compared: an arm, or a level of the contrasted factor.

    Attributes:
        values: By seed, in the order of ``Verdict.seeds``; of a search, by trial. None where
            nothing was measured and nothing may be put in its place, or while a confirmation is
            not finished.
        imputed: Seeds whose run diverged or failed and counts with the worst value; where a value
            is a mean over seeds, such runs.
        n: Number of values that are there.
        mean: With its t interval over seeds, cut at the metric's bounds; None where a value is
            missing, and of a search. Its ends are nan at n = 1.
        sd: Over seeds, with n - 1; None where there is no interval.
        p_best: Of the hypothesis that it is the best. Of a winner's rivals, and of one that only
            the test of a winner keeps in the set: of the leader against it. None where no set of
            the best was computed.
        behind: It is at most so far behind the best, in units of the metric, simultaneously for all
            sides; None where nothing bounds it.
    """

    name: str
    values: Sequence[float | None]
    run_ids: Sequence[str]
    imputed: Sequence[str]
    n: int
    mean: Interval | None
    sd: float | None
    baseline: bool = False
    p_best: float | None = None
    behind: float | None = None


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """Two sides, seed by seed; ``first`` has the better mean: ``difference`` is not below 0.

    Attributes:
        difference: Mean of ``differences``, in units of the metric, with its t interval; positive
            means that ``first`` is better, whatever the metric's direction. Without an interval
            (NaN) where failed runs may have been worse; then ``dz``, ``p_equivalence`` and
            ``posterior`` are None.
        p: Exact sign-flip permutation; ``p_holm`` the same, corrected over all pairs. The first
            decides about the leader, the second about a pair for itself. Both are NaN where
            nothing can be decided (``undecidable``).
        skewness: Of the differences, adjusted for few seeds (Fisher and Pearson's G1); the tests
            assume 0. None where the differences do not vary, and for fewer than 3.
        dz: Paired Hedges d_z; None where the differences do not vary.
        improvement: Probability that ``first`` is better on a seed; ties count half.
        p_t: Paired t, secondary; None where the differences do not vary.
        p_equivalence: TOST at the smallest effect, corrected over all pairs; None without one, and
            where the differences do not vary.
        posterior: None without a smallest effect, and where the differences do not vary.
        beyond: The difference with an interval over seeds and test examples; None where no
            per-example scores are there, or where a run diverged or failed; ``beyond_missing`` says
            which.
        beaten: ``first`` is better than ``second``: ``p_holm`` is at most alpha. ``equivalent``:
            ``p_equivalence`` is at most alpha.
        undecidable: Why neither is said whatever the p values are; empty where they decide.
            ``equivalent`` is not said either where failed runs of ``second`` may have been worse.
    """

    first: str
    second: str
    n: int
    differences: Sequence[float]
    difference: Interval
    sd: float
    skewness: float | None
    p: float
    p_holm: float
    p_t: float | None
    dz: float | None
    improvement: Interval
    p_equivalence: float | None
    posterior: Posterior | None
    beyond: Interval | None
    beyond_missing: str | None
    beaten: bool
    equivalent: bool
    undecidable: str = ""

    def flipped(self) -> Comparison:
        """The same seen from the other side, whose mean is not the better one."""
        return replace(
            self,
            first=self.second,
            second=self.first,
            differences=tuple(-difference for difference in self.differences),
            skewness=None if self.skewness is None else -self.skewness,
            difference=self.difference.negated(),
            dz=None if self.dz is None else -self.dz,
            improvement=self.improvement.complement(),
            posterior=self.posterior and self.posterior.flipped(),
            beyond=self.beyond and self.beyond.negated(),
            beaten=False,
        )


@dataclass(frozen=True, kw_only=True)
class LevelMean:
    """A level of a factor: the mean of all configurations that have it, with its t interval."""

    name: str
    mean: Interval


@dataclass(frozen=True, kw_only=True)
class Effect:
    """A main effect of a factor, or an interaction of two.

    Attributes:
        factors: One or two.
        levels: Marginal means over seeds; empty for an interaction.
        p: Joint sign-flip test; ``p_holm``: corrected over all effects of the study.
    """

    factors: tuple[str, ...]
    levels: Sequence[LevelMean]
    p: float
    p_holm: float = 1.0


@dataclass(frozen=True, kw_only=True)
class SeedPlan:
    """About how many seeds find the smallest effect against a rival, and what they cost.

    Attributes:
        low: From the lower end of the SD's chi-square interval; ``high`` from its upper end; None
            where that is beyond 10,000.
        sd: Of the paired differences between the leader and ``rival``.
        seconds_low: Of training all arms with so many new seeds; None where the cost of a run is
            unknown.
    """

    low: int
    high: int | None
    estimate: int
    rival: str
    sd: float
    seconds_low: float | None
    seconds_high: float | None


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """What may be said, in fixed words.

    Attributes:
        stage: What kind of data it is about.
        heading: The word as it is shown; whom a winner over the baseline alone is better than.
        headline: One sentence with names and numbers: what a reader remembers.
        claim: The sentence that a paper may print; it never says more than ``level``.
        averaged: Factors that a contrast over a factor averages over.
        unit: What ``seeds`` names.
        one_test: Of searches: whether all of them were tested on the same samples.
        alpha: Level of each test, which is that of all looks over their number.
        looks: Number of planned looks; ``seeds_by_look``: how many seeds each so far has added.
        seeds: The shared list, of searches or data sets where these are the unit; empty for a
            search.
        leader: Side with the best mean; None where no mean may be compared.
        gap: Mean difference to the closest rival that it is compared with, in units of the metric.
        p_win: The largest p of the leader against a rival; ``p_floor``: the least that so many
            seeds can give.
        lead: Lower bound of a winner's lead over every rival, with confidence 1 - alpha; None
            where nothing bounds it.
        size: Of a winner's lead; None without a winner or a smallest effect.
        candidates: The leader and the others that may be the best, in the order of ``sides``: the
            (1 - alpha) confidence set of the best. A winner is alone in it.
        excluded: The others, which are not the single best.
        pairs: Number of comparisons that Holm corrects for.
        effects: Of the factors of a full factorial study in which all configurations are compared.
        absent: What could not be compared at all, with why; see ``Evidence.absent``.
        caveat: See ``Evidence.caveat``.
        reasons: Why the word is this one, a sentence each, those that decide it first; each refusal
            with its number.
        plan: Of each rival that may be the best, unless there is a winner.
        needed: How many seeds would be enough, as a sentence; None without a plan.
        look: Which of several planned looks this is, as a sentence; None where one is planned.
        fresh: How many seeds to add in the look that is left; None where none is, or where a winner
            is named or nothing can be.
        flags: What a reader must also know.
        assumptions: How well the values meet what the rule assumes, a sentence each.
    """

    word: Word
    stage: Stage
    level: Level
    unit: Unit = Unit.SEED
    one_test: bool = True
    heading: str = ""
    headline: str = ""
    claim: str = ""
    metric: str
    direction: str
    contrast: str
    averaged: Sequence[str]
    alpha: float
    looks: int = 1
    seeds_by_look: Sequence[int] = ()
    smallest_effect: float | None
    seeds: Sequence[str]
    pairs: int
    p_floor: float | None
    leader: str | None
    gap: float | None
    closest: str | None
    p_win: float | None = None
    lead: float | None = None
    size: Size | None = None
    candidates: Sequence[str] = ()
    excluded: Sequence[str] = ()
    absent: Mapping[str, str] = field(default_factory=dict)
    sides: Sequence[Side]
    comparisons: Sequence[Comparison]
    effects: Sequence[Effect] = ()
    caveat: str = ""
    reasons: Sequence[Doubt]
    flags: Sequence[Doubt]
    assumptions: Sequence[str] = ()
    plan: Sequence[SeedPlan] = ()
    needed: str | None = None
    look: str | None = None
    fresh: int | None = None

    def __repr__(self) -> str:
        return f"{self.heading}: {self.headline}"

    def _repr_html_(self) -> str:
        """For a notebook."""
        text = (escape(part) for part in (self.heading, self.headline, self.claim))
        return "<p><strong>{}</strong> {}</p><p>{}</p>".format(*text)

    @property
    def look_left(self) -> bool:
        """Whether a planned look has not been taken."""
        return 0 < len(self.seeds_by_look) < self.looks


def as_json(verdict: Any) -> dict[str, Any]:
    """A verdict, or anything that holds verdicts, as JSON; a number that is not finite is None."""
    plain = to_jsonable_python(verdict, inf_nan_mode="null", fallback=lambda value: value.item())
    return dict(plain)
