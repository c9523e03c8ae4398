"""A trial from its specification to its result, with the real engine on scikit-learn's wines."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from workbench import record, space, trial
from workbench.config import load
from workbench.foundation import Foundation, training_seed
from workbench.record import (
    Decision,
    EpochResult,
    Objective,
    Role,
    State,
    TrialDirectory,
    TrialSpec,
)

Write = Callable[..., Path]


def spec_for(file: Path, home: Path, **changes: object) -> TrialSpec:
    config = load(file)
    foundation = Foundation(config, home)
    group = config.groups[0]
    plan = space.plan_of(config, space.default(config, group), foundation)
    spec = TrialSpec(
        study=config.name,
        role=Role.SEARCH,
        group=group.name,
        strategy=group.name,
        number=0,
        levels=group.levels,
        hyperparameters={},
        plan=plan,
        objective=config.objective,
        seed=training_seed(config),
        study_seed=config.search.seed,
        data_digest=foundation.sizes(plan.dataset)["digest"],
    )
    return replace(spec, **changes)  # type: ignore[arg-type]


def directory_for(spec: TrialSpec, path: Path) -> TrialDirectory:
    directory = TrialDirectory(path)
    directory.write_spec(spec)
    return directory


def go_on(_: EpochResult) -> Decision:
    return Decision.CONTINUE


def never() -> bool:
    return False


def with_rate(spec: TrialSpec, rate: float) -> TrialSpec:
    (phase,) = spec.plan.phases
    return replace(spec, plan=replace(spec.plan, phases=(replace(phase, learning_rate=rate),)))


def numbers(directory: TrialDirectory) -> list[dict[str, float]]:
    """The history without what a clock says."""
    return [
        {name: value for name, value in line.metrics.items() if name != "seconds"}
        for line in directory.history()
    ]


def test_a_complete_trial_leaves_a_whole_record(tiny: Path, home: Path, tmp_path: Path) -> None:
    directory = directory_for(spec_for(tiny, home), tmp_path / "t")
    result = trial.run(directory, report=go_on, interrupted=never)
    assert result.state is State.COMPLETE
    assert directory.result() == result
    history = directory.history()
    assert [line.epoch for line in history] == [1, 2, 3]
    values = [line.metrics["validation/accuracy"] for line in history]
    assert result.value == max(values)
    assert result.epoch == values.index(max(values)) + 1
    assert result.metrics == history[result.epoch - 1].metrics
    assert sum(map(sum, result.confusion or [])) == 40
    assert result.parameters["trainable"] <= result.parameters["total"]
    assert result.started < result.ended
    assert (directory.artifacts / "learning_curve.png").read_bytes()[:4] == b"\x89PNG"
    description = json.loads(directory.weights_description.read_text())
    assert description["sha256"] == record.sha256_of(directory.weights)
    assert not list(directory.path.glob("checkpoint*"))


def test_the_weights_kept_are_those_of_the_chosen_epoch(
    tiny: Path, home: Path, tmp_path: Path
) -> None:
    spec = spec_for(tiny, home)
    directory = directory_for(spec, tmp_path / "t")
    result = trial.run(directory, report=go_on, interrupted=never)
    assert result.epoch is not None
    shorter = replace(
        spec,
        plan=replace(spec.plan, phases=(replace(spec.plan.phases[0], epochs=result.epoch),)),
        objective=replace(spec.objective, epoch="last"),
    )
    other = directory_for(shorter, tmp_path / "other")
    trial.run(other, report=go_on, interrupted=never)
    ours, theirs = load_file(directory.weights), load_file(other.weights)
    assert ours.keys() == theirs.keys()
    assert all(torch.equal(ours[name], theirs[name]) for name in ours)


def test_the_rule_last_keeps_the_last_epoch(tiny: Path, home: Path, tmp_path: Path) -> None:
    objective = Objective(metric="validation/accuracy", direction="maximize", epoch="last")
    directory = directory_for(spec_for(tiny, home, objective=objective), tmp_path / "t")
    result = trial.run(directory, report=go_on, interrupted=never)
    assert result.epoch == 3
    assert result.value == directory.history()[-1].metrics["validation/accuracy"]


def test_a_trial_run_again_gives_the_same_numbers_bit_for_bit(
    tiny: Path, home: Path, tmp_path: Path
) -> None:
    spec = spec_for(tiny, home)
    first, second = (directory_for(spec, tmp_path / name) for name in ("a", "b"))
    for directory in (first, second):
        trial.run(directory, report=go_on, interrupted=never)
    assert numbers(first) == numbers(second)
    assert first.weights.read_bytes() == second.weights.read_bytes()


def test_a_pruned_trial_has_a_reason_and_no_value(tiny: Path, home: Path, tmp_path: Path) -> None:
    directory = directory_for(spec_for(tiny, home), tmp_path / "t")

    def prune_at_two(line: EpochResult) -> Decision:
        return Decision.PRUNE if line.epoch == 2 else Decision.CONTINUE

    result = trial.run(directory, report=prune_at_two, interrupted=never)
    assert (result.state, result.reason) == (State.PRUNED, "pruned at epoch 2")
    assert result.value is None and result.metrics == {}
    assert len(directory.history()) == 2
    assert not directory.weights.exists()


def test_a_diverging_trial_fails_and_keeps_its_finite_epochs(
    tiny: Path, home: Path, tmp_path: Path
) -> None:
    directory = directory_for(with_rate(spec_for(tiny, home), 1e30), tmp_path / "t")
    result = trial.run(directory, report=go_on, interrupted=never)
    assert result.state is State.FAILED
    assert result.reason is not None and result.reason.startswith("diverged at epoch ")
    assert result.traceback is None
    assert all(
        value == value and abs(value) != float("inf")
        for line in directory.history()
        for value in line.metrics.values()
    )


def test_an_exception_ends_in_the_result_with_its_traceback(
    tiny: Path, home: Path, tmp_path: Path
) -> None:
    directory = directory_for(spec_for(tiny, home, data_digest="another"), tmp_path / "t")
    result = trial.run(directory, report=go_on, interrupted=never)
    assert result.state is State.FAILED
    assert "The data set has changed since the study was planned" in str(result.reason)
    assert "Traceback" in str(result.traceback)


def test_an_interrupted_trial_is_parked_and_goes_on_to_the_same_numbers(
    tiny: Path, home: Path, tmp_path: Path
) -> None:
    spec = spec_for(tiny, home)
    whole = directory_for(spec, tmp_path / "whole")
    trial.run(whole, report=go_on, interrupted=never)
    parked = directory_for(spec, tmp_path / "parked")

    def park_at_two(line: EpochResult) -> Decision:
        return Decision.PARK if line.epoch == 2 else Decision.CONTINUE

    result = trial.run(parked, report=park_at_two, interrupted=never)
    assert result.state is State.PARKED
    assert (parked.path / "checkpoint.pt").exists()
    sent: list[int] = []

    def listen(line: EpochResult) -> Decision:
        sent.append(line.epoch)
        return Decision.CONTINUE

    result = trial.run(parked, report=listen, interrupted=never)
    assert result.state is State.COMPLETE
    # The answer to the second epoch may have been lost, so it is asked for again; the first is not.
    assert sent == [2, 3]
    assert numbers(parked) == numbers(whole)
    assert parked.weights.read_bytes() == whole.weights.read_bytes()


@pytest.mark.parametrize("batches", [1, 7, 20])
def test_a_trial_stopped_between_batches_repeats_no_accepted_epoch(
    tiny: Path, home: Path, tmp_path: Path, batches: int
) -> None:
    spec = spec_for(tiny, home)
    whole = directory_for(spec, tmp_path / "whole")
    trial.run(whole, report=go_on, interrupted=never)
    stopped = directory_for(spec, tmp_path / "stopped")
    polls = iter(range(1000))
    result = trial.run(stopped, report=go_on, interrupted=lambda: next(polls) >= batches)
    assert result.state is State.PARKED
    lines = [line.timestamp for line in stopped.history()]
    trial.run(stopped, report=go_on, interrupted=never)
    assert [line.timestamp for line in stopped.history()][: len(lines)] == lines
    assert numbers(stopped) == numbers(whole)
    assert stopped.weights.read_bytes() == whole.weights.read_bytes()


def test_a_prune_that_was_never_heard_is_obeyed_without_training(
    tiny: Path, home: Path, tmp_path: Path
) -> None:
    spec = spec_for(tiny, home)
    directory = directory_for(spec, tmp_path / "t")
    polls = iter(range(1000))
    trial.run(directory, report=go_on, interrupted=lambda: next(polls) >= 8)
    known = len(directory.history())
    assert known >= 1
    result = trial.run(directory, report=lambda _: Decision.PRUNE, interrupted=never)
    assert result.state is State.PRUNED
    assert len(directory.history()) == known


def test_a_damaged_checkpoint_is_set_aside_and_the_trial_still_ends_the_same(
    tiny: Path, home: Path, tmp_path: Path
) -> None:
    spec = spec_for(tiny, home)
    whole = directory_for(spec, tmp_path / "whole")
    trial.run(whole, report=go_on, interrupted=never)
    damaged = directory_for(spec, tmp_path / "damaged")
    trial.run(damaged, report=lambda _: Decision.PARK, interrupted=never)
    checkpoint = damaged.path / "checkpoint.pt"
    content = bytearray(checkpoint.read_bytes())
    content[len(content) // 2] ^= 1
    checkpoint.write_bytes(content)
    trial.run(damaged, report=go_on, interrupted=never)
    assert numbers(damaged) == numbers(whole)
    assert (damaged.path / "checkpoint.pt.corrupt").exists()


def test_a_fenced_trial_writes_no_result(tiny: Path, home: Path, tmp_path: Path) -> None:
    directory = directory_for(spec_for(tiny, home), tmp_path / "t")
    with pytest.raises(trial.Fenced):
        trial.run(directory, report=lambda _: Decision.FENCED, interrupted=never)
    assert directory.result() is None


def test_a_trial_that_somebody_else_runs_is_refused(
    tiny: Path, home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(trial, "LOCK_SECONDS", 0.0)
    directory = directory_for(spec_for(tiny, home), tmp_path / "t")
    with record.lock(directory.lock_path), pytest.raises(record.Locked):
        trial.run(directory, report=go_on, interrupted=never)


def test_a_picture_that_cannot_be_drawn_costs_no_trial(
    tiny: Path, home: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    directory = directory_for(spec_for(tiny, home), tmp_path / "t")
    directory.artifacts.write_text("a file where the folder of pictures should be")
    result = trial.run(directory, report=go_on, interrupted=never)
    assert result.state is State.COMPLETE
    assert directory.result() == result
    assert "no learning curve" in caplog.text


def test_the_confusion_matrix_of_the_chosen_epoch_is_drawn(
    tiny: Path, home: Path, tmp_path: Path
) -> None:
    directory = directory_for(spec_for(tiny, home), tmp_path / "t")
    trial.run(directory, report=go_on, interrupted=never)
    trial.draw_confusion(directory)
    assert (directory.artifacts / "confusion_matrix.png").stat().st_size > 1000
