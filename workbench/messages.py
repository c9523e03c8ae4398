"""Words for messages: the valid name that was probably meant, lists of names, and counts."""

from __future__ import annotations

import difflib
from collections.abc import Iterable

# What other tools call a knob or a metric.
_ALIASES = {
    "lr": "learning_rate",
    "wd": "weight_decay",
    "bs": "batch_size",
    "model": "backbone",
    "lr_scheduler": "schedule",
    "scheduler": "schedule",
    "num_epochs": "epochs",
    "n_epochs": "epochs",
    "val_loss": "validation/loss",
    "val_acc": "validation/accuracy",
    "acc": "validation/accuracy",
    "accuracy": "validation/accuracy",
    "test/accuracy": "validation/accuracy",
    "test/loss": "validation/loss",
    "flip": "random_horizontal_flip",
    "horizontal_flip": "random_horizontal_flip",
    "crop": "random_crop",
    "gpu": "cuda",
    "pretrained": "weights",
    "min": "minimize",
    "max": "maximize",
    "n_trials": "trials_per_strategy",
}


def nearest(written: object, valid: Iterable[object], cutoff: float = 0.6) -> str | None:
    """The valid name closest to what was written; None where none is as similar as ``cutoff``."""
    names = {str(name).lower(): str(name) for name in valid}
    word = str(written).lower()
    if _ALIASES.get(word) in names:
        return names[_ALIASES[word]]
    # val stands for validation, unless another name begins with it too.
    begun = [name for name in names if len(word) > 2 and name.startswith(word)]
    if len(begun) == 1:
        return names[begun[0]]
    close = difflib.get_close_matches(word, list(names), n=len(names) or 1, cutoff=cutoff)
    likeness = {name: difflib.SequenceMatcher(None, name, word).ratio() for name in close}
    # Of equally similar names the first; difflib takes the last of the alphabet.
    best = max((name for name in names if name in likeness), key=likeness.__getitem__, default=None)
    return None if best is None else names[best]


def did_you_mean(
    written: object, valid: Iterable[object], prefix: str = "", cutoff: float = 0.6
) -> str:
    """For example ``; did you mean resnet18?``, to end a message; empty where no name is close."""
    near = nearest(written, valid, cutoff)
    return f"; did you mean {prefix}{near}?" if near else ""


def listed(names: Iterable[object], most: int = 10) -> str:
    """For example ``a, b, c and 12 more``; ``none`` for no name."""
    words = [str(name) for name in names]
    more = f" and {len(words) - most} more" if len(words) > most else ""
    return ", ".join(words[:most]) + more or "none"


def joined(names: Iterable[str], most: int = 4, *, word: str = "and") -> str:
    """In a sentence, for example ``a, b and c``; beyond ``most`` the others are counted."""
    shown = list(names)
    if len(shown) > most:
        shown = [*shown[: most - 1], f"{len(shown) - most + 1} more"]
    return shown[0] if len(shown) == 1 else f"{', '.join(shown[:-1])} {word} {shown[-1]}"


def counted(number: int, noun: str) -> str:
    """A number of things: ``1 class``, ``3 classes``, ``2 strategies``."""
    if noun.endswith("y") and noun[-2:-1] not in tuple("aeiou"):
        plural = f"{noun[:-1]}ies"
    else:
        plural = f"{noun}es" if noun.endswith("s") else f"{noun}s"
    return f"{number} {noun if number == 1 else plural}"


def unknown(kind: str, name: str, names: Iterable[object], more: str = "") -> str:
    """Why a name is refused: ``There is no optimizer adm; did you mean adam?``, or all names."""
    known = list(names)
    verb = "are" if len(known) > 1 else "is"
    hint = did_you_mean(name, known) or f"; there {verb} {listed(known, 20)}{more}."
    return f"There is no {kind} {name}{hint}"


def refuse_unknown_options(owner: str, options: Iterable[str], known: Iterable[str] | None) -> None:
    """Raise ``ValueError`` for an option that an entry does not have; None takes any option."""
    names = None if known is None else list(known)
    strange = [] if names is None else sorted(set(options) - set(names))
    if strange:
        has = f"its options are {listed(names or (), 50)}" if names else "it has none"
        raise ValueError(f"The {owner} has no option {listed(strange)}; {has}.")


def first_line(error: BaseException) -> str:
    """The first line of an error's message, without a full stop; the error's class if it is empty.

    Libraries append advice that does not apply here.
    """
    lines = str(error).strip().splitlines()
    return lines[0].rstrip(".") if lines else type(error).__name__
