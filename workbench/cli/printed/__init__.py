"""What the commands print: plain data as tables for a terminal.

Knows rich and the shape of the data; computes nothing.
"""

from workbench.cli.printed.check import plan
from workbench.cli.printed.offer import offer
from workbench.cli.printed.outcomes import confirmed, outcome, report
from workbench.cli.printed.records import studies, study, trial
from workbench.cli.printed.verdict import Judged, verdict

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
