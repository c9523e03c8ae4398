"""What may be said of external results: ``workbench verdict``."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from workbench.cli.printed.layout import print_heading, print_line, table_of
from workbench.verdict.wording import numbers

if TYPE_CHECKING:
    from workbench.commands.verdict import ResultsReport
    from workbench.verdict import Verdict
    from workbench.verdict.estimates import Interval
    from workbench.verdict.external import ResultsVerdict


def verdict(console: Console, judged: ResultsReport) -> None:
    """Word, headline, sides, pairs and reasons.

    Of several data sets also the verdict of each, the counts of each pair, and ranks.
    """
    found = judged.result.verdict
    print_heading(console, found.heading, found.headline)
    if any(side.mean is not None for side in found.sides):
        console.print(_sides(found))
    if found.comparisons:
        if found.contrast != "baseline":
            print_line(console, "Pairwise comparisons (not used for the verdict)", "dim")
        console.print(_pairs(found))
    if len(judged.result.datasets) > 1:
        _datasets(console, judged.result)
    for reason in found.reasons:
        rule = "" if reason.rule is None else f" (rule {reason.rule})"
        print_line(console, f"why: {reason.text + rule}")
    if found.needed:
        print_line(console, f"needed: {found.needed}")
    flags = (flag.text for flag in found.flags)
    for note in (*flags, *found.assumptions, *judged.result.results.notes):
        print_line(console, f"note: {note}", "yellow")
    print_line(console, f"claim level: {found.level}", "dim")
    if judged.page is not None:
        print_line(console, f"page: {judged.page}")


def _datasets(console: Console, found: ResultsVerdict) -> None:
    table = table_of(
        "data set", "best mean", "closest", "difference", "verdict", right=("difference",)
    )
    for name, own in found.datasets.items():
        cells = (name, own.leader or "", own.closest or "")
        table.add_row(*map(escape, cells), _number(own.gap, _scale(own)), own.heading)
    console.print(table)
    if found.outcomes:
        counts = ("wins", "ties", "losses", "undecided")
        table = table_of("first", "second", *counts, right=counts)
        for row in found.outcomes:
            values = (row.wins, row.ties, row.losses, row.open)
            table.add_row(escape(row.first), escape(row.second), *map(str, values))
        console.print(table)
    across = found.across
    if across is None:
        return
    table = table_of("strategy", "average rank", right=("average rank",))
    for rank, name in zip(across.ranks, across.strategies, strict=True):
        table.add_row(escape(name), f"{rank:.2f}")
    console.print(table)
    for group in across.groups:
        print_line(console, f"Ranks not significantly different: {', '.join(group)}", "dim")
    if math.isfinite(across.friedman.p):
        p = numbers.p_value(across.friedman.p)
        print_line(console, f"Friedman test of the ranks (not used for the verdict): {p}")


def _sides(found: Verdict) -> Table:
    # Where the baseline alone is compared, the table of pairs decides.
    of_best = any(side.p_best is not None for side in found.sides)
    bounded = any(side.behind is not None for side in found.sides)
    decisive = (*(["p"] if of_best else []), *(["at most behind"] if bounded else []))
    columns = ("n", "mean", "95 % interval", "SD", *decisive)
    table = table_of("strategy", *columns, right=columns)
    scale = _scale(found)
    for side in found.sides:
        mean = side.mean
        values = ("", "") if mean is None else (_number(mean.estimate), _between(mean, scale))
        cells = [escape(side.name), str(side.n), *values, _number(side.sd, scale) or "–"]
        # Across data sets there is a p value, but nothing bounds a difference.
        if side.p_best is not None:
            cells += [
                numbers.bare_p(side.p_best),
                _number(numbers.ceiling(side.behind, scale), scale),
            ]
        table.add_row(*cells[: len(columns) + 1])
    return table


def _pairs(found: Verdict) -> Table:
    # The difference is how much better the first mean is, whatever the direction.
    columns = ("difference", "95 % interval", "ahead on", "p (Holm)")
    table = table_of("first", "second", *columns, right=columns)
    scale = _scale(found)
    for pair in found.comparisons:
        difference = pair.difference
        table.add_row(
            escape(pair.first),
            escape(pair.second),
            _number(difference.estimate, scale, difference.low, difference.high),
            _between(difference, scale),
            numbers.ahead_on(pair.differences),
            numbers.bare_p(pair.p_holm),
        )
    return table


def _scale(found: Verdict) -> float | None:
    """The size of the means, for the decimals of what is a difference of them."""
    return max((abs(side.mean.estimate) for side in found.sides if side.mean), default=None)


def _number(value: float | None, like: float | None = None, *ends: float) -> str:
    if value is None or not math.isfinite(value):
        return ""
    return numbers.measured(value, like, *filter(math.isfinite, ends))


def _between(bounds: Interval, like: float | None = None) -> str:
    # Of a single value, and where failed runs count with the worst value seen.
    if not (math.isfinite(bounds.low) and math.isfinite(bounds.high)):
        return "–"
    return " to ".join(numbers.ends(bounds.low, bounds.high, like))
