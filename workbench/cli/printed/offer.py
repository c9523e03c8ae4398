"""What is about to be tested: shown before the test split is used."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.console import Console
from rich.markup import escape

from workbench.cli.printed.layout import (
    beats_several,
    compared,
    number,
    print_field,
    print_heading,
    table_of,
)
from workbench.messages import counted
from workbench.verdict.wording.numbers import duration, setting

if TYPE_CHECKING:
    from workbench.study.confirm.offer import Offer

# A shorter time is not told apart: starting workers and sending runs to MLflow takes as long.
_LEAST_SECONDS = 60.0


def offer(console: Console, offer: Offer) -> None:
    """Which strategies will be tested, on how many seeds, and what that can show."""
    split = "was read before" if offer.seen or offer.tested else "is untouched"
    state = f"selected; the test split {split}"
    if offer.fresh:
        state = "second look; the first one has read the test split"
    print_heading(console, offer.study, state)
    table = table_of("strategy", "chosen from", "validation values", "hyperparameters")
    for arm in offer.arms:
        # A strategy may be the default itself; a separate default has no values of the selection.
        default = arm.baseline and not arm.values
        values = ", ".join("failed" if v is None else number(v) for v in arm.values)
        name = f"{arm.name} (the default)" if arm.baseline and arm.values else arm.name
        table.add_row(
            escape(name),
            escape("its default" if default else arm.spec.name),
            values,
            escape(" ".join(f"{k}={setting(v)}" for k, v in arm.spec.hyperparameters.items())),
        )
    console.print(table)
    sides, seeds = compared(offer.contrast, offer.pairs), f"{offer.seeds} seeds"
    if offer.fresh:
        seeds += f" ({offer.seeds - offer.fresh} of the first look and {offer.fresh} fresh ones)"
    print_field(console, "compared", f"{sides}, on {seeds}; at least {offer.floor} are needed")
    for name, line in zip(("power", "", ""), _power(offer), strict=False):
        print_field(console, name, line)
    print_field(console, "smallest effect", f"{offer.smallest_effect:g} in {offer.metric}")
    each = f"each tested once on {offer.test_samples} samples"
    print_field(console, "runs", f"{offer.runs}, {each}{_cost(offer)}")
    notes = [*offer.notes, *offer.tested]
    if offer.seen:
        notes.append(
            f"MLflow has {counted(offer.seen, 'confirmation run')} whose records are missing from"
            " the study's folder confirmation/. Restore it; otherwise the runs are repeated"
        )
    for note in notes:
        print_field(console, "note", note, "yellow")


def _power(offer: Offer) -> list[str]:
    """The difference that the seeds can show, estimated from the selection."""
    if offer.seeds < offer.floor:
        return ["too few seeds to show a difference of any size"]
    if offer.sd == 0:
        return ["unknown: no difference between two strategies varied over the selection seeds"]
    if offer.sd is None or offer.reach is None:
        return ["unknown: no two strategies completed on the same two seeds of the selection"]
    (low, high), effect = offer.reach, offer.smallest_effect
    source = (
        "estimated from the few validation seeds of the selection: SD of paired differences"
        f" {setting(offer.sd)}, pooled over all pairs of chosen configurations, with its 90 %"
        " interval"
    )
    # Both ends are clipped to the range of the metric.
    if low == high:
        return ["below 80 % for every difference that the metric can have", source]
    exact = f"a difference of exactly the smallest effect ({effect:g})"
    if low > effect:
        then = f"{exact} may be missed"
    elif high < effect:
        then = f"{exact} is found"
    else:
        then = f"whether {exact} is found cannot be estimated from so few seeds"
    reach = f"80 % for a difference of about {setting(low)} to {setting(high)}"
    several = beats_several(offer.contrast, offer.pairs)
    return [reach + " against one rival, lower against all of them" * several, then, source]


def _cost(offer: Offer) -> str:
    if offer.seconds is None:
        return ""
    at_once = f", {offer.workers} at a time" if offer.workers > 1 else ""
    short = offer.seconds < _LEAST_SECONDS
    took = f"less than {duration(_LEAST_SECONDS)}" if short else f"about {duration(offer.seconds)}"
    return f"; {took}{at_once} (estimated from the runs of the selection)"
