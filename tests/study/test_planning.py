"""What a confirmation will do follows from the study file and the search's records alone."""

from __future__ import annotations

import hashlib
import json
import re
import shutil
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pytest
import typer

from tests.support.studies import SearchResults
from tests.support.tiny import CONFIRM, JOINT, NINE, THREE, TWO
from workbench import record
from workbench.cli import app
from workbench.commands import outcomes
from workbench.commands.check import check_file
from workbench.record import Role, State
from workbench.record.seeds import derive
from workbench.study.config import load
from workbench.study.config.changes import StudyChangedError, differences
from workbench.study.config.study_config import StudyConfig
from workbench.study.confirm import design, planning, preregistration
from workbench.study.confirm.forecast import outlook
from workbench.study.study import Study
from workbench.verdict.statistics.planning import detectable_effect

Write = Callable[..., Path]


@pytest.fixture
def make(write_study: Write, home: Path) -> Callable[..., SearchResults]:
    def make(*replacements: tuple[str, str], overrides: tuple[str, ...] = ()) -> SearchResults:
        text = ("objective: {metric: validation/accuracy}", CONFIRM)
        return SearchResults(write_study(*replacements, text), home, *overrides)

    return make


Make = Callable[..., SearchResults]


@pytest.fixture
def two(make: Make) -> SearchResults:
    """Two optimizers with three trials each: one of sgd's was pruned, two of adamw's are equal."""
    searched = make(TWO, THREE)
    searched.trial("sgd", 0, 0.5)
    searched.trial("sgd", 1, 0.7)
    searched.trial("sgd", 2, 0.9, state=State.PRUNED)
    for number, value in enumerate((0.6, 0.8, 0.8)):
        searched.trial("adamw", number, value)
    return searched


def test_a_protocol_says_all_that_is_fixed_before_the_first_run(two: SearchResults) -> None:
    content = two.plan().content
    sizes = two.study.inputs.sizes(two.study.strategies[0].knobs)
    definitions = content["definitions"]
    assert all(len(digest) == 64 for digest in definitions.values())
    sgd = {"learning_rate": 0.01, "momentum": 0.9}
    assert content == {
        "schema": 2,
        "study": "tiny",
        "metric": "test/accuracy",
        "validation_metric": "validation/accuracy",
        "direction": "maximize",
        "bounds": [0.0, 1.0],
        "epoch": "best",
        "alpha": 0.05,
        "smallest_effect": 0.02,
        "looks": 1,
        "contrast": "all",
        "pairs": 3,
        "effects": [],
        "seeds_floor": 6,
        "seeds": [str(derive(1, "training", "tiny", "confirmation", i)) for i in range(12)],
        "selection": {
            "configs": 3,
            "seeds": [str(derive(1, "training", "tiny", "selection", i)) for i in range(3)],
            "candidates": {
                "sgd": [_listed("sgd", 1, 0.7, momentum=0.9), _listed("sgd", 0, 0.5, momentum=0.9)],
                "adamw": [
                    _listed("adamw", 1, 0.8),
                    _listed("adamw", 2, 0.8),
                    _listed("adamw", 0, 0.6),
                ],
            },
        },
        "strategies": [
            {"name": "sgd", "levels": {"optimizer": "sgd"}, "trials": 3, "completed": 2},
            {"name": "adamw", "levels": {"optimizer": "adamw"}, "trials": 3, "completed": 3},
        ],
        "not_comparable": [],
        "finalists": None,
        "baseline": {
            "name": "default",
            "strategy": "sgd",
            "levels": {"optimizer": "sgd"},
            "hyperparameters": sgd,
        },
        "search": {
            "mode": "balanced",
            "sampler": "tpe",
            "sampler_options": {},
            "pruner": "median",
            "pruner_options": {},
            "startup_trials": 3,
            "seed": 1,
            "budget": {
                "trials_per_strategy": 3,
                "total": 6,
                "targets": {"sgd": 3, "adamw": 3},
            },
            "tune": content["search"]["tune"],
        },
        "data": {
            "name": "wine",
            "digest": sizes["digest"],
            "test": 40,
            "test_digest": sizes["test_digest"],
        },
        "definitions": definitions,
        "pruning": "none",
    }
    assert [entry["knob"] for entry in content["search"]["tune"]] == ["learning_rate", "momentum"]


def _listed(strategy: str, number: int, value: float, **more: float) -> dict[str, Any]:
    return {
        "trial": f"{strategy}/{number:03d}",
        "number": number,
        "value": value,
        "hyperparameters": {"learning_rate": 1e-3 * (number + 1), **more},
    }


def test_the_same_study_gives_the_same_bytes_wherever_it_lies(
    two: SearchResults, tmp_path: Path, write_study: Write
) -> None:
    text = two.plan().text
    assert text == two.plan().text
    assert str(tmp_path).encode() not in text
    assert two.plan().sha256 == hashlib.sha256(text).hexdigest()
    other = tmp_path / "elsewhere"
    two.study.home.rename(other)
    assert SearchResults(two.file.rename(other / "tiny.yaml"), other).plan().text == text


def test_candidates_of_one_plan_count_once(two: SearchResults) -> None:
    # The search proposed the very same rate again, and it came out as well.
    two.trial("adamw", 2, 0.8, rate=2e-3)
    numbers = [one["number"] for one in two.plan().content["selection"]["candidates"]["adamw"]]
    assert numbers == [1, 0]


def test_the_lowest_values_are_candidates_where_less_is_better(make: Make) -> None:
    searched = make(TWO, THREE, overrides=("objective.metric=validation/loss",))
    for strategy in ("sgd", "adamw"):
        for number, value in enumerate((0.9, 0.2, 0.5)):
            searched.trial(strategy, number, value)
    content = searched.plan().content
    assert [c["number"] for c in content["selection"]["candidates"]["sgd"]] == [1, 2, 0]
    assert (content["metric"], content["direction"]) == ("test/loss", "minimize")
    assert content["bounds"] == [0.0, None]


@pytest.mark.parametrize(
    ("task", "metric", "expected"),
    [
        ("classification", "f1", (0.0, 1.0)),
        ("classification", "loss", (0.0, None)),
        ("regression", "rmse", (0.0, None)),
        ("regression", "r2", (None, 1.0)),
    ],
)
def test_a_metric_has_the_bounds_that_it_has_by_definition(
    tmp_path: Path, task: str, metric: str, expected: tuple[float | None, float | None]
) -> None:
    data = "wine" if task == "classification" else "diabetes"
    file = tmp_path / "study.yaml"
    file.write_text(
        f"name: s\nrecipe: {{dataset: {data}, backbone: mlp, task: {task}}}\n"
        f"compare: {{optimizer: [sgd, adam]}}\nsearch: {{trials_per_strategy: 1}}\n"
        f"objective: {{metric: validation/{metric}}}\n"
    )
    config = load(file)
    assert design.bounds(Study(config, tmp_path)) == expected


def test_nothing_is_known_of_the_bounds_of_a_users_own_metric(tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text("def accurate(predicted, true):\n    return 0.0\n")
    file = tmp_path / "study.yaml"
    file.write_text(
        "name: s\nrecipe: {dataset: wine, backbone: mlp, task: {metrics: [mine.py:accurate]}}\n"
        "compare: {optimizer: [sgd, adam]}\nsearch: {trials_per_strategy: 1}\n"
        "objective: {metric: validation/accurate}\n"
    )
    config = load(file)
    assert design.bounds(Study(config, tmp_path)) == (None, None)


def test_a_study_with_another_name_has_other_seeds(make: Make) -> None:
    overrides = ("confirm.seeds=8",)
    one, other = (make(NINE, overrides=(*overrides, f"name={name}")) for name in ("one", "other"))
    for searched in (one, other):
        for strategy in searched.config.strategies:
            for number in range(5):
                searched.trial(strategy.name, number, 0.5)
    first, second = (set(searched.plan().content["seeds"]) for searched in (one, other))
    assert len(first) == len(second) == 8
    assert not first & second


def test_a_confirmation_that_an_earlier_version_began_continues_by_its_protocol(
    two: SearchResults,
) -> None:
    earlier = {
        **two.plan().content,
        "schema": 1,
        "seeds_floor": 7,
        "seeds": [str(derive(1, "training", "confirmation", i)) for i in range(10)],
    }
    earlier["selection"] = {
        **earlier["selection"],
        "seeds": [str(derive(1, "training", "selection", i)) for i in range(3)],
    }
    keys = list(earlier)
    keys.insert(keys.index("alpha") + 1, "gamma")
    content = {key: earlier.get(key, 0.75) for key in keys if key != "effects"}
    path = record.protocol_path(two.study.directory)
    path.write_text(json.dumps(content, indent=1) + "\n")
    assert two.plan().text == path.read_bytes()


@pytest.mark.parametrize(
    ("overrides", "pairs", "floor"),
    [
        ((), 45, 6),
        (("confirm.contrast=optimizer",), 3, 6),
        (("confirm.contrast=baseline",), 9, 9),
        (("confirm.finalists=3",), 6, 6),
        (("confirm.finalists=3", "confirm.contrast=baseline"), 3, 7),
        (("confirm.looks=2",), 45, 7),
        (("confirm.looks=2", "confirm.contrast=baseline"), 9, 10),
    ],
)
def test_only_comparisons_with_one_baseline_demand_more_seeds_the_more_they_are(
    make: Make, overrides: tuple[str, ...], pairs: int, floor: int
) -> None:
    searched = make(NINE, overrides=overrides)
    found = outlook(searched.study)
    assert (found.pairs, found.seeds_floor) == (pairs, floor)
    assert found.seeds == found.seeds_default == max(12, floor)
    assert found.notes == []


def test_check_says_what_a_confirmation_takes_and_what_it_finds(make: Make) -> None:
    searched = make(NINE, overrides=("confirm.seeds=12",))
    found = outlook(searched.study)
    assert asdict(found) == {
        "arms": 10,
        "contrast": "all",
        "pairs": 45,
        "looks": 1,
        "alpha": 0.05,
        "seeds_floor": 6,
        "seeds_default": 12,
        "seeds": 12,
        "chosen": True,
        "metric": "test/accuracy",
        "smallest_effect": 0.02,
        "detectable": detectable_effect(12),
        "selection_runs": 81,
        "confirmation_runs": 120,
        "seconds": None,
        "notes": [],
    }


def test_once_searched_check_says_what_a_confirmation_costs(two: SearchResults) -> None:
    two.trial("sgd", 0, 0.5, seconds=3.0)
    found = outlook(two.study)
    # The median of 3, 2, 2, 2 and 2 seconds, for 18 runs to select and 36 to test.
    assert found.seconds == 2.0 * 54


def test_fewer_seeds_than_the_floor_are_allowed_and_said_loudly(make: Make) -> None:
    searched = make(NINE, overrides=("confirm.seeds=5",))
    found = outlook(searched.study)
    assert found.detectable is None
    assert found.notes == [
        "confirm.seeds: with 5 seeds no result can be significant; at least 6 are needed. The "
        "verdict will be UNDERPOWERED BY DESIGN"
    ]
    for strategy in searched.config.strategies:
        for number in range(5):
            searched.trial(strategy.name, number, 0.5)
    plan = searched.plan()
    assert plan.notes == tuple(found.notes)
    assert len(plan.content["seeds"]) == 5


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (
            ("confirm.smallest_effect=null",),
            "--set confirm.smallest_effect=null: confirm.smallest_effect: found nothing, expected "
            "the smallest difference in accuracy that matters to you, in its units: it decides "
            "what is good enough and which lead matters, so it is fixed beforehand (a line in the "
            "file, or --set confirm.smallest_effect=0.01)",
        ),
        (
            ("confirm.smallest_effect=null", "objective.metric=validation/loss"),
            "--set confirm.smallest_effect=null: confirm.smallest_effect: found nothing, expected "
            "the smallest difference in loss that matters to you, in its units: it decides "
            "what is good enough and which lead matters, so it is fixed beforehand (a line in the "
            "file, or --set confirm.smallest_effect=...)",
        ),
        (
            ("confirm.smallest_effect=2",),
            "--set confirm.smallest_effect=2: confirm.smallest_effect: found 2.0, expected less "
            "than 1: accuracy is from 0 to 1, so 1 percentage point is 0.01",
        ),
        (
            ("objective.metric=train/accuracy",),
            "--set objective.metric=train/accuracy: objective.metric: found 'train/accuracy', "
            "expected a metric of the validation part; the training part does not measure "
            "generalization",
        ),
        (
            ("recipe.dataset.test=0",),
            "--set recipe.dataset.test=0: recipe.dataset.test: found no test sample, expected test "
            "samples: a confirmation ends on data that nothing has read before",
        ),
        (
            ("search.sampler={name: grid, points: 2}", "search.trials_per_strategy=4"),
            "--set search.trials_per_strategy=4: search.trials_per_strategy: found unequal numbers "
            "of trials (sgd: 4, adamw: 3), expected the same number for each: at most 3",
        ),
        (
            ("tune={}", "compare.test={few: {dataset.test: 20}, many: {dataset.test: 40}}"),
            "FILE:8: compare: found strategies with different test samples (sgd-few and sgd-many), "
            "expected the same test samples for all: otherwise their runs are not pairs",
        ),
    ],
)
def test_a_study_file_that_allows_no_confirmation_is_refused_with_its_line(
    write_study: Write, home: Path, overrides: tuple[str, ...], message: str
) -> None:
    drop = ("dataset: {name: wine, validation: 40, test: 40}", "dataset: {name: wine}")
    replaced = [drop] if any("dataset.test" in o for o in overrides) else []
    text = ("objective: {metric: validation/accuracy}", CONFIRM)
    searched = SearchResults(write_study(TWO, THREE, text, *replaced), home, *overrides)
    assert searched.refused() == message


def test_every_flaw_of_the_file_is_told_at_once_and_check_tells_them_too(
    write_study: Write, home: Path
) -> None:
    file = write_study(TWO, THREE, ("{metric: validation/accuracy}", "{metric: train/accuracy}"))
    assert len(SearchResults(file, home).refused().splitlines()) == 2
    searched = SearchResults(file, home, "confirm.seeds=10")
    (note,) = outlook(searched.study).notes
    assert note.startswith("workbench confirm will refuse this: ")
    assert "objective.metric: found 'train/accuracy'" in note


def test_an_unfinished_search_is_refused_with_what_is_missing(two: SearchResults) -> None:
    for name in ("sgd/002", "adamw/001", "adamw/002"):
        (two.directory / "trials" / name / "result.json").unlink()
    assert two.refused() == (
        "The search of tiny is unfinished: 3 of 6 trials are missing (sgd: 1, adamw: 2). Finish it "
        "first: workbench run FILE"
    )
    (two.directory / "trials" / "sgd" / "001" / "result.json").unlink()
    assert two.refused().endswith(
        "workbench run FILE, or confirm what is there with --set search.trials_per_strategy=1"
    )


def test_unequal_budgets_are_refused(two: SearchResults, home: Path) -> None:
    two.trial("sgd", 3, 0.5)
    message = two.refused()
    assert "(sgd: 4, adamw: 3)" in message
    assert message.endswith("workbench run FILE --set search.trials_per_strategy=4")


def test_a_search_without_a_completed_trial_has_nothing_to_confirm(make: Make) -> None:
    searched = make(TWO, THREE)
    for strategy in ("sgd", "adamw"):
        for number in range(3):
            searched.trial(strategy, number, None, state=State.FAILED)
    message = searched.refused()
    assert message.startswith("No trial of tiny completed") and "workbench show tiny" in message


def test_a_default_that_failed_in_the_search_is_told_beforehand(make: Make) -> None:
    searched = make(TWO, THREE)
    for strategy in ("sgd", "adamw"):
        for number in range(3):
            failed = (strategy, number) == ("sgd", 0)
            state = State.FAILED if failed else State.COMPLETE
            searched.trial(strategy, number, None if failed else 0.9 - number / 10, state=state)
    (note,) = [note for note in searched.plan().notes if "default configuration" in note]
    assert note.startswith(
        "confirm.baseline: the default configuration of sgd failed in the search"
    )


def test_a_training_that_keeps_no_model_is_refused_before_anything_runs(
    make: Make, tmp_path: Path
) -> None:
    (tmp_path / "own.py").write_text("def grow(trial):\n    yield {}\n")
    searched = make(TWO, THREE, ("  epochs: 3", "  epochs: 3\n  trial: own.py:grow"))
    specs = [
        searched.trial(strategy, number, 0.9 - number / 10)
        for strategy in ("sgd", "adamw")
        for number in range(3)
    ]
    told = searched.refused()
    assert "own.py:grow kept no model in the search of sgd, adamw, and a confirmation" in told
    for spec in (specs[0], specs[4]):
        weights = record.directory_of(searched.directory, spec).weights
        weights.parent.mkdir(exist_ok=True)
        weights.write_bytes(b"kept")
    assert searched.plan().candidates


def failing(make: Make, *overrides: str) -> SearchResults:
    """Four strategies, of which sgd-all never completes."""
    searched = make(THREE, overrides=overrides)
    for strategy in searched.config.strategies:
        for number in range(3):
            failed = strategy.name == "sgd-all"
            state = State.FAILED if failed else State.COMPLETE
            searched.trial(strategy.name, number, None if failed else 0.5, state=state)
    return searched


def test_a_strategy_that_never_completes_is_left_out_and_named_before_anything_runs(
    make: Make,
) -> None:
    plan = failing(make).plan()
    reason = "none of its 3 trials completed"
    assert plan.content["not_comparable"] == [{"strategy": "sgd-all", "reason": reason}]
    assert plan.content["pairs"] == 6
    assert "sgd-all" not in plan.candidates
    assert plan.notes == (f"sgd-all is NOT COMPARABLE and left out: {reason}",)


def test_levels_that_are_met_by_different_strategies_are_not_compared(make: Make) -> None:
    assert failing(make, "confirm.contrast=optimizer").refused() == (
        "--set confirm.contrast=optimizer: confirm.contrast: found 'optimizer', expected all or "
        "baseline, because no trial of sgd-all completed: the means of the levels would be over "
        "different strategies"
    )


def test_a_strategy_with_few_completed_trials_selects_among_those(two: SearchResults) -> None:
    assert two.plan().notes == (
        "confirm.select: sgd: only 2 of the 3 configurations, because no more differ and completed",
    )


def test_a_joint_study_confirms_its_finalists_against_the_default(make: Make) -> None:
    searched = make(*JOINT)
    for number, (strategy, value) in enumerate(
        [("sgd-0", 0.5), ("adamw-0", 0.9), ("adamw-0", 0.8), ("adamw-all", 0.4), ("sgd-0", 0.6)]
    ):
        searched.trial(strategy, number, value)
    plan = searched.plan()
    content = plan.content
    assert (content["contrast"], content["finalists"]) == ("baseline", 3)
    assert content["pairs"] == 3
    assert {name: [s.number for s in found] for name, found in plan.candidates.items()} == {
        "sgd-0": [4, 0],
        "adamw-0": [1, 2],
        "adamw-all": [3],
    }
    assert content["search"]["mode"] == "joint"
    assert list(content["definitions"]) == ["joint"]
    assert content["baseline"]["strategy"] == "sgd-0"
    # Nobody asked for sgd-all: it is no strategy that the study failed to compare.
    assert content["not_comparable"] == []
    assert [one["name"] for one in content["strategies"]] == ["sgd-0", "adamw-0", "adamw-all"]


@pytest.mark.parametrize(
    ("named", "strategy"), [(None, "sgd"), ("default", "sgd"), ("adamw", "adamw")]
)
def test_the_baseline_is_the_default_of_the_first_strategy_or_of_the_one_that_is_named(
    make: Make, named: str | None, strategy: str
) -> None:
    overrides = () if named is None else (f"confirm.baseline={named}",)
    config = make(TWO, overrides=overrides).config
    baseline = planning.baseline_of(config)
    assert baseline.strategy.name == strategy
    assert baseline.hyperparameters["learning_rate"] == 0.01


def test_a_protocol_is_written_once_and_then_only_held_against(two: SearchResults) -> None:
    plan, path = two.plan(), record.protocol_path(two.directory)
    assert not preregistration.begun(two.directory)
    preregistration.write_or_check(plan, two.study, logged=None)
    assert path.read_bytes() == plan.text
    assert json.loads(path.read_text()) == plan.content
    assert preregistration.begun(two.directory)
    before = path.stat().st_mtime_ns
    preregistration.write_or_check(plan, two.study, logged=None)
    assert path.stat().st_mtime_ns == before


def settled(searched: SearchResults, *overrides: str) -> str:
    """What is said to a study that changed after its protocol was written."""
    study = Study(load(searched.file, overrides), searched.study.home)
    plan = planning.plan_of_confirmation(study)
    with pytest.raises(StudyChangedError) as caught:
        preregistration.write_or_check(plan, study, logged=None)
    text = str(caught.value).replace(str(searched.file), "FILE")
    return text.replace(str(searched.directory), "DIR")


def test_another_protocol_is_refused_with_what_differs(two: SearchResults) -> None:
    preregistration.write_or_check(two.plan(), two.study, logged=None)
    assert settled(two, "confirm.smallest_effect=0.01", "confirm.select.configs=1") == (
        "FILE: the confirmation of tiny has begun by another protocol (DIR/protocol.json):\n"
        "  smallest_effect: was 0.02, is 0.01  (--set confirm.smallest_effect=0.01)\n"
        "  selection.configs: was 3, is 1  (--set confirm.select.configs=1)\n"
        "  selection.candidates.sgd: was 2 candidates, is 1  (--set confirm.select.configs=1)\n"
        "  selection.candidates.adamw: was 3 candidates, is 1  (--set confirm.select.configs=1)\n"
        "A protocol is fixed before the first run, so that no result can shape it. Restore these "
        "settings (if they were given as options, repeat them: --set confirm.smallest_effect=0.02 "
        "--set confirm.select.configs=3), or give the study a new name. A new name gives a study "
        "new confirmation seeds; another search.seed also gives it another test split, unless the "
        "data set has a fixed one."
    )


def test_options_that_a_confirmation_began_with_are_named_and_continue_it(
    two: SearchResults,
) -> None:
    options = ("confirm.seeds=7", "confirm.looks=2")
    began = planning.plan_of_confirmation(Study(load(two.file, options), two.study.home))
    preregistration.write_or_check(began, two.study, logged=None)
    told = settled(two)
    assert "seeds: was 7 seeds, is 12" in told
    named = re.findall(r"--set (\S+=\w+)", told)
    assert sorted(named) == ["confirm.looks=2", "confirm.seeds=7"]
    again = Study(load(two.file, named), two.study.home)
    preregistration.check_unchanged(planning.plan_of_confirmation(again), again)
    assert "repeat them" not in settled(two, "search.seed=2"), "no option of confirm brings it back"


def test_what_follows_from_another_difference_is_not_listed(two: SearchResults) -> None:
    preregistration.write_or_check(two.plan(), two.study, logged=None)
    lines = settled(two, "confirm.looks=2").splitlines()[1:-1]
    assert lines == ["  looks: was 1, is 2  (--set confirm.looks=2)"]


@pytest.mark.parametrize(
    ("edit", "told"),
    [
        (
            lambda text: text.replace("0.02", "0.2"),
            "  smallest_effect: was 0.2, is 0.02  (FILE:",
        ),
        (lambda text: text + "\n", "  the text of the file, but none of its values\n"),
        (lambda text: text[:50], "  the file is damaged ("),
    ],
)
def test_an_edited_protocol_is_refused(
    two: SearchResults, edit: Callable[[str], str], told: str
) -> None:
    preregistration.write_or_check(two.plan(), two.study, logged=None)
    path = record.protocol_path(two.directory)
    path.write_text(edit(path.read_text()))
    assert told in settled(two)


def test_a_protocol_that_was_deleted_is_missed(two: SearchResults) -> None:
    spec = replace(two.trial("sgd", 0, 0.5), role=Role.SELECTION, group="sgd/000")
    record.directory_of(two.directory, spec).write_spec(spec)
    assert settled(two) == (
        "DIR/protocol.json is missing, but runs that it planned exist. Restore it (MLflow has it "
        "below study/ of the run tiny confirmation), or give the study tiny a new name."
    )


def more_trials(searched: SearchResults, *overrides: str) -> StudyConfig:
    config = load(searched.file, overrides)
    preregistration.refuse_more_trials(Study(config, searched.study.home))
    return config


def test_a_search_adds_nothing_once_its_confirmation_has_begun(two: SearchResults) -> None:
    more_trials(two, "search.trials_per_strategy=4")
    preregistration.write_or_check(two.plan(), two.study, logged=None)
    more_trials(two)
    # A record that is gone is trained again, which changes nothing.
    shutil.rmtree(two.directory / "trials" / "sgd" / "000")
    more_trials(two)
    instead = (
        " After the confirmation a level is added without it in the file: workbench confirm tiny "
        "--add FACTOR=LEVEL"
    )
    for overrides, names, more in (
        ("search.trials_per_strategy=4", "2 more trials (sgd: 1, adamw: 1)", ""),
        ("compare.optimizer=[sgd, adamw, adam]", "3 more trials (adam: 3)", instead),
    ):
        with pytest.raises(StudyChangedError) as caught:
            more_trials(two, overrides)
        assert str(caught.value) == (
            f"{two.file}: the confirmation of tiny has begun, and its protocol names the trials "
            f"that it rests on. {names} would change what was searched. Restore the search as "
            f"it was; for a longer one or another level give the study a new name.{more}"
        )


def ahead(searched: SearchResults, home: Path, *overrides: str) -> dict[str, Any]:
    found = check_file(searched.file, list(overrides), home)[0].as_json()
    told = [text.replace(str(searched.file), "FILE") for text in found["refused"]]
    return {**found, "refused": [text.splitlines() for text in told]}


def test_check_refuses_nothing_before_a_confirmation_has_begun(
    two: SearchResults, home: Path
) -> None:
    found = ahead(two, home, "confirm.smallest_effect=0.3")
    assert (found["begun"], found["refused"]) == (None, [])


def test_check_says_how_far_a_confirmation_is(two: SearchResults, home: Path) -> None:
    preregistration.write_or_check(two.plan(), two.study, logged=None)
    found = ahead(two, home)
    looks = {"look": 1, "looks": 1, "seeds_shown": 0}
    assert found["begun"] == {"stage": "selection", "ended": 0, "planned": 5 * 3, **looks}
    assert found["refused"] == []


def test_check_refuses_a_study_file_that_was_edited_in_the_words_of_confirm(
    two: SearchResults, home: Path
) -> None:
    preregistration.write_or_check(two.plan(), two.study, logged=None)
    two.file.write_text(two.file.read_text().replace("0.02", "0.03"))
    (lines,) = ahead(two, home)["refused"]
    line = two.file.read_text().splitlines().index("confirm: {smallest_effect: 0.03}") + 1
    assert lines[1] == f"  smallest_effect: was 0.02, is 0.03  (FILE:{line})"
    assert "\n".join(lines) == settled(two).replace("DIR", str(two.directory))


def test_check_refuses_a_longer_search_once_the_confirmation_has_begun(
    two: SearchResults, home: Path
) -> None:
    preregistration.write_or_check(two.plan(), two.study, logged=None)
    ((line,),) = ahead(two, home, "search.trials_per_strategy=4")["refused"]
    assert "2 more trials (sgd: 1, adamw: 1) would change what was searched" in line


def test_check_misses_a_protocol_that_was_deleted(two: SearchResults, home: Path) -> None:
    spec = replace(two.trial("sgd", 0, 0.5), role=Role.SELECTION, group="sgd/000")
    record.directory_of(two.directory, spec).write_spec(spec)
    found = ahead(two, home)
    assert found["begun"]["stage"] == "damaged"
    ((line,),) = found["refused"]
    assert "protocol.json is missing" in line


def test_check_ends_like_the_command_that_would_refuse(
    two: SearchResults, home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    preregistration.write_or_check(two.plan(), two.study, logged=None)
    app.check([two.file], home=home)
    assert "selecting 0/15" in capsys.readouterr().out
    with pytest.raises(typer.Exit) as caught:
        app.check([two.file], ["confirm.smallest_effect=0.5"], home)
    assert caught.value.exit_code == outcomes.BAD_STUDY
    assert "smallest_effect: was 0.02, is 0.5" in capsys.readouterr().out


def test_a_hash_that_has_changed_is_shown_short() -> None:
    first, now = "0123456789ab" + "0" * 52, "ba9876543210" + "f" * 52
    lines = differences({"code": {"own.py": first}}, {"code": {"own.py": now}})
    assert lines == ['code.own.py: was "0123456789ab...", is "ba9876543210..."']
