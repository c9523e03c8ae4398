"""How a study is confirmed, fixed in a file before anything is run for it: ``protocol.json``.

The plan follows from the study file, the data and the finished search, and from nothing else: no
time, no path, no machine. So it can be made again at any time and held against the file. Knows no
worker and no MLflow, and no result of the runs that it plans.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from workbench import record, space
from workbench.config.changes import Changed, differences
from workbench.config.consistency import BASELINE
from workbench.config.document import StudyFileError
from workbench.config.study_config import StudyConfig
from workbench.definition import define, describe_entry
from workbench.foundation import Foundation
from workbench.protocol import arithmetic, obstacles
from workbench.protocol.searched import Candidate, look
from workbench.randomness import derive
from workbench.record import Role, TrialSpec
from workbench.space import Proposal

__all__ = [
    "ALPHA",
    "SELECTION",
    "Protocol",
    "baseline_of",
    "begun",
    "plan_of_confirmation",
    "refuse_more_trials",
    "replicate_seeds",
    "settle",
]

SCHEMA = 1
ALPHA = arithmetic.ALPHA
GAMMA = 0.75
LOOKS = 1
SELECTION = "selection.json"


@dataclass(frozen=True, kw_only=True)
class Protocol:
    """A plan of a confirmation.

    Attributes:
        content: What the file says.
        candidates: The search trials that the selection runs again, by strategy, the best first.
        notes: What an author should know before anything runs.
    """

    content: Mapping[str, Any]
    candidates: Mapping[str, tuple[TrialSpec, ...]]
    notes: tuple[str, ...] = ()

    @property
    def text(self) -> bytes:
        """The file's bytes."""
        return (json.dumps(self.content, indent=1) + "\n").encode()

    @property
    def sha256(self) -> str:
        """Of those bytes, in hexadecimal."""
        return hashlib.sha256(self.text).hexdigest()


def replicate_seeds(config: StudyConfig, role: Role, count: int) -> list[int]:
    """The shared list of training seeds of a selection or a confirmation."""
    return [derive(config.search.seed, "training", str(role), i) for i in range(count)]


def baseline_of(config: StudyConfig) -> Proposal:
    """The default configuration that everything is held against.

    That of the strategy which ``confirm.baseline`` names; else the first level of every factor.
    """
    named = {strategy.name: strategy for strategy in config.strategies}
    strategy = named.get(config.confirm.baseline or BASELINE)
    return space.start(config, strategy or space.default(config, config.groups[0]).strategy)


def begun(directory: Path) -> bool:
    """Whether a study's confirmation has begun: its protocol is there."""
    return record.protocol_path(directory).exists()


def plan_of_confirmation(config: StudyConfig, foundation: Foundation, directory: Path) -> Protocol:
    """What the confirmation of a finished search will do.

    Args:
        config: The study.
        foundation: Its data, backbones and weights.
        directory: The study's directory with the records of its search.

    Raises:
        StudyFileError: What the study file says, or lacks, allows no confirmation.
        Unready: The search does not, yet.
    """
    problems = obstacles.find(config, foundation)
    if problems:
        raise StudyFileError(problems)
    searched = look(config, directory)
    searched.must_be_complete()
    searched.must_meet_the_contrast()
    confirm, baseline = config.confirm, baseline_of(config)
    chosen = {name: found[: confirm.select.configs] for name, found in searched.candidates.items()}
    arms = arithmetic.arms(config, len(chosen))
    pairs = arithmetic.pairs(config, arms)
    count = arithmetic.seeds(config, pairs)
    metric = config.objective.metric
    sizes = foundation.sizes(foundation.knobs(config.strategies[0]))
    content = {
        "schema": SCHEMA,
        "study": config.name,
        "metric": arithmetic.test_metric(config),
        "validation_metric": metric,
        "direction": config.objective.direction,
        "bounds": list(arithmetic.bounds(config, foundation)),
        "epoch": config.objective.epoch,
        "alpha": ALPHA,
        "gamma": GAMMA,
        "smallest_effect": confirm.smallest_effect,
        "looks": LOOKS,
        "contrast": config.contrast,
        "pairs": pairs,
        "seeds_floor": arithmetic.floor(pairs),
        "seeds": _texts(replicate_seeds(config, Role.CONFIRMATION, count)),
        "selection": {
            "configs": confirm.select.configs,
            "seeds": _texts(replicate_seeds(config, Role.SELECTION, confirm.select.seeds)),
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
        "search": _search(config),
        "data": {
            "name": foundation.knobs(config.strategies[0])["dataset"]["name"],
            "digest": sizes["digest"],
            "test": sizes["test"],
            "test_digest": sizes["test_digest"],
        },
        "definitions": {
            group.name: _hash(define(config, group, foundation)) for group in config.groups
        },
        "pruning": "none",
    }
    return Protocol(
        content=record.plain(content),
        candidates={name: tuple(one.spec for one in found) for name, found in chosen.items()},
        notes=(*arithmetic.cautions(count, pairs), *searched.notes(confirm.select.configs)),
    )


def _texts(seeds: list[int]) -> list[str]:
    # A reader of JSON may keep 53 bits of a number; a seed has 63.
    return [str(seed) for seed in seeds]


def _candidate(candidate: Candidate) -> dict[str, Any]:
    return {
        "trial": candidate.spec.name,
        "number": candidate.spec.number,
        "value": candidate.value,
        "hyperparameters": dict(candidate.spec.hyperparameters),
    }


def _search(config: StudyConfig) -> dict[str, Any]:
    search, targets = config.search, space.targets(config)
    return {
        "mode": "balanced" if config.balanced else "joint",
        "sampler": search.sampler.name,
        "sampler_options": dict(search.sampler.options),
        "pruner": search.pruner.name,
        "pruner_options": dict(search.pruner.options),
        "startup_trials": config.startup_trials,
        "seed": search.seed,
        "budget": {
            "trials_per_strategy": search.trials_per_strategy,
            "total": sum(targets.values()),
            "targets": targets,
        },
        "tune": [
            {"knob": tuned.knob, **describe_entry(entry)}
            for tuned in config.tune
            for entry in tuned.entries
        ],
    }


def _hash(definition: Mapping[str, Any]) -> str:
    return hashlib.sha256(json.dumps(definition, sort_keys=True).encode()).hexdigest()


def settle(protocol: Protocol, directory: Path, file: Path, *, logged: str | None = None) -> None:
    """Write the protocol, once; or hold it against the one that was written before.

    Args:
        protocol: As the study stands now.
        directory: The study's directory; the caller holds its lease.
        file: The study file, for the message.
        logged: SHA-256 of the protocol that MLflow knows; None where it knows none.

    Raises:
        Changed: The confirmation has begun by another protocol; the message says what differs, and
            whether the study file or the protocol's own was changed.
    """
    path, study = record.protocol_path(directory), protocol.content["study"]
    if not path.exists():
        if any(directory.glob("selection/*/*/*/spec.json")) or any(
            directory.glob("confirmation/*/*/spec.json")
        ):
            raise Changed(
                f"{path} is gone, but runs that it planned are there. Put it back, or give the "
                f"study {study} a new name."
            )
        record.write_atomically(path, protocol.text)
        return
    stored = path.read_bytes()
    if stored == protocol.text:
        return
    try:
        lines = differences(json.loads(stored), protocol.content)
    except ValueError as error:
        lines = [f"the file is damaged ({error})"]
    told = "\n".join(f"  {line}" for line in lines or ["its text, though nothing that it says"])
    if logged == protocol.sha256:
        raise Changed(
            f"{path} was edited after the confirmation of {study} began. It differs from what "
            f"MLflow holds, and {file} does not:\n{told}\n"
            "Put the file back (MLflow has it below study/ of the run "
            f"{study} confirmation), or give the study a new name."
        )
    raise Changed(
        f"{file}: the confirmation of {study} has begun by another protocol ({path}):\n{told}\n"
        "A protocol is fixed before the first run, so that no result can shape it. Restore these "
        "settings, or give the study a new name."
    )


def refuse_more_trials(config: StudyConfig, directory: Path) -> None:
    """Nothing, unless a confirmation has begun and a search would still add trials.

    Raises:
        Changed: It would; the message says which.
    """
    if not begun(directory):
        return
    missing = look(config, directory).missing
    if not missing:
        return
    names = ", ".join(f"{name}: {count}" for name, count in missing.items())
    total = sum(missing.values())
    raise Changed(
        f"{config.document.path}: the confirmation of {config.name} has begun, and its protocol "
        f"names the trials that it rests on. {total} more {'trial' if total == 1 else 'trials'} "
        f"({names}) would change what was searched. For a longer search or another level give the "
        "study a new name."
    )
