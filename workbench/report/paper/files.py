"""The files of a report that a paper takes: tables, numbers, methods, captions, references.

Everything is written from the content of report.json alone, so that it says what the page says.
Knows neither runs nor figures, but for their names and captions.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from workbench.plotting import venues
from workbench.report import templates, wording
from workbench.report.figures import load
from workbench.report.paper import bibliography, macros, typeset, verdict_tables
from workbench.report.paper import tables as papertables
from workbench.verdict.wording.numbers import counted

_FOLDER = Path(templates.__file__).parent


def files(summary: Mapping[str, Any], *, venue: str) -> dict[str, str]:
    """Every text for a paper by its path in the report's folder.

    Args:
        summary: The content of report.json.
        venue: Whose columns the tables have to fit.

    Raises:
        ValueError: There is no such venue; the message names those that there are.
    """
    venues.of(venue)
    tables = papertables.tables(summary, venue)
    methods = bibliography.cited(templates.methods(summary), summary)
    drawn = [entry for entry in summary["figures"] if not entry.get("page_only")]
    figures = named(drawn)
    return {
        **tables,
        "macros.tex": macros.macros(summary),
        "methods.tex": _methods(summary, methods),
        "captions.tex": captions(summary, figures),
        "checklist.md": checklist(summary),
        "references.bib": bibliography.references(methods),
        "example.tex": example(
            summary,
            venue=venue,
            tables=list(tables),
            figures=figures,
            confirmed=verdict_tables.confirmed(summary),
        ),
    }


def captions(summary: Mapping[str, Any], figures: Sequence[Mapping[str, Any]]) -> str:
    r"""captions.tex: a command for each figure's caption, such as ``\captionForest``."""
    about = typeset.comment(f"Captions of the figures of {wording.of_study(summary)}.")
    return about + "".join(
        rf"\providecommand{{\{entry['command']}}}{{}}\renewcommand{{\{entry['command']}}}"
        + f"{{{typeset.prose(entry['caption'])}}}\n"
        for entry in figures
    )


def checklist(summary: Mapping[str, Any]) -> str:
    """checklist.md: what a conference asks about experiments, answered as far as logs can tell."""
    confirmed = verdict_tables.confirmed(summary)
    text = _markdown().get_template("checklist.md").render(report=summary, confirmed=confirmed)
    return text.strip() + "\n"


def example(
    summary: Mapping[str, Any],
    *,
    venue: str,
    tables: Sequence[str],
    figures: Sequence[Mapping[str, Any]],
    confirmed: bool,
    cites: bool = True,
) -> str:
    """example.tex: a small article that reads all other files."""
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
            title=typeset.name(summary["study"]),
            prefix=macros.prefix(summary),
            tables=tables,
            figures=figures,
            confirmed=confirmed,
            claimed=summary["verdict"]["level"] != "none",
            searched="elsewhere" not in summary,
            cites=cites,
        )
    )


def _methods(summary: Mapping[str, Any], methods: str) -> str:
    about = typeset.comment(f"How the study {summary['study']} was done; for a methods section.")
    # A class without natbib knows \cite alone.
    return f"{about}\\providecommand{{\\citep}}[1]{{\\cite{{#1}}}}%\n{methods}\n"


def named(figures: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Figures with the names of their captions' commands, and whether they span the page."""
    taken: set[str] = set()
    found = []
    for entry in figures:
        command = macros.unique("caption" + typeset.letters(entry["name"]), taken)
        found.append({**entry, "command": command, "wide": load(entry["name"]).wide})
    return found


@cache
def _latex() -> Environment:
    return Environment(
        loader=FileSystemLoader(_FOLDER),
        autoescape=False,  # what comes in is LaTeX already
        undefined=StrictUndefined,
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


@cache
def _markdown() -> Environment:
    environment = Environment(
        loader=FileSystemLoader(_FOLDER),
        autoescape=False,
        finalize=templates.escape_markdown,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {
        "number": templates.number,
        "setting": templates.setting,
        "given": templates.given,
        "whole": templates.whole,
        "counted": counted,
        "span": templates.span,
        "duration": templates.duration,
        "words": templates.words,
    }
    return environment
