"""What a report is made of: all that was read of a study, before anything is made of it.

Plain data. Knows neither where it was read (MLflow, a test) nor what a report says of it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import pandas as pd


@dataclass(frozen=True, kw_only=True)
class Material:
    """A study as the tracker reads it.

    Attributes:
        study: Its resolved description, with ``protocol``, ``protocol_sha256``,
            ``protocol_logged`` and ``selection`` where it was confirmed.
        trials: A row for each run: search, selection, confirmation, tries.
        scores: By run id, a score for each test example of a confirmation run.
        histories: By run id and metric, (epoch, value) of every epoch.
        protocol_on_disk: SHA-256 of the study's protocol.json as it lies beside the records now;
            None where the records are not here.
        tested_by_others: A sentence for each other study that has tested the same test samples.
    """

    study: Mapping[str, Any]
    trials: pd.DataFrame
    scores: Mapping[str, Sequence[float]] = field(default_factory=dict)
    histories: Mapping[str, Mapping[str, Sequence[tuple[float, float]]]] = field(
        default_factory=dict
    )
    protocol_on_disk: str | None = None
    tested_by_others: tuple[str, ...] = ()
