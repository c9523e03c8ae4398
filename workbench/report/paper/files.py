"""The files of a report for a paper: tables, numbers, methods, captions, references.

Written from the same summary as the page, so that both show the same numbers.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from workbench.plotting import venues
from workbench.report import templates
from workbench.report.content import FigureEntry, Summary, VerdictDetails
from workbench.report.figures import load
from workbench.report.paper import bibliography, macros, typeset
from workbench.report.paper import tables as papertables

_FOLDER = Path(templates.__file__).parent


def files(summary: Summary, *, venue: str) -> dict[str, str]:
    """Every text for a paper by its path in the report's folder.

    Args:
        summary: Of a study.
        venue: Whose columns the tables have to fit.

    Raises:
        ValueError: There is no such venue; the message lists all venues.
    """
    venues.of(venue)  # raises before anything is written
    tables = papertables.tables(summary, venue)
    methods = bibliography.with_citations(templates.methods(summary.content), summary)
    return {
        **tables,
        "macros.tex": macros.macros(summary),
        # A document class without natbib has \cite but no \citep.
        "methods.tex": typeset.comment(f"How the study {summary.study} was done.")
        + f"\\providecommand{{\\citep}}[1]{{\\cite{{#1}}}}%\n{methods}\n",
        "captions.tex": captions(summary, summary.figures),
        "checklist.md": templates.checklist(summary.content, confirmed=summary.shows_tests),
        "references.bib": bibliography.references(methods),
        "example.tex": example(summary, venue=venue, tables=[*tables], figures=summary.figures),
    }


def captions(summary: VerdictDetails, figures: Sequence[FigureEntry]) -> str:
    r"""captions.tex: a command for each figure's caption, such as ``\captionForest``."""
    about = typeset.comment(f"Captions of the figures of {summary.title}.")
    return about + "".join(
        rf"\providecommand{{\{command(figure)}}}{{}}\renewcommand{{\{command(figure)}}}"
        + f"{{{typeset.prose(figure.caption)}}}\n"
        for figure in figures
    )


def example(
    summary: VerdictDetails,
    *,
    venue: str,
    tables: Sequence[str],
    figures: Sequence[FigureEntry],
    cites: bool = True,
) -> str:
    """example.tex: a small article that includes all other files."""
    widths = venues.of(venue)
    return (
        _latex()
        .get_template("example.tex")
        .render(
            venue=venue,
            column=widths.column,
            text=widths.text,
            twocolumn=widths.column < widths.text,
            gap=round(widths.text - 2 * widths.column, 3),
            title=typeset.name(summary.study),
            prefix=macros.prefix(summary),
            tables=tables,
            figures=figures,
            wide=[figure.name for figure in figures if load(figure.name).wide],
            command=command,
            confirmed=summary.shows_tests,
            claimed=summary.verdict.level != "none",
            searched=bool(summary.strategies),
            cites=cites,
        )
    )


def command(figure: FigureEntry) -> str:
    """Name of the LaTeX command for a figure's caption."""
    return f"caption{typeset.letters(figure.name)}"


@cache
def _latex() -> Environment:
    return Environment(
        loader=FileSystemLoader(_FOLDER),
        autoescape=False,  # the values are LaTeX already
        undefined=StrictUndefined,
        # Jinja's own braces would clash with those of LaTeX.
        block_start_string="<%",
        block_end_string="%>",
        variable_start_string="<<",
        variable_end_string=">>",
        comment_start_string="<#",
        comment_end_string="#>",
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
