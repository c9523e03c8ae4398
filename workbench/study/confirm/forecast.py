"""What a confirmation would take, for ``check``: pairs, seeds, runs, and what the seeds can show.

Looks ahead only: before a search has ended, every strategy counts as one that can be compared.
"""

from __future__ import annotations

import math
from typing import Any

from workbench.study.confirm import design, requirements
from workbench.study.confirm.candidates import look
from workbench.study.study import Study
from workbench.verdict import ALPHA, statistics


def outlook(study: Study) -> dict[str, Any]:
    """What the confirmation of a study would be.

    Returns:
        ``arms`` (one of them the default), ``contrast``, ``pairs``, ``seeds_floor``,
        ``seeds_default`` and the ``seeds`` that it would be (``chosen``: by the study file); the
        ``metric``, its ``smallest_effect``, and the ``detectable`` difference at 80 % power in
        standard deviations of the paired differences (None below the floor); how many
        ``selection_runs`` and ``confirmation_runs`` at most, and about how many ``seconds`` of
        training these are by the trials in this home (None where there are none); ``notes``: what
        is in its way.
    """
    config = study.config
    select, strategies = config.confirm.select, len(config.strategies)
    arms = design.arms(config, strategies)
    pairs = design.pairs(config, arms)
    tests = design.tests(config, pairs)
    seeds = design.seeds(config, tests)
    selection, confirmation = strategies * select.configs * select.seeds, arms * seeds
    reach = statistics.detectable_effect(seeds, pairs=tests, alpha=ALPHA)
    trial = look(study).seconds
    stand = [
        f"workbench confirm will refuse this: {problem}"
        for problem in requirements.find(study)
        if "confirm" in config.document.content and problem.key != "confirm.smallest_effect"
    ]
    return {
        "arms": arms,
        "contrast": config.contrast,
        "pairs": pairs,
        "seeds_floor": design.floor(tests),
        "seeds_default": statistics.seeds_default(tests, alpha=ALPHA),
        "seeds": seeds,
        "chosen": config.confirm.seeds is not None,
        "metric": config.objective.tested,
        "smallest_effect": config.confirm.smallest_effect,
        "detectable": reach if math.isfinite(reach) else None,
        "selection_runs": selection,
        "confirmation_runs": confirmation,
        "seconds": None if trial is None else trial * (selection + confirmation),
        "notes": [*design.cautions(seeds, tests), *stand],
    }
