"""The evidence of a study for its verdict: test values by arm and seed, and doubts about them.

The doubts come from the records: an edited protocol, runs that it does not plan, search trials
added after it, changed code or data. ``verdict`` decides what follows; docs/confirmation.md has the
rules.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import replace

from workbench import verdict
from workbench.messages import counted, joined
from workbench.record import Addition, Role
from workbench.report.checks.conditions import mixed
from workbench.report.material import Material
from workbench.report.protocol import Protocol
from workbench.report.protocol_checks import named, protocol_problems
from workbench.report.runs import Arm, Confirmation, unplanned
from workbench.report.trials import by_strategy
from workbench.tracker.stored_study import StoredStudy
from workbench.tracker.trial_run import TrialRun
from workbench.verdict import Design, Doubt, Evidence, Stage, Word
from workbench.verdict.contrast import ALL
from workbench.verdict.refusals import ClaimError, because

_EARLIER_RULE = (
    "The protocol was written for an earlier rule (Holm's correction over all pairs), so the rule"
    " of this verdict was not fixed before the test split was used."
)


def gather(
    material: Material, trials: Sequence[TrialRun], confirmation: Confirmation | None
) -> Evidence:
    """The evidence of a search, or of a confirmation once all of its runs have ended.

    Args:
        material: What was read of the study.
        trials: Of the search.
        confirmation: None where none has begun.
    """
    if confirmation is None:
        return _of_search(material.study, trials, tuple(_without_protocol(material)))
    doubts = tuple(_doubts(material, confirmation))
    if not confirmation.finished:
        return _of_search(material.study, trials, (unfinished(confirmation), *doubts))
    # The verdict estimates with it how long more seeds would take.
    seconds = [run.seconds for run in confirmation.runs if run.seconds is not None]
    return Evidence(
        stage=Stage.CONFIRMATION,
        design=_design(confirmation.protocol),
        arms=tuple(_arm(material, confirmation, arm) for arm in confirmation.arms),
        absent={
            item.strategy: item.reason.rstrip(".") for item in confirmation.protocol.not_comparable
        },
        doubts=doubts,
        caveat=_EARLIER_RULE if confirmation.protocol.schema == 1 else "",
        seconds=sum(seconds) / len(seconds) if seconds else None,
    )


def of_addition(evidence: Evidence, added: Addition) -> Evidence:
    """The evidence of what was added to a study, which alone answers no question."""
    text = (
        f"{added.factor} {added.level} was added to {added.study}, whose report compares it with"
        f" what was tested before: workbench report {added.study}."
    )
    doubt = Doubt(word=Word.NOT_COMPARABLE, text=text)
    return replace(
        evidence, doubts=(doubt, *evidence.doubts), design=replace(evidence.design, contrast=ALL)
    )


def unfinished(confirmation: Confirmation) -> Doubt:
    """Why no result of an unfinished confirmation is shown."""
    if not confirmation.chosen:
        text = "The selection has not ended; there is no test value yet."
    else:
        text = (
            f"The confirmation is unfinished: {confirmation.done} of {confirmation.planned} runs"
            " have ended; test values are shown once all have ended."
        )
    return Doubt(word=Word.EXPLORATORY, text=text)


def _without_protocol(material: Material) -> Iterator[Doubt]:
    if runs := unplanned(material):
        text = (
            f"{_there(runs)} without a protocol, so it is unknown what was planned before the test"
            " split was used. No test value is shown."
        )
        yield Doubt(word=Word.EXPLORATORY, text=text)


def _of_search(
    study: StoredStudy, trials: Sequence[TrialRun], doubts: tuple[Doubt, ...]
) -> Evidence:
    return Evidence(
        stage=Stage.SEARCH,
        design=Design(
            metric=study.objective.metric,
            direction=study.objective.direction,
            smallest_effect=None,
        ),
        arms=tuple(
            verdict.Arm(
                name=name,
                budget=len(group),
                levels=group[0].levels if group else {},
                runs=tuple(
                    verdict.Run(seed=t.name, value=t.value, state=t.state, run_id=t.run_id)
                    for t in group
                ),
            )
            for name, group in by_strategy(study, trials).items()
        ),
        doubts=doubts,
    )


def _design(protocol: Protocol) -> Design:
    return Design(
        metric=protocol.metric,
        direction=protocol.direction,
        smallest_effect=protocol.smallest_effect,
        seeds=protocol.seeds,
        contrast=protocol.contrast,
        bounds=protocol.bounds,
        alpha=protocol.level,
        effects=bool(protocol.effects),
        looks=protocol.looks,
        seeds_by_look=protocol.seeds_by_look,
    )


def _arm(material: Material, confirmation: Confirmation, arm: Arm) -> verdict.Arm:
    protocol = confirmation.protocol
    runs = [(seed, arm.runs[seed]) for seed in protocol.seeds if seed in arm.runs]
    # The default configuration was not searched for, so it has no budget.
    is_default = arm.plan.baseline and arm.name != arm.plan.strategy
    return verdict.Arm(
        name=arm.name,
        levels=arm.plan.levels,
        baseline=arm.plan.baseline,
        budget=None if is_default else _budget(protocol, arm),
        runs=tuple(
            verdict.Run(
                seed=seed,
                value=run.test.get(protocol.metric),
                state=run.state,
                run_id=run.run_id,
                config=run.config,
                split=f"{protocol.test_digest or ''} of {run.data_digest}",
                scores=material.scores.get(run.run_id, ()),
            )
            for seed, run in runs
        ),
    )


def _budget(protocol: Protocol, arm: Arm) -> int | None:
    """Search trials behind an arm; in a joint study, all trials are behind every arm."""
    if protocol.joint:
        counts = [count for count in protocol.trials.values() if count is not None]
        return sum(counts) if counts else None
    return protocol.trials.get(arm.plan.strategy)


def _doubts(material: Material, confirmation: Confirmation) -> Iterator[Doubt]:
    for problem in protocol_problems(material, confirmation):
        yield Doubt(word=Word.EXPLORATORY, text=problem.text)
    yield from _beyond(confirmation)
    yield from _search_changed(material, confirmation)
    yield from _other_configurations(confirmation)
    yield from _data(confirmation)
    yield from mixed(confirmation.runs)
    yield from _later(confirmation)
    for text in material.tested_by_others:
        yield Doubt(text=text)


def _later(confirmation: Confirmation) -> Iterator[Doubt]:
    """How far a second look is, whose runs do not count yet."""
    if confirmation.later_planned:
        done = sum(run.ended for run in confirmation.later)
        text = (
            f"The second look is unfinished: {done} of {confirmation.later_planned} runs have"
            " ended. Until the last has ended, no test value of them is shown and the verdict is"
            " that of the first look."
        )
        yield Doubt(text=text)


def _beyond(confirmation: Confirmation) -> Iterator[Doubt]:
    arms = {arm.name for arm in confirmation.arms}
    added = [run for run in confirmation.beyond if run.group in arms]
    if added:
        text = (
            f"{_there(len(added))} beyond the {len(confirmation.protocol.seeds)} seeds of the"
            f" protocol ({named(added)}), not counted here."
        )
        yield because(10, Word.EXPLORATORY, text)
    unknown = [run for run in confirmation.beyond if run.group not in arms]
    # Before the selection has ended, the arms are only those that it may select.
    if unknown and confirmation.chosen:
        text = (
            f"{counted(len(unknown), 'run')} of configurations that the selection did not choose"
            f" used the test split ({named(unknown)})."
        )
        yield because(2, Word.EXPLORATORY, text)


def _search_changed(material: Material, confirmation: Confirmation) -> Iterator[Doubt]:
    planned = confirmation.protocol.trials
    current = {strategy.name for strategy in material.study.strategies}
    started = Counter(run.strategy for run in material.trials if run.role == Role.SEARCH)
    word = Word.EXPLORATORY
    more = {n: count for n, count in started.items() if count > (planned.get(n) or count)}
    if more:
        text = ", ".join(f"{name} has {count}, not {planned[name]}" for name, count in more.items())
        text = f"Search trials were added after the protocol was written: {text}."
        yield because(4, word, text)
    fewer = {name: n for name, n in planned.items() if n and started.get(name, 0) < n}
    if fewer:
        text = ", ".join(f"{name} has {started.get(name, 0)}, not {n}" for name, n in fewer.items())
        # Deleted trials may have been the bad ones, which would flatter what is left.
        text = f"Search trials that the protocol counted are no longer in MLflow: {text}."
        yield because(6, word, text)
    added = sorted(name for name in current & started.keys() if name not in planned)
    if added:
        verb = "was" if len(added) == 1 else "were"
        text = f"{', '.join(added)} {verb} searched after the protocol was written."
        yield Doubt(word=word, text=text)


def _other_configurations(confirmation: Confirmation) -> Iterator[Doubt]:
    for arm in confirmation.arms:
        runs = [run for run in arm.runs.values() if run.config != arm.plan.config]
        if runs and confirmation.chosen:
            text = (
                f"{counted(len(runs), 'run')} of {arm.name} trained another configuration than the"
                " selection chose."
            )
            yield because(2, Word.NOT_COMPARABLE, text)
            continue
        # Runs that are not counted have used the test split as well.
        beyond = (run for run in confirmation.beyond if run.group == arm.name)
        tested = {r.config: r.name for r in (*arm.runs.values(), *beyond) if r.test}
        if len(tested) > 1:
            several = joined(sorted(tested.values()), 6)
            found = (
                f"{arm.name} has test values of {len(tested)} configurations ({several}),"
                " expected 1."
            )
            yield Doubt(rule=2, word=Word.NOT_COMPARABLE, text=str(ClaimError(2, found)))


def _data(confirmation: Confirmation) -> Iterator[Doubt]:
    planned = confirmation.protocol.data_digest
    used = sorted({run.data_digest for run in confirmation.runs if run.data_digest})
    text = ""
    if len(used) > 1:
        text = (
            f"The runs used {len(used)} versions of the data set ({', '.join(map(_short, used))})"
        )
    elif planned and used and used != [planned]:
        text = f"The runs used other data ({_short(used[0])}) than the protocol ({_short(planned)})"
    if text:
        yield because(16, Word.NOT_COMPARABLE, f"{text}.")


def _short(digest: str) -> str:
    """Twelve digits, without the name of the algorithm."""
    return digest.rpartition(":")[2][:12]


def _there(number: int) -> str:
    return f"There {'is' if number == 1 else 'are'} {counted(number, 'confirmation run')}"
