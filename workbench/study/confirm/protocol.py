"""The plan of a confirmation, as ``protocol.json`` or ``protocol-2.json`` holds it."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from workbench.record import TrialSpec


@dataclass(frozen=True, kw_only=True)
class Protocol:
    """A plan of a confirmation.

    Attributes:
        content: What the file says.
        candidates: The search trials that the selection runs again, by strategy, the best first;
            none for a second look.
        notes: What an author should know before anything runs.
    """

    content: Mapping[str, Any]
    candidates: Mapping[str, tuple[TrialSpec, ...]] = field(default_factory=dict)
    notes: tuple[str, ...] = ()

    @property
    def text(self) -> bytes:
        """The file's bytes."""
        return (json.dumps(self.content, indent=1) + "\n").encode()

    @property
    def sha256(self) -> str:
        """Of those bytes, in hexadecimal."""
        return hashlib.sha256(self.text).hexdigest()
