"""A small CNN for texts, fast on one CPU core and without downloads.

Words are hashed into buckets (Weinberger et al. 2009), embedded, and convolved over their
neighbours (Kim 2014).
"""

from __future__ import annotations

import hashlib
import re
from functools import partial

import torch
from torch import Tensor, nn

from workbench.backbones.stages import Stage, Staged, create
from workbench.datasets.samples import Texts, Tokens

_STAGES = ("embedding", "block1", "block2")
_WORD = re.compile(r"\w+|[^\w\s]")


class SmallText(nn.Module):
    """Embedding, two residual convolutions of width three, and the mean over the words."""

    def __init__(self, *, outputs: int, width: int, buckets: int) -> None:
        super().__init__()
        self.embedding = nn.Embedding(buckets, width, padding_idx=0)
        self.block1 = _Block(width)
        self.block2 = _Block(width)
        self.head = nn.Linear(width, outputs)

    def forward(self, inputs: dict[str, Tensor]) -> Tensor:
        """Logits ``[B, outputs]``; ``input_ids`` and ``attention_mask`` are ``[B, length]``."""
        mask = inputs["attention_mask"].unsqueeze(1).float()
        features = self.embedding(inputs["input_ids"]).transpose(1, 2)
        # Padding is masked before every convolution, so it cannot leak into neighbouring words.
        features = self.block2(self.block1(features * mask) * mask) * mask
        mean = features.sum(dim=2) / mask.sum(dim=2).clamp(min=1.0)
        logits: Tensor = self.head(mean)
        return logits


class _Block(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.convolution = nn.Conv1d(width, width, kernel_size=3, padding=1)

    def forward(self, features: Tensor) -> Tensor:
        return features + torch.relu(self.convolution(features))


def build(
    *,
    input_shape: tuple[int, ...],
    outputs: int,
    width: int = 64,
    buckets: int = 8192,
    max_length: int = 128,
) -> Staged:
    """Stages ``embedding``, ``block1`` and ``block2``.

    Args:
        input_shape: ``()``: texts have no shape.
        outputs: Number of outputs of the head.
        width: Size of a word's embedding.
        buckets: Words in the same bucket share an embedding; bucket 0 is padding.
        max_length: Words per text; used by ``tokenize`` only.
    """
    make = partial(SmallText, outputs=outputs, width=width, buckets=buckets)
    module = create("the backbone small_text", make)
    stages = tuple(Stage(name=name, modules=(module.get_submodule(name),)) for name in _STAGES)
    return Staged(module=module, stages=stages, head=module.head)


def tokenize(
    texts: Texts, *, width: int = 64, buckets: int = 8192, max_length: int = 128
) -> Tokens:
    """Split texts into words and punctuation marks, in lower case, and hash them into buckets."""
    rows = [
        [1 + _hash(word) % (buckets - 1) for word in _WORD.findall(text.lower())[:max_length]]
        for text in texts.values
    ]
    # At least one column: an empty text is one padding token.
    lengths = torch.tensor([max(1, len(row)) for row in rows])
    ids = torch.zeros(len(rows), int(lengths.max()) if rows else 1, dtype=torch.int64)
    for number, row in enumerate(rows):
        ids[number, : len(row)] = torch.tensor(row, dtype=torch.int64)
    return Tokens({"input_ids": ids, "attention_mask": (ids > 0).long()}, lengths)


def _hash(word: str) -> int:
    # Python's hash() of a string differs between processes.
    return int.from_bytes(hashlib.blake2b(word.encode(), digest_size=8).digest())
