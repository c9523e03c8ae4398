"""What a trial's artifacts about its mistakes become when they are read."""

from __future__ import annotations

import json

import pytest

from workbench.tracker import examined
from workbench.trial import artifacts

ROW = {"sample": 3, "name": None, "true": "good", "predicted": "bad", "confidence": 0.9}


def test_the_text_of_a_mistake_is_read_as_text_whatever_it_contains() -> None:
    texts = ["<script>alert(1)</script> & </td><td>no cell", "plain\nin two lines"]
    page = artifacts._page([ROW, ROW], texts)
    files = {"mistakes.html": page.encode(), "mistakes.json": json.dumps([ROW, ROW]).encode()}
    assert examined.read(files).texts == tuple(texts)


def test_a_trial_without_these_artifacts_has_nothing_to_show() -> None:
    nothing = examined.read({})
    assert nothing == examined.Examined(pictures={})
    assert examined.read({"mistakes.png": b"png"}).pictures == {"mistakes": b"png"}


@pytest.mark.parametrize("content", [b"{}", b"[1]", b'[{"true": 1}]', b"\x00"])
def test_an_artifact_that_no_trial_writes_is_refused(content: bytes) -> None:
    with pytest.raises((ValueError, TypeError)):
        examined.read({"mistakes.json": content})
