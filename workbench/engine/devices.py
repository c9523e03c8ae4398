"""Where a plan is carried out.

Knows no model.
"""

from __future__ import annotations

import torch


def choose_device(name: str) -> torch.device:
    """The device of a plan: ``cuda``, ``mps`` or ``cpu``; ``auto`` takes the first there is.

    Raises:
        ValueError: torch sees no such device.
    """
    available = {
        "cuda": torch.cuda.is_available(),
        "mps": torch.backends.mps.is_available(),
        "cpu": True,
    }
    if name == "auto":
        name = next(device for device, there in available.items() if there)
    if not available.get(name, False):
        there = ", ".join(device for device, found in available.items() if found)
        raise ValueError(
            f"device is {name}, but torch finds only {there} here; say {there} or auto."
        )
    return torch.device(name)
