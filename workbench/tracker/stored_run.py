"""A run as MLflow stores it; read by ``client``, typed by ``trial_run``."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(kw_only=True)
class Run:
    """One run with all its params, tags and last metrics.

    Attributes:
        artifacts: URI of its artifacts; after a move it names the old place (``Store.folder_of``).
        deleted: Whether it is in MLflow's bin.
        started: Milliseconds since 1970 (UTC).
        metrics: The last value of each, at the time of reading.
        datasets: Name and digest of each.
        files: Digest of each file sent since the run was read, by tag and path.
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

    @property
    def tested(self) -> bool:
        """Whether it shows test values."""
        return any(name.startswith("test/") for name in self.metrics)
