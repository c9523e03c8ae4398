"""What a reader should check before believing a result: questions answered from the records.

Each panel is a table of questions about one thing: a search (``search``), its data and first
weights (``data``), a confirmation (``confirmation``). A question that cannot be answered says why.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Generic, NamedTuple, TypeVar

Subject = TypeVar("Subject")


@dataclass(frozen=True, kw_only=True)
class Check:
    """One question with its answer, as report.json has it.

    Attributes:
        status: ``ok``, ``warning``, ``not checked``, or ``note`` for a fact without a threshold of
            its own that a reader should know.
        question: With its threshold.
        finding: The answer, in sentences.
        strategies: Those concerned by a warning.
        runs: Run ids that a warning rests on.
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


class Question(NamedTuple, Generic[Subject]):
    """One row of a panel."""

    name: str
    text: str
    answer: Callable[[Subject], Answer]


def ask(questions: Sequence[Question[Subject]], subject: Subject) -> tuple[Check, ...]:
    """Every question of a panel with its answer, in the panel's order."""
    return tuple(
        Check(name=name, question=text, **answer(subject)._asdict())
        for name, text, answer in questions
    )
