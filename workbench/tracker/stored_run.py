"""A run as MLflow stores it: what it says by name, all of it text and numbers."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(kw_only=True)
class Run:
    """One run, read whole.

    Attributes:
        artifacts: URI of its artifacts, which may name another home (``Store.folder_of``).
        deleted: It lies in MLflow's bin.
        started: Milliseconds since 1970 (UTC).
        metrics: The last value of each, as they were when the run was read.
        datasets: Name and digest of each.
        files: Digest of each file that was sent, by tag and path, since the run was read.
    """

    run_id: str
    name: str
    artifacts: str
    status: str
    deleted: bool
    started: int
    params: dict[str, str]
    tags: dict[str, str]
    metrics: dict[str, float] = field(default_factory=dict)
    datasets: set[tuple[str, str]] = field(default_factory=set)
    files: dict[str, dict[str, str]] = field(default_factory=dict)
