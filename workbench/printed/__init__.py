"""What the commands print: plain data as tables for a terminal.

Knows rich and the shape of the data; computes nothing.
"""

from workbench.printed.ahead import plan
from workbench.printed.endings import confirmed, outcome, report
from workbench.printed.offers import offer
from workbench.printed.records import studies, study, trial
from workbench.printed.verdicts import Judged, verdict

__all__ = [
    "Judged",
    "confirmed",
    "offer",
    "outcome",
    "plan",
    "report",
    "studies",
    "study",
    "trial",
    "verdict",
]
