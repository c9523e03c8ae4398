"""What ``run`` and ``confirm`` refuse, because it would change what runs were planned by."""

from __future__ import annotations

import os

from workbench.commands import home_studies
from workbench.commands.session import readable
from workbench.messages import listed
from workbench.study.config.changes import NotReadyError, StudyChangedError, UnanswerableError
from workbench.study.config.document import StudyFileError
from workbench.study.confirm import planning, preregistration, second_look
from workbench.study.confirm.planning import Protocol
from workbench.study.study import Study
from workbench.verdict.refusals import NEW_NAME


def refusals(study: Study) -> list[str]:
    """What ``run`` or ``confirm`` would refuse, in the words of each.

    MLflow is not read and nothing is written: only ``confirm`` finds out whether the study file or
    ``protocol.json`` was edited.

    Raises:
        StoreError: Optuna's storage of the search cannot be read.
    """
    searched = any(study.directory.glob("optuna.*"))
    # A storage that cannot be written to cannot be opened either.
    if searched and not os.access(study.directory, os.W_OK):
        return []
    try:
        if searched and not study.inputs.absent:
            refuse_another_search(study)
        if preregistration.begun(study.directory):
            preregistration.refuse_more_trials(study)
            if not study.inputs.absent:
                refuse_another_protocol(study)
    except (StudyChangedError, NotReadyError, StudyFileError) as error:
        return [str(error)]
    return []


def refuse_another_protocol(study: Study) -> None:
    """Compare the study with the protocols of its confirmation, if that has begun.

    Raises:
        StudyChangedError, StudyFileError, NotReadyError: ``confirm`` would refuse it.
    """
    if preregistration.begun(study.directory):
        plan = planning.plan_of_confirmation(study)
        preregistration.check_unchanged(plan, study)
        second_look.begun(plan, study)


def refuse_fresh_seeds(study: Study) -> None:
    """Refuse a second look at a study to which levels were added.

    Raises:
        UnanswerableError: Some were.
    """
    if found := home_studies.additions(study.home, study.name):
        raise UnanswerableError(
            f"--fresh: {listed(f'{a.factor} {a.level}' for a in found)} was added to {study.name} "
            "after its first look, and has no seeds beyond it: a second look would compare other "
            f"strategies than it was planned for. Give a study with all levels a new name. "
            f"{NEW_NAME}"
        )


def refuse_another_search(study: Study) -> None:
    """See ``search.refuse_another_search``; StoreError where the storage cannot be read."""
    # It loads Optuna.
    from workbench.study import search

    with readable(study):
        search.refuse_another_search(study)


def refuse_a_second(plan: Protocol, known: str | None) -> None:
    """Refuse a study that MLflow knows as confirmed by another protocol.

    Files on disk can be deleted after their results were seen; MLflow keeps the hash.

    Args:
        plan: Of the study as it is now.
        known: SHA-256 of the protocol in MLflow; None if there is none.

    Raises:
        StudyChangedError: The hashes differ.
    """
    study = plan.content["study"]
    if known is not None and known != plan.sha256:
        raise StudyChangedError(
            f"MLflow has a confirmation of {study} by another protocol (SHA-256 {known[:12]}…; "
            f"this one's is {plan.sha256[:12]}…). A protocol is fixed before the first run, and "
            "deleting its runs does not make their results unseen. Restore it and its settings, "
            f"or give the study a new name. {NEW_NAME}"
        )
