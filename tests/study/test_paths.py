"""Paths and references start at the study file, whatever directory a worker stands in."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from workbench import usercode
from workbench.record.strategy import Plan
from workbench.study import paths
from workbench.trial import code


@pytest.mark.parametrize(
    ("block", "written", "expected"),
    [
        ("dataset", {"name": "digits"}, {"name": "digits"}),
        ("dataset", {"name": "own.py:read", "n": 3}, {"name": "{here}/own.py:read", "n": 3}),
        (
            "dataset",
            {"name": "own.py:read", "path": "x.npy", "test_path": "t.npy", "kind": "path"},
            {
                "name": "{here}/own.py:read",
                "path": "{here}/x.npy",
                "test_path": "{here}/t.npy",
                "kind": "path",
            },
        ),
        (
            "dataset",
            {"name": "own.py:read", "path": "s3://bucket/x.npy"},
            {"name": "{here}/own.py:read", "path": "s3://bucket/x.npy"},
        ),
        (
            "dataset",
            {"name": "image_folder", "path": "pictures"},
            {"name": "image_folder", "path": "{here}/pictures"},
        ),
        ("backbone", {"name": "bert-base-uncased"}, {"name": "bert-base-uncased"}),
        ("backbone", {"name": "org/model"}, {"name": "org/model"}),
        ("backbone", {"name": "./tiny"}, {"name": "{here}/tiny"}),
        (
            "task",
            {"name": "classification", "metrics": ["own.py:kappa"]},
            {"name": "classification", "metrics": ["{here}/own.py:kappa"]},
        ),
        ("augmentation", {"own.py:noise": {"sd": 1}}, {"{here}/own.py:noise": {"sd": 1}}),
        ("augmentation", {"random_crop": {"size": 8}}, {"random_crop": {"size": 8}}),
    ],
)
def test_what_lies_beside_the_study_file_becomes_absolute(
    tmp_path: Path, block: str, written: dict[str, Any], expected: dict[str, Any]
) -> None:
    def here(value: Any) -> Any:
        if isinstance(value, str):
            return value.replace("{here}", str(tmp_path.resolve()))
        return [here(item) for item in value] if isinstance(value, list) else value

    wanted = {here(key): here(value) for key, value in expected.items()}
    assert paths.located(block, written, tmp_path) == wanted


def test_every_file_of_a_plan_is_hashed_once(tmp_path: Path) -> None:
    own, other = tmp_path / "own.py", tmp_path / "other.py"
    own.write_text("a = 1\n")
    other.write_text("b = 2\n")
    plan = Plan(
        dataset={"name": f"{own}:read"},
        backbone={"name": f"{other}:build"},
        weights=None,
        keep_head=False,
        task={"name": "classification", "metrics": [f"{own}:kappa"]},
        batch_size=4,
        augmentation=({"random_horizontal_flip": {}},),
        device="cpu",
        threads=1,
        phases=(),
    )
    assert code.hashes(plan) == {
        str(own): usercode.sha256_of(f"{own}:read"),
        str(other): usercode.sha256_of(f"{other}:build"),
    }
