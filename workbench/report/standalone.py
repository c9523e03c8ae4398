"""A verdict on results from elsewhere as files: page, tables and numbers for a paper, data.

Writes out and computes nothing. Matplotlib is imported only while figures are drawn.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from workbench.report import templates, tidy, wording
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
from workbench.verdict import Verdict
from workbench.verdict.results import Results, Unreadable
from workbench.verdict.wording.numbers import counted

# What the folder of a verdict holds; whatever else lies in it is the user's.
CONTENTS = (
    *("index.html", "results.json", "tables", "figures", "data"),
    *("macros.tex", "captions.tex", "example.tex"),
)
_VENUE = "neurips"
_FOLDER = Path(templates.__file__).parent


def write(
    found: Results,
    content: Mapping[str, Any],
    verdicts: Mapping[str, Verdict],
    overall: Verdict,
    folder: Path,
) -> Path:
    """Write everything; the same results give the same bytes.

    Args:
        found: The results.
        content: Of results.json.
        verdicts: Of each data set.
        overall: Over all of them; of a single data set its own.
        folder: Where to write.

    Returns:
        The path of index.html.

    Raises:
        Unreadable: The folder holds something else than a verdict.
    """
    folder = folder.resolve()
    _clear(folder)
    study = Path(found.source).stem
    summaries = _summaries(study, verdicts, overall)
    drawn, pictures = _figures(overall, content, folder / "figures")
    figures = files.named((figure["name"], figure["caption"]) for figure in drawn)
    texts = _texts(summaries, content, figures)
    texts["results.json"] = json.dumps(content, indent=1, ensure_ascii=False) + "\n"
    texts["index.html"] = _page(study, content, verdicts, overall, drawn, pictures)
    for name, text in texts.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8", newline="\n")
    tidy.write(_data(found, content), folder / "data")
    return folder / "index.html"


def _clear(folder: Path) -> None:
    if folder.is_dir() and any(folder.iterdir()) and not (folder / "results.json").is_file():
        raise Unreadable(
            f"{folder} exists and holds no verdict (there is no results.json in it), so nothing in"
            " it is replaced; name an empty or a new folder."
        )
    if folder.exists() and not folder.is_dir():
        raise Unreadable(f"{folder} is a file; name a folder.")
    folder.mkdir(parents=True, exist_ok=True)
    for name in CONTENTS:
        path = folder / name
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)


def _summaries(study: str, verdicts: Mapping[str, Verdict], overall: Verdict) -> list[Judged]:
    """What tables and numbers are written from: all of it, then each of several data sets."""
    if len(verdicts) == 1:
        return [_summary(study, overall, "seed")]
    each = [_summary(f"{study} {name}", verdict, "seed") for name, verdict in verdicts.items()]
    return [_summary(study, overall, "data set"), *each]


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
    content: Mapping[str, Any],
    figures: Sequence[Mapping[str, Any]],
) -> dict[str, str]:
    tables: dict[str, str] = {}
    if len(content["datasets"]) > 1:
        tables["tables/datasets.tex"] = _datasets(summaries[0].study, content)
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


def _datasets(study: str, content: Mapping[str, Any]) -> str:
    """Mean and SD of each strategy on each data set; nothing emphasised."""
    names = list(
        dict.fromkeys(
            side["name"] for item in content["datasets"] for side in item["verdict"]["sides"]
        )
    )
    rows: list[list[str] | None] = []
    for item in content["datasets"]:
        sides = {side["name"]: side for side in item["verdict"]["sides"]}
        cells = [_cell(sides.get(name)) for name in names]
        rows.append([typeset.name(item["name"]), *cells, typeset.text(item["verdict"]["word"])])
    across = content["across"]
    if across:
        ranks = dict(zip(across["strategies"], across["ranks"], strict=True))
        rows += [None, ["average rank", *(typeset.share(ranks[name]) for name in names), ""]]
    columns = [Column(head="data set", align="p")]
    columns += [Column(head=typeset.name(name, 30)) for name in names]
    columns.append(Column(head="verdict", align="p"))
    metric = typeset.text(content["verdict"]["metric"])
    caption = (
        rf"{typeset.text(study)}: {metric} on each data set, mean $\pm$ standard deviation over"
        " seeds, and the verdict of each data set for itself."
    )
    return booktabs.table(
        label=f"tab:{typeset.label(study, 'datasets')}",
        caption=caption,
        columns=columns,
        rows=rows,
        venue=_VENUE,
        about=f"data sets of {study}",
    )


def _cell(side: Mapping[str, Any] | None) -> str:
    if side is None or not side["mean"]:
        return typeset.NONE
    mean = side["mean"]["estimate"]
    spread = "" if side["sd"] is None else rf" $\pm$ {typeset.number(side['sd'], mean)}"
    return typeset.number(mean) + spread


def _figures(
    overall: Verdict, content: Mapping[str, Any], folder: Path
) -> tuple[list[dict[str, Any]], dict[str, str]]:
    """Draws what there is to draw; names with captions, and pictures for the page."""
    from workbench.plotting import style

    drawn: list[dict[str, Any]] = []
    pictures = {}
    for name, numbers in _numbers(overall, content):
        figure = load(name)
        caption = figure.caption(numbers)
        picture = figure.draw(numbers)
        style.save(picture, folder / name)
        pictures[name] = style.inline_svg(picture, name, caption)
        drawn.append({"name": name, "number": len(drawn) + 1, "caption": caption})
    return drawn, pictures


def _numbers(overall: Verdict, content: Mapping[str, Any]) -> list[tuple[str, Any]]:
    found: list[tuple[str, Any]] = []
    if len(content["datasets"]) == 1:
        # Without a confirmation there is nothing else that a figure could look at.
        findings = Findings(
            study=StoredStudy(),
            trials=(),
            verdict=overall,
            seeds="seeds",
            source="What a seed draws anew is not recorded.",
        )
        try:
            found.append(("forest", load("forest").summarize(findings)))
        except LeftOut:
            return []
        return found
    across = content["across"]
    if not across:
        return []
    table, names = np.array(across["means"]), across["strategies"]
    maximizes = overall.direction == "maximize"
    if maximizes:
        found.append(("performance_profile", performance_profile.summarize_table(names, table)))
    turned = table if maximizes else -table
    found.append(("critical_difference", critical_difference.summarize_table(names, turned)))
    return found


def _page(
    study: str,
    content: Mapping[str, Any],
    verdicts: Mapping[str, Verdict],
    overall: Verdict,
    drawn: Sequence[Mapping[str, Any]],
    pictures: Mapping[str, str],
) -> str:
    environment = Environment(
        loader=FileSystemLoader(_FOLDER),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {
        "number": templates.number,
        "reach": templates.reach,
        "scale": templates.scale,
        "given": templates.given,
        "counted": counted,
        "p_value": templates.p_value,
        "share": templates.share,
    }
    tested = {name: _tested_by(verdict, "seed") for name, verdict in verdicts.items()}
    tested[""] = _tested_by(overall, "data set" if len(verdicts) > 1 else "seed")
    return environment.get_template("verdict.html").render(
        study=study,
        content=content,
        tested=tested,
        why=wording.why(overall),
        figures=drawn,
        pictures={name: Markup(text) for name, text in pictures.items()},
        style=Markup((_FOLDER / "report.css").read_text(encoding="utf-8")),
    )


def _data(found: Results, content: Mapping[str, Any]) -> dict[str, Any]:
    fields = ("dataset", "strategy", "seed", "value", "state", "run_id")
    runs = [{name: getattr(row, name) or None for name in fields} for row in found.rows]
    for run, row in zip(runs, found.rows, strict=True):
        run["value"] = row.value  # 0 is a value
    pairs = [
        {"dataset": item["name"] or None, **row}
        for item in content["datasets"]
        for row in tidy.pairs(item["verdict"])
    ]
    return {"results": tidy.frame(runs), "pairs": tidy.frame(pairs)}
