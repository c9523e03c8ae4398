"""A user's own code beside the study file: ``FILE.py:NAME``.

The file is read and run as it is; its content is hashed, and that of the files beside it that it
imports, so that a trial never runs other code than the one it was planned with. Knows neither what
the code is for nor where study files lie.
"""

from __future__ import annotations

import hashlib
import importlib
import inspect
import re
import sys
import types
from collections.abc import Mapping
from dataclasses import dataclass
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
    """Hash of the file that a reference names, and of those beside it that it imports.

    Where the files lie decides nothing. Runs the file, to see what it imports.

    Raises:
        UserCodeError: The file cannot be read, or raises when it is run.
    """
    own, *others = files(reference).items()
    if not others:
        return own[1]
    folder = file_of(reference).resolve().parent
    lines = [f"{digest}  {Path(path).relative_to(folder)}" for path, digest in sorted(others)]
    return hashlib.sha256("\n".join([own[1], *lines]).encode()).hexdigest()


def files(reference: str) -> dict[str, str]:
    """Hash of the file that a reference names, then of those beside it that it imports, by path.

    Raises:
        UserCodeError: The file cannot be read, or raises when it is run.
    """
    path = file_of(reference)
    loaded = _loaded(path.resolve())
    return {str(path): loaded.digest, **loaded.beside}


def sha256_of_file(path: Path) -> str:
    """Hash of one file's content.

    Raises:
        UserCodeError: The file cannot be read.
    """
    return hashlib.sha256(_content(path)).hexdigest()


def load(reference: str) -> Any:
    """The object that a reference names.

    The file is run once for each content that it, and what it imports from beside it, has.

    Raises:
        UserCodeError: The file cannot be read, raises when it is run, or has no such name.
    """
    file, name = _parts(reference)
    path = Path(file).resolve()
    module = _loaded(path).module
    if not hasattr(module, name):
        import difflib

        names = [known for known in vars(module) if not known.startswith("_")]
        near = difflib.get_close_matches(name, names, n=1)
        hint = f"; did you mean {near[0]}?" if near else ""
        raise UserCodeError(f"{path} has no {name}{hint}")
    return getattr(module, name)


def refuse_options(reference: str, given: int, options: Mapping[str, Any]) -> None:
    """Nothing, if a function takes these options after what it is given by position.

    Raises:
        UserCodeError: It does not take one of them, or needs another one; or as for ``load``.
    """
    function = load(reference)
    try:
        known = inspect.signature(function)
    except (TypeError, ValueError):
        return  # Nothing tells what it takes.
    try:
        known.bind(*range(given), **options)
    except TypeError as error:
        names = list(known.parameters)[given:]
        has = f"its options are {', '.join(names)}" if names else "it has no options"
        raise UserCodeError(f"{reference}: {error}; {has}") from None


@dataclass(frozen=True, kw_only=True)
class _Loaded:
    """A file that was run.

    Attributes:
        digest: Hash of its content.
        beside: Hash of every file beside it that it imported, by path.
    """

    module: types.ModuleType
    digest: str
    beside: dict[str, str]

    def is_current(self, digest: str) -> bool:
        """Whether neither the file nor what it imported has changed since."""
        if digest != self.digest:
            return False
        try:
            return all(sha256_of_file(Path(path)) == was for path, was in self.beside.items())
        except UserCodeError:
            return False


_LOADED: dict[Path, _Loaded] = {}


def _loaded(path: Path) -> _Loaded:
    digest = sha256_of_file(path)
    known = _LOADED.get(path)
    if known is None or not known.is_current(digest):
        known = _LOADED[path] = _run(path)
    return known


def _run(path: Path) -> _Loaded:
    content = _content(path)
    digest = hashlib.sha256(content).hexdigest()
    # Two files of one name and content may import different files.
    called = hashlib.sha256(f"{path}\n{digest}".encode()).hexdigest()
    module = types.ModuleType(f"workbench_user_{path.stem}_{called[:12]}")
    module.__file__ = str(path)
    # Dataclasses and pickling look a class's module up by its name.
    sys.modules[module.__name__] = module
    # A file may import those beside it, but hides nothing that is installed.
    folder = str(path.parent)
    before, wrote_none = set(sys.modules), sys.dont_write_bytecode
    sys.path.append(folder)
    # A file that was just written, or rewritten within a second, is seen as it is now.
    sys.dont_write_bytecode = True
    importlib.invalidate_caches()
    try:
        exec(compile(content, str(path), "exec"), module.__dict__)
    except (Exception, SystemExit) as error:
        del sys.modules[module.__name__]
        _taken_out(before, path.parent)
        line = next(
            (frame.lineno for frame in _frames(error) if frame.filename == str(path)),
            getattr(error, "lineno", None),
        )
        at = f":{line}" if line else ""
        raise UserCodeError(
            f"{path}{at} raised {type(error).__name__} when it was run: {error}"
        ) from error
    finally:
        sys.path.remove(folder)
        sys.dont_write_bytecode = wrote_none
    beside = {str(file): sha256_of_file(file) for file in _taken_out(before, path.parent)}
    return _Loaded(module=module, digest=digest, beside=beside)


def _taken_out(before: set[str], folder: Path) -> list[Path]:
    """Forget the modules of a folder that were imported since; gives their files.

    The next file that imports one of the same name gets its own, and sees what was edited.

    Args:
        before: Names of the modules that were there.
        folder: Where they lie, as files or packages. What is installed below it, as in a virtual
            environment, stays.
    """
    found = set()
    for name in [name for name in sys.modules if name not in before]:
        top = name.partition(".")[0]
        file = getattr(sys.modules[name], "__file__", None)
        if top in before:
            continue
        places = (folder / f"{top}.py", folder / top)
        if file is None:
            spread = [Path(place) for place in getattr(sys.modules[name], "__path__", ())]
            ours = any(place.is_relative_to(folder / top) for place in spread)
        else:
            ours = any(Path(file).is_relative_to(place) for place in places)
        if ours:
            del sys.modules[name]
            found.update([] if file is None else [Path(file)])
    return sorted(found)


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
