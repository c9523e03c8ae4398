"""Warnings about settings without the effect that one would expect, shown before a study runs."""

from __future__ import annotations

from workbench import usercode
from workbench.engine.optimizers import OPTIMIZERS
from workbench.messages import counted, listed
from workbench.record.strategy import Plan
from workbench.study import space
from workbench.study.config.study_config import StudyConfig


def of_settings(config: StudyConfig, plans: dict[str, Plan]) -> list[str]:
    """What the search or a method cannot do as it is set.

    Args:
        config: The study.
        plans: The default plan of every strategy, by its name.
    """
    return [
        *_sampler_notes(config),
        *_pruner_notes(config, plans),
        *_search_notes(config),
        *_epoch_notes(plans),
        *_unfreezing_notes(plans),
        *(f"freeze_depth: {found}" for found in random_stages(plans)),
        *_idle_knobs(config, plans),
        *_enqueue_notes(config),
    ]


def _unfreezing_notes(plans: dict[str, Plan]) -> list[str]:
    found = []
    for name, plan in plans.items():
        for phase in plan.phases:
            thawed = (phase.epochs - 1) // phase.unfreeze_every if phase.unfreeze_every else 0
            if phase.unfreeze_every and thawed < phase.freeze_depth:
                found.append(
                    f"unfreeze: {name} unfreezes {thawed} of {phase.freeze_depth} stages in "
                    f"{counted(phase.epochs, 'epoch')}; the others stay frozen"
                )
    return found


def random_stages(plans: dict[str, Plan]) -> list[str]:
    """What is no linear probe of a pretrained model, although it looks like one."""
    names = [
        name
        for name, plan in plans.items()
        if plan.weights is None
        and not usercode.is_reference(plan.backbone["name"])
        and all(phase.freeze_depth and not phase.unfreeze_every for phase in plan.phases)
    ]
    if not names:
        return []
    return [
        f"the frozen stages of {listed(names)} keep random weights, because backbone.weights is "
        "not set"
    ]


def _sampler_notes(config: StudyConfig) -> list[str]:
    sampler, trials = config.search.sampler, config.trials_per_group
    if sampler.name == "tpe":
        startup = sampler.options.get("n_startup_trials", config.startup_trials)
        if startup >= trials:
            return [
                f"search.sampler: tpe draws its first {counted(startup, 'trial')} at random, "
                f"so with {counted(trials, 'trial')} it is random search"
            ]
    if sampler.name == "grid":
        counts = {len(space.fixed(config, group)) for group in config.groups}
        if counts != {trials}:
            cells = " or ".join(map(str, sorted(counts)))
            return [f"search.sampler: the grid and the default make {cells} trials, not {trials}"]
    return []


def _pruner_notes(config: StudyConfig, plans: dict[str, Plan]) -> list[str]:
    pruner, trials = config.search.pruner, config.trials_per_group
    if pruner.name != "median":
        return []
    startup = pruner.options.get("n_startup_trials", config.startup_trials)
    warmup = pruner.options.get("n_warmup_steps", 0)
    found = []
    if startup >= trials:
        found.append(
            f"search.pruner: median prunes nothing before {counted(startup, 'complete trial')}; "
            f"there {'is' if trials == 1 else 'are'} {trials}"
        )
    fewest = min(plan.reports for plan in plans.values())
    if warmup >= fewest:
        unit = "epoch" if all(plan.reports_per_epoch == 1 for plan in plans.values()) else "report"
        found.append(
            f"search.pruner: median prunes nothing before {unit} {warmup}; "
            f"the shortest trials have {counted(fewest, unit)}"
        )
    return found


def _search_notes(config: StudyConfig) -> list[str]:
    trials = config.trials_per_group
    if config.tune or trials == 1:
        return []
    return [f"tune: nothing is searched, so all {trials} trials of a strategy will be the same"]


def _epoch_notes(plans: dict[str, Plan]) -> list[str]:
    epochs: dict[int, list[str]] = {}
    for name, plan in plans.items():
        epochs.setdefault(plan.epochs, []).append(name)
    if len(epochs) == 1:
        return []
    parts = [f"{count} ({', '.join(names)})" for count, names in sorted(epochs.items())]
    return ["strategies differ in their total epochs: " + "; ".join(parts)]


def _idle_knobs(config: StudyConfig, plans: dict[str, Plan]) -> list[str]:
    """Tuned options that some strategy's optimizer does not have."""
    options = {knob for entry in OPTIMIZERS.values() for knob in entry.options}
    found = []
    for tuned in config.tune:
        phase, _, knob = tuned.knob.rpartition(".")
        if knob not in options:
            continue
        idle = [
            strategy.name
            for strategy in config.strategies
            if tuned.knob in space.start(config, strategy).hyperparameters
            and all(
                knob not in each.options
                for each in plans[strategy.name].phases
                if phase in ("", each.name)
            )
        ]
        if idle:
            found.append(f"tune.{tuned.knob}: no effect in {', '.join(idle)}; add a when")
    return found


def _enqueue_notes(config: StudyConfig) -> list[str]:
    if config.search.sampler.name == "grid":
        return []
    counts = [len(space.fixed(config, group)) for group in config.groups]
    if max(counts) > config.trials_per_group:
        return [
            f"search.enqueue: with the default these are {max(counts)} trials, "
            f"but only {config.trials_per_group} are run"
        ]
    return []
