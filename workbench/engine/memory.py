"""Peak memory of a trial, and messages for failed allocations: what is needed and what is free."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import torch

from workbench.backbones import stages
from workbench.backbones.stages import OutOfMemoryError, Staged, free_memory, size_text

if TYPE_CHECKING:
    from workbench.datasets.samples import Batch

# On the CPU torch gives bytes; on a GPU a size with its unit.
_BYTES = {"bytes": 1, "kib": 2**10, "mib": 2**20, "gib": 2**30, "tib": 2**40}
_REQUESTED = re.compile(r"tried to allocate ([0-9.]+) (bytes|[KMGT]iB)", re.IGNORECASE)
_CPU = ("DefaultCPUAllocator", "not enough memory")
# torch's messages for a tensor with more numbers than it can count.
_OVERFLOW = ("Overflow when unpacking", "Storage size calculation overflowed")


@contextmanager
def explain_errors(
    doing: str,
    *,
    device: torch.device,
    needs: Callable[[], str] = lambda: "",
    passes: bool = False,
) -> Iterator[None]:
    """Turn a failed allocation in a block into an error that says what to do.

    Args:
        doing: What the block does: ``building the backbone``.
        device: Of the memory.
        needs: Called on failure only: what training needs, in words; empty if it is not known.
        passes: Whether samples pass through the model in the block, so that a smaller batch helps.

    Raises:
        OutOfMemoryError: torch could not get memory.
    """
    try:
        yield
    except (RuntimeError, MemoryError, TypeError) as error:
        text = str(error)
        # On the CPU torch raises RuntimeError, or TypeError for a size that overflows.
        lacks = isinstance(error, MemoryError | torch.OutOfMemoryError)
        marked = any(mark in text for mark in (*_CPU, *_OVERFLOW))
        if isinstance(error, OutOfMemoryError) or not (lacks or marked):
            raise
        available = f"{size_text(free(device))} free on {device.type}"
        facts = [part for part in (_requested(text), available, needs()) if part]
        less = "a smaller backbone or a higher freeze_depth"
        if passes:
            less = f"a smaller batch_size, or micro_batch_size (more passes a step), {less}"
        raise OutOfMemoryError(
            f"out of memory while {doing}: {'; '.join(facts)}. To use less memory, choose {less}."
        ) from error


def free(device: torch.device) -> int:
    """Free bytes of a device, or of this machine."""
    if device.type == "cuda":
        return int(torch.cuda.mem_get_info(device)[0])
    return free_memory()


def start_peak(device: torch.device) -> bool:
    """Reset the peak; returns whether ``peak`` can measure it from now on.

    Only Linux lets a process reset its peak (proc(5): 5 in ``/proc/self/clear_refs``), and not in
    every container.
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

    None if the system does not report it.
    """
    if device.type == "cuda":
        return int(torch.cuda.max_memory_allocated(device))
    try:
        status = Path("/proc/self/status").read_text()
    except OSError:
        return None
    match = re.search(r"^VmHWM:\s+(\d+) kB$", status, re.MULTILINE)
    return None if match is None else int(match[1]) * 1024


def needed(staged: Staged, example: Batch | None, *, samples: int, slots: int) -> str:
    """The memory that training needs, in words.

    Args:
        staged: With gradients turned on for what is trained.
        example: A few samples for a trial pass that measures activations; None leaves them out.
        samples: Of a forward pass.
        slots: Numbers that the optimizer stores for each trained parameter.
    """
    count = stages.parameters(staged)
    # 4 bytes a number: all weights, and of the trained ones a gradient and the optimizer's slots.
    fixed = 4 * (count["total"] + (1 + slots) * count["trainable"])
    words = f"weights, gradients and optimizer need about {size_text(fixed)}"
    if example is None:
        return words
    try:
        activations = stages.activation_bytes(staged, example, samples=samples)
    except (RuntimeError, MemoryError):
        return words  # Not even the trial pass fits.
    return f"{words}, and activations of {samples} samples about {size_text(activations)} more"


def _requested(text: str) -> str:
    if any(mark in text for mark in _OVERFLOW):
        return "one tensor has more numbers than torch can count"
    match = _REQUESTED.search(text)
    if match is None:
        return ""
    size = float(match[1]) * _BYTES[match[2].lower()]
    return f"tried to allocate {size_text(int(size))}"
