"""The report's ``mistakes``: of each strategy the scores of its classes and its worst mistakes.

All of it is on validation data, and was computed and drawn by the trial itself.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from operator import itemgetter
from typing import Any

from workbench.plotting import mistakes
from workbench.report.results import ConfirmationResult
from workbench.report.trials import best, best_of_each
from workbench.tracker.stored_study import StoredStudy
from workbench.tracker.trial_artifacts import TrialArtifacts
from workbench.tracker.trial_run import TrialRun

_MOST_SCORES = 30  # rows; of more classes, those with the lowest scores are shown


@dataclass(frozen=True, kw_only=True)
class Mistake:
    """One sample: its text if it is one, what it is, what was predicted, and how wrong that is."""

    sample: str
    text: str | None
    true: str
    predicted: str
    size: float


@dataclass(frozen=True, kw_only=True)
class StrategyMistakes:
    """What one trial of a strategy predicts wrongly.

    Attributes:
        run_id: Of the trial.
        trial: Its name.
        seed: Of a confirmation run; None for the best trial of the search.
        first: Whether it is of the strategy that is shown first of all.
        measure: What ``size`` of a mistake is: ``confidence`` or ``error``.
        scores: A row for each class, label or column; at most ``_MOST_SCORES``, of ``classes``.
        pictures: Those that the trial has drawn.
    """

    strategy: str
    run_id: str
    trial: str
    seed: str | None
    first: bool
    measure: str
    scores: tuple[Mapping[str, float | str], ...]
    classes: int
    mistakes: tuple[Mistake, ...]
    pictures: tuple[str, ...]


def summarize(
    study: StoredStudy,
    trials: Sequence[TrialRun],
    confirmation: ConfirmationResult | None,
    artifacts: Mapping[str, TrialArtifacts],
) -> tuple[StrategyMistakes, ...]:
    """Of each strategy that has any, in the order of the confirmation, else of the study.

    Args:
        study: Its description.
        trials: Of the search, also of the levels that were added.
        confirmation: None where none has begun.
        artifacts: By run id.
    """
    chosen = best_of_each(study, trials)
    top = best(study, trials)
    found: list[StrategyMistakes] = []
    for name, seed, run_id in _runs(chosen, confirmation, artifacts):
        shown, of_search = artifacts[run_id], chosen.get(name)
        rows = [_numbers(row) for row in shown.scores]
        if len(rows) > _MOST_SCORES:
            # The measure before the number of samples: F1, or R2.
            key = list(rows[0])[-2]
            rows = sorted(rows, key=itemgetter(key))[:_MOST_SCORES]
        measure = mistakes.size_of(shown.mistakes[0]) if shown.mistakes else ""
        found.append(
            StrategyMistakes(
                strategy=name,
                run_id=run_id,
                trial=of_search.name if of_search and seed is None else f"confirmation/{name}/000",
                seed=seed,
                first=not found if confirmation and confirmation.finished else of_search is top,
                measure=measure,
                scores=tuple(rows),
                classes=len(shown.scores),
                mistakes=tuple(_mistake(row, measure) for row in shown.mistakes),
                pictures=tuple(shown.pictures),
            )
        )
    return tuple(found)


def _runs(
    chosen: Mapping[str, TrialRun],
    confirmation: ConfirmationResult | None,
    artifacts: Mapping[str, TrialArtifacts],
) -> Iterator[tuple[str, str | None, str]]:
    """Strategy, seed and run: the confirmation's first seed, else the search's best trial."""
    finished = confirmation is not None and confirmation.finished
    arms = confirmation.arms if confirmation and finished else ()
    for name in [arm.name for arm in arms] or chosen:
        runs = [(r.seed, r.run_id) for a in arms if a.name == name for r in a.runs if r.number == 0]
        options = [*runs, *((None, t.run_id) for t in [chosen.get(name)] if t)]
        useful = [(s, run) for s, run in options if run in artifacts and artifacts[run].scores]
        if useful:
            yield name, *useful[0]


def _mistake(row: Mapping[str, Any], measure: str) -> Mistake:
    return Mistake(
        sample=str(row.get("name") or row.get("sample", "")),
        text=row.get("text"),
        true=mistakes.words(row["true"]),
        predicted=mistakes.words(row["predicted"]),
        size=float(row.get(measure, "nan")),
    )


def _numbers(row: Mapping[str, str]) -> dict[str, float | str]:
    """The first column is a name, all others are numbers."""
    name, *others = row.items()
    return {name[0]: name[1], **{key: float(value) for key, value in others}}
