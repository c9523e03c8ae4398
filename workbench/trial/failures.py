"""The reason in a failed trial's result: one sentence for a researcher."""

from __future__ import annotations

from collections.abc import Mapping

from workbench.backbones import WeightsError
from workbench.backbones.stages import OutOfMemoryError
from workbench.datasets import SealedError
from workbench.downloads import NotDownloadedError
from workbench.trial.evaluation import UntestableError
from workbench.usercode import UserCodeError, last_line

# Their messages are complete sentences; the name of the class would add nothing.
_SELF_EXPLANATORY = (
    NotDownloadedError,
    WeightsError,
    UserCodeError,
    OutOfMemoryError,
    SealedError,
    UntestableError,
)


def reason(failure: Exception, code: Mapping[str, str]) -> str:
    """Why a trial failed.

    Args:
        failure: The exception.
        code: The plan's code, by path. If the exception passed through one of these files, its
            line is named.
    """
    if isinstance(failure, _SELF_EXPLANATORY):
        return str(failure)
    # Not the line of torch where it ended.
    line = last_line(failure, code)
    return f"{type(failure).__name__}: {failure}" + (f" ({line})" if line else "")
