"""The resolved study: everything that follows from its file is looked up or made once."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from workbench import backbones, datasets
from workbench.commands.check import check_file
from workbench.record import Role
from workbench.study.config import load
from workbench.study.study import Study

Write = Callable[..., Path]


def test_check_reads_the_data_and_builds_the_backbone_once(
    tiny: Path, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: Counter[str] = Counter()

    def count(module: Any, name: str) -> None:
        function = getattr(module, name)

        def counted(*args: Any, **options: Any) -> Any:
            calls[name] += 1
            return function(*args, **options)

        monkeypatch.setattr(module, name, counted)

    count(datasets, "sizes")
    count(backbones, "build")
    plan = check_file(tiny, [], home)[0].as_json()
    assert len(plan["strategies"]) == 4
    assert calls == {"sizes": 1, "build": 1}


def test_a_balanced_study_searches_its_strategies_and_a_joint_one_all_together(
    write_study: Write, home: Path
) -> None:
    study = Study(load(write_study()), home)
    assert study.groups is study.strategies
    assert [strategy.name for strategy in study.strategies][:2] == ["sgd-0", "sgd-all"]
    joint = (("compare:", "tune:"), ("tune:\n  learning_rate", "  learning_rate"))
    trials = ("trials_per_strategy: 5", "trials: 5")
    other = Study(load(write_study(joint[0], joint[1], trials, name="joint")), home)
    (group,) = other.groups
    assert group.name == "joint" and len(other.strategies) == 4
    assert group.default.strategy.name in {strategy.name for strategy in other.strategies}


def test_the_plan_of_a_strategy_is_made_once(tiny: Path, home: Path) -> None:
    (first, *_) = Study(load(tiny), home).strategies
    assert first.plan is first.plan
    assert first.definition is first.definition
    assert first.plan.phases[0].optimizer == "sgd"


def test_a_specification_holds_what_a_trial_depends_on(tiny: Path, home: Path) -> None:
    study = Study(load(tiny), home)
    first = study.strategies[0]
    spec = study.spec(first.default, role=Role.SEARCH, group=first.name, number=3)
    assert (spec.study, spec.strategy, spec.key) == ("tiny", "sgd-0", "tiny/search/sgd-0/003")
    assert spec.plan == first.plan and spec.data_digest == study.resources.digest(first.plan)
    assert spec.seed == study.resources.seed != spec.study_seed == 1
