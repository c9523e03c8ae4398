"""Files replaced whole or not at all, and locks that a kill releases."""

from __future__ import annotations

import errno
import fcntl
import hashlib
import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from workbench.record.files import (
    LockedError,
    LockUnsupportedError,
    holder,
    lock,
    own_writer,
    sha256_of,
    sweep,
    write_atomically,
)


def test_a_file_is_replaced_whole_or_not_at_all(tmp_path: Path) -> None:
    path = tmp_path / "state"
    write_atomically(path, b"old")
    script = (
        "import resource, sys\n"
        "from pathlib import Path\n"
        "from workbench.record.files import write_atomically\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))\n"
        "write_atomically(Path(sys.argv[1]), bytes(5000))\n"
    )
    full_disk = subprocess.run(
        [sys.executable, "-c", script, str(path)], capture_output=True, text=True, check=False
    )
    assert "OSError" in full_disk.stderr
    assert path.read_bytes() == b"old"
    assert [entry.name for entry in tmp_path.iterdir()] == ["state"], "no temporary file stays"
    write_atomically(path, b"new")
    assert path.read_bytes() == b"new"


def test_the_hash_of_a_file_is_that_of_its_content(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"content" * 100_000)
    assert sha256_of(path) == hashlib.sha256(path.read_bytes()).hexdigest()


HOLDER = (
    "import sys, time\n"
    "from pathlib import Path\n"
    "from workbench.record.files import lock\n"
    "with lock(Path(sys.argv[1]), note='somebody else'):\n"
    "    print('held', flush=True)\n"
    "    time.sleep(60)\n"
)


def test_a_lock_refuses_a_second_process_and_a_kill_releases_it(tmp_path: Path) -> None:
    path = tmp_path / "folder" / "lock"
    holder = subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(path)], stdout=subprocess.PIPE, text=True
    )
    assert holder.stdout is not None
    with holder.stdout:
        assert holder.stdout.readline() == "held\n"
        with pytest.raises(LockedError, match=r"^somebody else$"), lock(path):
            pass
        killer = threading.Timer(0.3, holder.kill)
        killer.start()
        with lock(path, note="me", wait_seconds=30):
            assert path.read_text() == "me", "the note of a dead holder is gone"
        killer.join()
        holder.wait()


def test_a_lock_is_free_again_after_an_error_inside(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    with pytest.raises(KeyError), lock(path):
        raise KeyError
    with lock(path):
        pass


def test_whoever_only_looks_at_a_lock_refuses_nobody(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    looked = threading.Event()

    def look() -> None:
        with lock(path):
            looked.set()
            threading.Event().wait(0.03)

    glance = threading.Thread(target=look)
    glance.start()
    assert looked.wait(5)
    with lock(path):
        pass
    glance.join()


@pytest.mark.parametrize("number", [errno.ENOSYS, errno.ENOLCK, errno.EOPNOTSUPP])
def test_a_file_system_without_locks_is_refused_and_can_still_be_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    def refuse(*_: object) -> None:
        raise OSError(number, os.strerror(number))

    path = tmp_path / "lock"
    path.touch()
    # No file system without locks can be mounted here.
    monkeypatch.setattr(fcntl, "flock", refuse)
    with (
        pytest.raises(LockUnsupportedError, match=rf"{path}: .* not support file locks .*--home"),
        lock(path),
    ):
        pass
    assert holder(path) is None


def test_the_temporary_files_of_killed_writers_are_swept_and_no_others(tmp_path: Path) -> None:
    folder = tmp_path / "trials" / "a" / "000"
    folder.mkdir(parents=True)
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    own = own_writer()
    host = own.partition("@")[2]
    stay = {f"a.json.{own}.tmp", f"a.{ended.pid}@another-{host}.tmp", "my.tmp", "b.7.txt"}
    old = f"c.{os.getpid()}@another-{host}.tmp"
    # An earlier version wrote no host.
    for name in (*stay, f"a.json.{ended.pid}@{host}.tmp", f"a.json.{ended.pid}.tmp", old):
        (folder / name).touch()
    os.utime(folder / old, (1, 1))
    sweep(tmp_path)
    assert {path.name for path in folder.iterdir()} == stay
