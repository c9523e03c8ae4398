"""The LaTeX tables of a verdict: means by arm, and comparisons in pairs.

Used for a study (``paper.tables``) and for external results (``standalone``).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from workbench.messages import counted
from workbench.plotting import naming
from workbench.report import templates, wording
from workbench.report.content import Summary, VerdictDetails
from workbench.report.paper import booktabs, typeset
from workbench.report.paper.typeset import NONE, name, number, p_value, prose, share, span, text
from workbench.report.results import ArmResult, Row
from workbench.tracker.stored_study import CitedValue
from workbench.verdict import Comparison, Unit, Verdict
from workbench.verdict.contrast import BASELINE
from workbench.verdict.wording.numbers import ahead_on, ceiling

_MOST_PAIRS = 120  # that a paper prints; the others are in data/pairs.csv


def tables_of_verdict(summary: VerdictDetails, venue: str) -> dict[str, str]:
    """The tables of a verdict: ``confirmation`` (or ``results``) and ``pairwise``."""
    if not summary.shows_tests:
        return {}
    tables = {_main_name(summary): main(summary, venue)}
    if summary.verdict.comparisons:
        tables["pairwise"] = pairwise(summary, venue)
    return tables


def _main_name(summary: VerdictDetails) -> str:
    """Name of the main table: external results are not a confirmation."""
    return "results" if summary.external else "confirmation"


def scale(summary: VerdictDetails) -> float | None:
    """The size of the test values, which decides how many decimals all of them get."""
    return templates.scale(arm.mean for arm in summary.rows)


def scale_of(verdict: Verdict) -> float | None:
    """The same of a verdict's sides."""
    return templates.scale(side.mean.estimate for side in verdict.sides if side.mean)


def main(summary: VerdictDetails, venue: str) -> str:
    """The main table: each arm's mean with its interval, compared with the reference arm."""
    verdict, confirmation = summary.verdict, summary.confirmation
    # A verdict on a factor has its levels as sides; they get rows of their own below the arms.
    levels = confirmation.levels if confirmation else ()
    heads = _compared(levels or summary.rows)
    like = scale(summary)
    columns = {"strategy": "p", "$n$": "r", r"mean $\pm$ SD": "r", r"95\,\% interval": "r"}
    columns |= dict.fromkeys(heads, "r")

    def cells(row: Row) -> list[str]:
        return [*_measured(summary, row, like), *_against(row, heads, like)]

    rows: list[list[str] | None] = [*map(cells, summary.rows)]
    if levels:
        rows += [None, *map(cells, levels)]
    for absent in verdict.absent:
        rows.append([name(absent), "0", "not comparable", *[NONE] * (len(columns) - 3)])
    if summary.cited:
        rows += [None, *(_cited(item, like, len(columns)) for item in summary.cited)]
    caption = _caption(summary)
    return labelled_table(summary, venue, _main_name(summary), caption, columns, rows)


def _measured(summary: VerdictDetails, arm: Row, like: float | None) -> list[str]:
    mean = number(arm.mean, like)
    if summary.emphasis and arm.best:
        mean = rf"\textbf{{{mean}}}"
    elif summary.emphasis and arm.may_be_best:
        mean = rf"\underline{{{mean}}}"
    spread = "" if arm.sd is None else rf" $\pm$ {number(arm.sd, like)}"
    label = name(arm.name) + (r"\textsuperscript{b}" if arm.baseline else "")
    return [label, str(arm.n), mean + spread, span(arm.low, arm.high, like)]


def _compared(rows: Sequence[Row]) -> list[str]:
    """Heads of the columns about the reference; none where no row was compared with it."""
    if all(row.versus is None for row in rows):
        return []
    last = ["$p$ (Holm)"]
    if any(row.p_best is not None for row in rows):
        last = ["$p$"]
    if any(row.behind is not None for row in rows):
        last.append("behind")
    return ["difference", "ahead on", *last]


def _against(row: Row, heads: Sequence[str], like: float | None) -> list[str]:
    """The cells of a row in these columns."""
    versus = row.versus
    cells = [NONE] * 2
    if versus is not None:
        difference = number(versus.difference, like, signed=True)
        reach = span(versus.low, versus.high, like)
        cells = [f"{difference} {reach}", ahead_on(versus.leads)]
    by_head = {
        "$p$ (Holm)": p_value(versus.p_holm if versus else None),
        "$p$": p_value(row.p_best),
        "behind": number(ceiling(row.behind, like), like),
    }
    return [*cells, *(by_head[head] for head in heads[2:])] if heads else []


def _cited(item: CitedValue, like: float | None, width: int) -> list[str]:
    spread = "" if item.sd is None else rf" $\pm$ {number(item.sd, like)}"
    count = NONE if item.n is None else str(item.n)
    cells = [name(item.name) + r"\textsuperscript{c}", count]
    return [*cells, number(item.value, like) + spread, *[NONE] * (width - 3)]


def _start(summary: VerdictDetails) -> str:
    """The start of a caption: of what; empty for a study, which a paper is about."""
    return "" if isinstance(summary, Summary) else f"{text(summary.study)}: "


def _caption(summary: VerdictDetails) -> str:
    verdict, confirmation, unit = summary.verdict, summary.confirmation, summary.verdict.unit
    aim = "maximised" if verdict.direction == "maximize" else "minimised"
    start = _start(summary)
    metric = summary.metric if start else naming.capital(summary.metric)
    sentences = [
        f"{start}{text(metric)} (to be {aim}), mean"
        rf" $\pm$ standard deviation over {unit}s; 95\,\% t interval of the mean over {unit}s."
    ]
    if isinstance(summary, Summary) and confirmation:
        samples = confirmation.protocol.test_samples
        on = f"{templates.whole(samples)} test samples" if samples else "test split"
        redrawn = text(summary.training.redrawn)
        sentences.append(
            f"Each value is one training run measured once on the same {on}; a seed redraws"
            f" {redrawn}."
        )
    elif unit == Unit.SEED and summary.external:
        sentences.append("Each value is one run; what a seed changes is not recorded.")
    elif unit == Unit.SEED:
        sentences.append("Each value is one training run, measured once on the test split.")
    else:
        sentences.append(f"The value of a {unit} is the mean over its seeds.")
    if confirmation and confirmation.levels:
        factor = text(verdict.contrast)
        sentences.append(f"Below the rule: each level of {factor}, by the mean of its strategies.")
    if summary.columns:
        sentences.append(prose(summary.columns))
    sentences += map(prose, wording.left_out(verdict))
    if any(arm.failed for arm in summary.rows):
        sentences.append("Failed and diverged runs count with the worst value.")
        if any(arm.failed and arm.sd is None for arm in summary.rows):
            sentences.append("Where that is the worst one seen, no SD and no interval is given.")
    for arm in summary.rows:
        if arm.baseline:
            default = ""
            if isinstance(arm, ArmResult) and not arm.trial:
                default = f": {name(arm.strategy)} with default values, not tuned"
            sentences.append(rf"\textsuperscript{{b}}Baseline{default}.")
    if summary.cited:
        sources = "; ".join(f"{name(item.name)}: {text(item.source)}" for item in summary.cited)
        literature = rf"Reported in the literature, not run here ({sources})."
        sentences.append(rf"\textsuperscript{{c}}{literature}")
    if summary.emphasis:
        sentences.append(text(summary.emphasis))
    if summary.caution:
        sentences.append(text(summary.caution))
    else:
        level = "" if verdict.level == "none" else f" ({text(verdict.level)})"
        sentences.append(f"Verdict{level}: {text(verdict.heading)}.")
    return " ".join(sentences)


def pairwise(summary: VerdictDetails, venue: str) -> str:
    """Every comparison that was corrected for; where they are very many, those of the leader."""
    verdict = summary.verdict
    shown, left_out = list(verdict.comparisons), ""
    if len(shown) > _MOST_PAIRS:
        reference = wording.reference(verdict)
        shown = [pair for pair in shown if reference in (pair.first, pair.second)]
        left_out = f" Only comparisons with {name(reference)} are shown; data/pairs.csv has all."
    has_margin = verdict.smallest_effect is not None
    like = scale_of(verdict)
    heads = ["difference", r"95\,\% interval", "ahead on", r"$p_\mathrm{Holm}$", "$d_z$"]
    heads += [r"$p_\mathrm{TOST}$"] if has_margin else []
    has_beyond = any(pair.beyond for pair in shown)
    heads += ["beyond"] if has_beyond else []
    columns = {"first": "p", "second": "p", **dict.fromkeys(heads, "r")}
    rows = []
    for pair in shown:
        difference, beyond = pair.difference, pair.beyond
        row = [
            name(pair.first),
            name(pair.second),
            number(difference.estimate, like),
            span(wording.finite(difference.low), wording.finite(difference.high), like),
            ahead_on(pair.differences),
            p_value(wording.finite(pair.p_holm)),
            share(pair.dz),
        ]
        row += [p_value(pair.p_equivalence)] if has_margin else []
        row += [span(beyond.low, beyond.high, like) if beyond else NONE] if has_beyond else []
        rows.append(row)
    unit, test = verdict.unit, summary.test
    secondary = "" if verdict.contrast == BASELINE else ", secondary: they decide nothing"
    caption = (
        f"{_start(summary)}{_some_of(verdict)} of"
        f" {text(summary.metric)}, paired by {unit}"
        f" ($n$ = {_counts(verdict.comparisons)}){secondary}. Difference: positive if the first is"
        rf" better, mean over {unit}s with the 95\,\% t interval of this pair alone; ahead on:"
        rf" {unit}s on which the first is better; $p_\mathrm{{Holm}}$: {test}, Holm-corrected;"
        r" $d_z$: paired Hedges' $d_z$"
    )
    if has_margin:
        margin = typeset.given(verdict.smallest_effect)
        caption += rf"; $p_\mathrm{{TOST}}$: equivalence within $\pm${margin}, Holm-corrected"
    if has_beyond:
        caption += f"; beyond: interval over {unit}s and test examples"
    absent = "".join(f" {prose(sentence)}" for sentence in wording.left_out(verdict))
    if summary.caution:
        absent += f" {text(summary.caution)}"
    return labelled_table(
        summary, venue, "pairwise", f"{caption}.{left_out}{absent}", columns, rows
    )


def _some_of(verdict: Verdict) -> str:
    """How many comparisons there are; where some could not be made, of how many."""
    all_of = counted(verdict.pairs, "comparison")
    made = len(verdict.comparisons)
    return all_of if made == verdict.pairs else f"{made} of {all_of}"


def _counts(comparisons: Sequence[Comparison]) -> str:
    counts = sorted({pair.n for pair in comparisons})
    return str(counts[0]) if len(counts) == 1 else f"{counts[0]} to {counts[-1]}"


def labelled_table(
    summary: VerdictDetails,
    venue: str,
    about: str,
    caption: str,
    columns: Mapping[str, str],
    rows: booktabs.Rows,
) -> str:
    """A table with its label.

    Args:
        summary: Of a study, or of external results.
        venue: Whose columns it has to fit.
        about: The table in a word or two; part of its label.
        caption: LaTeX.
        columns: Heads and alignment.
        rows: Cells, LaTeX; None is a rule.
    """
    return booktabs.table(
        label=f"tab:{typeset.label(summary.study, about)}",
        caption=caption,
        columns=columns,
        rows=rows,
        venue=venue,
        about=f"{about} of {summary.title}, for {venue}",
    )
