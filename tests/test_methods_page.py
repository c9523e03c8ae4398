"""The page on methods tells the truth: every snippet trains, and it names all that there is."""

from __future__ import annotations

import re
import textwrap
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml

from workbench import backbones, datasets, tasks
from workbench.datasets.augmentations import AUGMENTATIONS
from workbench.engine.loop import Engine
from workbench.engine.optimizers import OPTIMIZERS
from workbench.study.checks import check
from workbench.study.config import load
from workbench.study.study import Study

PAGE = Path(__file__).parent.parent / "docs" / "methods.md"
TEXT = PAGE.read_text()
RECIPES = re.findall(r"^```yaml recipe\n(.*?)^```", TEXT, re.M | re.S)
WHOLE = re.findall(r"^```yaml\n(.*?)^```", TEXT, re.M | re.S)
(CODE,) = re.findall(r"^```python\n(.*?)^```", TEXT, re.M | re.S)
REST: dict[str, Any] = {
    "dataset": {"name": "digits", "classes": [1, 7], "train_per_class": 10, "validation": 20},
    "backbone": "small_cnn",
    "optimizer": "sgd",
    "epochs": 2,
}


def written(recipe: str, folder: Path) -> Path:
    """A study whose recipe is the snippet and, where it is silent, the rest."""
    said = yaml.safe_load(recipe)
    rest = yaml.safe_dump({key: value for key, value in REST.items() if key not in said})
    (folder / "own.py").write_text(CODE)
    file = folder / "study.yaml"
    file.write_text(
        f"# Does it run?\nname: page\nrecipe:\n{textwrap.indent(rest + recipe, '  ')}"
        "tune:\n  momentum: {when: {optimizer: sgd}, low: 0.5, high: 0.9, default: 0.9}\n"
        "search: {trials: 2}\n"
    )
    return file


@pytest.mark.parametrize("recipe", RECIPES, ids=[r.split(":")[0] for r in RECIPES])
def test_every_snippet_trains(recipe: str, tmp_path: Path) -> None:
    torch.set_num_threads(1)
    config = load(written(recipe, tmp_path))
    study = Study(config, tmp_path)
    check(study)
    plan = study.strategies[0].plan
    data = datasets.load(plan.dataset, study_seed=0, seed=0)
    task = tasks.build(plan.task, data.classes, data.train.targets)
    staged = backbones.build(
        plan.backbone,
        weights=None,
        keep_head=False,
        input_shape=data.input_shape,
        outputs=task.outputs,
        seed=0,
    )
    engine = Engine(
        plan=plan,
        staged=staged,
        task=task,
        data=data,
        seed=0,
        device=torch.device("cpu"),
        interrupted=lambda: False,
    )
    assert len(list(engine.epochs())) == plan.reports


def test_every_whole_study_is_valid(tmp_path: Path) -> None:
    assert len(WHOLE) + len(RECIPES) == TEXT.count("```yaml")
    for number, text in enumerate(WHOLE):
        file = tmp_path / f"study{number}.yaml"
        file.write_text(text)
        assert load(file).question


def test_the_page_names_every_transform_and_every_optimizer_with_its_knobs() -> None:
    options = [option for entry in OPTIMIZERS.values() for option in entry.options]
    names = [*AUGMENTATIONS, *OPTIMIZERS, *options]
    assert [name for name in names if f"`{name}`" not in TEXT] == []


def test_the_defaults_on_the_page_are_the_catalogues() -> None:
    wrong = []
    for name, entry in OPTIMIZERS.items():
        (row,) = re.findall(rf"^\| `{name}` \| (.*) \|$", TEXT, re.M)
        if not row.startswith(f"{entry.learning_rate:g}, {entry.weight_decay:g} "):
            wrong.append(f"{name}: {row}")
        if "as `adam`" in row:
            continue
        for knob, value in entry.options.items():
            shown = str(value).lower() if isinstance(value, bool) else f"{value:g}"
            (found,) = re.findall(rf"`{knob}` ([^,;| ]+)", row)
            if found != shown and float(found) != value:
                wrong.append(f"{name}: {knob} {found}")
    assert wrong == []
