"""The report of a study: search trials to report.json, and everything else rendered from that.

There is no confirmation yet, so every report is EXPLORATORY: it describes what the search saw and
claims nothing (statistics.md, verdicts). Knows neither MLflow nor torch: whoever calls it brings
the trials. Matplotlib is imported only while figures are drawn.
"""

from __future__ import annotations

import json
import math
import shutil
import tempfile
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from workbench import templates
from workbench.figures import FIGURES, LeftOut, load, sources, table, validity
from workbench.figures.trials import Trial, best, is_adaptive, read
from workbench.record import Role, State
from workbench.report import described, methods

# What a report's folder holds; whatever else lies in it is the user's.
CONTENTS = ("index.html", "report.md", "report.json", "tables", "figures", "data")

_SCHEMA = 1
_NEEDED = ("name", "mode", "objective", "factors", "strategies", "tune", "search")


def summarize(study: Mapping[str, Any], trials: pd.DataFrame) -> dict[str, Any]:
    """The content of report.json: plain JSON values, floats unrounded, unknown numbers None.

    ``usable`` is False where no search trial completed with a value.

    Args:
        study: The resolved description of the study, as the tracker reads it.
        trials: A row for each trial run; only those of the search count.

    Raises:
        ValueError: The description lacks what no report can do without.
    """
    lacking = [name for name in _NEEDED if name not in study]
    if lacking:
        raise ValueError(
            f"The description of the study lacks {', '.join(lacking)}; without them no report can"
            " be written. It is logged when the study is run: run the study again."
        )
    rows = read(study, trials)
    figures, left_out = _figures(study, rows)
    found = (*validity.summarize(study, rows), *sources.summarize(study))
    checks = [check._asdict() for check in found]
    strategies = table.summarize(study, rows)
    top = best(study, rows)
    summary = {
        "schema": _SCHEMA,
        "study": study["name"],
        "question": study.get("question") or "",
        "mode": study["mode"],
        "usable": top is not None,
        "claim": _claim(study, rows),
        "progress": _progress(study, trials, rows),
        "objective": study["objective"],
        "top": table.describe(top) if top else None,
        "baseline": study.get("baseline"),
        "strategies": strategies,
        "metrics": table.metric_names(study, strategies),
        "knobs": table.knob_names(study, strategies),
        "health": checks,
        "warnings": sum(check["status"] == "warning" for check in checks),
        "failures": [
            {**table.describe(t), "reason": t.reason} for t in rows if t.state == State.FAILED
        ],
        "divergence": table.divergence(rows),
        "factors": study["factors"],
        "search_space": described.search_space(study),
        "tuned": list(dict.fromkeys(entry["knob"] for entry in study["tune"])),
        "search": {name: value for name, value in study["search"].items() if value or value == 0},
        "budget": described.budget(study),
        "epochs": described.epochs(study, rows),
        "plan": described.training(study),
        "methods": methods.used(study),
        "data": described.data(study),
        "backbone": described.backbone(study),
        "figures": figures,
        "left_out": left_out,
        "provenance": described.provenance(study, rows),
    }
    plain: dict[str, Any] = _plain(summary)
    return plain


def markdown_summary(summary: Mapping[str, Any]) -> str:
    """A note of fewer than 6000 characters for the study's MLflow run, while it runs and after."""
    return templates.note(summary)


def write(study: Mapping[str, Any], trials: pd.DataFrame, folder: Path) -> Path:
    """Write the whole report, or leave the folder as it was.

    The same input gives the same bytes. An earlier report in the folder is replaced whole; other
    files beside it (those not in ``CONTENTS``) stay.

    Returns:
        The path of index.html.

    Raises:
        FileExistsError: The folder holds something else than a report.
    """
    from workbench.figures import style

    folder = folder.resolve()
    _refuse_anything_but_a_report(folder)
    summary = summarize(study, trials)
    rows = read(study, trials)
    folder.parent.mkdir(parents=True, exist_ok=True)
    # A name of its own: what a killed process left behind may hold a user's files.
    beside = Path(tempfile.mkdtemp(prefix=f".{folder.name[:200]}.", dir=folder.parent))
    new, old = beside / "new", beside / "old"
    try:
        pictures = {}
        for entry in summary["figures"]:
            figure = load(entry["name"])
            drawing = figure.draw(figure.summarize(study, rows))
            style.save(drawing, new / "figures" / entry["name"])
            pictures[entry["name"]] = style.inline_svg(drawing, entry["name"], entry["caption"])
        text = json.dumps(summary, indent=1, ensure_ascii=False, allow_nan=False)
        files = {
            "report.json": text + "\n",
            "index.html": templates.html(summary, pictures),
            "report.md": templates.markdown(summary),
            "tables/strategies.tex": templates.latex(summary),
            "tables/strategies.csv": templates.csv(summary),
            "data/trials.csv": templates.trials_csv([table.flat(trial) for trial in rows]),
        }
        for name, content in files.items():
            path = new / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(content, encoding="utf-8", newline="\n")
        if folder.exists():
            folder.rename(old)
            _move_others(old, new)
        new.rename(folder)
    finally:
        if old.exists() and not folder.exists():
            _move_others(new, old)
            old.rename(folder)
        shutil.rmtree(beside, ignore_errors=True)
    return folder / "index.html"


def _move_others(source: Path, target: Path) -> None:
    """Move what is the user's own from one report's folder to another."""
    for path in sorted(source.iterdir()):
        if path.name not in CONTENTS:
            path.rename(target / path.name)


def _refuse_anything_but_a_report(folder: Path) -> None:
    # The folder is replaced whole, and a user may have named one that holds work of theirs.
    if not folder.exists() or (folder.is_dir() and not any(folder.iterdir())):
        return
    if not (folder / "report.json").is_file():
        raise FileExistsError(
            f"{folder} exists and is no report (it holds no report.json), so it is not replaced;"
            " name an empty or a new folder."
        )


def _claim(study: Mapping[str, Any], rows: Sequence[Trial]) -> dict[str, Any]:
    notes = [
        "Every value was measured on validation data with one training seed; the test split was"
        " not loaded."
    ]
    if is_adaptive(study):
        notes.append(
            "Trials were proposed adaptively: later ones depend on the values of earlier ones, so"
            " their spread and centre describe the search, not the strategy."
        )
    if study["mode"] == "joint":
        notes.append(
            "One search proposed all strategies together, so their numbers of trials differ by"
            " design: counts and best values are listed, medians are not."
        )
    targets = described.targets(study)
    others = [trial for trial in rows if targets and trial.group not in targets]
    if others:
        names = ", ".join(sorted({trial.strategy for trial in others}))
        trials = "1 trial" if len(others) == 1 else f"{len(others)} trials"
        notes.append(
            f"The study's file no longer names every strategy: {trials} of {names} are listed, but"
            " do not count towards the planned number of trials."
        )
    return {
        "level": "EXPLORATORY",
        "statement": "These numbers come from the search alone. They show which settings reached"
        " which values, and may suggest what to test next; they support no claim that one strategy"
        " is ahead of another.",
        "notes": notes,
    }


def _progress(
    study: Mapping[str, Any], trials: pd.DataFrame, rows: Sequence[Trial]
) -> dict[str, Any]:
    counts = Counter(trial.state for trial in rows)
    roles = Counter(map(str, trials["role"]))
    ended = sum(trial.ended for trial in rows)
    planned = (study.get("budget") or {}).get("total")
    done, finished = ended, ended == len(rows) and (planned is None or ended >= planned)
    if targets := described.targets(study):
        counted = [trial for trial in rows if trial.group in targets]
        by_group = Counter(trial.group for trial in counted if trial.ended)
        planned = sum(targets.values())
        # What one group has beyond its target makes up for nothing that another one lacks.
        done = sum(min(by_group[group], target) for group, target in targets.items())
        finished = done == planned and all(trial.ended for trial in counted)
    return {
        "planned": planned,
        "done": done,
        "started": len(rows),
        "ended": ended,
        **{str(state): counts[state] for state in State},
        "open": len(rows) - ended,
        "diverged": sum(trial.diverged for trial in rows),
        "stopped_early": sum(trial.stopped_early for trial in rows),
        "finished": finished,
        "other_roles": {r: n for r, n in sorted(roles.items()) if r != Role.SEARCH},
    }


def _figures(
    study: Mapping[str, Any], rows: Sequence[Trial]
) -> tuple[list[dict[str, Any]], list[dict[str, str]]]:
    """Figures with number and caption, and those left out with the reason."""
    drawn: list[dict[str, Any]] = []
    left_out = []
    for name in FIGURES:
        figure = load(name)
        try:
            caption = figure.caption(figure.summarize(study, rows))
        except LeftOut as reason:
            left_out.append({"name": name, "reason": str(reason)})
        else:
            drawn.append({"name": name, "number": len(drawn) + 1, "caption": caption})
    return drawn, left_out


def _plain(value: Any) -> Any:
    """Values of any kind as JSON's own; a number that is not finite becomes None."""
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [_plain(item) for item in value]
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    return value if value is None or isinstance(value, bool | int | str) else str(value)
