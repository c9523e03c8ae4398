"""Seeds by name: every source of randomness has a generator of its own.

Knows nothing of torch, Optuna or what the numbers are for.
"""

from __future__ import annotations

import hashlib
import json


def derive(seed: int, *purpose: str | int) -> int:
    """A seed for one purpose, independent of every other purpose's.

    Args:
        seed: The seed that the purpose belongs to (a study's, a replicate's).
        purpose: What the numbers are for, for example ``"order", epoch``.

    Returns:
        An integer in ``[0, 2**63)``, the same on every machine and in every process.
    """
    text = json.dumps([seed, *purpose])
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big") >> 1
