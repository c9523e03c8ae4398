"""What a study file may say, and the exact words for everything that it may not."""

from __future__ import annotations

from pathlib import Path

import pytest

from workbench import backbones, datasets
from workbench.datasets import augmentations
from workbench.engine import optimizers
from workbench.record import Objective
from workbench.study.config import load, schema
from workbench.study.config.document import StudyFileError
from workbench.study.config.knobs import Categorical, Interval

JOINT = """\
name: x
recipe:
  dataset: wine
  backbone: mlp
tune:
  learning_rate: {low: 1e-4, high: 1e-1, log: true, default: 1e-2}
search: {trials: 3}
"""
BALANCED = """\
name: x
recipe:
  dataset: wine
  backbone: mlp
compare:
  optimizer: [sgd, adam]
tune:
  learning_rate: {low: 1e-4, high: 1e-1, log: true, default: 1e-2}
search: {trials_per_strategy: 3}
"""
PHASES = """\
name: x
recipe:
  dataset: wine
  backbone: mlp
compare:
  method:
    full: {freeze_depth: 0, epochs: 12}
    lpft: {phases: {probe: {epochs: 3, freeze_depth: all}, finetune: {epochs: 9, freeze_depth: 0}}}
tune:
  probe.learning_rate: {when: {method: lpft}, low: 1e-4, high: 1e-1, default: 1e-2}
search: {trials_per_strategy: 3}
"""
MANY = "[" + ", ".join(f"0.{n:04d}" for n in range(1, 101)) + "]"
RANGE = "{low: 1e-4, high: 1e-1, log: true, default: 1e-2}"
KNOBS = "one of " + ", ".join(schema.Recipe.model_fields)
DATA_SETS, BACKBONES = (
    f"{schema._families(catalogue)}, or your own FILE.py:NAME"
    for catalogue in (datasets.DATASETS, backbones.BACKBONES)
)
OPTIMIZERS = "one of " + ", ".join(optimizers.OPTIMIZERS)
TRANSFORMS = f"one of {', '.join(augmentations.AUGMENTATIONS)}, or your own FILE.py:NAME"
OPTIONS = dict.fromkeys(
    option
    for entry in datasets.DATASETS.values()
    for option in {**datasets.common_options(entry), **(entry.options or {})}
)
METRICS = ", ".join(
    f"{split}/{metric}"
    for split in ("validation", "train")
    for metric in ("loss", "accuracy", "precision", "recall", "f1")
)


def changed(text: str, *replacements: tuple[str, str]) -> str:
    for old, new in replacements:
        assert text.count(old) == 1, f"{old!r} stands {text.count(old)} times in the text"
        text = text.replace(old, new)
    return text


def problems(folder: Path, text: str, *overrides: str) -> list[str]:
    """Every problem of a file, without the folder's name."""
    path = folder / "study.yaml"
    path.write_text(text)
    with pytest.raises(StudyFileError) as caught:
        load(path, overrides)
    return [str(problem).replace(f"{folder}/", "") for problem in caught.value.problems]


BROKEN: dict[str, tuple[str, list[str]]] = {
    "an unknown block": (
        changed(JOINT, ("tune:", "tuen:")),
        [
            "study.yaml:5: tuen: unknown key; did you mean tune?",
        ],
    ),
    "a knob outside of every block": (
        changed(JOINT, ("name: x", "name: x\nepochs: 3")),
        [
            "study.yaml:2: epochs: found 'epochs', expected a knob to stand in a block; "
            "did you mean recipe.epochs?"
        ],
    ),
    "an unknown knob": (
        changed(JOINT, ("  backbone", "  epoch: 3\n  backbone")),
        [
            "study.yaml:4: recipe.epoch: unknown key; did you mean epochs?",
        ],
    ),
    "an unknown tuned knob": (
        changed(JOINT, ("learning_rate", "learning_rat")),
        [
            "study.yaml:6: tune.learning_rat: unknown key; did you mean learning_rate?",
        ],
    ),
    "a wrong type": (
        changed(JOINT, ("mlp", "mlp\n  epochs: many\n  weight_decay: [1]\n  phases: 3")),
        [
            "study.yaml:5: recipe.epochs: found 'many', expected a whole number",
            "study.yaml:6: recipe.weight_decay: found a list of 1, expected a number",
            "study.yaml:7: recipe.phases: found 3, expected a mapping",
        ],
    ),
    "a number out of its bounds": (
        changed(JOINT, ("mlp", "mlp\n  epochs: 0\n  momentum: 1\n  epsilon: .inf")),
        [
            "study.yaml:5: recipe.epochs: found 0, expected a number of at least 1",
            "study.yaml:6: recipe.momentum: found 1, expected a number less than 1",
            "study.yaml:7: recipe.epsilon: found inf, expected a finite number",
        ],
    ),
    "text where a boolean is expected, as YAML 1.1 would not have it": (
        changed(JOINT, ("mlp", "{name: mlp, keep_head: on}\n  nesterov: yes")),
        [
            "study.yaml:4: recipe.backbone.keep_head: found 'on', expected true or false",
            "study.yaml:5: recipe.nesterov: found 'yes', expected true or false",
        ],
    ),
    "a merge key, which only YAML 1.1 knows": (
        changed(JOINT, ("mlp", "mlp\n  <<: {epochs: 3}")),
        [
            f"study.yaml:5: recipe.<<: unknown key, expected {KNOBS}",
        ],
    ),
    "low above high": (
        changed(JOINT, (RANGE, "{low: 1e-1, high: 1e-4, log: true, default: 1e-2}")),
        [
            "study.yaml:6: tune.learning_rate.low: found 0.1, expected less than high (0.0001)",
        ],
    ),
    "a logarithm of zero": (
        changed(
            JOINT, (f"learning_rate: {RANGE}", f"weight_decay: {RANGE}"), ("low: 1e-4", "low: 0")
        ),
        [
            "study.yaml:6: tune.weight_decay.low: found 0, "
            "expected greater than 0, because log is true"
        ],
    ),
    "steps of a logarithm": (
        changed(JOINT, ("log: true", "log: true, step: 1e-4")),
        [
            "study.yaml:6: tune.learning_rate.step: found 0.0001, "
            "expected no step, because log is true"
        ],
    ),
    "a range that is no whole number of steps": (
        changed(JOINT, ("log: true", "step: 0.06")),
        [
            "study.yaml:6: tune.learning_rate.high: found 0.1, "
            "expected low (0.0001) and a whole number of steps (0.06)"
        ],
    ),
    "a default outside of its range": (
        changed(JOINT, ("default: 1e-2", "default: 1")),
        ["study.yaml:6: tune.learning_rate.default: found 1, expected a number from 0.0001 to 0.1"],
    ),
    "a default between two steps": (
        changed(JOINT, (RANGE, "{low: 0.1, high: 0.9, step: 0.2, default: 0.4}")),
        [
            "study.yaml:6: tune.learning_rate.default: found 0.4, "
            "expected a number from 0.1 to 0.9, in steps of 0.2"
        ],
    ),
    "a fraction for a whole number": (
        changed(JOINT, (f"learning_rate: {RANGE}", "epochs: {low: 1, high: 8, default: 2.5}")),
        ["study.yaml:6: tune.epochs.default: found 2.5, expected a whole number from 1 to 8"],
    ),
    "a step that is no whole number": (
        changed(
            JOINT, (f"learning_rate: {RANGE}", "epochs: {low: 1, high: 8, step: 0.5, default: 2}")
        ),
        ["study.yaml:6: tune.epochs.step: found 0.5, expected a whole number"],
    ),
    "a bound that the knob cannot have": (
        changed(JOINT, (f"learning_rate: {RANGE}", "momentum: {low: 0.5, high: 1, default: 0.9}")),
        ["study.yaml:6: tune.momentum.high: found 1, expected a number less than 1"],
    ),
    "no default": (
        changed(JOINT, (", default: 1e-2", "")),
        [
            "study.yaml:6: tune.learning_rate: missing key `default`: a value in the range,"
            " for the first trial and the baseline",
        ],
    ),
    "a key of a range that is missing, and one too many": (
        changed(JOINT, ("high", "hihg")),
        [
            "study.yaml:6: tune.learning_rate.high: found nothing, expected the key high",
            "study.yaml:6: tune.learning_rate.hihg: unknown key; did you mean high?",
        ],
    ),
    "a number where a range belongs": (
        changed(JOINT, (RANGE, "1e-3")),
        [
            "study.yaml:6: tune.learning_rate: found 0.001, "
            "expected a range {low: ..., high: ..., default: ...}, or a list of values"
        ],
    ),
    "a default that is no level": (
        changed(JOINT, ("tune:", "tune:\n  optimizer: {choices: [sgd, adam], default: adamw}")),
        [
            "study.yaml:6: tune.optimizer.default: found 'adamw', expected one of sgd, adam; "
            "did you mean adam?"
        ],
    ),
    "a knob in recipe and tune": (
        changed(JOINT, ("tune:", "  learning_rate: 1e-3\ntune:")),
        [
            "study.yaml:7: tune.learning_rate: found 'learning_rate', expected a knob to stand in "
            "one block only; it stands in recipe too (study.yaml:5)"
        ],
    ),
    "a knob in compare and tune": (
        changed(BALANCED, ("tune:", "tune:\n  optimizer: [sgd, adam]")),
        [
            "study.yaml:8: tune.optimizer: found 'optimizer', expected a knob to stand in "
            "one block only; it stands in compare too (study.yaml:6)"
        ],
    ),
    "a knob in two factors": (
        changed(BALANCED, ("tune:", "  method: {a: {optimizer: sgd}, b: {epochs: 3}}\ntune:")),
        [
            "study.yaml:7: compare.method: found 'optimizer', expected a knob to stand in "
            "one block only; it stands in compare too (study.yaml:6)"
        ],
    ),
    "a knob twice in the recipe, once by its path": (
        changed(JOINT, ("mlp", "{name: mlp, hidden: [8]}\n  backbone.hidden: [9]")),
        [
            "study.yaml:5: recipe.backbone.hidden: found 'backbone.hidden', "
            "expected each knob once; it stands in recipe already (study.yaml:4)"
        ],
    ),
    "a condition on an unknown knob": (
        changed(BALANCED, ("{low", "{when: {optimiser: sgd}, low")),
        [
            "study.yaml:8: tune.learning_rate.when.optimiser: found 'optimiser', "
            "expected one of dataset.name, backbone.name, optimizer; did you mean optimizer?"
        ],
    ),
    "a condition on an unknown label": (
        changed(BALANCED, ("{low", "{when: {optimizer: [sgd, adamm]}, low")),
        [
            "study.yaml:8: tune.learning_rate.when.optimizer: found 'adamm', "
            "expected one of sgd, adam; did you mean adam?"
        ],
    ),
    "a condition on a value that a knob of the recipe cannot have": (
        changed(JOINT, ("mlp", "mlp\n  optimizer: sgd"), ("{low", "{when: {optimizer: sgdd}, low")),
        [
            "study.yaml:7: tune.learning_rate.when.optimizer: found 'sgdd', "
            f"expected {OPTIMIZERS}; did you mean sgd?"
        ],
    ),
    "a condition on a knob that is tuned later": (
        changed(
            JOINT,
            ("{low", "{when: {optimizer: sgd}, low"),
            ("search", "  optimizer: [sgd]\nsearch"),
        ),
        [
            "study.yaml:6: tune.learning_rate.when.optimizer: found 'optimizer', "
            "expected a knob tuned before this one"
        ],
    ),
    "a condition on a range": (
        changed(
            JOINT,
            ("tune:", "tune:\n  epochs: {low: 1, high: 9, default: 3}"),
            ("{low: 1e-4", "{when: {epochs: 3}, low: 1e-4"),
        ),
        [
            "study.yaml:7: tune.learning_rate.when.epochs: found 'epochs', "
            "expected a choice, not a range"
        ],
    ),
    "levels of no knob without labels": (
        changed(BALANCED, ("optimizer: [sgd, adam]", "method: [full, lpft]")),
        [
            "study.yaml:6: compare.method: unknown key, expected a knob, or levels with "
            "labels: {LABEL: {KNOB: VALUE}}",
        ],
    ),
    "a misspelt factor": (
        changed(BALANCED, ("optimizer:", "optimiser:")),
        [
            "study.yaml:6: compare.optimiser: unknown key; did you mean optimizer?",
        ],
    ),
    "a bundle that is no mapping": (
        changed(BALANCED, ("optimizer: [sgd, adam]", "method: {full: 0, lpft: {epochs: 3}}")),
        [
            "study.yaml:6: compare.method.full: found 0, "
            "expected a mapping of knobs, because method is none"
        ],
    ),
    "an unknown knob and a wrong value in a bundle": (
        changed(BALANCED, ("optimizer: [sgd, adam]", "m: {a: {epoch: 3}, b: {epochs: x}}")),
        [
            "study.yaml:6: compare.m.a.epoch: unknown key; did you mean epochs?",
            "study.yaml:6: compare.m.b.epochs: found 'x', expected a whole number",
        ],
    ),
    "a level that nothing names": (
        changed(BALANCED, ("optimizer: [sgd, adam]", "augmentation: [[random_vertical_flip]]")),
        [
            "study.yaml:6: compare.augmentation.0: found a list of 1, "
            "expected a label for this level: {LABEL: VALUE}"
        ],
    ),
    "two levels with one label": (
        changed(BALANCED, ("[sgd, adam]", "[sgd, adam, sgd]")),
        [
            "study.yaml:6: compare.optimizer.2: found 'sgd', "
            "expected a label that no other level has"
        ],
    ),
    "one label for two things": (
        changed(
            JOINT,
            (
                f"learning_rate: {RANGE}",
                "optimizer: [sgd, adam]\n"
                "  m:\n"
                "    - {when: {optimizer: sgd}, choices: {a: {epochs: 3}}}\n"
                "    - {choices: {a: {epochs: 4}}}",
            ),
        ),
        ["study.yaml:7: tune.m: found 'a', expected a label that means the same in every entry"],
    ),
    "no factor in compare": (
        changed(BALANCED, ("compare:\n  optimizer: [sgd, adam]", "compare:")),
        [
            "study.yaml:5: compare: found nothing, "
            "expected a factor; leave compare out for one search over everything"
        ],
    ),
    "a list of factors": (
        changed(BALANCED, ("\n  optimizer: [sgd, adam]", " [optimizer]")),
        ["study.yaml:5: compare: found a list of 1, expected a mapping"],
    ),
    "trials in a balanced study": (
        changed(BALANCED, ("trials_per_strategy", "trials")),
        [
            "study.yaml:9: search.trials: found 'trials', expected trials_per_strategy, "
            "because there is a compare block; did you mean trials_per_strategy?"
        ],
    ),
    "trials_per_strategy in a joint study": (
        changed(JOINT, ("trials", "trials_per_strategy")),
        [
            "study.yaml:7: search.trials_per_strategy: found 'trials_per_strategy', "
            "expected trials, without a compare block; did you mean trials?"
        ],
    ),
    "no number of trials": (
        changed(JOINT, ("trials: 3", "seed: 1")),
        [
            "study.yaml:7: search: found nothing, "
            "expected trials: a number of trials, without a compare block"
        ],
    ),
    "an unknown optimizer": (
        changed(BALANCED, ("[sgd, adam]", "[sgd, adm]")),
        [
            "study.yaml:6: compare.optimizer.1: found 'adm', "
            f"expected {OPTIMIZERS}; did you mean adam?"
        ],
    ),
    "an unknown data set and an unknown option of one": (
        changed(
            BALANCED,
            ("dataset: wine", "dataset: wines"),
            ("optimizer: [sgd, adam]", "dataset.tst: [3]"),
        ),
        [
            f"study.yaml:3: recipe.dataset.name: found 'wines', expected {DATA_SETS}; "
            "did you mean wine?",
            "study.yaml:6: compare.dataset.tst.0: unknown key; did you mean test?",
        ],
    ),
    "an option that the data set does not have": (
        changed(JOINT, ("wine", "{name: wine, channel: 3}")),
        [
            "study.yaml:3: recipe.dataset.channel: unknown key, expected one of name, "
            "classes, part, train_per_class, fraction, validation, test (dataset wine)",
        ],
    ),
    "an unknown backbone": (
        changed(JOINT, ("mlp", "restnet18")),
        [
            "study.yaml:4: recipe.backbone.name: found 'restnet18', "
            f"expected {BACKBONES}; did you mean resnet18?"
        ],
    ),
    "an unknown option of a backbone, and one with a wrong type": (
        changed(JOINT, ("mlp", "{name: mlp, hiden: [8], dropout: some}")),
        [
            "study.yaml:4: recipe.backbone.hiden: unknown key; did you mean hidden?",
            "study.yaml:4: recipe.backbone.dropout: found 'some', expected a number",
        ],
    ),
    "an option of another level's backbone": (
        changed(
            BALANCED,
            ("mlp", "{name: mlp, hidden: [8]}"),
            ("optimizer: [sgd, adam]", "method: {a: {epochs: 3}, b: {backbone.width: 8}}"),
        ),
        [
            "study.yaml:6: compare.method.b: unknown key, expected one of name, weights, "
            "keep_head, strict, hidden, dropout (backbone mlp)",
        ],
    ),
    "unknown transforms and options of one": (
        changed(
            JOINT, ("tune:", "  augmentation: [{random_crop: {pading: 1}}, random_flop]\ntune:")
        ),
        [
            "study.yaml:5: recipe.augmentation.0.random_crop.pading: unknown key; did you "
            "mean padding?",
            "study.yaml:5: recipe.augmentation.1: found 'random_flop', expected "
            f"{TRANSFORMS}; did you mean random_crop?",
        ],
    ),
    "an unknown sampler and an unknown pruner": (
        changed(JOINT, ("trials: 3", "trials: 3, sampler: tep, pruner: medain")),
        [
            "study.yaml:7: search.sampler.name: found 'tep', expected one of tpe, random, grid; "
            "did you mean tpe?",
            "study.yaml:7: search.pruner.name: found 'medain', expected one of none, median, "
            "successive_halving, hyperband; did you mean median?",
        ],
    ),
    "options that the sampler and the pruner do not have or would fail on": (
        changed(
            JOINT,
            (
                "trials: 3",
                "trials: 3, sampler: {name: tpe, n_startup: 3}, "
                "pruner: {name: median, n_warmup_steps: -1}",
            ),
        ),
        [
            "study.yaml:7: search.sampler.n_startup: unknown key; did you mean n_startup_trials?",
            "study.yaml:7: search.pruner.n_warmup_steps: found -1, expected a whole number "
            "of at least 0",
        ],
    ),
    "a time limit that is none": (
        changed(JOINT, ("trials: 3", "trials: 3, timeout: 5 minutes")),
        [
            "study.yaml:7: search.timeout: found '5 minutes', "
            "expected seconds, or a number followed by s, m or h, greater than 0"
        ],
    ),
    "an unknown metric, direction and epoch": (
        JOINT + "objective: {metric: validation/acuracy, direction: maximise, epoch: first}\n",
        [
            "study.yaml:8: objective.direction: found 'maximise', "
            "expected one of maximize, minimize; did you mean maximize?",
            "study.yaml:8: objective.epoch: found 'first', expected one of best, last",
            "study.yaml:8: objective.metric: found 'validation/acuracy', "
            f"expected one of {METRICS}; did you mean validation/accuracy?",
        ],
    ),
    "enqueued values that no trial may have": (
        changed(
            BALANCED,
            (
                "_strategy: 3",
                "_strategy: 3, enqueue: [{learning_rate: 3}, {learning_rat: 1e-3}, "
                "{optimizer: sdg}, {learning_rate: '1e-3'}]",
            ),
        ),
        [
            "study.yaml:9: search.enqueue.0.learning_rate: found 3, expected a value that "
            "tune.learning_rate may take",
            "study.yaml:9: search.enqueue.1.learning_rat: unknown key; did you mean learning_rate?",
            "study.yaml:9: search.enqueue.2.optimizer: found 'sdg', expected one of sgd, "
            "adam; did you mean sgd?",
            "study.yaml:9: search.enqueue.3.learning_rate: found '1e-3', expected a value "
            "that tune.learning_rate may take",
        ],
    ),
    "a tuned knob of a phase that a strategy lacks": (
        changed(PHASES, ("when: {method: lpft}, ", "")),
        [
            "study.yaml:10: tune.probe.learning_rate: found no phase probe in full, "
            "expected when: {FACTOR: LABEL}, where probe is"
        ],
    ),
    "a compared knob of a phase that a strategy lacks": (
        changed(PHASES, ("\ntune:", "\n  probe.optimizer: [sgd, adam]\ntune:")),
        [
            "study.yaml:9: compare.probe.optimizer.sgd: found no phase probe in full-sgd, "
            "expected this knob inside the level that brings probe",
            "study.yaml:9: compare.probe.optimizer.adam: found no phase probe in full-adam, "
            "expected this knob inside the level that brings probe",
        ],
    ),
    "a fixed knob of a phase that a strategy lacks": (
        changed(PHASES, ("  backbone", "  probe.optimizer: sgd\n  backbone")),
        [
            "study.yaml:4: recipe.probe.optimizer: found no phase probe in full, "
            "expected this knob inside the level that brings probe"
        ],
    ),
    "a knob of a phase that is nowhere": (
        changed(PHASES, ("probe.learning_rate", "prob.learning_rate")),
        [
            "study.yaml:10: tune.prob.learning_rate: unknown key; did you mean "
            "probe.learning_rate?",
        ],
    ),
    "a phase with the name of a knob": (
        changed(JOINT, ("tune:", "  phases: {epochs: {epochs: 3}}\ntune:")),
        [
            "study.yaml:5: recipe.phases.epochs: found 'epochs', "
            "expected a phase's name that is no knob and has no dot"
        ],
    ),
    "two strategies with one name": (
        changed(
            BALANCED,
            (
                "optimizer: [sgd, adam]",
                "a: {x-y: {epochs: 3}, x: {epochs: 4}}\n"
                "  b: {z: {batch_size: 8}, y-z: {batch_size: 9}}",
            ),
        ),
        [
            "study.yaml:5: compare: found 'x-y-z', "
            "expected labels that make each strategy's name differ"
        ],
    ),
    "a number without an end": (
        changed(JOINT, ("mlp", f"mlp\n  batch_size: {5000 * '9'}")),
        [
            f"study.yaml:5: recipe.batch_size: found '{199 * '9'}..., expected a number",
            f"study.yaml:5: recipe.batch_size: found '{199 * '9'}..., expected a whole number",
        ],
    ),
    "values that no machine can hold": (
        changed(JOINT, ("mlp", "mlp\n  epochs: 1000000000\n  lora: {rank: 100000000000}")),
        [
            "study.yaml:5: recipe.epochs: found 1000000000, expected a number of at most 1000000",
            "study.yaml:6: recipe.lora.rank: found 100000000000, "
            "expected a number of at most 65536",
        ],
    ),
    "keys that have no effect yet": (
        JOINT
        + "across: {search_seed: [1, 2]}\nobjective: {limits: {cost/ms: 8}, pareto: cost/ms}\n",
        [
            "study.yaml:8: across: not supported yet; remove it",
            "study.yaml:9: objective.limits: not supported yet; remove it",
            "study.yaml:9: objective.pareto: not supported yet; remove it",
        ],
    ),
    "what other tools call a knob": (
        changed(
            JOINT,
            ("backbone: mlp", "model: mlp\n  bs: 8\n  lr_scheduler: cosine\n  num_epochs: 3"),
            ("learning_rate", "lr"),
        )
        + "objective: {metric: val_acc}\n",
        [
            "study.yaml:4: recipe.model: unknown key; did you mean backbone?",
            "study.yaml:5: recipe.bs: unknown key; did you mean batch_size?",
            "study.yaml:6: recipe.lr_scheduler: unknown key; did you mean schedule?",
            "study.yaml:7: recipe.num_epochs: unknown key; did you mean epochs?",
            "study.yaml:9: tune.lr: unknown key; did you mean learning_rate?",
            f"study.yaml:11: objective.metric: found 'val_acc', expected one of {METRICS}; "
            "did you mean validation/accuracy?",
        ],
    ),
    "a metric without its part": (
        JOINT + "objective: {metric: accuracy}\n",
        [
            f"study.yaml:8: objective.metric: found 'accuracy', expected one of {METRICS}; "
            "did you mean validation/accuracy?",
        ],
    ),
    "the ranges of a W&B sweep": (
        changed(
            JOINT,
            (RANGE, "{distribution: log_uniform_values, min: 1e-4, max: 0.1}"),
            ("tune:", "tune:\n  momentum: {min: 0, max: 0.9}\n  batch_size: {values: [16, 32]}"),
        ),
        [
            "study.yaml:6: tune.momentum: this is the notation of W&B sweeps; "
            "write {low: 0, high: 0.9, default: ...}",
            "study.yaml:7: tune.batch_size: this is the notation of W&B sweeps; "
            "write a list: [VALUE, VALUE]",
            "study.yaml:8: tune.learning_rate: this is the notation of W&B sweeps; "
            "write {low: 0.0001, high: 0.1, log: true, default: ...}",
        ],
    ),
    "two numbers with one label": (
        changed(BALANCED, ("optimizer: [sgd, adam]", "weight_decay: [1e-3, 1.00000001e-3]")),
        [
            "study.yaml:6: compare.weight_decay.1: found 0.00100000001, whose label 0.001 another "
            "level has, expected a label for each: {LABEL: VALUE}",
        ],
    ),
    "a number of trials that is left empty": (
        changed(JOINT, ("trials: 3", "trials:")),
        [
            "study.yaml:7: search: found nothing, expected trials: a number of trials, "
            "without a compare block"
        ],
    ),
    "a confirmation of what is not there": (
        BALANCED + "confirm: {contrast: optimiser, baseline: sdg}\n",
        [
            "study.yaml:10: confirm.contrast: found 'optimiser', "
            "expected one of all, baseline, optimizer; did you mean optimizer?",
            "study.yaml:10: confirm.baseline: found 'sdg', "
            "expected one of default, sgd, adam; did you mean sgd?",
        ],
    ),
    "no data set and no backbone": (
        "name: x\nrecipe:\nsearch: {trials: 3}\n",
        [
            "study.yaml:2: recipe: found no dataset, expected dataset: {name: ...}",
            "study.yaml:2: recipe: found no backbone, expected backbone: {name: ...}",
        ],
    ),
    "a name that is no folder's": (
        changed(JOINT, ("name: x", "name: ../x")),
        [
            "study.yaml:1: name: found '../x', "
            "expected a name of at most 200 letters, digits, dots, dashes and underscores"
        ],
    ),
    "a name that is too long for a folder": (
        changed(JOINT, ("name: x", f"name: {'x' * 201}")),
        [
            f"study.yaml:1: name: found '{'x' * 199}..., "
            "expected a name of at most 200 letters, digits, dots, dashes and underscores"
        ],
    ),
    "a strategy's name that is too long for a folder": (
        changed(BALANCED, ("[sgd, adam]", f"{{{'é' * 101}: sgd, b: adam}}")),
        [
            f"study.yaml:5: compare: found '{'é' * 101}', expected shorter labels: "
            "the name of a strategy may have 200 bytes"
        ],
    ),
    "more strategies than anyone means": (
        changed(
            BALANCED,
            ("  optimizer: [sgd, adam]", f"  weight_decay: {MANY}\n  momentum: {MANY}"),
        ),
        ["study.yaml:5: compare: found 10,000 strategies, expected at most 1,000"],
    ),
    "more choices than anyone means": (
        changed(JOINT, ("trials: 3", "trials: 3}\n# {")).replace(
            "tune:\n", f"tune:\n  weight_decay: {MANY}\n  momentum: {MANY}\n  beta1: {MANY}\n"
        ),
        [
            "study.yaml:5: tune: found more than 1,000 combinations of choices, "
            "expected at most 1,000"
        ],
    ),
    "more trials than anyone means": (
        changed(BALANCED, ("trials_per_strategy: 3", "trials_per_strategy: 60000")),
        ["study.yaml:9: search: found 120,000 trials in all, expected at most 100,000"],
    ),
    "an empty file": (
        "# Nothing but a question?\n",
        [
            "study.yaml: name: found nothing, "
            "expected a name of at most 200 letters, digits, dots, dashes and underscores",
            "study.yaml: recipe: found nothing, "
            "expected the block recipe, with a dataset and a backbone",
            "study.yaml: search: found nothing, "
            "expected trials: a number of trials, without a compare block",
        ],
    ),
    "several errors, in the order of the lines": (
        "objective: {metric: loss}\n"
        + changed(JOINT, ("wine", "wines"), ("trials: 3", "trials: x")),
        [
            f"study.yaml:1: objective.metric: found 'loss', expected one of {METRICS}; did "
            "you mean validation/loss?",
            f"study.yaml:4: recipe.dataset.name: found 'wines', expected {DATA_SETS}; "
            "did you mean wine?",
            "study.yaml:8: search.trials: found 'x', expected a whole number",
        ],
    ),
}


@pytest.mark.parametrize("case", BROKEN)
def test_a_broken_file_is_refused_in_these_words(tmp_path: Path, case: str) -> None:
    text, expected = BROKEN[case]
    assert problems(tmp_path, text) == expected


def test_the_texts_that_the_broken_files_are_made_from_are_sound(tmp_path: Path) -> None:
    for text in (JOINT, BALANCED, PHASES):
        path = tmp_path / "study.yaml"
        path.write_text(text)
        assert load(path).name == "x"


@pytest.mark.parametrize(
    ("override", "expected"),
    [
        ("recipe.epochs=many", "recipe.epochs: found 'many', expected a whole number"),
        ("recipe.epoch=3", "recipe.epoch: unknown key; did you mean epochs?"),
        (
            "tune.learning_rate.default=3",
            "tune.learning_rate.default: found 3, expected a number from 0.0001 to 0.1",
        ),
        ("search.seed=-1", "search.seed: found -1, expected a number of at least 0"),
    ],
)
def test_an_error_in_an_override_names_the_override(
    tmp_path: Path, override: str, expected: str
) -> None:
    assert problems(tmp_path, JOINT, override) == [f"--set {override}: {expected}"]


# -- what is accepted ----------------------------------------------------------------------------

GRAMMAR = """\
# Does bert beat roberta?
# And by how much?
#   workbench run studies/grammar.yaml
name: grammar
recipe:
  dataset: {name: digits, classes: [0, 1]}
  batch_size: 012
  weight_decay: 1e-4
  schedule: {name: cosine, warmup_epochs: 1}
compare:
  backbone: {bert: {name: mlp, hidden: [8], weights: null}, roberta: {name: small_cnn, width: 4}}
  method:
    full: {freeze_depth: 0, epochs: 12}
    lpft:
      phases:
        probe: {epochs: 3, freeze_depth: all, schedule: linear}
        finetune: {epochs: 9, freeze_depth: 0}
    gradual: {unfreeze: {every: 2}, epochs: 12}
tune:
  optimizer: [adamw, sgd]
  learning_rate:
    - {when: {backbone: bert, optimizer: sgd}, low: 1e-3, high: 3e-1, log: true, default: 1e-2}
    - {when: {method: [full, gradual]}, low: 1e-4, high: 1e-1, log: true, default: 1e-3}
  probe.learning_rate: {when: {method: lpft}, low: 1e-3, high: 1e-1, log: true, default: 1e-2}
  finetune.nesterov: {when: {method: lpft}, choices: [false, true], default: true}
  momentum: {when: {optimizer: sgd}, low: 0, high: 0.99, default: 0.9}
search:
  sampler: {name: tpe, n_startup_trials: 4}
  pruner: none
  trials_per_strategy: 12
  seed: 3
  timeout: 1.5h
  enqueue: [{method: full, learning_rate: 0.01}]
objective: {metric: validation/loss, epoch: last}
confirm:
  seeds: 12
  smallest_effect: 0.01
  select: {configs: 3, seeds: 3}
  contrast: method
  baseline: bert-full
"""


def test_the_whole_grammar_is_read(tmp_path: Path) -> None:
    path = tmp_path / "grammar.yaml"
    path.write_text(GRAMMAR)
    config = load(path)
    assert config.name == "grammar"
    assert config.question == "Does bert beat roberta? And by how much?"
    assert config.balanced
    assert [strategy.name for strategy in config.strategies] == [
        f"{backbone}-{method}"
        for backbone in ("bert", "roberta")
        for method in ("full", "lpft", "gradual")
    ]
    lpft = config.strategies[1]
    assert lpft.levels == {"backbone": "bert", "method": "lpft"}
    assert lpft.knobs == {
        "backbone.name": "mlp",
        "backbone.hidden": [8],
        "backbone.weights": None,
        "probe.epochs": 3,
        "probe.freeze_depth": "all",
        "probe.schedule.name": "linear",
        "finetune.epochs": 9,
        "finetune.freeze_depth": 0,
    }
    assert config.strategies[2].knobs["unfreeze.every"] == 2
    assert config.recipe["batch_size"] == 12
    assert config.recipe["weight_decay"] == 1e-4
    learning_rate = config.tune[1]
    assert learning_rate.entries[0] == Interval(
        when={"backbone": ("bert",), "optimizer": ("sgd",)},
        low=1e-3,
        high=0.3,
        log=True,
        step=None,
        whole=False,
        default=1e-2,
    )
    assert learning_rate.entries[1].when == {"method": ("full", "gradual")}
    nesterov = config.tune[3].entries[0]
    assert isinstance(nesterov, Categorical) and nesterov.default == "true"
    momentum = config.tune[4].entries[0]
    assert isinstance(momentum, Interval) and not momentum.whole
    assert config.objective == Objective(
        metric="validation/loss", direction="minimize", epoch="last"
    )
    assert config.search.timeout == 5400
    assert config.search.sampler.options == {"n_startup_trials": 4}
    assert config.search.pruner.name == "none"
    assert config.confirm.select.configs == 3 and config.confirm.contrast == "method"
    assert config.confirm.baseline == "bert-full"


def test_a_joint_study_compares_the_choices_that_it_tunes(tmp_path: Path) -> None:
    path = tmp_path / "study.yaml"
    path.write_text(
        changed(
            JOINT,
            (
                "tune:",
                "tune:\n"
                "  optimizer: {choices: [adam, sgd], default: sgd}\n"
                "  method: {full: {freeze_depth: 0}, lpft: {phases: {probe: {epochs: 3}}}}\n"
                "  probe.weight_decay: {when: {method: lpft}, low: 0, high: 1, default: 0.5}",
            ),
        )
    )
    config = load(path)
    assert not config.balanced
    assert [group.name for group in config.groups] == ["joint"]
    assert [strategy.name for strategy in config.strategies] == [
        "adam-full",
        "adam-lpft",
        "sgd-full",
        "sgd-lpft",
    ]
    assert config.trials_per_group == 3


def test_a_condition_may_name_a_knob_that_a_bundle_sets(tmp_path: Path) -> None:
    path = tmp_path / "study.yaml"
    text = changed(
        BALANCED,
        ("optimizer: [sgd, adam]", "m: {a: {optimizer: sgd}, b: {optimizer: adam}}"),
        ("tune:", "tune:\n  momentum: {when: {optimizer: sgd}, low: 0, high: 0.9, default: 0.5}"),
    )
    path.write_text(text)
    assert load(path).tune[0].entries[0].when == {"optimizer": ("sgd",)}


def test_phases_may_be_compared_as_a_knob(tmp_path: Path) -> None:
    path = tmp_path / "study.yaml"
    text = changed(
        BALANCED,
        (
            "optimizer: [sgd, adam]",
            "phases: {one: {main: {}}, two: {probe: {epochs: 1}, main: {}}}",
        ),
        ("learning_rate", "main.learning_rate"),
    )
    path.write_text(text)
    one, two = load(path).strategies
    assert one.knobs == {"main": {}}
    assert two.knobs == {"probe.epochs": 1, "main": {}}


def test_a_knob_of_a_phase_that_every_strategy_has_may_stand_in_the_recipe(tmp_path: Path) -> None:
    path = tmp_path / "study.yaml"
    path.write_text(
        changed(
            BALANCED,
            ("mlp", "mlp\n  phases: {probe: {epochs: 2}}\n  probe.optimizer: sgd"),
            ("optimizer: [sgd, adam]", "probe.freeze_depth: [0, all]"),
        )
    )
    config = load(path)
    assert config.recipe["phases"] == {"probe": {"epochs": 2, "optimizer": "sgd"}}
    assert [strategy.knobs for strategy in config.strategies] == [
        {"probe.freeze_depth": 0},
        {"probe.freeze_depth": "all"},
    ]


def test_a_value_of_the_recipe_may_serve_whom_a_condition_leaves_out(tmp_path: Path) -> None:
    path = tmp_path / "study.yaml"
    path.write_text(
        changed(
            BALANCED,
            ("mlp", "mlp\n  learning_rate: 3e-3"),
            ("{low", "{when: {optimizer: sgd}, low"),
        )
    )
    assert load(path).recipe["learning_rate"] == 3e-3


def test_an_override_reaches_values_lists_and_conditional_entries(tmp_path: Path) -> None:
    path = tmp_path / "study.yaml"
    path.write_text(changed(JOINT, (RANGE, f"[{RANGE}]")))
    config = load(
        path,
        [
            "recipe.dataset.validation=30",
            "recipe.backbone={name: mlp, hidden: [4]}",
            "tune.learning_rate.0.low=1e-5",
            "tune.momentum={low: 0.5, high: 0.9, default: 0.8}",
        ],
    )
    assert config.recipe["dataset"] == {"name": "wine", "validation": 30}
    assert config.recipe["backbone"] == {"name": "mlp", "hidden": [4]}
    first, second = config.tune[0].entries[0], config.tune[1].entries[0]
    assert isinstance(first, Interval) and first.low == 1e-5
    assert isinstance(second, Interval) and second.default == 0.8


def test_startup_trials_are_a_quarter_of_the_trials_and_three_at_least(tmp_path: Path) -> None:
    path = tmp_path / "study.yaml"
    path.write_text(JOINT)
    assert load(path).startup_trials == 3
    assert load(path, ["search.trials=40"]).startup_trials == 10
