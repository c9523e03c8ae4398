"""Only whoever is allowed to fetches, and data lie where the user says."""

from __future__ import annotations

from pathlib import Path

import pytest

from workbench import downloads


def test_nothing_is_downloaded_outside_an_allowed_block() -> None:
    assert not downloads.may()
    with downloads.allowed():
        assert downloads.may()
        with downloads.allowed():
            assert downloads.may()
        assert downloads.may(), "the inner block ends, the outer one goes on"
    assert not downloads.may()


def test_a_failing_download_ends_the_allowance() -> None:
    with pytest.raises(OSError), downloads.allowed():
        raise OSError
    assert not downloads.may()


def test_data_lie_where_the_user_says_and_else_in_the_cache(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WORKBENCH_DATA", str(tmp_path / "data"))
    assert downloads.folder() == tmp_path / "data"
    monkeypatch.delenv("WORKBENCH_DATA")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    assert downloads.folder() == tmp_path / "cache" / "workbench"
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert downloads.folder() == tmp_path / ".cache" / "workbench"
