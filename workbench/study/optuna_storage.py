"""Where Optuna's studies of a search are: in a file of the study, or in a PostgreSQL database.

The first that is given counts: the variable ``WORKBENCH_OPTUNA_STORAGE``; ``optuna_storage`` in
``mlruns/workbench.toml``; what the study used before; else the file. ``sqlite`` is the file, too.
"""

from __future__ import annotations

import json
import os
import uuid
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from workbench.record import DamagedRecordError
from workbench.record.files import write_atomically
from workbench.tracker import location
from workbench.tracker.shared_store import redacted
from workbench.tracker.store import StoreError

VARIABLE = "WORKBENCH_OPTUNA_STORAGE"
# What messages call it; the address follows.
LABEL = "Optuna's storage"


@dataclass(frozen=True, kw_only=True)
class StorageLocation:
    """Where the studies of one search are.

    Attributes:
        directory: Of the study's records.
        uri: Of a database, perhaps with user and password; None for the file.
        key: Tells the study from those of other homes in the same database.
    """

    directory: Path
    uri: str | None = field(repr=False)
    key: str

    @property
    def file(self) -> Path:
        """The sqlite file of a study that uses no database."""
        return self.directory / "optuna.db"

    @property
    def url(self) -> str:
        """What Optuna opens; it fills in names in braces."""
        uri = f"sqlite:///{self.file}" if self.uri is None else self.uri
        return uri.replace("{", "{{").replace("}", "}}")

    @property
    def shown(self) -> str:
        """The path, or the address without user and password."""
        return str(self.file) if self.uri is None else redacted(self.uri)

    @property
    def prefix(self) -> str:
        """What the names of Optuna's studies begin with; the name of the group follows."""
        return "" if self.uri is None else f"{self.directory.name}-{self.key}/"

    def remember(self) -> None:
        """Have later commands of the study use the same database."""
        content = {"storage": None if self.uri is None else self.shown, "key": self.key}
        if content["storage"] != _remembered(self.directory).get("storage"):
            write_atomically(_memory(self.directory), json.dumps(content, indent=1).encode())


def locate(study_directory: Path) -> StorageLocation:
    """Where the storage of a study is, or will be.

    Raises:
        StoreError: The address, or the file that names it, cannot be used.
        DamagedRecordError: The file with what the study used before cannot be read.
    """
    home, known = study_directory.parents[2], _remembered(study_directory)
    given = os.environ.get(VARIABLE) or location.setting(home, "optuna_storage")
    uri = given or known.get("storage") or "sqlite"
    if uri != "sqlite":
        if not (uri.startswith("postgresql+psycopg://") and location.is_address(uri)):
            raise StoreError(
                f"{redacted(uri)} is no address of a database for Optuna; expected "
                f"postgresql+psycopg://HOST/DATABASE, {location.QUOTED}; or sqlite. It comes from "
                f"{VARIABLE} or {home / 'mlruns' / location.SETTINGS}."
            )
        location.limit_waiting()
    return StorageLocation(
        directory=study_directory,
        uri=None if uri == "sqlite" else uri,
        key=known.get("key") or uuid.uuid4().hex[:8],
    )


def _memory(study_directory: Path) -> Path:
    return study_directory / "optuna.json"


def _remembered(study_directory: Path) -> dict[str, Any]:
    path = _memory(study_directory)
    try:
        return dict(json.loads(path.read_bytes()))
    except FileNotFoundError:
        return {}
    except (ValueError, TypeError) as error:
        raise DamagedRecordError(
            f"{path} is damaged ({error}): it says which database Optuna's studies are in. Delete "
            f"it, and set {VARIABLE} for the next `workbench run`."
        ) from error
