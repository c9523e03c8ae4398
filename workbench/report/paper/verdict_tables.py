"""The LaTeX tables of a verdict: means by arm, and comparisons in pairs.

Used for a study (``paper.tables``) and for external results (``standalone``).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from workbench.report import templates, wording
from workbench.report.content import Judged, Summary
from workbench.report.paper import booktabs, typeset
from workbench.report.paper.typeset import NONE, name, number, p_value, prose, share, span, text
from workbench.report.results import ArmResult, Row
from workbench.tracker.stored_study import Cited
from workbench.verdict import Comparison, Verdict
from workbench.verdict.contrast import BASELINE
from workbench.verdict.wording.numbers import counted

_MOST_PAIRS = 120  # that a paper prints; the others are in data/pairs.csv


def judged(summary: Judged, venue: str) -> dict[str, str]:
    """The tables of a verdict: ``confirmation`` (or ``results``) and ``pairwise``."""
    if not summary.shows_tests:
        return {}
    tables = {_called(summary): main(summary, venue)}
    if summary.verdict.comparisons:
        tables["pairwise"] = pairwise(summary, venue)
    return tables


def _called(summary: Judged) -> str:
    """Name of the main table: external results are not a confirmation."""
    return "results" if summary.external else "confirmation"


def scale(summary: Judged) -> float | None:
    """The size of the test values, which decides how many decimals all of them get."""
    return templates.scale(arm.mean for arm in _arms(summary))


def scale_of(verdict: Verdict) -> float | None:
    """The same of a verdict's sides."""
    return templates.scale(side.mean.estimate for side in verdict.sides if side.mean)


def main(summary: Judged, venue: str) -> str:
    """The main table: each arm's mean with its interval, compared with the reference arm."""
    verdict, confirmation = summary.verdict, summary.confirmation
    arms = _arms(summary)
    reference = _reference(verdict)
    like = scale(summary)
    against = _against(summary, reference)
    heads = ["$n$", r"mean $\pm$ SD", r"95\,\% interval"]
    if reference is not None:
        heads += ["difference", r"$p_\mathrm{Holm}$", "$P$(improvement)"]
    columns = {"strategy": "p", **dict.fromkeys(heads, "r")}
    # A verdict on a factor has its levels as sides; they get rows of their own below the arms.
    sides = [side.name for side in verdict.sides]
    of_factor = confirmation is not None and sides != [arm.name for arm in arms]
    rows: list[list[str] | None] = [
        [*_measured(summary, arm, like), *_compared(against, arm.name, like, verdict)]
        for arm in arms
    ]
    if of_factor:
        rows.append(None)
        rows += [
            [*_measured(summary, side, like), *_compared(against, side.name, like, verdict)]
            for side in map(wording.row, verdict.sides)
        ]
    for absent in verdict.absent:
        rows.append([name(absent), "0", "not comparable", *[NONE] * (len(columns) - 3)])
    if summary.cited:
        rows += [None, *(_cited(item, like, len(columns)) for item in summary.cited)]
    caption = _caption(summary, reference, of_factor)
    return laid_out(summary, venue, _called(summary), caption, columns, rows)


def _arms(summary: Judged) -> Sequence[Row]:
    confirmation = summary.confirmation
    return confirmation.arms if confirmation else list(wording.rows(summary.verdict))


def _measured(summary: Judged, arm: Row, like: float | None) -> list[str]:
    mean = number(arm.mean, like)
    if summary.emphasis and arm.best:
        mean = rf"\textbf{{{mean}}}"
    elif summary.emphasis and arm.may_be_best:
        mean = rf"\underline{{{mean}}}"
    spread = "" if arm.sd is None else rf" $\pm$ {number(arm.sd, like)}"
    called = name(arm.name) + (r"\textsuperscript{b}" if arm.baseline else "")
    return [called, str(arm.n), mean + spread, span(arm.low, arm.high, like)]


def _reference(verdict: Verdict) -> str | None:
    """The name that rows are compared with: the baseline in a contrast with it, else the leader."""
    if verdict.contrast == BASELINE:
        return next((side.name for side in verdict.sides if side.baseline), None)
    leader = verdict.leader
    return None if leader is None or not verdict.comparisons else str(leader)


def _against(summary: Judged, reference: str | None) -> dict[str, Comparison]:
    """By rival: its comparison with the reference, with the rival as ``first``."""
    return {
        pair.first if pair.second == reference else pair.second: pair
        if pair.second == reference
        else pair.flipped()
        for pair in summary.verdict.comparisons
        if reference in (pair.first, pair.second)
    }


def _compared(
    against: Mapping[str, Comparison], rival: str, like: float | None, verdict: Verdict
) -> list[str]:
    """Difference, p and probability of improvement of a row against the reference."""
    if _reference(verdict) is None:
        return []
    pair = against.get(rival)
    if pair is None:
        return [NONE, NONE, NONE]
    # In a comparison, positive means that ``first`` is better; here, that its value is higher.
    sign = 1 if verdict.direction == "maximize" else -1
    difference = number(sign * pair.difference.estimate, like, signed=True)
    return [difference, p_value(pair.p_holm), share(pair.improvement.estimate)]


def _cited(item: Cited, like: float | None, width: int) -> list[str]:
    spread = "" if item.sd is None else rf" $\pm$ {number(item.sd, like)}"
    count = NONE if item.n is None else str(item.n)
    cells = [name(item.name) + r"\textsuperscript{c}", count]
    return [*cells, number(item.value, like) + spread, *[NONE] * (width - 3)]


def _caption(summary: Judged, reference: str | None, of_factor: bool) -> str:
    verdict, confirmation = summary.verdict, summary.confirmation
    unit, test = summary.unit, summary.test
    aim = "maximised" if verdict.direction == "maximize" else "minimised"
    sentences = [
        f"{text(summary.study)}: {text(summary.metric)} (to be {aim}), mean"
        rf" $\pm$ standard deviation over {unit}s; 95\,\% t interval of the mean over {unit}s."
    ]
    if isinstance(summary, Summary) and confirmation:
        samples = confirmation.protocol.test_samples
        on = f" on the same {templates.whole(samples)} test samples" if samples else ""
        redrawn = text(summary.training.redrawn)
        sentences.append(
            f"Each value is one training run measured once{on}; a seed redraws {redrawn}; the test"
            " split is the same for all."
        )
    elif unit == "seed":
        sentences.append("Each value is one run; what a seed changes is not recorded.")
    else:
        sentences.append("The value of a data set is the mean over its seeds.")
    if of_factor:
        factor = text(verdict.contrast)
        sentences.append(f"Below the rule: each level of {factor}, by the mean of its strategies.")
    if reference is not None:
        sentences.append(
            f"Difference: strategy minus {name(reference)}, mean over paired {unit}s;"
            rf" $p_\mathrm{{Holm}}$: {test}, Holm-corrected over"
            f" {counted(verdict.pairs, 'pair')}; $P$(improvement): probability of"
            f" being better than {name(reference)} on a {unit}."
        )
    sentences += map(prose, wording.left_out(verdict))
    if any(arm.failed for arm in _arms(summary)):
        sentences.append("Failed and diverged runs count with the worst value.")
    for arm in _arms(summary):
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
        sentences.append(f"Verdict{level}: {text(verdict.word)}.")
    return " ".join(sentences)


def pairwise(summary: Judged, venue: str) -> str:
    """Every comparison that was corrected for; where they are very many, those of the leader."""
    verdict = summary.verdict
    shown, left_out = list(verdict.comparisons), ""
    if len(shown) > _MOST_PAIRS:
        reference = _reference(verdict)
        shown = [pair for pair in shown if reference in (pair.first, pair.second)]
        left_out = f" Only comparisons with {name(reference)} are shown; data/pairs.csv has all."
    has_margin = verdict.smallest_effect is not None
    like = scale_of(verdict)
    heads = ["difference", r"95\,\% interval", r"$p_\mathrm{Holm}$", "$d_z$", "$P$(improvement)"]
    heads += [r"$p_\mathrm{TOST}$"] if has_margin else []
    columns = {"first": "p", "second": "p", **dict.fromkeys(heads, "r")}
    rows = []
    for pair in shown:
        difference, improvement = pair.difference, pair.improvement
        low, high = share(improvement.low), share(improvement.high)
        row = [
            name(pair.first),
            name(pair.second),
            number(difference.estimate, like),
            span(difference.low, difference.high, like),
            p_value(pair.p_holm),
            share(pair.dz),
            f"{share(improvement.estimate)} [{low}, {high}]",
        ]
        rows.append(row + ([p_value(pair.p_equivalence)] if has_margin else []))
    unit, test = summary.unit, summary.test
    caption = (
        f"{text(summary.study)}: {counted(verdict.pairs, 'comparison')} of"
        f" {text(summary.metric)}, paired by {unit}"
        f" ($n$ = {_counts(verdict.comparisons)}). Difference: positive if the first is better,"
        rf" mean over {unit}s with its 95\,\% t interval; $p_\mathrm{{Holm}}$: {test},"
        r" Holm-corrected; $d_z$: paired Hedges' $d_z$; $P$(improvement): probability that the"
        rf" first is better on a {unit}, with its bootstrap interval"
    )
    if any(pair.improvement.estimate in (0, 1) for pair in shown):
        caption += f", or Clopper and Pearson's where all {unit}s agree"
    if has_margin:
        margin = typeset.given(verdict.smallest_effect)
        caption += rf"; $p_\mathrm{{TOST}}$: equivalence within $\pm${margin}, Holm-corrected"
    absent = "".join(f" {prose(sentence)}" for sentence in wording.left_out(verdict))
    return laid_out(summary, venue, "pairwise", f"{caption}.{left_out}{absent}", columns, rows)


def _counts(comparisons: Sequence[Comparison]) -> str:
    counts = sorted({pair.n for pair in comparisons})
    return str(counts[0]) if len(counts) == 1 else f"{counts[0]} to {counts[-1]}"


def laid_out(
    summary: Judged,
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
