"""Is the difference too small to matter? "Not significant" does not answer that; these do.

Each takes a margin: the smallest difference that matters, which the author fixes in advance. None
corrects for the number of comparisons.
"""

from __future__ import annotations

import math

from numpy.typing import ArrayLike
from scipy import special

from workbench.verdict.estimates import Posterior
from workbench.verdict.statistics.values import ROUNDING, finite, moments


def tost(differences: ArrayLike, margin: float) -> float:
    """The p of equivalence: two one-sided t tests against the margin on either side.

    The larger of two one-sided p values: of "not above -margin" and of "not below margin". Below
    alpha, the mean difference is smaller than the margin either way: the two sides are equivalent.
    It agrees with the interval of level 1 - 2 alpha lying within the margin.

    Args:
        differences: First minus second for each seed, shape [n], n >= 2; roughly normal.
        margin: Smallest difference that matters, above 0, in the units of the differences.

    Returns:
        p in [0, 1]; where the differences are all the same, 0 if they lie within the margin and
        not on it, else 1.

    Raises:
        ValueError: Fewer than 2 differences, or one is not finite.

    Source:
        Schuirmann (1987), A comparison of the two one-sided tests procedure and the power approach
        for assessing the equivalence of average bioavailability, J. Pharmacokinet. Biopharm. 15.
    """
    data = finite(differences, 2)
    mean, sd = moments(data)
    if sd == 0:
        return 0.0 if abs(mean) < margin * (1 - ROUNDING) else 1.0
    return float(special.stdtr(len(data) - 1, (abs(mean) - margin) * math.sqrt(len(data)) / sd))


def posterior(differences: ArrayLike, margin: float) -> Posterior:
    """How probable it is that the first side is better, equivalent or worse.

    The posterior of the mean under the prior 1 / variance: Student's t with n - 1 degrees of
    freedom around the mean, scaled by SD / sqrt(n). Of the Bayesian t test for classifiers, without
    its correction for overlapping folds: seeds do not overlap as folds do.

    Args:
        differences: First minus second for each seed, shape [n], n >= 2; roughly normal.
        margin: Smallest difference that matters, above 0, in the units of the differences.

    Returns:
        Three probabilities; where the differences are all the same, 1 for the region in which they
        lie, the margin itself being equivalent.

    Raises:
        ValueError: Fewer than 2 differences, or one is not finite.

    Source:
        Benavoli, Corani, Demsar and Zaffalon (2017), Time for a change: a tutorial for comparing
        multiple classifiers through Bayesian analysis, JMLR 18.
    """
    data = finite(differences, 2)
    mean, sd = moments(data)
    if sd == 0:
        if abs(mean) <= margin * (1 + ROUNDING):
            return Posterior(0.0, 1.0, 0.0)
        return Posterior(1.0, 0.0, 0.0) if mean > 0 else Posterior(0.0, 0.0, 1.0)
    degrees, scale = len(data) - 1, sd / math.sqrt(len(data))
    better = float(special.stdtr(degrees, (mean - margin) / scale))
    worse = float(special.stdtr(degrees, (-mean - margin) / scale))
    return Posterior(better, max(0.0, 1.0 - better - worse), worse)
