"""How lines, tables and values look in a terminal."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from workbench.messages import counted
from workbench.verdict.wording import numbers


def table_of(*columns: str, right: Sequence[str] = ()) -> Table:
    """A table whose last column alone is folded where the terminal is narrow."""
    table = Table(box=None, pad_edge=False, header_style="bold")
    for name in columns:
        # The last column holds hyperparameters, the only cell that may be longer than a line.
        last = name == columns[-1]
        justify: Literal["left", "right"] = "right" if name in right else "left"
        table.add_column(name, justify=justify, overflow="fold", no_wrap=not last)
    return table


def compared(contrast: str, pairs: int) -> str:
    """What a confirmation compares."""
    if contrast == "baseline":
        return f"each with the default, {counted(pairs, 'pair')}"
    return "each with the best" if contrast == "all" else f"each level of {contrast} with the best"


def beats_several(contrast: str, pairs: int) -> bool:
    """Whether a winner has to beat several rivals; a stated power is against one of them."""
    return contrast != "baseline" and pairs > 1


def number(value: float | None) -> str:
    """A measured value, or an empty cell."""
    return "" if value is None else numbers.measured(value)


def print_line(console: Console, text: str, style: str = "") -> None:
    """A sentence, whole on its line; nothing in it is read as markup or lit up."""
    console.print(text, style=style, markup=False, highlight=False, soft_wrap=True)


def print_heading(console: Console, name: str, text: str) -> None:
    """What the lines below are about."""
    console.print(f"[bold]{escape(name)}[/bold]  {escape(text)}", highlight=False, soft_wrap=True)


def print_field(console: Console, name: str, text: object, style: str = "dim") -> None:
    """One thing by its name, below the line that says whose it is."""
    field = f"[{style}]{escape(name):<15}[/{style}] {escape(str(text))}"
    console.print(f"  {field}", highlight=False, soft_wrap=True)
