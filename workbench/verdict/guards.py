"""Guards that refuse what must not be claimed; figures, tables and commands call them.

Each raises ``ClaimError`` or returns.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

from workbench.messages import counted, joined
from workbench.verdict import seed_names
from workbench.verdict.evidence import Doubt
from workbench.verdict.refusals import ClaimError, because


def data_sets(names: Sequence[str], *, seeds: Collection[str] = ()) -> None:
    """What stands for data sets is data sets (rule 8).

    Args:
        names: Of the data sets.
        seeds: Names of the seeds of the same study.

    Raises:
        ClaimError: A name is a number or has a seed, fold, epoch, split, replicate or run in it, or
            three names or more differ in a number alone. Two may: CIFAR-10 and CIFAR-100.
    """
    different = list(dict.fromkeys(names))
    odd = [name for name in different if name in seeds or seed_names.names_one(name)]
    if odd:
        raise ClaimError(
            8, f"{joined(odd, 6)} look like seeds, folds or epochs, expected names of data sets."
        )
    if len(different) > 2 and seed_names.differ_in_a_number(different):
        raise ClaimError(
            8,
            f"{joined(different, 6)} differ only in a number, like parts of one data set, expected"
            " names of data sets.",
        )


def expected_maximum(sampler: str, *, pruned: int = 0) -> None:
    """An expected-maximum curve (rule 12).

    Args:
        sampler: That proposed the trials.
        pruned: How many of them were pruned and so have no value.

    Raises:
        ClaimError: The draws are not independent, or some have no value.
    """
    if sampler != "random":
        raise ClaimError(12, f"The trials were proposed by {sampler!r}, expected 'random'.")
    if pruned:
        raise ClaimError(12, f"{counted(pruned, 'pruned trial')} without a value, expected none.")


def provenance(kinds: Mapping[str, Sequence[str | None]]) -> tuple[Doubt, ...]:
    """Flags for what differs between the runs of one comparison (rule 16).

    Args:
        kinds: For each kind (commit, data, packages, hardware, threads, ...) what every run was
            made with; None or empty where it was not recorded.

    Returns:
        A flag for each kind with more than one value, and for each that some runs did not record.
    """
    flags = []
    for kind, values in kinds.items():
        known = [value for value in values if value]
        counts = {value: known.count(value) for value in dict.fromkeys(known)}
        if len(counts) > 1:
            shown = zip(_different(list(counts)), counts.values(), strict=True)
            parts = "; ".join(f"{text} ({count})" for text, count in shown)
            flags.append(
                because(16, None, f"The runs differ in {kind}: {len(counts)} values ({parts}).")
            )
        if known and len(known) < len(values):
            text = (
                f"{len(values) - len(known)} of {len(values)} runs have no record of their {kind},"
                " so it is not known whether they differ in it."
            )
            flags.append(Doubt(rule=16, text=text))
    return tuple(flags)


def _different(values: Sequence[str]) -> list[str]:
    """Of each value, a list with commas, what not all of them have; cut at 80 characters."""
    lists = [value.split(", ") for value in values]
    shared = set(lists[0]).intersection(*lists[1:])
    kept = [", ".join(item for item in items if item not in shared) for items in lists]
    return [(text or "none of these")[:80] for text in kept]
