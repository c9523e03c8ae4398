"""The checkpoint of a trial: the trainer's state, its best epoch and its micro-batch size.

Used by ``trial.run``.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

from workbench.record import TrialDirectory
from workbench.trial.best_epoch import BestEpoch
from workbench.trial.trainers import Trainer


def write(
    directory: TrialDirectory,
    trainer: Trainer,
    chosen: BestEpoch | None,
    micro_batch_size: int | None,
) -> None:
    """Store a checkpoint if the trainer has a state, whose tensors are written without a copy.

    Args:
        directory: Of the trial.
        trainer: After a report.
        chosen: The best epoch so far.
        micro_batch_size: In place of the plan's; None if it is the plan's.

    Raises:
        DiskError: The disk is full, or fails.
    """
    state = trainer.state()
    if state is None:
        return
    kept = None if chosen is None else vars(chosen)
    # They follow from the state, unless memory ran out after the best epoch, and the state is that
    # of the same epoch with half the micro-batch.
    if kept is not None and kept["epoch"] == state["epoch"] and micro_batch_size is None:
        kept = {**kept, "weights": None}
    content = {"engine": state, "chosen": kept, "micro_batch_size": micro_batch_size}
    # The history first: after a power cut no checkpoint may be ahead of it.
    directory.sync_history()
    directory.save_checkpoint(lambda file: torch.save(content, file))


def read(path: Path) -> dict[str, Any]:
    """The content of a checkpoint, on the CPU."""
    content: dict[str, Any] = torch.load(path, weights_only=True, map_location="cpu")
    return content


def restore(content: dict[str, Any], trainer: Trainer) -> BestEpoch | None:
    """Continue from a checkpoint; returns the best epoch so far."""
    trainer.restore(content["engine"])
    if content["chosen"] is None:
        return None
    chosen = BestEpoch(**content["chosen"])
    if chosen.weights is None:
        chosen.weights = trainer.weights()
    return chosen
