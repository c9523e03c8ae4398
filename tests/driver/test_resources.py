"""What a worker needs: GPUs are shared out, and a machine has room for so many workers."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest
import torch

from workbench.driver.resources import Resources, gpu_ids, local_count
from workbench.driver.workers import LocalWorkers
from workbench.record import environment
from workbench.study.checks import check
from workbench.study.config import load
from workbench.study.config.document import StudyFileError
from workbench.study.study import Study

Write = Callable[..., Path]


def given(**resources: object) -> Resources:
    return Resources(**resources)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("visible", "ids"),
    [("0,1", ["0", "1"]), ("GPU-aa, MIG-bb", ["GPU-aa", "MIG-bb"]), ("1,-1,2", ["1"]), ("", [])],
)
def test_workers_are_assigned_to_the_gpus_that_are_visible(
    visible: str, ids: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
    assert gpu_ids(given()) == gpu_ids(given(device="cuda")) == ids
    # A study that names its GPU, or uses none, must see all of them.
    assert gpu_ids(given(device="cuda:1")) == gpu_ids(given(device="cpu")) == []
    assert gpu_ids(given(gpus=0.0)) == []


@pytest.mark.parametrize(
    ("resources", "count"),
    [
        (given(), 2),
        (given(gpus=0.5), 4),
        (given(gpus=0.3), 6),
        (given(gpus=0.7), 2),
        (given(gpus=0.4), 4),
        (given(device="cpu"), 8),
        (given(device="cpu", cpus=3), 2),
        (given(device="cpu", cpus=99), 1),
        (given(gpus=0.0, cpus=2), 4),
    ],
)
def test_a_machine_has_room_for_workers_by_gpus_or_else_by_cores(
    resources: Resources, count: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0,1")
    monkeypatch.setattr(environment, "cores", lambda: 8)
    assert local_count(resources) == count


def test_memory_limits_the_number_of_workers() -> None:
    half = psutil.virtual_memory().total // 2 + 1
    assert local_count(given(device="cpu", memory=half)) == 1


def test_each_process_sees_one_gpu_and_a_new_one_takes_the_place_of_one_that_ended(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0,MIG-bb")

    def seen() -> list[str]:
        found = []
        for worker in workers._pool:
            # The kernel shows no variables for an instant after the start of a process.
            while not (variables := psutil.Process(worker.pid).environ()):
                time.sleep(0.01)
            found.append(variables["CUDA_VISIBLE_DEVICES"])
        return found

    workers = LocalWorkers(3, tmp_path)
    try:
        workers.prepare(3, given())
        assert seen() == ["0", "MIG-bb", "0"]
        workers._remove(workers._pool[1])
        workers.prepare(3, given())
        assert seen() == ["0", "0", "MIG-bb"]
        workers.prepare(1, given(gpus=0.0))
        assert seen() == [""], "the others have ended: they had other resources"
    finally:
        workers.close()


def test_a_study_file_says_what_a_worker_needs(write_study: Write) -> None:
    assert load(write_study()).resources == given()
    threads = write_study(("epochs: 3", "epochs: 3\n  threads: 2\n  device: cuda:1"))
    assert load(threads).resources == given(cpus=2, device="cuda:1")
    stated = write_study(("search:", "resources: {cpus: 4, gpus: 0.25, memory: 8GB}\nsearch:"))
    assert load(stated).resources == given(cpus=4, gpus=0.25, memory=8 * 10**9)


@pytest.mark.parametrize(
    ("written", "key"),
    [
        ("{cpus: 0}", "resources.cpus"),
        ("{gpus: 2}", "resources.gpus"),
        ("{memory: 8 apples}", "resources.memory"),
        ("{memory: 0}", "resources.memory"),
        ("{gpu: 1}", "resources.gpu"),
    ],
)
def test_resources_that_no_worker_can_have_are_refused(
    written: str, key: str, write_study: Write
) -> None:
    file = write_study(("search:", f"resources: {written}\nsearch:"))
    with pytest.raises(StudyFileError) as refused:
        load(file)
    (problem,) = refused.value.problems
    assert problem.key == key
    assert "did you mean gpus" in str(refused.value) or key != "resources.gpu"


@pytest.mark.parametrize(("device", "near"), [("cud", "cuda"), ("cuda:x", "cuda"), (1, "cuda:1")])
def test_an_unknown_device_is_refused(device: object, near: str, write_study: Write) -> None:
    with pytest.raises(StudyFileError, match=near):
        load(write_study(("epochs: 3", f"epochs: 3\n  device: {device}")))


def test_the_number_of_cores_does_not_depend_on_gpus_that_are_hidden(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    assert local_count(given()) == len(os.sched_getaffinity(0))


@pytest.mark.skipif(torch.cuda.is_available(), reason="this machine has a GPU")
@pytest.mark.parametrize("device", ["cuda", "cuda:3"])
def test_a_device_that_this_machine_lacks_is_refused_unless_trials_run_elsewhere(
    device: str, write_study: Write, home: Path
) -> None:
    study = Study(load(write_study(("epochs: 3", f"epochs: 3\n  device: {device}"))), home)
    check(study, local=False)
    with pytest.raises(StudyFileError, match=rf"{device}.*torch finds only"):
        check(study)
