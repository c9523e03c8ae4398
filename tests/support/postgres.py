"""A PostgreSQL server of its own, which is stopped and started again."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.support.processes import free_port
from tests.support.shared_store import SECRET

# Debian installs each version beside the others, and none of them on the path.
_FOUND = [
    path
    for path in (shutil.which("pg_ctl"), *Path("/usr/lib/postgresql").glob("*/bin/pg_ctl"))
    if path is not None
]
PROGRAMS = Path(_FOUND[-1]).parent if _FOUND else None


class Postgres:
    """A server with one database for the user ``me``, who owns all of it.

    Attributes:
        uri: MLflow's tracking URI, with the password.
        log: What the server writes.
    """

    def __init__(self, folder: Path) -> None:
        self._folder, self._port = folder, free_port()
        self.log = folder / "log"
        self.uri = self.of("me", SECRET)
        password = folder / "password"
        password.write_text(SECRET)
        # The server refuses to run as root.
        self._user = "postgres" if os.geteuid() == 0 else None
        if self._user is not None:
            for path in (folder, password):
                shutil.chown(path, self._user)
        self._run("initdb", "--username=me", f"--pwfile={password}", "--auth=scram-sha-256")
        password.unlink()

    def of(self, user: str, password: str, database: str = "postgres") -> str:
        """The tracking URI for others."""
        return f"postgresql+psycopg://{user}:{password}@127.0.0.1:{self._port}/{database}"

    def start(self) -> None:
        options = f"-k {self._folder} -c listen_addresses=127.0.0.1 -p {self._port} -F"
        self._run("pg_ctl", "start", "--wait", f"--log={self.log}", f"--options={options}")

    def stop(self, mode: str = "fast") -> None:
        self._run("pg_ctl", "stop", f"--mode={mode}")

    def _run(self, program: str, *words: str) -> None:
        assert PROGRAMS is not None
        command = [str(PROGRAMS / program), f"--pgdata={self._folder / 'data'}", *words]
        nowhere = subprocess.DEVNULL  # a pipe would stay open in the server
        subprocess.run(
            command, check=True, user=self._user, cwd=self._folder, stdout=nowhere, stderr=nowhere
        )


@contextmanager
def running() -> Iterator[Postgres]:
    """A server for the length of a block; only where ``PROGRAMS`` are there."""
    # Not in pytest's folder, which only its owner can enter; the name of a socket must be short.
    with tempfile.TemporaryDirectory(prefix="workbench-postgres-") as folder:
        server = Postgres(Path(folder))
        server.start()
        try:
            yield server
        finally:
            server.stop("immediate")
