"""Freeze depths in words and numbers; used before anything runs, so it loads no torch."""

from __future__ import annotations

from collections.abc import Sequence

from workbench.verdict.wording.numbers import counted

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
    if isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= len(names):
        return value
    valid = f"0 to {len(names)}, {', '.join(names)}, or {ALL}"
    if isinstance(value, int) and not isinstance(value, bool) and value > len(names):
        stages = counted(len(names), "stage")
        raise ValueError(
            f"Freeze depth {value} is deeper than the backbone, which has {stages}; "
            f"valid values: {valid}."
        )
    raise ValueError(f"Unknown freeze depth {value!r} for this backbone; valid values: {valid}.")
