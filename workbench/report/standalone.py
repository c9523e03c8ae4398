"""Writes the verdict on external results as files: page, data, tables and numbers for a paper.

Used by ``workbench verdict --out``. Matplotlib is imported only while figures are drawn.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from workbench.report import templates, tidy, wording, writing
from workbench.report.content import Judged
from workbench.report.figures import (
    Findings,
    LeftOut,
    critical_difference,
    load,
    performance_profile,
)
from workbench.report.paper import booktabs, files, macros, typeset, verdict_tables
from workbench.report.paper.booktabs import Column
from workbench.tracker.stored_study import StoredStudy
from workbench.verdict import Side, Verdict, as_json
from workbench.verdict.external import ExternalVerdict

# What Workbench writes to a verdict's folder; everything else in it belongs to the user.
CONTENTS = (
    *("index.html", "results.json", "tables", "figures", "data"),
    *("macros.tex", "captions.tex", "example.tex"),
)
_VENUE = "neurips"


def write(found: ExternalVerdict, folder: Path) -> Path:
    """Write everything, or leave the folder as it was; the same results give the same bytes.

    Returns:
        The path of index.html.

    Raises:
        FileExistsError: The folder is not empty and contains no verdict.
    """
    study, content = Path(found.results.source).stem, found.as_json()
    summaries = _summaries(study, found)
    tested = {name: _tested_by(verdict, "seed") for name, verdict in found.datasets.items()}
    tested[""] = summaries[0].test
    # results.json marks the folder as ours; see ``writing.replacing``.
    with writing.replacing(folder, CONTENTS, "results.json") as new:
        drawn, pictures = _figures(found, new / "figures")
        page = templates.page(
            "verdict.html",
            pictures,
            study=study,
            content=content,
            figures=drawn,
            tested=tested,
            why=wording.why(found.verdict),
        )
        texts = {
            **_texts(
                summaries,
                found,
                files.named((figure["name"], figure["caption"]) for figure in drawn),
            ),
            "results.json": json.dumps(content, indent=1, ensure_ascii=False) + "\n",
            "index.html": page,
        }
        writing.write_files(texts, new)
        tidy.write(_data(found), new / "data")
    return folder.resolve() / "index.html"


def _summaries(study: str, found: ExternalVerdict) -> list[Judged]:
    """What tables and numbers are written from: the whole, then each of several data sets."""
    several = len(found.datasets) > 1
    summaries = [_summary(study, found.verdict, "data set" if several else "seed")]
    if several:
        for name, verdict in found.datasets.items():
            summaries.append(_summary(f"{study} {name}", verdict, "seed"))
    return summaries


def _summary(study: str, verdict: Verdict, unit: str) -> Judged:
    rows = list(wording.rows(verdict))
    compared = verdict.word in wording.COMPARED
    return Judged(
        study=study,
        verdict=verdict,
        test=_tested_by(verdict, unit),
        emphasis=wording.emphasis(
            verdict,
            best=compared and any(row.best for row in rows),
            tied=any(row.tied for row in rows),
            what="strategy",
        ),
        caution=wording.caution(verdict),
        unit=unit,
        external=True,
    )


def _tested_by(verdict: Verdict, unit: str) -> str | None:
    return wording.sign_flip(verdict) if unit == "seed" else "Wilcoxon's signed-rank test"


def _texts(
    summaries: Sequence[Judged],
    found: ExternalVerdict,
    figures: Sequence[Mapping[str, Any]],
) -> dict[str, str]:
    tables: dict[str, str] = {}
    if len(found.datasets) > 1:
        tables["tables/datasets.tex"] = _datasets(summaries[0].study, found)
    taken: set[str] = set()
    numbers = []
    for at, summary in enumerate(summaries):
        start = f"tables/{f'{at}-' if at else ''}"
        for name, text in verdict_tables.judged(summary, _VENUE).items():
            tables[f"{start}{name}.tex"] = text
        numbers.append(macros.macros(summary, taken))
    main = summaries[0]
    example = files.example(
        main,
        venue=_VENUE,
        tables=list(tables),
        figures=figures,
        cites=False,
    )
    return {
        **tables,
        "macros.tex": "\n".join(numbers),
        "captions.tex": files.captions(main, figures),
        "example.tex": example,
    }


def _datasets(study: str, found: ExternalVerdict) -> str:
    """Mean and SD of each strategy on each data set; nothing is emphasised."""
    verdicts = found.datasets
    names = list(dict.fromkeys(side.name for one in verdicts.values() for side in one.sides))
    rows: list[list[str] | None] = []
    for dataset, verdict in verdicts.items():
        sides = {side.name: side for side in verdict.sides}
        cells = [_cell(sides.get(name)) for name in names]
        rows.append([typeset.name(dataset), *cells, typeset.text(verdict.word)])
    if found.across is not None:
        ranks = dict(zip(found.across.strategies, found.across.ranks, strict=True))
        rows += [None, ["average rank", *(typeset.share(ranks[name]) for name in names), ""]]
    columns = [Column(head="data set", align="p")]
    columns += [Column(head=typeset.name(name, 30)) for name in names]
    columns.append(Column(head="verdict", align="p"))
    caption = (
        rf"{typeset.text(study)}: {typeset.text(found.verdict.metric)} on each data set, mean $\pm$"
        " standard deviation over seeds, and the verdict on that data set alone."
    )
    return booktabs.table(
        label=f"tab:{typeset.label(study, 'datasets')}",
        caption=caption,
        columns=columns,
        rows=rows,
        venue=_VENUE,
        about=f"data sets of {study}",
    )


def _cell(side: Side | None) -> str:
    if side is None or side.mean is None:
        return typeset.NONE
    mean = side.mean.estimate
    spread = "" if side.sd is None else rf" $\pm$ {typeset.number(side.sd, mean)}"
    return typeset.number(mean) + spread


def _figures(found: ExternalVerdict, folder: Path) -> tuple[list[dict[str, Any]], dict[str, str]]:
    """Draw the figures; names with captions, and pictures for the page."""
    from workbench.plotting import saving

    drawn: list[dict[str, Any]] = []
    pictures = {}
    for name, numbers in _numbers(found):
        figure = load(name)
        caption = figure.caption(numbers)
        picture = figure.draw(numbers)
        saving.save(picture, folder / name)
        pictures[name] = saving.inline_svg(picture, name, caption)
        drawn.append({"name": name, "number": len(drawn) + 1, "caption": caption})
    return drawn, pictures


def _numbers(found: ExternalVerdict) -> list[tuple[str, Any]]:
    """The figures that can be drawn, each with its numbers."""
    if len(found.datasets) == 1:
        # The forest plot needs the verdict only; there are no trials and no study.
        findings = Findings(
            study=StoredStudy(),
            trials=(),
            verdict=found.verdict,
            seeds="seeds",
            source="What a seed changes is not recorded.",
        )
        try:
            return [("forest", load("forest").summarize(findings))]
        except LeftOut:
            return []
    if found.across is None:
        return []
    table, names = np.array(found.across.means), found.across.strategies
    maximize = found.verdict.direction == "maximize"
    figures: list[tuple[str, Any]] = []
    # A profile counts data sets above a threshold, which means nothing where lower is better.
    if maximize:
        figures.append(("performance_profile", performance_profile.summarize_table(names, table)))
    ranked = critical_difference.summarize_table(names, table if maximize else -table)
    return [*figures, ("critical_difference", ranked)]


def _data(found: ExternalVerdict) -> dict[str, Any]:
    rows = found.results.rows
    fields = ("dataset", "strategy", "seed", "value", "state", "run_id")
    runs = [{name: getattr(row, name) or None for name in fields} for row in rows]
    for run, row in zip(runs, rows, strict=True):
        run["value"] = row.value  # ``or None`` above would lose a value of 0
    pairs = [
        {"dataset": name or None, **row}
        for name, verdict in found.datasets.items()
        for row in tidy.pairs(as_json(verdict))
    ]
    return {"results": tidy.frame(runs), "pairs": tidy.frame(pairs)}
