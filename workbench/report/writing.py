"""Writes a report's folder, completely or not at all.

``standalone`` uses ``replacing`` and ``write_files`` for the page of an external verdict.
"""

from __future__ import annotations

import glob
import json
import shutil
import tempfile
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from workbench.record.files import is_abandoned, own_writer
from workbench.report import templates, tidy
from workbench.report.figures import rendering
from workbench.report.paper import files as paper
from workbench.report.percent import in_percent
from workbench.report.summary import ReportContent, compose

# What Workbench writes to a report's folder; everything else in it belongs to the user.
CONTENTS = (
    *("index.html", "report.md", "report.json", "tables", "figures", "data"),
    *("macros.tex", "methods.tex", "captions.tex", "checklist.md", "references.bib", "example.tex"),
)


def write(
    composed: ReportContent, folder: Path, venue: str = "neurips", *, percent: bool = False
) -> Path:
    """Write the whole report, or leave the folder as it was.

    The same input gives the same bytes. An earlier report in the folder is replaced; files that are
    not in ``CONTENTS`` are kept.

    Args:
        composed: The content of the report.
        folder: Of the report.
        venue: Decides the widths and fonts of the files for a paper.
        percent: Whether texts, tables and figures have shares in percent; report.json and the data
            have them as they were measured in any case.

    Returns:
        The path of index.html.

    Raises:
        FileExistsError: The folder is not empty and contains no report.
        ValueError: No such venue.
    """
    shown = composed
    if percent:
        shown = compose(in_percent(composed.material), figures=bool(composed.numbers))
    summary, content = shown.summary, shown.summary.content
    with replacing(folder, CONTENTS, "report.json") as new:
        text = json.dumps(composed.summary.content, indent=1, ensure_ascii=False, allow_nan=False)
        texts = {"report.json": text + "\n", "report.md": templates.markdown(content)}
        write_files(texts | paper.files(summary, venue=venue), new)
        tidy.write(tidy.tables(composed.material, composed.summary), new / "data")
        pictures = {
            entry.name: rendering.render(
                *(entry.name, shown.numbers[entry.name], entry.caption, new / "figures", venue),
                report=folder.resolve(),
            )
            for entry in summary.figures
        }
        pictures |= {
            f"{own.run_id}/{name}": templates.source(png)
            for each in (composed.material, *composed.material.added)
            for own in summary.mistakes
            if own.run_id in each.artifacts
            for name, png in each.artifacts[own.run_id].pictures.items()
        }
        write_files({"index.html": templates.html(content, pictures)}, new)
    return folder.resolve() / "index.html"


@contextmanager
def replacing(folder: Path, contents: Collection[str], marker: str) -> Iterator[Path]:
    """A new folder to write to; at the end it replaces ``folder``, on an error it is removed.

    Args:
        folder: May exist.
        contents: Names of what is written there; all other files in ``folder`` are kept.
        marker: The file that identifies a folder written earlier.

    Raises:
        FileExistsError: The folder is not empty and lacks the marker.
        OSError: Nothing can be written there.
    """
    folder = folder.resolve()
    empty = not folder.exists() or (folder.is_dir() and not any(folder.iterdir()))
    if not empty and not (folder / marker).is_file():
        # A user may have named a folder with work of theirs.
        raise FileExistsError(
            f"{folder} is not empty and contains no {marker}, so it is not replaced. Choose an"
            " empty or a new folder."
        )
    prefix = f"{_hidden(folder)}{own_writer()}."
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        _sweep(folder, contents)
        # In the same file system as the folder, so that the renames below are atomic.
        temporary = Path(tempfile.mkdtemp(prefix=prefix, dir=folder.parent))
    except OSError as error:
        # Not the temporary folder, which the user has never heard of.
        raise OSError(
            f"{folder} cannot be written ({error.strerror}). Choose another folder with --out."
        ) from error
    new, old = temporary / "new", temporary / "old"
    try:
        yield new
        # A process that is killed between these renames leaves the report in ``old``; the next
        # call of ``_sweep`` moves it back.
        if folder.exists():
            folder.rename(old)
            _move_others(old, new, contents)
        new.rename(folder)
    finally:
        _put_back(temporary, folder, contents)


def write_files(files: Mapping[str, str], folder: Path) -> None:
    """Write texts by their path in a folder, in UTF-8 with Unix line ends on every system."""
    for name, content in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content, encoding="utf-8", newline="\n")


def _hidden(folder: Path) -> str:
    """Prefix of the names of a report's temporary folders; cut, because names have a limit."""
    return f".{folder.name[:150]}."


def _sweep(folder: Path, contents: Collection[str]) -> None:
    """Clean up after killed processes, which may have moved the report away."""
    hidden = _hidden(folder)
    for left in folder.parent.glob(f"{glob.escape(hidden)}*"):
        # The prefix ``.a.`` also matches ``.a.b.``, of another study whose name has a dot.
        own = left.name.removeprefix(hidden).count(".") == 1
        if own and is_abandoned(left):
            _put_back(left, folder, contents)


def _put_back(temporary: Path, folder: Path, contents: Collection[str]) -> None:
    """Undo an interrupted replacement and remove its temporary folder."""
    new, old = temporary / "new", temporary / "old"
    if old.exists() and not folder.exists():
        if new.exists():
            _move_others(new, old, contents)
        old.rename(folder)
    shutil.rmtree(temporary, ignore_errors=True)


def _move_others(source: Path, target: Path, contents: Collection[str]) -> None:
    """Move the user's files from one folder to another."""
    for path in sorted(source.iterdir()):
        if path.name not in contents:
            path.rename(target / path.name)
