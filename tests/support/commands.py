"""Commands run in this process or in one of their own."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from tests.support.processes import Forked
from workbench.cli.app import app


def call(*words: str | Path) -> tuple[int, str, str]:
    """Exit code, standard output and standard error of a command run in this process."""
    result = CliRunner().invoke(app, [str(word) for word in words])
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result.exit_code, result.stdout, result.stderr


def works(*words: str | Path) -> str:
    """What a command prints that exits with 0, run in this process."""
    code, output, errors = call(*words)
    assert code == 0, output + errors
    return output + errors


def wait_for(condition: Callable[[], bool], process: Forked | subprocess.Popen[Any]) -> None:
    for _ in range(9600):
        if condition():
            return
        assert process.poll() is None, "the process ended too early"
        time.sleep(0.025)
    pytest.fail("nothing happened within four minutes")
