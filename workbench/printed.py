"""What the commands print: plain data as tables for a terminal.

Knows rich and the shape of the data; computes nothing.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal, Protocol

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from workbench.report import methods

if TYPE_CHECKING:
    from workbench.confirm import Offer
    from workbench.ending import Confirmed, Outcome
    from workbench.publish import Written

# A sentence: whole on its line, and nothing in it lit up.
_PLAIN: dict[str, Any] = {"highlight": False, "soft_wrap": True}


class Judged(Protocol):
    """What ``elsewhere`` has found of somebody's results."""

    @property
    def content(self) -> Mapping[str, Any]:
        """All of it as plain data; ``verdict`` is ``verdict.as_json``'s."""
        ...


def _table(*columns: str, right: Sequence[str] = ()) -> Table:
    """A table whose last column alone is folded where the terminal is narrow."""
    table = Table(box=None, pad_edge=False, header_style="bold")
    for name in columns:
        last = name == columns[-1]
        justify: Literal["left", "right"] = "right" if name in right else "left"
        table.add_column(name, justify=justify, overflow="fold", no_wrap=not last)
    return table


def _number(value: float | None) -> str:
    if value is None:
        return ""
    # Four decimals suit an accuracy; an error may have any size.
    return f"{value:.4f}" if value == 0 or 0.001 <= abs(value) < 10 else f"{value:.6g}"


def _line(console: Console, name: str, text: object) -> None:
    console.print(
        f"  [dim]{escape(name):<14}[/dim] {escape(str(text))}", highlight=False, soft_wrap=True
    )


def plan(console: Console, plan: Mapping[str, Any]) -> None:
    """What ``check`` says of a study that is sound."""
    objective, search, data = plan["objective"], plan["search"], plan["data"]
    budget, backbone = plan["budget"], plan["backbone"]
    console.print(
        f"[bold]{escape(plan['name'])}[/bold]  {escape(plan['question'])}", highlight=False
    )
    epoch = f"{objective['epoch']} epoch"
    _line(console, "objective", f"{objective['direction']} {objective['metric']} of the {epoch}")
    if plan["mode"] == "balanced":
        names = ", ".join(strategy["name"] for strategy in plan["strategies"])
        _line(console, "strategies", f"{len(plan['strategies'])}: {names}")
        each = f" ({budget['trials_per_strategy']} for each strategy)"
    else:
        factors = "; ".join(f"{k}: {', '.join(v)}" for k, v in plan["factors"].items())
        _line(console, "joint search", factors or "of the ranges alone")
        each = ""
    _line(console, "baseline", plan["baseline"])
    _line(console, "trials", f"{budget['total']}{each} of {plan['epochs']} epochs")
    _line(
        console, "sampler", f"{search['sampler']}, pruner {search['pruner']}, seed {search['seed']}"
    )
    for knob, words in plan["ranges"]:
        _line(console, "tune", f"{knob}: {words}")
    _line(console, "data", f"{data['name']}: {_samples(plan)}")
    for name, words in _confirmation(plan["confirmation"]):
        _line(console, name, words)
    weights = backbone["weights"] or "none (from scratch)"
    _line(console, "backbone", f"{backbone['name']}, weights: {weights}")
    for depth, stage in enumerate(backbone["stages"], start=1):
        count = f"{stage['name']:<10} {stage['parameters']:>11,} parameters"
        _line(console, "", f"{count}  frozen from depth {depth} on")
    if backbone["head"] is None:
        _line(console, "", "its stages can be shown once it is here")
    else:
        _line(console, "", f"{'head':<10} {backbone['head']:>11,} parameters  never frozen")
    for note in plan["notes"]:
        console.print(
            f"  [yellow]note[/yellow]           {escape(note)}", highlight=False, soft_wrap=True
        )


def _confirmation(found: Mapping[str, Any]) -> list[tuple[str, str]]:
    """What a confirmation would take, and what it could show."""
    metric, seeds = found["metric"], found["seeds"]
    compared = {"all": "all pairs", "baseline": "each with the default"}.get(
        found["contrast"], f"the levels of {found['contrast']}"
    )
    pairs = f"{found['pairs']} {'pair' if found['pairs'] == 1 else 'pairs'}"
    arms = f"{found['arms']} arms with the default, {compared}: {pairs}"
    which = "chosen" if found["chosen"] else "by default"
    lines = [
        ("confirm", f"{arms}, so at least {found['seeds_floor']} seeds; {seeds} {which}"),
        ("", _reach(found)),
    ]
    least = found["smallest_effect"]
    if least is None:
        lines.append(("", "confirm.smallest_effect is not given; workbench confirm asks for it"))
    else:
        lines.append(("", f"a difference of {least:g} in {metric} matters"))
    seconds = found["seconds"]
    cost = "" if seconds is None else f"; by this home's trials {duration(seconds)} of training"
    runs = f"{found['selection_runs']} runs to select, {found['confirmation_runs']} to test"
    return [*lines, ("", f"at most {runs}{cost}")]


def _reach(found: Mapping[str, Any]) -> str:
    """The difference that so many seeds find, in the only unit known before anything ran."""
    size = found["detectable"]
    if found["seeds"] < found["seeds_floor"] or size is None:
        return f"{found['seeds']} seeds can find no difference of any size"
    return (
        f"{found['seeds']} seeds find a difference of {size:.2g} SDs of the paired differences "
        "with 80 % power"
    )


def duration(seconds: float) -> str:
    """About how long, in the unit that a person would choose."""
    if seconds < 90:
        return f"about {seconds:.0f} s"
    if seconds < 5400:
        return f"about {seconds / 60:.0f} min"
    return f"about {seconds / 3600:.1f} h"


def _samples(plan: Mapping[str, Any]) -> str:
    data = plan["data"]
    if "train" not in data:
        return "not here yet"
    parts = ", ".join(f"{data[part]} {part}" for part in ("train", "validation", "test"))
    number, kind = len(data["classes"]), methods.kind_of_outputs(plan)
    plural = "" if number == 1 else "es" if kind.endswith("s") else "s"
    return f"{parts} samples, {number} {kind}{plural}"


def outcome(console: Console, outcome: Outcome, home: object, *, smoke: bool = False) -> None:
    """How a search ended, and what to do next."""
    table = _table(
        "strategy",
        "done",
        "pruned",
        "failed",
        "best",
        right=("done", "pruned", "failed", "best"),
    )
    for standing in outcome.standings:
        table.add_row(
            standing.name,
            str(standing.complete),
            str(standing.pruned),
            str(standing.failed),
            _number(standing.best),
        )
    console.print(table)
    name, ended = outcome.study, sum(standing.ended for standing in outcome.standings)
    if outcome.signal is not None:
        text = f"{name}: stopped after {ended} trials; the same command goes on."
    elif smoke:
        text = f"{name}: the tiny copy ran through in {outcome.seconds:.0f} s; nothing was kept."
    elif outcome.fresh == 0 and outcome.finished:
        text = f"{name}: all {ended} trials have been run before; nothing to do."
    elif not outcome.finished:
        text = f"{name}: time is up after {ended} trials; the same command goes on."
    else:
        text = f"{name}: {outcome.fresh} trials in {outcome.seconds:.0f} s; {ended} in all."
    console.print(escape(text), highlight=False, soft_wrap=True)
    for reason in outcome.reasons:
        console.print(f"[red]failed: {escape(reason)}[/red]", highlight=False, soft_wrap=True)
    if outcome.unsent:
        console.print(
            f"[yellow]MLflow did not take {outcome.unsent} records; when it is back: "
            f"workbench sync {escape(name)}[/yellow]",
            highlight=False,
            soft_wrap=True,
        )
    if outcome.signal is None and not smoke:
        steps = ["report", "confirm"] if any(s.complete for s in outcome.standings) else ["report"]
        told = ", or ".join(f"workbench {step} {name}" for step in reversed(steps))
        console.print(f"[dim]next: {escape(told)}[/dim]", highlight=False, soft_wrap=True)


def offer(console: Console, offer: Offer) -> None:
    """What is about to be tested: shown before the test split is touched."""
    console.print(
        f"[bold]{escape(offer.study)}[/bold]  selected; the test split is untouched",
        highlight=False,
    )
    table = _table("arm", "chosen from", "on validation data", "hyperparameters")
    for arm in offer.arms:
        default = arm.baseline and not arm.values
        values = ", ".join("failed" if v is None else _number(v) for v in arm.values)
        name = f"{arm.name} (the default)" if arm.baseline and arm.values else arm.name
        table.add_row(
            escape(name),
            escape("its default" if default else arm.spec.name),
            values,
            escape(" ".join(f"{k}={_short(v)}" for k, v in arm.spec.hyperparameters.items())),
        )
    console.print(table)
    pairs = f"{offer.pairs} {'pair' if offer.pairs == 1 else 'pairs'} ({offer.contrast})"
    _line(console, "compared", f"{pairs} on {offer.seeds} seeds; at least {offer.floor} are needed")
    _line(console, "finds", _found_by(offer))
    _line(console, "matters", f"a difference of {offer.smallest_effect:g} in {offer.metric}")
    each = f"each tested once on {offer.test_samples} samples"
    _line(console, "runs", f"{offer.runs}, {each}{_cost(offer)}")
    for note in offer.notes:
        console.print(
            f"  [yellow]note[/yellow]           {escape(note)}", highlight=False, soft_wrap=True
        )


def _found_by(offer: Offer) -> str:
    if offer.seeds < offer.floor:
        return "no difference of any size"
    if offer.sd is None or offer.detectable is None:
        return "unknown: no two arms completed on two seeds of the selection"
    missed = ""
    if offer.detectable > offer.smallest_effect:
        missed = "; one that just matters may be missed"
    return (
        f"a difference of about {_short(offer.detectable)} with 80 % power{missed} (roughly: the "
        f"SD of paired differences was {_short(offer.sd)} on the few validation seeds)"
    )


def _cost(offer: Offer) -> str:
    if offer.seconds is None:
        return ""
    at_once = f", {offer.workers} at a time" if offer.workers > 1 else ""
    return f"; {duration(offer.seconds / offer.workers)}{at_once}"


def confirmed(console: Console, found: Confirmed) -> None:
    """How a confirmation ended, and what to do next. No value: that is for the report."""
    last = found.arms if found.agreed and found.arms else found.selection
    table = _table(
        "arm" if last is found.arms else "strategy",
        "runs",
        "done",
        "failed",
        right=("runs", "done", "failed"),
    )
    for standing in last:
        counts = (standing.target, standing.complete, standing.failed)
        table.add_row(escape(standing.name), *map(str, counts))
    console.print(table)
    console.print(escape(_told(found)), highlight=False, soft_wrap=True)
    for reason in found.reasons:
        console.print(f"[red]failed: {escape(reason)}[/red]", highlight=False, soft_wrap=True)
    if found.unsent:
        console.print(
            f"[yellow]MLflow did not take {found.unsent} records; when it is back: "
            f"workbench sync {escape(found.study)}[/yellow]",
            highlight=False,
            soft_wrap=True,
        )
    if found.finished:
        console.print(f"[dim]next: workbench report {escape(found.study)}[/dim]", highlight=False)


def _told(found: Confirmed) -> str:
    """One sentence on where a confirmation stands."""
    name, arms = found.study, found.arms
    ended = sum(standing.ended for standing in arms or found.selection)
    target = sum(standing.target for standing in arms or found.selection)
    if found.signal is not None:
        return f"{name}: stopped after {ended} of {target} runs; the same command goes on."
    if not found.agreed:
        return (
            f"{name}: not tested. The selection is kept, the test split untouched; the same "
            "command asks again."
        )
    if not arms:
        return f"{name}: no run of the selection completed, so nothing can be tested."
    if found.fresh == 0:
        return f"{name}: all {ended} runs have been made before; nothing to do."
    seeds = max(standing.target for standing in arms)
    return (
        f"{name}: {found.fresh} runs in {found.seconds:.0f} s; {len(arms)} arms are tested on "
        f"{seeds} seeds."
    )


def _metric(value: float) -> str:
    """A metric among others: four digits, or as many as stand before the point."""
    return f"{value:.0f}" if 10_000 <= abs(value) < 1e7 else f"{value:.4g}"


def _epochs(line: Mapping[str, Any]) -> str:
    """How many epochs were done at a report, of which an epoch may have several."""
    return f"{line['metrics'].get('epochs', line['epoch']):g}"


def studies(console: Console, found: Sequence[Mapping[str, Any]]) -> None:
    """All studies of a home."""
    if not found:
        console.print("No study yet: workbench run studies/NAME.yaml starts one.", highlight=False)
        return
    numbers = ("trials", "done", "pruned", "failed", "best")
    table = _table("study", "state", *numbers, "best trial", "of", "confirmed", right=numbers)
    for row in found:
        table.add_row(
            escape(row["name"]),
            row["state"],
            str(row["trials"]),
            str(row["complete"]),
            str(row["pruned"]),
            str(row["failed"]),
            _number(row["best"]),
            escape(row["best_trial"] or ""),
            row["metric"],
            _stage(row["confirmation"]),
        )
    console.print(table)


def _stage(confirmation: Mapping[str, Any] | None) -> str:
    """How far a confirmation is."""
    if confirmation is None:
        return ""
    words = {"complete": "yes", "selection": "selecting", "confirmation": "testing"}
    stage = str(confirmation["stage"])
    runs = f" {confirmation['ended']}/{confirmation['planned']}"
    return words.get(stage, stage) + (runs if stage in ("selection", "confirmation") else "")


def study(console: Console, found: Mapping[str, Any]) -> None:
    """One study with its trials."""
    studies(console, [found])
    if found["holder"]:
        console.print(f"[dim]driven by {escape(found['holder'])}[/dim]", highlight=False)
    numbers = ("value", "epochs", "seconds")
    table = _table("trial", "role", "state", *numbers, "hyperparameters", right=numbers)
    for row in found["rows"]:
        settings = " ".join(f"{k}={_short(v)}" for k, v in row["hyperparameters"].items())
        reason = f"  ({row['reason']})" if row["state"] == "failed" else ""
        table.add_row(
            escape(row["trial"]),
            row["role"],
            row["state"],
            _number(row["value"]),
            f"{row['epochs']:g}",
            f"{row['seconds']:.1f}",
            escape(settings + reason),
        )
    console.print(table)


def trial(console: Console, found: Mapping[str, Any]) -> None:
    """One trial with its epochs."""
    value = ""
    if found["value"] is not None:
        chosen = [line for line in found["history"] if line["epoch"] == found["epoch"]]
        at = _epochs(chosen[0]) if chosen else found["epoch"]
        value = f", {_number(found['value'])} at epoch {at}"
    console.print(
        f"[bold]{escape(found['trial'])}[/bold]  {found['state']}{value}", highlight=False
    )
    if found["reason"]:
        _line(console, "reason", found["reason"])
    for name, measured in found["test"].items():
        _line(console, name, _number(measured))
    for knob, setting in found["hyperparameters"].items():
        _line(console, knob, _short(setting))
    _line(console, "record", found["directory"])
    if found.get("run_id"):
        _line(console, "MLflow run", found["run_id"])
    if found["history"]:
        objective = found["spec"]["objective"]["metric"]
        both = (objective.replace("validation/", "train/"), "validation/loss", objective)
        wanted = dict.fromkeys(["train/loss", *both, "learning_rate"])
        first = found["history"][0]["metrics"]
        names = {re.sub("[/_]", " ", name): name for name in wanted if name in first}
        table = _table("epoch", *names, right=("epoch", *names))
        for line in found["history"]:
            # A training of the user's own may not measure everything every time.
            values = [line["metrics"].get(name) for name in names.values()]
            table.add_row(_epochs(line), *("" if v is None else _metric(v) for v in values))
        console.print(table)
    if found["result"] and found["result"]["traceback"]:
        console.print(escape(found["result"]["traceback"]), highlight=False)


def report(console: Console, written: Written) -> None:
    """Where a report is."""
    for note in written.notes:
        console.print(f"[yellow]note: {escape(note)}[/yellow]", highlight=False, soft_wrap=True)
    console.print(f"report: {escape(str(written.page))}", highlight=False, soft_wrap=True)


def verdict(console: Console, judged: Judged) -> None:
    """What may be said of results from elsewhere: word, headline, sides, pairs, and why."""
    found = judged.content["verdict"]
    console.print(f"[bold]{escape(found['word'])}[/bold]  {escape(found['headline'])}", **_PLAIN)
    if any(side["mean"] is not None for side in found["sides"]):
        console.print(_sides(found))
    if found["comparisons"]:
        console.print(_pairs(found))
    for reason in found["reasons"]:
        rule = "" if reason["rule"] is None else f" (rule {reason['rule']})"
        console.print(f"why: {escape(reason['text'] + rule)}", **_PLAIN)
    for flag in found["flags"]:
        console.print(f"[yellow]note: {escape(flag['text'])}[/yellow]", **_PLAIN)
    console.print(f"[dim]claim level: {escape(found['level'])}[/dim]", **_PLAIN)


def _sides(found: Mapping[str, Any]) -> Table:
    numbers = ("n", "mean", "95 % interval", "SD")
    table = _table("strategy", *numbers, right=numbers)
    for side in found["sides"]:
        mean = side["mean"]
        values = ("", "") if mean is None else (_number(mean["estimate"]), _between(mean))
        table.add_row(escape(side["name"]), str(side["n"]), *values, _number(side["sd"]))
    return table


def _pairs(found: Mapping[str, Any]) -> Table:
    numbers = ("difference", "95 % interval", "Holm p", "improvement")
    table = _table("pair", *numbers, right=numbers)
    for pair in found["comparisons"]:
        table.add_row(
            escape(f"{pair['first']} - {pair['second']}"),
            _number(pair["difference"]["estimate"]),
            _between(pair["difference"]),
            f"{pair['p_holm']:.3g}",
            f"{pair['improvement']['estimate']:.2f}",
        )
    return table


def _between(bounds: Mapping[str, Any]) -> str:
    return f"{_number(bounds['low'])} to {_number(bounds['high'])}"


def _short(value: object) -> str:
    return f"{value:.3g}" if isinstance(value, float) else str(value)
