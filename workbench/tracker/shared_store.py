"""A store of runs that several homes write to: a tracking server, or a database."""

from __future__ import annotations

import re
import socket
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote, urlsplit

from workbench.record import experiment_of
from workbench.tracker.store import StoreError, UnreachableError
from workbench.tracker.stored_run import Run

# What installs the modules that SQLAlchemy asks for, where the names differ.
_INSTALL = {
    "psycopg": "pip install 'psycopg[binary]'",
    "psycopg2": "pip install psycopg2-binary",
    "MySQLdb": "pip install mysqlclient",
}
# Where the words are not English, an outage is assumed; they are shown all the same.
_NO_DATABASE = "database .* does not exist|unknown database"
_LOGIN_REFUSED = (
    "authentication failed|no password supplied|role .* does not exist|no pg_hba.conf"
    "|access denied|login failed"
)
_LOGIN_OF_SERVER = (
    " User and password come from MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD."
)
_LOGIN_OF_DATABASE = (
    " User and password come from the address; where it has none, PostgreSQL takes those of "
    "PGUSER and PGPASSWORD, or of ~/.pgpass."
)


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
        return _is_server(self.connection_uri)

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


def check_reachable(uri: str, label: str = "MLflow") -> None:
    """Connect to a database once: MLflow would try for minutes, whatever the database says.

    Raises:
        UnreachableError: It does not answer.
        StoreError: It refuses, or the library that talks to such a database is not installed.
    """
    if _is_server(uri) or uri.startswith("sqlite:"):
        return
    try:
        parts = urlsplit(uri)
        address = (parts.hostname, parts.port)
    except ValueError:  # its words may hold a part of the password
        raise StoreError(f"{redacted(uri)} is no address of a database.") from None
    from sqlalchemy import create_engine
    from sqlalchemy.exc import ArgumentError, SQLAlchemyError
    from sqlalchemy.pool import NullPool

    try:
        engine = create_engine(uri, poolclass=NullPool)
        if all(address):
            # Not every library gives up on a machine that does not answer.
            socket.create_connection(address, timeout=4).close()
        engine.connect().close()
    except ModuleNotFoundError as error:
        install = _INSTALL.get(error.name or "", f"pip install {error.name}")
        raise StoreError(
            f"{label} at {redacted(uri)} needs the Python package {error.name}. Install it: "
            f"{install}"
        ) from error
    except ArgumentError as error:
        said = without_credentials(str(error), uri)
        raise StoreError(f"{label} at {redacted(uri)} cannot be opened: {said}.") from None
    except (OSError, SQLAlchemyError) as error:
        raise problem_at(uri, error, label) from None


def problem_at(uri: str, error: Exception, label: str = "MLflow") -> StoreError:
    """An error in words: of MLflow's client, or of the library that it connects with."""
    said = without_credentials(reason(error), uri)
    hint = _refusal(uri, error, said)
    if hint is not None:
        return StoreError(f"{label} at {redacted(uri)} refuses: {said.rstrip('.')}.{hint}")
    # Of a connection, the system's own words, without the layers that passed them on.
    below: BaseException = error
    while deeper := below.__cause__ or below.__context__:
        below = deeper
    said = str(below) if isinstance(below, OSError) else said
    return UnreachableError(f"{label} at {redacted(uri)} cannot be reached now: {said}")


def _refusal(uri: str, error: Exception, said: str) -> str | None:
    """What to do about an error that stays until somebody acts; None for an outage."""
    if _is_server(uri):
        # Errors of the connection itself have no status.
        status = int(getattr(error, "get_http_status_code", lambda: 500)())
        if status >= 500 or status == 429:
            return None
        return _LOGIN_OF_SERVER if status in (401, 403) else ""
    from sqlalchemy.exc import InterfaceError, OperationalError, TimeoutError

    if re.search(_NO_DATABASE, said, re.IGNORECASE):
        return " Create the database first."
    if re.search(_LOGIN_REFUSED, said, re.IGNORECASE):
        return _LOGIN_OF_DATABASE
    temporary = (OSError, OperationalError, InterfaceError, TimeoutError)
    outage = isinstance(error, temporary) or isinstance(error.__cause__, temporary)
    return None if outage else ""


def _is_server(uri: str) -> bool:
    return uri.startswith("http")


def reason(error: BaseException) -> str:
    """The first line of an error of MLflow; of a database, of the database's own error.

    MLflow's has the statement in SQL.
    """
    cause = getattr(error.__cause__, "orig", None) or getattr(error, "orig", None) or error
    return str(cause).partition("\n")[0]


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
    for secret in (parts.password, unquote(parts.password or ""), parts.query):
        if secret:
            text = text.replace(secret, "***")
    return text
