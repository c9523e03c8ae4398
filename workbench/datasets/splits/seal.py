"""The seal on the test split: a file that says, before anything is tested, what will be tested.

A study's confirmation writes its protocol first; whoever asks for test samples shows that file and
the SHA-256 of what it planned by. Knows no data set, and of a protocol only which test samples it
names.
"""

from __future__ import annotations

import hashlib
import json
import re
from pathlib import Path

_SHA256 = re.compile(r"[0-9a-f]{64}")


class Sealed(ValueError):
    """The test split stays closed; the message says what is missing or differs."""


def must_be_open(protocol: Path, sha256: str | None) -> None:
    """Nothing, if a protocol lies where it should and is the one that was planned by.

    Args:
        protocol: The study's ``protocol.json``.
        sha256: Hexadecimal SHA-256 of its bytes, from whoever planned the run.

    Raises:
        Sealed: There is no such hash or no such file, or the file's hash is another one.
    """
    if sha256 is None or not _SHA256.fullmatch(sha256):
        found = "no hash of a protocol" if sha256 is None else f"{sha256!r} as the protocol's hash"
        raise Sealed(
            f"The test split is sealed: the run carries {found}; expected the SHA-256 of "
            f"{protocol}. Only a run that workbench confirm has planned may be tested."
        )
    try:
        content = protocol.read_bytes()
    except OSError:
        raise Sealed(
            f"The test split is sealed: there is no protocol at {protocol}. workbench confirm "
            "writes it before anything is tested."
        ) from None
    if (found := hashlib.sha256(content).hexdigest()) != sha256:
        raise Sealed(
            f"The test split is sealed: {protocol} has the SHA-256 {found}, but the run was "
            f"planned by {sha256}. A protocol may not change once the confirmation has begun; put "
            "the one before back."
        )


def must_hold(protocol: Path, test_digest: str) -> None:
    """Nothing, if a protocol names these test samples, or none.

    Args:
        protocol: The study's ``protocol.json``.
        test_digest: Of the samples that the split has now; see ``datasets.sizes``.

    Raises:
        Sealed: It names others.
    """
    content = json.loads(protocol.read_bytes())
    named = (content.get("data") or {}).get("test_digest") if isinstance(content, dict) else None
    if named is not None and named != test_digest:
        raise Sealed(
            f"The test split is sealed: its samples have the digest {test_digest}, but {protocol} "
            f"names {named}. All runs of a confirmation are tested on the same samples."
        )
