"""study.json as a typed study: what earlier versions did not write has a default."""

from __future__ import annotations

from typing import Any

import pytest

from tests.support.searched import described
from workbench.tracker import stored_study
from workbench.tracker.stored_study import NEEDED, Range, read


def test_a_study_without_a_description_lacks_all_that_is_needed() -> None:
    study = read({}, parent_run_id="f" * 32)
    assert study.missing == NEEDED and not study.described
    assert study.parent_run_id == "f" * 32


def test_a_description_of_an_earlier_version_is_read() -> None:
    bare: dict[str, Any] = {name: described()[name] for name in NEEDED}
    study = read(bare)
    assert study.missing == ()
    assert (study.total, study.training, study.backbone, study.plans) == (None, None, None, {})
    assert (study.data.duplicates, study.task) == (None, "classification")


def test_a_range_has_the_labels_of_its_condition_as_a_tuple() -> None:
    entry = {"knob": "momentum", "when": {"optimizer": "sgd"}, "low": 0.8, "high": 0.99}
    (found,) = read({**described(), "tune": [entry]}).tune
    assert found == Range(knob="momentum", when={"optimizer": ("sgd",)}, low=0.8, high=0.99)


@pytest.mark.parametrize("key", ["strategies", "tune", "data"])
def test_a_block_of_another_kind_is_refused(key: str) -> None:
    with pytest.raises((TypeError, AttributeError, ValueError)):
        stored_study.read({**described(), key: "text"})
