"""Models of the Hugging Face hub and local folders in the same format: their files and their input.

A folder contains what ``save_pretrained`` writes: ``config.json``, the weights and, for texts, the
tokenizer. Only ``config.json`` is read here, without transformers or torch.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator, Mapping
from pathlib import Path

from workbench import downloads
from workbench.backbones.weights import WeightsError, files_of
from workbench.messages import first_line
from workbench.record.files import sha256_of

# The hub's client reads this variable when it is first imported.
os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")

# Models with a short name (without their owner), by owner. All of them take texts.
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
_HUB_PREFIX = "hub:"
_OWNERS = {name: owner for owner, names in NAMES.items() for name in names}
_HUB_ID = re.compile(r"[\w.-]+/[\w.-]+")

CONFIG = ("config.json",)
# In order of preference.
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
# All files of a tokenizer.
TOKENIZER_FILES = (
    *TOKENIZER,
    "tokenizer_config.json",
    "special_tokens_map.json",
    "added_tokens.json",
    "merges.txt",
)
# The files to download for each need: one group after the other until the need is met.
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
    """Whether a name has the form of a folder's path: ``./bert``, ``/data/bert``, ``~/bert``."""
    return name.startswith(("./", "../", "/", "~"))


def is_model(name: str) -> bool:
    """Whether a name is a short name, a hub id ``OWNER/NAME`` or the path of a folder."""
    return name in _OWNERS or is_folder(name) or _HUB_ID.fullmatch(name) is not None


def input_of(name: str) -> str:
    """A model's input by its ``config.json``: ``image``, ``text``, or ``any`` if there is none.

    Only a hint: whether transformers supports the model is known when it is built.
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
    if not isinstance(config, Mapping):
        return "any"
    # Images first: BEiT has a vocabulary too, for its visual tokens.
    if "num_channels" in config or "image_size" in config:
        return "image"
    return "text" if "vocab_size" in config else "any"


def folder_of(name: str, needed: tuple[str, ...]) -> Path:
    """The folder that contains a model, downloaded from the hub if that is allowed.

    Args:
        name: A hub id or the path of a folder.
        needed: ``CONFIG``, ``TOKENIZER`` or ``WEIGHTS``: at least one of these files must exist.

    Raises:
        NotDownloadedError: The files are not on this machine, and downloading is not allowed or
            fails.
        ValueError: The folder does not exist or does not contain the files.
    """
    if is_folder(name):
        return _local(Path(name).expanduser(), needed)
    folder = _cached(name)
    if folder is not None and _holds(folder, needed):
        return folder
    if not downloads.may():
        raise downloads.NotDownloadedError(
            f"The {_CALLED[needed]} of {name} {'is' if needed != WEIGHTS else 'are'} not on this "
            f"machine: workbench run downloads the files of {_id_of(name)} from the Hugging Face "
            f"hub, or give the path of a folder written by save_pretrained(), as in ./FOLDER."
        )
    return _fetch(name, needed)


def identity(model: str) -> dict[str, str]:
    """What defines a model besides its weights; part of a trial's plan, checked by the worker.

    Args:
        model: A hub id or the path of a folder.

    Returns:
        For a folder, the SHA-256 of its configuration and of each file of its tokenizer, by path;
        for a hub model on this machine, its commit, by ``hub:ID``; otherwise empty.
    """
    if is_folder(model):
        folder = Path(model).expanduser()
        files = [folder / name for name in (*CONFIG, *TOKENIZER_FILES)]
        return {str(path): sha256_of(path) for path in files if path.is_file()}
    snapshot = _cached(model)
    return {} if snapshot is None else {f"{_HUB_PREFIX}{_id_of(model)}": snapshot.name}


def paths_of(model: str) -> list[Path]:
    """Where a model's files are: its folder, or the places of a hub model in the cache."""
    if is_folder(model):
        return [Path(model).expanduser()]
    if not is_model(model):
        return []
    return [_place(repository) for repository in _repositories(model)]


def is_hub(key: str) -> bool:
    """Whether a key of ``identity`` stands for a hub model rather than a file."""
    return key.startswith(_HUB_PREFIX)


def commit_of(key: str) -> str | None:
    """The commit of a hub model on this machine, by its key in ``identity``."""
    return identity(key.removeprefix(_HUB_PREFIX)).get(key)


def _local(folder: Path, needed: tuple[str, ...]) -> Path:
    if not folder.is_dir():
        raise ValueError(f"The model folder {folder} does not exist.")
    if needed == WEIGHTS:
        files_of(folder)
    if not _holds(folder, needed):
        raise ValueError(
            f"The folder {folder} has no {_CALLED[needed]} of a model ({' or '.join(needed)}); "
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
    return next((snapshot for _, snapshot in _snapshots(name)), None)


def _snapshots(name: str) -> Iterator[tuple[str, Path]]:
    """The snapshots of a hub model on this machine, each with the id that it is stored under."""
    for repository in _repositories(name):
        cache = _place(repository)
        try:
            commit = (cache / "refs" / "main").read_text().strip()
        except OSError:
            continue
        # A download that was interrupted leaves a reference without its snapshot.
        if (cache / "snapshots" / commit).is_dir():
            yield repository, cache / "snapshots" / commit


def _repositories(name: str) -> list[str]:
    """The ids under which the cache may contain a model: the hub redirects old short names."""
    return list(dict.fromkeys((_id_of(name), name)))


def _place(repository: str) -> Path:
    return _cache() / f"models--{repository.replace('/', '--')}"


def _fetch(name: str, needed: tuple[str, ...]) -> Path:
    import huggingface_hub
    from huggingface_hub.errors import RepositoryNotFoundError

    # Stay at the commit of the files that are here already: a configuration and weights of
    # different commits may not belong together.
    repository, snapshot = next(_snapshots(name), (_id_of(name), None))
    commit = None if snapshot is None else snapshot.name
    try:
        for files in _FETCHED[needed]:
            folder = huggingface_hub.snapshot_download(
                repository, revision=commit, cache_dir=_cache(), allow_patterns=[*CONFIG, *files]
            )
            if _holds(Path(folder), needed):
                return Path(folder)
    except RepositoryNotFoundError as error:
        raise downloads.NotDownloadedError(
            f"The Hugging Face hub has no model {repository}, or it is private or gated: accept "
            f"its terms there, then run hf auth login. For a local folder, begin the path with ./ "
            f"or /."
        ) from error
    # Errors of the client, the connection and the disk have no common base class.
    except Exception as error:
        raise downloads.NotDownloadedError(
            f"The {_CALLED[needed]} of {repository} could not be downloaded from the Hugging Face "
            f"hub: {first_line(error)}."
        ) from error
    raise downloads.NotDownloadedError(
        f"{repository} on the Hugging Face hub has no usable {_CALLED[needed]}: none of "
        f"{', '.join(needed)}."
    )
