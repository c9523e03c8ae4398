"""Where the runs of a home are: in the home's own store, or in one that a lab shares.

The first that is given counts: the variable ``MLFLOW_TRACKING_URI``, which ``--tracking-uri`` sets;
``tracking_uri`` in ``mlruns/workbench.toml``; what the study used before; else the home's own.
"""

from __future__ import annotations

import json
import logging
import os
import tomllib
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from workbench.record import STUDY_NAME, study_directory
from workbench.record.files import write_atomically
from workbench.tracker.shared_store import SharedStore, redacted
from workbench.tracker.store import StoreError, uri_of

VARIABLE = "MLFLOW_TRACKING_URI"
SETTINGS = "workbench.toml"
QUOTED = (
    "with special characters of user and password as %40 (@), %23 (#), %25 (%), %2F (/), %3A (:) "
    "or %3F (?)"
)
_KEYS = ("tracking_uri", "optuna_storage")
_SCHEMES = ("http", "https", "postgresql", "mysql", "mssql", "sqlite")
# A command must not wait for minutes for a server, as MLflow does: Workbench tries again itself.
_DEFAULTS = {
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "20",
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "1",
    "PGCONNECT_TIMEOUT": "5",
    # What it would print of every run and every file.
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
}


def shared_store(home: Path, study: str | None = None, at: str | None = None) -> SharedStore | None:
    """The store that a home or one of its studies shares; None for the home's own.

    Args:
        home: The folder that holds ``mlruns``.
        study: Its name, or that of a file with ``across``.
        at: A tracking URI that counts before all others.

    Raises:
        StoreError: The address, or the file that names it, cannot be used.
    """
    home = home.resolve()
    uri = at or os.environ.get(VARIABLE) or setting(home, "tracking_uri") or _of_study(home, study)
    own = home / "mlruns" / "mlflow.db"
    path = uri.removeprefix("sqlite:///") if uri and uri.startswith("sqlite:///") else None
    if not uri or (path is not None and Path(path).resolve() == own):
        return None
    if not is_address(uri):
        raise StoreError(
            f"{redacted(uri)} is no address that runs can be written to; expected a server "
            f"(https://...) or a database (postgresql+psycopg://...), {QUOTED}. It comes from "
            f"--tracking-uri, {VARIABLE} or {home / 'mlruns' / SETTINGS}."
        )
    limit_waiting()
    if path is not None:
        # MLflow would look for a relative path from wherever it runs.
        uri = uri_of(Path(path).resolve())
    elif uri.startswith("http"):
        uri = _logged_in(uri)
    return SharedStore(home=home, connection_uri=uri)


def is_address(uri: str) -> bool:
    """Whether a URI can be one of a server or a database, with special characters quoted."""
    try:
        parts = urlsplit(uri)
        _ = parts.port
    except ValueError:  # no number
        return False
    # An @ further behind may end a password with a character that ends the host's part.
    whole = parts.scheme == "sqlite" or "@" not in parts.path + parts.query + parts.fragment
    return whole and parts.scheme.partition("+")[0] in _SCHEMES


def _logged_in(uri: str) -> str:
    """A server's address without user and password, which MLflow then finds in the environment.

    In an address they would be in its messages.

    Raises:
        StoreError: It has a password without a user, which may be a token.
    """
    parts = urlsplit(uri)
    if parts.password and not parts.username:
        raise StoreError(
            f"{redacted(uri)}: the address has a password without a user. Set a token as the "
            "variable MLFLOW_TRACKING_TOKEN instead, and leave it out of the address."
        )
    if parts.username:
        os.environ["MLFLOW_TRACKING_USERNAME"] = unquote(parts.username)
        os.environ["MLFLOW_TRACKING_PASSWORD"] = unquote(parts.password or "")
    return parts._replace(netloc=parts.netloc.rpartition("@")[2]).geturl()


def limit_waiting() -> None:
    """Short waits for a server, unless the user has set others."""
    for variable, value in _DEFAULTS.items():
        os.environ.setdefault(variable, value)
    # It warns of every new attempt.
    logging.getLogger("urllib3.connectionpool").setLevel(logging.ERROR)


def request_seconds() -> float:
    """How long a request to a server waits for its answer, before it is repeated."""
    return float(os.environ["MLFLOW_HTTP_REQUEST_TIMEOUT"])


def uri_in_record(study_directory: Path) -> str | None:
    """The shared store that a study's last command wrote to; None for the home's own."""
    uri = _description(study_directory).get("tracking_uri")
    return uri if isinstance(uri, str) else None


def _description(study_directory: Path) -> dict[str, Any]:
    """What study.json holds; nothing where it is missing or damaged."""
    try:
        content = json.loads((study_directory / "study.json").read_bytes())
    except (OSError, ValueError):
        return {}
    return content if isinstance(content, dict) else {}


def remember(study_directory: Path, uri: str | None) -> None:
    """Keep the shared store that a study's runs are in; None for the home's own."""
    content = _description(study_directory)
    if content and content.get("tracking_uri") != uri:
        content.pop("tracking_uri", None)
        content |= {} if uri is None else {"tracking_uri": uri}
        text = json.dumps(content, indent=1)
        write_atomically(study_directory / "study.json", text.encode())


def unsent_mark(study_directory: Path) -> Path:
    """A file that is there from the start of a driver until the store has all records."""
    return study_directory / ".unsent"


def previous_store(home: Path, study: str | None) -> str | None:
    """Tracking URI of the store that a study's runs were in, if they are now written to another."""
    if study is None or not STUDY_NAME.fullmatch(study):
        return None
    directory, own = study_directory(home.resolve(), study), _own(home)
    store = shared_store(home, study)
    before = uri_in_record(directory) or own
    now = own if store is None else store.uri
    return before if before != now and (directory / "study.json").exists() else None


def _own(home: Path) -> str:
    return uri_of(home.resolve() / "mlruns" / "mlflow.db")


def setting(home: Path, key: str) -> str | None:
    """What ``mlruns/workbench.toml`` of a home says of a key; None where it says nothing.

    Raises:
        StoreError: The file cannot be read, or holds something else.
    """
    path = home / "mlruns" / SETTINGS
    try:
        content: dict[str, Any] = tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as error:
        raise StoreError(f"{path} cannot be read: {error}.") from error
    wrong = [name for name, uri in content.items() if name not in _KEYS or not isinstance(uri, str)]
    if wrong or not content:
        raise StoreError(
            f"{path}: {', '.join(wrong) or 'tracking_uri'} is unknown or missing; expected a line "
            'tracking_uri = "https://..." or optuna_storage = "postgresql+psycopg://..."'
        )
    return content.get(key)


def _of_study(home: Path, study: str | None) -> str | None:
    if study is None or not STUDY_NAME.fullmatch(study):
        return None
    studies = home / "mlruns" / "studies"
    known = map(uri_in_record, (studies / study, *sorted(studies.glob(f"{study}@*"))))
    return next(filter(None, known), None)
