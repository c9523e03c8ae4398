"""A report on disk: every file of it, written whole or not at all.

Matplotlib is imported only while figures are drawn.
"""

from __future__ import annotations

import glob
import json
import os
import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path

from workbench.record.files import is_abandoned
from workbench.report import templates, tidy
from workbench.report.figures import rendering
from workbench.report.paper import files as paper
from workbench.report.summary import Composed

# What a report's folder holds; whatever else lies in it is the user's.
CONTENTS = (
    *("index.html", "report.md", "report.json", "tables", "figures", "data"),
    *("macros.tex", "methods.tex", "captions.tex", "checklist.md", "references.bib", "example.tex"),
)


def write(composed: Composed, folder: Path, venue: str = "neurips") -> Path:
    """Write the whole report, or leave the folder as it was.

    The same input gives the same bytes. An earlier report in the folder is replaced whole; other
    files beside it (those not in ``CONTENTS``) stay.

    Args:
        composed: What the report says.
        folder: Of the report.
        venue: Whose widths and fonts the files for a paper have.

    Returns:
        The path of index.html.

    Raises:
        FileExistsError: The folder holds something else than a report.
        ValueError: No such venue.
    """
    folder = folder.resolve()
    _refuse_anything_but_a_report(folder)
    summary = composed.summary
    folder.parent.mkdir(parents=True, exist_ok=True)
    _sweep(folder)
    prefix = f"{_hidden(folder)}{os.getpid()}."
    temporary = Path(tempfile.mkdtemp(prefix=prefix, dir=folder.parent))
    new, old = temporary / "new", temporary / "old"
    try:
        _write_texts(composed, new, venue)
        pictures = {
            entry.name: rendering.render(
                entry.name,
                composed.numbers[entry.name],
                entry.caption,
                new / "figures",
                venue,
            )
            for entry in summary.figures
        }
        _write_files({"index.html": templates.html(summary.content, pictures)}, new)
        if folder.exists():
            folder.rename(old)
            _move_others(old, new)
        new.rename(folder)
    finally:
        _put_back(temporary, folder)
    return folder / "index.html"


def _write_texts(composed: Composed, folder: Path, venue: str) -> None:
    """All that needs no picture."""
    summary, content = composed.summary, composed.summary.content
    text = json.dumps(content, indent=1, ensure_ascii=False, allow_nan=False)
    files = {
        **paper.files(summary, venue=venue),
        "report.json": text + "\n",
        "report.md": templates.markdown(content),
        "tables/strategies.csv": templates.csv(content),
    }
    if summary.confirmation is not None:
        files["tables/confirmation.csv"] = templates.arms_csv(content["confirmation"])
    _write_files(files, folder)
    tidy.write(tidy.frames(composed.material, content), folder / "data")


def _write_files(files: Mapping[str, str], folder: Path) -> None:
    for name, content in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content, encoding="utf-8", newline="\n")


def _hidden(folder: Path) -> str:
    """How the names of a report's temporary folders begin."""
    return f".{folder.name[:200]}."


def _sweep(folder: Path) -> None:
    """Clean up after killed processes, which may have moved the report away."""
    hidden = _hidden(folder)
    for left in folder.parent.glob(f"{glob.escape(hidden)}*"):
        # The report of another study, whose name has a dot, begins alike: ``.a.`` and ``.a.b.``.
        own = left.name.removeprefix(hidden).count(".") == 1
        if own and is_abandoned(left):
            _put_back(left, folder)


def _put_back(temporary: Path, folder: Path) -> None:
    """Undo what was done of a replacement that did not reach its end, and remove its folder."""
    new, old = temporary / "new", temporary / "old"
    if old.exists() and not folder.exists():
        if new.exists():
            _move_others(new, old)
        old.rename(folder)
    shutil.rmtree(temporary, ignore_errors=True)


def _move_others(source: Path, target: Path) -> None:
    """Move what is the user's own from one report's folder to another."""
    for path in sorted(source.iterdir()):
        if path.name not in CONTENTS:
            path.rename(target / path.name)


def _refuse_anything_but_a_report(folder: Path) -> None:
    # The folder is replaced whole, and a user may have named one that holds work of theirs.
    if not folder.exists() or (folder.is_dir() and not any(folder.iterdir())):
        return
    if not (folder / "report.json").is_file():
        raise FileExistsError(
            f"{folder} exists and is no report (it holds no report.json), so it is not replaced;"
            " name an empty or a new folder."
        )
