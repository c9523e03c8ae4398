"""The activation store: outputs of frozen stages, computed once and shared by trials and studies.

It is under ``downloads.folder()/activations`` and may be deleted at any time. An entry is found by
all that its numbers depend on: the weights and the code of the frozen stages, the samples and how
they were prepared and augmented, the size of a batch, threads, processor and versions. A new entry
copies the rows of samples that a similar one has (a split is drawn anew for each seed). Workers of
one machine that need an entry compute it together. Used by ``trial.trainers`` and
``trial.evaluation``.
"""

from __future__ import annotations

import hashlib
import json
import logging
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from workbench import downloads, record, usercode
from workbench.backbones.stages import Staged
from workbench.engine import activations
from workbench.engine.activations import NotReplayableError, Request, Split, StoredActivations
from workbench.record import Role, TrialSpec, environment
from workbench.record.files import LockedError, is_abandoned, lock, own_writer, writing
from workbench.trial import activation_entries
from workbench.trial.activation_entries import Entry

if TYPE_CHECKING:
    from workbench.datasets import Data
    from workbench.datasets.samples import Batch

_LOGGER = logging.getLogger(__name__)

_SCHEMA = 2
# How much faster reading must be than computing, and how many seconds it must save in a pass over
# the data; else the model runs its frozen stages.
_GAIN, _LEAST_SECONDS = 1.5, 0.05
_DAY_SECONDS = 86_400.0
_OF_DISK = 0.5  # share of the free disk that an entry may take
# Splits that this process has looked for. Each holds some samples, so large ones are not kept.
_splits: dict[str, Split] = {}
_SPLITS, _SMALL_BYTES = 16, 2**22


class ActivationStore:
    """The store as a trial uses it (``engine.activations.ActivationSource``).

    Args:
        spec: Of the trial.
        data: Prepared for its backbone.
        device: Of the training.
        digests: Of the initial weights of the first stages, by their number, as far as they are
            known; what is missing is added.
    """

    def __init__(
        self,
        spec: TrialSpec,
        data: Data,
        device: torch.device,
        digests: dict[int, str] | None = None,
    ) -> None:
        self._spec, self._data, self._device = spec, data, device
        self._limit = int(spec.plan.activations_gb * 2**30)
        # A user's model may do something else for some batches.
        self._verified = 1 if spec.plan.code else activations.VERIFIED
        self._digests = {} if digests is None else digests

    def get(self, request: Request) -> StoredActivations | None:
        """See ``ActivationSource``."""
        if not self._limit:
            return None
        # With augmentation, outputs serve one epoch; other trials of a search augment alike. A seed
        # of the confirmation has too few trials for it.
        if request.epoch is not None and self._spec.role is not Role.SEARCH:
            return None
        content, count = self._content(request), len(request.index)
        samples = _hash(request.index.numpy().tobytes())
        if usercode.is_reference(self._spec.plan.backbone["name"]):
            # A forward of a user's may do more than it shows for a few samples.
            found = activations.split(request)
            split = None if found is None else replace(found, head_alone=False)
        else:
            split = _known_split(request, [content, samples])
        if split is None or not _is_worth_storing(split, count):
            return None
        cut = [split.cut.path, split.cut.kept, request.depth, split.blank is None]
        alike = _key({**content, "cut": cut})[:32]
        folder = _folder() / f"{alike}-{samples[:16]}"
        needed = count * split.sample_bytes
        try:
            entry = activation_entries.read(folder, split.first.values)
            if entry is None and self._has_room(needed, request):
                entry = self._computed(alike, folder, request, split)
        # An error of the inputs themselves comes again where the model reads them.
        except (OSError, NotReplayableError) as error:
            _LOGGER.warning("the outputs of frozen stages are not stored: %s", error)
            return None
        if entry is None:
            return None
        return StoredActivations(split=split, rows=tuple(entry.rows), sizes=request.sizes)

    def _computed(self, alike: str, folder: Path, request: Request, split: Split) -> Entry | None:
        """A new entry; of one that another worker writes, some passes are computed here."""
        temporary = folder.with_name(f"{folder.name}.{own_writer()}.tmp")
        host = temporary.name.rpartition("@")[2]

        def help_writing(other: str) -> None:
            # Two machines that map a file of a network file system do not see each other's pages.
            if other.startswith(f"{folder.name}.") and other.endswith(f"@{host}"):
                activation_entries.compute(folder.with_name(other), request, split, self._verified)

        path = _folder() / f"{alike}.lock"
        with _locked(path, request.before_batch, temporary.name, help_writing):
            entry = activation_entries.read(folder, split.first.values)
            if entry is None:
                with writing(folder):
                    activation_entries.write(folder, temporary, request, split, self._verified)
                entry = activation_entries.read(folder, split.first.values)
            return entry

    def _has_room(self, needed: int, request: Request) -> bool:
        """Delete what was not used for the longest time, if that makes room for an entry."""
        _folder().mkdir(parents=True, exist_ok=True)
        free = shutil.disk_usage(_folder()).free
        if needed * request.epochs > min(self._limit, _OF_DISK * free):
            return False
        # Outputs of single epochs take no place of what trials of today use: several freeze depths
        # that do not fit together would delete each other's.
        unused = 0.0 if request.epoch is None else _DAY_SECONDS
        with _locked(_folder() / "evict.lock", request.before_batch):
            return _evict(self._limit - needed, unused)

    def _content(self, request: Request) -> dict[str, object]:
        """All that the outputs for a sample depend on, but for the sample."""
        spec, plan = self._spec, self._spec.plan
        weights = self._digests.get(request.depth) or _digest(request.staged, request.depth)
        if not plan.code:
            # These stages have been frozen from the start. A user's may change all the same.
            self._digests[request.depth] = weights
        return {
            "schema": _SCHEMA,
            "weights": weights,
            "backbone": record.plain(plan.backbone),
            "code": record.plain(plan.code),
            "dataset": record.plain(plan.dataset),
            "data": spec.data_digest,
            "inputs": _shapes(request.read(torch.arange(1))),
            "prepared": [self._data.mean, self._data.std, self._data.input_shape],
            "augmented": request.epoch
            and [record.plain(plan.augmentation), spec.seed, request.epoch],
            # Training images may be prepared in another way than those of validation and test.
            "batch": [request.size, request.pad_last],
            "device": environment.provenance(str(self._device), plan.threads),
        }


def _shapes(batch: Batch) -> object:
    if isinstance(batch, Tensor):
        return batch.shape[1:]
    return {name: column.shape[1:] for name, column in batch.items()}


def _hash(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def _key(content: object) -> str:
    return _hash(json.dumps(content, sort_keys=True, default=str).encode())


def _known_split(request: Request, content: object) -> Split | None:
    """The split for a request; trials of one process that begin alike look for it once.

    Args:
        request: Of a trial.
        content: What the split depends on beside the first samples and the depth.
    """
    first = request.read(torch.arange(min(len(request.index), activations.TRIED)))
    columns = [first] if isinstance(first, Tensor) else first.values()
    read = [_hash(column.detach().cpu().contiguous().numpy().tobytes()) for column in columns]
    key = _key([content, request.depth, read])
    if key in _splits:
        return _splits[key]
    split = activations.split(request)
    # Augmented samples are those of one epoch, and do not come again in this process.
    if split is None or request.epoch is not None:
        return split
    if split.sample_bytes * split.first.samples <= _SMALL_BYTES:
        if len(_splits) >= _SPLITS:
            _splits.clear()
        _splits[key] = split
    return split


@contextmanager
def _locked(
    path: Path,
    before: Callable[[], None],
    note: str = "",
    meanwhile: Callable[[str], None] = lambda other: None,
) -> Iterator[None]:
    """Hold a lock; a stop is heard while another worker holds it.

    Args:
        path: The lock's file.
        before: Called before each attempt; may raise.
        note: For other workers.
        meanwhile: Called with the note of the holder, as long as there is another one.
    """
    with ExitStack() as stack:
        while True:
            before()
            try:
                stack.enter_context(
                    lock(path, note=note, wait_seconds=activation_entries.WAIT_SECONDS)
                )
                break
            except LockedError as held:
                meanwhile(str(held))
        yield


def _is_worth_storing(split: Split, count: int) -> bool:
    saved = (split.seconds - split.reading) * count
    return split.seconds >= _GAIN * split.reading and saved >= _LEAST_SECONDS


def _folder() -> Path:
    return downloads.folder() / "activations"


def _digest(staged: Staged, depth: int) -> str:
    """Of the parameters and buffers of the frozen stages."""
    digest = hashlib.sha256()
    for name, tensors in list(staged.tensors())[:depth]:
        digest.update(name.encode())
        for tensor in tensors:
            digest.update(str((tuple(tensor.shape), tensor.dtype)).encode())
            content = tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8)
            digest.update(content.numpy().data)
    return digest.hexdigest()


def _evict(limit: int, unused_seconds: float) -> bool:
    """Delete the entries that were not used for the longest time, until the others fit.

    Args:
        limit: In bytes.
        unused_seconds: Entries that were used later than that are kept.

    Returns:
        Whether they fit.
    """
    entries = []
    for path in _folder().iterdir():
        if path.suffix == ".tmp":
            if is_abandoned(path):
                shutil.rmtree(path, ignore_errors=True)
        elif path.is_dir():
            size = sum(file.stat().st_size for file in path.glob("*.bin"))
            entries.append((path.stat().st_mtime, size, path))
    total = sum(size for _, size, _ in entries)
    for used, size, path in sorted(entries):
        if total <= limit or time.time() - used < unused_seconds:
            break
        # A process that has it mapped keeps its content.
        shutil.rmtree(path, ignore_errors=True)
        total -= size
    return total <= limit
