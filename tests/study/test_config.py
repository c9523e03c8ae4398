"""What a study file may say; what it may not, with its line, its key and a suggestion."""

from __future__ import annotations

from pathlib import Path

import pytest

from workbench.record import Objective
from workbench.study.config import load
from workbench.study.config.document import Problem, StudyFileError
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


def changed(text: str, *replacements: tuple[str, str]) -> str:
    for old, new in replacements:
        assert text.count(old) == 1, f"{old!r} stands {text.count(old)} times in the text"
        text = text.replace(old, new)
    return text


def problems(folder: Path, text: str, *overrides: str) -> list[Problem]:
    """Every problem of a file."""
    path = folder / "study.yaml"
    path.write_text(text)
    with pytest.raises(StudyFileError) as caught:
        load(path, overrides)
    return list(caught.value.problems)


# Of each problem the line, the key and the suggestion.
BROKEN: dict[str, tuple[str, list[tuple[int | None, str, str | None]]]] = {
    "an unknown schedule, and an unknown key of it": (
        changed(JOINT, ("mlp", "mlp\n  schedule: {name: cosin, warmup_epoch: 1}")),
        [
            (5, "recipe.schedule.name", "cosine"),
            (5, "recipe.schedule.warmup_epoch", "warmup_epochs"),
        ],
    ),
    "an unknown block": (changed(JOINT, ("tune:", "tuen:")), [(5, "tuen", "tune")]),
    "a misspelt block that is required": (
        changed(BALANCED, ("search:", "serach:")),
        [(9, "serach", "search")],
    ),
    "a knob outside of every block": (
        changed(JOINT, ("name: x", "name: x\nepochs: 3")),
        [(2, "epochs", None)],
    ),
    "an unknown knob": (
        changed(JOINT, ("  backbone", "  epoch: 3\n  backbone")),
        [(4, "recipe.epoch", "epochs")],
    ),
    "an unknown tuned knob": (
        changed(JOINT, ("learning_rate", "learning_rat")),
        [(6, "tune.learning_rat", "learning_rate")],
    ),
    "a wrong type": (
        changed(JOINT, ("mlp", "mlp\n  epochs: many\n  weight_decay: [1]\n  phases: 3")),
        [(5, "recipe.epochs", None), (6, "recipe.weight_decay", None), (7, "recipe.phases", None)],
    ),
    "a number out of its bounds": (
        changed(JOINT, ("mlp", "mlp\n  epochs: 0\n  momentum: 1\n  epsilon: .inf")),
        [(5, "recipe.epochs", None), (6, "recipe.momentum", None), (7, "recipe.epsilon", None)],
    ),
    "text where a boolean is expected, as YAML 1.1 would not have it": (
        changed(JOINT, ("mlp", "{name: mlp, keep_head: on}\n  nesterov: yes")),
        [(4, "recipe.backbone.keep_head", None), (5, "recipe.nesterov", None)],
    ),
    "a merge key, which only YAML 1.1 knows": (
        changed(JOINT, ("mlp", "mlp\n  <<: {epochs: 3}")),
        [(5, "recipe.<<", None)],
    ),
    "low above high": (
        changed(JOINT, (RANGE, "{low: 1e-1, high: 1e-4, log: true, default: 1e-2}")),
        [(6, "tune.learning_rate.low", None)],
    ),
    "a logarithm of zero": (
        changed(
            JOINT, (f"learning_rate: {RANGE}", f"weight_decay: {RANGE}"), ("low: 1e-4", "low: 0")
        ),
        [(6, "tune.weight_decay.low", None)],
    ),
    "steps of a logarithm": (
        changed(JOINT, ("log: true", "log: true, step: 1e-4")),
        [(6, "tune.learning_rate.step", None)],
    ),
    "a range that is no whole number of steps": (
        changed(JOINT, ("log: true", "step: 0.06")),
        [(6, "tune.learning_rate.high", None)],
    ),
    "a default outside of its range": (
        changed(JOINT, ("default: 1e-2", "default: 1")),
        [(6, "tune.learning_rate.default", None)],
    ),
    "a default between two steps": (
        changed(JOINT, (RANGE, "{low: 0.1, high: 0.9, step: 0.2, default: 0.4}")),
        [(6, "tune.learning_rate.default", None)],
    ),
    "a fraction for a whole number": (
        changed(JOINT, (f"learning_rate: {RANGE}", "epochs: {low: 1, high: 8, default: 2.5}")),
        [(6, "tune.epochs.default", None)],
    ),
    "a step that is no whole number": (
        changed(
            JOINT, (f"learning_rate: {RANGE}", "epochs: {low: 1, high: 8, step: 0.5, default: 2}")
        ),
        [(6, "tune.epochs.step", None)],
    ),
    "a bound that the knob cannot have": (
        changed(JOINT, (f"learning_rate: {RANGE}", "momentum: {low: 0.5, high: 1, default: 0.9}")),
        [(6, "tune.momentum.high", None)],
    ),
    "no default": (changed(JOINT, (", default: 1e-2", "")), [(6, "tune.learning_rate", None)]),
    "a key of a range that is missing, and one too many": (
        changed(JOINT, ("high", "hihg")),
        [(6, "tune.learning_rate.high", None), (6, "tune.learning_rate.hihg", "high")],
    ),
    "a number where a range belongs": (
        changed(JOINT, (RANGE, "1e-3")),
        [(6, "tune.learning_rate", None)],
    ),
    "a default that is no level": (
        changed(JOINT, ("tune:", "tune:\n  optimizer: {choices: [sgd, adam], default: adamw}")),
        [(6, "tune.optimizer.default", "adam")],
    ),
    "a knob in recipe and tune": (
        changed(JOINT, ("tune:", "  learning_rate: 1e-3\ntune:")),
        [(7, "tune.learning_rate", None)],
    ),
    "a knob in compare and tune": (
        changed(BALANCED, ("tune:", "tune:\n  optimizer: [sgd, adam]")),
        [(8, "tune.optimizer", None)],
    ),
    "a knob in two factors": (
        changed(BALANCED, ("tune:", "  method: {a: {optimizer: sgd}, b: {epochs: 3}}\ntune:")),
        [(7, "compare.method", None)],
    ),
    "a knob twice in the recipe, once by its path": (
        changed(JOINT, ("mlp", "{name: mlp, hidden: [8]}\n  backbone.hidden: [9]")),
        [(5, "recipe.backbone.hidden", None)],
    ),
    "a condition on an unknown knob": (
        changed(BALANCED, ("{low", "{when: {optimiser: sgd}, low")),
        [(8, "tune.learning_rate.when.optimiser", "optimizer")],
    ),
    "a condition on an unknown label": (
        changed(BALANCED, ("{low", "{when: {optimizer: [sgd, adamm]}, low")),
        [(8, "tune.learning_rate.when.optimizer", "adam")],
    ),
    "a condition on a value that a knob of the recipe cannot have": (
        changed(JOINT, ("mlp", "mlp\n  optimizer: sgd"), ("{low", "{when: {optimizer: sgdd}, low")),
        [(7, "tune.learning_rate.when.optimizer", "sgd")],
    ),
    "a condition on a knob that is tuned later": (
        changed(
            JOINT,
            ("{low", "{when: {optimizer: sgd}, low"),
            ("search", "  optimizer: [sgd]\nsearch"),
        ),
        [(6, "tune.learning_rate.when.optimizer", None)],
    ),
    "a condition on a range": (
        changed(
            JOINT,
            ("tune:", "tune:\n  epochs: {low: 1, high: 9, default: 3}"),
            ("{low: 1e-4", "{when: {epochs: 3}, low: 1e-4"),
        ),
        [(7, "tune.learning_rate.when.epochs", None)],
    ),
    "levels of no knob without labels": (
        changed(BALANCED, ("optimizer: [sgd, adam]", "method: [full, lpft]")),
        [(6, "compare.method", None)],
    ),
    "a misspelt factor": (
        changed(BALANCED, ("optimizer:", "optimiser:")),
        [(6, "compare.optimiser", "optimizer")],
    ),
    "a bundle that is no mapping": (
        changed(BALANCED, ("optimizer: [sgd, adam]", "method: {full: 0, lpft: {epochs: 3}}")),
        [(6, "compare.method.full", None)],
    ),
    "an unknown knob and a wrong value in a bundle": (
        changed(BALANCED, ("optimizer: [sgd, adam]", "m: {a: {epoch: 3}, b: {epochs: x}}")),
        [(6, "compare.m.a.epoch", "epochs"), (6, "compare.m.b.epochs", None)],
    ),
    "a level that nothing names": (
        changed(BALANCED, ("optimizer: [sgd, adam]", "augmentation: [[random_vertical_flip]]")),
        [(6, "compare.augmentation.0", None)],
    ),
    "two levels with one label": (
        changed(BALANCED, ("[sgd, adam]", "[sgd, adam, sgd]")),
        [(6, "compare.optimizer.2", None)],
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
        [(7, "tune.m", None)],
    ),
    "no factor in compare": (
        changed(BALANCED, ("compare:\n  optimizer: [sgd, adam]", "compare:")),
        [(5, "compare", None)],
    ),
    "a list of factors": (
        changed(BALANCED, ("\n  optimizer: [sgd, adam]", " [optimizer]")),
        [(5, "compare", None)],
    ),
    "trials in a balanced study": (
        changed(BALANCED, ("trials_per_strategy", "trials")),
        [(9, "search.trials", "trials_per_strategy")],
    ),
    "trials_per_strategy in a joint study": (
        changed(JOINT, ("trials", "trials_per_strategy")),
        [(7, "search.trials_per_strategy", "trials")],
    ),
    "no number of trials": (changed(JOINT, ("trials: 3", "seed: 1")), [(7, "search", None)]),
    "an unknown optimizer": (
        changed(BALANCED, ("[sgd, adam]", "[sgd, adm]")),
        [(6, "compare.optimizer.1", "adam")],
    ),
    "an unknown data set and an unknown option of one": (
        changed(
            BALANCED,
            ("dataset: wine", "dataset: wines"),
            ("optimizer: [sgd, adam]", "dataset.tst: [3]"),
        ),
        [(3, "recipe.dataset.name", "wine"), (6, "compare.dataset.tst.0", "test")],
    ),
    "an option that the data set does not have": (
        changed(JOINT, ("wine", "{name: wine, channel: 3}")),
        [(3, "recipe.dataset.channel", None)],
    ),
    "an unknown backbone": (
        changed(JOINT, ("mlp", "restnet18")),
        [(4, "recipe.backbone.name", "resnet18")],
    ),
    "an unknown option of a backbone, and one with a wrong type": (
        changed(JOINT, ("mlp", "{name: mlp, hiden: [8], dropout: some}")),
        [(4, "recipe.backbone.hiden", "hidden"), (4, "recipe.backbone.dropout", None)],
    ),
    "an option of another level's backbone": (
        changed(
            BALANCED,
            ("mlp", "{name: mlp, hidden: [8]}"),
            ("optimizer: [sgd, adam]", "method: {a: {epochs: 3}, b: {backbone.width: 8}}"),
        ),
        [(6, "compare.method.b", None)],
    ),
    "unknown transforms and options of one": (
        changed(
            JOINT, ("tune:", "  augmentation: [{random_crop: {pading: 1}}, random_flop]\ntune:")
        ),
        [
            (5, "recipe.augmentation.0.random_crop.pading", "padding"),
            (5, "recipe.augmentation.1", "random_crop"),
        ],
    ),
    "an unknown sampler and an unknown pruner": (
        changed(JOINT, ("trials: 3", "trials: 3, sampler: tep, pruner: medain")),
        [(7, "search.sampler.name", "tpe"), (7, "search.pruner.name", "median")],
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
            (7, "search.sampler.n_startup", "n_startup_trials"),
            (7, "search.pruner.n_warmup_steps", None),
        ],
    ),
    "a time limit that is none": (
        changed(JOINT, ("trials: 3", "trials: 3, timeout: 5 minutes")),
        [(7, "search.timeout", None)],
    ),
    "an unknown metric, direction and epoch": (
        JOINT + "objective: {metric: validation/acuracy, direction: maximise, epoch: first}\n",
        [
            (8, "objective.direction", "maximize"),
            (8, "objective.epoch", None),
            (8, "objective.metric", "validation/accuracy"),
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
            (9, "search.enqueue.0.learning_rate", None),
            (9, "search.enqueue.1.learning_rat", "learning_rate"),
            (9, "search.enqueue.2.optimizer", "sgd"),
            (9, "search.enqueue.3.learning_rate", None),
        ],
    ),
    "a tuned knob of a phase that a strategy lacks": (
        changed(PHASES, ("when: {method: lpft}, ", "")),
        [(10, "tune.probe.learning_rate", None)],
    ),
    "a compared knob of a phase that a strategy lacks": (
        changed(PHASES, ("\ntune:", "\n  probe.optimizer: [sgd, adam]\ntune:")),
        [(9, "compare.probe.optimizer.sgd", None), (9, "compare.probe.optimizer.adam", None)],
    ),
    "a fixed knob of a phase that a strategy lacks": (
        changed(PHASES, ("  backbone", "  probe.optimizer: sgd\n  backbone")),
        [(4, "recipe.probe.optimizer", None)],
    ),
    "a knob of a phase that is nowhere": (
        changed(PHASES, ("probe.learning_rate", "prob.learning_rate")),
        [(10, "tune.prob.learning_rate", "probe.learning_rate")],
    ),
    "a phase with the name of a knob": (
        changed(JOINT, ("tune:", "  phases: {epochs: {epochs: 3}}\ntune:")),
        [(5, "recipe.phases.epochs", None)],
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
        [(5, "compare", None)],
    ),
    "a number without an end": (
        changed(JOINT, ("mlp", f"mlp\n  batch_size: {5000 * '9'}")),
        [(5, "recipe.batch_size", None), (5, "recipe.batch_size", None)],
    ),
    "values that no machine can hold": (
        changed(JOINT, ("mlp", "mlp\n  epochs: 1000000000\n  lora: {rank: 100000000000}")),
        [(5, "recipe.epochs", None), (6, "recipe.lora.rank", None)],
    ),
    "what other tools call a knob": (
        changed(
            JOINT,
            ("backbone: mlp", "model: mlp\n  bs: 8\n  lr_scheduler: cosine\n  num_epochs: 3"),
            ("learning_rate", "lr"),
        )
        + "objective: {metric: val_acc}\n",
        [
            (4, "recipe.model", "backbone"),
            (5, "recipe.bs", "batch_size"),
            (6, "recipe.lr_scheduler", "schedule"),
            (7, "recipe.num_epochs", "epochs"),
            (9, "tune.lr", "learning_rate"),
            (11, "objective.metric", "validation/accuracy"),
        ],
    ),
    "a metric without its part": (
        JOINT + "objective: {metric: accuracy}\n",
        [(8, "objective.metric", "validation/accuracy")],
    ),
    "the ranges of a W&B sweep": (
        changed(
            JOINT,
            (RANGE, "{distribution: log_uniform_values, min: 1e-4, max: 0.1}"),
            ("tune:", "tune:\n  momentum: {min: 0, max: 0.9}\n  batch_size: {values: [16, 32]}"),
        ),
        [(6, "tune.momentum", None), (7, "tune.batch_size", None), (8, "tune.learning_rate", None)],
    ),
    "two numbers with one label": (
        changed(BALANCED, ("optimizer: [sgd, adam]", "weight_decay: [1e-3, 1.00000001e-3]")),
        [(6, "compare.weight_decay.1", None)],
    ),
    "a number of trials that is left empty": (
        changed(JOINT, ("trials: 3", "trials:")),
        [(7, "search", None)],
    ),
    "a confirmation of what is not there": (
        BALANCED + "confirm: {contrast: optimiser, baseline: sdg}\n",
        [(10, "confirm.contrast", "optimizer"), (10, "confirm.baseline", "sgd")],
    ),
    "no data set and no backbone": (
        "name: x\nrecipe:\nsearch: {trials: 3}\n",
        [(2, "recipe", None), (2, "recipe", None)],
    ),
    "a name that is no folder's": (changed(JOINT, ("name: x", "name: ../x")), [(1, "name", None)]),
    "a name that is too long for a folder": (
        changed(JOINT, ("name: x", f"name: {'x' * 201}")),
        [(1, "name", None)],
    ),
    "a strategy's name that is too long for a folder": (
        changed(BALANCED, ("[sgd, adam]", f"{{{'é' * 101}: sgd, b: adam}}")),
        [(5, "compare", None)],
    ),
    "more strategies than anyone means": (
        changed(
            BALANCED,
            ("  optimizer: [sgd, adam]", f"  weight_decay: {MANY}\n  momentum: {MANY}"),
        ),
        [(5, "compare", None)],
    ),
    "more choices than anyone means": (
        changed(JOINT, ("trials: 3", "trials: 3}\n# {")).replace(
            "tune:\n", f"tune:\n  weight_decay: {MANY}\n  momentum: {MANY}\n  beta1: {MANY}\n"
        ),
        [(5, "tune", None)],
    ),
    "more trials than anyone means": (
        changed(BALANCED, ("trials_per_strategy: 3", "trials_per_strategy: 60000")),
        [(9, "search", None)],
    ),
    "an empty file": (
        "# Nothing but a question?\n",
        [(None, "name", None), (None, "recipe", None), (None, "search", None)],
    ),
    "words of other tools": (
        "objective: {metric: test/accuracy, direction: max}\n"
        + changed(
            JOINT,
            ("mlp", "{name: mlp, pretrained: true}\n  device: gpu\n  augmentation: [flip]"),
            ("trials: 3", "n_trials: 3"),
        ),
        [
            (1, "objective.direction", "maximize"),
            (1, "objective.metric", "validation/accuracy"),
            (5, "recipe.backbone.pretrained", "weights"),
            (6, "recipe.device", "cuda"),
            (7, "recipe.augmentation.0", "random_horizontal_flip"),
            (10, "search.n_trials", "trials"),
        ],
    ),
    "the beginning of a key": (
        changed(JOINT, ("wine", "{name: wine, val: 0.1}")),
        [(3, "recipe.dataset.val", "validation")],
    ),
    "keys of other blocks in the recipe": (
        changed(JOINT, ("mlp", "mlp\n  seed: 3\n  metric: accuracy")),
        [(5, "recipe.seed", "search.seed"), (6, "recipe.metric", "objective.metric")],
    ),
    "several errors, in the order of the lines": (
        "objective: {metric: loss}\n"
        + changed(JOINT, ("wine", "wines"), ("trials: 3", "trials: x")),
        [
            (1, "objective.metric", "validation/loss"),
            (4, "recipe.dataset.name", "wine"),
            (8, "search.trials", None),
        ],
    ),
}


@pytest.mark.parametrize("case", BROKEN)
def test_a_broken_file_is_refused_with_line_key_and_suggestion(tmp_path: Path, case: str) -> None:
    text, expected = BROKEN[case]
    found = problems(tmp_path, text)
    file = tmp_path / "study.yaml"
    assert [(problem.place, problem.key, problem.nearest) for problem in found] == [
        (f"{file}:{line}" if line else str(file), key, near) for line, key, near in expected
    ]
    for problem in found:
        message = str(problem)
        assert message.startswith(f"{problem.place}: {problem.key}: ")
        assert message.endswith(f"; did you mean {problem.nearest}?") == bool(problem.nearest)


def test_a_knob_in_no_block_or_in_two_is_answered_with_its_place(tmp_path: Path) -> None:
    text = changed(JOINT, ("name: x", "name: x\nepochs: 3"))
    (problem,) = problems(tmp_path, text)
    assert str(problem).endswith(":2: epochs: this key belongs in recipe: write recipe.epochs")
    text = changed(JOINT, ("  backbone", "  learning_rate: 0.1\n  backbone"))
    (problem,) = problems(tmp_path, text)
    assert str(problem).endswith(
        ": tune.learning_rate: set a knob in one block only; learning_rate is already set in "
        f"recipe ({tmp_path / 'study.yaml'}:4)"
    )


def test_the_suggestion_takes_the_place_of_the_list_of_names(tmp_path: Path) -> None:
    near = changed(JOINT, ("  backbone", "  batchsize: 3\n  backbone"), ("mlp", "mpl"))
    messages = [str(problem).partition(": ")[2] for problem in problems(tmp_path, near)]
    assert messages == [
        "recipe.batchsize: unknown key 'batchsize'; did you mean batch_size?",
        "recipe.backbone.name: found 'mpl'; did you mean mlp?",
    ]
    far = changed(JOINT, ("  backbone", "  zzz: 3\n  backbone"))
    (problem,) = problems(tmp_path, far)
    assert "unknown key 'zzz', expected one of epochs, freeze_depth, " in str(problem)


@pytest.mark.parametrize("written", ["data.csv", "./images", "data/images"])
def test_a_path_in_place_of_a_data_set_is_answered_with_its_reader(
    tmp_path: Path, written: str
) -> None:
    (problem,) = problems(tmp_path, changed(JOINT, ("wine", written)))
    assert (problem.key, problem.nearest) == ("recipe.dataset.name", None)
    assert "{name: image_folder, path: FOLDER}" in problem.expected
    assert "{name: table, path: FILE, target: COLUMN}" in problem.expected


def test_an_optimizer_of_ones_own_is_answered_with_what_takes_one(tmp_path: Path) -> None:
    (problem,) = problems(tmp_path, changed(BALANCED, ("[sgd, adam]", "[sgd, 'mine.py:Lion']")))
    assert (problem.key, problem.nearest) == ("compare.optimizer.1", None)
    assert "trial: FILE.py:NAME" in problem.expected
    assert "engine/optimizers.py" in problem.expected


def test_several_values_in_the_recipe_are_sent_to_compare_or_tune(tmp_path: Path) -> None:
    (problem,) = problems(tmp_path, changed(JOINT, ("mlp", "mlp\n  epochs: [3, 6]")))
    assert (problem.key, problem.nearest) == ("recipe.epochs", None)
    assert problem.expected.endswith("several values belong in compare or tune")


def test_the_texts_that_the_broken_files_are_made_from_are_sound(tmp_path: Path) -> None:
    for text in (JOINT, BALANCED, PHASES):
        path = tmp_path / "study.yaml"
        path.write_text(text)
        assert load(path).name == "x"


@pytest.mark.parametrize(
    ("override", "near"),
    [
        ("recipe.epochs=many", None),
        ("recipe.epoch=3", "epochs"),
        ("tune.learning_rate.default=3", None),
        ("search.seed=-1", None),
    ],
)
def test_an_error_in_an_override_names_the_override(
    tmp_path: Path, override: str, near: str | None
) -> None:
    (problem,) = problems(tmp_path, JOINT, override)
    assert problem.place == f"--set {override}"
    assert (problem.key, problem.nearest) == (override.partition("=")[0], near)


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
