"""A user's own code beside the study file: ``FILE.py:NAME``.

The file is read and run as it is; its content is hashed, so that a trial never runs other code
than the one it was planned with. Knows neither what the code is for nor where study files lie.
"""

from __future__ import annotations

import hashlib
import re
import sys
import types
from functools import lru_cache
from pathlib import Path
from typing import Any

_REFERENCE = re.compile(r"(?P<file>.+\.py):(?P<name>[A-Za-z_]\w*)")


class UserCodeError(ValueError):
    """A user's file cannot be read or run, or holds no such name."""


def is_reference(text: object) -> bool:
    """Whether a text names an object in a file: ``models/tiny.py:build``."""
    return isinstance(text, str) and _REFERENCE.fullmatch(text) is not None


def located(reference: str, folder: Path) -> str:
    """The reference with an absolute path; a relative one starts at ``folder``."""
    file, name = _parts(reference)
    return f"{(folder / file).resolve()}:{name}"


def file_of(reference: str) -> Path:
    """The file that a reference names."""
    return Path(_parts(reference)[0])


def sha256_of(reference: str) -> str:
    """Hash of the file that a reference names.

    Raises:
        UserCodeError: The file cannot be read.
    """
    return hashlib.sha256(_content(file_of(reference))).hexdigest()


def load(reference: str) -> Any:
    """The object that a reference names. The file is run once for each content that it has.

    Raises:
        UserCodeError: The file cannot be read, raises when it is run, or has no such name.
    """
    file, name = _parts(reference)
    path = Path(file).resolve()
    module = _run(path, hashlib.sha256(_content(path)).hexdigest())
    if not hasattr(module, name):
        import difflib

        names = [known for known in vars(module) if not known.startswith("_")]
        near = difflib.get_close_matches(name, names, n=1)
        hint = f"; did you mean {near[0]}?" if near else ""
        raise UserCodeError(f"{path} has no {name}{hint}")
    return getattr(module, name)


@lru_cache(maxsize=64)
def _run(path: Path, digest: str) -> types.ModuleType:
    module = types.ModuleType(f"workbench_user_{path.stem}_{digest[:12]}")
    module.__file__ = str(path)
    # Dataclasses and pickling look a class's module up by its name.
    sys.modules[module.__name__] = module
    # A file may import those beside it, but hides nothing that is installed.
    beside = str(path.parent)
    sys.path.append(beside)
    try:
        exec(compile(_content(path), str(path), "exec"), module.__dict__)
    except Exception as error:
        del sys.modules[module.__name__]
        line = next(
            (frame.lineno for frame in _frames(error) if frame.filename == str(path)),
            getattr(error, "lineno", None),
        )
        at = f":{line}" if line else ""
        raise UserCodeError(
            f"{path}{at} raised {type(error).__name__} when it was run: {error}"
        ) from error
    finally:
        sys.path.remove(beside)
    return module


def _frames(error: BaseException) -> list[Any]:
    import traceback

    return list(reversed(traceback.extract_tb(error.__traceback__)))


def _content(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise UserCodeError(f"{path} cannot be read: {error.strerror}") from error


def _parts(reference: str) -> tuple[str, str]:
    match = _REFERENCE.fullmatch(reference)
    if match is None:
        raise UserCodeError(f"{reference!r} is not FILE.py:NAME")
    return match["file"], match["name"]
