"""The environment of a study: packages, hardware, and the state of the code.

Used by the trials' records, by the description of a study and by ``workbench --version``.
"""

from __future__ import annotations

import hashlib
import json
import os
import platform
import subprocess
from functools import cache
from importlib.metadata import PackageNotFoundError, distribution, distributions, version
from pathlib import Path
from typing import Any

import workbench

# The package index knows Workbench by this name: ``workbench`` there is another project.
DISTRIBUTION = "finetuning-workbench"
# The packages that a trial's numbers can depend on, besides Workbench itself.
COMPUTING = (
    "torch",
    "torchvision",
    "transformers",
    "tokenizers",
    "timm",
    "peft",
    "datasets",
    "numpy",
    "pandas",
    "scikit-learn",
    "pillow",
)
# The packages that a report names: also those that propose and store the trials.
PACKAGES = (*COMPUTING, "optuna", "mlflow")
LONGEST_DIFF = 1_000_000
_GPU_DEVICES = ("nvidiactl", "nvmap", "kfd", "dxg")  # of NVIDIA, NVIDIA Tegra, AMD and WSL


def describe() -> dict[str, Any]:
    """Packages, Python, platform, processor, memory and GPU of this machine."""
    import psutil

    gpu = cuda = None
    if gpu_count():
        import torch

        if torch.cuda.is_available():
            gpu, cuda = torch.cuda.get_device_name(0), torch.version.cuda
    return {
        "packages": _versions(PACKAGES),
        "python": platform.python_version(),
        "platform": platform.platform(),
        "cpu": _processor(),
        "cores": os.cpu_count(),
        "memory_gib": round(psutil.virtual_memory().total / 2**30, 1),
        "gpu": gpu,
        "cuda": cuda,
    }


@cache
def gpu_count() -> int:
    """How many GPUs torch finds; without a driver torch, which takes seconds, is not loaded."""
    if not any(Path("/dev", name).exists() for name in _GPU_DEVICES):
        return 0
    import torch

    return torch.cuda.device_count()


def cores() -> int:
    """How many cores this process may use: its affinity and the limits of its container count."""
    import joblib

    return int(joblib.cpu_count())


@cache  # reading all their metadata takes a third of a second
def installed() -> str:
    """Every installed distribution as ``name==version``, one a line; Workbench with its commit."""
    # Reversed, because of two distributions with one name Python imports the first.
    listed = [item for item in distributions() if item.name][::-1]
    versions = {item.name.lower(): item.version for item in listed}
    versions[DISTRIBUTION] = workbench_version()
    return "".join(f"{name}=={number}\n" for name, number in sorted(versions.items()))


def git_state(folder: Path) -> dict[str, Any]:
    """The git commit and the uncommitted changes of a folder; empty outside of git.

    Returns:
        ``commit``; ``dirty``; ``diff`` of the whole tree; and ``state``, the short form that trials
        record: the first 12 digits of the commit, and of a dirty tree ``+dirty.`` with the first 8
        of the SHA-256 of its diff.
    """
    commit = _git(folder, "rev-parse", "HEAD")
    if commit is None:
        return {}
    # A user may have told git to colour the diff or to hand it to another program.
    diff = _git(folder, "diff", "--no-ext-diff", "--no-color", "HEAD") or ""
    return {
        "commit": commit.strip(),
        "dirty": bool(diff),
        "state": commit[:12] + (f"+dirty.{_digits(diff)}" if diff else ""),
        "diff": diff,
    }


def shortened(diff: str) -> str:
    """A diff; if it is longer than ``LONGEST_DIFF`` characters, cut at the end of a line."""
    if len(diff) <= LONGEST_DIFF:
        return diff
    kept = diff[: diff.rfind("\n", 0, LONGEST_DIFF) + 1]
    return f"{kept}[cut: {len(kept):,} of {len(diff):,} characters are shown]\n"


@cache
def workbench_version() -> str:
    """Workbench's version and, if it is known, its commit: ``0.1.0+g7e1369f2a10b``.

    The commit is that of the checkout that the package runs from, with ``.dirty.`` and 8 digits if
    the package's files differ from it; for a package that pip installed from a git address, the
    commit that pip recorded.
    """
    folder = Path(workbench.__file__).parent
    # A package in a virtual environment inside the user's repository is not tracked by it.
    if _git(folder, "ls-files", "--error-unmatch", "__init__.py") is None:
        commit, diff = _installed_commit(), ""
    else:
        commit = _git(folder, "rev-parse", "HEAD") or ""
        diff = _git(folder, "diff", "--no-ext-diff", "--no-color", "HEAD", "--", ".") or ""
    local = f"+g{commit[:12]}" if commit else ""
    return workbench.__version__ + local + (f".dirty.{_digits(diff)}" if diff else "")


def _installed_commit() -> str:
    """The commit that pip recorded (``direct_url.json``, PEP 610), or an empty text."""
    try:
        recorded = json.loads(distribution(DISTRIBUTION).read_text("direct_url.json") or "{}")
    except (PackageNotFoundError, ValueError):
        return ""
    return str(recorded.get("vcs_info", {}).get("commit_id", ""))


def _digits(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:8]


def provenance(device: str, threads: int, commit: str = "") -> dict[str, str]:
    """What a trial's numbers depend on besides its plan, as short texts.

    Args:
        device: The trial's device: ``cpu``, ``cuda``, ``mps``.
        threads: Of torch on the CPU.
        commit: Of the study file's folder (``state`` of ``git_state``); empty outside of git.

    Returns:
        ``commit``, only if there is one; ``packages`` with their versions; ``hardware``, the
        processor or the accelerator; ``threads``.
    """
    return {
        **({"commit": commit} if commit else {}),
        "packages": _packages(),
        "hardware": _hardware(device.partition(":")[0]),
        "threads": str(threads),
    }


@cache
def _packages() -> str:
    versions = {"python": platform.python_version(), **_versions(COMPUTING)}
    return ", ".join(f"{name} {number}" for name, number in versions.items())


@cache
def _hardware(kind: str) -> str:
    import torch

    return torch.cuda.get_device_name(0) if kind == "cuda" else _processor()


def _versions(names: tuple[str, ...]) -> dict[str, str]:
    """Versions of Workbench and of the packages that are installed."""
    versions = {name: number for name in names if (number := _version(name))}
    return {"workbench": workbench_version(), **versions}


def _version(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None


def _processor() -> str:
    # ``platform.processor()`` is empty on most Linux distributions.
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
