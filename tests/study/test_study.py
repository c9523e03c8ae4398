"""The resolved study: everything that follows from its file is looked up or made once."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from workbench import backbones, datasets
from workbench.commands.check import check_file
from workbench.datasets import loading
from workbench.record import Role, file_cache
from workbench.study.config import load
from workbench.study.study import Study

Write = Callable[..., Path]


@pytest.fixture
def calls(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Counter[str]:
    """How often data are read and backbones built; nothing is known from other tests."""
    calls: Counter[str] = Counter()

    def count(module: Any, name: str) -> None:
        function = getattr(module, name)

        def counted(*args: Any, **options: Any) -> Any:
            calls[name] += 1
            return function(*args, **options)

        monkeypatch.setattr(module, name, counted)

    count(datasets, "sizes")
    count(backbones, "build")
    monkeypatch.setenv("WORKBENCH_DATA", str(tmp_path / "cache"))
    # Files that a test has just written count as old.
    monkeypatch.setattr(file_cache, "_TICK_NS", 0)
    return calls


def test_check_reads_the_data_and_builds_the_backbone_once(
    tiny: Path, home: Path, calls: Counter[str]
) -> None:
    plan = check_file(tiny, [], home)[0].as_json()
    assert len(plan["strategies"]) == 4
    assert calls == {"sizes": 1, "build": 1}


TABLE = "{name: table, path: data.csv, target: y, validation: 40, test: 40}"


def test_a_second_check_reads_the_data_only_if_they_have_changed(
    write_study: Write, home: Path, calls: Counter[str]
) -> None:
    rows = [f"{n},{n % 7},{'ab'[n % 2]}" for n in range(160)]
    data = home.parent / "data.csv"
    data.write_text("\n".join(["u,v,y", *rows]))
    file = write_study(("{name: wine, validation: 40, test: 40}", TABLE))

    def as_in_another_process() -> None:
        for known in (loading._pool, loading._read):
            known.cache_clear()
        file_cache._FIRST.clear()

    first = [plan.as_json() for plan in check_file(file, [], home)]
    assert [plan.as_json() for plan in check_file(file, [], home)] == first
    assert calls == {"sizes": 1, "build": 1}
    data.write_text("\n".join(["u,v,y", *rows, "1,1,a"]))
    check_file(file, [], home)  # It has the data of before in memory, and keeps nothing of them.
    assert calls == {"sizes": 2, "build": 2}
    as_in_another_process()
    (changed,) = check_file(file, [], home)
    assert calls == {"sizes": 3, "build": 3}
    assert changed.study.data.train == first[0]["data"]["train"] + 1
    check_file(file, ["recipe.backbone.hidden=[8]"], home)
    assert calls == {"sizes": 3, "build": 4}


def test_a_second_check_tries_an_augmentation_or_a_method_no_second_time(
    write_study: Write, home: Path, calls: Counter[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    file = write_study(
        ("{name: wine, validation: 40, test: 40}", "{name: digits}"),
        ("{name: mlp, hidden: [8, 8]}", "small_cnn"),
        (
            "  batch_size: 16",
            "  batch_size: 16\n  augmentation: [random_horizontal_flip]\n  mixup: 0.2",
        ),
    )
    check_file(file, [], home)
    assert calls["build"] > 1
    before = calls.copy()

    def fails(*_: object, **__: object) -> None:
        raise AssertionError("the data are read")

    monkeypatch.setattr(datasets, "load", fails)
    check_file(file, [], home)
    assert calls == before


def test_nothing_is_kept_of_a_study_whose_data_must_still_be_downloaded(
    write_study: Write, home: Path, calls: Counter[str], tmp_path: Path
) -> None:
    file = write_study(
        ("{name: wine, validation: 40, test: 40}", "{name: cifar10}"),
        ("{name: mlp, hidden: [8, 8]}", "small_cnn"),
    )
    notes = check_file(file, [], home)[0].notes
    assert any("cifar10" in note for note in notes), notes
    assert check_file(file, [], home)[0].notes == notes
    assert not list(tmp_path.rglob("files/*"))


def test_a_users_own_data_are_read_by_every_check(
    write_study: Write, home: Path, calls: Counter[str]
) -> None:
    (home.parent / "own.py").write_text(
        "import torch\n"
        "from workbench import Samples\n"
        "def data():\n"
        "    x, y = torch.arange(320.0).reshape(160, 2), torch.arange(160) % 2\n"
        "    return Samples(kind='vector', inputs=x, targets=y, classes=('a', 'b'))\n"
    )
    own = "{name: 'own.py:data', validation: 40, test: 40}"
    file = write_study(("{name: wine, validation: 40, test: 40}", own))
    check_file(file, [], home)
    check_file(file, [], home)
    assert calls == {"sizes": 2, "build": 2}


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
    assert spec.plan == first.plan and spec.data_digest == study.inputs.digest(first.plan)
    assert spec.seed == study.inputs.seed != spec.study_seed == 1
