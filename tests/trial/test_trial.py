"""A trial from its specification to its result, with the real engine on scikit-learn's wines."""

from __future__ import annotations

import csv
import json
import os
import socket
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from tests.support.training import phase, plan
from tests.support.trials import (
    OWN,
    directory_for,
    go_on,
    never,
    numbers,
    planned,
    spec_for,
    with_rate,
)
from workbench import backbones, record
from workbench.datasets.samples import Data, Part
from workbench.downloads import NotDownloadedError
from workbench.engine import parameter_groups
from workbench.record import (
    Decision,
    EpochResult,
    Objective,
    State,
    TrialDirectory,
    TrialSpec,
)
from workbench.record.files import LockedError, lock
from workbench.record.strategy import EarlyStopping, Plan
from workbench.trial import artifacts, best_epoch, trainers
from workbench.trial import run as trial_run

Write = Callable[..., Path]


def test_a_complete_trial_leaves_a_whole_record(tiny: Path, home: Path, tmp_path: Path) -> None:
    directory = directory_for(spec_for(tiny, home), tmp_path / "t")
    result = trial_run.run(directory, report=go_on, interrupted=never)
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
    assert not list(directory.artifacts.glob("*.png")), "pictures are of the best trial alone"
    description = json.loads(directory.weights_description.read_text())
    assert description["sha256"] == record.sha256_of(directory.weights)
    assert not list(directory.path.glob("checkpoint*"))


def test_the_weights_kept_are_those_of_the_chosen_epoch(
    tiny: Path, home: Path, tmp_path: Path
) -> None:
    spec = spec_for(tiny, home)
    directory = directory_for(spec, tmp_path / "t")
    result = trial_run.run(directory, report=go_on, interrupted=never)
    assert result.epoch is not None
    shorter = replace(
        spec,
        plan=replace(spec.plan, phases=(replace(spec.plan.phases[0], epochs=result.epoch),)),
        objective=replace(spec.objective, epoch="last"),
    )
    other = directory_for(shorter, tmp_path / "other")
    trial_run.run(other, report=go_on, interrupted=never)
    ours, theirs = load_file(directory.weights), load_file(other.weights)
    assert ours.keys() == theirs.keys()
    assert all(torch.equal(ours[name], theirs[name]) for name in ours)


def test_the_rule_last_keeps_the_last_epoch(tiny: Path, home: Path, tmp_path: Path) -> None:
    objective = Objective(metric="validation/accuracy", direction="maximize", epoch="last")
    directory = directory_for(spec_for(tiny, home, objective=objective), tmp_path / "t")
    result = trial_run.run(directory, report=go_on, interrupted=never)
    assert result.epoch == 3
    assert result.value == directory.history()[-1].metrics["validation/accuracy"]


def test_a_trial_run_again_gives_the_same_numbers_bit_for_bit(
    tiny: Path, home: Path, tmp_path: Path
) -> None:
    spec = spec_for(tiny, home)
    first, second = (directory_for(spec, tmp_path / name) for name in ("a", "b"))
    for directory in (first, second):
        trial_run.run(directory, report=go_on, interrupted=never)
    assert numbers(first) == numbers(second)
    assert first.weights.read_bytes() == second.weights.read_bytes()


def test_trials_that_begin_alike_build_their_model_once_unless_it_is_a_users(
    tiny: Path, home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    built = []
    build = backbones.build

    def counted(*args: Any, **named: Any) -> Any:
        built.append(named["seed"])
        return build(*args, **named)

    monkeypatch.setattr(backbones, "build", counted)
    monkeypatch.setattr(trainers, "_kept", {})
    spec = spec_for(tiny, home)
    monkeypatch.setattr("workbench.trial.code.require_planned", lambda code: None)
    users = replace(spec, plan=replace(spec.plan, code={"net.py": "0"}))
    other = replace(spec, seed=spec.seed + 1)
    for number, each in enumerate((spec, spec, other, other, users, users)):
        directory = directory_for(each, tmp_path / str(number))
        assert trial_run.run(directory, report=go_on, interrupted=never).state is State.COMPLETE
    assert built == [spec.seed, other.seed, spec.seed, spec.seed]
    alike = [numbers(TrialDirectory(tmp_path / number)) for number in ("0", "1", "4", "5")]
    assert alike.count(alike[0]) == 4


def test_a_pruned_trial_has_a_reason_and_no_value(tiny: Path, home: Path, tmp_path: Path) -> None:
    directory = directory_for(spec_for(tiny, home), tmp_path / "t")

    def prune_at_two(line: EpochResult) -> Decision:
        return Decision.PRUNE if line.epoch == 2 else Decision.CONTINUE

    result = trial_run.run(directory, report=prune_at_two, interrupted=never)
    assert (result.state, result.reason) == (State.PRUNED, "pruned at epoch 2")
    assert result.value is None and result.metrics == {}
    assert len(directory.history()) == 2
    assert not directory.weights.exists()


@pytest.mark.parametrize("dropped", [2, 3])
def test_a_trial_that_is_not_the_best_at_its_end_is_complete_without_its_weights(
    tiny: Path, home: Path, tmp_path: Path, dropped: int
) -> None:
    directory = directory_for(spec_for(tiny, home), tmp_path / "t")

    def drop(line: EpochResult) -> Decision:
        return Decision.DROP_WEIGHTS if line.epoch == dropped else Decision.CONTINUE

    result = trial_run.run(directory, report=drop, interrupted=never)
    assert result.state is State.COMPLETE and result.value is not None
    assert directory.weights.exists() == (dropped < 3)


def test_a_diverging_trial_fails_and_keeps_its_finite_epochs(
    tiny: Path, home: Path, tmp_path: Path
) -> None:
    directory = directory_for(with_rate(spec_for(tiny, home), 1e30), tmp_path / "t")
    result = trial_run.run(directory, report=go_on, interrupted=never)
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
    result = trial_run.run(directory, report=go_on, interrupted=never)
    assert result.state is State.FAILED
    assert "The data set has changed since the study was planned" in str(result.reason)
    assert "Traceback" in str(result.traceback)


def park_at_two(line: EpochResult) -> Decision:
    return Decision.PARK if line.epoch == 2 else Decision.CONTINUE


def test_an_interrupted_trial_is_parked_and_goes_on_to_the_same_numbers(
    tiny: Path, home: Path, tmp_path: Path
) -> None:
    spec = spec_for(tiny, home)
    whole = directory_for(spec, tmp_path / "whole")
    trial_run.run(whole, report=go_on, interrupted=never)
    parked = directory_for(spec, tmp_path / "parked")

    result = trial_run.run(parked, report=park_at_two, interrupted=never)
    assert result.state is State.PARKED
    assert (parked.path / "checkpoint.pt").exists()
    sent: list[int] = []

    def listen(line: EpochResult) -> Decision:
        sent.append(line.epoch)
        return Decision.CONTINUE

    result = trial_run.run(parked, report=listen, interrupted=never)
    assert result.state is State.COMPLETE
    # The answer to the second epoch may have been lost, so it is asked for again; the first is not.
    assert sent == [2, 3]
    assert numbers(parked) == numbers(whole)
    assert parked.weights.read_bytes() == whole.weights.read_bytes()


@pytest.mark.parametrize("batches", [1, 7, 20])
@pytest.mark.parametrize("seconds", [0.0, 1000.0], ids=["with a checkpoint", "without"])
def test_a_trial_stopped_between_batches_records_no_epoch_twice(
    tiny: Path,
    home: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    batches: int,
    seconds: float,
) -> None:
    monkeypatch.setattr(trial_run, "CHECKPOINT_SECONDS", seconds)
    spec = spec_for(tiny, home)
    whole = directory_for(spec, tmp_path / "whole")
    trial_run.run(whole, report=go_on, interrupted=never)
    stopped = directory_for(spec, tmp_path / "stopped")
    polls = iter(range(1000))
    result = trial_run.run(stopped, report=go_on, interrupted=lambda: next(polls) >= batches)
    assert result.state is State.PARKED
    lines = [line.timestamp for line in stopped.history()]
    trial_run.run(stopped, report=go_on, interrupted=never)
    assert [line.timestamp for line in stopped.history()][: len(lines)] == lines
    assert numbers(stopped) == numbers(whole)
    assert stopped.weights.read_bytes() == whole.weights.read_bytes()


def test_a_prune_that_was_never_heard_is_obeyed_without_training(
    tiny: Path, home: Path, tmp_path: Path
) -> None:
    spec = spec_for(tiny, home)
    directory = directory_for(spec, tmp_path / "t")
    polls = iter(range(1000))
    trial_run.run(directory, report=go_on, interrupted=lambda: next(polls) >= 8)
    known = len(directory.history())
    assert known >= 1
    result = trial_run.run(directory, report=lambda _: Decision.PRUNE, interrupted=never)
    assert result.state is State.PRUNED
    assert len(directory.history()) == known


def test_a_damaged_checkpoint_is_set_aside_and_the_trial_still_ends_the_same(
    tiny: Path, home: Path, tmp_path: Path
) -> None:
    spec = spec_for(tiny, home)
    whole = directory_for(spec, tmp_path / "whole")
    trial_run.run(whole, report=go_on, interrupted=never)
    damaged = directory_for(spec, tmp_path / "damaged")
    trial_run.run(damaged, report=lambda _: Decision.PARK, interrupted=never)
    checkpoint = damaged.path / "checkpoint.pt"
    content = bytearray(checkpoint.read_bytes())
    content[len(content) // 2] ^= 1
    checkpoint.write_bytes(content)
    result = trial_run.run(damaged, report=go_on, interrupted=never)
    assert numbers(damaged) == numbers(whole)
    assert (damaged.path / "checkpoint.pt.corrupt").exists()
    assert (result.damaged_checkpoints, result.restarted) == (1, True)


def test_without_a_sound_checkpoint_a_trial_starts_again_and_reports_what_it_repeats(
    tiny: Path, home: Path, tmp_path: Path
) -> None:
    spec = spec_for(tiny, home)
    whole = directory_for(spec, tmp_path / "whole")
    trial_run.run(whole, report=go_on, interrupted=never)
    damaged = directory_for(spec, tmp_path / "damaged")

    trial_run.run(damaged, report=park_at_two, interrupted=never)
    (damaged.path / "checkpoint.pt").write_bytes(b"half")
    sent: list[int] = []

    def listen(line: EpochResult) -> Decision:
        sent.append(line.epoch)
        return Decision.CONTINUE

    result = trial_run.run(damaged, report=listen, interrupted=never)
    assert (result.damaged_checkpoints, result.restarted) == (1, True)
    assert sent == [2, 1, 3], "the last one, whose answer may be lost; then what is trained"
    assert numbers(damaged) == numbers(whole)


def test_a_fenced_trial_writes_no_result(tiny: Path, home: Path, tmp_path: Path) -> None:
    directory = directory_for(spec_for(tiny, home), tmp_path / "t")
    with pytest.raises(trial_run.Fenced):
        trial_run.run(directory, report=lambda _: Decision.FENCED, interrupted=never)
    assert directory.result() is None


def test_an_attempt_that_was_given_up_writes_nothing_more(
    tiny: Path, home: Path, tmp_path: Path
) -> None:
    spec = spec_for(tiny, home)
    directory = directory_for(spec, tmp_path / "t")

    def lose(result: EpochResult) -> Decision:
        # The driver lost this node from sight, and gave the trial to another one.
        if result.epoch == 2:
            directory.write_spec(replace(spec, attempt=spec.attempt + 1))
        return Decision.CONTINUE

    with pytest.raises(trial_run.Fenced):
        trial_run.run(directory, report=lose, interrupted=never)
    assert len(directory.history()) == 2
    assert {path.name for path in directory.path.iterdir()} == {
        "spec.json",
        "history.jsonl",
        "lock",
    }


def test_a_trial_that_somebody_else_runs_is_refused(
    tiny: Path, home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(trial_run, "LOCK_SECONDS", 0.0)
    directory = directory_for(spec_for(tiny, home), tmp_path / "t")
    with lock(directory.lock_path), pytest.raises(LockedError):
        trial_run.run(directory, report=go_on, interrupted=never)


def test_a_running_trial_names_its_process(tiny: Path, home: Path, tmp_path: Path) -> None:
    directory = directory_for(spec_for(tiny, home), tmp_path / "t")
    notes = set()

    def report(_: EpochResult) -> Decision:
        notes.add(directory.lock_path.read_text())
        return Decision.CONTINUE

    trial_run.run(directory, report=report, interrupted=never)
    assert notes == {f"process {os.getpid()} on {socket.gethostname()}"}


def test_an_artifact_that_cannot_be_written_costs_no_trial(
    tiny: Path, home: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    directory = directory_for(spec_for(tiny, home), tmp_path / "t")
    directory.artifacts.write_text("a file where the folder of pictures should be")
    result = trial_run.run(directory, report=go_on, interrupted=never)
    assert result.state is State.COMPLETE
    assert directory.result() == result
    assert "cannot make the scores of the classes" in caplog.text
    artifacts.draw_best([directory])
    assert "cannot make the confusion matrix" in caplog.text


def test_the_confusion_matrix_of_the_chosen_epoch_is_drawn(
    tiny: Path, home: Path, tmp_path: Path
) -> None:
    directory = directory_for(spec_for(tiny, home), tmp_path / "t")
    trial_run.run(directory, report=go_on, interrupted=never)
    artifacts.draw_best([directory])
    assert (directory.artifacts / "confusion_matrix.png").stat().st_size > 1000


# What is left of a completed trial


def test_a_complete_trial_leaves_the_scores_of_each_class_and_its_mistakes(
    tiny: Path, home: Path, tmp_path: Path
) -> None:
    spec = with_rate(spec_for(tiny, home), 1e-3)
    directory = directory_for(spec, tmp_path / "t")
    result = trial_run.run(directory, report=go_on, interrupted=never)
    with (directory.artifacts / "per_class.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert list(rows[0]) == ["class", "precision", "recall", "f1", "support"]
    assert result.confusion is not None and result.classes is not None
    assert [row["class"] for row in rows] == result.classes
    assert [int(row["support"]) for row in rows] == [sum(row) for row in result.confusion]
    macro = sum(float(row["f1"]) for row in rows) / len(rows)
    assert macro == pytest.approx(result.metrics["validation/f1"])
    mistakes = json.loads((directory.artifacts / "mistakes.json").read_text())
    wrong = sum(sum(row) for row in result.confusion)
    wrong -= sum(result.confusion[label][label] for label in range(3))
    assert len(mistakes) == min(wrong, 20) > 0
    data = artifacts.data_of(spec)
    place = data.validation.index.tolist().index(mistakes[0]["sample"])
    assert data.classes[int(data.validation.targets[place])] == mistakes[0]["true"]
    confidences = [row["confidence"] for row in mistakes]
    assert confidences == sorted(confidences, reverse=True)


def test_what_a_resumed_trial_leaves_is_that_of_an_uninterrupted_one(
    tiny: Path, home: Path, tmp_path: Path
) -> None:
    # The first epoch stays the best one, so a resumed trial never validates it again.
    objective = Objective(metric="learning_rate", direction="minimize", epoch="best")
    spec = spec_for(tiny, home, objective=objective)
    whole, parked = (directory_for(spec, tmp_path / name) for name in ("whole", "parked"))
    assert trial_run.run(whole, report=go_on, interrupted=never).epoch == 1

    trial_run.run(parked, report=park_at_two, interrupted=never)
    assert trial_run.run(parked, report=go_on, interrupted=never).epoch == 1
    for name in ("per_class.csv", "mistakes.json"):
        ours, theirs = (at.artifacts / name for at in (whole, parked))
        assert ours.read_bytes() == theirs.read_bytes()


def test_a_pruned_trial_leaves_no_scores(tiny: Path, home: Path, tmp_path: Path) -> None:
    directory = directory_for(spec_for(tiny, home), tmp_path / "t")
    trial_run.run(directory, report=lambda _: Decision.PRUNE, interrupted=never)
    assert not directory.artifacts.exists()


def test_the_best_trials_mistakes_are_drawn_where_samples_are_images(
    write_study: Write, home: Path, tmp_path: Path
) -> None:
    file = write_study(
        ("{name: wine, validation: 40, test: 40}", "{name: digits, train_per_class: 5}"),
        ("{name: mlp, hidden: [8, 8]}", "{name: small_cnn, width: 4}"),
    )
    spec = planned(spec_for(file, home), batch_size=50)
    directory = directory_for(spec, tmp_path / "t")
    trial_run.run(directory, report=go_on, interrupted=never)
    artifacts.draw_best([directory])
    assert (directory.artifacts / "mistakes.png").read_bytes()[:4] == b"\x89PNG"


def test_the_table_of_misread_texts_is_escaped(
    tiny: Path, home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from workbench.datasets.samples import Texts

    texts = Texts(("plain", "<script>alert(1)</script> & more"))
    part = Part(inputs=texts, targets=torch.zeros(2), index=torch.tensor([3, 7]))
    data = Data(
        kind="text", train=part, validation=part, classes=("a", "b"), input_shape=(), digest=""
    )
    monkeypatch.setattr(artifacts, "data_of", lambda spec: data)
    directory = directory_for(spec_for(tiny, home), tmp_path / "t")
    row = {"sample": 7, "name": "x<y", "true": "a", "predicted": "b", "confidence": 0.9}
    artifacts.write_mistakes(directory, [row])
    artifacts.draw_best([directory])
    page = (directory.artifacts / "mistakes.html").read_text()
    assert "&lt;script&gt;alert(1)&lt;/script&gt; &amp; more" in page
    assert "x&lt;y" in page and "<script>" not in page
    (written,) = json.loads((directory.artifacts / "mistakes.json").read_text())
    assert written["text"] == texts.values[1], "as it is, for the report"


def test_a_picture_of_the_best_trial_that_cannot_be_drawn_is_logged(
    tiny: Path, home: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    directory = directory_for(spec_for(tiny, home), tmp_path / "t")
    trial_run.run(directory, report=go_on, interrupted=never)
    (directory.artifacts / "mistakes.json").write_text("[")
    artifacts.draw_best([directory])
    assert "cannot make the picture of the mistakes" in caplog.text
    assert (directory.artifacts / "confusion_matrix.png").exists()


# Early stopping


def values(*found: float) -> list[EpochResult]:
    return [
        EpochResult(epoch=n, phase="main", metrics={"validation/accuracy": value}, timestamp=0)
        for n, value in enumerate(found, start=1)
    ]


@pytest.mark.parametrize(
    ("found", "patience", "least", "direction", "stops_at"),
    [
        ((0.5, 0.6, 0.6, 0.6), 2, 0.0, "maximize", 4),
        ((0.5, 0.6, 0.6, 0.7), 2, 0.0, "maximize", None),
        ((0.5, 0.4, 0.3, 0.3), 2, 0.0, "minimize", None),
        ((0.5, 0.4, 0.5, 0.4), 2, 0.0, "minimize", 4),
        # Each step is too small to count, but all of them together are not.
        ((0.50, 0.54, 0.58, 0.62), 2, 0.05, "maximize", None),
        ((0.50, 0.52, 0.54, 0.56), 2, 0.05, "maximize", 3),
        ((0.5,), 1, 0.0, "maximize", None),
    ],
)
def test_a_trial_stops_after_so_many_reports_without_a_better_value(
    found: tuple[float, ...], patience: int, least: float, direction: str, stops_at: int | None
) -> None:
    rule = EarlyStopping(patience=patience, least=least)
    made = plan(phase(epochs=5), early_stopping=rule)
    assert ends_at(found, made, direction) == stops_at


def ends_at(found: tuple[float, ...], made: Plan, direction: str = "maximize") -> int | None:
    """The first report that ends a trial of these values."""
    objective = Objective(metric="validation/accuracy", direction=direction)
    counts = range(1, len(found) + 1)
    ends = [n for n in counts if best_epoch.stopped_early(values(*found[:n]), objective, made)]
    return ends[0] if ends else None


@pytest.mark.parametrize("each", [1, 2])
def test_patience_begins_with_the_last_phase_and_with_its_own_values(each: int) -> None:
    probe, tuning = phase(name="probe", epochs=4, depth=3), phase(name="tuning", epochs=4)
    rule = EarlyStopping(patience=2)
    two = plan(probe, tuning, early_stopping=rule, report_every=1 / each)
    # The probe stands still, and the first values of fine-tuning lie below those of the probe.
    before = (0.8,) * (4 * each)
    assert ends_at((*before, 0.5, 0.6, 0.7, 0.7), two) is None
    assert ends_at((*before, 0.5, 0.6, 0.6, 0.6), two) == 4 * each + 4


@pytest.mark.parametrize(
    ("depth", "every", "starts"),
    # As many thaws as there are frozen stages, or as the epochs leave time for.
    [(2, 1, 2), (2, 2, 4), (2, 3, 6), (3, 3, 6), (0, 1, 0)],
)
def test_patience_begins_after_the_last_thaw(depth: int, every: int, starts: int) -> None:
    gradual = phase(epochs=9, depth=depth, unfreeze_every=every)
    made = plan(gradual, early_stopping=EarlyStopping(patience=2))
    depths = [parameter_groups.depth(gradual, epoch) for epoch in range(1, 10)]
    assert depths[starts] == depths[-1] and depths[:starts].count(depths[-1]) == 0
    assert ends_at((0.5,) * 9, made) == starts + 3


def test_a_probe_that_stands_still_does_not_keep_a_trial_from_fine_tuning(
    tiny: Path, home: Path, tmp_path: Path
) -> None:
    spec = stopping(tiny, home)
    (main,) = spec.plan.phases
    phases = (replace(main, name="probe"), replace(main, name="tuning"))
    directory = directory_for(planned(spec, phases=phases), tmp_path / "t")
    result = trial_run.run(directory, report=go_on, interrupted=never)
    assert result.reason == "stopped early at epoch 5: no better value in 1 report"
    assert [line.phase for line in directory.history()] == ["probe"] * 3 + ["tuning"] * 2


def stopping(tiny: Path, home: Path, patience: int = 1) -> TrialSpec:
    """A trial whose objective never gets better after its first report."""
    spec = spec_for(tiny, home, objective=Objective(metric="learning_rate", direction="maximize"))
    return planned(spec, early_stopping=EarlyStopping(patience=patience))


def test_a_trial_that_stops_early_is_complete_and_says_why(
    tiny: Path, home: Path, tmp_path: Path
) -> None:
    directory = directory_for(stopping(tiny, home), tmp_path / "t")
    result = trial_run.run(directory, report=go_on, interrupted=never)
    assert result.state is State.COMPLETE
    assert result.reason == "stopped early at epoch 2: no better value in 1 report"
    assert len(directory.history()) == 2
    assert (result.epoch, directory.weights.exists()) == (1, True)


def test_a_trial_that_its_last_epoch_ends_did_not_stop_early(
    tiny: Path, home: Path, tmp_path: Path
) -> None:
    directory = directory_for(stopping(tiny, home, patience=2), tmp_path / "t")
    result = trial_run.run(directory, report=go_on, interrupted=never)
    assert (result.reason, len(directory.history())) == (None, 3)


@pytest.mark.parametrize("keeps_checkpoint", [True, False])
def test_a_trial_that_was_killed_when_it_stopped_early_stops_at_the_same_epoch(
    tiny: Path, home: Path, tmp_path: Path, keeps_checkpoint: bool
) -> None:
    spec = stopping(tiny, home)
    whole, killed = (directory_for(spec, tmp_path / name) for name in ("whole", "killed"))
    trial_run.run(whole, report=go_on, interrupted=never)

    trial_run.run(killed, report=park_at_two, interrupted=never)
    if not keeps_checkpoint:
        killed.drop_checkpoints()
    result = trial_run.run(killed, report=go_on, interrupted=never)
    assert result.reason == "stopped early at epoch 2: no better value in 1 report"
    assert numbers(killed) == numbers(whole)
    assert killed.weights.read_bytes() == whole.weights.read_bytes()


# Several reports an epoch


def test_a_trial_that_reports_twice_an_epoch_counts_reports_and_says_the_epoch(
    tiny: Path, home: Path, tmp_path: Path
) -> None:
    spec = planned(spec_for(tiny, home), report_every=0.5)
    directory = directory_for(spec, tmp_path / "t")

    def prune_at_three(line: EpochResult) -> Decision:
        return Decision.PRUNE if line.epoch == 3 else Decision.CONTINUE

    result = trial_run.run(directory, report=prune_at_three, interrupted=never)
    assert result.reason == "pruned at report 3 (epoch 1.5)"
    assert [line.metrics["epochs"] for line in directory.history()] == [0.5, 1, 1.5]
    other = directory_for(spec, tmp_path / "other")
    assert trial_run.run(other, report=go_on, interrupted=never).state is State.COMPLETE
    assert len(other.history()) == 6


# Failures that speak for themselves


def test_what_is_absent_is_told_in_its_own_sentence(
    tiny: Path, home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def absent(*_: object, **__: object) -> None:
        raise NotDownloadedError(
            "The weights of bert are not on this machine; run workbench fetch."
        )

    directory = directory_for(spec_for(tiny, home), tmp_path / "t")
    monkeypatch.setattr(trainers, "_kept", {})
    monkeypatch.setattr(backbones, "build", absent)
    result = trial_run.run(directory, report=go_on, interrupted=never)
    assert result.state is State.FAILED
    assert result.reason == "The weights of bert are not on this machine; run workbench fetch."
    assert "Traceback" in str(result.traceback)


def test_a_backbone_that_does_not_fit_into_memory_says_so(
    tiny: Path, home: Path, tmp_path: Path
) -> None:
    spec = planned(spec_for(tiny, home), backbone={"name": "mlp", "hidden": [10**7, 10**7]})
    directory = directory_for(spec, tmp_path / "t")
    result = trial_run.run(directory, report=go_on, interrupted=never)
    assert result.state is State.FAILED
    assert str(result.reason).startswith(
        "the parameters of the backbone mlp need at least 400.0 TB"
    )


# A training of the user's own


@pytest.fixture
def own(tiny: Path, home: Path, tmp_path: Path) -> Callable[[str], TrialDirectory]:
    """Makes a trial directory whose training is a text of Python."""
    made: list[Path] = []

    def make(text: str) -> TrialDirectory:
        made.append(tmp_path / f"own{len(made)}")
        file = tmp_path / "mine.py"
        file.write_text(text)
        spec = planned(spec_for(tiny, home), trial=f"{file}:train")
        return directory_for(spec, made[-1])

    return make


def test_a_users_training_leaves_a_record_like_any_other(
    own: Callable[[str], TrialDirectory],
) -> None:
    directory = own(OWN)
    result = trial_run.run(directory, report=go_on, interrupted=never)
    assert (result.state, result.reason) == (State.COMPLETE, None)
    history = directory.history()
    assert [(line.epoch, line.phase) for line in history] == [(1, "main"), (2, "main"), (3, "main")]
    assert all(line.metrics["seconds"] > 0 for line in history)
    assert result.value == max(line.metrics["validation/accuracy"] for line in history)
    assert result.parameters["total"] > 0
    assert result.confusion is not None and sum(map(sum, result.confusion)) == 40
    assert (directory.artifacts / "per_class.csv").exists()
    artifacts.draw_best([directory])
    assert (directory.artifacts / "confusion_matrix.png").read_bytes()[:4] == b"\x89PNG"
    spec = directory.spec()
    assert spec is not None
    staged = backbones.build(
        spec.plan.backbone,
        weights=None,
        keep_head=False,
        input_shape=(13,),
        outputs=3,
        seed=0,
    )
    staged.module.load_state_dict(load_file(directory.weights))


def test_a_users_training_is_the_same_twice(own: Callable[[str], TrialDirectory]) -> None:
    first, second = own(OWN), own(OWN)
    for directory in (first, second):
        trial_run.run(directory, report=go_on, interrupted=never)
    assert numbers(first) == numbers(second)
    assert first.weights.read_bytes() == second.weights.read_bytes()


@pytest.mark.parametrize("asked_at", [4, 9, 20])
def test_an_interrupted_training_of_the_users_starts_again_and_records_nothing_twice(
    own: Callable[[str], TrialDirectory], asked_at: int
) -> None:
    whole, stopped = own(OWN), own(OWN)
    trial_run.run(whole, report=go_on, interrupted=never)
    polls = iter(range(1000))
    result = trial_run.run(stopped, report=go_on, interrupted=lambda: next(polls) >= asked_at)
    assert result.state is State.PARKED
    known = [line.timestamp for line in stopped.history()]
    assert len(known) == asked_at // 8
    known_epochs = list(range(1, len(known) + 1))
    sent: list[int] = []

    def listen(line: EpochResult) -> Decision:
        sent.append(line.epoch)
        return Decision.CONTINUE

    assert trial_run.run(stopped, report=listen, interrupted=never).state is State.COMPLETE
    # The last accepted one is asked for again, because its answer may have been lost.
    assert sent == [*known_epochs[-1:], *known_epochs[:-1], *range(len(known) + 1, 4)]
    assert [line.timestamp for line in stopped.history()][: len(known)] == known
    assert numbers(stopped) == numbers(whole)


def test_a_pruned_training_of_the_users_is_closed(own: Callable[[str], TrialDirectory]) -> None:
    directory = own(
        "import pathlib\n"
        "def train(trial):\n"
        "    try:\n"
        "        while True:\n"
        "            yield {'validation/accuracy': 0.5}\n"
        "    finally:\n"
        "        pathlib.Path(__file__).with_name('closed').touch()\n"
    )
    result = trial_run.run(directory, report=lambda _: Decision.PRUNE, interrupted=never)
    assert (result.state, result.reason) == (State.PRUNED, "pruned at epoch 1")
    assert (directory.path.parent / "closed").exists()


def test_a_report_without_validate_has_no_outputs_of_the_one_before(
    own: Callable[[str], TrialDirectory],
) -> None:
    directory = own(
        "import torch\n"
        "def train(trial):\n"
        "    targets = trial.data.validation.targets\n"
        "    outputs = torch.nn.functional.one_hot(targets, trial.task.outputs).float()\n"
        "    yield trial.validate(-outputs)\n"
        "    yield {'validation/accuracy': 1.0}\n"
    )
    result = trial_run.run(directory, report=go_on, interrupted=never)
    assert (result.epoch, result.value, result.confusion) == (2, 1.0, None)
    assert not (directory.artifacts / "mistakes.json").exists()
    assert not (directory.artifacts / "per_class.csv").exists()


def test_a_training_without_torch_has_no_weights_and_needs_none(
    own: Callable[[str], TrialDirectory],
) -> None:
    directory = own("def train(trial):\n    yield {'validation/accuracy': 0.5}\n")
    result = trial_run.run(directory, report=go_on, interrupted=never)
    assert (result.state, result.value, result.confusion) == (State.COMPLETE, 0.5, None)
    assert not directory.weights.exists()
    assert result.parameters == {}


def test_weights_that_come_with_the_metrics_are_those_of_the_chosen_epoch(
    own: Callable[[str], TrialDirectory],
) -> None:
    directory = own(
        "import torch\n"
        "def train(trial):\n"
        "    weight = torch.zeros(2)\n"
        "    for value in (0.5, 0.9, 0.7):\n"
        "        weight += 1\n"
        "        yield {'validation/accuracy': value}, {'weight': weight}\n"
    )
    assert trial_run.run(directory, report=go_on, interrupted=never).epoch == 2
    assert load_file(directory.weights)["weight"].tolist() == [2, 2]


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ("return 3", "returned 3.* generator function"),
        ("yield 3", "yielded 3 as report 1.* dictionary of metrics"),
        ("yield\n    yield {}", "yielded None as report 1.* dictionary of metrics"),
        ("yield {'validation/accuracy': 'high'}", "'high'.* as report 1.* numbers by name"),
        ("yield {'validation/accuracy': 1}, 7", "7.* as report 1.* tensors by name"),
        ("return\n    yield", "yielded no metrics"),
        (
            "yield {'validation/f1': 1}",
            "Report 1 has no metric validation/accuracy.* it has validation/f1",
        ),
        ("yield trial.validate([[0.0]])", r"shape \(1, 1\).* expected \(40, 3\)"),
        ("yield {'validation/accuracy': float('nan')}", "^diverged at epoch 1: .* is nan"),
        ("raise RuntimeError('no luck')\n    yield", "^RuntimeError: no luck"),
    ],
)
def test_a_users_training_that_does_not_work_fails_with_a_sentence(
    own: Callable[[str], TrialDirectory], body: str, message: str
) -> None:
    directory = own(f"def train(trial):\n    {body}\n")
    result = trial_run.run(directory, report=go_on, interrupted=never)
    assert result.state is State.FAILED
    assert directory.history() == []
    with pytest.raises(ValueError, match=message):
        raise ValueError(result.reason)


def test_code_that_has_changed_since_the_plan_is_not_run(
    own: Callable[[str], TrialDirectory],
) -> None:
    directory = own("def train(trial):\n    yield {'validation/accuracy': 1}\n")
    spec = directory.spec()
    assert spec is not None and spec.plan.trial is not None
    file = spec.plan.trial.rpartition(":")[0]
    directory.write_spec(planned(spec, code={file: "another"}))
    result = trial_run.run(directory, report=go_on, interrupted=never)
    assert f"{file} has changed since the study was planned" in str(result.reason)
