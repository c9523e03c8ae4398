"""Simulated studies, whose true means are known, and how often the verdict's rule is right."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from workbench.verdict import level
from workbench.verdict.statistics.mcb import best
from workbench.verdict.statistics.paired import sign_flip

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Simulated:
    """A design from which studies are drawn.

    Attributes:
        name: As a table shows it.
        seeds: Number of them.
        means: True means of the configurations, in SDs of a paired difference (of the widest, where
            they differ).
        noise: ``normal``, ``heavy tails`` (t with 2.5 degrees of freedom), ``skewed`` (lognormal,
            all alike), ``discrete`` (accuracies of 100 test samples, with ties), ``one wide`` (the
            first has 5 times the SD), ``one skewed`` (the first), ``one collapses`` (the first,
            on 15 % of its seeds), ``failures`` (5 % of runs count with the worst value).
        correlation: Of two configurations on one seed.
    """

    name: str
    seeds: int
    means: tuple[float, ...]
    noise: str = "normal"
    correlation: float = 0.5

    def __str__(self) -> str:
        return f"{self.name}, {len(self.means)} x {self.seeds}"

    def draw(self, generator: np.random.Generator) -> Array:
        """Values of one study, shape [seeds, configurations]; higher is better."""
        shape = (self.seeds, len(self.means))
        # Own noise of variance 1/2 each gives a paired difference an SD of 1.
        own = _noise(self.noise, generator, shape) * np.sqrt(0.5)
        common = generator.standard_normal((self.seeds, 1))
        rho = self.correlation
        values = np.array(self.means) + own + common * np.sqrt(0.5 * rho / (1 - rho))
        if self.noise == "discrete":
            rates = np.clip(0.8 + 0.04 * values, 0.0, 1.0)
            return np.asarray(generator.binomial(100, rates) / (100 * 0.04))
        if self.noise == "failures":
            values[generator.random(shape) < 0.05] = values.min() - 1.0
        return np.asarray(values)


def _noise(kind: str, generator: np.random.Generator, shape: Any) -> Array:
    """Noise with mean 0 and variance 1 for each configuration."""
    noise: Array = generator.standard_normal(shape)
    if kind == "heavy tails":
        noise = generator.standard_t(2.5, shape) / np.sqrt(5.0)
    elif kind == "skewed":
        noise = _lognormal(generator, shape)
    elif kind == "one wide":
        noise[:, 0] *= 5
    elif kind == "one skewed":
        noise[:, 0] = _lognormal(generator, shape[0])
    elif kind == "one collapses":
        noise[:, 0] += 30 * (0.15 - (generator.random(shape[0]) < 0.15))
    return noise


def _lognormal(generator: np.random.Generator, shape: Any) -> Array:
    variance = (np.e - 1) * np.e
    return np.asarray((generator.lognormal(size=shape) - np.exp(0.5)) / np.sqrt(variance))


def equal(k: int, seeds: int, noise: str = "normal", correlation: float = 0.5) -> Simulated:
    """No configuration is better than another."""
    name = f"all equal, {noise}, correlation {correlation:g}"
    return Simulated(name, seeds, (0.0,) * k, noise, correlation)


def two_best(k: int, seeds: int, noise: str = "normal", correlation: float = 0.5) -> Simulated:
    """Two are equally good and the others far behind: the hardest case for a claim of a winner."""
    name = f"two equally good, {noise}, correlation {correlation:g}"
    return Simulated(name, seeds, (0.0, 0.0, *(-6.0,) * (k - 2)), noise, correlation)


SYMMETRIC = (
    "normal",
    "heavy tails",
    "skewed",  # all alike, so that their differences are symmetric
    "discrete",
    "one wide",
    "failures",
)

# In which every claim of a winner is false.
NULLS = (
    *(equal(3, 10, noise) for noise in SYMMETRIC),
    *(equal(6, 12, noise) for noise in SYMMETRIC),
    *(equal(3, 10, correlation=rho) for rho in (0.0, 0.9)),
    equal(10, 12),
    *(two_best(k, 12) for k in (2, 3, 6, 10)),
    *(two_best(3, 10, noise) for noise in ("heavy tails", "skewed", "discrete", "one wide")),
    two_best(6, 12, correlation=0.0),
    two_best(6, 12, correlation=0.9),
)


@dataclass(frozen=True)
class Outcome:
    """In how many studies of a design something was said.

    Attributes:
        winner: The right winner was named; ``false_winner`` a winner that is not the only best.
        lost: The first of the best was not in the 95 % set.
        too_close: Some configuration is further behind the best than its bound.
        good_enough: The leader was said to be less than the smallest effect behind;
            ``false_good_enough`` although it is further behind.
        candidates: Mean size of what is left: 1 with a winner, else the size of the set.
    """

    winner: int
    false_winner: int
    lost: int
    too_close: int
    good_enough: int
    false_good_enough: int
    candidates: float


def p_win(values: Array, leader: int) -> float:
    """The largest p of the leader against another configuration."""
    others = np.delete(values, leader, axis=1)
    return max(sign_flip(values[:, leader] - other) for other in others.T)


def two_looks(design: Simulated, studies: int, *, seed: int) -> tuple[int, int, int, int]:
    """Where a second look with as many seeds again follows each first one without a winner.

    Each look is tested at half of alpha = 0.05, the second one on the seeds of both.

    Returns:
        In how many studies a false winner was named: in the first look, in either; and the right
        one: in the first look, in either.
    """
    generator = np.random.default_rng(seed)
    truth = np.array(design.means)
    only_best = (truth == truth.max()).sum() == 1
    both = replace(design, seeds=2 * design.seeds)
    named = np.zeros((studies, 4), dtype=bool)
    for study in named:
        values = both.draw(generator)
        first = _winner(values[: design.seeds], level(2))
        either = _winner(values, level(2)) if first is None else first
        right = [w is not None and only_best and w == truth.argmax() for w in (first, either)]
        false = [w is not None and not r for w, r in zip((first, either), right, strict=True)]
        study[:] = (*false, *right)
    false_first, false_either, right_first, right_either = named.sum(axis=0).tolist()
    return false_first, false_either, right_first, right_either


def _winner(values: Array, alpha: float) -> int | None:
    leader = int(values.mean(axis=0).argmax())
    return leader if p_win(values, leader) <= alpha else None


def outcome(design: Simulated, studies: int, *, seed: int, effect: float = 1.0) -> Outcome:
    """What the rule says of so many studies, at alpha = 0.05 and a smallest effect in SDs."""
    generator = np.random.default_rng(seed)
    truth = np.array(design.means)
    gaps = truth.max() - truth
    only_best = (gaps == 0).sum() == 1
    said = np.zeros((studies, 6), dtype=bool)
    sizes = []
    for study in said:
        values = design.draw(generator)
        found = best(values)
        wins = p_win(values, found.leader) <= 0.05
        right = only_best and gaps[found.leader] == 0
        near = not wins and found.behind[found.leader] < effect
        study[:] = (
            wins and right,
            wins and not right,
            found.p_best[truth.argmax()] <= 0.05,
            bool((found.behind < gaps - 1e-9).any()),
            near,
            near and gaps[found.leader] >= effect,
        )
        sizes.append(1 if wins else int((found.p_best > 0.05).sum()))
    winner, false_winner, lost, too_close, good_enough, false_good_enough = said.sum(
        axis=0
    ).tolist()
    return Outcome(
        winner=winner,
        false_winner=false_winner,
        lost=lost,
        too_close=too_close,
        good_enough=good_enough,
        false_good_enough=false_good_enough,
        candidates=float(np.mean(sizes)),
    )


def ahead(k: int, seeds: int, gap: float, *, rivals: int | None = None) -> Simulated:
    """One configuration is ahead of so many rivals by a gap, in SDs; the others are far behind."""
    close = k - 1 if rivals is None else rivals
    name = f"one {gap:g} SD ahead of {'all' if rivals is None else close}"
    return Simulated(name, seeds, (0.0, *(-gap,) * close, *(-6.0,) * (k - 1 - close)))


# With how often the winner should be found: simulated once with another implementation, in 1,000
# studies each (600 with 10 configurations).
POWER = (
    (ahead(3, 10, 0.5), 0.13),
    (ahead(3, 10, 1.0), 0.65),
    (ahead(3, 15, 0.5), 0.27),
    (ahead(3, 15, 1.0), 0.91),
    (ahead(3, 20, 0.5), 0.40),
    (ahead(3, 20, 1.0), 0.97),
    (ahead(9, 10, 1.0), 0.42),
    (ahead(9, 10, 2.0), 1.00),
    (ahead(9, 15, 1.0), 0.77),
    (ahead(9, 20, 1.0), 0.94),
    (ahead(10, 12, 1.0), 0.53),
    (ahead(10, 12, 1.5), 0.96),
    (ahead(10, 12, 2.0), 1.00),
    (ahead(9, 12, 0.5, rivals=1), 0.36),
    (ahead(9, 12, 1.0, rivals=1), 0.89),
    (ahead(9, 12, 1.5, rivals=1), 0.99),
)
# In which some are far behind, so that only differences without their means show the noise.
FAR = (
    ahead(6, 12, 3.0),
    Simulated("one wide and far ahead", 12, (0.0, *(-6.0,) * 5), "one wide"),
)
# For two looks; the number of seeds is that of the first look.
LOOKS = (
    *(equal(3, 10, noise) for noise in ("normal", "discrete")),
    *(two_best(k, 12) for k in (2, 3, 6)),
    *(two_best(2, 7, noise) for noise in ("normal", "heavy tails", "discrete")),
    ahead(3, 10, 0.5),
    ahead(3, 10, 1.0),
    ahead(10, 12, 1.0),
)
# Beyond what the rule assumes: the differences are not symmetric.
ASYMMETRIC = (
    equal(3, 10, "one skewed"),
    equal(6, 12, "one skewed"),
    two_best(3, 10, "one skewed"),
    equal(2, 12, "one collapses"),
    equal(3, 10, "one collapses"),
)
