"""LaTeX tables with the rules of booktabs that fit the column of a venue.

Cells are LaTeX already. Used by ``paper.verdict_tables`` and ``standalone``.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from workbench.plotting import venues
from workbench.plotting.venues import Venue
from workbench.report.paper import typeset

# Sizes that stay legible: the mean width of a character in points (Times at 10 points; Computer
# Modern is wider by about a twentieth), and how many lines of a table fit a page.
_SIZES = ((r"\small", 4.7, 46), (r"\footnotesize", 4.2, 52), (r"\scriptsize", 3.7, 60))
_GAP = 8.0  # points between two columns
_POINTS = 72.27  # TeX's points to the inch
_NARROWEST = 14  # characters of a column with line breaks

Rows = Sequence[Sequence[str] | None]


@dataclass(frozen=True, kw_only=True)
class _Layout:
    """How a table fits.

    Attributes:
        environment: ``table``, or ``table*`` across both columns of a page.
        lines: That fit a page.
        wrapped: Places of the columns with line breaks; they share the space that the others leave.
        room: Characters of a line in each of these.
        natural: Width in points where that is more than the page has, so that the table is scaled.
    """

    environment: str
    size: str
    lines: int
    wrapped: tuple[int, ...] = ()
    room: float = math.inf
    natural: float | None = None


def table(
    *, label: str, caption: str, columns: Mapping[str, str], rows: Rows, venue: str, about: str
) -> str:
    r"""A table, or several with the same number where it is longer than a page.

    It uses one column if it fits without line breaks, else the whole page (``table*``). The font
    gets smaller before the table is scaled.

    Args:
        label: For ``\ref``.
        caption: LaTeX.
        columns: LaTeX of each head, with its alignment: ``l``, ``r``, ``c``, or ``p`` for text that
            may have line breaks.
        rows: Cells, LaTeX; None is a rule between rows.
        venue: One of ``plotting.venues``.
        about: A line for the comment at the top.

    Raises:
        ValueError: There is no such venue.
    """
    layout = next(_layouts(columns, rows, venues.of(venue)))
    pattern = "".join(
        r">{\raggedright\arraybackslash}X" if at in layout.wrapped else align.replace("p", "l")
        for at, align in enumerate(columns.values())
    )
    start, end = rf"\begin{{tabular}}{{@{{}}{pattern}@{{}}}}", r"\end{tabular}"
    packages = ["booktabs"]
    if layout.wrapped:
        width = rf"{layout.natural:.0f}pt" if layout.natural else r"\linewidth"
        start = rf"\begin{{tabularx}}{{{width}}}{{@{{}}{pattern}@{{}}}}"
        end = r"\end{tabularx}"
        packages.append("tabularx")
    if layout.natural:
        start, end = r"\resizebox{\linewidth}{!}{%" + f"\n{start}", end + "}"
        packages.append("graphicx")
    lines = [
        typeset.comment(about).strip(),
        rf"% Needs \usepackage{{{','.join(packages)}}}.",
        *(["% Wider than one column: table* spans the page."] if "*" in layout.environment else []),
    ]
    for number, part in enumerate(_parts(rows, layout)):
        if number:
            lines += ["", r"\addtocounter{table}{-1}% the same table, on another page"]
        lines += [
            rf"\begin{{{layout.environment}}}[tbp]",
            r"\centering",
            rf"\caption{{{'(continued)' if number else caption}}}",
            *([] if number else [rf"\label{{{label}}}"]),
            layout.size,
            rf"\setlength{{\tabcolsep}}{{{_GAP / 2:g}pt}}",
            start,
            r"\toprule",
            " & ".join(columns) + r" \\",
            r"\midrule",
            *(" & ".join(row) + r" \tabularnewline" if row else r"\midrule" for row in part),
            r"\bottomrule",
            end,
            rf"\end{{{layout.environment}}}",
        ]
    return "\n".join(lines) + "\n"


def _layouts(columns: Mapping[str, str], rows: Rows, venue: Venue) -> Iterator[_Layout]:
    """Layouts that fit, the best first; the last one is scaled."""
    whole = [list(columns), *(row for row in rows if row is not None)]
    # Estimates: the exact widths depend on the fonts of the venue.
    widths = [max(visible(row[at]) for row in whole) for at in range(len(columns))]
    gaps = _GAP * (len(columns) - 1)
    places = {"table": venue.column}
    if venue.column < venue.text:
        places["table*"] = venue.text
    # A smaller font is tried before line breaks; the smallest font only together with them.
    for environment, inches in places.items():
        for size, character, lines in _SIZES[:-1]:
            if sum(widths) * character <= inches * _POINTS - gaps:
                yield _Layout(environment=environment, size=size, lines=lines)
    flowing = [at for at, align in enumerate(columns.values()) if align == "p"]
    for size, character, lines in _SIZES:
        free = (inches * _POINTS - gaps) / character
        share = (free - sum(widths) + sum(widths[at] for at in flowing)) / max(1, len(flowing))
        # A narrow column keeps its natural width, the wide ones share the rest equally.
        wide = tuple(at for at in flowing if widths[at] > share)
        room = (free - sum(widths) + sum(widths[at] for at in wide)) / max(1, len(wide))
        if sum(widths) <= free or (wide and room >= _NARROWEST):
            yield _Layout(environment=environment, size=size, lines=lines, wrapped=wide, room=room)
    wide = tuple(at for at in flowing if widths[at] > _NARROWEST)
    least = sum(widths) - sum(widths[at] - _NARROWEST for at in wide)
    yield _Layout(
        environment=environment,
        size=size,
        lines=lines,
        wrapped=wide,
        room=_NARROWEST,
        natural=least * character + gaps,
    )


def _parts(rows: Rows, layout: _Layout) -> list[list[Sequence[str] | None]]:
    """Rows by page."""
    parts: list[list[Sequence[str] | None]] = [[]]
    used = 0
    for row in rows:
        # The factor allows for lines that break before they are full.
        lengths = [1.1 * visible(row[at]) for at in layout.wrapped] if row else []
        needed = max([1, *(math.ceil(length / layout.room) for length in lengths)])
        if used and used + needed > layout.lines:
            parts.append([])
            used = 0
        # A rule at the start of a part would touch the part's own rule.
        if row is not None or parts[-1]:
            parts[-1].append(row)
        used += needed
    for part in parts:
        if part and part[-1] is None:
            part.pop()
    return parts


def visible(cell: str) -> int:
    """Estimated number of printed characters of a cell."""
    plain = re.sub(r"\\(allowbreak|underline|textbf|ensuremath|centering)\b(\{\})?", "", cell)
    plain = re.sub(r"\\(text)?[A-Za-z]+(\{\})?|\\.", "x", plain)
    return len(re.sub(r"[{}$^_]", "", plain))
