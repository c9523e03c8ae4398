"""A store that a lab shares: a tracking server, or a database that several homes write to."""

from __future__ import annotations

import logging
import os
import re
import socket
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from workbench.record import STUDY_NAME, experiment_of
from workbench.tracker.store import StoreError, Unreachable
from workbench.tracker.stored_run import Run

_SCHEMES = ("http", "https", "postgresql", "mysql", "mssql", "sqlite")
# What installs the modules that SQLAlchemy asks for, where the names differ.
_PACKAGES = {"psycopg": "psycopg[binary]", "psycopg2": "psycopg2-binary", "MySQLdb": "mysqlclient"}
# A command must not wait for minutes for a server, as MLflow does: Workbench tries again itself.
_DEFAULTS = {
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "20",
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "1",
    # What it would print of every run and every file.
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
}


@dataclass(frozen=True, kw_only=True)
class SharedStore:
    """A tracking server, or a database that several homes write to.

    Attributes:
        home: The folder that holds ``mlruns``, absolute.
        connection_uri: MLflow's tracking URI; of a database perhaps with user and password.
    """

    home: Path
    connection_uri: str
    read_only: bool = False

    @property
    def uri(self) -> str:
        """The tracking URI as it may be shown."""
        return redacted(self.connection_uri)

    @property
    def is_server(self) -> bool:
        """Whether it is a server, with pages."""
        return self.connection_uri.startswith("http")

    def location(self, study: str) -> str | None:
        """Where the artifacts of a study go; None: where the server says.

        Of a database, which holds no files, below the home.
        """
        if not STUDY_NAME.fullmatch(study):
            raise StoreError(f"{study!r} is not a valid name of a study ({self.uri}).")
        folder = self.home / "mlruns" / "artifacts" / study
        return None if self.is_server else folder.as_uri()

    def check_reachable(self) -> None:
        """Look whether a database's machine answers: MLflow would try for minutes.

        Raises:
            Unreachable: It does not.
            StoreError: The library that talks to such a database is not installed.
        """
        parts = urlsplit(self.connection_uri)
        if self.is_server:
            return
        if parts.hostname and parts.port:
            try:
                socket.create_connection((parts.hostname, parts.port), timeout=4).close()
            except OSError as error:
                raise self.problem(error, str(error)) from None
        from sqlalchemy import create_engine
        from sqlalchemy.exc import ArgumentError

        try:
            create_engine(self.connection_uri)  # connects to nothing
        except ModuleNotFoundError as error:
            package = _PACKAGES.get(error.name or "", error.name)
            raise StoreError(
                f"MLflow at {self.uri} needs the Python package {error.name}. Install it: pip "
                f"install '{package}'"
            ) from error
        except ArgumentError as error:
            said = without_credentials(str(error), self.connection_uri)
            raise StoreError(f"MLflow at {self.uri} cannot be opened: {said}.") from None

    def relocate(self) -> None:
        """Nothing: what the store names is there for all homes."""

    def refuse_another_home(self, study: str, place: str) -> None:
        """Refuse to write files of a study below another home, or below where this one was.

        Args:
            study: Its name.
            place: URI of the folder in which a database says that the artifacts are.

        Raises:
            StoreError: The folder is that of another home.
        """
        folder = Path(unquote(urlsplit(place).path))
        if place.endswith(f"/mlruns/artifacts/{study}") and not folder.resolve().is_relative_to(
            self.home
        ):
            raise StoreError(
                f"MLflow at {self.uri} keeps the artifacts of {study} in {folder}, which is not in "
                f"this home ({self.home}). If the home was moved, move it back, or make "
                f"{folder.parents[2]} a link to it. Else give the study another name."
            )

    def name_conflict(self, study: str, run: Run) -> StoreError:
        """Why a study cannot be written: the store has another one of its name."""
        return StoreError(
            f"MLflow at {self.uri} has another study {study}, of another home or with records that "
            f"were deleted (the run {run.run_id} of {run.tags.get('mlflow.user', 'somebody')}). "
            f"Give this study another name; or, if nobody needs the other one, delete its "
            f"experiment {experiment_of(study)} in MLflow."
        )

    def problem(self, error: Any, cause: str) -> StoreError:
        """An error of MLflow's client, in words.

        Args:
            error: MLflow's, or that of the library which it sends requests with.
            cause: Its first line.
        """
        # Errors of the connection itself have no status.
        status = int(getattr(error, "get_http_status_code", lambda: 500)())
        said = without_credentials(cause, self.connection_uri)
        if status >= 500 or status == 429:
            # Of a connection, the system's own words, without the layers that passed them on.
            below = error
            while below.__cause__ or below.__context__:
                below = below.__cause__ or below.__context__
            said = str(below) if isinstance(below, OSError) else said
            return Unreachable(f"MLflow at {self.uri} cannot be reached now: {said}")
        hint = (
            " User and password come from MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD."
            if status in (401, 403)
            else ""
        )
        return StoreError(f"MLflow at {self.uri} refuses: {said}.{hint}")


def is_address(uri: str) -> bool:
    """Whether a text is the address of a server or of a database that MLflow can use."""
    try:
        parts = urlsplit(uri)
        _ = parts.port
    except ValueError:  # no number
        return False
    # An @ further behind may end a password with a character that ends the host's part.
    whole = parts.scheme == "sqlite" or "@" not in parts.path + parts.query + parts.fragment
    return whole and parts.scheme.partition("+")[0] in _SCHEMES


def logged_in(uri: str) -> str:
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


def redacted(uri: str) -> str:
    """An address without user, password and options, which may hold one.

    All up to the last @ is left out: a password that is not quoted may hold any character.
    """
    if uri.startswith("sqlite:"):
        return uri.partition("?")[0]
    return re.split("[?#]", re.sub("//.*@", "//", uri, flags=re.DOTALL))[0]


def without_credentials(text: str, uri: str) -> str:
    """A text of somebody else's, for example an error, without what ``redacted`` leaves out."""
    parts = urlsplit(uri)
    text = text.replace(uri, redacted(uri))
    if parts.netloc:
        text = text.replace(parts.netloc, urlsplit(redacted(uri)).netloc)
    for secret in filter(None, (parts.password, parts.query)):
        text = text.replace(secret, "***")
    return text
