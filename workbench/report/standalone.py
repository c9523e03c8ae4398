"""Writes the verdict on external results, or on several studies together, as files.

Page, data, tables and numbers for a paper: of ``workbench verdict --out``, of ``combine --out`` and
of ``report`` of a file with ``across``. Matplotlib is imported only while figures are drawn.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from workbench.report import templates, tidy, wording, writing
from workbench.report.content import FigureEntry, VerdictDetails
from workbench.report.figures import (
    CONFIRMATION,
    Findings,
    LeftOut,
    critical_difference,
    forest,
    load,
    performance_profile,
    rendering,
)
from workbench.report.paper import files, macros, typeset, verdict_tables
from workbench.tracker.stored_study import StoredStudy
from workbench.verdict import Side, Unit, Verdict
from workbench.verdict.external import ResultsVerdict

# What Workbench writes to a verdict's folder; everything else in it belongs to the user.
CONTENTS = (
    *("index.html", "results.json", "tables", "figures", "data"),
    *("macros.tex", "captions.tex", "example.tex"),
)


def write(
    outcome: ResultsVerdict,
    folder: Path,
    *,
    venue: str = "neurips",
    links: Mapping[str, str] | None = None,
    question: str = "",
) -> Path:
    """Write everything, or leave the folder as it was; the same results give the same bytes.

    Args:
        outcome: The verdict.
        folder: Where to write.
        venue: Whose widths and fonts the files for a paper have.
        links: To the reports of combined studies, by their names.
        question: What the studies ask, if they ask the same.

    Returns:
        The path of index.html.

    Raises:
        FileExistsError: The folder is not empty and contains no verdict.
    """
    source, content = outcome.results.source, outcome.as_json()
    study = source if outcome.studies else Path(source).stem
    verdicts = {study: outcome.verdict}
    if len(outcome.datasets) > 1:
        verdicts |= {f"{study} {name}": verdict for name, verdict in outcome.datasets.items()}
    # What tables and numbers are written from: the whole, then each of several data sets.
    external = not outcome.studies
    summaries = [_summary(name, own, external=external) for name, own in verdicts.items()]
    # results.json marks the folder as ours; see ``writing.replacing``.
    with writing.replacing(folder, CONTENTS, "results.json") as new:
        drawn, pictures = _figures(outcome, new / "figures")
        page = templates.page(
            "verdict.html",
            pictures,
            study=study,
            content=content,
            figures=drawn,
            judged=dict(zip(("", *outcome.datasets), summaries, strict=False)),
            why=wording.why(outcome.verdict),
            links=links or {},
            question=question,
        )
        texts = {
            **_texts(summaries, outcome, drawn, venue),
            "results.json": json.dumps(content, indent=1, ensure_ascii=False) + "\n",
            "index.html": page,
        }
        writing.write_files(texts, new)
        tidy.write(_data(outcome), new / "data")
    return folder.resolve() / "index.html"


def _summary(study: str, verdict: Verdict, *, external: bool) -> VerdictDetails:
    rows = list(wording.rows(verdict)) if verdict.word in wording.COMPARED else []
    return VerdictDetails(
        study=study,
        verdict=verdict,
        test=wording.primary_test(verdict),
        emphasis=wording.emphasis(verdict, rows, "strategy"),
        columns=wording.columns(verdict),
        caution=wording.caution(verdict),
        external=external,
    )


def _texts(
    summaries: Sequence[VerdictDetails],
    outcome: ResultsVerdict,
    figures: Sequence[FigureEntry],
    venue: str,
) -> dict[str, str]:
    main, tables = summaries[0], {}
    if len(outcome.datasets) > 1:
        tables["tables/datasets.tex"] = _datasets(main, outcome, venue)
    taken: set[str] = set()
    numbers = []
    for at, summary in enumerate(summaries):
        start = f"tables/{f'{at}-' if at else ''}"
        for name, text in verdict_tables.tables_of_verdict(summary, venue).items():
            tables[f"{start}{name}.tex"] = text
        numbers.append(macros.macros(summary, taken))
    return {
        **tables,
        "macros.tex": "\n".join(numbers),
        "captions.tex": files.captions(main, figures),
        "example.tex": files.example(
            main, venue=venue, tables=[*tables], figures=figures, cites=False
        ),
    }


def _datasets(summary: VerdictDetails, outcome: ResultsVerdict, venue: str) -> str:
    """Mean and SD of each strategy on each data set; nothing is emphasised."""
    verdicts = outcome.datasets
    names = list(dict.fromkeys(side.name for one in verdicts.values() for side in one.sides))
    rows: list[list[str] | None] = []
    for dataset, verdict in verdicts.items():
        sides = {side.name: side for side in verdict.sides}
        cells = [_cell(sides.get(name)) for name in names]
        rows.append([typeset.name(dataset), *cells, typeset.text(verdict.heading)])
    if outcome.across is not None:
        ranks = dict(zip(outcome.across.strategies, outcome.across.ranks, strict=True))
        rows += [None, ["average rank", *(typeset.share(ranks[name]) for name in names), ""]]
    heads = dict.fromkeys((typeset.name(name, 30) for name in names), "r")
    columns = {"data set": "p", **heads, "verdict": "p"}
    units = " or ".join(dict.fromkeys(f"{verdict.unit}s" for verdict in verdicts.values()))
    caption = (
        rf"{typeset.text(summary.study)}: {typeset.text(summary.metric)} on each data set, mean"
        rf" $\pm$ standard deviation over {units}, and the verdict on that data set alone."
    )
    return verdict_tables.labelled_table(summary, venue, "datasets", caption, columns, rows)


def _cell(side: Side | None) -> str:
    if side is None or side.mean is None:
        return typeset.NONE
    mean = side.mean.estimate
    spread = "" if side.sd is None else rf" $\pm$ {typeset.number(side.sd, mean)}"
    return typeset.number(mean) + spread


def _figures(outcome: ResultsVerdict, folder: Path) -> tuple[list[FigureEntry], dict[str, str]]:
    """Draw the figures; their entries, and pictures for the page."""
    drawn, pictures = [], {}
    for number, (name, numbers) in enumerate(_numbers(outcome), start=1):
        caption = load(name).caption(numbers)
        pictures[name] = rendering.render(name, numbers, caption, folder)
        drawn.append(FigureEntry(name=name, number=number, caption=caption, of=CONFIRMATION))
    return drawn, pictures


def _numbers(outcome: ResultsVerdict) -> Iterator[tuple[str, Any]]:
    """The figures that can be drawn, each with its numbers."""
    verdict, across = outcome.verdict, outcome.across
    if len(outcome.datasets) == 1:
        # The forest plot needs the verdict only; there are no trials and no study.
        source = "The value of a search replicate is the mean over its seeds."
        if verdict.unit == Unit.SEED:
            source = "What a seed changes is not recorded."
        findings = Findings(
            study=StoredStudy(), trials=(), verdict=verdict, seeds=f"{verdict.unit}s", source=source
        )
        with suppress(LeftOut):
            yield "forest", forest.summarize(findings)
    elif across is not None:
        # A profile counts data sets above a threshold, which means nothing where lower is better.
        if verdict.direction == "maximize":
            yield "performance_profile", performance_profile.summarize(across)
        yield "critical_difference", critical_difference.summarize(across, verdict.alpha)


def _data(outcome: ResultsVerdict) -> dict[str, tidy.Rows]:
    fields = ("dataset", "strategy", "seed", "value", "state", "run_id")
    # An empty text is unknown; a value of 0 is not.
    runs = [
        {name: None if (cell := getattr(row, name)) == "" else cell for name in fields}
        for row in outcome.results.rows
    ]
    pairs = [
        {"dataset": name or None, **row}
        for name, verdict in outcome.datasets.items()
        for row in tidy.pairs(verdict)
    ]
    return {"results": runs, "pairs": pairs}
