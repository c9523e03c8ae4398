"""From evidence to fixed words: what may be claimed, how far the claim reaches, and why not more.

Pure functions of plain data. docs/confirmation.md has the rules, ``statistics`` the numbers.
"""

from __future__ import annotations

from workbench.verdict.evidence import (
    ALPHA,
    Arm,
    Design,
    Doubt,
    Evidence,
    Run,
    Stage,
    corrected,
    level,
)
from workbench.verdict.judgement import (
    Comparison,
    Effect,
    Level,
    SeedPlan,
    Side,
    Size,
    Unit,
    Verdict,
    Word,
    as_json,
)
from workbench.verdict.refusals import REFUSALS, ClaimError, Refusal

__all__ = [
    "ALPHA",
    "REFUSALS",
    "Arm",
    "ClaimError",
    "Comparison",
    "Design",
    "Doubt",
    "Effect",
    "Evidence",
    "Level",
    "Refusal",
    "Run",
    "SeedPlan",
    "Side",
    "Size",
    "Stage",
    "Unit",
    "Verdict",
    "Word",
    "as_json",
    "corrected",
    "decide",
    "level",
]


def decide(evidence: Evidence, *, draws: int = 10_000) -> Verdict:
    """The verdict that the evidence allows.

    Args:
        evidence: Checked here: what does not fit together is NOT COMPARABLE, with the reason.
        draws: Of the bootstrap of the probability of improvement; a fifth of them for the two-level
            bootstrap. Fewer only where many verdicts are simulated.

    Raises:
        ValueError: Two arms have one name, or no arm is the baseline of the contrast.
    """
    from workbench.verdict.deciding import decide

    return decide(evidence, draws=draws)
