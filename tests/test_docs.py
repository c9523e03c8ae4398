"""The pages tell the truth: their examples load, and together they name everything there is."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path

import pytest
import yaml

from tests.support import knob_tables
from workbench.backbones import BACKBONES
from workbench.commands.check import check_file
from workbench.datasets.augmentations import AUGMENTATIONS
from workbench.datasets.catalogue import COMMON_OPTIONS, DATASETS, IMAGE_OPTIONS
from workbench.engine.optimizers import OPTIMIZERS, SCHEDULES
from workbench.record.strategy import Schedule
from workbench.study.config import BLOCKS, load, load_all, recipes, schema
from workbench.study.config.document import parse_value
from workbench.study.config.samplers import PRUNERS, SAMPLERS
from workbench.tasks import TASKS

DOCS = Path(__file__).parent.parent / "docs"
PAGES = sorted(DOCS.glob("*.md"))
TEXT = (DOCS / "studies.md").read_text()
ALL = "\n".join(page.read_text() for page in PAGES)


def blocks(kind: str, page: Path) -> list[str]:
    return re.findall(rf"^```{kind}\n(.*?)^```", page.read_text(), re.M | re.S)


# What runs a user's own code is run by test_user_code.
WHOLE = [
    pytest.param(page.stem, block, id=f"{page.stem}-{number}")
    for page in PAGES
    for number, block in enumerate(blocks("yaml", page))
    if ".py:" not in block
]
LINES = [
    pytest.param(line, id=f"{page.stem}-{line[:40]}")
    for page in PAGES
    for block in blocks("yaml lines", page)
    for line in block.splitlines()
]
RECIPES = [
    pytest.param(block, id=f"{page.stem}-{number}")
    for page in PAGES
    for number, block in enumerate(blocks("yaml recipe", page))
]
FRAGMENTS = [
    pytest.param(block, id=f"{page.stem}-{number}")
    for page in PAGES
    for number, block in enumerate(blocks("yaml fragment", page))
]
LINKS = [
    (page, link)
    for page in [*PAGES, DOCS.parent / "README.md", DOCS.parent / "CONTRIBUTING.md"]
    for link in re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", page.read_text())
]

# What a fragment leaves out.
REST = """\
name: fragment
recipe:
  dataset: digits
  backbone: small_cnn
"""

NAMES: dict[str, Iterable[str]] = {
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
    # The names that torchvision gives a model's weights are many, and alike.
    "weights": [
        *(name for entry in BACKBONES.values() for name in entry.weights if name.islower()),
        "IMAGENET1K_V1",
    ],
    "task": [*TASKS, *(o for entry in TASKS.values() for o in entry.options or {})],
    "metric": [metric for entry in TASKS.values() for metric in entry.metrics],
    "optimizer": OPTIMIZERS,
    "schedule": SCHEDULES,
    "option of a schedule": [k for k in Schedule.__dataclass_fields__ if k != "name"],
    "augmentation": AUGMENTATIONS,
    "option of an augmentation": [o for options in AUGMENTATIONS.values() for o in options],
    "key of search": schema.Search.model_fields,
    "sampler": [*SAMPLERS, *(o for options in SAMPLERS.values() for o in options)],
    "pruner": [*PRUNERS, *(o for options in PRUNERS.values() for o in options)],
    "key of objective": schema.ObjectiveKnobs.model_fields,
    "key of confirm": schema.Confirm.model_fields,
    "key of resources": schema.ResourceKnobs.model_fields,
    "key of across": schema.Across.model_fields,
    "key of a range": [*schema.Range.model_fields, *schema.Choices.model_fields],
}


def test_the_pages_have_studies_and_pieces_of_studies_and_no_other_yaml() -> None:
    kinds = re.findall(r"^```(yaml.*)$", ALL, re.M)
    assert set(kinds) == {"yaml", "yaml fragment", "yaml lines", "yaml manifest", "yaml recipe"}
    assert len(WHOLE) >= 5 and len(FRAGMENTS) >= 2 and LINES and RECIPES


@pytest.mark.parametrize("line", LINES)
def test_every_line_of_knobs_on_a_page_is_valid(line: str) -> None:
    assert recipes.recipe_flaws(parse_value(line)) == []


@pytest.mark.parametrize("block", RECIPES)
def test_every_piece_of_a_recipe_on_a_page_is_valid(block: str) -> None:
    assert recipes.recipe_flaws(parse_value(block)) == []


@pytest.mark.parametrize(("page", "block"), WHOLE)
def test_every_whole_study_on_a_page_is_valid(page: str, block: str, tmp_path: Path) -> None:
    file = tmp_path / "study.yaml"
    file.write_text(block)
    assert load_all(file)[0].question
    # Other pages' studies need files or weights, and are run by the tests of what they are about.
    if page == "studies" and " path: " not in block:
        assert check_file(file, [], tmp_path)[0].notes == []


@pytest.mark.parametrize("block", FRAGMENTS)
def test_every_fragment_on_a_page_is_valid_in_a_study(block: str, tmp_path: Path) -> None:
    file = tmp_path / "study.yaml"
    written = parse_value(block)
    content = parse_value(REST)
    content["recipe"] |= written.pop("recipe", {})
    content |= written
    if "compare" not in written and "optimizer" not in content["recipe"]:
        content["recipe"]["optimizer"] = "sgd"
    trials = "trials_per_strategy" if "compare" in written else "trials"
    content.setdefault("search", {}).setdefault(trials, 2)
    file.write_text(yaml.safe_dump(content, sort_keys=False))
    assert load(file).strategies


@pytest.mark.parametrize(("page", "link"), LINKS, ids=lambda value: getattr(value, "name", value))
def test_a_link_leads_somewhere(page: Path, link: str) -> None:
    assert (page.parent / link).exists()


@pytest.mark.parametrize("kind", NAMES)
def test_the_pages_name_everything_that_a_study_file_may_say(kind: str) -> None:
    missing = [name for name in NAMES[kind] if not re.search(rf"`{re.escape(name)}\b", ALL)]
    assert missing == [], f"no page names these {kind}s"


def test_the_page_names_every_exit_code() -> None:
    table = TEXT[TEXT.index("| Exit code |") :]
    codes = ", ".join(re.findall(r"^\| ([\d, ]+) \|", table, re.MULTILINE))
    assert codes == "0, 2, 3, 4, 75, 130, 143"


def test_the_tables_are_those_of_the_declared_knobs() -> None:
    assert knob_tables.page() == TEXT, "refresh them: python -m tests.support.knob_tables"


def test_nobody_is_sent_to_install_the_package_by_a_name_that_another_project_has() -> None:
    root = DOCS.parent
    files = [root / "README.md", root / "CONTRIBUTING.md", *PAGES]
    files += [*(root / "studies").rglob("*.y*ml"), *(root / "workbench").rglob("*.*")]
    texts = {file: file.read_text(errors="ignore") for file in files if file.suffix != ".pyc"}
    sent = re.compile(r"pip install[^\n]*\bworkbench\b")
    assert [str(file) for file, text in texts.items() if sent.search(text)] == []
