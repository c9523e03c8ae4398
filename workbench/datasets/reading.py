"""Turns the errors of file parsers into readable ones, and refuses files that do not fit memory.

Every reader of a user's files uses it, because parsers raise any exception for damaged files.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil

# Peak memory while an array is read and converted, relative to its size; measured.
_PEAK = 1.5


@contextmanager
def readable_errors(path: Path | str, *, expected: str | None = None) -> Iterator[None]:
    """Convert every exception in a block to a ``ValueError`` with a readable message.

    Args:
        path: Of the file, or the name of the data.
        expected: If a parser is called, what the file should be (``a Parquet file``): a
            ``ValueError`` without the path is then taken for the parser's. None if every
            ``ValueError`` in the block is ours.

    Raises:
        ValueError: Our own error unchanged, or one with the path and the parser's message.
    """
    try:
        yield
    except MemoryError as error:
        raise ValueError(f"{path} needs more memory than this machine has.") from error
    except Exception as error:  # parsers raise anything
        ours = isinstance(error, ValueError)
        if ours and (expected is None or str(path) in str(error)):
            raise
        reason = " ".join(str(error).split())[:200].rstrip(".")
        if not ours or not reason:
            reason = f"{type(error).__name__}: {reason}".rstrip(": ")
        wanted = f"; expected {expected}" if expected else ""
        raise ValueError(f"{path} cannot be read ({reason}){wanted}.") from error


def must_fit(path: Path, size: float) -> None:
    """Refuse a file whose content does not fit into memory, before it is unpacked.

    Args:
        path: Of the file.
        size: Bytes of its content in memory.

    Raises:
        ValueError: It does not fit; the message has both sizes.
    """
    free = psutil.virtual_memory().available
    if _PEAK * size > free:
        raise ValueError(
            f"{path} unpacks to {size / 1e9:.1f} GB, and reading it takes {_PEAK * size / 1e9:.1f} "
            f"GB of memory, but {free / 1e9:.1f} GB are free. Use fewer samples, a smaller type, "
            "or a machine with more memory."
        )
