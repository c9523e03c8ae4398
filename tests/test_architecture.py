"""Which package may import which, and what an import may load."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parent.parent / "workbench"

# From the top down. A package imports only from the rows below its own, in annotations and inside
# functions as well.
LAYERS: tuple[tuple[str, ...], ...] = (
    ("cli",),
    ("commands",),
    ("study",),
    ("driver",),
    ("trial",),
    ("engine",),
    ("backbones", "report"),
    ("datasets", "tasks", "tracker", "plotting"),
    ("record", "verdict"),
    ("usercode", "downloads"),
)
RANK = {name: rank for rank, row in enumerate(LAYERS) for name in row}
# Outside the layers: Python runs ``__init__`` before any module, and it loads the public names
# only when they are asked for; ``__main__`` is what ``python -m workbench`` runs.
OUTSIDE = {"__init__", "__main__"}

OWNERS: dict[str, set[str]] = {
    "yaml": {"study"},
    "optuna": {"study", "report"},
    "mlflow": {"tracker"},
    "matplotlib": {"plotting", "report"},
    "peft": {"engine"},
}


@dataclass(frozen=True)
class Import:
    """One import in the source.

    Attributes:
        importer: Dotted name of the module that it stands in.
        imported: What is imported, as far as it is a module.
    """

    importer: str
    imported: str
    line: int

    def __str__(self) -> str:
        return f"{self.importer}:{self.line} imports {self.imported}"


def dotted(path: Path) -> str:
    parts = path.relative_to(PACKAGE.parent).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" and len(parts) > 2 else parts)


MODULES = {dotted(path): path for path in sorted(PACKAGE.rglob("*.py"))}


def unit(module: str) -> str:
    """The package, or the single module, of the top level that a module belongs to."""
    return module.split(".")[1] if "." in module else "__init__"


def imports_of(module: str, path: Path) -> Iterator[Import]:
    tree = ast.parse(path.read_text(), filename=str(path))
    # All of them: those for annotations and those inside functions bind modules together as well.
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0 and node.module, f"{module}: a relative import"
            within = [f"{node.module}.{alias.name}" for alias in node.names]
            names = [name if name in MODULES else node.module for name in within]
        else:
            continue
        for name in dict.fromkeys(names):
            yield Import(importer=module, imported=name, line=node.lineno)


IMPORTS = [found for module, path in MODULES.items() for found in imports_of(module, path)]
INNER = [
    found
    for found in IMPORTS
    if found.imported.split(".")[0] == "workbench"
    and not OUTSIDE & {unit(found.importer), unit(found.imported)}
]


def test_every_package_has_a_place_in_the_layers() -> None:
    unplaced = sorted({unit(module) for module in MODULES} - RANK.keys() - OUTSIDE)
    assert not unplaced, f"{', '.join(unplaced)}: give them a row in LAYERS"


def upward(imports: Iterable[Import]) -> list[str]:
    return [
        str(found)
        for found in imports
        if unit(found.imported) != unit(found.importer)
        and RANK[unit(found.imported)] <= RANK[unit(found.importer)]
    ]


def test_packages_import_only_from_lower_layers() -> None:
    assert upward(INNER) == []


def cycle(imports: Iterable[Import]) -> str:
    """A cycle among the modules; empty where there is none."""
    graph: dict[str, set[str]] = {}
    for found in imports:
        if found.imported != found.importer:
            graph.setdefault(found.importer, set()).add(found.imported)
    try:
        list(TopologicalSorter(graph).static_order())
    except CycleError as error:
        return " imports ".join(reversed(error.args[1]))
    return ""


def test_no_modules_import_each_other_in_a_cycle() -> None:
    assert cycle(INNER) == ""


@pytest.mark.parametrize("where", ["if TYPE_CHECKING:\n    {}", "def later():\n    {}", "{}"])
def test_a_cycle_is_found_wherever_its_import_stands(where: str, tmp_path: Path) -> None:
    added = tmp_path / "added.py"
    added.write_text(where.format("from workbench.engine.loop import Engine"))
    seen = [*INNER, *imports_of("workbench.record.strategy", added)]
    assert "workbench.engine.loop" in cycle(seen)
    assert [line.split()[-1] for line in upward(seen)] == ["workbench.engine.loop"]


@pytest.mark.parametrize("library", OWNERS)
def test_a_third_party_has_its_owners(library: str) -> None:
    strangers = [
        str(found)
        for found in IMPORTS
        if found.imported.split(".")[0] == library and unit(found.importer) not in OWNERS[library]
    ]
    assert strangers == []


def test_what_is_expected_of_the_reader_of_imports_holds() -> None:
    assert {"workbench.engine", "workbench.engine.loop", "workbench.__init__"} <= MODULES.keys()
    known = {(found.importer, found.imported) for found in INNER}
    assert ("workbench.study.config", "workbench.study.config.knobs") in known
    assert ("workbench.study.config.knobs", "workbench.study.config.schema") in known


def imported_by(script: str) -> str:
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_no_torch_is_loaded_to_read_a_study_a_record_or_a_store() -> None:
    script = (
        "import importlib, sys\n"
        "for name in ('cli.app', 'study.config', 'commands.browse', 'tracker', 'report'):\n"
        "    importlib.import_module(f'workbench.{name}')\n"
        "    if 'torch' in sys.modules:\n"
        "        print(name)\n"
        "        break\n"
        "from pathlib import Path\n"
        f"for file in sorted(Path({str(PACKAGE.parent / 'studies')!r}).glob('*.yaml')):\n"
        "    sys.modules['workbench.study.config'].load(file)\n"
        "print('torch' in sys.modules)\n"
    )
    assert imported_by(script).split() == ["False"]


def test_the_help_is_there_before_anything_heavy_is_loaded() -> None:
    script = (
        "import sys\n"
        "from workbench.cli.app import app\n"
        "sys.argv = ['workbench', '--help']\n"
        "try:\n"
        "    app()\n"
        "except SystemExit:\n"
        "    print()\n"
        "heavy = {'torch', 'mlflow', 'optuna', 'pandas', 'matplotlib', 'sklearn'}\n"
        "print('loaded:', sorted(heavy & set(sys.modules)))\n"
    )
    output = imported_by(script)
    assert "Usage" in output and output.splitlines()[-1] == "loaded: []"
