"""Renders the content of report.json as HTML, Markdown and plain text.

Text from a study or a store is escaped by default: otherwise anyone who can write to a shared store
could inject markup into the page. Callers escape the plain text of the methods.
"""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, datetime
from functools import cache, wraps
from pathlib import Path
from typing import Any
from urllib.parse import quote

from jinja2 import Environment, FileSystemLoader, StrictUndefined, Undefined
from markupsafe import Markup, escape

from workbench.messages import counted, joined
from workbench.plotting import naming
from workbench.verdict.wording import numbers

_FOLDER = Path(__file__).parent
words = naming.words

# Class of the verdict's box by word; of any other word, ``unsettled``.
_TONES = {"WINNER": "firm", "GOOD ENOUGH": "firm", "NOT COMPARABLE": "halt"}
_NOTE_LIMIT = 5900  # characters; the tracker's own limit is 6000
_NONE = "–"
# A longer one may not fit on a line of a phone.
_HYPHENATED = re.compile(r"(?<!\S)(?=\S{,30}(?!\S))\S+-\S+")
_SUPERSCRIPTS = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")


def _or_dash(written: Callable[..., str]) -> Callable[..., str]:
    """Write an unknown value, None, as a dash."""

    @wraps(written)
    def write(value: Any, *others: Any) -> str:
        return _NONE if value is None else written(value, *others)

    return write


@_or_dash
def number(value: float, like: float | None = None, *ends: float | None) -> str:
    """A measured value; see ``numbers.measured``."""
    return _raised(numbers.measured(value, like, *ends))


def _raised(text: str) -> str:
    """A power of ten in mathematical notation: ``2.304e-04`` becomes 2.304·10⁻⁴."""
    mantissa, exponent, power = text.partition("e")
    if not exponent:
        return text
    return f"{mantissa}·10{str(int(power.replace(numbers.MINUS, '-'))).translate(_SUPERSCRIPTS)}"


def scale(values: Iterable[float | None]) -> float | None:
    """The size of some values, for the decimals of what is printed with them."""
    return max((abs(value) for value in values if value is not None), default=None)


@_or_dash
def setting(value: Any) -> str:
    """A hyperparameter, with three significant digits; options as ``name value, ...``."""
    if isinstance(value, Mapping):
        return ", ".join(f"{words(str(name))} {setting(item)}" for name, item in value.items())
    return numbers.setting(value)


@_or_dash
def whole(count: float) -> str:
    """A count of parameters or samples, with commas between thousands."""
    return f"{count:,.0f}"


def span(range_: Mapping[str, int], noun: str) -> str:
    """``5 epochs``, or ``5 to 12 epochs`` where trials differ."""
    low, high = range_["low"], range_["high"]
    return counted(high, noun) if low == high else f"{low} to {counted(high, noun)}"


def signed(value: float | None, like: float | None = None, *ends: float | None) -> str:
    """A difference, with its sign."""
    written = number(value, like, *ends)
    # A plus before zeros only would claim a direction that the digits do not show.
    return f"+{written}" if value and value > 0 and re.search("[1-9]", written) else written


def interval(low: float | None, high: float | None, like: float | None = None) -> str:
    """The ends of an interval, in brackets."""
    if low is None or high is None:
        return _NONE
    return f"[{', '.join(map(_raised, numbers.ends(low, high, like)))}]"


def reach(low: float | None, high: float | None, like: float | None = None) -> str:
    """The ends of an interval, in words."""
    return interval(low, high, like).strip("[]").replace(", ", " to ")


def aside(roles: Mapping[str, int]) -> str:
    """Which runs a table of the search leaves out, as a sentence; empty where there are none."""
    descriptions = {
        "confirmation": "of the confirmation",
        "selection": "of its selection",
        "try": "of workbench try",
        "retried": "of failed trials that were run again after a correction",
    }
    counts = [
        f"{counted(n, 'run')} {descriptions.get(role, f'of the {role}')}"
        for role, n in roles.items()
    ]
    verb = "is" if sum(roles.values()) == 1 else "are"
    return f"{joined(counts)} {verb} not counted here." if counts else ""


@_or_dash
def size(count: float) -> str:
    """Bytes in MB or GB."""
    return f"{count / 1e6:.0f} MB" if count < 1e9 else f"{count / 1e9:.1f} GB"


def knobs(arms: Sequence[Mapping[str, Any]]) -> list[str]:
    """Names of all hyperparameters of some configurations, in order of appearance."""
    return list(dict.fromkeys(name for arm in arms for name in arm["hyperparameters"]))


@_or_dash
def moment(milliseconds: int) -> str:
    """Milliseconds since 1970 as date and time in UTC."""
    return datetime.fromtimestamp(milliseconds / 1000, UTC).strftime("%Y-%m-%d %H:%M UTC")


bare_p, p_value = _or_dash(numbers.bare_p), _or_dash(numbers.p_value)
duration, share, given = map(_or_dash, (numbers.duration, numbers.share, numbers.given))


def within(trial: str, strategy: str) -> str:
    """A trial's name within the row of its strategy: without the strategy before its number."""
    return trial.removeprefix(f"{strategy}/")


def prose(text: str) -> Markup:
    """Text of the page in which no line ends within a name or a number: ``adam-0``, ``p = .03``."""
    # Not with other characters: a name that a reader copies must be the name.
    written = str(escape(text)).replace(" %", "&nbsp;%").replace(" = ", "&nbsp;=&nbsp;")
    return Markup(_HYPHENATED.sub(r'<span class="nowrap">\g<0></span>', written))


def escape_markdown(value: Any) -> Any:
    """Text that Markdown, and HTML within it, displays literally."""
    if isinstance(value, Markup | Undefined):
        return value
    # A line break could start a heading, a list or a table row.
    text = " ".join(str(value).split("\n"))
    text = text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return re.sub(r"([\\`*_\[\]|~#$])", r"\\\1", text)


@cache
def _environment(*, html: bool = False, plain: bool = False) -> Environment:
    environment = Environment(
        loader=FileSystemLoader(_FOLDER),
        autoescape=html,
        finalize=None if html or plain else escape_markdown,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    measured = (number, signed, interval, reach, share, bare_p, p_value)
    written = (numbers.ahead_on, numbers.ceiling, setting, whole, given, size, counted, span)
    texts = (within, duration, moment, words, aside, prose)
    for function in (*measured, *written, *texts, scale, knobs):
        environment.filters[function.__name__] = function
    environment.globals["tones"] = _TONES
    # A run id from a store must not add path segments or a query to a link.
    environment.filters["path"] = lambda text: quote(str(text), safe="")
    return environment


def html(summary: Mapping[str, Any], pictures: Mapping[str, str]) -> str:
    """The page: one file that loads no other file.

    Args:
        summary: The content of report.json.
        pictures: An SVG element by name of figure, and the source of each picture of a trial
            by run id and name; not escaped.
    """
    return page("report.html", pictures, report=summary)


def source(png: bytes) -> str:
    """A picture's attributes ``src``, which loads nothing, and ``width``."""
    # Pictures have about two pixels for each of a page; bytes 16 to 19 are the width in them.
    width = int.from_bytes(png[16:20]) // 2
    return f'src="data:image/png;base64,{base64.b64encode(png).decode()}" width="{width}"'


def page(template: str, pictures: Mapping[str, str], **content: Any) -> str:
    """A page in the style of the report, from one of the templates in this folder."""
    script = (_FOLDER / "report.js").read_text(encoding="utf-8")
    # The page's content security policy allows the one script with this hash.
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    return (
        _environment(html=True)
        .get_template(template)
        .render(
            style=Markup((_FOLDER / "report.css").read_text(encoding="utf-8")),
            script=Markup(script),
            script_digest=digest,
            pictures={name: Markup(text) for name, text in pictures.items()},
            **content,
        )
    )


def markdown(summary: Mapping[str, Any]) -> str:
    """The report in Markdown, with links to the figures' files."""
    return _environment().get_template("report.md").render(report=summary)


def methods(summary: Mapping[str, Any]) -> str:
    """The methods as plain text to be typeset, with a blank line between paragraphs.

    ``TODO`` marks what no log contains; sources are in square brackets.
    """
    environment = _environment(plain=True)
    names = ["methods.txt", *(["confirmation.txt"] if summary["confirmation"] else [])]
    texts = (environment.get_template(name).render(report=summary) for name in names)
    return "\n\n".join(" ".join(text.split()) for text in texts) + "\n"


def reproducibility(summary: Mapping[str, Any]) -> str:
    """What is needed to run the study again, as one paragraph of plain text."""
    text = _environment(plain=True).get_template("reproducibility.txt").render(report=summary)
    return " ".join(text.split()) + "\n"


def checklist(summary: Mapping[str, Any], *, confirmed: bool) -> str:
    """Answers to a conference's questions about experiments, as far as logs have them."""
    template = _environment(html=False).get_template("checklist.md")
    return template.render(report=summary, confirmed=confirmed).strip() + "\n"


def note(summary: Mapping[str, Any]) -> str:
    """Verdict, state and tables, shortened to fit the description of an MLflow run."""
    template = _environment().get_template("note.md")
    arms = (summary["confirmation"] or {}).get("arms", ())
    shown = max(len(summary["strategies"]), len(arms))
    while True:
        text = template.render(report=summary, shown=shown)
        # Drop rows before characters: a note cut in the middle of a table is unreadable.
        if len(text) <= _NOTE_LIMIT or shown == 0:
            return text[:_NOTE_LIMIT]
        shown = shown * 3 // 4
