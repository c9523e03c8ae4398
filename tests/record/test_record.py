"""A trial's record survives kills, full disks and damage, to the last bit."""

from __future__ import annotations

import hashlib
import os
import random
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from pydantic import ValidationError

from workbench import record
from workbench.record import (
    EpochResult,
    Objective,
    Result,
    Role,
    State,
    TrialDirectory,
    TrialSpec,
)
from workbench.record.directory import DamagedRecordError
from workbench.record.files import DiskError, own_writer
from workbench.record.strategy import Phase, Plan, Schedule, Weights


def phase(name: str = "main") -> Phase:
    return Phase(
        name=name,
        epochs=3,
        freeze_depth=2,
        optimizer="sgd",
        learning_rate=0.1 + 0.2,
        weight_decay=5e-324,
        options={"momentum": 1 / 3, "nesterov": True, "steps": 2, "kind": "1", "none": None},
        schedule=Schedule(name="cosine", warmup_epochs=0.5),
    )


SPEC = TrialSpec(
    study="digits",
    role=Role.SEARCH,
    group="adamw-2",
    strategy="adamw-2",
    number=7,
    levels={"optimizer": "adamw", "freeze_depth": "2"},
    hyperparameters={"learning_rate": 1e-4 / 3, "epochs": 3, "optimizer": "sgd", "flag": False},
    plan=Plan(
        dataset={"name": "digits", "classes": [5, "six"], "validation": 0.2},
        backbone={"name": "mlp", "hidden": [8, 8]},
        weights=Weights(source="w.safetensors", sha256="ab"),
        keep_head=False,
        task={"name": "classification"},
        batch_size=32,
        augmentation=({"random_crop": {"size": [8, 8]}}, {"random_vertical_flip": {}}),
        device="cpu",
        threads=1,
        phases=(phase("probe"), phase()),
    ),
    objective=Objective(metric="validation/accuracy", direction="maximize"),
    seed=2**63 - 1,
    study_seed=0,
    data_digest="cd",
    attempt=2,
)


def epoch(number: int, **metrics: float) -> EpochResult:
    metrics = metrics or {"validation/accuracy": number / 7}
    return EpochResult(epoch=number, phase="main", metrics=metrics, timestamp=1000 + number)


# -- plain data ------------------------------------------------------------------------------------


def test_a_specification_is_read_back_as_it_was_with_the_type_of_every_value() -> None:
    again = record.spec_from_json(record.to_json(SPEC))
    assert again == SPEC
    assert [type(value) for value in again.hyperparameters.values()] == [float, int, str, bool]
    assert [type(value) for value in again.plan.phases[0].options.values()] == [
        float,
        bool,
        int,
        str,
        type(None),
    ]
    assert again.plan.epochs == 6


def test_numbers_survive_the_record_to_the_last_bit() -> None:
    numbers = random.Random(0)
    for _ in range(300):
        value = numbers.uniform(-1, 1) * 10.0 ** numbers.randint(-300, 300)
        line = epoch(1, loss=value)
        assert record.epoch_from_json(record.to_json(line)) == line
        result = Result(state=State.COMPLETE, attempt=1, value=value, metrics={"loss": value})
        assert record.result_from_json(record.to_json(result, indent=1)) == result


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
def test_what_json_does_not_know_is_never_written(tmp_path: Path, value: float) -> None:
    directory = TrialDirectory(tmp_path)
    directory.append(epoch(1))
    with pytest.raises(ValueError, match="JSON compliant"):
        directory.append(epoch(2, loss=value))
    assert directory.history() == [epoch(1)]


def test_anything_else_is_no_record() -> None:
    for read in (record.spec_from_json, record.epoch_from_json, record.result_from_json):
        with pytest.raises(ValidationError):
            read('{"state": "resting"}')


def test_names_tell_a_trial_from_all_others() -> None:
    assert SPEC.name == "adamw-2/007"
    assert SPEC.key == "digits/search/adamw-2/007"
    assert replace(SPEC, role=Role.TRY).key == "digits/try/adamw-2/007"


def test_the_better_value_is_strictly_better_and_anything_beats_none() -> None:
    accuracy = Objective(metric="a", direction="maximize")
    loss = Objective(metric="l", direction="minimize")
    assert accuracy.better(0.9, 0.8) and not accuracy.better(0.8, 0.8)
    assert loss.better(0.8, 0.9) and not loss.better(0.9, 0.9)
    assert accuracy.better(-1.0, None)


def test_only_a_complete_a_pruned_and_a_failed_trial_have_ended() -> None:
    assert [state for state in State if state.ended] == [
        State.COMPLETE,
        State.PRUNED,
        State.FAILED,
    ]


# -- the trial directory ---------------------------------------------------------------------------


def test_a_fresh_directory_holds_nothing(tmp_path: Path) -> None:
    directory = TrialDirectory(tmp_path / "none")
    assert directory.spec() is None and directory.result() is None
    assert directory.history() == [] and directory.repair_history() == []
    assert directory.find_checkpoint() == (None, [])
    directory.reopen()
    directory.drop_checkpoints()
    directory.drop_weights()
    assert not directory.path.exists()


def test_a_directory_gives_back_what_was_written(tmp_path: Path) -> None:
    directory = TrialDirectory(tmp_path / "trial")
    directory.write_spec(SPEC)
    result = Result(state=State.PARKED, attempt=1, reason="interrupted", confusion=[[1, 2], [3, 4]])
    directory.write_result(result)
    assert directory.spec() == SPEC and directory.result() == result
    directory.reopen()
    assert directory.result() is None


def test_a_line_torn_by_a_kill_is_no_epoch_and_the_next_one_is_whole(tmp_path: Path) -> None:
    whole = [epoch(1), epoch(2)]
    for cut in (1, 10, len(record.to_json(epoch(3)))):
        directory = TrialDirectory(tmp_path / str(cut))
        for line in whole:
            directory.append(line)
        with (directory.path / "history.jsonl").open("a") as file:
            file.write(record.to_json(epoch(3))[:cut])
        assert directory.history() == whole
        assert directory.repair_history() == whole
        directory.append(epoch(3))
        assert directory.history() == [*whole, epoch(3)]


def test_repairing_leaves_a_sound_history_alone(tmp_path: Path) -> None:
    directory = TrialDirectory(tmp_path)
    directory.append(epoch(1))
    before = (tmp_path / "history.jsonl").stat()
    assert directory.repair_history() == [epoch(1)]
    assert (tmp_path / "history.jsonl").stat().st_ino == before.st_ino


# -- checkpoints -----------------------------------------------------------------------------------


def save(directory: TrialDirectory, content: bytes) -> None:
    directory.save_checkpoint(lambda file: file.write(content))


def found(directory: TrialDirectory) -> tuple[bytes | None, list[Path]]:
    path, damaged = directory.find_checkpoint()
    return None if path is None else path.read_bytes(), damaged


def test_the_newest_state_is_found_and_the_one_before_is_kept(tmp_path: Path) -> None:
    directory = TrialDirectory(tmp_path)
    for content in (b"one", b"two", b"three"):
        save(directory, content)
        assert found(directory) == (content, [])
    assert (tmp_path / "checkpoint.1.pt").read_bytes() == b"two"
    digest = (tmp_path / "checkpoint.pt.sha256").read_text()
    assert digest == hashlib.sha256(b"three").hexdigest()


def test_of_a_damaged_state_the_one_before_is_used_and_the_damaged_one_is_kept(
    tmp_path: Path,
) -> None:
    directory = TrialDirectory(tmp_path)
    save(directory, b"one")
    save(directory, b"two")
    (tmp_path / "checkpoint.pt").write_bytes(b"twO")
    aside = tmp_path / "checkpoint.pt.corrupt"
    assert found(directory) == (b"one", [aside])
    assert aside.read_bytes() == b"twO"
    assert found(directory) == (b"one", []), "what is set aside is reported once"
    save(directory, b"three")
    assert found(directory) == (b"three", [])
    directory.drop_checkpoints()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["checkpoint.pt.corrupt"]


def test_without_a_sound_state_there_is_none(tmp_path: Path) -> None:
    directory = TrialDirectory(tmp_path)
    save(directory, b"one")
    save(directory, b"two")
    (tmp_path / "checkpoint.pt").write_bytes(b"")
    (tmp_path / "checkpoint.1.pt").write_bytes(b"onE")
    content, damaged = found(directory)
    assert content is None and len(damaged) == 2


def test_a_state_that_a_full_disk_does_not_take_is_a_disk_error_and_the_one_before_is_kept(
    tmp_path: Path,
) -> None:
    directory = TrialDirectory(tmp_path)
    save(directory, b"one")
    (tmp_path / f"checkpoint.pt.{own_writer()}.tmp").symlink_to("/dev/full")
    with pytest.raises(DiskError, match=r"checkpoint\.pt: No space left on device"):
        directory.save_checkpoint(lambda file: torch.save({"a": torch.zeros(9_999)}, file))
    assert found(directory) == (b"one", [])


def test_an_error_of_torch_keeps_its_name_while_another_is_handled(tmp_path: Path) -> None:
    def write(file: object) -> None:
        raise RuntimeError("no storage")

    with pytest.raises(RuntimeError, match="no storage"):
        try:
            raise LookupError
        except LookupError:
            TrialDirectory(tmp_path).save_checkpoint(write)


class Killed(BaseException):
    """Stands for the moment of a kill."""


@pytest.mark.parametrize("survived", range(5))
def test_a_kill_while_a_state_is_saved_leaves_a_sound_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, survived: int
) -> None:
    directory = TrialDirectory(tmp_path)
    save(directory, b"one")
    save(directory, b"two")
    rename, left = Path.replace, iter(range(survived))

    def renamed_or_killed(path: Path, target: Path) -> Path:
        if next(left, None) is None:
            raise Killed
        return rename(path, target)

    with monkeypatch.context() as patch:
        patch.setattr(Path, "replace", renamed_or_killed)
        if survived < 4:
            with pytest.raises(Killed):
                save(directory, b"three")
        else:
            save(directory, b"three")
    expected = b"two" if survived < 4 else b"three"
    assert found(directory) == (expected, []), "nothing sound is taken for damaged"
    save(directory, b"four")
    assert found(directory) == (b"four", [])
    (tmp_path / "checkpoint.pt").write_bytes(b"damage")
    assert found(directory)[0] == expected


def test_weights_are_dropped_with_their_description(tmp_path: Path) -> None:
    directory = TrialDirectory(tmp_path)
    directory.weights.write_bytes(b"w")
    directory.weights_description.write_text("{}")
    directory.drop_weights()
    assert list(tmp_path.iterdir()) == []


# -- a study's directory ---------------------------------------------------------------------------


def test_every_trial_of_a_study_is_found_by_role_group_and_number(tmp_path: Path) -> None:
    directory = record.study_directory(tmp_path, "digits")
    assert directory == tmp_path / "mlruns" / "studies" / "digits"
    specs = [
        replace(SPEC, role=role, group=group, number=number)
        for role in Role
        for group in ("a", "b")
        for number in (0, 12)
    ]
    for spec in reversed(specs):
        record.directory_of(directory, spec).write_spec(spec)
    record.directory_of(directory, replace(SPEC, group="c")).append(epoch(1))
    found = record.scan(directory)
    assert [spec for _, spec in found] == sorted(
        specs, key=lambda spec: (spec.role, spec.group, spec.number)
    )
    assert all(pair[0] == record.directory_of(directory, pair[1]) for pair in found)
    assert (directory / "trials" / "a" / "012" / "spec.json").exists()
    assert (directory / "tries" / "b" / "000" / "spec.json").exists()


def test_a_study_is_found_from_any_record_below_it(tmp_path: Path) -> None:
    study = record.study_directory(tmp_path, "digits")
    for role, group in ((Role.CONFIRMATION, "a"), (Role.SELECTION, "a/017"), (Role.SEARCH, "a")):
        spec = replace(SPEC, role=role, group=group)
        assert record.study_of(record.directory_of(study, spec), spec) == study


def test_an_objective_is_tested_under_the_name_of_the_test_split() -> None:
    for metric, tested in (("validation/accuracy", "test/accuracy"), ("score", "test/score")):
        assert Objective(metric=metric, direction="maximize").tested == tested


def test_mappings_and_sequences_of_any_kind_become_plain(tmp_path: Path) -> None:
    given = {"a": (1, {"b": [None, (2.5,)]}), 3: os.sep}
    assert record.plain(given) == {"a": [1, {"b": [None, [2.5]]}], "3": os.sep}


def test_now_is_in_milliseconds() -> None:
    assert 1.7e12 < record.now() < 1e13


@pytest.mark.parametrize("name", ["spec.json", "result.json", "history.jsonl"])
@pytest.mark.parametrize("content", [b"{\n", b"\xff\xfe\n", b"[]\n"])
def test_a_damaged_file_of_a_record_is_named_with_what_to_do(
    tmp_path: Path, name: str, content: bytes
) -> None:
    directory = TrialDirectory(tmp_path)
    (tmp_path / name).write_bytes(content)
    read = {"spec.json": directory.spec, "result.json": directory.result}
    with pytest.raises(
        DamagedRecordError, match=rf"{tmp_path}/{name} is damaged \(.*delete the folder"
    ):
        read.get(name, directory.history)()


def test_nobody_is_advised_to_delete_a_trial_that_cannot_be_read_now(tmp_path: Path) -> None:
    (tmp_path / "result.json").mkdir()
    with pytest.raises(DamagedRecordError, match=r"result\.json cannot be read: Is a directory\.$"):
        TrialDirectory(tmp_path).result()


def test_a_directory_keeps_its_identity_and_shares_it_with_no_other(tmp_path: Path) -> None:
    first, second = (TrialDirectory(tmp_path / name) for name in ("first", "second"))
    first.write_spec(SPEC)
    made = first.spec()
    assert made is not None and made.record_id
    second.write_spec(made)  # As a run that is planned from the specification of another one.
    other = second.spec()
    assert other is not None and other.record_id not in ("", made.record_id)
    first.write_spec(replace(other, attempt=2))
    again = first.spec()
    assert again is not None and (again.attempt, again.record_id) == (2, made.record_id)


def test_a_specification_in_the_folder_of_another_trial_is_damage(tmp_path: Path) -> None:
    folder = tmp_path / "trials" / "adamw-2"
    TrialDirectory(folder / "008").write_spec(SPEC)
    with pytest.raises(
        DamagedRecordError, match=r"008/spec\.json is damaged \(it belongs to search adamw-2/007"
    ):
        record.scan(tmp_path)


@pytest.mark.parametrize("damage", [b"", b"garbage\n", b'{"epoch": 2}\n'])
def test_a_history_is_repaired_up_to_its_first_damaged_line(tmp_path: Path, damage: bytes) -> None:
    directory = TrialDirectory(tmp_path)
    for number in (1, 2, 3):
        directory.append(epoch(number))
    lines = (tmp_path / "history.jsonl").read_bytes().splitlines(keepends=True)
    (tmp_path / "history.jsonl").write_bytes(lines[0] + damage + lines[2])
    with pytest.raises(DamagedRecordError, match=r"history\.jsonl is damaged \(line 2\)"):
        directory.history()
    assert directory.repair_history() == [epoch(1)]
    assert directory.history() == [epoch(1)]


def test_a_history_without_a_specification_is_no_other_trials(tmp_path: Path) -> None:
    directory = TrialDirectory(tmp_path)
    directory.append(epoch(1))
    save(directory, b"one")
    directory.write_spec(SPEC)
    assert directory.history() == [] and found(directory) == (None, [])
    directory.append(epoch(1))
    directory.write_spec(SPEC)
    assert directory.history() == [epoch(1)]


def test_a_digest_that_is_no_text_makes_a_state_a_damaged_one(tmp_path: Path) -> None:
    directory = TrialDirectory(tmp_path)
    save(directory, b"one")
    (tmp_path / "checkpoint.pt.sha256").write_bytes(b"\xff\xfe")
    assert found(directory) == (None, [tmp_path / "checkpoint.pt.corrupt"])
