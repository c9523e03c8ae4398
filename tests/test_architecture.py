"""Which package may import which, and what an import may load."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterable, Iterator
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

from tests.support.imports import (
    IMPORTS,
    MODULES,
    OUTSIDE,
    PACKAGE,
    Import,
    imports_of,
    unit,
)

# From the top down. A package imports only from the rows below its own, in annotations and inside
# functions as well.
LAYERS: tuple[tuple[str, ...], ...] = (
    ("api",),
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
    ("messages",),
)
RANK = {name: rank for rank, row in enumerate(LAYERS) for name in row}

OWNERS: dict[str, set[str]] = {
    "yaml": {"study"},
    "optuna": {"study", "report"},
    "mlflow": {"tracker"},
    "matplotlib": {"cli", "plotting", "report"},
    "peft": {"engine"},
    "ray": {"driver"},
}


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


# Private names of libraries, by the modules that use them: there the reason stands. What a release
# may rename is so looked for in these places alone.
PRIVATE = {
    "workbench.backbones.stages.torch_internals": {"torch.utils._pytree"},
    "workbench.datasets.hub.images": {"_fingerprint"},
    "workbench.study.search": {"_trial_id"},
    "workbench.study.search.write_through": {"_trial_id", "optuna.storages._rdb.models"},
    "workbench.study.search.samplers": {"_storage"},
    "workbench.tracker.connection": {"_get_latest_schema_revision"},
}
# Private by their names alone: documented.
DOCUMENTED = {"_asdict", "_exit", "_replace", "_typeshed"}


def is_private(name: str) -> bool:
    return name.startswith("_") and not name.startswith("__")


def private_names(tree: ast.Module) -> Iterator[str]:
    """Private names that a module takes from others."""
    nodes = list(ast.walk(tree))
    own = {node.name for node in nodes if isinstance(node, ast.FunctionDef | ast.ClassDef)}
    own |= {
        node.target.id
        for node in nodes
        if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name)
    }
    for node in nodes:
        if isinstance(node, ast.ImportFrom) and node.module is not None:
            if any(map(is_private, node.module.split("."))):
                yield node.module
            yield from (alias.name for alias in node.names if is_private(alias.name))
        elif isinstance(node, ast.Attribute) and ast.unparse(node.value) in ("self", "cls"):
            own.add(node.attr)
    for node in nodes:
        if isinstance(node, ast.Attribute) and is_private(node.attr) and node.attr not in own:
            yield node.attr


def test_private_names_of_libraries_are_used_in_one_module_each() -> None:
    used = {
        module: set(private_names(ast.parse(path.read_text()))) for module, path in MODULES.items()
    }
    unlisted = {
        module: names - PRIVATE.get(module, set()) - DOCUMENTED for module, names in used.items()
    }
    assert {module: names for module, names in unlisted.items() if names} == {}


def test_no_test_module_imports_another() -> None:
    """What several of them need stands in ``tests/support``."""
    tests = Path(__file__).parent
    strangers = [
        str(found)
        for path in sorted(tests.rglob("*.py"))
        for found in imports_of(f"tests.{path.relative_to(tests)}", path)
        if found.imported.split(".")[0] == "tests"
        and not found.imported.startswith("tests.support")
    ]
    assert strangers == []


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
        "    sys.modules['workbench.study.config'].load_all(file)\n"
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
