"""Trials on a Ray cluster of three nodes of this machine: the same numbers, whatever is lost."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import psutil
import pytest

from tests.support.commands import wait_for
from tests.support.fixed_trials import FixedTrials, log_of, trial_directories
from tests.support.processes import Forked
from tests.support.tiny import THREE, TWO, Unseen
from tests.support.trials import EPOCHS, numbers, write_light
from workbench.commands.confirm import confirm_study
from workbench.commands.run import run_study
from workbench.driver import Workers
from workbench.driver.progress import StudyProgress
from workbench.driver.resources import Resources
from workbench.driver.workers import ClusterError, InlineWorkers
from workbench.record import EpochResult, State, TrialDirectory, scan, study_directory

ray_cluster = pytest.importorskip("ray.cluster_utils", reason="Ray is not installed")
from workbench.driver.ray_workers import RayWorkers, connected  # noqa: E402

pytestmark = [pytest.mark.slow, pytest.mark.timeout(280)]

SLOW = EPOCHS.replace("    for", "    import time\n    for").replace(
    "        yield", "        time.sleep(0.5)\n        yield"
)
MakeWorkers = Callable[[int | None], RayWorkers]
CPU = Resources(device="cpu")


@pytest.fixture(scope="module")
def cluster() -> Iterator[Any]:
    """Three nodes; the driver's has one core and the address ``RAY_ADDRESS``."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    head = {"num_cpus": 1, "include_dashboard": False, "ray_client_server_port": port}
    made = ray_cluster.Cluster(initialize_head=True, head_node_args=head)
    made.client = f"ray://127.0.0.1:{port}"
    made.add_node(num_cpus=2, num_gpus=1)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RAY_ADDRESS", made.address)
        yield made
    made.shutdown()


@pytest.fixture
def make_workers(cluster: object, home: Path) -> Iterator[Callable[[int | None], RayWorkers]]:
    """Makes workers, which end with the test."""
    with connected("ray"), ExitStack() as stack:

        def make(count: int | None) -> RayWorkers:
            workers = RayWorkers(count, home / "mlruns" / "workers")
            stack.callback(workers.close)
            return workers

        yield make


def not_shared(workers: RayWorkers) -> RayWorkers:
    """Let nodes read something else than this driver wrote: then the home is another one."""
    workers._token.parent.mkdir(parents=True, exist_ok=True)
    workers._token.write_text("of another home")
    return workers


def workers_of(home: Path) -> list[psutil.Process]:
    """The worker processes whose log is in a home."""
    found = []
    for process in psutil.process_iter(["cmdline"]):
        command = process.info["cmdline"] or []
        if "workbench.driver.worker" in command and log_of(process).is_relative_to(home):
            found.append(process)
    return found


def search(file: Path, home: Path, workers: Workers) -> dict[str, Any]:
    outcome = run_study(file, [], home, workers, Unseen())
    assert outcome.exit_code == 0
    return records(home, file.stem)


def records(home: Path, study: str) -> dict[str, Any]:
    found = {}
    for directory, spec in scan(study_directory(home, study)):
        result = directory.result()
        assert result is not None
        found[f"{spec.role} {spec.name}"] = (result.state, numbers(directory), result.test)
    return found


def test_pruning_works_and_a_study_has_the_numbers_of_this_process_also_without_shared_files(
    make_workers: MakeWorkers, home: Path, tmp_path: Path, write_study: Callable[..., Path]
) -> None:
    file = write_study(
        TWO,
        THREE,
        ("epochs: 3", "epochs: 3\n  device: cpu"),
        ("pruner: median", "pruner: {name: median, n_startup_trials: 1}"),
        (
            "objective: {metric: validation/accuracy}",
            "confirm: {smallest_effect: 0.02, seeds: 2, select: {configs: 1, seeds: 1}}",
        ),
    )
    other = tmp_path / "other"
    other.mkdir()
    # One worker: suggestions depend on the order in which trials end.
    one = not_shared(make_workers(1))
    searched = search(file, home, one)
    one.close()
    two = not_shared(make_workers(2))
    confirm_study(file, [], home, two, Unseen(), agree=lambda offer: True)
    here = search(file, other, InlineWorkers())
    confirm_study(file, [], other, InlineWorkers(), Unseen(), agree=lambda offer: True)
    assert searched == here
    assert State.PRUNED in {state for state, _, _ in searched.values()}
    assert records(home, "tiny") == records(other, "tiny")
    assert any(test for _, _, test in records(home, "tiny").values())
    for directory, _ in scan(study_directory(other, "tiny")):
        twin = TrialDirectory(home / directory.path.relative_to(other))
        ours, theirs = (
            sorted(
                str(path.relative_to(at.path)) for path in at.path.rglob("*") if path.name != "lock"
            )
            for at in (twin, directory)
        )
        assert ours == theirs, "a record comes back whole"


def test_a_worker_that_was_killed_and_a_node_that_was_lost_cost_an_attempt(
    cluster: Any, make_workers: MakeWorkers, home: Path
) -> None:
    nodes = [cluster.add_node(num_cpus=4)]
    light = write_light(home / "light", SLOW)
    driver = FixedTrials(
        trial_directories(1, light, home, home / "t"),
        after_a_loss=trial_directories(1, light, home, home / "u"),
    )

    def lose(directory: TrialDirectory, _: EpochResult) -> None:
        if not driver.lost_trials:
            workers_of(home)[0].kill()
        elif len(driver.lost_trials) == 1:
            # It was the only one with room for this worker.
            cluster.remove_node(nodes[0], allow_graceful=False)
            nodes.append(cluster.add_node(num_cpus=4))

    driver.on_report = lose
    workers, needs = make_workers(1), Resources(device="cpu", cpus=4)
    workers.prepare(1, needs)
    workers.run(driver)
    cluster.remove_node(nodes[1])
    killed, removed = [reason for _, reason in driver.lost_trials]
    assert killed == "worker ended by signal SIGKILL"
    assert removed.startswith("worker ended")
    ((directory, result),) = driver.finished
    assert (directory.path.parent.name, result.state) == ("u", State.COMPLETE)


class Pausing(Unseen):
    """Stops a node while its worker trains, until the trial was given to another worker.

    Then the worker wakes first: nobody has told it yet that its driver gave it up.
    """

    def __init__(self, study: Path, workers: RayWorkers) -> None:
        super().__init__()
        self._study = study
        self._workers = workers
        self.trial: TrialDirectory | None = None
        self._stopped: list[psutil.Process] = []

    def update(self, progress: StudyProgress) -> None:
        if self.trial is None:
            trials = [directory for directory, _ in scan(self._study)]
            if len(trials) == 2 and all(trial.history() for trial in trials):
                # Only now and only once: a worker first loads its libraries, for seconds.
                self._workers._resources = Resources(device="cpu", cpus=2, stall_timeout=6.0)
                # The one that began last: the other one may be about to end.
                self.trial = min(trials, key=lambda trial: len(trial.history()))
                worker = psutil.Process(int(self.trial.lock_path.read_text().split()[1]))
                agent, node, *_ = worker.parents()
                self._stopped = [worker, agent, node]
                for process in (node, agent, worker):
                    process.suspend()
        elif (
            len(self._stopped) == 3 and (spec := self.trial.spec()) is not None and spec.attempt > 1
        ):
            self._workers._resources = Resources(device="cpu", cpus=2)
            self._stopped.pop(0).resume()

    def end(self) -> None:
        for process in self._stopped:
            process.resume()


def test_a_node_that_hangs_costs_an_attempt_and_writes_nothing_when_it_wakes(
    cluster: Any, make_workers: MakeWorkers, home: Path
) -> None:
    light = write_light(home / "light", SLOW)
    node = cluster.add_node(num_cpus=2)
    workers = make_workers(2)
    pausing = Pausing(study_directory(home, "tiny"), workers)
    overrides = ["resources={cpus: 2}", "recipe.epochs=5", "recipe.device=cpu"]
    try:
        outcome = run_study(light, overrides, home, workers, pausing)
    finally:
        pausing.end()
        cluster.remove_node(node)  # In any case: the next test counts what there is.
    assert outcome.exit_code == 0
    trial = pausing.trial
    assert trial is not None
    spec, result = trial.spec(), trial.result()
    assert spec is not None and result is not None
    assert (spec.attempt, spec.failures, result.attempt, result.state) == (
        2,
        1,
        2,
        State.COMPLETE,
    )
    assert [line.epoch for line in trial.history()] == [1, 2, 3, 4, 5]


def run_on_ray(file: Path, home: Path) -> None:
    """A driver in a process of its own."""
    with connected("ray"):
        workers = RayWorkers(2, home / "mlruns" / "workers")
        run_study(file, [], home, workers, Unseen())


def test_workers_end_with_a_driver_that_is_killed_and_the_next_one_resumes(
    cluster: object, home: Path, make_workers: MakeWorkers
) -> None:
    file = write_light(home / "light", SLOW)
    driver = Forked(run_on_ray, file, home)
    study = study_directory(home, "tiny")
    wait_for(lambda: any(study.glob("trials/*/*/history.jsonl")), driver)
    begun = workers_of(home)
    assert begun
    driver.kill()
    _, alive = psutil.wait_procs(begun, timeout=60)
    assert alive == []
    outcome = run_study(file, [], home, make_workers(2), Unseen())
    assert outcome.exit_code == 0
    trials = scan(study)
    assert len(trials) == 2
    assert max(spec.attempt for _, spec in trials) == 2
    assert all(len(directory.history()) == 3 for directory, _ in trials)


def test_gpus_are_shared_as_the_study_says_and_a_study_on_the_cpu_takes_none(
    make_workers: MakeWorkers, home: Path
) -> None:
    half, workers = Resources(gpus=0.5), make_workers(None)
    assert [workers.count(needs) for needs in (half, Resources(), CPU)] == [2, 1, 3]
    workers.prepare(2, half)
    until = time.monotonic() + 60
    while len(found := workers_of(home)) < 2:
        assert time.monotonic() < until
        time.sleep(0.1)
    assert {process.environ()["CUDA_VISIBLE_DEVICES"] for process in found} == {"0"}
    with pytest.raises(ClusterError, match=r"needs 64 CPU.*resources.*--workers"):
        workers.count(Resources(cpus=64, device="cpu"))


@pytest.mark.nightly  # Ray gives up where its server needs 30 s to start, on a busy machine.
def test_a_driver_outside_the_cluster_uses_its_client_port(cluster: Any, home: Path) -> None:
    light = write_light(home / "light")
    with connected(cluster.client) as words:
        assert "cores" in words
        workers = RayWorkers(1, home / "mlruns" / "workers")
        driver = FixedTrials(trial_directories(2, light, home, home / "t"))
        workers.prepare(2, CPU)
        workers.run(driver)
        workers.close()
    assert [result.state for _, result in driver.finished] == [State.COMPLETE] * 2


@pytest.mark.parametrize("address", ["slurm", "ray:8265", "http://head:8265"])
def test_what_is_no_address_of_ray_is_refused(address: str) -> None:
    with pytest.raises(ClusterError, match=r"ray://HOST:PORT"), connected(address):
        pass


@pytest.mark.parametrize("source", ["RAY_ADDRESS", "last started", "ray://"])
def test_a_cluster_that_has_ended_is_named_and_not_waited_for(
    source: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{closed.getsockname()[1]}"
        monkeypatch.setenv("RAY_ADDRESS", address if source == "RAY_ADDRESS" else "")
        monkeypatch.setenv("RAY_TMPDIR", str(tmp_path))
        if source == "last started":
            (tmp_path / "ray").mkdir()
            (tmp_path / "ray" / "ray_current_cluster").write_text(address)
        on = f"ray://{address}" if source == "ray://" else "ray"
        begun = time.monotonic()
        said = pytest.raises(ClusterError, match=rf"{address} does not answer.*unset RAY_ADDRESS")
        with said, connected(on):
            pass
    assert time.monotonic() - begun < 15


def test_a_driver_without_the_token_of_the_cluster_is_told_where_it_is_looked_for(
    cluster: Any, home: Path, write_study: Callable[..., Path]
) -> None:
    environment = os.environ | {"RAY_AUTH_MODE": "token", "HOME": str(home)}
    words = ["run", str(write_study()), "--home", str(home), "--on", "ray"]
    command = [sys.executable, "-m", "workbench", *words]
    ended = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60)
    said = " ".join(ended.stderr.split())
    assert ended.returncode == 4, said
    assert "Traceback" not in said
    for name in (cluster.address, "RAY_AUTH_MODE=token", "~/.ray/auth_token", "RAY_AUTH_TOKEN"):
        assert name in said


def test_a_stopped_study_parks_its_trials_on_the_nodes(
    make_workers: MakeWorkers, home: Path, write_study: Callable[..., Path]
) -> None:
    driver = FixedTrials(
        trial_directories(1, write_study(("epochs: 3", "epochs: 100000")), home, home / "t")
    )

    def stop(_: TrialDirectory, line: EpochResult) -> None:
        driver.stopping = line.epoch >= 3

    driver.on_report = stop
    workers = make_workers(1)
    workers.prepare(1, CPU)
    workers.run(driver)
    assert [result.state for _, result in driver.finished] == [State.PARKED]
