"""The page on study files tells the truth: its examples load, and it names everything there is."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from workbench.augmentations import AUGMENTATIONS
from workbench.backbones import BACKBONES
from workbench.config import BLOCKS, load, schema
from workbench.datasets import COMMON_OPTIONS, DATASETS, IMAGE_OPTIONS
from workbench.launch import look_ahead
from workbench.optimizers import OPTIMIZERS, SCHEDULES
from workbench.tasks import TASKS

PAGE = Path(__file__).parent.parent / "docs" / "studies.md"
TEXT = PAGE.read_text()
WHOLE = re.findall(r"^```yaml\n(.*?)^```", TEXT, re.M | re.S)
FRAGMENTS = re.findall(r"^```yaml fragment\n(.*?)^```", TEXT, re.M | re.S)

# What a fragment leaves out.
REST = """\
name: fragment
recipe:
  dataset: digits
  backbone: small_cnn
"""

NAMES = {
    "block": BLOCKS,
    "knob": schema.Recipe.model_fields,
    "dataset": DATASETS,
    "option of a dataset": [
        *COMMON_OPTIONS,
        *IMAGE_OPTIONS,
        *(option for entry in DATASETS.values() for option in entry.options or {}),
    ],
    "knob of a backbone": [k for k in schema.BackboneKnobs.model_fields if k != "name"],
    "backbone": BACKBONES,
    "option of a backbone": [o for entry in BACKBONES.values() for o in entry.options or {}],
    "weights": [name for entry in BACKBONES.values() for name in entry.weights],
    "task": [*TASKS, *(o for entry in TASKS.values() for o in entry.options)],
    "metric": [metric for entry in TASKS.values() for metric in entry.metrics],
    "optimizer": OPTIMIZERS,
    "schedule": SCHEDULES,
    "option of a schedule": [k for k in schema.ScheduleKnobs.model_fields if k != "name"],
    "augmentation": AUGMENTATIONS,
    "option of an augmentation": [o for entry in AUGMENTATIONS.values() for o in entry.options],
    "key of search": schema.Search.model_fields,
    "sampler": [*schema.SAMPLERS, *(o for options in schema.SAMPLERS.values() for o in options)],
    "pruner": [*schema.PRUNERS, *(o for options in schema.PRUNERS.values() for o in options)],
    "key of objective": schema.ObjectiveKnobs.model_fields,
    "key of confirm": schema.Confirm.model_fields,
    "key of a range": [*schema.Range.model_fields, *schema.Choices.model_fields],
}


def test_the_page_has_whole_studies_and_fragments_and_no_other_yaml() -> None:
    assert len(WHOLE) >= 2
    assert len(FRAGMENTS) >= 2
    assert TEXT.count("```yaml") == len(WHOLE) + len(FRAGMENTS)


@pytest.mark.parametrize("block", WHOLE, ids=range(len(WHOLE)))
def test_every_whole_study_on_the_page_is_valid(block: str, tmp_path: Path) -> None:
    file = tmp_path / "study.yaml"
    file.write_text(block)
    assert load(file).question
    assert look_ahead(file, [], tmp_path)["notes"] == []


@pytest.mark.parametrize("block", FRAGMENTS, ids=range(len(FRAGMENTS)))
def test_every_fragment_on_the_page_is_valid_in_a_study(block: str, tmp_path: Path) -> None:
    file = tmp_path / "study.yaml"
    compared = block.startswith("compare")
    trials = "trials_per_strategy" if compared else "trials"
    chosen = "" if compared else "  optimizer: sgd\n"
    file.write_text(f"{REST}{chosen}{block}search: {{{trials}: 2}}\n")
    assert load(file).strategies


@pytest.mark.parametrize(
    ("kind", "name"),
    [(kind, name) for kind, names in NAMES.items() for name in dict.fromkeys(names)],
)
def test_the_page_names_everything_that_a_study_file_may_say(kind: str, name: str) -> None:
    assert re.search(rf"`{re.escape(name)}\b", TEXT), f"no {kind} {name} in {PAGE.name}"


def test_the_page_names_every_exit_code() -> None:
    paragraph = TEXT[TEXT.index("Exit codes:") :]
    assert re.findall(r"\*\*(\d+)\*\*", paragraph) == ["0", "2", "3", "4", "75", "130", "143"]


@pytest.mark.parametrize(
    ("knob", "value"),
    [
        ("threads", "1"),
        ("device", "`auto`"),
        ("augmentation", "`[]`"),
    ],
)
def test_a_default_on_the_page_is_the_default(knob: str, value: str) -> None:
    (row,) = re.findall(rf"^\| `{knob}` \|.*\| (.*?) \|$", TEXT, re.M)
    assert row == value
    assert str(schema.Recipe.model_fields[knob].default) == value.strip("`")
