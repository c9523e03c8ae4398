"""The report's ``confirmation``: each arm with its runs, what the selection did, what it all cost.

Describes; which arm stands out is taken over from the verdict. While runs are open it holds no
test value. Knows neither where the runs were read nor how they are shown.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from workbench.record import State
from workbench.report.runs import Arm, Confirmation, Run
from workbench.report.wording import COMPARED
from workbench.verdict import Evidence, Side, Verdict, Word, comparing, table
from workbench.verdict.contrast import ALL, BASELINE
from workbench.verdict.statistics.values import differences, moments


def summarize(
    confirmation: Confirmation,
    evidence: Evidence,
    verdict: Verdict,
    *,
    search_seconds: Mapping[str, float],
    sha256: str | None,
) -> dict[str, Any]:
    """What report.json says under ``confirmation``.

    Args:
        confirmation: As it was read.
        evidence: What was gathered of it.
        verdict: Reached from that evidence.
        search_seconds: Of all search trials of each strategy.
        sha256: Of the protocol that the confirmation began with.
    """
    protocol = confirmation.protocol
    joint = (protocol.get("search") or {}).get("mode") == "joint"
    sides = _sides(evidence, verdict) if confirmation.finished else {}
    arms = []
    for arm in confirmation.arms:
        own_search = not joint and arm.name == arm.strategy
        seconds = search_seconds.get(arm.strategy) if own_search else None
        arms.append(_arm(confirmation, arm, sides.get(arm.name), seconds))
    _emphasise(arms, confirmation, verdict)
    if confirmation.finished and verdict.word is not Word.NOT_COMPARABLE:
        sign = -1 if protocol["direction"] == "maximize" else 1
        # The best first: the order is a fact, and what it means is the verdict's to say.
        arms.sort(key=lambda item: math.inf if item["mean"] is None else sign * item["mean"])
    return {
        "finished": confirmation.finished,
        "selected": bool(confirmation.chosen),
        "done": confirmation.done,
        "planned": confirmation.planned,
        "metric": protocol["metric"],
        "validation_metric": protocol.get("validation_metric"),
        "direction": protocol["direction"],
        "smallest_effect": protocol.get("smallest_effect"),
        "alpha": protocol.get("alpha"),
        "gamma": protocol.get("gamma"),
        "bounds": protocol.get("bounds"),
        "n": len(confirmation.seeds),
        "seeds": confirmation.seeds,
        "seeds_floor": protocol.get("seeds_floor"),
        "protocol_sha256": sha256,
        "contrast": protocol["contrast"],
        "pairs": protocol.get("pairs"),
        "epoch": protocol.get("epoch"),
        "default_is": confirmation.chosen.get("default_is"),
        "finalists": protocol.get("finalists"),
        "not_comparable": protocol.get("not_comparable") or [],
        "arms": arms,
        "imputed": sum(run["imputed"] for item in arms for run in item["runs"]),
        "failed": sum(item["failed"] for item in arms),
        "pruned": sum(item["pruned"] for item in arms),
        "selection": _selection(confirmation),
        "selection_configs": (protocol.get("selection") or {}).get("configs"),
        "selection_seeds": len((protocol.get("selection") or {}).get("seeds") or ()),
        "beyond": len(confirmation.beyond),
        "cost": {
            "search_seconds": math.fsum(search_seconds.values()),
            "selection_seconds": _seconds(
                run for runs in confirmation.selection.values() for run in runs
            ),
            "confirmation_seconds": _seconds((*confirmation.runs, *confirmation.beyond)),
        },
        "test_samples": (protocol.get("data") or {}).get("test"),
        "test_digest": (protocol.get("data") or {}).get("test_digest"),
    }


def _arm(
    confirmation: Confirmation, arm: Arm, side: Side | None, search_seconds: float | None
) -> dict[str, Any]:
    metric = str(confirmation.protocol["metric"])
    runs = [arm.runs[seed] for seed in confirmation.seeds if seed in arm.runs]
    chosen = (confirmation.chosen.get("chosen") or {}).get(arm.name) or {}
    selected = [
        run
        for group, found in confirmation.selection.items()
        if group.rpartition("/")[0] == arm.name
        for run in found
    ]
    item: dict[str, Any] = {
        "name": arm.name,
        "strategy": arm.strategy,
        "levels": arm.levels,
        "baseline": arm.baseline,
        "trial": chosen.get("trial"),
        "hyperparameters": arm.hyperparameters,
        **dict.fromkeys(("mean", "sd", "low", "high", "validation_mean", "validation_gap")),
        "n": 0,
        "failed": sum(run.state == State.FAILED for run in runs),
        "pruned": sum(run.state == State.PRUNED for run in runs),
        "trainable": max((run.trainable for run in runs if run.trainable), default=None),
        # A run that failed took as long as it took to fail, which is no cost of the arm.
        "seconds_mean": _mean(run.seconds for run in runs if run.state == State.COMPLETE),
        "search_seconds": search_seconds,
        "selection_seconds": _seconds(selected) if selected else None,
        "confirmation_seconds": _seconds(runs),
        "peak_memory": max((run.peak_memory for run in runs if run.peak_memory), default=None),
        "best": False,
        "tied_with_best": False,
        "versus": None,
        "runs": [_run(run, metric) for run in runs],
    }
    if side is None:
        for run in item["runs"]:
            run |= {"value": None, "validation": None, "metrics": {}}
        return item
    return item | _values(item["runs"], side, confirmation.seeds)


def _run(run: Run, metric: str) -> dict[str, Any]:
    return {
        "seed": run.seed,
        "run_id": run.run_id,
        "number": run.number,
        "state": run.state,
        "reason": run.reason,
        "value": run.test.get(metric),
        "counted": None,
        "imputed": False,
        "validation": run.validation,
        "seconds": run.seconds,
        "metrics": dict(sorted(run.test.items())),
    }


def _values(runs: list[dict[str, Any]], side: Side, seeds: Sequence[str]) -> dict[str, Any]:
    """What counts as the verdict counts it, and the gap to validation."""
    for run, seed, value in zip(runs, seeds, side.values, strict=True):
        run |= {"counted": value, "imputed": seed in side.imputed}
    both = [
        (run["validation"], run["value"])
        for run in runs
        if run["validation"] is not None and run["value"] is not None
    ]
    gap = moments(differences(*zip(*both, strict=True)))[0] if both else None
    mean = side.mean
    return {
        "n": side.n,
        "mean": mean.estimate if mean else None,
        "low": mean.low if mean else None,
        "high": mean.high if mean else None,
        "sd": side.sd,
        "validation_mean": _mean(validation for validation, _ in both),
        "validation_gap": gap,
    }


def _sides(evidence: Evidence, verdict: Verdict) -> dict[str, Side]:
    """Each arm as the verdict counts it; where that is about levels, by the same functions."""
    if verdict.contrast in (ALL, BASELINE):
        return {side.name: side for side in verdict.sides}
    rows = table.read(evidence).rows
    return {row.name: comparing.side(row, evidence.design, shown=True) for row in rows}


def _emphasise(
    arms: Sequence[dict[str, Any]], confirmation: Confirmation, verdict: Verdict
) -> None:
    """Mark the best mean and what is not separated from it, and compare each arm with one."""
    pairs = {frozenset((pair.first, pair.second)): pair for pair in verdict.comparisons}
    valued = [item for item in arms if item["mean"] is not None]
    if not confirmation.finished or not valued:
        return
    sign = 1 if confirmation.protocol["direction"] == "maximize" else -1
    top = max(valued, key=lambda item: sign * item["mean"])
    if verdict.word in COMPARED:
        top["best"] = True
    base = next((item for item in arms if item["baseline"]), None)
    reference = base if verdict.contrast == BASELINE else top
    all_pairs = verdict.contrast == ALL
    for item in arms:
        to_top = pairs.get(frozenset((item["name"], top["name"])))
        if to_top is not None and item is not top:
            item["tied_with_best"] = top["best"] and all_pairs and not to_top.beaten
        if reference is None or item is reference:
            continue
        pair = pairs.get(frozenset((item["name"], reference["name"])))
        if pair is None:
            continue
        # A comparison says how far its first is ahead; here it is this arm minus the other, in
        # units of the metric, whatever is good.
        turn = sign if pair.first == item["name"] else -sign
        ends = sorted((turn * pair.difference.low, turn * pair.difference.high))
        ahead = pair.improvement
        if pair.first != item["name"]:
            improvement = (1 - ahead.estimate, 1 - ahead.high, 1 - ahead.low)
        else:
            improvement = (ahead.estimate, ahead.low, ahead.high)
        item["versus"] = {
            "name": reference["name"],
            "difference": turn * pair.difference.estimate,
            "low": ends[0],
            "high": ends[1],
            "p_holm": pair.p_holm,
            "p_equivalence": pair.p_equivalence,
            "improvement": dict(zip(("estimate", "low", "high"), improvement, strict=True)),
        }


def _selection(confirmation: Confirmation) -> list[dict[str, Any]]:
    """A row for each candidate of each strategy, with its values on validation by seed."""
    rows = []
    chosen = confirmation.chosen.get("chosen") or {}
    means = {
        (strategy, run["candidate"]): run.get("mean")
        for strategy, runs in (confirmation.chosen.get("runs") or {}).items()
        for run in runs
    }
    candidates = (confirmation.protocol.get("selection") or {}).get("candidates") or {}
    for strategy, items in candidates.items():
        for item in items:
            number = int(item["number"])
            runs = confirmation.selection.get(f"{strategy}/{number:03d}", ())
            rows.append(
                {
                    "strategy": strategy,
                    "candidate": number,
                    "trial": item.get("trial"),
                    "searched": item.get("value"),
                    "values": [run.validation for run in runs],
                    "mean": means.get((strategy, number)),
                    "chosen": (chosen.get(strategy) or {}).get("candidate") == number,
                    "run_ids": [run.run_id for run in runs],
                }
            )
    return rows


def _seconds(runs: Iterable[Run]) -> float:
    return math.fsum(run.seconds for run in runs if run.seconds is not None)


def _mean(values: Iterable[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return math.fsum(known) / len(known) if known else None
