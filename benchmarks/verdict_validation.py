"""How often the verdict's rule is right in simulated studies: writes docs/verdict_validation.md.

    python benchmarks/verdict_validation.py [STUDIES]

1,000 studies for each row unless another number is given; about 15 minutes on one core.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent))

from scipy.stats import beta

from tests.support.simulated import (
    ASYMMETRIC,
    FAR,
    LOOKS,
    NULLS,
    POWER,
    Outcome,
    Simulated,
    outcome,
    two_looks,
)

DOCUMENT = Path(__file__).parent.parent / "docs" / "verdict_validation.md"
EFFECT = 0.5  # the smallest effect that matters, in SDs of a paired difference

TEXT = """# Validation of the verdict by simulation

Written by `python benchmarks/verdict_validation.py`: {studies:,} simulated studies for each row,
judged by the rule of [Confirmation](confirmation.md) at alpha = 0.05. A gap is given in SDs of the
paired difference of two configurations; the smallest effect that matters is {effect:g} SD.
In brackets: 95 % Clopper-Pearson intervals, which say how precise a simulation of this size is.
`3 x 10`: 3 configurations on 10 seeds.

## False claims

In these studies no configuration is the only best one, so every WINNER is false. "Best lost": a
given best configuration is not in the 95 % set of the best. "Bound broken": some configuration is
further behind the best than its bound. "False GOOD ENOUGH": the leader is behind by the smallest
effect or more although the rule said that it is not. Each should be at most 0.05. Where all are
equal, the given one is chosen beforehand; that any of them is left out is more frequent, and a
verdict does not claim that it is not: it speaks of a single best.

{nulls}

## Power

How often the right winner is found, and how many configurations are left to choose from (1 with a
winner, else the size of the set). "Expected" comes from a separate implementation of the rule,
simulated once as well. GOOD ENOUGH is said only without a winner.

{power}

## Two looks

In each of these studies a second look with as many seeds again follows a first one without a
winner (`confirm: {{looks: 2}}`). Each look is tested at 0.025, the second one on the seeds of both;
the seeds given are those of the first look. A false WINNER in either look should be named in at
most 0.05 of the studies.

{looks}

## Where the rule's assumption does not hold

The rule assumes that the vector of paired differences is symmetric. With equal means, but one
configuration that is skewed (lognormal) or that collapses on 15 % of its seeds, it makes more
errors. Other tests make them too: where no collapse was seen, the data do not show that there
can be one. A report therefore shows the skewness of the differences, and how large a rate of
collapses would have gone unseen.

{asymmetric}
"""


def rate(hits: int, studies: int) -> str:
    """A share with its 95 % Clopper-Pearson interval."""
    low = beta.ppf(0.025, hits, studies - hits + 1) if hits else 0.0
    high = beta.ppf(0.975, hits + 1, studies - hits) if hits < studies else 1.0
    return f"{hits / studies:.3f} [{low:.3f}, {high:.3f}]"


def table(heads: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> str:
    """A Markdown table."""
    lines = [heads, ("---",) * len(heads), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def errors(designs: Iterable[Simulated], studies: int) -> str:
    """False claims of each design."""
    heads = ("study", "false WINNER", "best lost", "bound broken", "false GOOD ENOUGH")
    rows = (
        (str(design), *(rate(count, studies) for count in _errors(found)))
        for design, found in simulated(designs, studies)
    )
    return table(heads, rows)


def _errors(found: Outcome) -> tuple[int, ...]:
    return found.false_winner, found.lost, found.too_close, found.false_good_enough


def power(studies: int) -> str:
    """How often the winner is found."""
    heads = (
        "study",
        "right WINNER",
        "expected",
        "false WINNER",
        "bound broken",
        "GOOD ENOUGH",
        "false GOOD ENOUGH",
        "left to choose from",
    )
    expected = {**dict(POWER), **dict.fromkeys(FAR, 1.0)}
    rows = (
        (
            str(design),
            rate(found.winner, studies),
            f"{expected[design]:.2f}",
            rate(found.false_winner, studies),
            rate(found.too_close, studies),
            rate(found.good_enough, studies),
            rate(found.false_good_enough, studies),
            f"{found.candidates:.1f}",
        )
        for design, found in simulated(expected, studies)
    )
    return table(heads, rows)


def looks(studies: int) -> str:
    """False and right winners of two looks."""
    heads = (
        "study",
        "false WINNER in the first look",
        "in either look",
        "right WINNER in the first look",
        "in either look",
    )
    rows = []
    for seed, design in enumerate(LOOKS):
        print(f"two looks: {design}", flush=True)
        found = two_looks(design, studies, seed=seed)
        rows.append((str(design), *(rate(count, studies) for count in found)))
    return table(heads, rows)


def simulated(designs: Iterable[Simulated], studies: int) -> Iterator[tuple[Simulated, Outcome]]:
    """Each design with its outcome; a line on the screen for each."""
    for seed, design in enumerate(designs):
        print(design, flush=True)
        yield design, outcome(design, studies, seed=seed, effect=EFFECT)


def main() -> None:
    """Write the document."""
    studies = int(sys.argv[1]) if len(sys.argv) > 1 else 1_000
    text = TEXT.format(
        studies=studies,
        effect=EFFECT,
        nulls=errors(NULLS, studies),
        power=power(studies),
        looks=looks(studies),
        asymmetric=errors(ASYMMETRIC, studies),
    )
    DOCUMENT.write_text(text)


if __name__ == "__main__":
    main()
