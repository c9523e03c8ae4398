"""What a figure of the report may show: a study, its trials, and what confirmed them.

Plain data, put together by whoever writes the report. Knows neither where it comes from nor which
figure wants which part of it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from workbench.report.trials import Trial

# Run id to metric to (epochs done, value), in the order of the epochs.
Histories = Mapping[str, Mapping[str, Sequence[tuple[float, float]]]]


@dataclass(frozen=True, kw_only=True)
class Findings:
    """All that figures are made from.

    Attributes:
        study: The resolved description of the study, as the tracker reads it.
        trials: Those of the search.
        confirmation: The report's ``confirmation``: the arms with their values by seed. None where
            there is none; without arms' values while it is unfinished.
        verdict: The report's ``verdict``: sides and comparisons, as ``verdict.as_json`` writes it.
        histories: Metrics by epoch of some runs; may be empty.
    """

    study: Mapping[str, Any]
    trials: Sequence[Trial]
    confirmation: Mapping[str, Any] | None = None
    verdict: Mapping[str, Any] | None = None
    histories: Histories = field(default_factory=dict)
