"""A trial that runs out of memory: trained once more with half the micro-batch, then failed."""

from __future__ import annotations

import gc
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from tests.support.hungry import write_hungry
from tests.support.trials import directory_for, go_on, never, numbers, planned, spec_for
from workbench.record import Decision, EpochResult, State, TrialDirectory, TrialSpec
from workbench.trial import checkpoint
from workbench.trial import run as trial_run

Write = Callable[..., Path]
Spec = Callable[..., TrialSpec]

PASSES = 7  # of an epoch: 98 training samples in batches of 16


@pytest.fixture
def spec(write_study: Write, home: Path, tmp_path: Path) -> Spec:
    write_hungry(tmp_path)

    def make(most: int, passes: int = 0) -> TrialSpec:
        backbone = f"{{name: hungry.py:hungry, most: {most}, passes: {passes}}}"
        return spec_for(write_study(("{name: mlp, hidden: [8, 8]}", backbone)), home)

    return make


@pytest.fixture
def with_half(spec: Spec, tmp_path: Path) -> TrialDirectory:
    """A trial that was planned with half the micro-batch, and had the memory for it."""
    directory = directory_for(planned(spec(8), micro_batch_size=8), tmp_path / "with half")
    assert trial_run.run(directory, report=go_on, interrupted=never).state is State.COMPLETE
    return directory


def test_a_trial_without_memory_is_that_of_half_the_micro_batch_and_says_so(
    spec: Spec, with_half: TrialDirectory, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    directory = directory_for(spec(8), tmp_path / "t")
    models: list[int] = []

    def count(line: EpochResult) -> Decision:
        models.append(sum(type(each).__name__ == "Hungry" for each in gc.get_objects()))
        return go_on(line)

    result = trial_run.run(directory, report=count, interrupted=never)
    assert result.state is State.COMPLETE
    assert models[0] == 1, "the memory of the first try is free"
    assert result.provenance["micro_batch_size"] == "8, halved after running out of memory"
    assert "out of memory while training with batches of 16: tried to allocate 21 MB" in caplog.text
    assert "trained once more, with micro-batches of 8: out of memory while" in caplog.text
    assert numbers(directory) == numbers(with_half)
    assert directory.weights.read_bytes() == with_half.weights.read_bytes()
    planned_so = with_half.result()
    assert planned_so is not None and "micro_batch_size" not in planned_so.provenance


@pytest.mark.parametrize("seconds", [0.0, 1000.0], ids=["with a checkpoint", "without"])
def test_an_epoch_that_was_recorded_before_memory_ran_out_is_recorded_once(
    spec: Spec, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, seconds: float
) -> None:
    monkeypatch.setattr(trial_run, "CHECKPOINT_SECONDS", seconds)
    directory = directory_for(spec(8, passes=2 * PASSES), tmp_path / "t")
    sent: list[EpochResult] = []

    def report(line: EpochResult) -> Decision:
        sent.append(line)
        return go_on(line)

    result = trial_run.run(directory, report=report, interrupted=never)
    assert result.state is State.COMPLETE and "micro_batch_size" in result.provenance
    history = directory.history()
    assert [line.epoch for line in history] == [1, 2, 3]
    assert {line.timestamp for line in sent} == {line.timestamp for line in history}


def test_the_best_epoch_of_the_first_try_keeps_its_weights_in_a_checkpoint_of_the_second(
    spec: Spec, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(trial_run, "CHECKPOINT_SECONDS", 1000.0)
    planned_to = spec(8, passes=2 * PASSES)
    # The worst epoch is the first, which counts as the best one here.
    objective = replace(planned_to.objective, direction="minimize")
    directory = directory_for(replace(planned_to, objective=objective), tmp_path / "t")
    sent: list[int] = []

    def report(line: EpochResult) -> Decision:
        sent.append(line.epoch)
        return Decision.PARK if sent.count(1) == 2 else Decision.CONTINUE

    assert trial_run.run(directory, report=report, interrupted=never).state is State.PARKED
    path, _ = directory.find_checkpoint()
    assert path is not None
    content = checkpoint.read(path)
    assert content["chosen"]["epoch"] == content["engine"]["epoch"] == 1
    kept, trained_again = content["chosen"]["weights"], content["engine"]["weights"]
    assert any(not kept[name].equal(trained_again[name]) for name in kept)


def test_a_later_attempt_keeps_half_the_micro_batch_though_memory_is_free_again(
    spec: Spec, with_half: TrialDirectory, tmp_path: Path
) -> None:
    directory = directory_for(spec(8), tmp_path / "t")

    def free(line: EpochResult) -> Decision:
        (tmp_path / "free").touch()
        return go_on(line)

    result = trial_run.run(directory, report=free, interrupted=(tmp_path / "free").exists)
    assert result.state is State.PARKED and len(directory.history()) == 1
    result = trial_run.run(directory, report=go_on, interrupted=never)
    assert result.state is State.COMPLETE and "micro_batch_size" in result.provenance
    assert numbers(directory) == numbers(with_half)
    assert directory.weights.read_bytes() == with_half.weights.read_bytes()


def test_a_trial_fails_after_one_retry_and_says_what_was_tried(spec: Spec, tmp_path: Path) -> None:
    directory = directory_for(spec(7), tmp_path / "t")
    result = trial_run.run(directory, report=go_on, interrupted=never)
    assert result.state is State.FAILED
    assert result.reason is not None
    assert result.reason.startswith("out of memory while training with batches of 8: tried to ")
    assert result.reason.endswith("This was the second try, with micro_batch_size: 8.")
    assert result.provenance["micro_batch_size"].startswith("8,")


def test_a_micro_batch_of_one_sample_is_not_halved(spec: Spec, tmp_path: Path) -> None:
    # A few passes for the check of a new model.
    directory = directory_for(planned(spec(0, passes=9), micro_batch_size=1), tmp_path / "t")
    result = trial_run.run(directory, report=go_on, interrupted=never)
    assert result.state is State.FAILED and "second try" not in str(result.reason)
    assert "micro_batch_size" not in result.provenance


def test_half_is_counted_from_the_samples_that_there_are(spec: Spec, tmp_path: Path) -> None:
    directory = directory_for(planned(spec(60), batch_size=500), tmp_path / "t")
    result = trial_run.run(directory, report=go_on, interrupted=never)
    assert result.state is State.COMPLETE
    assert result.provenance["micro_batch_size"].startswith("49,")
