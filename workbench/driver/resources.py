"""What a worker needs of a machine, and how many workers a machine has room for."""

from __future__ import annotations

import os
from dataclasses import dataclass

from workbench.record import environment


@dataclass(frozen=True, kw_only=True)
class Resources:
    """What one worker needs.

    Attributes:
        cpus: Cores.
        gpus: Share of a GPU; 0 for none. None: a whole one wherever there is a GPU.
        memory: Bytes; 0 if it does not matter.
        stall_timeout: Seconds without a report after which a worker is killed, and its trial tried
            again; None: never.
        device: The trials' device: ``auto``, ``cpu``, ``cuda``, ``cuda:1`` or ``mps``.
    """

    cpus: int = 1
    gpus: float | None = None
    memory: int = 0
    stall_timeout: float | None = None
    device: str = "auto"

    @property
    def gpu_share(self) -> float:
        """The share of a GPU that a worker takes where there is one."""
        if self.device not in ("auto", "cuda"):
            return 0.0
        return 1.0 if self.gpus is None else self.gpus


def gpu_ids(resources: Resources) -> list[str]:
    """The GPUs that workers are assigned to in turn, as ``CUDA_VISIBLE_DEVICES`` names them.

    Empty where trials use none, or one that their study names (``cuda:1``).
    """
    if not resources.gpu_share:
        return []
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    if visible is not None:
        # CUDA ignores what follows -1. Parts of a GPU (MIG) have names, not numbers.
        before, _, _ = visible.partition("-1")
        return [name.strip() for name in before.split(",") if name.strip()]
    return [str(number) for number in range(environment.gpu_count())]


def workers_on_one(share: float) -> int:
    """How many workers share one GPU, if each takes this share of it."""
    return int(1 / share + 1e-9)


def local_count(resources: Resources) -> int:
    """How many workers this machine has room for: by GPUs where trials use them, else by cores."""
    import psutil

    room = [environment.cores() // resources.cpus]
    if gpus := gpu_ids(resources):
        room = [len(gpus) * workers_on_one(resources.gpu_share)]
    if resources.memory:
        room.append(psutil.virtual_memory().total // resources.memory)
    return max(1, min(room))
