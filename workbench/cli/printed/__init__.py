"""What the commands print to the terminal; nothing is computed here."""

from workbench.cli.printed.check import plans
from workbench.cli.printed.offer import offer
from workbench.cli.printed.outcomes import confirmed, outcome, report
from workbench.cli.printed.records import studies, study, trial
from workbench.cli.printed.verdict import verdict

__all__ = [
    "confirmed",
    "offer",
    "outcome",
    "plans",
    "report",
    "studies",
    "study",
    "trial",
    "verdict",
]
