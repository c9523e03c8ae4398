"""Freeze depths in words and numbers; used before anything runs, so it loads no torch."""

from __future__ import annotations

from collections.abc import Sequence

from workbench.messages import counted

ALL = "all"


def resolve_depth(value: int | str, names: Sequence[str]) -> int:
    """The number of stages that a freeze depth freezes.

    Args:
        value: A number of stages; a stage's name, which freezes up to and including that stage;
            or ``all``, which trains the head only.
        names: Of the backbone's stages, in order.

    Raises:
        ValueError: The backbone has no such stage, or fewer stages.
    """
    if value == ALL:
        return len(names)
    if isinstance(value, str) and value in names:
        return list(names).index(value) + 1
    whole = isinstance(value, int) and not isinstance(value, bool)
    if whole and 0 <= int(value) <= len(names):
        return int(value)
    reason = "is unknown for this backbone"
    if whole and int(value) > len(names):
        reason = f"is deeper than the backbone, which has {counted(len(names), 'stage')}"
    valid = f"0 to {len(names)}, {', '.join(names)}, or {ALL}"
    raise ValueError(f"Freeze depth {value!r} {reason}; valid values: {valid}.")
