"""Runs as MLflow stores them; read by ``client``, typed by ``trial_run``."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from workbench.tracker.entry import identity_of


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


class Runs:
    """A study's runs, one for each identity; see ``identity_of``."""

    def __init__(self, runs: Iterable[Run]) -> None:
        """Of several runs of an identity the last one counts."""
        self._by_key: dict[str, dict[str, Run]] = {}
        for run in runs:
            self.add(run)

    def __len__(self) -> int:
        return sum(map(len, self._by_key.values()))

    def __iter__(self) -> Iterator[Run]:
        return (run for runs in self._by_key.values() for run in runs.values())

    def add(self, run: Run) -> None:
        """Add a run, in place of that of its identity."""
        key, record = identity_of(run.tags)
        self._by_key.setdefault(key, {})[record] = run

    def get(self, tags: Mapping[str, str]) -> Run | None:
        """The run of the identity that the tags say."""
        key, record = identity_of(tags)
        return self._by_key.get(key, {}).get(record)

    def of_key(self, key: str) -> list[Run]:
        """The runs of a key, which are those of different records, in the order of adding."""
        return list(self._by_key.get(key, {}).values())
