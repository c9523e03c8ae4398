"""``workbench check``: what a study will do, without doing any of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from workbench import record
from workbench.commands import home_studies
from workbench.commands.confirmation_progress import ConfirmationProgress, confirmation_progress
from workbench.commands.refusals import refusals
from workbench.study import description
from workbench.study.checks import check, check_distinct_data, require_device
from workbench.study.config import load_all
from workbench.study.confirm.forecast import Outlook, outlook
from workbench.study.study import Study
from workbench.tracker import stored_study
from workbench.tracker.stored_study import StoredStudy


@dataclass(frozen=True, kw_only=True)
class CheckedStudy:
    """What a study will do, and how far it is.

    Attributes:
        description: The content of study.json, for ``--json``.
        ranges: Every range in words: the knob with its condition, and what it may be.
        confirmation: What a confirmation would take.
        begun: How far the confirmation is; None before it.
        refused: What the next command would refuse, because of what has been run.
        notes: What an author should know; none of it stops the run.
    """

    description: Mapping[str, Any]
    ranges: Sequence[tuple[str, str]]
    confirmation: Outlook
    begun: ConfirmationProgress | None
    refused: Sequence[str]
    notes: Sequence[str]

    @property
    def study(self) -> StoredStudy:
        """The description, typed."""
        return stored_study.read(self.description)

    def as_json(self) -> dict[str, Any]:
        """For ``--json``."""
        content = asdict(self)
        return {**content.pop("description"), **content}


def check_file(file: Path, overrides: Sequence[str], home: Path) -> list[CheckedStudy]:
    """What each study of a file will do, and how far it is: one, or with ``across`` several.

    Args:
        file: The study file; or the name of a study that was run in this home: then its file is
            read, with the overrides that it had.
        overrides: ``key.path=value`` each.
        home: Directory that contains ``mlruns/``.

    Raises:
        StudyFileError: The file is broken, or does not fit the model, the data or the weights.
        UnknownNameError: There is no such file and no such study.
    """
    file, before = home_studies.source_of(file, home)
    overrides = [*before, *overrides]
    # Pending: what a study lacks, such as a download, is a note and not an error.
    studies = [Study(config, home, pending=True) for config in load_all(file, overrides)]
    for study in studies:
        # A study may be checked on another machine than it runs on: a device is a note too.
        check(study, local=False)
    check_distinct_data(studies)
    return [_checked(study) for study in studies]


def _checked(study: Study) -> CheckedStudy:
    forecast = outlook(study)
    return CheckedStudy(
        description=description.describe(study),
        ranges=description.ranges(study.config),
        confirmation=forecast,
        begun=confirmation_progress(study.directory, record.scan(study.directory)),
        refused=refusals(study),
        notes=[*description.notes(study), *_device_notes(study), *forecast.notes],
    )


def _device_notes(study: Study) -> list[str]:
    """Devices that trials ask for and this machine does not have."""
    found = []
    for device in dict.fromkeys(strategy.plan.device for strategy in study.strategies):
        try:
            require_device(device)
        except ValueError:
            found.append(
                f"device: this machine has no {device}; run the study on one that has, or on a "
                "cluster with --on ray"
            )
    return found
