"""Whether a study tests on samples that its initial weights have learnt from.

Weights of another trial were trained on one part of its data and chosen on another. Where a study
uses the same data, and divides them in another way, its test part has such samples.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from workbench import datasets, record, tasks
from workbench.datasets import Division
from workbench.record import TrialDirectory, TrialSpec
from workbench.record.strategy import Plan, Weights
from workbench.study.study import Study


@dataclass(frozen=True, kw_only=True)
class Contamination:
    """What weights have seen of the test part of a study that starts from them.

    Attributes:
        weights: As the study file names them.
        trial: That was trained on the samples: ``STUDY's STRATEGY/NUMBER``.
        seen: How many test samples it was trained or validated on; None where that is not known.
        tested: How many test samples there are.
        reason: Why it is not known.
    """

    weights: str
    trial: str
    seen: int | None
    tested: int = 0
    reason: str = ""

    def __str__(self) -> str:
        if self.seen is None:
            return (
                f"it is not known whether {self.trial}, from which {self.weights} comes, was "
                f"trained on test samples of this study: {self.reason}"
            )
        were = "was" if self.seen == 1 else "were"
        return (
            f"{self.seen} of {self.tested} test samples {were} in the training or validation part "
            f"of {self.trial}, from which {self.weights} comes"
        )


def find(study: Study) -> list[Contamination]:
    """Every trial whose weights a study starts from and that has, or may have, seen test samples.

    Weights whose study has not run yet, and files that no trial of a home has written, are not
    looked at.
    """
    found: dict[Contamination, None] = {}
    looked_at = set()
    for strategy in study.strategies:
        for proposal in strategy.proposals:
            knobs = study.knobs(proposal)
            written = knobs["backbone"].get("weights")
            concerned = json.dumps(record.plain([knobs[name] for name in ("dataset", "backbone")]))
            if not written or concerned in looked_at:
                continue
            looked_at.add(concerned)
            plan = study.plan(proposal)
            for spec in _trained(plan.weights):
                look = _look(study, plan, spec)
                if look["seen"] != 0:
                    trial = f"{spec.study}'s {spec.name}"
                    found[Contamination(weights=str(written), trial=trial, **look)] = None
    return list(found)


def _trained(weights: Weights | None) -> Iterator[TrialSpec]:
    """The trial that weights are from, then the one whose weights it started from, and so on."""
    keys: set[str] = set()
    while weights is not None:
        trial = TrialDirectory(Path(weights.source).parent)
        spec = trial.spec() if str(trial.weights) == weights.source else None
        if spec is None or spec.key in keys:
            return
        keys.add(spec.key)
        yield spec
        weights = spec.plan.weights


def _division(plan: Plan, study_seed: int, seed: int) -> Division:
    target = tasks.target_of(plan.task)
    return Division(dataset=plan.dataset, target=target, study_seed=study_seed, seed=seed)


def _look(study: Study, plan: Plan, spec: TrialSpec) -> dict[str, Any]:
    """How many test samples of a plan another trial has ``seen``, of how many ``tested``."""
    tested = _division(plan, study.config.search.seed, study.inputs.seed)
    trained = _division(spec.plan, spec.study_seed, spec.seed)

    def compute() -> dict[str, Any]:
        try:
            if datasets.sizes(**vars(trained))["digest"] != spec.data_digest:
                return {"seen": None, "reason": "its data have changed since"}
            seen, count = datasets.overlap(tested, trained)
        except (ValueError, OSError) as error:
            return {"seen": None, "reason": str(error).rstrip(".")}
        return {"seen": seen, "tested": count}

    paths = [datasets.paths_of(each.dataset) for each in (tested, trained)]
    key = (asdict(tested), asdict(trained), spec.data_digest)
    look: dict[str, Any] = study.inputs.once(compute, paths, "contamination", *key)
    return look
