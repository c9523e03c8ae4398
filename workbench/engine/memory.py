"""How much memory a trial took, and what it says when memory runs out: what it needs, what is free.

Knows no data and no training loop.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import torch

from workbench.backbones import stages
from workbench.backbones.stages import OutOfMemory, Staged, free_memory, size_text

if TYPE_CHECKING:
    from workbench.datasets.samples import Batch

_BYTES = {"bytes": 1, "KiB": 2**10, "MiB": 2**20, "GiB": 2**30, "TiB": 2**40}
_ASKED = (
    re.compile(r"tried to allocate (?P<number>[0-9]+) (?P<unit>bytes)"),
    re.compile(r"Tried to allocate (?P<number>[0-9.]+) (?P<unit>[KMGT]iB)"),
)
_CPU = ("DefaultCPUAllocator", "not enough memory")
# Of a tensor with more numbers than torch can count.
_OVERFLOW = ("Overflow when unpacking", "Storage size calculation overflowed")


@contextmanager
def told(
    doing: str,
    *,
    device: torch.device,
    needs: Callable[[], str] = str,
    passes: bool = False,
) -> Iterator[None]:
    """Turn a failed allocation within a block into one that says what to do about it.

    Args:
        doing: What the block does: ``building the backbone``.
        device: Where the memory lies.
        needs: Asked only then: what training needs, in words; nothing where nobody knows yet.
        passes: Whether samples pass through the model in the block: fewer at once need less.

    Raises:
        OutOfMemory: torch could not get memory.
    """
    try:
        yield
    except (RuntimeError, MemoryError, TypeError) as error:
        said = str(error)
        lacks = isinstance(error, MemoryError | torch.OutOfMemoryError)
        marked = any(mark in said for mark in (*_CPU, *_OVERFLOW))
        if isinstance(error, OutOfMemory) or not (lacks or marked):
            raise
        there = f"{size_text(free(device))} are free on {device.type}"
        sentences = [part for part in (_asked(said), there, needs()) if part]
        less = "a smaller backbone or a higher freeze_depth"
        if passes:
            less = f"a smaller batch_size, or micro_batch_size (more passes a step), {less}"
        raise OutOfMemory(
            f"out of memory while {doing}: {'; '.join(sentences)}. "
            f"Less memory is needed with {less}."
        ) from error


def free(device: torch.device) -> int:
    """Bytes that could be had now."""
    if device.type == "cuda":
        return int(torch.cuda.mem_get_info(device)[0])
    return free_memory()


def start_peak(device: torch.device) -> bool:
    """Forget the peak so far; whether ``peak`` can tell it from now on.

    Linux alone lets a process do so (proc(5): 5 into ``/proc/self/clear_refs``), and not in every
    container.
    """
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
        return True
    if device.type != "cpu":
        return False
    try:
        Path("/proc/self/clear_refs").write_text("5")
    except OSError:
        return False
    return True


def peak(device: torch.device) -> int | None:
    """Bytes at the peak since ``start_peak``: allocated on a CUDA device, else resident here.

    None where the system does not tell.
    """
    if device.type == "cuda":
        return int(torch.cuda.max_memory_allocated(device))
    try:
        status = Path("/proc/self/status").read_text()
    except OSError:
        return None
    found = re.search(r"^VmHWM:\s+(\d+) kB$", status, re.MULTILINE)
    return None if found is None else int(found[1]) * 1024


def needed(staged: Staged, example: Batch | None, *, depth: int, samples: int, slots: int) -> str:
    """What training needs, in words.

    Args:
        staged: With what is trained turned on.
        example: A few samples for a pass that says how much one keeps; None leaves that out.
        depth: How many stages are frozen.
        samples: Of a forward pass.
        slots: Numbers that the optimizer remembers for each parameter that is trained.
    """
    count = stages.parameters(staged)
    fixed = 4 * (count["total"] + (1 + slots) * count["trainable"])
    words = f"weights, gradients and optimizer need about {size_text(fixed)}"
    if example is None:
        return words
    try:
        kept = stages.memory(staged, example, depth=depth, batch_size=samples, slots=slots)
    except (RuntimeError, MemoryError):
        return words  # Nothing is left even for that.
    return f"{words}, and a pass of {samples} samples keeps {size_text(kept.activations)} more"


def _asked(said: str) -> str:
    if any(mark in said for mark in _OVERFLOW):
        return "one tensor has more numbers than torch can count"
    for pattern in _ASKED:
        if match := pattern.search(said):
            asked = int(float(match["number"]) * _BYTES[match["unit"]])
            return f"{size_text(asked)} were asked for at once"
    return ""
