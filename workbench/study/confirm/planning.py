"""The plan of a confirmation, written to ``protocol.json`` before anything runs for it.

It follows from the study file, the data and the finished search alone, without times, paths or
machines. So it can be made again at any time and compared with the file.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from workbench import record
from workbench.record import Addition, Role, TrialSpec
from workbench.record.seeds import derive
from workbench.study import space
from workbench.study.config.consistency import BASELINE
from workbench.study.config.document import StudyFileError
from workbench.study.config.study_config import StudyConfig
from workbench.study.confirm import design, requirements
from workbench.study.confirm.candidates import Candidate, SearchResults, look
from workbench.study.description import search_settings
from workbench.study.space import Proposal
from workbench.study.study import Study
from workbench.verdict import ALPHA

SCHEMA = 2
SELECTION = "selection.json"


@dataclass(frozen=True, kw_only=True)
class Protocol:
    """The plan of a confirmation, as ``protocol.json`` or ``protocol-2.json`` holds it.

    Attributes:
        content: What the file says.
        candidates: The search trials that the selection runs again, by strategy, the best first;
            none for a second look.
        notes: What an author should know before anything runs.
    """

    content: Mapping[str, Any]
    candidates: Mapping[str, tuple[TrialSpec, ...]] = field(default_factory=dict)
    notes: tuple[str, ...] = ()

    @property
    def text(self) -> bytes:
        """The file's bytes."""
        return (json.dumps(self.content, indent=1) + "\n").encode()

    @property
    def sha256(self) -> str:
        """Of those bytes, in hexadecimal."""
        return hashlib.sha256(self.text).hexdigest()


def seeds_of(config: StudyConfig, role: Role, count: int, *, schema: int) -> list[str]:
    """The shared list of training seeds of a selection or a confirmation.

    The name of the study is part of their derivation, so that a study with a new name gets fresh
    ones. A level that is added to a study gets those of the study.
    """
    keys = ("training", str(role)) if schema == 1 else ("training", config.seed_study, str(role))
    # As texts: a reader of JSON may keep 53 bits of a number, and a seed has 63.
    return [str(derive(config.search.seed, *keys, i)) for i in range(count)]


def baseline_of(config: StudyConfig) -> Proposal:
    """The default configuration, which is the baseline of all comparisons.

    That of the strategy which ``confirm.baseline`` names; else the first level of every factor. A
    level that is added has that of its study.
    """
    config = replace(config, added=None)
    named = {strategy.name: strategy for strategy in config.strategies}
    strategy = named.get(config.confirm.baseline or BASELINE)
    return space.start(config, strategy or space.start(config, config.groups[0]).strategy)


def plan_of_confirmation(study: Study) -> Protocol:
    """What the confirmation of a finished search will do.

    Raises:
        StudyFileError: The study file does not allow a confirmation.
        NotReadyError: The search does not, yet.
    """
    config = study.config
    problems = requirements.find(study)
    if problems:
        raise StudyFileError(problems)
    searched = look(study)
    searched.must_be_complete()
    searched.must_meet_the_contrast()
    searched.must_have_models()
    confirm, baseline = config.confirm, baseline_of(config)
    chosen = {name: found[: confirm.select.configs] for name, found in searched.candidates.items()}
    arms = design.arms(config, len(chosen))
    pairs = design.pairs(config, arms)
    # A confirmation that began with an earlier version continues by its own protocol.
    earlier = _earlier(study)
    schema = 1 if earlier else SCHEMA
    tests = pairs if earlier else design.tests(config, pairs)
    count = confirm.seeds or len(earlier.get("seeds", ())) or design.seeds(config, tests)
    metric = config.objective.metric
    knobs = study.strategies[0].knobs
    sizes = study.inputs.sizes(knobs)
    content = {
        "schema": schema,
        "study": config.name,
        **(_amendment(config.added) if config.added else {}),
        # Fixed before any of them is tested: none is added or left out by its result.
        **({"across": list(config.cell.planned)} if config.cell else {}),
        "metric": config.objective.tested,
        "validation_metric": metric,
        "direction": config.objective.direction,
        "bounds": list(design.bounds(study)),
        "epoch": config.objective.epoch,
        "alpha": ALPHA,
        **({"gamma": earlier["gamma"]} if "gamma" in earlier else {}),
        "smallest_effect": confirm.smallest_effect,
        "looks": confirm.looks,
        "contrast": config.contrast,
        "pairs": pairs,
        **({} if earlier else {"effects": _effects(config)}),
        "seeds_floor": design.floor(config, tests),
        "seeds": seeds_of(config, Role.CONFIRMATION, count, schema=schema),
        "selection": {
            "configs": confirm.select.configs,
            "seeds": seeds_of(config, Role.SELECTION, confirm.select.seeds, schema=schema),
            "candidates": {
                name: [_candidate(one) for one in found] for name, found in chosen.items()
            },
        },
        "strategies": [
            {
                "name": strategy.name,
                "levels": dict(strategy.levels),
                "trials": searched.trials.get(strategy.name, 0),
                "completed": searched.completed.get(strategy.name, 0),
            }
            for strategy in config.strategies
            # Of a joint study those that the search has proposed.
            if config.balanced or strategy.name in searched.trials
        ],
        "not_comparable": [
            {"strategy": name, "reason": reason} for name, reason in searched.without().items()
        ],
        "finalists": config.finalists,
        "baseline": {
            "name": BASELINE,
            "strategy": baseline.strategy.name,
            "levels": dict(baseline.strategy.levels),
            "hyperparameters": dict(baseline.hyperparameters),
        },
        "search": search_settings(config),
        "data": {
            "name": knobs["dataset"]["name"],
            "digest": sizes["digest"],
            "test": sizes["test"],
            "test_digest": sizes["test_digest"],
        },
        "definitions": {group.name: _hash(group.definition) for group in study.groups},
        "pruning": "none",
    }
    return Protocol(
        content=record.plain(content),
        candidates={name: tuple(one.spec for one in found) for name, found in chosen.items()},
        notes=(
            *design.cautions(config, count, tests),
            *searched.notes(confirm.select.configs),
            *(() if config.added else _unfit(searched, baseline)),
        ),
    )


def _amendment(added: Addition) -> dict[str, Any]:
    """What a level that is added amends; ``strategies`` names its new strategies."""
    what = {"study": added.study, "factor": added.factor, "level": added.level}
    return {"amends": added.amends, "added": what}


def _effects(config: StudyConfig) -> list[str]:
    """The factors whose main effects and interactions are tested besides the configurations."""
    factors = [factor.name for factor in config.compare]
    return factors if config.contrast == "all" and len(factors) > 1 else []


def _earlier(study: Study) -> Mapping[str, Any]:
    """The content of a protocol that an earlier version wrote; empty without one.

    Its seeds do not depend on the study's name, and it plans Holm's correction over all pairs.
    """
    try:
        content: dict[str, Any] = json.loads(record.protocol_path(study.directory).read_bytes())
        return content if content["schema"] == 1 else {}
    except (OSError, ValueError, KeyError, TypeError):
        return {}  # ``preregistration.check_unchanged`` says what is wrong with it.


def _unfit(searched: SearchResults, baseline: Proposal) -> Iterator[str]:
    """A default configuration that has failed before may cost the whole comparison."""
    name = baseline.strategy.name
    if name in searched.unfit:
        yield (
            f"confirm.baseline: the default configuration of {name} failed in the search "
            f"({searched.unfit[name]}); the arm {BASELINE} will hardly do better on other seeds, "
            "and without any value of it the verdict may be NOT COMPARABLE"
        )


def _candidate(candidate: Candidate) -> dict[str, Any]:
    return {
        "trial": candidate.spec.name,
        "number": candidate.spec.number,
        "value": candidate.value,
        "hyperparameters": dict(candidate.spec.hyperparameters),
    }


def _hash(definition: Mapping[str, Any]) -> str:
    return hashlib.sha256(json.dumps(definition, sort_keys=True).encode()).hexdigest()
