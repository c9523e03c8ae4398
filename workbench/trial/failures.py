"""What a trial says of the exception that ended it: one sentence, for a researcher.

Knows nothing of how a trial is run.
"""

from __future__ import annotations

import traceback
from collections.abc import Mapping

from workbench.backbones import WeightsError
from workbench.backbones.stages import OutOfMemory
from workbench.datasets import Sealed
from workbench.downloads import Absent
from workbench.trial.evaluation import Untestable
from workbench.usercode import UserCodeError

# What says in a sentence all that a researcher needs: the kind of error would add nothing.
_TOLD = (Absent, WeightsError, UserCodeError, OutOfMemory, Sealed, Untestable)


def reason(failure: Exception, code: Mapping[str, str]) -> str:
    """Why a trial failed.

    Args:
        failure: What was raised.
        code: Of the plan: the user's own files, by path. The line of one that the exception came
            from is named.
    """
    if isinstance(failure, _TOLD):
        return str(failure)
    frames = traceback.extract_tb(failure.__traceback__)
    lines = [f"{frame.filename}:{frame.lineno}" for frame in frames if frame.filename in code]
    where = f" ({lines[-1]})" if lines else ""
    return f"{type(failure).__name__}: {failure}{where}"
