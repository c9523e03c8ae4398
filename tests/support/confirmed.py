"""A confirmed study made by hand, exactly as the tracker reads one; for tests of what reads it.

``material(**knobs)`` is the whole of it, ``study``, ``scores`` and ``histories`` are its parts; the
knobs are the fields of ``Case``. Every value is the mean of its scores.
"""

from __future__ import annotations

import hashlib
import json
import math
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

from tests.support import searched
from tests.support.searched import (
    DEPTHS,
    OPTIMIZERS,
    describe,
    hash_of,
    realistic,
    row,
    runs,
)
from tests.support.searched import joint as as_joint
from workbench.record.seeds import derive
from workbench.report.material import Material
from workbench.tracker.stored_study import SecondLook, StoredStudy

STRATEGIES = tuple(f"{optimizer}-{depth}" for optimizer in OPTIMIZERS for depth in DEPTHS)
THREE = ("sgd-0", "adam-0", "adamw-0")
TEST = 496  # samples
BASELINE = "sgd-0"
# What a strategy reaches on the test split, where no gap is asked for.
CEILINGS = {"0": 0.952, "2": 0.943, "all": 0.781}
PROVENANCE = {
    "commit": "148fd37c0ffee",
    "packages": "5f0c1de2" * 8,
    "hardware": "Linux x86_64, 2 cores",
    "threads": "1",
}
STARTED = 1_760_000_900_000


@dataclass(frozen=True, kw_only=True)
class Case:
    """How the study turned out.

    Attributes:
        strategies: Those compared, of ``STRATEGIES``; one of them must be ``sgd-0``.
        seeds: Confirmation runs of each arm, in the first look.
        looks: Planned ones.
        fresh: Seeds that a second look adds; 0 before it.
        gap: None gives each strategy its own level. A number puts all arms at one level but the
            last strategy, which lies that many SDs of a run above: 0 makes them identical.
        noise: SD of a run's value between seeds; half of its variance is shared by all arms.
        ended: How many confirmation runs have ended, seed by seed; None: all.
        diverged: (arm, number of the seed) of runs that diverged.
        edited: protocol.json was changed after it was logged.
        joint: One search over everything; its finalists are confirmed against the default.
        contrast: Of a balanced study: ``all`` or a factor.
        smallest_effect: What the author calls the least difference that matters.
        scored: Per-example scores are there.
        default_is: The strategy whose chosen configuration is the default one: there is no arm
            ``default`` then.
        seed: Of all that is drawn.
    """

    strategies: tuple[str, ...] = STRATEGIES
    seeds: int = 12
    looks: int = 1
    fresh: int = 0
    gap: float | None = None
    noise: float = 0.010
    ended: int | None = None
    diverged: Sequence[tuple[str, int]] = ()
    edited: bool = False
    joint: bool = False
    contrast: str = "all"
    smallest_effect: float | None = 0.01
    scored: bool = True
    default_is: str | None = None
    seed: int = 0

    @cached_property
    def seed_names(self) -> list[str]:
        """The shared list, those of a second look last."""
        numbers = range(self.seeds + self.fresh)
        return [str(derive(0, "training", "digits", "confirmation", n)) for n in numbers]

    @cached_property
    def finalists(self) -> tuple[str, ...]:
        """Strategies that are confirmed: the last three of a joint study."""
        return self.strategies[-3:] if self.joint else self.strategies

    @cached_property
    def arms(self) -> list[dict[str, Any]]:
        """As selection.json has them."""
        found = [
            {
                "name": name,
                "strategy": name,
                "levels": levels_of(name),
                "hyperparameters": self.chosen[name]["hyperparameters"],
                "baseline": name == self.default_is,
            }
            for name in self.finalists
        ]
        if self.default_is is None:
            found.append({**self.baseline, "baseline": True})
        return found

    @property
    def baseline(self) -> dict[str, Any]:
        """As protocol.json has it."""
        return {
            "name": "default",
            "strategy": BASELINE,
            "levels": levels_of(BASELINE),
            "hyperparameters": {"learning_rate": 0.01, "weight_decay": 1e-4, "batch_size": 32},
        }

    @cached_property
    def search(self) -> list[dict[str, Any]]:
        """Rows of the search."""
        rows = [item for item in realistic(self.seed) if item["strategy"] in self.strategies]
        return as_joint(rows) if self.joint else rows

    @cached_property
    def candidates(self) -> dict[str, list[dict[str, Any]]]:
        """The top three completed trials of each strategy by validation."""
        found = {}
        for name in self.finalists:
            done = [r for r in self.search if r["strategy"] == name and r["state"] == "complete"]
            done.sort(key=lambda r: (-r["value"], r["number"]))
            found[name] = [
                {
                    "trial": f"{r['group']}/{r['number']:03d}",
                    "number": r["number"],
                    "value": r["value"],
                    "hyperparameters": r["hyperparameters"],
                }
                for r in done[:3]
            ]
        return found

    @cached_property
    def selected(self) -> dict[str, list[dict[str, Any]]]:
        """What the selection's runs of each candidate reached."""
        draw = random.Random(self.seed + 1)
        return {
            name: [
                {
                    "candidate": item["number"],
                    "values": (values := [_third(item["value"], draw) for _ in range(3)]),
                    "mean": math.fsum(values) / 3,
                }
                for item in items
            ]
            for name, items in self.candidates.items()
        }

    @cached_property
    def chosen(self) -> dict[str, dict[str, Any]]:
        """The candidate of each strategy that goes on."""
        found = {}
        for name, tried in self.selected.items():
            best = max(tried, key=lambda run: run["mean"])
            (source,) = [c for c in self.candidates[name] if c["number"] == best["candidate"]]
            found[name] = {
                **best,
                "trial": source["trial"],
                "hyperparameters": source["hyperparameters"],
                "cost_seconds": 0.25,
            }
        return found

    @cached_property
    def protocol(self) -> dict[str, Any]:
        """As ``workbench confirm`` writes it."""
        sides = len(self.arms)
        pairs = sides - 1 if self.joint else sides * (sides - 1) // 2
        if self.contrast != "all":
            levels = {levels_of(name)[self.contrast] for name in self.strategies}
            pairs = len(levels) * (len(levels) - 1) // 2
        completed = {
            name: sum(r["strategy"] == name and r["state"] == "complete" for r in self.search)
            for name in self.strategies
        }
        return {
            "schema": 2,
            "study": "digits",
            "metric": "test/accuracy",
            "validation_metric": "validation/accuracy",
            "direction": "maximize",
            "bounds": [0.0, 1.0],
            "epoch": "best",
            "alpha": 0.05,
            "smallest_effect": self.smallest_effect,
            "looks": self.looks,
            "contrast": "baseline" if self.joint else self.contrast,
            "pairs": pairs,
            "effects": ["optimizer", "freeze_depth"]
            if self.contrast == "all" and not self.joint
            else [],
            "seeds_floor": 1
            + math.ceil(math.log2(self.looks * (pairs if self.joint else 1) / 0.05)),
            "seeds": self.seed_names[: self.seeds],
            "selection": {
                "configs": 3,
                "seeds": [str(derive(0, "training", "digits", "selection", n)) for n in range(3)],
                "candidates": self.candidates,
            },
            "strategies": [
                {
                    "name": name,
                    "levels": levels_of(name),
                    "trials": 12,
                    "completed": completed[name],
                }
                for name in self.strategies
            ],
            "not_comparable": [],
            "finalists": 3 if self.joint else None,
            "baseline": self.baseline,
            "search": {
                "mode": "joint" if self.joint else "balanced",
                "sampler": "tpe",
                "pruner": "median",
                "seed": 0,
                "budget": _budget(self),
                "tune": searched.described()["tune"],
            },
            "data": {
                "name": "digits",
                "digest": searched.described()["data"]["digest"],
                "test": TEST,
                "test_digest": "e1" * 32,
            },
            "definitions": {name: f"{hash_of(name):032x}" * 2 for name in self.strategies},
            "pruning": "none",
        }

    @cached_property
    def scored_runs(self) -> dict[tuple[str, int], list[float]]:
        """0 or 1 for each test example, by arm and number of the seed."""
        draw = random.Random(self.seed + 2)
        difficulty = [draw.gauss(0, 1) for _ in range(TEST)]
        count = self.seeds + self.fresh
        shared = [draw.gauss(0, self.noise / math.sqrt(2)) for _ in range(count)]
        found = {}
        for arm in self.arms:
            level = self.level(arm["name"])
            for number in range(count):
                value = level + shared[number] + draw.gauss(0, self.noise / math.sqrt(2))
                right = min(TEST, max(0, round(TEST * value)))
                # Hard examples go wrong first, and not always the same ones.
                order = sorted(range(TEST), key=lambda i: difficulty[i] + draw.gauss(0, 0.5))
                scores = [0.0] * TEST
                for index in order[:right]:
                    scores[index] = 1.0
                found[arm["name"], number] = scores
        return found

    def level(self, arm: str) -> float:
        """What an arm reaches on the test split on average."""
        if self.gap is not None:
            return 0.90 + (self.gap * self.noise if arm == self.strategies[-1] else 0.0)
        if arm == "default":
            return 0.925
        return CEILINGS[arm.partition("-")[2]] + 0.001 * OPTIMIZERS.index(arm.partition("-")[0])

    def state(self, arm: str, number: int) -> str:
        """Of one confirmation run."""
        place = number * len(self.arms) + [item["name"] for item in self.arms].index(arm)
        if self.ended is not None and place >= self.ended:
            return "running" if place == self.ended else "parked"
        return "failed" if (arm, number) in self.diverged else "complete"


def levels_of(strategy: str) -> dict[str, str]:
    optimizer, _, depth = strategy.partition("-")
    return {"optimizer": optimizer, "freeze_depth": depth}


def protocol_text(case: Case) -> str:
    return json.dumps(case.protocol, indent=1) + "\n"


def sha256(case: Case) -> str:
    """Of the protocol that was logged when the confirmation began."""
    return hashlib.sha256(protocol_text(case).encode()).hexdigest()


def second_protocol(case: Case) -> dict[str, Any]:
    """As ``workbench confirm --fresh`` writes it."""
    return {
        "schema": 2,
        "study": "digits",
        "amends": sha256(case),
        "seeds": case.seed_names[case.seeds :],
    }


def second_sha256(case: Case) -> str:
    """Of the protocol of the second look."""
    text = json.dumps(second_protocol(case), indent=1) + "\n"
    return hashlib.sha256(text.encode()).hexdigest()


def second_look(case: Case) -> SecondLook | None:
    """As the tracker reads it."""
    digest = second_sha256(case)
    found = SecondLook(protocol=second_protocol(case), sha256=digest, logged=digest)
    return found if case.fresh else None


def selection(case: Case) -> dict[str, Any]:
    """As selection.json has it."""
    return {
        "chosen": case.chosen,
        "runs": case.selected,
        "finalists": [*case.finalists],
        "arms": case.arms,
        "default_is": case.default_is,
    }


def run_id(arm: str, number: int) -> str:
    return f"{hash_of('confirmation', arm, number):032x}"


def study(**knobs: Any) -> StoredStudy:
    """The description, with protocol and selection."""
    return _study(Case(**knobs))


def rows(case: Case) -> list[dict[str, Any]]:
    """Fields of every run: search, selection and confirmation."""
    tried = [{**item, "seed": "4096", "data_digest": _digest(case)} for item in case.search]
    found = [*tried, *_selection_rows(case), *_confirmation_rows(case)]
    return [{"provenance": PROVENANCE, **item} for item in found]


def scores(**knobs: Any) -> dict[str, list[float]]:
    """By run id of the confirmation runs that completed."""
    return _scores(Case(**knobs))


def histories(**knobs: Any) -> dict[str, dict[str, list[tuple[float, float]]]]:
    """By run id of the confirmation runs: twelve epochs of loss and validation accuracy."""
    return _histories(Case(**knobs))


def material(**knobs: Any) -> Material:
    """All of it."""
    case = Case(**knobs)
    return Material(
        study=_study(case),
        trials=runs(rows(case)),
        scores=_scores(case),
        histories=_histories(case),
    )


def described(case: Case) -> dict[str, Any]:
    """As study.json has it."""
    levels = [levels_of(name) for name in case.strategies]
    return searched.described() | {
        "mode": "joint" if case.joint else "balanced",
        "factors": {
            factor: list(dict.fromkeys(item[factor] for item in levels))
            for factor in ("optimizer", "freeze_depth")
        },
        "strategies": [
            {"name": name, "levels": item}
            for name, item in zip(case.strategies, levels, strict=True)
        ],
        "budget": _budget(case),
        "baseline": BASELINE,
    }


def _study(case: Case) -> StoredStudy:
    protocol, logged = case.protocol, sha256(case)
    digest = logged
    if case.edited:
        protocol = {**protocol, "smallest_effect": 0.001}
        digest = hashlib.sha256(json.dumps(protocol, indent=1).encode()).hexdigest()
    return describe(
        **described(case),
        parents={"search": "f" * 32, "confirmation": "c" * 32},
        protocol=protocol,
        protocol_sha256=digest,
        protocol_logged=logged,
        second_look=second_look(case),
        selection=selection(case),
    )


def _budget(case: Case) -> dict[str, Any]:
    total = 12 * len(case.strategies)
    return {"trials_per_strategy": None if case.joint else 12, "total": total}


def _selection_rows(case: Case) -> list[dict[str, Any]]:
    rows = []
    seeds = case.protocol["selection"]["seeds"]
    for name, items in case.selected.items():
        for item in items:
            group = f"{name}/{item['candidate']:03d}"
            for number, value in enumerate(item["values"]):
                common = _common(case, name, "selection", group, number, value)
                rows.append(row(name, number, value) | common | {"seed": seeds[number]})
    return rows


def _confirmation_rows(case: Case) -> list[dict[str, Any]]:
    rows = []
    draw = random.Random(case.seed + 3)
    for arm in case.arms:
        name = arm["name"]
        for number, seed in enumerate(case.seed_names):
            state = case.state(name, number)
            done = state == "complete"
            reached = math.fsum(case.scored_runs[name, number]) / TEST
            validation = _third(reached + 0.006, draw) if done else None
            changes = _common(case, name, "confirmation", name, number, validation) | {
                "run_id": run_id(name, number),
                "state": state,
                "seed": seed,
                "hyperparameters": arm["hyperparameters"],
                "levels": arm["levels"],
                "optimizer": arm["levels"]["optimizer"],
                "freeze_depth": DEPTHS[arm["levels"]["freeze_depth"]],
                "learning_rate": arm["hyperparameters"]["learning_rate"],
                "test": {"test/accuracy": reached, "test/loss": 1 - reached} if done else {},
                "seconds": round(draw.uniform(0.2, 0.4), 3),
                "peak_memory": 3e8 + 1e6 * number if done else None,
                "started": STARTED + 1000 * number,
            }
            if number >= case.seeds:
                changes["protocol"] = second_sha256(case)
            if state == "failed":
                changes["reason"] = "diverged at epoch 3"
            rows.append(row(name, number, validation) | changes)
    return rows


def _common(
    case: Case, strategy: str, role: str, group: str, number: int, value: float | None
) -> dict[str, Any]:
    return {
        "run_id": f"{hash_of(role, group, number):032x}",
        "key": f"digits/{role}/{group}/{number:03d}",
        "role": role,
        "group": group,
        "strategy": strategy,
        "state": "complete",
        "metrics": {} if value is None else {"validation/accuracy": value},
        "protocol": sha256(case),
        "data_digest": _digest(case),
    }


def _scores(case: Case) -> dict[str, list[float]]:
    if not case.scored:
        return {}
    return {
        run_id(arm, number): values
        for (arm, number), values in case.scored_runs.items()
        if case.state(arm, number) == "complete"
    }


def _histories(case: Case) -> dict[str, dict[str, list[tuple[float, float]]]]:
    found: dict[str, dict[str, list[tuple[float, float]]]] = {}
    for (arm, number), values in case.scored_runs.items():
        reached = math.fsum(values) / TEST
        curve = [reached * (1 - math.exp(-epoch / 2.5)) for epoch in range(1, 13)]
        found[run_id(arm, number)] = {
            "validation/accuracy": [(float(n), value) for n, value in enumerate(curve, 1)],
            "train/loss": [(float(n), 1.6 * (1 - value)) for n, value in enumerate(curve, 1)],
        }
    return found


def _third(value: float, draw: random.Random) -> float:
    """Near a value, and a share of the 300 validation samples."""
    return min(300, max(0, round(300 * (value + draw.gauss(0, 0.006))))) / 300


def _digest(case: Case) -> str:
    return str(case.protocol["data"]["digest"])


def changed(found: Material, where: Mapping[str, Any], **values: Any) -> Material:
    """The same with some fields changed in the runs that match: role, strategy, number."""
    hits = [
        run for run in found.trials if all(getattr(run, name) == x for name, x in where.items())
    ]
    assert hits, f"no run has {dict(where)}"
    trials = tuple(replace(run, **values) if run in hits else run for run in found.trials)
    return replace(found, trials=trials)
