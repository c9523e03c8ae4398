"""The confirmation as two fixed lists of runs: the selection on validation data, then the test.

Reads and writes records alone.
"""

from workbench.study.confirm.offer import Offer, offer_of
from workbench.study.confirm.replicates import Replicates, confirmation, selection
from workbench.study.confirm.selection import Arm, Chosen, Selected, choose, write_selection

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
