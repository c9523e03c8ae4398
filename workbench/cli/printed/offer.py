"""What is about to be tested, shown before the test split is touched."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.console import Console
from rich.markup import escape

from workbench.cli.printed.layout import PLAIN, duration, number, say, short, table_of
from workbench.verdict.wording.numbers import counted

if TYPE_CHECKING:
    from workbench.study.confirm import Offer


def offer(console: Console, offer: Offer) -> None:
    """What is about to be tested: shown before the test split is touched."""
    split = "was read before" if offer.seen or offer.tested else "is untouched"
    console.print(
        f"[bold]{escape(offer.study)}[/bold]  selected; the test split {split}", highlight=False
    )
    table = table_of("arm", "chosen from", "on validation data", "hyperparameters")
    for arm in offer.arms:
        default = arm.baseline and not arm.values
        values = ", ".join("failed" if v is None else number(v) for v in arm.values)
        name = f"{arm.name} (the default)" if arm.baseline and arm.values else arm.name
        table.add_row(
            escape(name),
            escape("its default" if default else arm.spec.name),
            values,
            escape(" ".join(f"{k}={short(v)}" for k, v in arm.spec.hyperparameters.items())),
        )
    console.print(table)
    pairs = f"{offer.pairs} {'pair' if offer.pairs == 1 else 'pairs'} ({offer.contrast})"
    say(console, "compared", f"{pairs} on {offer.seeds} seeds; at least {offer.floor} are needed")
    say(console, "finds", _found_by(offer))
    say(console, "matters", f"a difference of {offer.smallest_effect:g} in {offer.metric}")
    each = f"each tested once on {offer.test_samples} samples"
    say(console, "runs", f"{offer.runs}, {each}{_cost(offer)}")
    notes = [*offer.notes, *offer.tested]
    if offer.seen:
        notes.append(
            f"MLflow holds {counted(offer.seen, 'confirmation run')} whose records are gone from "
            "the study's folder confirmation/; put it back, or the same runs are made again"
        )
    for note in notes:
        console.print(f"  [yellow]note[/yellow]           {escape(note)}", **PLAIN)


def _found_by(offer: Offer) -> str:
    if offer.seeds < offer.floor:
        return "no difference of any size"
    if offer.sd == 0:
        return "unknown: no seed of the selection changed a difference between two arms"
    if offer.sd is None or offer.reach is None:
        return "unknown: no two arms completed on two seeds of the selection"
    (low, high), least = offer.reach, offer.smallest_effect
    source = (
        f"(from the SD of paired differences, {short(offer.sd)} on the few validation seeds, and "
        "its 90 % interval)"
    )
    if low == high:
        return f"no difference that the metric can have with 80 % power {source}"
    if low > least:
        then = "one that just matters may be missed"
    elif high < least:
        then = "one that just matters is found"
    else:
        then = f"whether one that just matters ({least:g}) is found, so few seeds cannot tell"
    return f"a difference of about {short(low)} to {short(high)} with 80 % power; {then} {source}"


def _cost(offer: Offer) -> str:
    if offer.seconds is None:
        return ""
    at_once = f", {offer.workers} at a time" if offer.workers > 1 else ""
    return f"; {duration(offer.seconds / offer.workers)}{at_once}"
