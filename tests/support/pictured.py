"""Findings of the study that ``confirmed`` makes by hand, as a report hands them to its figures."""

from __future__ import annotations

from functools import cache
from typing import Any

from tests.support import confirmed
from workbench.report.findings import Findings
from workbench.report.summary import compose
from workbench.report.trials import read


@cache
def findings(**knobs: Any) -> Findings:
    """All of it; the knobs are the fields of ``confirmed.Case``."""
    composed = compose(confirmed.material(**knobs))
    return Findings(
        study=composed.material.study,
        trials=read(composed.material.study, composed.material.trials),
        confirmation=composed.content["confirmation"],
        verdict=composed.content["verdict"],
        histories=composed.material.histories,
    )
