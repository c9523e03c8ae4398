"""How numbers, lines and tables look in a terminal. Knows nothing of what they are about."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal

from rich.console import Console
from rich.markup import escape
from rich.table import Table

# A sentence: whole on its line, and nothing in it lit up.
PLAIN: dict[str, Any] = {"highlight": False, "soft_wrap": True}


def table_of(*columns: str, right: Sequence[str] = ()) -> Table:
    """A table whose last column alone is folded where the terminal is narrow."""
    table = Table(box=None, pad_edge=False, header_style="bold")
    for name in columns:
        last = name == columns[-1]
        justify: Literal["left", "right"] = "right" if name in right else "left"
        table.add_column(name, justify=justify, overflow="fold", no_wrap=not last)
    return table


def number(value: float | None) -> str:
    """A value of the objective, or an empty place."""
    if value is None:
        return ""
    # Four decimals suit an accuracy; an error may have any size.
    return f"{value:.4f}" if value == 0 or 0.001 <= abs(value) < 10 else f"{value:.6g}"


def short(value: object) -> str:
    """A setting: of a number three digits."""
    return f"{value:.3g}" if isinstance(value, float) else str(value)


def between(bounds: Mapping[str, Any]) -> str:
    """An interval."""
    return f"{number(bounds['low'])} to {number(bounds['high'])}"


def duration(seconds: float) -> str:
    """About how long, in the unit that a person would choose."""
    if seconds < 90:
        return f"about {seconds:.0f} s"
    if seconds < 5400:
        return f"about {seconds / 60:.0f} min"
    return f"about {seconds / 3600:.1f} h"


def say(console: Console, name: str, text: object) -> None:
    """One thing by its name, below the line that says whose it is."""
    console.print(f"  [dim]{escape(name):<14}[/dim] {escape(str(text))}", **PLAIN)
