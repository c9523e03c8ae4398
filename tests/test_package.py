"""The package: its metadata agree with its code, and a warning of ours fails the suite."""

from __future__ import annotations

import re
import shlex
import tomllib
import warnings
from pathlib import Path
from typing import Any

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from typer.testing import CliRunner

import workbench
from workbench.cli.app import app
from workbench.record import environment

ROOT = Path(__file__).parent.parent
PYPROJECT: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text())
PROJECT = PYPROJECT["project"]
CITATION = yaml.safe_load((ROOT / "CITATION.cff").read_text())
EXTRAS = {name: needs for name, needs in PROJECT["optional-dependencies"].items() if name != "test"}


def requirements() -> list[Requirement]:
    groups = [PROJECT["dependencies"], *PROJECT["optional-dependencies"].values()]
    parsed = [Requirement(line) for group in groups for line in group]
    return [needed for needed in parsed if needed.name != PROJECT["name"]]


def test_the_distribution_has_its_own_name_and_the_command_keeps_the_short_one() -> None:
    assert PROJECT["name"] == environment.DISTRIBUTION == "finetuning-workbench"
    assert list(PROJECT["scripts"]) == ["workbench"]
    own = [name for group in PROJECT["optional-dependencies"].values() for name in group]
    assert not [line for line in own if Requirement(line).name == "workbench"]


def test_the_version_stands_in_one_place_and_the_citation_repeats_it() -> None:
    assert "version" not in PROJECT and PROJECT["dynamic"] == ["version"]
    assert PYPROJECT["tool"]["setuptools"]["dynamic"]["version"] == {
        "attr": "workbench.__version__"
    }
    assert CITATION["version"] == workbench.__version__


def test_the_command_prints_the_version_that_the_records_name() -> None:
    done = CliRunner().invoke(app, ["--version"])
    assert done.exit_code == 0
    assert done.output == f"workbench {environment.workbench_version()}\n"


def test_a_shell_can_complete_the_names_of_commands() -> None:
    asked = {
        "_WORKBENCH_COMPLETE": "complete_bash",
        "COMP_WORDS": "workbench r",
        "COMP_CWORD": "1",
    }
    done = CliRunner().invoke(app, env=asked, prog_name="workbench")
    assert done.output.split() == ["run", "report", "register"]


def test_licence_and_authors_are_the_same_everywhere() -> None:
    text = (ROOT / "LICENSE").read_text()
    (author,) = PROJECT["authors"]
    assert re.search(r"Apache License\s+Version 2\.0", text)
    assert re.search(rf"Copyright \d{{4}} {author['name']}$", text, re.M)
    assert CITATION["license"] == PROJECT["license"] == "Apache-2.0"
    assert CITATION["authors"] == [author]


@pytest.mark.parametrize("extra", EXTRAS)
def test_an_extra_has_the_name_of_its_library_and_a_message_says_how_to_install_it(
    extra: str,
) -> None:
    needed = [line.partition(">")[0] for line in EXTRAS[extra]]
    assert Requirement(needed[0]).name == extra
    sources = (path.read_text() for path in (ROOT / "workbench").rglob("*.py"))
    assert any(f"pip install {shlex.join(needed)}" in text for text in sources)


def test_every_requirement_has_an_exact_version_within_its_bounds() -> None:
    lines = (ROOT / "constraints.txt").read_text().splitlines()
    pinned = dict(line.split("==") for line in lines if not line.startswith("#"))
    exact = {canonicalize_name(name): version for name, version in pinned.items()}
    wrong = [
        str(needed)
        for needed in requirements()
        if not needed.specifier.contains(exact.get(canonicalize_name(needed.name), "0"))
    ]
    assert wrong == []


def test_only_what_has_a_private_interface_in_use_has_an_upper_bound() -> None:
    bounded = {
        needed.name for needed in requirements() if any("<" in s.operator for s in needed.specifier)
    }
    assert bounded <= {"mlflow", "optuna"}


WARN = "import warnings; warnings.warn('said by {module}')"


@pytest.mark.parametrize("module", ["workbench", "workbench.engine.loop", "tests.study.test_space"])
def test_a_warning_of_ours_is_an_error(module: str) -> None:
    with pytest.raises(UserWarning, match=f"said by {module}"):
        exec(WARN.format(module=module), {"__name__": module})


@pytest.mark.parametrize("module", ["torch.nn", "workbench_plugin", "mlflow.tests.store"])
def test_a_warning_of_a_library_is_only_shown(module: str) -> None:
    # Recording does not change which warnings are errors.
    with warnings.catch_warnings(record=True) as shown:
        exec(WARN.format(module=module), {"__name__": module})
    assert [str(warning.message) for warning in shown] == [f"said by {module}"]


def test_a_call_of_ours_that_a_library_warns_about_is_an_error() -> None:
    library: dict[str, Any] = {"__name__": "torch.nn"}
    exec("import warnings\ndef old(): warnings.warn('use new', FutureWarning, 2)", library)
    with pytest.raises(FutureWarning, match="use new"):
        library["old"]()
