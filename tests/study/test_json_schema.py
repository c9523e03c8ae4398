"""The JSON Schema of a study file: fresh, true of every valid study, and strict with typos."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.support.commands import call
from tests.support.json_schema import errors
from workbench.study.config import load_all
from workbench.study.config.document import parse_value
from workbench.study.config.json_schema import json_schema

STUDIES = Path(__file__).parent.parent.parent / "studies"
SCHEMA: dict[str, Any] = json_schema()
STUDY = """\
name: x
recipe:
  dataset: {name: digits, classes: [0, 1]}
  backbone: {name: small_cnn, width: 8}
  schedule: {name: cosine, warmup_epochs: 1}
  augmentation: [random_horizontal_flip, {random_crop: {size: 16}}, "own.py:noise"]
  backbone.weights: null
  momentum: 0.9
compare:
  optimizer: [sgd, adam]
  method: {full: {freeze_depth: 0}, probe: {freeze_depth: all}}
tune:
  learning_rate:
    - {when: {optimizer: sgd}, low: 1e-3, high: 3e-1, log: true, default: 1e-2}
    - {low: 1e-4, high: 1e-1, log: true, default: 1e-3}
  batch_size: [16, 32]
search: {trials_per_strategy: 3, pruner: {name: median, n_warmup_steps: 6}, timeout: 2h}
"""


def found(text: str) -> list[str]:
    return errors(parse_value(text), SCHEMA, SCHEMA)


def test_the_schema_beside_the_studies_is_what_the_command_prints() -> None:
    code, output, _ = call("schema")
    assert code == 0
    assert (STUDIES / "schema.json").read_text() == output, (
        "refresh it: workbench schema > studies/schema.json"
    )
    assert json.loads(output)["$schema"] == "https://json-schema.org/draft/2020-12/schema"


@pytest.mark.parametrize("path", sorted(STUDIES.glob("*.yaml")), ids=lambda path: path.stem)
def test_a_shipped_study_names_the_schema_and_keeps_to_it(path: Path) -> None:
    first, second = path.read_text().splitlines()[:2]
    assert first == "# yaml-language-server: $schema=schema.json"
    assert load_all(path)[0].question == second.removeprefix("# "), (
        "the first line is for editors alone"
    )
    assert found(path.read_text()) == []


def test_what_the_reader_takes_keeps_to_the_schema(tmp_path: Path) -> None:
    assert found(STUDY) == []
    text = STUDY.replace("[sgd, adam]", "[sgd, adam]\n  probe.trainable: [all, bias]")
    assert found(text.replace("  momentum", "  phases: {probe: {epochs: 2}}\n  momentum")) == []
    own = STUDY.replace("{name: digits, classes: [0, 1]}", '{name: "own.py:data", classes: many}')
    assert found(own) == [], "your own code knows its options"


@pytest.mark.parametrize(
    ("old", "new", "error"),
    [
        ("momentum:", "momentun:", ".recipe.momentun: unknown key"),
        ("momentum: 0.9", "momentum: 1", ".recipe.momentum: 1 breaks exclusiveMaximum 1"),
        ("width: 8", "width: wide", ".recipe.backbone.width: 'wide' is not of type ['integer']"),
        ("width: 8", "widht: 8", ".recipe.backbone.widht: unknown key"),
        ("cosine", "cosin", ".recipe.schedule.name: 'cosin' breaks enum"),
        ("size: 16", "sise: 16", ".recipe.augmentation.1.random_crop.sise: unknown key"),
        ("log: true, default: 1e-3", "lgo: true", ".tune.learning_rate.1.lgo: unknown key"),
        ("n_warmup_steps", "n_warmup", ".search.pruner.n_warmup: unknown key"),
        ("trials_per_strategy", "trials", ".search: no key trials_per_strategy"),
        ("2h", "2 hours", ".search.timeout: '2 hours' "),
        ("search:", "serach:", ".serach: unknown key"),
    ],
)
def test_a_broken_study_breaks_the_schema_at_its_key(old: str, new: str, error: str) -> None:
    assert STUDY.count(old) == 1
    problems = found(STUDY.replace(old, new))
    assert any(problem.startswith(error) for problem in problems), problems


def test_an_optimizer_with_an_option_of_its_own_is_added_in_one_place(tmp_path: Path) -> None:
    """The reader, its messages, the schema and the page take it from the catalogue alone."""
    program = """
import sys
from typing import Annotated
from pydantic import Field
from workbench.engine.optimizers import OPTIMIZERS, Optimizer
from workbench.record.knob import Knob

sharpness = Knob(Annotated[float, Field(ge=0, le=1)], 0.5, "Radius of the search.")
OPTIMIZERS["sam"] = Optimizer(
    target="own:Sam", learning_rate=0.1, weight_decay=0.0, knobs={"sharpness": sharpness}
)

from pathlib import Path
from tests.support.knob_tables import tables
from workbench.study.config import load
from workbench.study.config.document import StudyFileError
from workbench.study.config.json_schema import json_schema

file = Path(sys.argv[1])
text = file.read_text()
print(load(file).tune[0].entries[0].high)
for old, new in (("high: 1", "high: 2"), ("sharpness", "sharpnes"), ("[sam", "[sma")):
    file.write_text(text.replace(old, new))
    try:
        load(file)
    except StudyFileError as error:
        print(str(error).splitlines()[0].partition(": ")[2])
print(json_schema()["$defs"]["PhaseKnobs"]["properties"]["sharpness"]["description"])
print("| `sam` | 0.1 | 0 | `sharpness` 0.5 |" in tables()["optimizers"])
"""
    file = tmp_path / "study.yaml"
    file.write_text(
        "name: x\nrecipe: {dataset: wine, backbone: mlp}\ncompare: {optimizer: [sam, sgd]}\n"
        "tune: {sharpness: {when: {optimizer: sam}, low: 0, high: 1, default: 0.5}}\n"
        "search: {trials_per_strategy: 2}\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, str(file)],
        cwd=STUDIES.parent,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == [
        "1.0",
        "tune.sharpness.high: found 2, expected a number of at least 0 and of at most 1",
        "tune.sharpnes: unknown key 'sharpnes'; did you mean sharpness?",
        "compare.optimizer.0: found 'sma'; did you mean sam?",
        "Radius of the search.",
        "True",
    ]
