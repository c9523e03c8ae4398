"""Every shipped study file loads, says its command, and can be looked at without a network."""

from __future__ import annotations

import json
import socket
from pathlib import Path

import pytest

from workbench import record
from workbench.study import description
from workbench.study.checks import check
from workbench.study.config import load, load_all
from workbench.study.study import Study

ROOT = Path(__file__).parent.parent
STUDIES = sorted((ROOT / "studies").glob("*.y*ml"))
every_study = pytest.mark.parametrize("path", STUDIES, ids=lambda path: path.stem)


def test_there_are_studies() -> None:
    assert {path.stem for path in STUDIES} >= {"digits", "digits_joint", "digits_pretrain"}


@every_study
def test_a_study_is_named_like_its_file(path: Path) -> None:
    assert {record.experiment_of(config.name) for config in load_all(path)} == {path.stem}


@every_study
def test_a_studys_header_asks_a_question_and_gives_its_commands(path: Path) -> None:
    config = load_all(path)[0]
    assert config.question, "the first line of the comment says what the study is for"
    header = config.document.text.partition("\nname:")[0].splitlines()
    assert f"#   workbench run studies/{path.name}" in header
    for line in header:
        if "workbench report" in line:
            assert line.split()[-1] == path.stem


@every_study
def test_a_study_is_sound_and_described_without_a_network(
    path: Path, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_network(*_: object) -> None:
        raise OSError("a study was looked at over the network")

    monkeypatch.setattr(socket, "getaddrinfo", no_network)
    monkeypatch.setattr(socket.socket, "connect", no_network)
    for config in load_all(path):
        study = Study(config, home, pending=True)
        check(study)
        found = description.describe(study)
        assert found["name"] == config.name
        assert json.loads(json.dumps(found)) == found
        assert len(description.ranges(config)) == sum(len(tuned.entries) for tuned in config.tune)
        description.notes(study)
    assert list(home.iterdir()) == [], "looking ahead writes nothing"


@every_study
def test_a_study_that_weights_come_from_is_shipped_too(path: Path, home: Path) -> None:
    for config in load_all(path):
        for needed in Study(config, home).studies_needed.values():
            assert needed in STUDIES


def test_the_digits_study_splits_its_data_as_the_design_says(home: Path) -> None:
    config = load(ROOT / "studies" / "digits.yaml")
    sizes = Study(config, home, pending=True).inputs.sizes(config.recipe)
    assert (sizes["train"], sizes["validation"], sizes["test"]) == (100, 300, 496)
    assert [strategy.name for strategy in config.strategies][:4] == [
        "sgd-0",
        "sgd-2",
        "sgd-all",
        "adam-0",
    ]
