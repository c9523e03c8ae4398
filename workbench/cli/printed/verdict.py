"""What may be said of results from elsewhere: ``verdict``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from workbench.cli.printed.layout import PLAIN, table_of
from workbench.verdict.wording.numbers import ends, measured


class Judged(Protocol):
    """What ``elsewhere`` has found of somebody's results."""

    @property
    def content(self) -> Mapping[str, Any]:
        """All of it as plain data; ``verdict`` is ``verdict.as_json``'s."""
        ...

    @property
    def notes(self) -> Sequence[str]:
        """What was left aside while reading."""
        ...

    @property
    def page(self) -> object | None:
        """Where the page is; None where none was asked for."""
        ...


def verdict(console: Console, judged: Judged) -> None:
    """What may be said of results from elsewhere: word, headline, sides, pairs, and why.

    Of several data sets also the verdict of each, the counts of each pair, and ranks.
    """
    found = judged.content["verdict"]
    console.print(f"[bold]{escape(found['word'])}[/bold]  {escape(found['headline'])}", **PLAIN)
    if any(side["mean"] is not None for side in found["sides"]):
        console.print(_sides(found))
    if found["comparisons"]:
        console.print(_pairs(found))
    if len(judged.content["datasets"]) > 1:
        _datasets(console, judged.content)
    for reason in found["reasons"]:
        rule = "" if reason["rule"] is None else f" (rule {reason['rule']})"
        console.print(f"why: {escape(reason['text'] + rule)}", **PLAIN)
    if found["needed"]:
        console.print(f"needed: {escape(found['needed'])}", **PLAIN)
    for flag in found["flags"]:
        console.print(f"[yellow]note: {escape(flag['text'])}[/yellow]", **PLAIN)
    for note in judged.notes:
        console.print(f"[yellow]note: {escape(note)}[/yellow]", **PLAIN)
    console.print(f"[dim]claim level: {escape(found['level'])}[/dim]", **PLAIN)
    if judged.page is not None:
        console.print(f"page: {escape(str(judged.page))}", **PLAIN)


def _datasets(console: Console, content: Mapping[str, Any]) -> None:
    table = table_of("data set", "best mean", "closest", "gap", "verdict", right=("gap",))
    for item in content["datasets"]:
        own = item["verdict"]
        names = (item["name"], own["leader"] or "", own["closest"] or "")
        table.add_row(*map(escape, names), _number(own["gap"], _scale(own)), own["word"])
    console.print(table)
    counts = ("wins", "ties", "losses", "open")
    if content["outcomes"]:
        table = table_of("first", "second", *counts, right=counts)
        for row in content["outcomes"]:
            pair = (escape(row["first"]), escape(row["second"]))
            table.add_row(*pair, *(str(row[name]) for name in counts))
        console.print(table)
    across = content["across"]
    if across is None:
        return
    table = table_of("strategy", "mean rank", right=("mean rank",))
    for rank, name in zip(across["ranks"], across["strategies"], strict=True):
        table.add_row(escape(name), f"{rank:.2f}")
    console.print(table)
    for group in across["groups"]:
        console.print(f"not separated: {escape(', '.join(group))}", **PLAIN)
    if across["friedman"]["p"] is not None:
        console.print(f"Friedman test of the ranks: p = {across['friedman']['p']:.2g}", **PLAIN)


def _sides(found: Mapping[str, Any]) -> Table:
    numbers = ("n", "mean", "95 % interval", "SD")
    table = table_of("strategy", *numbers, right=numbers)
    scale = _scale(found)
    for side in found["sides"]:
        mean = side["mean"]
        values = ("", "") if mean is None else (_number(mean["estimate"]), _between(mean, scale))
        table.add_row(escape(side["name"]), str(side["n"]), *values, _number(side["sd"], scale))
    return table


def _pairs(found: Mapping[str, Any]) -> Table:
    # By how much the first has the better mean, whatever is good: no subtraction of two names.
    numbers = ("by", "95 % interval", "Holm p", "improvement")
    table = table_of("ahead", "behind", *numbers, right=numbers)
    scale = _scale(found)
    for pair in found["comparisons"]:
        table.add_row(
            escape(pair["first"]),
            escape(pair["second"]),
            _number(pair["difference"]["estimate"], scale, pair["difference"]),
            _between(pair["difference"], scale),
            f"{pair['p_holm']:.3g}",
            f"{pair['improvement']['estimate']:.2f}",
        )
    return table


def _scale(found: Mapping[str, Any]) -> float | None:
    """The size of the means, for the decimals of what is a difference of them."""
    means = (side["mean"]["estimate"] for side in found["sides"] if side["mean"])
    return max(map(abs, means), default=None)


def _number(
    value: float | None, like: float | None = None, ends: Mapping[str, Any] | None = None
) -> str:
    beside = () if ends is None else (ends["low"], ends["high"])
    return "" if value is None else measured(value, like, *beside)


def _between(bounds: Mapping[str, Any], like: float | None = None) -> str:
    if bounds["low"] is None or bounds["high"] is None:
        return ""
    return " to ".join(ends(bounds["low"], bounds["high"], like))
