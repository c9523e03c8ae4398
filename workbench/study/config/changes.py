"""What has changed in a study since its trials, its protocol or its selection were fixed."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any

_LONGEST = 160
# Parts of a protocol that are lists, by what they list.
_LISTS = re.compile(r"\b(seeds|candidates|strategies)\b")
_SHA256 = re.compile(r"\b([0-9a-f]{12})[0-9a-f]{52}\b")


class StudyChangedError(Exception):
    """The study differs from what was fixed before: settings of trials, a protocol, a selection."""

    @classmethod
    def in_lines(cls, what: str, lines: Iterable[str], advice: str) -> StudyChangedError:
        """What was fixed, what differs from it, a line each, and what to do."""
        listed = "\n".join(f"  {line}" for line in lines)
        return cls(f"{what}:\n{listed}\n{advice}")


class UnanswerableError(StudyChangedError):
    """What is asked for could be run, and would answer no question that was planned."""


class NotReadyError(Exception):
    """A step before this one is missing; the message says what to do first."""


def file_differences(path: Path, text: bytes) -> list[str]:
    """What differs between a JSON file that was fixed and its text now; empty if nothing does."""
    stored = path.read_bytes()
    if stored == text:
        return []
    try:
        lines = differences(json.loads(stored), json.loads(text))
    except ValueError as error:
        return [f"the file is damaged ({error})"]
    return lines or ["the text of the file, but none of its values"]


def differences(stored: Any, now: Any, path: str = "") -> list[str]:
    """What differs between two states, a line each: ``plan.phases.0.epochs: was 3, is 2``."""
    if isinstance(stored, dict) and isinstance(now, dict):
        found = []
        for key in [*stored, *(key for key in now if key not in stored)]:
            inner = f"{path}.{key}" if path else str(key)
            found += differences(stored.get(key), now.get(key), inner)
        return found
    if isinstance(stored, list) and isinstance(now, list) and len(stored) == len(now):
        pairs = enumerate(zip(stored, now, strict=True))
        return [line for i, (a, b) in pairs for line in differences(a, b, f"{path}.{i}")]
    if stored != now:
        was, now_is = ("not set" if v is None else json.dumps(v) for v in (stored, now))
        if isinstance(stored, list) and isinstance(now, list) and len(was + now_is) > _LONGEST:
            what = _LISTS.search(path)
            was, now_is = f"{len(stored)} {what[0] if what else 'entries'}", str(len(now))
        return [f"{path}: was {_cut(was)}, is {_cut(now_is)}"]
    return []


def _cut(text: str) -> str:
    text = _SHA256.sub(r"\1...", text)
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}..."
