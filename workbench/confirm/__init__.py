"""The confirmation as two fixed lists of runs: the selection on validation data, then the test.

Reads and writes records alone. Knows neither MLflow nor where runs are carried out, and judges
nothing: what the test values mean is for ``verdict``.
"""

from workbench.confirm.arms import Arm, Chosen, Selected, choose, write_selection
from workbench.confirm.offer import Offer, offer_of
from workbench.confirm.replicates import Replicates, confirmation, selection

__all__ = [
    "Arm",
    "Chosen",
    "Offer",
    "Replicates",
    "Selected",
    "choose",
    "confirmation",
    "offer_of",
    "selection",
    "write_selection",
]
