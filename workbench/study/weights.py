"""Where first weights come from: a file, a model's folder, a hub id, another study, or a run.

Turns what a study file says into weights with a hash. Loads none of them; what a family's own
names mean is for the family.
"""

from __future__ import annotations

from operator import itemgetter
from pathlib import Path

from workbench import backbones, record
from workbench.backbones import hub
from workbench.backbones.weights import SUFFIXES, fingerprint
from workbench.messages import did_you_mean
from workbench.record.strategy import Weights
from workbench.study.config import load

STUDY_SUFFIXES = (".yaml", ".yml")


def find(source: str, backbone: str, *, folder: Path, home: Path, pending: bool = False) -> Weights:
    """The weights of a source, for a backbone by its name.

    Args:
        source: As the study file names it.
        backbone: Its name, with its whole path if it is a folder.
        folder: Of the study file: paths are relative to it.
        home: Where other studies' trials are.
        pending: Accept a study that has not run yet in place of its weights.

    Raises:
        NotDownloadedError: They have to be downloaded first.
        ValueError: There are none, in words for the author of the study file.
    """
    entry = backbones.entry_of(backbone)
    own = entry.weights if entry is not None else ()
    if entry is not None and entry.hub and source == "hub":
        return Weights(source=source, sha256=_hash_of(backbone))
    # Before any file: a name of the family is never the path of a file.
    if source in own:
        return backbones.named(backbone, source)
    if source.startswith("run:"):
        return _of_run(source.removeprefix("run:"), home)
    path = (folder / Path(source).expanduser()).resolve()
    if (path / "config.json").is_file():
        return Weights(source=str(path), sha256=_hash_of(str(path)))
    if path.is_file() and path.suffix in STUDY_SUFFIXES:
        best = _best_of(load(path).name, home)
        if best is None and pending:
            return Weights(source=source)
        if best is None:
            raise ValueError(f"the study {path} has no completed trial to take weights from")
        path = best
    if path.is_file():
        return Weights(source=str(path), sha256=record.sha256_of(path))
    wanted = (*STUDY_SUFFIXES, *SUFFIXES)
    if entry is not None and entry.hub and path.suffix not in wanted and not hub.is_folder(source):
        return Weights(source=source, sha256=_hash_of(source))
    files = [
        str(found.relative_to(folder)) for found in folder.rglob("*") if found.suffix in wanted
    ]
    hint = did_you_mean(source, [*own, *files])
    named = f", or one of {', '.join(own)}" if own else ""
    raise ValueError(
        f"{path} is not a file; weights are a file (a path relative to the study file: "
        f"{', '.join(wanted)}), run:ID of an MLflow run{named}{hint}"
    )


def _best_of(study: str, home: Path) -> Path | None:
    found = []
    for trial, spec in record.scan(record.study_directory(home, study)):
        result = trial.result()
        if spec.role is not record.Role.SEARCH or result is None or result.value is None:
            continue
        if trial.weights.exists():
            found.append((spec.objective.rank(result.value, spec.number), trial.weights))
    return min(found, key=itemgetter(0))[1] if found else None


def _of_run(run_id: str, home: Path) -> Weights:
    """The weights that the trial of an MLflow run has kept."""
    from workbench.tracker import Tracker
    from workbench.tracker.store import StoreError

    try:
        key = Tracker(home, create=False).key_of(run_id)
    except (LookupError, StoreError) as error:
        raise ValueError(f"run:{run_id}: {error}") from error
    trials = record.scan(record.study_directory(home, key.partition("/")[0]))
    paths = [trial.weights for trial, spec in trials if spec.key == key]
    path = next((path for path in paths if path.is_file()), None)
    if path is None:
        raise ValueError(
            f"run:{run_id} is the trial {key}, which has no weights in {home}: the best "
            f"trial of each strategy keeps them"
        )
    return Weights(source=str(path), sha256=record.sha256_of(path))


def _hash_of(model: str) -> str:
    """Hash of the weights of a hub id or a folder; fetched first where that is allowed."""
    return fingerprint(hub.folder_of(model, hub.WEIGHTS))
