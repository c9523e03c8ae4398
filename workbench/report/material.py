"""What a report is made from: a study as the tracker reads it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from workbench.tracker.stored_study import StoredStudy
from workbench.tracker.trial_artifacts import TrialArtifacts
from workbench.tracker.trial_run import TrialRun

# Run id to metric to (epochs done, value), in the order of the epochs.
Histories = Mapping[str, Mapping[str, Sequence[tuple[float, float]]]]

# Run id to column to the true and the predicted number of each test sample.
Predictions = Mapping[str, Mapping[str, tuple[Sequence[float], Sequence[float]]]]


@dataclass(frozen=True, kw_only=True)
class Material:
    """A study as the tracker reads it.

    Attributes:
        trials: Of every role: search, selection, confirmation, tries.
        scores: By run id, a score for each test example of a confirmation run.
        predictions: Of the first seed of each arm, where the task predicts numbers.
        histories: Of some runs, by run id and metric.
        artifacts: Of some runs, by run id, their mistakes on validation data.
        protocol_on_disk: SHA-256 of protocol.json in the study's folder now; None where this
            machine does not have the folder.
        second_on_disk: The same of protocol-2.json.
        tested_by_others: A sentence for each other study that used the same test samples.
        added: The studies of the levels that were added to this one, in their order.
    """

    study: StoredStudy
    trials: tuple[TrialRun, ...]
    scores: Mapping[str, Sequence[float]] = field(default_factory=dict)
    predictions: Predictions = field(default_factory=dict)
    histories: Histories = field(default_factory=dict)
    artifacts: Mapping[str, TrialArtifacts] = field(default_factory=dict)
    protocol_on_disk: str | None = None
    second_on_disk: str | None = None
    tested_by_others: tuple[str, ...] = ()
    added: tuple[Material, ...] = ()
