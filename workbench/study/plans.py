"""From a proposal to a trial's plan: recipe, levels and hyperparameters, and nothing left open.

Knows neither Optuna nor what may be proposed; what only the model, the data or a file can tell
comes from ``Premises``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Protocol

from workbench.engine.optimizers import OPTIMIZERS
from workbench.record.strategy import Phase, Plan, Schedule, Weights
from workbench.study.config import recipes, schema
from workbench.study.config.knobs import merged
from workbench.study.config.study_config import StudyConfig
from workbench.study.space import Proposal


class Premises(Protocol):
    """What a plan rests on and only the model, the data or a file can tell."""

    def depth(self, value: int | str, knobs: Mapping[str, Any]) -> int:
        """The number of frozen stages of the backbone that the knobs describe."""

    def weights(self, source: str, backbone: Mapping[str, Any]) -> Weights:
        """The weights that a study file names for a backbone."""

    def located(self, block: str, written: Mapping[str, Any]) -> dict[str, Any]:
        """What a study file says of a block, with its paths and references made absolute."""

    def code(self, plan: Plan) -> dict[str, str]:
        """What a plan rests on beside its data and weights; see ``Plan.code``."""


def plan_of(config: StudyConfig, proposal: Proposal, premises: Premises) -> Plan:
    """Recipe, overridden by the strategy's levels, then by the hyperparameters, then complete.

    Raises:
        ValueError: A freeze depth that the backbone does not have, or weights that are not there.
    """
    knobs = merged(config.recipe, {**proposal.strategy.knobs, **proposal.knobs})
    recipe = schema.Recipe.model_validate(knobs)
    assert recipe.dataset is not None and recipe.backbone is not None
    phases = recipe.phases or {"main": schema.PhaseKnobs()}
    task = recipe.task or schema.TaskKnobs(name="classification")
    strict = {} if recipe.backbone.strict else {"strict": False}
    backbone = premises.located(
        "backbone", {"name": recipe.backbone.name, **recipe.backbone.options, **strict}
    )
    source = recipe.backbone.weights
    own = recipe.trial or schema.TrialKnobs()
    trial = premises.located("trial", {"name": own.name, **own.options})
    plan = Plan(
        dataset=premises.located(
            "dataset", {"name": recipe.dataset.name, **recipe.dataset.options}
        ),
        backbone=backbone,
        weights=None if source is None else premises.weights(source, backbone),
        keep_head=recipe.backbone.keep_head,
        task=premises.located("task", {"name": task.name or "classification", **task.options}),
        batch_size=recipe.batch_size,
        augmentation=tuple(
            premises.located("augmentation", step)
            for step in recipes.augmentation_steps(recipe.augmentation)
        ),
        device=recipe.device,
        threads=recipe.threads,
        phases=tuple(
            _complete(name, phase, recipe, knobs, premises) for name, phase in phases.items()
        ),
        micro_batch_size=recipe.micro_batch_size,
        precision=recipe.precision,
        clip_norm=recipe.clip_norm,
        ema=recipe.ema,
        mixup=recipe.mixup,
        cutmix=recipe.cutmix,
        report_every=recipe.report_every,
        early_stopping=recipe.early_stopping,
        lora=recipe.lora,
        loader_workers=recipe.loader_workers,
        trial=trial.pop("name"),
        trial_options=trial,
    )
    return replace(plan, code=premises.code(plan))


def completed(plan: Plan) -> Plan:
    """A stored plan with the optimizers' options that its version did not know, at their defaults.

    So it can be compared with a plan of this version.
    """
    phases = tuple(
        replace(phase, options={**OPTIMIZERS[phase.optimizer].options, **phase.options})
        for phase in plan.phases
    )
    return replace(plan, phases=phases)


def _complete(
    name: str,
    phase: schema.PhaseKnobs,
    trial: schema.Recipe,
    knobs: Mapping[str, Any],
    premises: Premises,
) -> Phase:
    """A phase with everything it leaves open taken from the trial, then from the catalogue."""

    def said(knob: str, default: Any = None) -> Any:
        for block in (phase, trial):
            if knob in block.model_fields_set and getattr(block, knob) is not None:
                return getattr(block, knob)
        return schema.PhaseKnobs.model_fields[knob].default if default is None else default

    optimizer = said("optimizer")
    entry = OPTIMIZERS[optimizer]
    unfreeze = said("unfreeze")
    # Gradual unfreezing begins with the head alone, unless a freeze depth says where.
    depth = said("freeze_depth", None if unfreeze is None else "all")
    return Phase(
        name=name,
        epochs=said("epochs"),
        freeze_depth=premises.depth(depth, knobs),
        optimizer=optimizer,
        learning_rate=said("learning_rate", entry.learning_rate),
        weight_decay=said("weight_decay", entry.weight_decay),
        options={knob: said(knob, value) for knob, value in entry.options.items()},
        schedule=said("schedule", Schedule()),
        unfreeze_every=0 if unfreeze is None else unfreeze.every,
        trainable=said("trainable"),
        layer_decay=said("layer_decay"),
        head_learning_rate=said("head_learning_rate"),
        l2_sp=said("l2_sp"),
    )
