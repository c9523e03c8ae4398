"""A small BERT in a folder, with its tokenizer, as ``save_pretrained`` writes them."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import torch
from transformers import BertConfig, BertForMaskedLM, BertTokenizer

from workbench.backbones.transformers_configs import quiet

SPECIAL = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")
_REVIEWS = (
    "the a film play actor story music was is felt very quite not good great fine warm bad poor "
    "dull cold and but so it they we loved hated liked"
)
WORDS = tuple(_REVIEWS.split())


def save(folder: Path, *, words: Iterable[str] = WORDS, layers: int = 2, **config: Any) -> Path:
    """Write a BERT that was trained to fill in words, without a head for classification.

    Args:
        folder: Is made; holds ``config.json``, ``model.safetensors`` and the tokenizer.
        words: The vocabulary beside the special tokens; other words become ``[UNK]``.
        layers: Of width 16, with 2 attention heads.
        config: Other fields of ``BertConfig``.

    Returns:
        The folder.
    """
    found = tokenizer(words)
    found.save_pretrained(folder)
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(0)
        shape = {
            "hidden_size": 16,
            "num_hidden_layers": layers,
            "num_attention_heads": 2,
            "intermediate_size": 32,
            "max_position_embeddings": 40,
        }
        model = BertForMaskedLM(BertConfig(vocab_size=len(found), **(shape | config)))
    with quiet():
        model.save_pretrained(folder)
    return folder


def tokenizer(words: Iterable[str] = WORDS) -> BertTokenizer:
    """A WordPiece tokenizer that knows some words."""
    vocabulary = {word: number for number, word in enumerate((*SPECIAL, *words))}
    return BertTokenizer(vocab=vocabulary, model_max_length=40)
