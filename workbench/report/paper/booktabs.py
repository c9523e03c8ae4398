"""LaTeX tables with the rules of booktabs that fit the column of a venue.

Cells are LaTeX already. Used by ``paper.tables`` and ``paper.verdict_tables``.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass

from workbench.plotting import venues
from workbench.report.paper import typeset

# Sizes that stay legible: the mean width of a character in points (Times at 10 points; Computer
# Modern is wider by about a twentieth), and how many lines of a table fit a page.
_SIZES = ((r"\small", 4.7, 46), (r"\footnotesize", 4.2, 52), (r"\scriptsize", 3.7, 60))
_GAP = 8.0  # points between two columns
_NARROWEST = 14  # characters of a column with line breaks


@dataclass(frozen=True, kw_only=True)
class Column:
    """One column of a table.

    Attributes:
        head: LaTeX.
        align: ``l``, ``r``, ``c``; ``p`` is text with line breaks.
    """

    head: str
    align: str = "r"


def table(
    *,
    label: str,
    caption: str,
    columns: Sequence[Column],
    rows: Sequence[Sequence[str] | None],
    venue: str,
    about: str,
) -> str:
    r"""A table, or several with the same number where it is longer than a page.

    It uses one column if it fits, else the whole page (``table*``, with a comment). The font gets
    smaller before the table is scaled.

    Args:
        label: For ``\ref``.
        caption: LaTeX.
        columns: What the columns are.
        rows: Cells, LaTeX; None is a rule between rows.
        venue: One of ``plotting.venues``.
        about: A line for the comment at the top.

    Raises:
        ValueError: There is no such venue.
    """
    widths = venues.of(venue)
    natural = _natural(columns, rows)
    fit = _fit(columns, natural, widths.column)
    across = widths.column < widths.text and _is_cramped(rows, fit)
    if across:
        fit = _fit(columns, natural, widths.text)
    environment = "table*" if across else "table"
    shrink = fit.scale < 1
    pattern = "".join(
        f"p{{{width:.3f}\\linewidth}}" if width else item.align.replace("p", "l")
        for item, width in zip(columns, fit.widths, strict=True)
    )
    notes = [typeset.comment(about).strip(), r"% Needs \usepackage{booktabs}."]
    if across:
        notes.append("% Wider than one column: table* spans the page.")
    if shrink:
        notes.append(r"% Wider than the page in the smallest type: scaled; needs graphicx.")
    lines = notes
    for number, part in enumerate(_parts(rows, fit)):
        if number:
            lines += ["", r"\addtocounter{table}{-1}% the same table, on another page"]
        lines += [
            rf"\begin{{{environment}}}[tbp]",
            r"\centering",
            rf"\caption{{{'(continued)' if number else caption}}}",
            *([] if number else [rf"\label{{{label}}}"]),
            fit.size,
            rf"\setlength{{\tabcolsep}}{{{_GAP / 2:g}pt}}",
            *([r"\resizebox{\linewidth}{!}{%"] if shrink else []),
            rf"\begin{{tabular}}{{@{{}}{pattern}@{{}}}}",
            r"\toprule",
            " & ".join(item.head for item in columns) + r" \\",
            r"\midrule",
            *(r"\midrule" if row is None else _row(row, fit) for row in part),
            r"\bottomrule",
            r"\end{tabular}" + ("}" if shrink else ""),
            rf"\end{{{environment}}}",
        ]
    return "\n".join(lines) + "\n"


def _is_cramped(rows: Sequence[Sequence[str] | None], fit: _Fit) -> bool:
    """Whether a table needs more room: it has a small font or many line breaks."""
    lines = [_lines(row, fit) for row in rows if row is not None]
    return fit.scale < 1 or fit.size != _SIZES[0][0] or sum(lines) > 1.3 * len(lines)


def _row(row: Sequence[str], fit: _Fit) -> str:
    cells = [
        rf"\raggedright {cell}" if width else cell
        for cell, width in zip(row, fit.widths, strict=True)
    ]
    # After \raggedright the double backslash ends a line of the cell, not the row.
    return " & ".join(cells) + r" \tabularnewline"


def _parts(rows: Sequence[Sequence[str] | None], fit: _Fit) -> list[Sequence[Sequence[str] | None]]:
    """Rows by page."""
    parts: list[list[Sequence[str] | None]] = [[]]
    used = 0
    for row in rows:
        needed = 1 if row is None else _lines(row, fit)
        if used and used + needed > fit.lines:
            parts.append([])
            used = 0
        parts[-1].append(row)
        used += needed
    # A rule at the start or end of a part would touch the part's own top or bottom rule.
    return [_without_edges(part) for part in parts]


def _lines(row: Sequence[str], fit: _Fit) -> int:
    """Estimated number of lines of a row."""
    # The factor allows for lines that break before they are full.
    return max(
        math.ceil(1.1 * visible(cell) / room) if room else 1
        for cell, room in zip(row, fit.rooms, strict=True)
    )


def _without_edges(rows: Sequence[Sequence[str] | None]) -> Sequence[Sequence[str] | None]:
    while rows and rows[0] is None:
        rows = rows[1:]
    while rows and rows[-1] is None:
        rows = rows[:-1]
    return rows


def _natural(columns: Sequence[Column], rows: Sequence[Sequence[str] | None]) -> list[int]:
    """Characters of the longest cell of each column."""
    whole = [[item.head for item in columns], *(row for row in rows if row is not None)]
    return [max(visible(row[at]) for row in whole) for at in range(len(columns))]


@dataclass(frozen=True, kw_only=True)
class _Fit:
    """The layout of a table.

    Attributes:
        scale: Below 1, the table must be scaled down even in the smallest font.
        widths: Of each column with line breaks, as a share of the line; 0 for the others.
        rooms: The same in characters.
        lines: Lines that fit a page.
    """

    size: str
    scale: float
    widths: Sequence[float]
    rooms: Sequence[float]
    lines: int


def _fit(columns: Sequence[Column], natural: Sequence[int], inches: float) -> _Fit:
    """The largest font in which a table fits; a smaller font is tried before line breaks."""
    points = inches * 72.27 - _GAP * (len(columns) - 1)  # TeX has 72.27 points to the inch
    breaks = [item.align == "p" for item in columns]
    whole = [0.0] * len(natural)
    # First without line breaks; the smallest font only together with them.
    for size, character, lines in _SIZES[:-1]:
        if sum(natural) * character <= points:
            return _Fit(size=size, scale=1.0, widths=whole, rooms=whole, lines=lines)
    for size, character, lines in _SIZES:
        rooms = _rooms(natural, breaks, points / character)
        if rooms is not None:
            widths = [room * character / (inches * 72.27) for room in rooms]
            return _Fit(size=size, scale=1.0, widths=widths, rooms=rooms, lines=lines)
    pairs = list(zip(natural, breaks, strict=True))
    least = [float(min(n, _NARROWEST)) if flows else 0.0 for n, flows in pairs]
    fixed = sum(n for n, flows in pairs if not flows)
    needed = (fixed + sum(least)) * character + inches * 72.27 - points
    widths = [room * character / (inches * 72.27) for room in least]
    scale = inches * 72.27 / needed
    return _Fit(size=size, scale=scale, widths=widths, rooms=least, lines=lines)


def _rooms(natural: Sequence[int], breaks: Sequence[bool], free: float) -> list[float] | None:
    """Characters for each column with line breaks, 0 for the others; None: it does not fit.

    A narrow column gets its natural width, the wide ones share the rest equally.
    """
    if sum(natural) <= free:
        return [0.0] * len(natural)
    # The narrowest first: what it does not need is left to the others.
    order = sorted((at for at, flows in enumerate(breaks) if flows), key=lambda at: natural[at])
    free -= sum(n for n, flows in zip(natural, breaks, strict=True) if not flows)
    rooms = [0.0] * len(natural)
    for done, at in enumerate(order):
        rooms[at] = min(natural[at], free / (len(order) - done))
        free -= rooms[at]
        if rooms[at] < min(natural[at], _NARROWEST):
            return None
    return rooms if order and free > -1e-9 else None


def visible(cell: str) -> int:
    """Estimated number of printed characters of a cell."""
    plain = re.sub(r"\\(allowbreak|underline|textbf|ensuremath|centering)\b(\{\})?", "", cell)
    plain = re.sub(r"\\(text)?[A-Za-z]+(\{\})?|\\.", "x", plain)
    return len(re.sub(r"[{}$^_]", "", plain))
