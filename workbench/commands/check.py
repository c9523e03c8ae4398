"""``workbench check``: what a study will do, without doing any of it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from workbench.commands import browse
from workbench.commands.confirm import refusals
from workbench.study import description
from workbench.study.checks import check
from workbench.study.config import load
from workbench.study.confirm.forecast import outlook
from workbench.study.study import Study


def check_study(file: Path, overrides: Sequence[str], home: Path) -> dict[str, Any]:
    """What a study will do, and how far it is.

    Returns:
        Besides the description ``begun``, how far the confirmation is (``browse``; None before
        it), and ``refused``: what the next command would refuse, because of what has been run.

    Raises:
        StudyFileError: The file is broken, or does not fit the model, the data or the weights.
    """
    study = Study(load(file, overrides), home, pending=True)
    check(study)
    confirmation = outlook(study)
    return {
        **description.describe(study),
        "ranges": description.ranges(study.config),
        "confirmation": confirmation,
        "begun": browse.confirmation(study.directory),
        "refused": refusals(study),
        "notes": [*description.notes(study), *confirmation["notes"]],
    }
