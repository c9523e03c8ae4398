"""The house keeps its shape: who may import whom, and what an import may cost."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parent.parent / "workbench"

# From the top down. A module imports from its own row or a lower one; a new module needs a place.
LAYERS: tuple[tuple[str, ...], ...] = (
    ("__main__", "cli"),
    ("terminal",),
    ("printed", "progress"),
    ("launch",),
    ("ending", "smoke"),
    ("publish", "session", "tryout", "predict", "elsewhere"),
    ("study", "confirm", "report", "browse"),
    ("driver",),
    ("workers",),
    ("trial",),
    ("preview", "protocol"),
    ("foundation", "misfits"),
    ("provenance",),
    ("definition", "cautions"),
    ("plans",),
    ("importances", "space", "grid", "engine", "figures", "templates", "environment"),
    ("tracker",),
    ("config",),
    ("beside",),
    ("backbones", "tasks", "optimizers", "augmentations"),
    ("stages",),
    ("datasets",),
    ("record", "verdict"),
    ("strategy", "statistics", "randomness", "downloads", "usercode", "files"),
    ("__init__",),
)
RANK = {name: rank for rank, row in enumerate(LAYERS) for name in row}

OWNERS: dict[str, set[str]] = {
    "yaml": {"config"},
    "optuna": {"space", "study", "importances"},
    "mlflow": {"tracker"},
    "matplotlib": {"figures"},
    "ray": {"workers"},
    "peft": {"engine"},
}


@dataclass(frozen=True)
class Import:
    """One import in the source.

    Attributes:
        importer: Dotted name of the module that it stands in.
        imported: What is imported, as far as it is a module.
        at_start: It is carried out whenever the importer is imported.
    """

    importer: str
    imported: str
    at_start: bool
    line: int

    def __str__(self) -> str:
        return f"{self.importer}:{self.line} imports {self.imported}"


def dotted(path: Path) -> str:
    parts = path.relative_to(PACKAGE.parent).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" and len(parts) > 2 else parts)


MODULES = {dotted(path): path for path in sorted(PACKAGE.rglob("*.py"))}


def unit(module: str) -> str:
    """The entry of the house that a module belongs to: a file, or a whole catalogue."""
    return module.split(".")[1] if "." in module else "__init__"


def imports_of(module: str, path: Path) -> Iterator[Import]:
    tree = ast.parse(path.read_text(), filename=str(path))
    later: set[ast.AST] = set()
    for node in ast.walk(tree):
        typing_only = isinstance(node, ast.If) and "TYPE_CHECKING" in ast.dump(node.test)
        if typing_only or isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
            later.update(ast.walk(node))
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
            yield Import(
                importer=module, imported=name, at_start=node not in later, line=node.lineno
            )


IMPORTS = [found for module, path in MODULES.items() for found in imports_of(module, path)]
INNER = [found for found in IMPORTS if found.imported.split(".")[0] == "workbench"]


def test_every_module_has_a_place_in_the_layers() -> None:
    unplaced = sorted({unit(module) for module in MODULES} - RANK.keys())
    assert not unplaced, f"{', '.join(unplaced)}: give them a row in LAYERS"


def test_imports_go_downwards_or_stay_in_their_row() -> None:
    upwards = [
        str(found)
        for found in INNER
        if RANK.get(unit(found.imported), 0) < RANK.get(unit(found.importer), 0)
    ]
    assert upwards == []


def test_no_modules_import_each_other_in_a_circle() -> None:
    graph: dict[str, set[str]] = {module: set() for module in MODULES}
    for found in INNER:
        if found.at_start and found.imported != found.importer:
            graph[found.importer].add(found.imported)
    try:
        list(TopologicalSorter(graph).static_order())
    except CycleError as error:
        pytest.fail(" imports ".join(reversed(error.args[1])))


@pytest.mark.parametrize("library", OWNERS)
def test_a_third_party_has_its_owners(library: str) -> None:
    strangers = [
        str(found)
        for found in IMPORTS
        if found.imported.split(".")[0] == library and unit(found.importer) not in OWNERS[library]
    ]
    assert strangers == []


def test_what_is_expected_of_the_reader_of_imports_holds() -> None:
    assert {"workbench.config", "workbench.figures", "workbench.__init__"} <= MODULES.keys()
    known = {(found.importer, found.imported): found.at_start for found in INNER}
    assert known["workbench.config", "workbench.config.knobs"]
    assert known["workbench.config.knobs", "workbench.config.schema"], "from a package"
    assert not known["workbench.misfits", "workbench.engine"], "inside a function"


def imported_by(script: str) -> str:
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_no_torch_is_loaded_to_read_a_study_a_record_or_a_store() -> None:
    script = (
        "import importlib, sys\n"
        "for name in ('cli', 'config', 'browse', 'tracker', 'report'):\n"
        "    importlib.import_module(f'workbench.{name}')\n"
        "    if 'torch' in sys.modules:\n"
        "        print(name)\n"
        "        break\n"
        "from pathlib import Path\n"
        f"for file in sorted(Path({str(PACKAGE.parent / 'studies')!r}).glob('*.yaml')):\n"
        "    sys.modules['workbench.config'].load(file)\n"
        "print('torch' in sys.modules)\n"
    )
    assert imported_by(script).split() == ["False"]


def test_the_help_is_there_before_anything_heavy_is_loaded() -> None:
    script = (
        "import sys\n"
        "from workbench.cli import app\n"
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
