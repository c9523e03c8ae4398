"""What tests of a server and of a database share: a store that several people write to."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from tests.support.tiny import Unseen
from workbench.driver.progress import StudyProgress
from workbench.tracker import Tracker

SECRET = "hunter2-hunter2"


class AfterTrials(Unseen):
    """Does something when so many trials have ended, once each."""

    def __init__(self, acts: dict[int, Callable[[], None]]) -> None:
        super().__init__()
        self._acts = dict(acts)

    def update(self, progress: StudyProgress) -> None:
        ended = sum(group.complete for group in progress.groups)
        for count in [count for count in self._acts if count <= ended]:
            self._acts.pop(count)()


def leaked(*places: Path) -> list[Path]:
    """Files, also below folders, that hold the password."""
    files = (path for place in places for path in (place, *place.rglob("*")) if path.is_file())
    return [path for path in files if SECRET.encode() in path.read_bytes()]


def states(home: Path, study: str) -> list[str]:
    return [trial.state for trial in Tracker(home, study).read_trials(study)]
