"""Writes the study file of a study that was given as a dictionary; used by the Python interface."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from workbench import record
from workbench.messages import listed, nearest
from workbench.record.files import replacing
from workbench.study.config import BLOCKS, document, load_all
from workbench.study.config.document import StudyFileError

_WRITTEN = "# Written by workbench.Study."
_EXPONENT = re.compile(r"[-+]?\d+(\.\d*)?[eE]-?\d+")


def write(
    content: Mapping[str, Any], question: str, overrides: Sequence[str], overwrite: bool
) -> tuple[Path, tuple[str, ...]]:
    """Write ``NAME.yaml`` in the current directory, if the content is valid.

    Args:
        content: Of the file.
        question: Its first lines.
        overrides: ``key.path=value`` each, with which it must be valid.
        overwrite: Replace a file that was written from other settings.

    Returns:
        The file, and the names of its studies.

    Raises:
        StudyFileError: Everything that is wrong with the content.
        FileExistsError: The file was written by somebody else, from other settings, or is no study
            file any more.
        ValueError: The content has no valid name, or a value that no file can hold.
    """
    name = content.get("name")
    if "name" not in content:
        strange = [key for key in content if key not in BLOCKS]
        if near := nearest("name", strange):
            raise ValueError(f"unknown key {near}; did you mean name?")
        raise ValueError("name: a study needs one; use letters, digits, dots, _ and -.")
    if not isinstance(name, str) or not record.STUDY_NAME.fullmatch(name):
        raise ValueError(
            f"name: {name!r} is not a valid study name: use only letters, digits, dots, _ and -."
        )
    path = Path(f"{name}.yaml").absolute()
    heading = "".join(f"# {line}\n" for line in question.splitlines())
    text = f"{heading}{document.dump({**_with_numbers(content), 'name': name})}{_WRITTEN}\n"
    before = path.read_text(encoding="utf-8") if path.exists() else text
    if not before.rstrip().endswith(_WRITTEN):
        raise FileExistsError(
            f"{path} was not written from a dictionary and is kept. Read it with "
            f"workbench.Study({path.name!r}), or give the study another name."
        )
    if before != text and not overwrite:
        raise FileExistsError(
            f"{path} {_differences(before, text)}. "
            "Give the study another name, or replace the file with overwrite=True."
        )
    with replacing(path) as file:
        file.write(text.encode())
        file.flush()
        # Before it takes the place of anything.
        unchecked = Path(file.name)
        try:
            return path, tuple(config.name for config in load_all(unchecked, overrides))
        except StudyFileError as error:
            raise error.with_name(str(unchecked), name) from None


def _differences(before: str, text: str) -> str:
    """How a study file differs from another one, as the end of a sentence about it."""
    try:
        old = document.parse_value(before)
    except ValueError as error:
        return f"was edited and cannot be read: {error}"
    if not isinstance(old, dict):
        return "was edited and holds no mapping"
    new = document.parse_value(text)
    keys = [key for key in {**old, **new} if old.get(key) != new.get(key)]
    return f"was written from other settings: {listed(keys or ['question or comments'])}"


def _with_numbers(value: Any) -> Any:
    """The same with Python's numbers for NumPy's, which YAML does not know, and for ``1e-4``.

    PyYAML's own loader reads that as a text, and dictionaries often come from it.
    """
    if isinstance(value, Mapping):
        return {_with_numbers(key): _with_numbers(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_with_numbers(item) for item in value]
    if isinstance(value, str) and _EXPONENT.fullmatch(value):
        return float(value)
    return value.item() if isinstance(value, np.generic) else value
