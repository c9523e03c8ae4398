"""From evidence to fixed words: what may be claimed, how far the claim reaches, and why not more.

Pure: arrays and plain data in, a judgement out. The rules are procedure 4 and 5 of the project's
protocol (docs/confirmation.md); the statistics are those of ``statistics``. Knows no store, no
study file and no report.
"""

from workbench.verdict.evidence import Arm, Design, Doubt, Evidence, Run, Stage
from workbench.verdict.judgement import (
    Bounds,
    Comparison,
    Level,
    SeedPlan,
    Side,
    Verdict,
    Word,
    as_json,
)

__all__ = [
    "Arm",
    "Bounds",
    "Comparison",
    "Design",
    "Doubt",
    "Evidence",
    "Level",
    "Run",
    "SeedPlan",
    "Side",
    "Stage",
    "Verdict",
    "Word",
    "as_json",
    "decide",
]


def decide(evidence: Evidence) -> Verdict:
    """The verdict that the evidence allows."""
    raise NotImplementedError
