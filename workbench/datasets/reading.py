"""What a library raises while it reads a file, as one clear error; and files that fit no memory.

Every reader of a user's files goes through here: parsers raise anything at all for damaged content.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil

# Memory that it takes to read an array and bring it to another type, in its own size; measured.
_PEAK = 1.5


@contextmanager
def clear(path: Path | str, *, expected: str | None = None) -> Iterator[None]:
    """Let a block raise nothing but a ``ValueError`` with words for people.

    Args:
        path: Of the file, or what a person calls the data.
        expected: What it should be: ``a Parquet file``, where a parser is called; a ``ValueError``
            that does not name the file is the parser's then. None where all have our words.

    Raises:
        ValueError: As it was raised, or one with the path and what was raised.
    """
    try:
        yield
    except MemoryError as error:
        raise ValueError(f"{path} needs more memory than this machine has.") from error
    except Exception as error:  # a parser raises anything
        ours = isinstance(error, ValueError)
        if ours and (expected is None or str(path) in str(error)):
            raise
        reason = " ".join(str(error).split())[:200].rstrip(".")
        if not ours or not reason:
            reason = f"{type(error).__name__}: {reason}".rstrip(": ")
        wanted = f"; expected {expected}" if expected else ""
        raise ValueError(f"{path} cannot be read ({reason}){wanted}.") from error


def must_fit(path: Path, size: float) -> None:
    """Refuse a file whose content would not fit into memory, before it is unpacked.

    Args:
        path: Of the file.
        size: Bytes of its content in memory.

    Raises:
        ValueError: With both sizes.
    """
    free = psutil.virtual_memory().available
    if _PEAK * size > free:
        raise ValueError(
            f"{path} unpacks to {size / 1e9:.1f} GB, and reading it takes {_PEAK * size / 1e9:.1f} "
            f"GB of memory, but {free / 1e9:.1f} GB are free. Use fewer samples, a smaller type, "
            "or a machine with more memory."
        )
