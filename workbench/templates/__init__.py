"""Renders the content of report.json as HTML, Markdown, LaTeX and CSV; computes no number of it.

How a number is written is decided here, and nowhere else. Every text that comes from a study or a
store is escaped by default in each of the four, because whoever can write to a shared store could
otherwise write the page. Knows neither trials nor figures.
"""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pandas as pd
from jinja2 import Environment, FileSystemLoader, StrictUndefined, Undefined
from markupsafe import Markup

_FOLDER = Path(__file__).parent
_NOTE_LIMIT = 5900  # characters; the tracker's own limit is 6000
_NONE = "–"


def number(value: float | None) -> str:
    """A measured value, with four decimals where it has the size of an accuracy."""
    if value is None:
        return _NONE
    size = abs(value)
    if value == 0 or 0.001 <= size < 10:
        return f"{value:.4f}"
    if 10 <= size < 10_000:
        return f"{value:.2f}"
    return f"{value:.0f}" if 10_000 <= size < 10_000_000 else f"{value:.3e}"


def setting(value: Any) -> str:
    """A hyperparameter, with three significant digits; options as ``name value, ...``."""
    if value is None:
        return _NONE
    if isinstance(value, Mapping):
        return ", ".join(f"{words(str(name))} {setting(item)}" for name, item in value.items())
    return f"{value:.3g}" if isinstance(value, float) else str(value)


def counted(number: int, noun: str) -> str:
    """A number of things: ``1 class``, ``3 classes``."""
    plural = f"{noun}es" if noun.endswith("s") else f"{noun}s"
    return f"{number} {noun if number == 1 else plural}"


def span(range_: Mapping[str, int], noun: str) -> str:
    """``5 epochs``, or ``5 to 12 epochs`` where trials differ."""
    low, high = range_["low"], range_["high"]
    return counted(high, noun) if low == high else f"{low} to {counted(high, noun)}"


def duration(seconds: float | None) -> str:
    """Seconds as people say them."""
    if seconds is None:
        return _NONE
    if seconds < 120:
        return f"{seconds:.1f} s"
    return f"{seconds / 60:.1f} min" if seconds < 7200 else f"{seconds / 3600:.1f} h"


def moment(milliseconds: int | None) -> str:
    """Milliseconds since 1970 as date and time in UTC."""
    if milliseconds is None:
        return _NONE
    return datetime.fromtimestamp(milliseconds / 1000, UTC).strftime("%Y-%m-%d %H:%M UTC")


def words(name: str) -> str:
    """A path as words: ``validation/top_5`` reads ``validation top 5``."""
    return name.replace("/", " ").replace("_", " ").replace(".", " ")


def within(trial: str, strategy: str) -> str:
    """A trial's name in the row of its strategy: the number, where the strategy comes before it."""
    return trial.removeprefix(f"{strategy}/")


def escape_markdown(value: Any) -> Any:
    """Text that Markdown and the HTML in it show as it is."""
    if isinstance(value, Markup | Undefined):
        return value
    text = " ".join(str(value).split("\n"))
    text = text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return re.sub(r"([\\`*_\[\]|~#$])", r"\\\1", text)


_LATEX = {
    "\\": r"\textbackslash{}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "|": r"\textbar{}",
    "–": "--",
    **{character: f"\\{character}" for character in "&%$#_{}"},
}


def escape_latex(value: Any) -> str:
    """Text that LaTeX shows as it is, special characters and all."""
    return "".join(_LATEX.get(character, character) for character in " ".join(str(value).split()))


def _environment(*, html: bool) -> Environment:
    environment = Environment(
        loader=FileSystemLoader(_FOLDER),
        autoescape=html,
        finalize=None if html else escape_markdown,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters |= {
        "number": number,
        "setting": setting,
        "counted": counted,
        "span": span,
        "within": within,
        "duration": duration,
        "moment": moment,
        "words": words,
        "path": lambda text: quote(str(text), safe=""),
    }
    return environment


def html(summary: Mapping[str, Any], pictures: Mapping[str, str]) -> str:
    """The page: one file that loads nothing.

    Args:
        summary: The content of report.json.
        pictures: An SVG element for each figure's name, trusted as it is.
    """
    script = (_FOLDER / "report.js").read_text(encoding="utf-8")
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    return (
        _environment(html=True)
        .get_template("report.html")
        .render(
            report=summary,
            style=Markup((_FOLDER / "report.css").read_text(encoding="utf-8")),
            script=Markup(script),
            script_digest=digest,
            pictures={name: Markup(text) for name, text in pictures.items()},
        )
    )


def markdown(summary: Mapping[str, Any]) -> str:
    """The same in Markdown, with links to the figures' files."""
    return _environment(html=False).get_template("report.md").render(report=summary)


def note(summary: Mapping[str, Any]) -> str:
    """State of the search and its table, cut so that it fits a run's description."""
    template = _environment(html=False).get_template("note.md")
    total = shown = len(summary["strategies"])
    while True:
        text = template.render(report=summary, shown=shown, left=total - shown)
        if len(text) <= _NOTE_LIMIT or shown == 0:
            return text[:_NOTE_LIMIT]
        shown = shown * 3 // 4


def _table(summary: Mapping[str, Any]) -> pd.DataFrame:
    objective = summary["objective"]["metric"]
    centre = summary["mode"] == "balanced"
    rows = []
    for item in summary["strategies"]:
        best = item["best"] or {}
        row = {
            "strategy": item["name"],
            "trials": item["started"],
            "complete": item["complete"],
            "pruned": item["pruned"],
            "failed": item["failed"],
            f"best {objective}": best.get("value"),
        }
        if centre:
            row["median"] = item["median"]
        row |= {"learning rate": best.get("learning_rate"), "trial": best.get("trial")}
        rows.append({**row, "run id": best.get("run_id")})
    return pd.DataFrame(rows)


def latex(summary: Mapping[str, Any]) -> str:
    """The table of strategies for a paper (package booktabs): no bold, for nothing is claimed."""
    objective = summary["objective"]["metric"]
    table = _table(summary).drop(columns=["trial", "run id"])
    table = table.rename(columns={f"best {objective}": "best"})  # a column's width on paper
    as_text = ("strategy", "trials", "complete", "pruned", "failed", "learning rate")
    columns = {name: setting if name in as_text else number for name in table.columns}
    for name, written in columns.items():
        cells = [None if cell != cell else cell for cell in table[name]]
        table[name] = [escape_latex(written(cell)) for cell in cells]
    table.columns = pd.Index([escape_latex(name) for name in table.columns])
    caption = (
        f"{summary['claim']['level']}. Search trials of the study {summary['study']}."
        f" {summary['claim']['statement']} n = {summary['progress']['complete']} completed of"
        f" {summary['progress']['started']} trials; one seed. Values: {words(objective)}."
    )
    text = table.style.hide(axis="index").to_latex(
        hrules=True,
        column_format="l" + "r" * (len(table.columns) - 1),
        caption=escape_latex(caption),
        label="tab:" + re.sub(r"[^A-Za-z0-9-]+", "-", summary["study"]) + "-strategies",
        position_float="centering",
    )
    return f"% Needs \\usepackage{{booktabs}}\n{text}"


def csv(summary: Mapping[str, Any]) -> str:
    """The table of strategies, numbers unrounded."""
    return trials_csv(_table(summary).to_dict("records"))


def trials_csv(rows: Sequence[Mapping[Any, Any]]) -> str:
    """Rows as CSV, numbers unrounded, with the columns of all rows in order of appearance."""
    cells = [{key: _inert(item) for key, item in row.items()} for row in rows]
    return pd.DataFrame(cells).to_csv(index=False, lineterminator="\n") if cells else "\n"


def _inert(value: Any) -> Any:
    # A spreadsheet would run a text that starts like a formula.
    return f"'{value}" if isinstance(value, str) and value[:1] in "=+-@\t\r" and value else value
