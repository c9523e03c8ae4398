"""Why a study cannot continue: it has changed, or an earlier step is missing.

``differences`` says what has changed; the guards of search and confirmation use it.
"""

from __future__ import annotations

import json
from typing import Any

_LONGEST = 160


class Changed(Exception):
    """The study file no longer says what the study's trials were made with."""


class Unready(Exception):
    """A study is not what the next step can begin with; the message says what to do first."""


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
        was, now_is = json.dumps(stored), json.dumps(now)
        if isinstance(stored, list) and isinstance(now, list) and len(was + now_is) > _LONGEST:
            was, now_is = f"{len(stored)} entries", str(len(now))
        return [f"{path}: was {_cut(was)}, is {_cut(now_is)}"]
    return []


def _cut(text: str) -> str:
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}..."
