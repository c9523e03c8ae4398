"""The activation store: computed once, found again by all that its numbers depend on."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from tests.support.processes import Forked
from tests.support.training import parts, phase
from tests.support.trials import directory_for, go_on, never, planned, spec_for
from workbench.engine import activations as engine
from workbench.engine.activations import Request, Split, StoredActivations
from workbench.record import Role, State, TrialSpec
from workbench.record.files import lock, own_writer
from workbench.trial import activation_entries, activations
from workbench.trial import run as trial_run
from workbench.trial.activations import ActivationStore

CPU = torch.device("cpu")


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty store, which keeps whatever can be kept."""
    monkeypatch.setenv("WORKBENCH_DATA", str(tmp_path / "data"))
    monkeypatch.setattr(activations, "_GAIN", 0.0)
    monkeypatch.setattr(activations, "_LEAST_SECONDS", -1.0)
    monkeypatch.setattr(activations, "_splits", {})
    return tmp_path / "data" / "activations"


@pytest.fixture
def computed(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The number of samples that each pass over frozen stages computes."""
    passes: list[int] = []
    compute = engine.compute

    def counted(
        request: Request, split: Split, rows: Sequence[Tensor], known: Tensor, **chosen: Any
    ) -> None:
        passes.append(len(rows[0]) - int(known.sum()))
        compute(request, split, rows, known, **chosen)

    monkeypatch.setattr(engine, "compute", counted)
    return passes


@pytest.fixture
def spec(tiny: Path, home: Path) -> TrialSpec:
    return spec_for(tiny, home)


def asked(
    spec: TrialSpec,
    *,
    seed: int = 3,
    size: int = 8,
    depth: int = 2,
    drawn: Sequence[int] = range(20),
    pad_last: bool = True,
    before: Callable[[], None] = lambda: None,
    **fields: Any,
) -> StoredActivations | None:
    """What is given for the samples ``drawn`` of the training part."""
    _, staged, data = parts(phase(depth=1), seed=seed)
    staged.module.eval()
    train, positions = data.train, torch.tensor(drawn)
    request = Request(
        staged=staged,
        depth=depth,
        read=lambda within: train.inputs[positions[within]],
        index=train.index[positions],
        size=size,
        pad_last=pad_last,
        before_batch=before,
        **fields,
    )
    return ActivationStore(spec, data, CPU).get(request)


def entries(folder: Path) -> list[Path]:
    return [path for path in folder.glob("*") if path.is_dir()]


def test_the_next_trial_reads_what_the_first_has_computed(
    spec: TrialSpec, folder: Path, computed: list[int]
) -> None:
    first, again = asked(spec), asked(spec)
    assert first is not None and again is not None
    assert computed == [20]
    assert all(torch.equal(a, b) for a, b in zip(first.rows, again.rows, strict=True))
    assert len(entries(folder)) == 1


def test_trials_of_a_process_that_begin_alike_look_for_a_split_once(
    spec: TrialSpec, monkeypatch: pytest.MonkeyPatch
) -> None:
    looks: list[int] = []
    split = engine.split

    def look(request: Request) -> Split | None:
        looks.append(request.depth)
        return split(request)

    monkeypatch.setattr(engine, "split", look)
    others: list[dict[str, Any]] = [{"depth": 1}, {"seed": 4}, {"drawn": range(10)}]
    for fields in ({}, {}, *others, {}):
        assert asked(spec, **fields) is not None
    assert looks == [2, 1, 2, 2]
    own = planned(spec, backbone={**spec.plan.backbone, "name": "net.py:Net"})
    for _ in range(2):
        stored = asked(own)
        assert stored is not None and not stored.split.head_alone
    assert looks[4:] == [2, 2]


def test_whatever_changes_the_numbers_makes_another_entry(
    spec: TrialSpec, folder: Path, computed: list[int]
) -> None:
    others: list[tuple[TrialSpec, dict[str, Any]]] = [
        (spec, {"seed": 4}),  # other first weights
        (spec, {"size": 7}),
        (spec, {"depth": 1}),
        (replace(spec, data_digest="other"), {}),
        (replace(spec, plan=replace(spec.plan, threads=2)), {}),
        (replace(spec, plan=replace(spec.plan, code={"own.py": "other"})), {}),
        (spec, {"epoch": 1}),
        (spec, {"epoch": 2}),
        (replace(spec, seed=spec.seed + 1), {"epoch": 2}),
    ]
    asked(spec)
    for other, fields in others:
        asked(other, **fields)
    assert computed == [20] * (len(others) + 1)
    assert len(entries(folder)) == len(others) + 1


@pytest.mark.parametrize(
    ("second_is", "by_second", "order"),
    [("fast", {1, 2}, [1, 2, 0]), ("slow", {1}, [0, 2, 1]), ("stopped", {1}, [1, 0, 2])],
)
def test_two_workers_compute_an_entry_together_and_one_that_stops_leaves_its_part_to_the_other(
    spec: TrialSpec,
    folder: Path,
    monkeypatch: pytest.MonkeyPatch,
    second_is: str,
    by_second: set[int],
    order: list[int],
) -> None:
    class Stopped(Exception):
        pass

    alone = asked(spec)
    shutil.rmtree(folder)
    monkeypatch.setattr(activation_entries, "_CHUNK", 1)
    monkeypatch.setattr(activation_entries, "WAIT_SECONDS", 0.01)
    chunks: list[tuple[str, int]] = []
    helped, done, compute = threading.Event(), threading.Event(), engine.compute

    def noted(*given: Any, numbers: slice, **named: Any) -> None:
        compute(*given, numbers=numbers, **named)
        chunks.append((threading.current_thread().name, numbers.start))
        if len(chunks) == 2:
            helped.set()
            done.set()

    def wait_for_help() -> None:
        # Only with a chunk, so that the other worker must leave that one.
        if any(folder.glob("*.tmp/0.lock")):
            helped.wait(20)

    def before_second() -> None:
        if second_is == "stopped" and chunks:
            helped.set()
            raise Stopped
        if second_is == "slow" and any(folder.glob("*.tmp/1.lock")):
            helped.set()
            done.wait(20)

    monkeypatch.setattr(engine, "compute", noted)
    with ThreadPoolExecutor(1, "first") as one, ThreadPoolExecutor(1, "second") as two:
        first = one.submit(asked, spec, before=wait_for_help)
        while not any(folder.glob("*.tmp/0.lock")):
            time.sleep(0.01)
        second = two.submit(asked, spec, before=before_second)
        kept = first.result(60)
        if second_is == "stopped":
            with pytest.raises(Stopped):
                second.result(60)
        else:
            assert second.result(60) is not None
    assert [number for _, number in chunks] == order, chunks
    assert {number for name, number in chunks if name == "second_0"} == by_second
    assert alone is not None and kept is not None
    assert all(torch.equal(a, b) for a, b in zip(alone.rows, kept.rows, strict=True))
    (entry,) = entries(folder)
    assert {path.suffix for path in entry.iterdir()} == {".bin", ".json"}


def test_what_changes_no_number_shares_the_entry(spec: TrialSpec, computed: list[int]) -> None:
    asked(spec)
    asked(replace(spec, number=7, hyperparameters={"learning_rate": 1.0}))
    asked(replace(spec, seed=spec.seed + 1))
    assert len(computed) == 1


@pytest.mark.parametrize("pad_last", [True, False])
def test_a_split_that_is_drawn_anew_computes_only_samples_that_no_other_has(
    spec: TrialSpec, folder: Path, computed: list[int], pad_last: bool
) -> None:
    splits = [range(14), [*range(19, 3, -1), 1], [3, 2, 1, 0, *range(10, 20)]]
    shared = [asked(spec, drawn=drawn, pad_last=pad_last) for drawn in splits]
    # Without padding, the last 14 % 8 samples are a smaller batch, whose bits serve no other.
    assert computed == ([14, 6] if pad_last else [14, 13, 6])
    shutil.rmtree(folder)
    for found, drawn in zip(shared, splits, strict=True):
        alone = asked(spec, drawn=drawn, pad_last=pad_last)
        shutil.rmtree(folder)
        assert found is not None and alone is not None
        assert all(torch.equal(a, b) for a, b in zip(found.rows, alone.rows, strict=True))


def test_augmented_outputs_are_stored_where_trials_augment_alike_and_all_epochs_fit(
    spec: TrialSpec, computed: list[int]
) -> None:
    whole = asked(spec)
    assert whole is not None
    size = sum(row.nbytes for row in whole.rows) / 2**30
    limited = replace(spec, plan=replace(spec.plan, activations_gb=3.8 * size))
    assert asked(limited, epoch=1, epochs=4) is None
    assert asked(limited, epoch=1, epochs=2) is not None
    # The trials of a seed of the confirmation are few.
    assert asked(replace(spec, role=Role.CONFIRMATION), epoch=1, epochs=2) is None
    assert len(computed) == 2
    # Others, of another freeze depth for example, take no place of what is in use.
    assert asked(limited, epoch=2, epochs=2) is not None
    assert asked(limited, epoch=1, epochs=2, size=7) is None
    assert asked(limited, epoch=1, epochs=2) is not None
    assert len(computed) == 3


@pytest.mark.parametrize("damage", [b"", b"\x00" * 100, None])
def test_a_damaged_entry_is_computed_again(
    spec: TrialSpec, folder: Path, computed: list[int], damage: bytes | None
) -> None:
    first = asked(spec)
    assert first is not None
    right = [row.clone() for row in first.rows]
    path = next(folder.glob("*/0.bin"))
    if damage is None:
        (path.parent / "entry.json").write_text("[{")
    else:
        path.write_bytes(damage)
    again = asked(spec)
    assert again is not None and len(computed) == 2
    assert all(torch.equal(a, b) for a, b in zip(right, again.rows, strict=True))


def test_a_limit_of_0_turns_it_off(spec: TrialSpec, folder: Path, computed: list[int]) -> None:
    assert asked(replace(spec, plan=replace(spec.plan, activations_gb=0.0))) is None
    assert computed == [] and not folder.exists()


def test_what_does_not_fit_the_limit_is_not_stored(
    spec: TrialSpec, folder: Path, computed: list[int]
) -> None:
    assert asked(replace(spec, plan=replace(spec.plan, activations_gb=1e-7))) is None
    assert computed == [] and entries(folder) == []


def test_an_entry_whose_first_rows_are_others_is_computed_again(
    spec: TrialSpec, folder: Path, computed: list[int]
) -> None:
    """Whatever the key may lack, such as files that a user's code reads."""
    first = asked(spec)
    assert first is not None
    entry = next(folder.glob("*/0.bin"))
    content = bytearray(entry.read_bytes())
    content[:4] = b"\x00\x00\x80\x3f"
    entry.write_bytes(content)
    described = json.loads((entry.parent / "entry.json").read_text())
    described[0]["sha256"] = hashlib.sha256(content).hexdigest()
    (entry.parent / "entry.json").write_text(json.dumps(described))
    again = asked(spec)
    assert again is not None and len(computed) == 2


def test_a_stop_is_heard_while_another_worker_computes(spec: TrialSpec, folder: Path) -> None:
    asked(spec)
    (entry,) = entries(folder)

    class Stopped(Exception):
        pass

    calls: list[int] = []

    def before() -> None:
        calls.append(1)
        if len(calls) == 2:
            raise Stopped

    (entry / "entry.json").unlink()
    name = entry.name.partition("-")[0]
    with lock(folder / f"{name}.lock"), pytest.raises(Stopped):
        asked(spec, before=before)


def test_the_entry_that_was_not_used_for_the_longest_time_is_deleted_first(
    spec: TrialSpec, folder: Path
) -> None:
    asked(spec, size=8)
    (oldest,) = entries(folder)
    size = (oldest / "0.bin").stat().st_size
    asked(spec, size=7)
    os.utime(oldest, (1, 1))
    limited = replace(spec, plan=replace(spec.plan, activations_gb=2.5 * size / 2**30))
    asked(limited, size=6)
    assert len(entries(folder)) == 2 and not oldest.exists()


def test_a_killed_writer_leaves_no_entry_and_its_files_go_with_the_next(
    spec: TrialSpec, folder: Path
) -> None:
    host = own_writer().partition("@")[2]
    # No process has this number.
    left, other = (folder / f"key.4194305@{name}.tmp" for name in (host, f"another-{host}"))
    for path in (left, other):
        path.mkdir(parents=True)
        (path / "0.bin").write_bytes(b"half")
    assert asked(spec) is not None
    assert not left.exists() and other.exists()


def ask(spec: TrialSpec, data_folder: Path, left: Path) -> None:
    """In a process of its own: leave a file if outputs are computed."""
    os.environ["WORKBENCH_DATA"] = str(data_folder)
    activations._GAIN, activations._LEAST_SECONDS = 0.0, -1.0
    compute = engine.compute

    def noted(*arguments: Any, **named: Any) -> None:
        left.joinpath(f"computed-{os.getpid()}").touch()
        compute(*arguments, **named)

    engine.compute = noted
    assert asked(spec)


def test_one_process_computes_and_the_others_wait_for_it(
    spec: TrialSpec, folder: Path, tmp_path: Path
) -> None:
    processes = [Forked(ask, spec, folder.parent, tmp_path) for _ in range(3)]
    assert [process.wait() for process in processes] == [0, 0, 0]
    assert len(list(tmp_path.glob("computed-*"))) == 1
    assert len(entries(folder)) == 1


def test_a_store_that_cannot_be_written_costs_no_trial(
    tiny: Path, home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    blocked = tmp_path / "file"
    blocked.touch()
    monkeypatch.setenv("WORKBENCH_DATA", str(blocked))
    spec = spec_for(tiny, home)
    frozen = replace(spec.plan.phases[0], freeze_depth=1)
    directory = directory_for(planned(spec, phases=(frozen,)), tmp_path / "t")
    assert trial_run.run(directory, report=go_on, interrupted=never).state is State.COMPLETE


def test_a_trial_has_the_same_result_with_and_without_the_store(
    tiny: Path, home: Path, tmp_path: Path, computed: list[int]
) -> None:
    spec = spec_for(tiny, home)
    frozen = (replace(spec.plan.phases[0], freeze_depth=1),)
    results = []
    for name, limit in (("with", 10.0), ("again", 10.0), ("without", 0.0)):
        planned_spec = planned(spec, phases=frozen, activations_gb=limit)
        directory = directory_for(planned_spec, tmp_path / name)
        result = trial_run.run(directory, report=go_on, interrupted=never)
        results.append((result.value, result.confusion, directory.weights.read_bytes()))
        if name != "again":  # Computing takes some time, asking in vain hardly any.
            assert (abs(result.saved_seconds) > 1e-3) == (limit > 0)
    assert results[0] == results[1] == results[2]
    assert len(computed) == 2, "training and validation, once each"
