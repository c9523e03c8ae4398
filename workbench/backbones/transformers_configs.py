"""Reads the configuration of a model of transformers, quietly and without running its code.

Used by ``transformers_models`` and ``tokenizers``.
"""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from transformers import (
    MODEL_FOR_IMAGE_CLASSIFICATION_MAPPING,
    MODEL_FOR_SEQUENCE_CLASSIFICATION_MAPPING,
    AutoConfig,
    PreTrainedConfig,
)
from transformers.utils import logging as transformers_logging

from workbench.backbones import hub
from workbench.messages import first_line

# The classes of models by the class of their configuration, by what they classify.
CLASSES: dict[str, Any] = {
    "text": MODEL_FOR_SEQUENCE_CLASSIFICATION_MAPPING,
    "image": MODEL_FOR_IMAGE_CLASSIFICATION_MAPPING,
}


def configuration(model: str) -> PreTrainedConfig:
    """The configuration of a model, by a hub id or the path of its folder.

    Raises:
        NotDownloadedError: It is not on this machine.
        ValueError: transformers does not have the architecture. Code in the folder is not run.
    """
    folder = hub.folder_of(model, hub.CONFIG)
    with quiet():
        try:
            found: PreTrainedConfig = AutoConfig.from_pretrained(
                folder, local_files_only=True, trust_remote_code=False
            )
        except Exception as error:
            raise ValueError(
                f"transformers cannot use the configuration of {model} in {folder}: "
                f"{first_line(error)}."
            ) from error
    return found


def model_class(model: str, config: PreTrainedConfig, kind: str) -> Any:
    """The class of transformers that classifies ``kind``: ``text`` or ``image``.

    Raises:
        ValueError: There is none.
    """
    if type(config) in CLASSES[kind]:
        found = CLASSES[kind][type(config)]
        return found[0] if isinstance(found, list | tuple) else found
    other = next((f"takes {other}s" for other in CLASSES if type(config) in CLASSES[other]), "")
    problem = f"{other}, but the samples are" if other else "cannot be used by transformers for"
    raise ValueError(f"The backbone {model} is a {config.model_type}, which {problem} {kind}s.")


def padding_token(config: PreTrainedConfig) -> int:
    """The padding token; a decoder without one uses its end-of-text token.

    Padding is masked. A model that pools the last token uses it to find that token.
    """
    of_text = config.get_text_config()
    if (found := getattr(of_text, "pad_token_id", None)) is not None and found >= 0:
        return int(found)
    end = getattr(of_text, "eos_token_id", None)
    first = end[0] if isinstance(end, list) and end else end
    return first if isinstance(first, int) else 0


@contextmanager
def quiet() -> Iterator[None]:
    """Silence the log, warnings and progress bars of transformers; our messages replace them."""
    verbosity, bars = (
        transformers_logging.get_verbosity(),
        transformers_logging.is_progress_bar_enabled(),
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        transformers_logging.set_verbosity(logging.CRITICAL)
        if bars:
            transformers_logging.disable_progress_bar()  # type: ignore[no-untyped-call]
        try:
            yield
        finally:
            transformers_logging.set_verbosity(verbosity)
            if bars:
                transformers_logging.enable_progress_bar()  # type: ignore[no-untyped-call]
