"""Writes a report's folder once all of its files have been made.

``standalone`` uses ``replacing`` and ``write_files`` for the page of an external verdict.
"""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from workbench.report import templates, tidy
from workbench.report.figures import rendering
from workbench.report.paper import files as paper
from workbench.report.summary import Composed

# What Workbench writes to a report's folder; everything else in it belongs to the user.
CONTENTS = (
    *("index.html", "report.md", "report.json", "tables", "figures", "data"),
    *("macros.tex", "methods.tex", "captions.tex", "checklist.md", "references.bib", "example.tex"),
)


def write(composed: Composed, folder: Path, venue: str = "neurips") -> Path:
    """Write the whole report, or leave the folder as it was.

    The same input gives the same bytes. An earlier report in the folder is replaced; files that are
    not in ``CONTENTS`` are kept.

    Args:
        composed: The content of the report.
        folder: Of the report.
        venue: Decides the widths and fonts of the files for a paper.

    Returns:
        The path of index.html.

    Raises:
        FileExistsError: The folder is not empty and contains no report.
        ValueError: No such venue.
    """
    summary = composed.summary
    with replacing(folder, CONTENTS, "report.json") as new:
        _write_texts(composed, new, venue)
        pictures = {
            entry.name: rendering.render(
                entry.name, composed.numbers[entry.name], entry.caption, new / "figures", venue
            )
            for entry in summary.figures
        }
        write_files({"index.html": templates.html(summary.content, pictures)}, new)
    return folder.resolve() / "index.html"


@contextmanager
def replacing(folder: Path, contents: Collection[str], marker: str) -> Iterator[Path]:
    """A new folder to write to; at the end its files replace those in ``folder``.

    On an error ``folder`` stays as it was.

    Args:
        folder: May exist.
        contents: Names of what is written there; all other files in ``folder`` are kept.
        marker: The file that identifies a folder written earlier.

    Raises:
        FileExistsError: The folder is not empty and lacks the marker.
    """
    folder = folder.resolve()
    empty = not folder.exists() or (folder.is_dir() and not any(folder.iterdir()))
    if not empty and not (folder / marker).is_file():
        # A user may have named a folder with work of theirs.
        raise FileExistsError(
            f"{folder} is not empty and contains no {marker}, so it is not replaced. Choose an"
            " empty or a new folder."
        )
    folder.parent.mkdir(parents=True, exist_ok=True)
    # In the same file system as the folder, so that the renames below copy nothing.
    with tempfile.TemporaryDirectory(prefix=f".{folder.name[:200]}.", dir=folder.parent) as path:
        new = Path(path)
        yield new
        folder.mkdir(exist_ok=True)
        # The marker is replaced, never removed: a folder without it would not be ours any more.
        for name in contents:
            if (folder / name).is_dir():
                shutil.rmtree(folder / name)
            elif name != marker:
                (folder / name).unlink(missing_ok=True)
            if (new / name).exists():
                (new / name).replace(folder / name)


def _write_texts(composed: Composed, folder: Path, venue: str) -> None:
    """Write all files that need no figure."""
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
    write_files(files, folder)
    tidy.write(tidy.frames(composed.material, summary), folder / "data")


def write_files(files: Mapping[str, str], folder: Path) -> None:
    """Write texts by their path in a folder, in UTF-8 with Unix line ends on every system."""
    for name, content in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content, encoding="utf-8", newline="\n")
