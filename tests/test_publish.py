"""``report`` and ``sync`` of what is not there: said by its name, and nothing is left behind."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from test_session import hold

from workbench import browse, publish
from workbench.config.document import StudyFileError

# As a path each of these leads out of the folder of all studies, or to all of it.
PATHS = ("../x", "../../x", "..", ".", "a/../../x", "/x", "")


def everything_in(folder: Path) -> list[str]:
    """What lies in a folder, but for what sqlite keeps beside a file that it has open."""
    found = (path.relative_to(folder).as_posix() for path in folder.rglob("*"))
    return sorted(name for name in found if not name.endswith(("-wal", "-shm")))


@pytest.fixture
def stored(tiny: Path, home: Path) -> Path:
    """A home with a store that knows the tiny study."""
    hold(tiny, home)
    return home


def test_sync_of_an_unknown_study_names_it_and_the_nearest(stored: Path) -> None:
    before = everything_in(stored.parent)
    with pytest.raises(browse.Unknown, match=r"no study tinny; .*Did you mean tiny\?"):
        publish.sync("tinny", stored)
    assert everything_in(stored.parent) == before


def test_sync_in_an_empty_home_names_the_study_and_makes_no_store(home: Path) -> None:
    with pytest.raises(browse.Unknown, match="There is no study tiny; there is none yet"):
        publish.sync("tiny", home)
    assert everything_in(home) == []


def test_a_report_of_an_unknown_study_names_it_and_creates_no_folder(stored: Path) -> None:
    before = everything_in(stored.parent)
    with pytest.raises(LookupError, match="tinny"):
        publish.write("tinny", stored, None)
    assert everything_in(stored.parent) == before


def test_a_report_of_an_unknown_study_leaves_the_folder_asked_for_unmade(
    stored: Path, tmp_path: Path
) -> None:
    with pytest.raises(LookupError):
        publish.write("tinny", stored, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def calls() -> list[tuple[str, Callable[[str, Path], object]]]:
    return [
        ("sync", publish.sync),
        ("report", lambda name, home: publish.write(name, home, None)),
        ("show", lambda name, home: browse.study(home, name)),
        ("show a trial", lambda name, home: browse.trial(home, name, "sgd-0/000")),
    ]


@pytest.mark.parametrize("call", [pytest.param(call, id=name) for name, call in calls()])
def test_a_name_that_is_a_path_is_no_study_and_leads_nowhere(
    call: Callable[[str, Path], object], stored: Path
) -> None:
    # What a path could reach looks like a study: only its name forbids it.
    for place in (stored / "mlruns" / "x", stored / "x"):
        place.mkdir()
        (place / "study.json").write_bytes(
            (stored / "mlruns" / "studies" / "tiny" / "study.json").read_bytes()
        )
    before = everything_in(stored.parent)
    for name in PATHS:
        with pytest.raises((LookupError, StudyFileError)):
            call(name, stored)
        assert everything_in(stored.parent) == before, name
