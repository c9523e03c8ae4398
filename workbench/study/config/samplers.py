"""The samplers and pruners that a study file may name, with their options.

``search.samplers`` makes them with Optuna; the options are named as Optuna names them.
"""

from __future__ import annotations

from workbench.record.knob import FromOne, FromTwo, FromZero, Knob

GRID_POINTS = 5
_QUARTER = "by default a quarter of a group's trials, at least 3."

# The bounds are those that Optuna itself would fail on, when the first trial is over.
SAMPLERS: dict[str, dict[str, Knob]] = {
    "tpe": {
        "n_startup_trials": Knob(FromZero, None, f"First trials, drawn at random; {_QUARTER}"),
        "n_ei_candidates": Knob(FromOne, 24, "Candidates of which the most promising is tried."),
        "constant_liar": Knob(bool, True, "Whether running trials count as bad ones."),
    },
    "random": {},
    "grid": {"points": Knob(FromTwo, GRID_POINTS, "Points of a range without a step.")},
}
PRUNERS: dict[str, dict[str, Knob]] = {
    "none": {},
    "median": {
        "n_startup_trials": Knob(FromZero, None, f"First trials, never pruned; {_QUARTER}"),
        "n_warmup_steps": Knob(FromZero, 0, "Reports of a trial before it may be pruned."),
        "interval_steps": Knob(FromOne, 1, "Reports between two looks."),
        "n_min_trials": Knob(FromOne, 1, "Trials that a report is compared with, at least."),
    },
    "successive_halving": {
        "min_resource": Knob(FromOne, None, "Reports before the first rung; estimated by default."),
        "reduction_factor": Knob(FromTwo, 4, "One in so many trials passes a rung."),
        "min_early_stopping_rate": Knob(FromZero, 0, "Rungs that are left out at the start."),
    },
    "hyperband": {
        "min_resource": Knob(FromOne, 1, "Reports before the first rung."),
        "max_resource": Knob(FromOne, None, "Reports of a whole trial; estimated by default."),
        "reduction_factor": Knob(FromTwo, 3, "One in so many trials passes a rung."),
    },
}
