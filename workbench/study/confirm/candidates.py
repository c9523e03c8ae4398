"""Reads the records of a search: how many trials ended, and which were the best."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from statistics import median

from workbench import record
from workbench.record import Result, Role, State, TrialDirectory, TrialSpec
from workbench.study import plans, space
from workbench.study.config.changes import NotReadyError
from workbench.study.config.document import StudyFileError
from workbench.study.config.study_config import StudyConfig
from workbench.study.study import Study


@dataclass(frozen=True, kw_only=True)
class Candidate:
    """A completed search trial.

    Attributes:
        value: Of the objective, on validation data.
        trainable: Number of trainable parameters.
        seconds: From its start to its end.
    """

    spec: TrialSpec
    value: float
    trainable: int
    seconds: float


@dataclass(frozen=True, kw_only=True)
class SearchResults:
    """A search as far as it is.

    Attributes:
        ended: Trials that have ended, by group.
        trials: The same by strategy; in a joint study, of those that were proposed.
        completed: Completed trials by strategy.
        candidates: One trial for each distinct plan that completed, by strategy, the best first;
            of equal values the earlier trial. Strategies without any are left out.
        unfit: By strategy whose first trial, its default configuration, failed: why it did.
        kept: Strategies with a trial whose weights were kept: the best of each, unless the user's
            own training kept none.
    """

    config: StudyConfig
    ended: Mapping[str, int]
    trials: Mapping[str, int]
    completed: Mapping[str, int]
    candidates: Mapping[str, tuple[Candidate, ...]]
    kept: frozenset[str] = frozenset()
    unfit: Mapping[str, str] = field(default_factory=dict)

    @property
    def missing(self) -> dict[str, int]:
        """How many trials each group still lacks."""
        targets = space.targets(self.config)
        return dict(Counter(targets) - Counter(self.ended))

    @property
    def seconds(self) -> float | None:
        """Median time that a completed trial took; None where there is none."""
        costs = [one.seconds for found in self.candidates.values() for one in found]
        return median(costs) if costs else None

    def must_be_complete(self) -> None:
        """Nothing, if every group has its trials, as many as the others, and one of them counts.

        Raises:
            NotReadyError: Says how many are missing, and the command.
        """
        config, counts = self.config, [self.ended.get(g.name, 0) for g in self.config.groups]
        command = f"workbench run {config.document.path}"
        key = "search.trials_per_strategy" if config.balanced else "search.trials"
        if missing := self.missing:
            total = sum(space.targets(config).values())
            names = ", ".join(f"{name}: {count}" for name, count in missing.items())
            text = (
                f"The search of {config.name} is unfinished: {sum(missing.values())} of {total} "
                f"trials are missing ({names}). Finish it first: {command}"
            )
            # With equal numbers the strategies compare fairly, however short the search.
            if len(set(counts)) == 1 and counts[0]:
                text += f", or confirm what is there with --set {key}={counts[0]}"
            raise NotReadyError(text)
        if len(set(counts)) > 1:
            counts_text = ", ".join(
                f"{g.name}: {n}" for g, n in zip(config.groups, counts, strict=True)
            )
            raise NotReadyError(
                f"The strategies of {config.name} have unequal numbers of trials ({counts_text}), "
                f"which favours the longest search. Give all the same number: {command} "
                f"--set {key}={max(counts)}"
            )
        if not self.candidates:
            raise NotReadyError(
                f"No trial of {config.name} completed: there is nothing to confirm. "
                f"workbench show {config.name} lists why each of them failed."
            )

    def must_have_models(self) -> None:
        """Nothing, unless a training of the user's own keeps no model that could be tested.

        Raises:
            NotReadyError: A strategy has none; reported before hours are spent on runs that must
                fail.
        """
        lacking = {
            name: found[0].spec.plan.trial
            for name, found in self.candidates.items()
            if found[0].spec.plan.trial and name not in self.kept
        }
        if lacking:
            own = ", ".join(dict.fromkeys(str(reference) for reference in lacking.values()))
            raise NotReadyError(
                f"{own} kept no model in the search of {', '.join(lacking)}, and a confirmation "
                "tests a model. Yield a state dict of the plan's backbone with the metrics, or "
                "train trial.staged, and search under a new name; numbers without a model can be "
                "judged by workbench verdict."
            )

    def must_meet_the_contrast(self) -> None:
        """Nothing, unless a factor is compared whose levels would stand for different strategies.

        Raises:
            StudyFileError: They would, because a strategy has no completed trial.
        """
        contrast, lacking = self.config.contrast, self.without()
        if contrast in ("all", "baseline") or not lacking:
            return
        names = ", ".join(lacking)
        expected = (
            f"all or baseline, because no trial of {names} completed: the means of the levels "
            "would be over different strategies"
        )
        problem = self.config.document.problem(("confirm", "contrast"), contrast, expected)
        raise StudyFileError([problem])

    def without(self) -> dict[str, str]:
        """Strategies that cannot be compared, each with the reason; never of a joint study.

        There nobody asked for each of them.
        """
        if not self.config.balanced:
            return {}
        return {
            strategy.name: f"none of its {self.trials.get(strategy.name, 0)} trials completed"
            for strategy in self.config.strategies
            if strategy.name not in self.candidates
        }

    def notes(self, wanted: int) -> list[str]:
        """What an author should know of the strategies before anything is run for them.

        Args:
            wanted: Candidates that the selection takes of each.
        """
        found = [
            f"{name} is NOT COMPARABLE and left out: {reason}"
            for name, reason in self.without().items()
        ]
        fewer: dict[int, list[str]] = {}
        for name, candidates in self.candidates.items():
            if self.config.balanced and len(candidates) < wanted:
                fewer.setdefault(len(candidates), []).append(name)
        found += [
            f"confirm.select: {', '.join(names)}: only {count} of the {wanted} configurations, "
            "because no more differ and completed"
            for count, names in sorted(fewer.items())
        ]
        return found


def look(study: Study) -> SearchResults:
    """Read what the search of a study has left in the study's directory."""
    config = study.config
    groups = {group.name for group in config.groups}
    # A group that is no longer one is a level that the file no longer has.
    ended = [trial for trial in _ended(study.directory) if trial[1].group in groups]
    found: dict[str, list[Candidate]] = {}
    for _, spec, result in ended:
        if result.state is State.COMPLETE and result.value is not None:
            found.setdefault(spec.strategy, []).append(
                Candidate(
                    spec=spec,
                    value=result.value,
                    trainable=result.parameters.get("trainable", 0),
                    seconds=took(result),
                )
            )
    names = [strategy.name for strategy in config.strategies if strategy.name in found]
    for name in names:
        found[name].sort(key=lambda one: config.objective.rank(one.value, one.spec.number))
    return SearchResults(
        config=config,
        ended=Counter(spec.group for _, spec, _ in ended),
        trials=Counter(spec.strategy for _, spec, _ in ended),
        completed={name: len(found[name]) for name in names},
        candidates={name: tuple(_distinct(found[name])) for name in names},
        kept=frozenset(spec.strategy for at, spec, _ in ended if at.weights.exists()),
        unfit={
            spec.strategy: result.reason or "no reason recorded"
            for _, spec, result in ended
            if spec.number == 0 and result.state is State.FAILED
        },
    )


def _ended(directory: Path) -> Iterator[tuple[TrialDirectory, TrialSpec, Result]]:
    for found, spec in record.scan(directory):
        if spec.role is Role.SEARCH:
            result = found.result()
            if result is not None and result.state.ended and result.retried is None:
                yield found, spec, result


def took(result: Result) -> float:
    """Seconds from a trial's start to its end, what is not training included.

    Of one that was taken up again only the training is known.
    """
    return (result.ended - result.started) / 1000 if result.attempt == 1 else result.seconds


def _distinct(candidates: list[Candidate]) -> Iterator[Candidate]:
    """The first of those whose plans are the same: another seed would tell nothing new of it."""
    seen = set()
    for candidate in candidates:
        plan = plan_text(candidate.spec)
        if plan not in seen:
            seen.add(plan)
            yield candidate


def plan_text(spec: TrialSpec) -> str:
    """A plan as text: equal texts are equal trainings, but for the seed."""
    plan = asdict(plans.comparable(spec.plan))
    return json.dumps([record.plain(plan), spec.data_digest], sort_keys=True)
