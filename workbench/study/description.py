"""What a study will do, as plain data: ``check`` prints it, study.json holds it."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from typing import Any

from workbench import record
from workbench.messages import counted
from workbench.record.strategy import Knobs, Plan
from workbench.study import contamination, lint, space
from workbench.study.config.knobs import Categorical, Interval, Level, levels_of
from workbench.study.config.study_config import StudyConfig
from workbench.study.fingerprint import describe_entry
from workbench.study.study import Study


def describe(study: Study) -> dict[str, Any]:
    """The content of study.json, which the report reads."""
    config, inputs, first = study.config, study.inputs, study.strategies[0]
    knobs = first.knobs
    sizes = inputs.known_sizes(knobs)
    # Only studies of one file are told apart by it; the description of others stays as it was.
    if config.cell is None:
        sizes = {key: value for key, value in sizes.items() if key != "content_digest"}
    search = search_settings(config)
    mode, budget, tune = (search.pop(key) for key in ("mode", "budget", "tune"))
    plans = {strategy.name: strategy.plan for strategy in study.strategies}
    baseline = study.groups[0].default.strategy.name
    plan = plans[baseline]
    return {
        "name": config.name,
        **({"across": record.plain(asdict(config.cell))} if config.cell else {}),
        **({"added": asdict(config.added)} if config.added else {}),
        "question": config.question,
        "file": str(config.document.path),
        "overrides": list(config.document.overrides),
        "mode": mode,
        "objective": asdict(config.objective),
        "factors": {f.name: [level.label for level in f.levels] for f in config.factors},
        "strategies": [{"name": s.name, "levels": dict(s.levels)} for s in config.strategies],
        "budget": budget,
        "search": {**search, "timeout": config.search.timeout},
        "tune": tune,
        "data": {
            "name": knobs["dataset"]["name"],
            "source": _source(knobs["dataset"]),
            **sizes,
            "others": _others(study),
        },
        "backbone": _backbones(study, knobs),
        "epochs": first.plan.epochs,
        "plan": {
            "batch_size": plan.batch_size,
            "augmentation": [name for step in plan.augmentation for name in step],
            "phases": [
                {
                    "name": phase.name,
                    "epochs": phase.epochs,
                    "optimizer": phase.optimizer,
                    "schedule": phase.schedule.name,
                    "warmup_epochs": phase.schedule.warmup_epochs,
                }
                for phase in plan.phases
            ],
            "enqueued": len(config.search.enqueue),
        },
        "plans": {name: _plan(each) for name, each in plans.items()},
        "plans_differ": len({tuple(p.name for p in other.phases) for other in plans.values()}) > 1,
        "baseline": baseline,
        "content": record.plain(config.document.content),
    }


def _plan(plan: Plan) -> dict[str, Any]:
    """A plan without the activation store, on which no result depends."""
    content: dict[str, Any] = record.plain(asdict(plan))
    del content["activations_gb"]
    return content


def search_settings(config: StudyConfig) -> dict[str, Any]:
    """How a study searches, as study.json and the protocol of its confirmation hold it."""
    search, targets = config.search, space.targets(config)
    return {
        "mode": "balanced" if config.balanced else "joint",
        "sampler": search.sampler.name,
        "sampler_options": search.sampler.options,
        "pruner": search.pruner.name,
        "pruner_options": search.pruner.options,
        "startup_trials": config.startup_trials,
        "seed": search.seed,
        "budget": {
            "trials_per_strategy": search.trials_per_strategy,
            "total": sum(targets.values()),
            "targets": targets,
        },
        "tune": [
            {"knob": tuned.knob, **describe_entry(entry)}
            for tuned in config.tune
            for entry in tuned.entries
        ],
    }


def _backbone(study: Study, knobs: Knobs) -> dict[str, Any]:
    outline = study.inputs.outline(knobs)
    return {
        "name": outline.name,
        "weights": knobs["backbone"].get("weights"),
        "stages": [{"name": name, "parameters": count} for name, count in outline.stages[:-1]],
        "head": outline.stages[-1][1] if outline.stages else None,
        "notes": list(outline.notes),
    }


def _backbones(study: Study, knobs: Knobs) -> dict[str, Any]:
    """The first strategy's backbone and, where there are others, those with the levels of all."""
    first, called = _backbone(study, knobs), ""
    others: list[tuple[str, dict[str, Any]]] = []
    for label, own in _distinct(study, "backbone"):
        found = _backbone(study, own)
        if found == first:
            called = called or label
        elif found not in (known for _, known in others):
            others.append((label, found))
    first["notes"] += map(str, contamination.find(study))
    first["notes"] += lint.random_stages({each.name: each.plan for each in study.strategies})
    if not others:
        return first
    return {
        "called": called,
        **first,
        "others": [{"called": label, **found} for label, found in others],
    }


def _others(study: Study) -> list[dict[str, Any]]:
    """What is doubtful of the data sets that are not the first strategy's."""
    others = _distinct(study, "dataset")[1:]
    return [
        {
            "called": called,
            "name": knobs["dataset"]["name"],
            "source": _source(knobs["dataset"]),
            **{
                key: value
                for key, value in study.inputs.known_sizes(knobs).items()
                if key in ("digest", "duplicates", "dropped", "skipped")
            },
        }
        for called, knobs in others
    ]


def _source(dataset: Knobs) -> str:
    """Which of many data sets of the same name: a hub id, or a path as it is written."""
    return str(dataset.get("id") or dataset.get("path") or "")


def notes(study: Study) -> list[str]:
    """What an author should know before a study runs: none of it stops the run."""
    plans = {strategy.name: strategy.plan for strategy in study.strategies}
    verb = "runs" if study.inputs.pending else "ran"
    return [
        *(f"missing: {sentence}" for sentence in study.inputs.absent),
        *_data_notes(study),
        *lint.of_settings(study.config, plans),
        *(
            f"{source} {verb} first, because its weights are needed"
            for source in study.studies_needed
        ),
    ]


def _data_notes(study: Study) -> list[str]:
    """What the data and the weights have that a claim may be doubted for: of each that is used."""
    data = [
        (called, _of_data(study.inputs.known_sizes(knobs)))
        for called, knobs in _distinct(study, "dataset")
    ]
    weights = [
        (called, list(study.inputs.outline(knobs).notes))
        for called, knobs in _distinct(study, "backbone")
    ]
    return [
        *_sentences("dataset", data),
        *_sentences("backbone.weights", weights),
        *(f"backbone.weights: {found}" for found in contamination.find(study)),
    ]


def _of_data(sizes: Mapping[str, Any]) -> list[str]:
    found = []
    for same in sizes.get("duplicates", ()):
        first, second = same["parts"]
        copies = f"{counted(same['count'], 'sample')} of {second}"
        some = ", ".join(map(str, same["examples"][:3]))
        verb = "is" if same["count"] == 1 else "are"
        found.append(f"{copies} {verb} in {first} too (for example {some})")
    found += [
        f"{counted(count, 'sample')} of {part} left out, because a later part has the same"
        for part, count in sizes.get("dropped", {}).items()
        if count
    ]
    if most := (sizes.get("redrawn") or {}).get("train_at_most"):
        found.append(f"the seed decides how many training samples are left, at most {most}")
    if skipped := sizes.get("skipped"):
        found.append(f"{len(skipped)} left out (for example {skipped[0]})")
    return found


def _sentences(knob: str, sentences: Sequence[tuple[str, list[str]]]) -> list[str]:
    """Each sentence once, with those that it holds for, where it does not hold for all."""
    holders: dict[str, list[str]] = {}
    for called, several in sentences:
        for sentence in dict.fromkeys(several):
            holders.setdefault(sentence, []).append(called)
    return [
        f"{knob}: {sentence}"
        if len(named) == len(sentences)
        else f"{knob} ({', '.join(named)}): {sentence}"
        for sentence, named in holders.items()
    ]


def _distinct(study: Study, block: str) -> list[tuple[str, Knobs]]:
    """A recipe for every data set or backbone that a trial may have, the first strategy's first.

    Args:
        study: The study.
        block: ``dataset`` or ``backbone``.

    Returns:
        Each with what a person calls it: the labels of the levels that set it, else its name.
    """
    setting = _setters(study.config, block)
    found: dict[str, tuple[str, Knobs]] = {}
    for strategy in study.strategies:
        for proposal in strategy.proposals:
            knobs = study.knobs(proposal)
            chosen = {**proposal.strategy.levels, **proposal.hyperparameters}
            labels = [str(label) for knob, label in chosen.items() if knob in setting]
            called = ", ".join(labels) or str(knobs[block]["name"])
            # Two blocks are the same data set or backbone if all their settings are equal.
            found.setdefault(json.dumps(record.plain(knobs[block])), (called, knobs))
    return list(found.values())


def _setters(config: StudyConfig, block: str) -> set[str]:
    """What is compared or tuned and sets a block, or a part of it."""
    paths = {factor.name: _set_by(factor.levels) for factor in config.compare}
    for tuned in config.tune:
        paths[tuned.knob] = {tuned.knob, *_set_by(levels_of(tuned).values())}
    return {
        name for name, every in paths.items() if any(f"{p}.".startswith(f"{block}.") for p in every)
    }


def _set_by(levels: Iterable[Level]) -> set[str]:
    return {path for level in levels for path in level.knobs}


def ranges(config: StudyConfig) -> list[tuple[str, str]]:
    """Every range as a person reads it: the knob with its condition, and what it may be."""
    found = []
    for tuned in config.tune:
        for entry in tuned.entries:
            when = " and ".join(f"{k} is {' or '.join(v)}" for k, v in entry.when.items())
            found.append((f"{tuned.knob} ({when})" if when else tuned.knob, _in_words(entry)))
    return found


def _in_words(entry: Interval | Categorical) -> str:
    if isinstance(entry, Categorical):
        return f"{', '.join(level.label for level in entry.levels)}; default {entry.default}"
    scale = ", log" if entry.log else ""
    step = f", step {entry.step:g}" if entry.step else ""
    return f"{entry.low:g} to {entry.high:g}{scale}{step}; default {entry.default:g}"
