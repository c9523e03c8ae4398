"""From the knobs of a trial to its plan, in which nothing is left open; called by ``Study``."""

from __future__ import annotations

from dataclasses import fields, replace
from typing import Any

from workbench.engine.optimizers import OPTIMIZERS
from workbench.record import places
from workbench.record.strategy import Knobs, Phase, Plan, Schedule
from workbench.study.config import recipes, schema
from workbench.study.inputs import Inputs
from workbench.trial import code

# Knobs that a plan holds as the recipe does; of the others it holds what they stand for.
_SAME = {field.name for field in fields(Plan)} & schema.Recipe.model_fields.keys() - {
    "dataset",
    "backbone",
    "task",
    "augmentation",
    "phases",
    "trial",
}


def plan_of(knobs: Knobs, inputs: Inputs) -> Plan:
    """The plan of one trial.

    Args:
        knobs: The recipe with the strategy's levels and the hyperparameters set.
        inputs: Where freeze depths, weights, paths and hashes of code come from.

    Raises:
        ValueError: A freeze depth that the backbone does not have, or weights that are not there.
    """
    recipe = schema.Recipe.model_validate(knobs)
    assert recipe.dataset is not None and recipe.backbone is not None
    phases = recipe.phases or {"main": schema.PhaseKnobs()}
    task = recipe.task or schema.TaskKnobs(name="classification")
    strict = {} if recipe.backbone.strict else {"strict": False}
    backbone = inputs.located(
        "backbone", {"name": recipe.backbone.name, **recipe.backbone.options, **strict}
    )
    source = recipe.backbone.weights
    own = recipe.trial or schema.TrialKnobs()
    trial = inputs.located("trial", {"name": own.name, **own.options})
    settings: dict[str, Any] = {name: getattr(recipe, name) for name in _SAME}
    plan = Plan(
        **settings,
        dataset=inputs.located("dataset", {"name": recipe.dataset.name, **recipe.dataset.options}),
        backbone=backbone,
        weights=None if source is None else inputs.weights(source, backbone),
        keep_head=recipe.backbone.keep_head,
        task=inputs.located("task", {"name": task.name or "classification", **task.options}),
        augmentation=tuple(
            inputs.located("augmentation", step)
            for step in recipes.augmentation_steps(recipe.augmentation)
        ),
        phases=tuple(
            _complete(name, phase, recipe, knobs, inputs) for name, phase in phases.items()
        ),
        trial=trial.pop("name"),
        trial_options=trial,
    )
    return replace(plan, code=code.hashes(plan))


def comparable(plan: Plan) -> Plan:
    """A plan, which may be of an earlier version, in a form that is equal for equal trainings.

    No number depends on the activation store. Options of the optimizers that its version did not
    know get their defaults, and paths keep only their last part: the content of the files is
    hashed.
    """
    phases = tuple(
        replace(phase, options={**OPTIMIZERS[phase.optimizer].options, **phase.options})
        for phase in plan.phases
    )
    return places.without_folders(replace(plan, phases=phases, activations_gb=0.0))


def _complete(
    name: str,
    phase: schema.PhaseKnobs,
    trial: schema.Recipe,
    knobs: Knobs,
    inputs: Inputs,
) -> Phase:
    """A phase with everything it leaves open taken from the trial, then from the catalogue."""

    def setting(knob: str, default: Any = None) -> Any:
        # Only what the author wrote counts: a phase that leaves a knob open takes it from the
        # recipe, whose own defaults come last.
        for block in (phase, trial):
            if knob in block.model_fields_set and getattr(block, knob) is not None:
                return getattr(block, knob)
        return schema.PhaseKnobs.model_fields[knob].default if default is None else default

    optimizer = setting("optimizer")
    entry = OPTIMIZERS[optimizer]
    unfreeze = setting("unfreeze")
    # Gradual unfreezing begins with the head alone, unless a freeze depth is set.
    depth = setting("freeze_depth", None if unfreeze is None else "all")
    return Phase(
        name=name,
        epochs=setting("epochs"),
        freeze_depth=inputs.depth(depth, knobs),
        optimizer=optimizer,
        learning_rate=setting("learning_rate", entry.learning_rate),
        weight_decay=setting("weight_decay", entry.weight_decay),
        options={knob: setting(knob, value) for knob, value in entry.options.items()},
        schedule=setting("schedule", Schedule()),
        unfreeze_every=0 if unfreeze is None else unfreeze.every,
        trainable=setting("trainable"),
        layer_decay=setting("layer_decay"),
        head_learning_rate=setting("head_learning_rate"),
        l2_sp=setting("l2_sp"),
    )
