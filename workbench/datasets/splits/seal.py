"""The seal on the test split: test samples are given out only for a protocol written beforehand.

A confirmation writes its protocol first. To get test samples, a run shows that file and the SHA-256
with which it was planned. The protocol of a second look, or of a level that is added to a study,
names the one that it amends, which must be unchanged as well. Used by ``loading.load_test``.
"""

from __future__ import annotations

import hashlib
import json
import re
from pathlib import Path
from typing import Any

from workbench import record

_SHA256 = re.compile(r"[0-9a-f]{64}")


class SealedError(ValueError):
    """Access to the test split is refused; the message says what is missing or differs."""


def must_be_open(protocol: Path, sha256: str | None) -> None:
    """Check that the protocol exists and has the planned hash.

    Args:
        protocol: The study's ``protocol.json``, or ``protocol-2.json`` of a second look.
        sha256: Hexadecimal SHA-256 of its bytes, from the plan of the run.

    Raises:
        SealedError: The hash or the file is missing, or they do not match.
    """
    if sha256 is None or not _SHA256.fullmatch(sha256):
        found = "has no" if sha256 is None else f"has {sha256!r} in place of the"
        raise SealedError(
            f"The test split cannot be used: the run {found} SHA-256 of {protocol}, so workbench "
            "confirm has not planned it. To test models, run workbench confirm."
        )
    # Hashed as bytes: any edit of the file counts, also one that JSON does not see.
    try:
        content = protocol.read_bytes()
    except OSError:
        raise SealedError(
            f"The test split cannot be used: there is no protocol at {protocol}. Restore it; "
            "workbench confirm writes it before anything is tested."
        ) from None
    if (found := hashlib.sha256(content).hexdigest()) != sha256:
        raise SealedError(
            f"The test split cannot be used: {protocol} has the SHA-256 {found}, but the run was "
            f"planned with {sha256}. A protocol must not change after the confirmation has begun; "
            "restore the original."
        )
    amended = _amended(protocol)
    if amended is not None:
        must_be_open(*amended)


def must_hold(protocol: Path, test_digest: str) -> None:
    """Check that the protocol names these test samples, or none.

    Args:
        protocol: As for ``must_be_open``.
        test_digest: Of the current test samples; see ``datasets.sizes``.

    Raises:
        SealedError: It names other samples.
    """
    amended = _amended(protocol)
    if amended is not None:
        must_hold(amended[0], test_digest)
        return
    named = (_content(protocol).get("data") or {}).get("test_digest")
    if named is not None and named != test_digest:
        raise SealedError(
            f"The test split cannot be used: its samples have the digest {test_digest}, but "
            f"{protocol} names {named}. All runs of a confirmation must be tested on the same "
            "samples; restore them."
        )


def _amended(protocol: Path) -> tuple[Path, str] | None:
    """The protocol that this one amends and its hash, if it amends one."""
    content = _content(protocol)
    if content.get("amends") is None:
        return None
    study = (content.get("added") or {}).get("study", protocol.parent.name)
    return record.protocol_path(protocol.parent.with_name(study)), str(content["amends"])


def _content(protocol: Path) -> dict[str, Any]:
    content = json.loads(protocol.read_bytes())
    return content if isinstance(content, dict) else {}
