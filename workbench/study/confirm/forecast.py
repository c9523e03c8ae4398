"""What a confirmation would take, for ``check``: pairs, seeds, runs, and what the seeds can show.

Looks ahead only: before a search has ended, every strategy counts as one that can be compared.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from workbench.study.confirm import design, requirements
from workbench.study.confirm.candidates import look
from workbench.study.study import Study


@dataclass(frozen=True, kw_only=True)
class Outlook:
    """What the confirmation of a study would be.

    Attributes:
        arms: Configurations that are tested; one of them is the default.
        looks: Planned ones; each test has the level ``alpha``.
        seeds_floor: Fewest seeds with which a result can be significant.
        seeds: Those of the study file, where it says (``chosen``), else ``seeds_default``.
        metric: On the test split.
        detectable: Difference found with 80 % power, in standard deviations of the paired
            differences; None below the floor.
        selection_runs: At most, as ``confirmation_runs``.
        seconds: Of training for all runs, judged by the trials in this home; None without any.
        notes: What is in its way.
    """

    arms: int
    contrast: str
    pairs: int
    looks: int
    alpha: float
    seeds_floor: int
    seeds_default: int
    seeds: int
    chosen: bool
    metric: str
    smallest_effect: float | None
    detectable: float | None
    selection_runs: int
    confirmation_runs: int
    seconds: float | None
    notes: list[str]


def outlook(study: Study) -> Outlook:
    """What the confirmation of a study would be."""
    config = study.config
    select, strategies = config.confirm.select, len(config.strategies)
    arms = design.arms(config, strategies)
    pairs = design.pairs(config, arms)
    tests = design.tests(config, pairs)
    seeds = design.seeds(config, tests)
    selection, confirmation = strategies * select.configs * select.seeds, arms * seeds
    reach = design.detectable(config, seeds, tests)
    trial = look(study).seconds
    problems = [
        f"workbench confirm will refuse this: {problem}"
        for problem in requirements.find(study)
        if "confirm" in config.document.content and problem.key != "confirm.smallest_effect"
    ]
    return Outlook(
        arms=arms,
        contrast=config.contrast,
        pairs=pairs,
        looks=config.confirm.looks,
        alpha=design.alpha(config),
        seeds_floor=design.floor(config, tests),
        seeds_default=design.usual_seeds(config, tests),
        seeds=seeds,
        chosen=config.confirm.seeds is not None,
        metric=config.objective.tested,
        smallest_effect=config.confirm.smallest_effect,
        detectable=reach if math.isfinite(reach) else None,
        selection_runs=selection,
        confirmation_runs=confirmation,
        seconds=None if trial is None else trial * (selection + confirmation),
        notes=[*design.cautions(config, seeds, tests), *problems],
    )
