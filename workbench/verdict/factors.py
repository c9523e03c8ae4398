"""Effects of the compared factors over paired seeds: main effects and two-factor interactions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import combinations

import numpy as np

from workbench.verdict.comparing import overstated
from workbench.verdict.contrast import is_default
from workbench.verdict.evidence import Design
from workbench.verdict.judgement import Effect, LevelMean
from workbench.verdict.statistics import correction, factorial, paired
from workbench.verdict.statistics.values import Array
from workbench.verdict.table import Row


def effects(rows: Sequence[Row], design: Design) -> tuple[Effect, ...]:
    """All main effects and interactions of a full factorial design, corrected over all of them.

    Args:
        rows: Sound ones; the default arm is left out where another arm has its levels.
        design: Bounds are used.

    Returns:
        Empty with fewer than two factors, where a combination of levels is missing, and where
        failed runs count with the worst value seen: their values would make effects.
    """
    arms = [row for row in rows if not is_default(row, rows)]
    labels = {
        factor: list(dict.fromkeys(row.levels[factor] for row in arms))
        for factor in (arms[0].levels if arms else ())
        if len({row.levels.get(factor) for row in arms}) > 1
    }
    shape = [len(found) for found in labels.values()]
    cells = {tuple(labels[f].index(row.levels[f]) for f in labels): row.counted for row in arms}
    if (
        any(overstated(row, design) for row in arms)
        or len(labels) < 2
        or not len(cells) == len(arms) == np.prod(shape)
    ):
        return ()
    values = np.array([cells[cell] for cell in np.ndindex(*shape)]).T.reshape(-1, *shape)
    found = []
    for axis, factor in enumerate(labels, start=1):
        means = _marginal(values, axis)
        levels = tuple(
            LevelMean(name=name, mean=paired.t_interval(means[:, at]).cut(design.bounds))
            for at, name in enumerate(labels[factor])
        )
        found.append(Effect(factors=(factor,), levels=levels, p=factorial.main_effect(means)))
    for (first, one), (second, other) in combinations(enumerate(labels, start=1), 2):
        p = factorial.interaction(_marginal(values, first, second))
        found.append(Effect(factors=(one, other), levels=(), p=p))
    corrected = correction.holm([effect.p for effect in found])
    return tuple(replace(e, p_holm=p) for e, p in zip(found, corrected, strict=True))


def _marginal(values: Array, *kept: int) -> Array:
    """Means over all factors but some, shape [seeds, levels of each of these]."""
    others = tuple(axis for axis in range(1, values.ndim) if axis not in kept)
    return np.asarray(values.mean(axis=others))
