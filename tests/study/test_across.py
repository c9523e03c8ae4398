"""A study file with ``across`` is read as one study for each data set and search seed."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.commands import works
from tests.support.tiny import TINY
from workbench.commands.check import check_file
from workbench.record import Cell, experiment_of
from workbench.study.config import load, load_all
from workbench.study.config.document import StudyFileError

ACROSS = """\
across:
  dataset:
    wine: {name: wine, validation: 40, test: 40}
    iris: {name: iris, validation: 30, test: 30}
  search_seed: [0, 3]
"""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    text = TINY.replace("  dataset: {name: wine, validation: 40, test: 40}\n", "")
    path = tmp_path / "tables.yaml"
    path.write_text(
        text.replace("name: tiny\n", f"name: tables\n{ACROSS}").replace(", seed: 1", "")
    )
    return path


def test_every_data_set_with_every_seed_is_a_study_in_one_experiment(file: Path) -> None:
    configs = load_all(file)
    assert [config.name for config in configs] == [
        "tables@wine-s0",
        "tables@wine-s3",
        "tables@iris-s0",
        "tables@iris-s3",
    ]
    assert {experiment_of(config.name) for config in configs} == {"tables"}
    assert [config.search.seed for config in configs] == [0, 3, 0, 3]
    assert [config.recipe["dataset"]["name"] for config in configs] == ["wine"] * 2 + ["iris"] * 2
    planned = tuple(config.name for config in configs)
    own = Cell(across="tables", dataset="wine", search_seed=3, planned=planned)
    assert configs[1].cell == own
    assert "across" not in configs[0].document.content
    assert configs[0].document.text == file.read_text()


def test_a_list_of_names_is_enough_and_either_part_may_be_missing(file: Path) -> None:
    named = load_all(file, ["across={dataset: [wine, digits]}"])
    assert [config.name for config in named] == ["tables@wine", "tables@digits"]
    assert named[1].recipe["dataset"] == {"name": "digits"}
    seeds = load_all(file, ["across={search_seed: [7, 8]}", "recipe.dataset=wine"])
    assert [config.name for config in seeds] == ["tables@s7", "tables@s8"]


def test_a_problem_is_placed_where_across_says_it(file: Path) -> None:
    text = file.read_text()
    file.write_text(text.replace("iris, validation: 30", "iris, validaton: 30"))
    with pytest.raises(StudyFileError) as raised:
        load_all(file)
    assert "tables.yaml:6: recipe.dataset.validaton: unknown key 'validaton'" in str(raised.value)


@pytest.mark.parametrize(
    ("override", "key", "said"),
    [
        ("across.dataset.wine.name=wne", "across.dataset.wine.name", "did you mean wine?"),
        ("across.sed=1", "across.sed", "search_seed"),
        ("across=3", "across", "expected a mapping"),
        ("compare={}", "across", "expected a compare block"),
        ("across={dataset: [wine]}", "across", "at least two data sets"),
        ("across.search_seed=[1, 1]", "across.search_seed", "found 1, expected each value once"),
        ("across.dataset=[wine, wine]", "across.dataset", "found 'wine', expected each"),
        ("across.search_seed=[-1]", "across.search_seed.0", ""),
        ("across.dataset={a b: wine, iris: iris}", "across.dataset.a b", "letters"),
        ("recipe.dataset=wine", "recipe.dataset", "tables.yaml:4"),
        ("search.seed=1", "search.seed", "found 1, expected no value here"),
        ("confirm.finalists=2", "confirm.finalists", "the same strategies"),
        ("name=tables@wine", "name", "letters, digits"),
        (f"name={'n' * 195}", "across", "at most 200"),
    ],
)
def test_each_mistake_is_named_with_its_key(file: Path, override: str, key: str, said: str) -> None:
    with pytest.raises(StudyFileError) as raised:
        load_all(file, [override])
    (problem,) = raised.value.problems
    assert problem.key == key
    assert said in str(problem)


def test_one_study_is_asked_for_where_there_are_several(file: Path) -> None:
    with pytest.raises(StudyFileError, match=r"tables.yaml:3: across: found 4 studies"):
        load(file)


def test_one_data_set_under_two_names_is_refused_before_anything_runs(
    file: Path, home: Path
) -> None:
    text = file.read_text()
    again = "    grapes: {name: wine, validation: 40, test: 60}\n    iris:"
    file.write_text(text.replace("    iris:", again))
    with pytest.raises(StudyFileError) as raised:
        check_file(file, [], home)
    assert "tables.yaml:6: across.dataset.grapes: it has the same samples as wine" in str(
        raised.value
    )


def test_check_says_once_what_studies_share_how_many_they_are_and_what_they_support(
    file: Path, home: Path
) -> None:
    output = works("check", file, "--home", home)
    assert "tables: 4 studies, 80 trials; one verdict over 2 data sets; a claim needs 6" in output
    fields = [line.split()[0] for line in output.splitlines() if line[2] != " "]
    _, second, third, fourth = (n for n, field in enumerate(fields) if field.startswith("tables@"))
    assert "strategies" in fields[:second]
    # Another seed; another data set and the model for it. Notes are shown of every study.
    assert fields[second + 1 : third] == ["sampler", "note"]
    assert fields[third + 1 : fourth] == ["data", "backbone", "note", "note"]
