"""A user's own code next to the study file: ``FILE.py:NAME``.

The file is run as it is. Its content, and that of the files in its folder that it imports, is
hashed, so that a trial never runs other code than it was planned with.
"""

from __future__ import annotations

import hashlib
import importlib
import inspect
import re
import sys
import traceback
import types
from collections.abc import Callable, Container, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from workbench.messages import did_you_mean

_REFERENCE = re.compile(r"(?P<file>.+\.py):(?P<name>[A-Za-z_]\w*)")


class UserCodeError(ValueError):
    """A user's file cannot be read or run, or has no such name."""


def is_reference(text: object) -> bool:
    """Whether a text is a reference to an object in a file: ``models/tiny.py:build``."""
    return isinstance(text, str) and _REFERENCE.fullmatch(text) is not None


def located(reference: str, folder: Path) -> str:
    """The reference with an absolute path; a relative one is relative to ``folder``."""
    file, name = _parts(reference)
    return f"{(folder / file).resolve()}:{name}"


def file_of(reference: str) -> Path:
    """The file of a reference."""
    return Path(_parts(reference)[0])


def sha256_of(reference: str) -> str:
    """Hash of a reference's file and of the files in its folder that it imports.

    Independent of the folder's path. Runs the file, to see what it imports.

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
    """Hash of a reference's file, then of the files in its folder that it imports, by path.

    Raises:
        UserCodeError: The file cannot be read, or raises when it is run.
    """
    path = file_of(reference)
    loaded = _loaded(path.resolve())
    return {str(path): loaded.digest, **loaded.imports}


def sha256_of_file(path: Path) -> str:
    """Hash of one file's content.

    Raises:
        UserCodeError: The file cannot be read.
    """
    return hashlib.sha256(_content(path)).hexdigest()


def load(reference: str) -> Any:
    """The object of a reference.

    The file is run again only if its content, or that of the files that it imports, has changed.

    Raises:
        UserCodeError: The file cannot be read, raises when it is run, or has no such name.
    """
    file, name = _parts(reference)
    path = Path(file).resolve()
    module = _loaded(path).module
    if not hasattr(module, name):
        names = [other for other in vars(module) if not other.startswith("_")]
        raise UserCodeError(f"{path} has no {name}{did_you_mean(name, names)}")
    return getattr(module, name)


def load_function(reference: str, what: str) -> Callable[..., Any]:
    """The function of a reference; ``what`` it is for, such as ``a metric``, is for the message.

    Raises:
        UserCodeError: As for ``load``, or it is not a function.
    """
    function = load(reference)
    if not callable(function):
        file, name = _parts(reference)
        raise UserCodeError(
            f"{file}: {name} is a {type(function).__name__}; {what} must be a function."
        )
    loaded: Callable[..., Any] = function
    return loaded


def refuse_options(reference: str, options: Mapping[str, Any]) -> None:
    """Check that a function accepts these options besides its first argument.

    Args:
        reference: Of the function.
        options: Keyword arguments.

    Raises:
        UserCodeError: It does not accept one of them, or requires another; or as for ``load``.
    """
    function = load(reference)
    try:
        signature = inspect.signature(function)
    except (TypeError, ValueError):
        return  # Some functions written in C have no signature.
    try:
        signature.bind(None, **options)
    except TypeError as error:
        names = list(signature.parameters)[1:]
        accepted = f"its options are {', '.join(names)}" if names else "it has no options"
        raise UserCodeError(f"{reference}: {error}; {accepted}") from None


@dataclass(frozen=True, kw_only=True)
class _Loaded:
    """A file that was run.

    Attributes:
        digest: Hash of its content.
        imports: Hash of every file in its folder that it imported, by path.
    """

    module: types.ModuleType
    digest: str
    imports: dict[str, str]

    def is_current(self, digest: str) -> bool:
        """Whether the file (now with this digest) and what it imported are unchanged."""
        if digest != self.digest:
            return False
        try:
            return all(sha256_of_file(Path(path)) == was for path, was in self.imports.items())
        except UserCodeError:
            return False


_LOADED: dict[Path, _Loaded] = {}


def _loaded(path: Path) -> _Loaded:
    digest = sha256_of_file(path)
    loaded = _LOADED.get(path)
    if loaded is None or not loaded.is_current(digest):
        loaded = _LOADED[path] = _run(path)
    return loaded


def _run(path: Path) -> _Loaded:
    content = _content(path)
    digest = hashlib.sha256(content).hexdigest()
    # The path too: two files with the same name and content may import different files.
    unique = hashlib.sha256(f"{path}\n{digest}".encode()).hexdigest()
    module = types.ModuleType(f"workbench_user_{path.stem}_{unique[:12]}")
    module.__file__ = str(path)
    # Dataclasses and pickle look up a class's module by its name.
    sys.modules[module.__name__] = module
    # Last on the path: a file in the folder must not hide an installed package.
    folder = str(path.parent)
    before, dont_write_bytecode = set(sys.modules), sys.dont_write_bytecode
    sys.path.append(folder)
    # Bytecode is cached by whole seconds and import finders by folder times: either would show an
    # older version of a file that was just edited.
    sys.dont_write_bytecode = True
    importlib.invalidate_caches()
    try:
        exec(compile(content, str(path), "exec"), module.__dict__)
    except (Exception, SystemExit) as error:
        del sys.modules[module.__name__]
        _forget_imports(before, path.parent)
        # A syntax error has no frame in the file, but it names the line.
        line = getattr(error, "lineno", None)
        at = last_line(error, [str(path)]) or (f"{path}:{line}" if line else path)
        raise UserCodeError(
            f"{at} raised {type(error).__name__} when it was run: {error}"
        ) from error
    finally:
        sys.path.remove(folder)
        sys.dont_write_bytecode = dont_write_bytecode
    imports = {str(file): sha256_of_file(file) for file in _forget_imports(before, path.parent)}
    return _Loaded(module=module, digest=digest, imports=imports)


def _forget_imports(before: set[str], folder: Path) -> list[Path]:
    """Remove newly imported modules of a folder from ``sys.modules``; returns their files.

    So a file in another folder can import its own module of the same name, and edits take effect.

    Args:
        before: Names of the modules that were loaded before.
        folder: Of the modules and packages. Packages installed in a subfolder, as in a virtual
            environment, are kept.
    """
    paths = set()
    for name in [name for name in sys.modules if name not in before]:
        top = name.partition(".")[0]
        file = getattr(sys.modules[name], "__file__", None)
        if top in before:
            continue
        # A namespace package has no file, but one or several folders.
        sources = getattr(sys.modules[name], "__path__", ()) if file is None else (file,)
        places = (folder / f"{top}.py", folder / top)
        if any(Path(source).is_relative_to(place) for source in sources for place in places):
            del sys.modules[name]
            paths.update([] if file is None else [Path(file)])
    return sorted(paths)


@contextmanager
def errors_of(reference: str, doing: str = "", *, alone: bool = True) -> Iterator[None]:
    """Name the file and the line in every error of a user's code.

    Args:
        reference: Whose code runs in the block.
        doing: In which situation, with a space in front; for the message.
        alone: Whether nothing else runs in it; otherwise an error that did not pass through the
            user's code is left as it is.

    Raises:
        UserCodeError: The code has raised an error.
    """
    try:
        yield
    except UserCodeError:
        raise
    except Exception as error:  # the user's code may raise anything
        file, name = _parts(reference)
        loaded = _LOADED.get(Path(file).resolve())
        place = last_line(error, {file, *(loaded.imports if loaded else ())})
        if place is None and not alone:
            raise
        # A call with other arguments, or a network made of a library's layers, fails in no line of
        # the user's: name the one where the code begins.
        code = getattr(getattr(loaded.module, name, None), "__code__", None) if loaded else None
        begins = file if code is None else f"{file}:{code.co_firstlineno}"
        raise UserCodeError(
            f"{place or begins}: {name} raised {type(error).__name__}{doing}: {error}"
        ) from error


def last_line(error: BaseException, files: Container[str]) -> str | None:
    """The last line of these files in an error's traceback, as ``FILE:LINE``; None without one.

    The error may come from a library that a user's file called.
    """
    frames = traceback.extract_tb(error.__traceback__)
    lines = [f"{frame.filename}:{frame.lineno}" for frame in frames if frame.filename in files]
    return lines[-1] if lines else None


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
