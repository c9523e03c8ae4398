"""The README tells the truth: its commands parse, its links exist, its tree is the tree."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest
import typer.main

from workbench.cli.app import app
from workbench.study.config import load

ROOT = Path(__file__).parent.parent
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md")])


def commands() -> list[str]:
    blocks = [
        block for page in PAGES for block in re.findall(r"```sh\n(.*?)```", page.read_text(), re.S)
    ]
    lines = [line.partition(" #")[0].strip() for block in blocks for line in block.splitlines()]
    inline = re.findall(r"`(workbench [a-z]+ [^`]+)`", (ROOT / "README.md").read_text())
    joined = [" ".join(command.split()) for command in inline]
    return [line for line in [*lines, *joined] if line]


@pytest.mark.parametrize("line", [c for c in commands() if c.startswith("workbench")])
def test_every_workbench_command_parses(line: str) -> None:
    words = shlex.split(line.partition(" > ")[0])
    group = typer.main.get_command(app)
    name = words[1]
    command = group.commands[name]  # type: ignore[attr-defined]
    # Closed: an option may set a variable for its command.
    command.make_context(name, words[2:]).close()


@pytest.mark.parametrize("line", [c for c in commands() if c.startswith("make")])
def test_every_make_target_exists(line: str) -> None:
    target = shlex.split(line)[1]
    assert re.search(rf"^{target}:", (ROOT / "Makefile").read_text(), re.M)


def test_every_study_file_in_a_command_exists() -> None:
    files = {word for line in commands() for word in shlex.split(line) if word.endswith(".yaml")}
    for file in files:
        assert list(ROOT.glob(file)), file


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_link_to_a_file_exists(page: Path) -> None:
    for target in re.findall(r"\]\(([^)#]+)", page.read_text()):
        if not target.startswith("http"):
            assert (page.parent / target).exists(), target


def test_every_path_in_backticks_exists() -> None:
    text = (ROOT / "README.md").read_text()
    for path in re.findall(r"`((?:workbench|studies|tests|docs)/[\w./]+)`", text):
        if "NAME" in path:
            assert (ROOT / path).parent.exists(), path
        else:
            assert (ROOT / path).exists(), path


def test_the_tree_names_every_entry_of_the_package_and_nothing_else() -> None:
    text = (ROOT / "README.md").read_text()
    tree = text[text.index("workbench/\n") :].partition("\nstudies/")[0]
    named = set(re.findall(r"^  (\w+(?:\.py|/))(?= )", tree, re.M)) - {"__init__.py"}
    package = ROOT / "workbench"
    there = {path.name for path in package.glob("*.py") if path.name[0] != "_"}
    folders = {f"{path.parent.name}/" for path in package.glob("*/__init__.py")}
    assert named == there | folders
    inner = {path.parent.name for path in package.glob("*/*/__init__.py")}
    assert set(re.findall(r"(\w+)/", tree)) - {name.rstrip("/") for name in named} <= inner | {
        "reports",
        "NAME",
        "workbench",
    }


def test_the_study_file_in_the_readme_is_valid(tmp_path: Path) -> None:
    (block,) = re.findall(r"```yaml\n(.*?)```", (ROOT / "README.md").read_text(), re.S)
    file = tmp_path / "digits.yaml"
    file.write_text(block)
    assert len(load(file).strategies) == 9
