"""Checks of validity: questions about a study, answered from its records.

One module per panel: ``search``, ``data`` (and initial weights), ``confirmation``. A question that
cannot be answered gives the reason.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple, TypeVar

Subject = TypeVar("Subject")


@dataclass(frozen=True, kw_only=True)
class Check:
    """One question with its answer, as report.json has it.

    Attributes:
        status: ``ok``, ``warning``, ``not checked``, or ``note`` for a fact without a threshold.
        question: With its threshold.
        finding: The answer, in sentences.
        strategies: That a warning is about.
        runs: Run ids that a warning is based on.
    """

    name: str
    status: str
    question: str
    finding: str
    strategies: tuple[str, ...] = ()
    runs: tuple[str, ...] = ()


class Answer(NamedTuple):
    """The part of a ``Check`` that depends on the records."""

    status: str
    finding: str
    strategies: tuple[str, ...] = ()
    runs: tuple[str, ...] = ()


def ask(questions: Sequence[Callable[[Subject], Answer]], subject: Subject) -> tuple[Check, ...]:
    """Answer every question of a panel, in the panel's order.

    A question is a function; its text, with the threshold, is the first line of its docstring.
    """
    return tuple(
        Check(
            name=answer.__name__.replace("_", " "),
            question=(answer.__doc__ or "").partition("\n")[0],
            **answer(subject)._asdict(),
        )
        for answer in questions
    )
