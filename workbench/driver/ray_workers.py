"""Runs trials on a Ray cluster: in worker processes of its nodes.

On each node an agent, which is a Ray actor, starts a worker process as on one machine and passes
its messages on. Ray places the agents, and ends them with the driver; it repeats nothing: attempts
are counted by the driver.
"""

from __future__ import annotations

import logging
import os
import secrets
import socket
import time
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import ray

from workbench import __version__
from workbench.driver import transfer
from workbench.driver.agent import Agent, Node
from workbench.driver.process import WorkerEnded
from workbench.driver.resources import Resources, workers_on_one
from workbench.driver.worker import Message
from workbench.driver.workers import POLL_SECONDS, ClusterError, WorkerPool
from workbench.messages import counted, first_line
from workbench.record import TrialDirectory

_LOGGER = logging.getLogger(__name__)

# Where data and weights are kept: nodes that share the home share these folders too.
_FOLDERS = ("WORKBENCH_DATA", "TORCH_HOME", "HF_HOME")
_PATIENCE_SECONDS = 30.0
_ANSWER_SECONDS = 10.0
_TOKEN = (
    " If the cluster has a token, set RAY_AUTH_MODE=token here, and copy ~/.ray/auth_token of "
    "its head (or set RAY_AUTH_TOKEN)."
)


@contextmanager
def connected(cluster: str) -> Iterator[str]:
    """Be connected to a Ray cluster for the length of a block.

    Args:
        cluster: ``ray://HOST:PORT`` of a cluster elsewhere. ``ray``: the cluster of
            ``RAY_ADDRESS``, or one that runs on this machine, or a new one of this machine alone.

    Yields:
        The cluster in words.

    Raises:
        ClusterError: There is no cluster at the address, or it has another token.
    """
    if cluster != "ray" and not cluster.startswith("ray://"):
        raise ClusterError(f"--on {cluster}: it must be ray, or ray://HOST:PORT.")
    address = None if cluster == "ray" else cluster
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    _connect(address)
    try:
        nodes = counted(sum(node["Alive"] for node in ray.nodes()), "node")
        yield f"Ray cluster with {_amounts(ray.cluster_resources())} on {nodes}"
    finally:
        ray.shutdown()


def _connect(address: str | None) -> None:
    known = address or os.environ.get("RAY_ADDRESS") or _last_started()
    name = f"The Ray cluster at {known}" if known else "A Ray cluster of this machine"
    try:
        _require_answer(known, name)
        # Ray's warnings, such as that of a port without an answer, only repeat the error.
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            ray.init(address, include_dashboard=False, log_to_driver=False, logging_level="ERROR")
    except (ConnectionError, RuntimeError, ValueError, ray.exceptions.AuthenticationError) as error:
        reason = first_line(error).split(". ")[0]
        # With a wrong token Ray says only that there is no connection.
        hint = "" if isinstance(error, (RuntimeError, ValueError)) else _TOKEN
        raise ClusterError(f"{name} cannot be used: {reason}.{hint}") from error


def _last_started() -> str:
    """The address that ``ray start`` left on this machine; empty if there is none."""
    folder = os.environ.get("RAY_TMPDIR") or os.environ.get("TMPDIR") or "/tmp"
    try:
        return (Path(folder) / "ray" / "ray_current_cluster").read_text().strip()
    except OSError:
        return ""


def _require_answer(address: str, name: str) -> None:
    """Refuse an address without an answer, for which Ray itself would wait for minutes."""
    place = urlsplit(address if "://" in address else f"//{address}")
    if not (place.hostname and place.port):
        return
    try:
        socket.create_connection((place.hostname, place.port), timeout=_ANSWER_SECONDS).close()
    except OSError as error:
        raise ClusterError(
            f"{name} does not answer ({error.strerror or error}). Start it (ray start --head), or "
            "change the address or unset RAY_ADDRESS; `ray stop` forgets a cluster that has ended."
        ) from error


def _amounts(resources: Mapping[str, float]) -> str:
    parts = [f"{resources.get('CPU', 0):g} cores"]
    if resources.get("GPU"):
        parts.append(f"{resources['GPU']:g} GPUs")
    return ", ".join(parts)


class RayWorkers(WorkerPool["RayWorker"]):
    """Runs trials in processes on the nodes of a Ray cluster, which may share the home or not.

    Args:
        count: Number of processes; by default as many as the cluster has room for now.
        logs: Folder in the home for the output of the processes.
    """

    local = False

    def __init__(self, count: int | None, logs: Path) -> None:
        super().__init__()
        self._given = count
        self._secret = secrets.token_hex()
        # Named by the secret: that of a driver that was killed may still be there.
        self._token = logs / f"cluster-{self._secret[:16]}.token"
        self._warned = time.monotonic()

    def count(self, resources: Resources) -> int:
        """The number given, or else what the resources of the cluster suffice for.

        Raises:
            ClusterError: No number was given, and no node has room for one worker.
        """
        if self._given:
            return self._given
        needs = _needs(resources)
        nodes = [node["Resources"] for node in ray.nodes() if node["Alive"]]
        room = sum(min(_room(node, *need) for need in needs.items()) for node in nodes)
        if not room:
            wanted = ", ".join(f"{amount:g} {name}" for name, amount in needs.items())
            raise ClusterError(
                f"A worker needs {wanted}, and no node of the Ray cluster has that. Change the "
                "block resources, or give --workers to wait for a node that will be added."
            )
        return room

    def kill(self) -> None:
        """Nothing to do: Ray ends the agents when the driver has ended."""

    def _add(self) -> RayWorker:
        if not self._token.exists():
            self._token.parent.mkdir(parents=True, exist_ok=True)
            self._token.write_text(self._secret)
        needs = _needs(self._resources)
        agent = ray.remote(
            num_cpus=needs["CPU"],
            num_gpus=needs.get("GPU", 0),
            memory=needs.get("memory"),
            max_restarts=0,
            max_task_retries=0,
            concurrency_groups={"receive": 1},
        )(Agent)
        environment = {name: os.environ[name] for name in _FOLDERS if name in os.environ}
        return RayWorker(agent.remote(), self._token, self._secret, environment)

    def _wait(self, workers: Sequence[RayWorker]) -> Sequence[RayWorker]:
        waited = {worker.pending: worker for worker in workers}
        ready, _ = ray.wait(list(waited), num_returns=len(waited), timeout=0)
        if not ready:
            ready, _ = ray.wait(list(waited), num_returns=1, timeout=POLL_SECONDS)
        if ready or any(worker.ready for worker in self._pool):
            self._warned = time.monotonic()
        elif time.monotonic() - self._warned > _PATIENCE_SECONDS:
            self._warned = time.monotonic()
            _LOGGER.warning(
                "Ray has started no worker yet. Free resources of the cluster: %s.",
                _amounts(ray.available_resources()),
            )
        return [waited[ref] for ref in ready]

    def close(self) -> None:
        """Kill the workers."""
        super().close()
        self._token.unlink(missing_ok=True)


def _room(node: Mapping[str, float], name: str, amount: float) -> int:
    """How many workers a node has room for, by one of its resources."""
    if name == "GPU":
        return int(node.get(name, 0)) * workers_on_one(amount)
    return int(node.get(name, 0) / amount + 1e-9)


def _needs(resources: Resources) -> dict[str, float]:
    """What Ray reserves for a worker, by Ray's names."""
    needs: dict[str, float] = {"CPU": resources.cpus}
    share = resources.gpu_share
    # Without a word about GPUs a worker takes one where there are some.
    if share and (resources.gpus is not None or ray.cluster_resources().get("GPU")):
        needs["GPU"] = share
    if resources.memory:
        needs["memory"] = resources.memory
    return needs


class RayWorker:
    """A worker process of a node, seen from the driver.

    Attributes:
        pending: Ray's reference to the next answer of the agent.
    """

    def __init__(
        self, agent: Any, token: Path, secret: str, environment: Mapping[str, str]
    ) -> None:
        self.directory: TrialDirectory | None = None
        self.since = time.monotonic()
        self.ready = False
        self._shared = True
        self._sent: transfer.Sent = {}
        self._agent = agent
        self.pending = agent.start.remote(token, secret, environment)

    def run(self, directory: TrialDirectory) -> None:
        """Let it run a trial."""
        self.directory = directory
        if self._shared:
            self.send({"run": str(directory.path)})
            return
        # Else it would seem parked while it trains: the node deletes only its own copy.
        directory.reopen()
        self._agent.run.remote(*transfer.files_for(directory, self._sent))

    def send(self, message: Message) -> None:
        """Send a message; Ray keeps the order."""
        self._agent.send.remote(message)

    def receive(self) -> Message:
        """A message that has arrived; empty if the worker became ready.

        Raises:
            WorkerEnded: The worker, its agent or its node has ended.
            ClusterError: The node cannot run trials.
        """
        try:
            answer = ray.get(self.pending)
        except ray.exceptions.RayTaskError as error:
            reason = f"A node of the Ray cluster cannot run trials: {error.cause}"
            raise ClusterError(reason) from error
        except ray.exceptions.RayError as error:
            raise WorkerEnded(f"worker ended: {first_line(error)}") from error
        self.pending = self._agent.receive.remote()
        if isinstance(answer, Node):
            _require_same_version(answer)
            self.ready, self._shared = True, answer.shared
            return {}
        message: Message
        message, files = answer
        if self.directory is not None:
            transfer.write_back(self.directory, files)
        if "ended" in message:
            raise WorkerEnded(message["ended"])
        return message

    def ended(self) -> bool:
        """Whether a worker without a trial has ended: only then it has something to say."""
        return bool(ray.wait([self.pending], timeout=0)[0])

    def kill(self) -> None:
        """Kill the agent; the worker process ends with it."""
        ray.kill(self._agent)


def _require_same_version(node: Node) -> None:
    if node.version != __version__:
        raise ClusterError(
            f"Node {node.name} has Workbench {node.version}, this machine {__version__}. "
            "Install the same version on every node."
        )
