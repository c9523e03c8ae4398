"""``across``: a study file that stands for a study on each data set and for each search seed."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from workbench.record.cells import FILE_NAME, LONGEST_STUDY_NAME, Cell
from workbench.study.config.document import Document, Location, Unquoted
from workbench.study.config.problems import read
from workbench.study.config.schema import Across

BLOCK = "across"
# Where the file itself may not name what ``across`` names.
_PLACES: dict[str, Location] = {"dataset": ("recipe", "dataset"), "search_seed": ("search", "seed")}


def cells_of(document: Document) -> tuple[Cell, ...]:
    """The studies that a file stands for, in its order; empty without ``across``.

    Raises:
        StudyFileError: What is wrong with the block.
    """
    if BLOCK not in document.content:
        return ()
    written = document.content[BLOCK]
    block, flaws = read(Across, written if isinstance(written, dict) else {})
    document.add_flaws((BLOCK,), flaws)
    if not isinstance(written, dict):
        document.add((BLOCK,), written, "a mapping with dataset, search_seed or both")
    document.finish()
    assert block is not None
    for key, place in _PLACES.items():
        if key in written and place in document.lines:
            first = document.place((BLOCK, key))
            expected = f"no value here; {BLOCK}.{key} already sets it ({first})"
            at: Any = document.content
            for part in place:
                at = at[part]
            document.add(place, at, expected)
    name = document.content.get("name")
    datasets: list[str | None] = [*block.dataset] or [None]
    seeds: list[int | None] = [*block.search_seed] or [None]
    cells = [
        Cell(across=str(name), dataset=dataset, search_seed=seed)
        for dataset, seed in itertools.product(datasets, seeds)
    ]
    _check(document, block, cells)
    document.finish()
    planned = tuple(cell.name for cell in cells)
    return tuple(replace(cell, planned=planned) for cell in cells)


def _check(document: Document, block: Across, cells: Sequence[Cell]) -> None:
    if not document.content.get("compare"):
        expected = f"a compare block with {BLOCK}: a joint study chooses which strategies it tests"
        document.add((BLOCK,), Unquoted("no compare"), expected)
    if len(cells) < 2:
        document.add((BLOCK,), Unquoted("1 study"), "at least two data sets or search seeds")
    for label in block.dataset:
        if not FILE_NAME.fullmatch(label):
            place = (BLOCK, "dataset", label)
            document.add(place, label, "a name of letters, digits, dots, dashes and underscores")
    written = document.content[BLOCK]
    for key in _PLACES:
        values = written.get(key)
        if isinstance(values, list) and len({str(value) for value in values}) < len(values):
            twice = next(value for value in values if values.count(value) > 1)
            document.add((BLOCK, key), twice, "each value once")
    longest = max(cells, key=lambda cell: len(cell.name)).name
    if len(longest) > LONGEST_STUDY_NAME:
        document.add((BLOCK,), longest, f"names of at most {LONGEST_STUDY_NAME} characters")
    # Else each data set might test other strategies.
    confirm = document.content.get("confirm")
    if isinstance(confirm, dict) and confirm.get("finalists") is not None:
        expected = f"no number with {BLOCK}: every study must test the same strategies"
        document.add(("confirm", "finalists"), confirm["finalists"], expected)


def choose(document: Document, cell: Cell) -> None:
    """Turn the content of a file with ``across`` into that of one of its studies."""
    content: Any = document.content
    block = content.pop(BLOCK)
    content["name"] = cell.name
    if cell.dataset is not None:
        written = block["dataset"]
        at = written.index(cell.dataset) if isinstance(written, list) else cell.dataset
        _put(document, written[at], ("dataset", at))
    if cell.search_seed is not None:
        _put(document, cell.search_seed, ("search_seed",))


def _put(document: Document, value: object, source: Location) -> None:
    """Set what ``across`` gives, known by the line where it stands there."""
    key, knob = _PLACES[str(source[0])]
    content: Any = document.content
    block = content.setdefault(key, {})
    # What else the block may be is a problem that its reader notes.
    if isinstance(block, dict):
        block[knob] = value
        document.alias((key, knob), (BLOCK, *source))
