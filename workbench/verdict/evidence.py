"""What a verdict rests on: the test values of each arm by seed, and how they were obtained.

``report.evidence`` builds it from MLflow's runs, ``question`` from a table of results.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum

ALPHA = 0.05  # of all planned looks together, after correction


def level(looks: int, alpha: float = ALPHA) -> float:
    """The level of each test, where so many looks at the test values are planned.

    Bonferroni's correction over looks: whatever the second look shares with the first, the chance
    of any false rejection in either stays at most ``alpha``.
    """
    return alpha / looks


class Stage(StrEnum):
    """What kind of data it is."""

    SEARCH = "search"
    CONFIRMATION = "confirmation"
    # The value is stored in results.json.
    EXTERNAL = "elsewhere"


@dataclass(frozen=True, kw_only=True)
class Run:
    """One training run of an arm, measured once.

    Attributes:
        seed: Whatever names the seed; equal names are pairs.
        value: Of the metric on the test split; None where the run diverged, failed or has not run.
        state: ``complete``, ``failed``, ``pruned``, ``running``, ``parked`` (``record.State``).
        run_id: Of MLflow; empty for other results.
        config: Identifies the configuration; runs of one arm must agree.
        split: Identifies the test samples; runs that differ in it are no pairs.
        scores: Of each test example, in one order for all runs, such that their mean is the
            value; empty where the metric is no such mean or nothing was kept.
    """

    seed: str
    value: float | None
    state: str = "complete"
    run_id: str = ""
    config: str = ""
    split: str = ""
    scores: Sequence[float] = ()

    @property
    def measured(self) -> bool:
        """Whether it completed with a finite value."""
        return self.state == "complete" and self.value is not None and math.isfinite(self.value)

    @property
    def lost(self) -> bool:
        """Whether it diverged or failed, so that it counts with the worst value."""
        diverged = self.value is not None and not math.isfinite(self.value)
        return self.state == "failed" or (self.state == "complete" and diverged)

    @property
    def ended(self) -> bool:
        """Whether nothing more will happen to it."""
        return self.state in ("complete", "failed", "pruned")


@dataclass(frozen=True, kw_only=True)
class Arm:
    """A strategy's chosen configuration, or the default one.

    Attributes:
        runs: One for each seed, planned ones as well (``parked``). Of a search: its trials.
        levels: Label of each compared factor; needed for a contrast over a factor.
        baseline: It is the default configuration.
        budget: Number of search trials that its configuration was chosen from; None: unknown.
    """

    name: str
    runs: tuple[Run, ...]
    levels: Mapping[str, str] = field(default_factory=dict)
    baseline: bool = False
    budget: int | None = None


@dataclass(frozen=True, kw_only=True)
class Design:
    """What was fixed before the first test value was seen.

    Attributes:
        seeds: The shared list, as ``Run.seed`` names them; empty: whatever the runs have.
        contrast: ``all`` pairs, each arm against the ``baseline``, or a factor, whose levels are
            compared by the mean of their arms.
        smallest_effect: Smallest difference that matters, in units of the metric; None where the
            author gave none, and then nothing is said of the size of a difference.
        bounds: Lowest and highest value that the metric can have; None where there is none.
        alpha: Level of each test; see ``level``.
        effects: Whether effects of the factors were planned.
        looks: Number of planned looks at the test values.
        seeds_by_look: How many seeds each look so far has added; empty where one look is all.
    """

    metric: str
    direction: str
    smallest_effect: float | None
    seeds: tuple[str, ...] = ()
    contrast: str = "all"
    bounds: tuple[float | None, float | None] = (None, None)
    alpha: float = ALPHA
    effects: bool = True
    looks: int = 1
    seeds_by_look: tuple[int, ...] = ()


def corrected(contrast: str, pairs: int) -> int:
    """The number of comparisons that the p value of a winner is corrected for.

    Of several that are compared with one baseline, any may be ahead by chance. "Better than every
    other" needs no correction: it is false as soon as one comparison is.
    """
    return pairs if contrast == "baseline" else 1


@dataclass(frozen=True, kw_only=True)
class Doubt:
    """Something that a verdict must take into account.

    Attributes:
        rule: Number of the refusal that it falls under; see ``verdict.refusals``.
        word: ``NOT COMPARABLE`` or ``EXPLORATORY`` where it decides the verdict; None is a flag,
            shown with it. Among a verdict's reasons: the word that it supports.
        text: One or more sentences for the author.
        found: What was found, where ``text`` also says why it matters.
        rival: Among a verdict's reasons: whom it compares the leader with.
    """

    rule: int | None = None
    word: str | None = None
    text: str
    found: str = ""
    rival: str = ""


@dataclass(frozen=True, kw_only=True)
class Evidence:
    """All that a verdict is made from.

    Attributes:
        absent: Strategies that were asked about and have no arm, because no trial of theirs
            completed; each with why, as words that can follow a colon. The headline and the claim
            name them, or "the best of all" would be read as better than those too.
        doubts: What the reader of the runs has noticed already.
        caveat: A sentence that belongs to every claim; empty without one.
        seconds: Mean cost of one confirmation run, for what more seeds would cost.
    """

    stage: Stage
    design: Design
    arms: tuple[Arm, ...]
    absent: Mapping[str, str] = field(default_factory=dict)
    doubts: tuple[Doubt, ...] = ()
    caveat: str = ""
    seconds: float | None = None
