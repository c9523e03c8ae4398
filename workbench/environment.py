"""What a study ran on and with: packages, hardware, and the state of the code.

Only looks; knows nothing of studies.
"""

from __future__ import annotations

import hashlib
import os
import platform
import subprocess
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

PACKAGES = (
    "workbench",
    "torch",
    "torchvision",
    "transformers",
    "optuna",
    "mlflow",
    "numpy",
    "pandas",
    "scikit-learn",
)
# Those of them, and of the optional ones, that a trial's numbers can depend on.
COMPUTING = (
    "workbench",
    "torch",
    "torchvision",
    "transformers",
    "timm",
    "peft",
    "numpy",
    "scikit-learn",
)


def describe() -> dict[str, Any]:
    """Packages, Python, platform, processor, memory and accelerator of this process.

    ``driver_threads`` is torch's number in this process; a worker's stands in each trial's plan.
    """
    import psutil
    import torch

    gpu = torch.cuda.get_device_name(0) if torch.cuda.is_available() else None
    return {
        "packages": {name: found for name in PACKAGES if (found := _version(name))},
        "python": platform.python_version(),
        "platform": platform.platform(),
        "cpu": _processor(),
        "cores": os.cpu_count(),
        "driver_threads": torch.get_num_threads(),
        "memory_gib": round(psutil.virtual_memory().total / 2**30, 1),
        "gpu": gpu,
        "cuda": torch.version.cuda if gpu else None,
    }


def git_state(folder: Path) -> dict[str, Any]:
    """Commit, whether the tree is dirty, and the diff of a dirty tree; empty outside of git."""
    commit = _git(folder, "rev-parse", "HEAD")
    if commit is None:
        return {}
    diff = _git(folder, "diff", "--no-ext-diff", "--no-color", "HEAD") or ""
    return {"commit": commit.strip(), "dirty": bool(diff), "diff": diff}


def provenance(device: str, threads: int) -> dict[str, str]:
    """What a trial's numbers depend on beside its plan, as short texts.

    What a process can learn once is looked up once, from its working directory as the study's
    driver does it: a warm worker goes on with the code that it has loaded.

    Args:
        device: What the trial ran on: ``cpu``, ``cuda``, ``mps``.
        threads: Of torch on the CPU.

    Returns:
        ``commit``, followed by ``+dirty`` and the first digits of the diff's SHA-256 where the tree
        differs from it, left out outside of git; ``packages`` with their versions; ``hardware``,
        the processor or the accelerator; ``threads``.
    """
    commit = _commit(Path.cwd())
    return {
        **({"commit": commit} if commit else {}),
        "packages": _packages(),
        "hardware": _hardware(device.partition(":")[0]),
        "threads": str(threads),
    }


@cache
def _commit(folder: Path) -> str:
    state = git_state(folder)
    if not state:
        return ""
    changed = hashlib.sha256(state["diff"].encode()).hexdigest()[:8]
    return str(state["commit"][:12]) + (f"+dirty.{changed}" if state["dirty"] else "")


@cache
def _packages() -> str:
    found = {"python": platform.python_version(), **{name: _version(name) for name in COMPUTING}}
    return ", ".join(f"{name} {number}" for name, number in found.items() if number)


@cache
def _hardware(kind: str) -> str:
    import torch

    return torch.cuda.get_device_name(0) if kind == "cuda" else _processor()


def _version(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    models = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return models[0] if models else platform.machine()


def _git(folder: Path, *arguments: str) -> str | None:
    try:
        done = subprocess.run(
            ["git", "-C", str(folder), *arguments], capture_output=True, check=True
        )
    except (OSError, subprocess.CalledProcessError):
        return None
    return done.stdout.decode(errors="replace")
