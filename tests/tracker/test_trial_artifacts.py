"""What a trial's artifacts about its mistakes become when they are read."""

from __future__ import annotations

import pytest

from workbench.tracker import trial_artifacts


def test_a_trial_without_these_artifacts_has_nothing_to_show() -> None:
    nothing = trial_artifacts.read({})
    assert nothing == trial_artifacts.TrialArtifacts(pictures={})
    assert trial_artifacts.read({"mistakes.png": b"png"}).pictures == {"mistakes": b"png"}


@pytest.mark.parametrize("content", [b"{}", b"[1]", b'[{"true": 1}]', b"\x00"])
def test_an_artifact_that_no_trial_writes_is_refused(content: bytes) -> None:
    with pytest.raises((ValueError, TypeError)):
        trial_artifacts.read({"mistakes.json": content})
