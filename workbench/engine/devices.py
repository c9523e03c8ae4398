"""The device of a plan; used by trials and by ``predict``."""

from __future__ import annotations

import torch


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
    if not available.get(kind, False) or (number and int(number) >= torch.cuda.device_count()):
        names = ", ".join(device for device, present in available.items() if present)
        raise ValueError(
            f"device is {name}, but torch finds only {names} on this machine; use {names} or auto."
        )
    return torch.device(name)
