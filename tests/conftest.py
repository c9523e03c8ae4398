"""What tests share: a small study on real data that runs in a second or two."""

from __future__ import annotations

import atexit
import os
import shutil
import signal
import sys
import tempfile
from collections import Counter
from collections.abc import Callable, Generator, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import joblib
import pytest

from tests.support.tiny import TINY

if TYPE_CHECKING:
    from alembic.config import Config

# Before anything imports numpy or torch, and for every process that a test starts: as many
# processes as cores run at once, and threads of each would only wait for one another.
os.environ.setdefault("OMP_NUM_THREADS", "1")
# A server of the machine's user is no place for runs of tests.
os.environ.pop("MLFLOW_TRACKING_URI", None)
os.environ.pop("WORKBENCH_OPTUNA_STORAGE", None)
# Records and databases are written through to the disk, and half of the suite would be waiting for
# it. A disk in memory, where there is one with room, does not wait.
_IN_MEMORY = Path("/dev/shm")
_HAS_ROOM = _IN_MEMORY.is_dir() and shutil.disk_usage(_IN_MEMORY).free > 4 << 30
if _HAS_ROOM and "TMPDIR" not in os.environ:
    os.environ["TMPDIR"] = tempfile.tempdir = str(_IN_MEMORY)
# Without files of bytecode each command that a test starts would compile the package again.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
sys.dont_write_bytecode = False
# Caches of one run must not serve, or hide a mistake from, the next one.
if "WORKBENCH_DATA" not in os.environ:
    os.environ["WORKBENCH_DATA"] = tempfile.mkdtemp(prefix="workbench-tests-")
    atexit.register(shutil.rmtree, os.environ["WORKBENCH_DATA"], ignore_errors=True)
# Below nohup and in the background a shell has these ignored, also in every command that a test
# starts.
signal.signal(signal.SIGINT, signal.default_int_handler)
signal.signal(signal.SIGHUP, signal.SIG_DFL)
signal.signal(signal.SIGQUIT, signal.SIG_DFL)


@pytest.fixture(autouse=True)
def no_tracking_uri_stays() -> Iterator[None]:
    """``mlflow.set_tracking_uri`` sets the variable for the whole process."""
    yield
    os.environ.pop("MLFLOW_TRACKING_URI", None)


@pytest.fixture(autouse=True, scope="session")
def migrations_are_read_once() -> None:
    """MLflow and Optuna would load all migrations of their tables whenever a test opens a store."""
    from alembic.script import ScriptDirectory

    read, known = ScriptDirectory.from_config, dict[str | None, ScriptDirectory]()

    def from_config(config: Config) -> ScriptDirectory:
        place = config.get_main_option("script_location")
        if place not in known:
            known[place] = read(config)
        return known[place]

    ScriptDirectory.from_config = from_config  # type: ignore[method-assign]


@pytest.fixture
def tiny(tmp_path: Path) -> Path:
    """A study file of two optimizers and two freeze depths on scikit-learn's wines."""
    path = tmp_path / "tiny.yaml"
    path.write_text(TINY)
    return path


@pytest.fixture
def write_study(tmp_path: Path) -> Callable[..., Path]:
    """Writes the tiny study with some texts replaced."""

    def write(*replacements: tuple[str, str], name: str = "tiny") -> Path:
        text = TINY.replace("name: tiny", f"name: {name}")
        for old, new in replacements:
            assert old in text, f"{old!r} is not in the tiny study"
            text = text.replace(old, new)
        path = tmp_path / f"{name}.yaml"
        path.write_text(text)
        return path

    return write


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """An empty home."""
    folder = tmp_path / "home"
    folder.mkdir()
    return folder


@pytest.fixture
def stored(tmp_path: Path) -> Path:
    """A home with an empty MLflow store, which takes more than a second to make."""
    from tests.support.mlflow_home import home_in

    return home_in(tmp_path / "home")


def pytest_xdist_auto_num_workers() -> int:
    """Three processes on two cores: a quarter of the time tests wait for servers and nodes."""
    return int(3 * joblib.cpu_count() // 2)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out what cannot run here or now; begin with the modules that have many slow tests."""
    out = set() if os.environ.get("WORKBENCH_NIGHTLY") else {"nightly"}
    if any(item.get_closest_marker("gpu") for item in items):
        import torch

        out |= set() if torch.cuda.is_available() else {"gpu"}
    left = {item for item in items if any(item.get_closest_marker(name) for name in out)}
    config.hook.pytest_deselected(items=list(left))
    items[:] = [item for item in items if item not in left]
    slow = Counter(item.path for item in items if item.get_closest_marker("slow"))
    items.sort(key=lambda item: -slow[item.path])


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Where everything could be installed, a skip is a failure."""
    report = yield
    if report.skipped and os.environ.get("WORKBENCH_NO_SKIPS"):
        report.outcome = "failed"
        report.longrepr = f"skipped although nothing may be missing here: {report.longrepr}"
    return report
