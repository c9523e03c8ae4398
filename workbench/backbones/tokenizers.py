"""Turns texts into tokens with the tokenizer that belongs to a model of transformers.

Texts are padded at the end with the model's own padding token, so that the tokens of a text do not
depend on the other texts.
"""

from __future__ import annotations

import inspect
from functools import lru_cache
from pathlib import Path
from typing import Literal

import torch
from torch import Tensor
from transformers import (
    AutoTokenizer,
    PreTrainedConfig,
    PreTrainedTokenizerBase,
)

from workbench.backbones import hub
from workbench.backbones.transformers_configs import (
    configuration,
    model_class,
    padding_token,
    quiet,
)
from workbench.datasets.samples import Texts, Tokens
from workbench.messages import first_line

Padding = Literal["longest", "max_length"]
# Default for the tokens of a text, if the model takes as many.
LENGTH = 128
# Texts that are tokenized at once.
_BATCH = 1024
# A tokenizer without a limit reports a huge number (int(1e30)).
_NO_LIMIT = 10**9


def tokenize(
    texts: Texts,
    *,
    model: str,
    max_length: int | None = None,
    tokenizer: str | None = None,
    padding: Padding = "longest",
    stages: list[str] | None = None,
) -> Tokens:
    """Tokenize texts; texts that are too long are truncated at the end.

    The last results are cached because the trials of a study share them: do not change them.

    Args:
        texts: Of the data set.
        model: A hub id or the path of a folder.
        max_length: Tokens of a text, including those that the tokenizer adds; by default 128, or
            fewer if the model takes fewer.
        tokenizer: Hub id or folder of a tokenizer other than the model's own.
        padding: To the longest text of a batch, or always to ``max_length``.
        stages: Ignored; an option of the model.

    Raises:
        NotDownloadedError: The tokenizer is not on this machine.
        ValueError: It cannot be loaded, does not fit the model, or the length is out of range.
    """
    del stages
    name = tokenizer or model
    now = tuple({**hub.identity(model), **hub.identity(name)}.items())
    return _tokenize(texts, model, max_length, name, padding, now)


# Holds training and validation texts of a few data sets; ``now`` changes when a file changes.
@lru_cache(maxsize=8)
def _tokenize(
    texts: Texts,
    model: str,
    max_length: int | None,
    name: str,
    padding: Padding,
    now: tuple[tuple[str, str], ...],
) -> Tokens:
    del now
    config = configuration(model)
    taken = inspect.signature(model_class(model, config, "text").forward).parameters
    tokenizer = _load(name)
    length = _length(model, config, tokenizer, max_length)
    # Without this check an unknown token would be an index error in the embedding.
    known = config.get_text_config().vocab_size
    if len(tokenizer) > known:
        largest = max(tokenizer.get_vocab().values())
        if largest >= known:
            raise ValueError(
                f"The tokenizer {name} has tokens up to number {largest}, but the backbone {model} "
                f"knows only {known}; set backbone.tokenizer to the model's own."
            )
    names = [column for column in tokenizer.model_input_names if column in taken]
    filling = {"input_ids": padding_token(config), "token_type_ids": tokenizer.pad_token_type_id}
    rows: dict[str, list[list[int]]] = {column: [] for column in names}
    truncated = 0
    with quiet():
        for start in range(0, len(texts), _BATCH):
            encoded = tokenizer(
                list(texts.values[start : start + _BATCH]),
                truncation=True,
                max_length=length,
                padding=False,
                return_attention_mask=True,
            )
            truncated += sum(bool(one.overflowing) for one in encoded.encodings)
            for column in names:
                rows[column] += encoded[column]
    # A decoder's tokenizer returns no token for an empty text; models need at least one.
    for column in names:
        first = 1 if column == "attention_mask" else filling.get(column, 0)
        rows[column] = [row or [first] for row in rows[column]]
    lengths = torch.tensor([len(row) for row in rows["input_ids"]], dtype=torch.int64)
    longest = int(lengths.max()) if len(lengths) else 0
    width = length if padding == "max_length" else longest
    columns = {
        column: _padded(values, lengths, filling.get(column, 0), width)
        for column, values in rows.items()
    }
    if padding == "max_length":
        lengths = torch.full_like(lengths, length)
    return Tokens(columns, lengths, truncated)


def save(name: str, folder: Path) -> None:
    """Write the tokenizer of a hub id or folder into a folder.

    Raises:
        NotDownloadedError, ValueError: As for ``tokenize``.
    """
    with quiet():
        _load(name).save_pretrained(folder)


def _padded(rows: list[list[int]], lengths: Tensor, value: int, width: int) -> Tensor:
    """Rows as ``int64 [N, width]``."""
    filled = torch.full((len(rows), width), value, dtype=torch.int64)
    within = torch.arange(width) < lengths[:, None]
    filled[within] = torch.tensor([token for row in rows for token in row], dtype=torch.int64)
    return filled


def _load(name: str) -> PreTrainedTokenizerBase:
    folder = hub.folder_of(name, hub.TOKENIZER)
    with quiet():
        try:
            found: PreTrainedTokenizerBase = AutoTokenizer.from_pretrained(
                folder, local_files_only=True, trust_remote_code=False
            )
        except Exception as error:
            hint = ""
            if not (folder / "tokenizer.json").is_file():
                hint = " It has no tokenizer.json; pip install sentencepiece may help."
            raise ValueError(
                f"The tokenizer of {name} in {folder} cannot be loaded: {first_line(error)}.{hint}"
            ) from error
    if not found.is_fast:
        raise ValueError(
            f"The tokenizer of {name} in {folder} is not a fast tokenizer (tokenizer.json); set "
            f"backbone.tokenizer to one."
        )
    return found


def _reserved(model: str, config: PreTrainedConfig, positions: int) -> int:
    """How many rows of a model's table of positions no token can use.

    RoBERTa and its relatives count positions from the one after the padding's, so that the rows up
    to that are not for tokens.
    """
    with quiet(), torch.device("meta"):
        module = model_class(model, config, "text")(config)
    tables = (part for name, part in module.named_modules() if name.endswith("position_embeddings"))
    rows = (getattr(part, "padding_idx", None) for part in tables if len(part.weight) == positions)
    return max((row + 1 for row in rows if row is not None), default=0)


def _length(
    model: str, config: PreTrainedConfig, tokenizer: PreTrainedTokenizerBase, asked: int | None
) -> int:
    """The number of tokens to which texts are truncated."""
    positions = getattr(config.get_text_config(), "max_position_embeddings", None)
    most = tokenizer.model_max_length
    # XLNet has -1: no position table, hence no limit.
    if isinstance(positions, int) and positions > 0:
        most = min(most, positions - _reserved(model, config, positions))
    if asked is None:
        return min(LENGTH, most)
    least = tokenizer.num_special_tokens_to_add() + 1
    if not least <= asked <= most:
        range_ = f"at least {least}" if most >= _NO_LIMIT else f"{least} to {most}"
        raise ValueError(f"backbone.max_length is {asked}; with {model} it may be {range_} tokens.")
    return asked
