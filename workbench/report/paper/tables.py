"""The LaTeX tables of a study's search, checks, selection and costs; used by ``paper.files``."""

from __future__ import annotations

from workbench.messages import counted
from workbench.report import templates, wording
from workbench.report.content import Summary
from workbench.report.paper.typeset import NONE, name, number, p_value, prose, setting, span, text
from workbench.report.paper.verdict_tables import labelled_table, tables_of_verdict


def tables(summary: Summary, venue: str) -> dict[str, str]:
    """Every table that a report has data for, by path, in the order of a paper."""
    written = tables_of_verdict(summary, venue)
    confirmation = summary.confirmation
    if confirmation and confirmation.selection:
        written["selection"] = selection(summary, venue)
    if summary.shows_tests and summary.verdict.effects:
        written["factors"] = factors(summary, venue)
    if summary.shows_tests:
        written["cost"] = cost(summary, venue)
    written["strategies"] = strategies(summary, venue)
    if summary.search_space:
        written["search_space"] = search_space(summary, venue)
    if summary.health:
        written["checks"] = checks(summary, venue)
    return {f"tables/{key}.tex": value for key, value in written.items()}


def strategies(summary: Summary, venue: str) -> str:
    """The search of each strategy; no value is emphasised, because a search supports no claim."""
    objective = summary.objective.metric
    centre = summary.medians
    heads = ("trials", "complete", "pruned", "failed", "best", *(["median"] if centre else []))
    columns = {"strategy": "p", **dict.fromkeys((*heads, "learning rate"), "r")}
    rows = []
    for item in summary.strategies:
        best = item.best
        counts = map(str, (item.started, item.complete, item.pruned, item.failed))
        values = [number(best.value if best else None)] + ([number(item.median)] if centre else [])
        rows.append(
            [name(item.name), *counts, *values, setting(best.learning_rate if best else None)]
        )
    progress = summary.progress
    caption = (
        f"Search trials of the study {summary.study}: exploratory, on validation data. n ="
        f" {progress.complete} completed of {progress.started} trials; one seed. Values:"
        f" {templates.words(objective)}; the learning rate is that of the best trial. The values"
        " describe the trials and do not compare the strategies."
    )
    return labelled_table(summary, venue, "strategies", text(caption), columns, rows)


def search_space(summary: Summary, venue: str) -> str:
    """What was tuned, where, and on which scale."""
    heads = ("hyperparameter", "applies when", "values", "scale", "default")
    columns = dict.fromkeys(heads, "p")
    rows = []
    for entry in summary.search_space:
        when = ", ".join(
            f"{templates.words(key)} is {' or '.join(map(str, labels))}"
            for key, labels in entry["when"].items()
        )
        if entry["choices"]:
            values = ", ".join(name(choice) for choice in entry["choices"])
        else:
            values = f"{setting(entry['low'])} to {setting(entry['high'])}"
        scale, default = text(entry["scale"]), setting(entry["default"])
        rows.append(
            [name(templates.words(entry["knob"])), name(when) or "always", values, scale, default]
        )
    caption = (
        f"Search space of the study {summary.study}: what was tuned for"
        f" {'each strategy' if summary.mode == 'balanced' else 'the study as a whole'}."
    )
    return labelled_table(summary, venue, "search-space", text(caption), columns, rows)


def checks(summary: Summary, venue: str) -> str:
    """The checks of the search with their findings."""
    columns = {"check": "p", "status": "l", "question and finding": "p"}
    rows = [
        [
            name(templates.words(item.name)),
            text(item.status),
            prose(f"{item.question} {item.finding}"),
        ]
        for item in summary.health
    ]
    caption = f"Checks of the validity of the search of the study {summary.study}."
    return labelled_table(summary, venue, "checks", text(caption), columns, rows)


def selection(summary: Summary, venue: str) -> str:
    """The configurations that were trained again on fresh seeds, and which one was chosen."""
    confirmation = summary.confirmation
    assert confirmation is not None
    rows = []
    for item in confirmation.selection:
        values = ", ".join(number(value) for value in item.values)
        chosen = r"$\bullet$" if item.chosen else ""
        trial = templates.within(item.trial or "", item.strategy)
        cells = [name(item.strategy), text(trial), values or NONE, number(item.mean)]
        rows.append([*cells, chosen])
    columns = {"strategy": "p", "trial": "l", "value of each seed": "p", "mean": "r", "chosen": "c"}
    metric = templates.words(confirmation.protocol.validation_metric or "")
    seeds = max((len(item.values) for item in confirmation.selection), default=0)
    caption = (
        f"Selection of the study {summary.study}: the configurations with the best search values"
        f" of each strategy, trained again with {counted(seeds, 'fresh seed')};"
        f" {metric}. The configuration with the best mean advanced; ties went to the one with fewer"
        " trainable parameters. A dash is a run without a value."
    )
    return labelled_table(summary, venue, "selection", text(caption), columns, rows)


def factors(summary: Summary, venue: str) -> str:
    """Main effects with the marginal means of each level, and interactions."""
    verdict = summary.verdict
    like = templates.scale(level.mean.estimate for e in verdict.effects for level in e.levels)
    rows: list[list[str]] = []
    for effect in verdict.effects:
        called = r" $\times$ ".join(name(templates.words(factor)) for factor in effect.factors)
        p = p_value(effect.p_holm)
        if not effect.levels:
            rows.append([called, NONE, NONE, NONE, p])
        for at, level in enumerate(effect.levels):
            mean = level.mean
            numbers = [number(mean.estimate, like), span(mean.low, mean.high, like)]
            rows.append(["" if at else called, name(level.name), *numbers, "" if at else p])
    columns = {"effect": "p", "level": "l", "mean": "r", r"95\,\% interval": "r", "$p$": "r"}
    caption = (
        f"Effects of the factors of the study {summary.study} on {templates.words(summary.metric)}:"
        f" marginal means over {counted(len(verdict.seeds), 'seed')} with t intervals; p: joint"
        f" sign-flip test of all levels, Holm-corrected over {len(verdict.effects)} effects."
    )
    return labelled_table(summary, venue, "factors", text(caption), columns, rows)


def cost(summary: Summary, venue: str) -> str:
    """The cost of each arm: time, trainable parameters, memory."""
    assert summary.confirmation is not None
    arms, total = summary.confirmation.arms, summary.confirmation.cost
    heads = ("search", "one run", "trainable parameters", "peak memory", "validation", "test")
    columns = {"strategy": "p", **dict.fromkeys(heads, "r")}
    rows = [
        [
            name(arm.name),
            _time(arm.search_seconds) if arm.trial or not arm.baseline else "none",
            _time(arm.seconds_mean),
            text(templates.whole(arm.trainable)),
            text(templates.size(arm.peak_memory)).replace(" ", r"\,"),
            number(arm.validation_mean),
            number(arm.mean),
        ]
        for arm in arms
    ]
    parts = ("search", "selection", "confirmation")
    spent = [(part, total[f"{part}_seconds"]) for part in parts]
    totals = ", ".join(f"{part} {_time(seconds)}" for part, seconds in spent if seconds)
    caption = (
        f"Cost of the study {text(summary.study)}: time in the trials of the search, mean time"
        " of one confirmation run, and the mean of the metric on validation and test data."
        f"{f' In total: {totals}.' if totals else ''}"
    )
    if summary.unconfirmed:
        caption += f" {prose(summary.unconfirmed)}"
    caption += "".join(f" {prose(left)}" for left in wording.left_out(summary.verdict))
    if summary.caution:
        caption += f" {text(summary.caution)}"
    return labelled_table(summary, venue, "cost", caption, columns, rows)


def _time(seconds: float | None) -> str:
    return text(templates.duration(seconds)).replace(" ", r"\,")
