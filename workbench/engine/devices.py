"""The device of a plan, which ``predict`` uses too, and how trials compute on it."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from workbench.messages import counted


def choose_device(name: str) -> torch.device:
    """The device of a plan: ``cuda``, ``cuda:1``, ``mps`` or ``cpu``; ``auto`` is the first one.

    Raises:
        ValueError: torch finds no such device.
    """
    available = {
        "cuda": torch.cuda.is_available(),
        "mps": torch.backends.mps.is_available(),
        "cpu": True,
    }
    # In this order: an accelerator is faster wherever there is one.
    if name == "auto":
        name = next(device for device, present in available.items() if present)
    kind, _, number = name.partition(":")
    gpus = torch.cuda.device_count()
    if not available.get(kind, False) or (number and int(number) >= gpus):
        names = found = ", ".join(device for device, present in available.items() if present)
        if kind == "cuda" and available[kind]:
            names, found = f"cuda:{gpus - 1}", counted(gpus, "GPU")
        raise ValueError(
            f"device is {name}, but torch finds only {found} on this machine; use {names} or auto."
        )
    return torch.device(name)


def set_gpu_precision(precision: str) -> None:
    """Set how CUDA devices compute in this process, which runs trials; affects no other device.

    cuDNN may otherwise choose another algorithm, with other bits, in each run. And torch itself
    uses TF32 in convolutions, but not in matrix products (torch's "CUDA semantics" page).

    Args:
        precision: Of the plan; ``tf32`` uses TF32 in both, anything else in neither.
    """
    torch.backends.cudnn.deterministic = True
    torch.backends.cudnn.benchmark = False
    torch.backends.cudnn.allow_tf32 = precision == "tf32"
    torch.backends.cuda.matmul.allow_tf32 = precision == "tf32"


def move(module: nn.Module, device: torch.device, precision: str) -> None:
    """Move a module to a device, in place: its parameters stay the same objects.

    On a GPU with ``bfloat16``, images pass through convolutions in the memory format
    ``channels_last``, as tensor cores take them.
    """
    module.to(device)
    if device.type == "cuda" and precision == "bfloat16":
        to_channels_last(module)


def to_channels_last(module: nn.Module) -> None:
    """Give the weights of two-dimensional convolutions that format; their outputs follow."""
    for each in module.modules():
        if isinstance(each, nn.Conv2d | nn.ConvTranspose2d):
            each.to(memory_format=torch.channels_last)


def on_cpu(tensor: Tensor) -> Tensor:
    """The tensor contiguous, on the CPU and in a storage of its own; a copy only if it is not."""
    here = tensor.detach().to("cpu").contiguous()
    return here if here.untyped_storage().nbytes() == here.nbytes else here.clone()


def copied(tensor: Tensor) -> Tensor:
    """A copy, contiguous and on the CPU."""
    return tensor.detach().to("cpu", copy=True, memory_format=torch.contiguous_format)
