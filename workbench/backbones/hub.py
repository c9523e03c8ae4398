"""Models of the Hugging Face hub and folders of the same make: where they lie, what they take.

A folder holds what ``save_pretrained`` writes: ``config.json``, the weights and, for texts, the
tokenizer. Reads no more of it than ``config.json``; knows neither transformers nor torch.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Mapping
from pathlib import Path

from workbench import downloads
from workbench.backbones.weights import WeightsError, files_of
from workbench.record.files import sha256_of

# The hub's client reads it when it is first imported.
os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")

# Models that are known by a name without their owner, by the owner. All of them take texts.
NAMES: dict[str, tuple[str, ...]] = {
    "google-bert": (
        "bert-base-uncased",
        "bert-base-cased",
        "bert-large-uncased",
        "bert-large-cased",
        "bert-base-multilingual-uncased",
        "bert-base-multilingual-cased",
        "bert-base-chinese",
        "bert-base-german-cased",
    ),
    "distilbert": (
        "distilbert-base-uncased",
        "distilbert-base-cased",
        "distilbert-base-multilingual-cased",
        "distilroberta-base",
        "distilgpt2",
    ),
    "FacebookAI": ("roberta-base", "roberta-large", "xlm-roberta-base", "xlm-roberta-large"),
    "albert": ("albert-base-v2", "albert-large-v2", "albert-xlarge-v2", "albert-xxlarge-v2"),
    "openai-community": ("gpt2", "gpt2-medium", "gpt2-large", "gpt2-xl"),
}
_OF_HUB = "hub:"
_OWNERS = {name: owner for owner, names in NAMES.items() for name in names}
_HUB_ID = re.compile(r"[\w.-]+/[\w.-]+")

CONFIG = ("config.json",)
# In the order in which they are looked for.
WEIGHTS = (
    "model.safetensors",
    "model.safetensors.index.json",
    "pytorch_model.bin",
    "pytorch_model.bin.index.json",
)
TOKENIZER = (
    "tokenizer.json",
    "vocab.txt",
    "vocab.json",
    "tokenizer.model",
    "spiece.model",
    "spm.model",
    "sentencepiece.bpe.model",
)
# All that a tokenizer may be read from.
TOKENIZER_FILES = (
    *TOKENIZER,
    "tokenizer_config.json",
    "special_tokens_map.json",
    "added_tokens.json",
    "merges.txt",
)
# What is needed of a model, and the files that are fetched with the first that there is of it.
_FETCHED: dict[tuple[str, ...], tuple[tuple[str, ...], ...]] = {
    CONFIG: (CONFIG,),
    TOKENIZER: (TOKENIZER_FILES,),
    WEIGHTS: (
        ("model.safetensors", "model.safetensors.index.json", "model-?????-of-?????.safetensors"),
        ("pytorch_model.bin", "pytorch_model.bin.index.json", "pytorch_model-?????-of-?????.bin"),
    ),
}
_CALLED = {CONFIG: "configuration", TOKENIZER: "tokenizer", WEIGHTS: "weights"}


def is_folder(name: str) -> bool:
    """Whether a name is written as the path of a folder: ``./bert``, ``/data/bert``, ``~/bert``."""
    return name.startswith(("./", "../", "/", "~"))


def is_model(name: str) -> bool:
    """Whether a name is a hub id, known or ``OWNER/NAME``, or the path of a folder."""
    return name in _OWNERS or is_folder(name) or _HUB_ID.fullmatch(name) is not None


def input_of(name: str) -> str:
    """What a model takes by its ``config.json``: ``image``, ``text``, or ``any`` without one.

    Only a hint: whether transformers has such a model shows when it is built.
    """
    if name in _OWNERS:
        return "text"
    folder = Path(name).expanduser() if is_folder(name) else _cached(name)
    if folder is None:
        return "any"
    try:
        config = json.loads((folder / "config.json").read_text())
    except (OSError, ValueError):
        return "any"
    return _taken(config)


def _taken(config: object) -> str:
    if not isinstance(config, Mapping):
        return "any"
    # BEiT has a vocabulary too, of its visual tokens.
    if "num_channels" in config or "image_size" in config:
        return "image"
    return "text" if "vocab_size" in config else "any"


def folder_of(name: str, needed: tuple[str, ...]) -> Path:
    """The folder that holds a model, fetched from the hub where that is allowed.

    Args:
        name: A hub id or the path of a folder.
        needed: ``CONFIG``, ``TOKENIZER`` or ``WEIGHTS``: one of these files must be there.

    Raises:
        Absent: A hub model's files are not on this machine and may not be, or cannot be, fetched.
        ValueError: There is no such folder, or it does not hold the files.
    """
    if is_folder(name):
        return _local(Path(name).expanduser(), needed)
    folder = _cached(name)
    if folder is not None and _holds(folder, needed):
        return folder
    if not downloads.may():
        raise downloads.Absent(
            f"The {_CALLED[needed]} of {name} {'is' if needed != WEIGHTS else 'are'} not on this "
            f"machine; workbench run downloads what it needs of {_id_of(name)} from the Hugging "
            f"Face hub, or name a folder that save_pretrained() wrote, as in ./FOLDER."
        )
    return _fetch(name, needed)


def identity(model: str) -> dict[str, str]:
    """What decides what a model is beside its weights, for a plan to hold and a worker to check.

    Args:
        model: A hub id or the path of a folder.

    Returns:
        Of a folder, the SHA-256 of its configuration and of each file of its tokenizer, by their
        paths; of a hub model on this machine, its commit, by ``hub:ID``; else nothing.
    """
    if is_folder(model):
        folder = Path(model).expanduser()
        files = [folder / name for name in (*CONFIG, *TOKENIZER_FILES)]
        return {str(path): sha256_of(path) for path in files if path.is_file()}
    kept = _cached(model)
    return {} if kept is None else {f"{_OF_HUB}{_id_of(model)}": kept.name}


def is_hub(key: str) -> bool:
    """Whether a key of ``identity`` is that of a hub model, not the path of a file."""
    return key.startswith(_OF_HUB)


def commit_of(key: str) -> str | None:
    """The commit of a hub model that this machine has, by its key of ``identity``."""
    return identity(key.removeprefix(_OF_HUB)).get(key)


def _local(folder: Path, needed: tuple[str, ...]) -> Path:
    if not folder.is_dir():
        raise ValueError(f"The folder of a model {folder} does not exist.")
    if needed == WEIGHTS:
        files_of(folder)
    if not _holds(folder, needed):
        raise ValueError(
            f"The folder {folder} holds no {_CALLED[needed]} of a model ({' or '.join(needed)}); "
            f"write it with save_pretrained()."
        )
    return folder


def _holds(folder: Path, needed: tuple[str, ...]) -> bool:
    if needed == WEIGHTS:
        try:
            return bool(files_of(folder))
        except WeightsError:
            return False
    return any((folder / file).is_file() for file in needed)


def _id_of(name: str) -> str:
    return f"{_OWNERS[name]}/{name}" if name in _OWNERS else name


def _cache() -> Path:
    """Where the hub's client keeps what it has downloaded."""
    from huggingface_hub import constants

    return Path(constants.HF_HUB_CACHE)


def _cached(name: str) -> Path | None:
    """The snapshot of a hub model on this machine, under its full id or the short name."""
    for repository in dict.fromkeys((_id_of(name), name)):
        kept = _cache() / f"models--{repository.replace('/', '--')}"
        try:
            commit = (kept / "refs" / "main").read_text().strip()
        except OSError:
            continue
        if (kept / "snapshots" / commit).is_dir():
            return kept / "snapshots" / commit
    return None


def _kept_as(snapshot: Path) -> str:
    """The id under which the hub's client keeps a snapshot."""
    return snapshot.parent.parent.name.removeprefix("models--").replace("--", "/")


def _fetch(name: str, needed: tuple[str, ...]) -> Path:
    import huggingface_hub
    from huggingface_hub.errors import GatedRepoError, RepositoryNotFoundError

    # What is here already says which commit: a configuration of one and weights of another, that
    # was pushed in between, might not belong together.
    kept = _cached(name)
    repository = _id_of(name) if kept is None else _kept_as(kept)
    commit = None if kept is None else kept.name
    try:
        for files in _FETCHED[needed]:
            found = huggingface_hub.snapshot_download(
                repository, revision=commit, cache_dir=_cache(), allow_patterns=[*CONFIG, *files]
            )
            if _holds(Path(found), needed):
                return Path(found)
    except GatedRepoError as error:
        raise downloads.Absent(
            f"{repository} is open only to those who accept its terms on the Hugging Face hub; do "
            f"so, then run hf auth login."
        ) from error
    except RepositoryNotFoundError as error:
        raise downloads.Absent(
            f"The Hugging Face hub has no model {repository}, or it is private (hf auth login); "
            f"the path of a folder begins with ./ or /."
        ) from error
    # The client's own errors, those of the connection and of the disk have no common class.
    except Exception as error:
        reason = next(iter(str(error).strip().splitlines()), type(error).__name__)
        raise downloads.Absent(
            f"The {_CALLED[needed]} of {repository} could not be downloaded from the Hugging Face "
            f"hub: {reason.rstrip('.')}."
        ) from error
    raise downloads.Absent(
        f"{repository} on the Hugging Face hub holds no {_CALLED[needed]} that can be used: none "
        f"of {', '.join(needed)}."
    )
