"""The modules of the package, and what each imports."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

PACKAGE = Path(__file__).parents[2] / "workbench"

# Outside the layers: Python runs ``__init__`` before any module, and it loads the public names only
# on demand; ``__main__`` is what ``python -m workbench`` runs.
OUTSIDE = {"__init__", "__main__"}


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
