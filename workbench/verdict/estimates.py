"""Estimates with their uncertainty: what ``statistics`` returns and a verdict contains.

Apart from ``statistics``, which loads NumPy and SciPy: a verdict can be read without them.
"""

from __future__ import annotations

from dataclasses import dataclass, replace


@dataclass(frozen=True)
class Interval:
    """An estimate with its interval.

    Attributes:
        estimate: In the units of the values.
        low: Lower end.
        high: Upper end.
        level: How often such an interval holds the truth, say 0.95.
    """

    estimate: float
    low: float
    high: float
    level: float = 0.95

    def negated(self) -> Interval:
        """Of the same quantity with the other sign."""
        return replace(self, estimate=-self.estimate, low=-self.high, high=-self.low)

    def complement(self) -> Interval:
        """Of a probability: that of the opposite."""
        return replace(self, estimate=1 - self.estimate, low=1 - self.high, high=1 - self.low)

    def cut(self, bounds: tuple[float | None, float | None]) -> Interval:
        """Without what lies beyond the metric's bounds; None is an open end."""
        least, most = bounds
        low, high = self.low, self.high
        if least is not None:
            low, high = max(low, least), max(high, least)
        if most is not None:
            low, high = min(low, most), min(high, most)
        return replace(self, low=low, high=high)


@dataclass(frozen=True)
class Posterior:
    """Where the mean difference lies, given the data: three probabilities that sum to 1.

    Attributes:
        better: Above the margin.
        equivalent: Within the margin on either side.
        worse: Below minus the margin.
    """

    better: float
    equivalent: float
    worse: float

    def flipped(self) -> Posterior:
        """The same seen from the other side."""
        return Posterior(self.worse, self.equivalent, self.better)
