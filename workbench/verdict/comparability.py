"""What forbids a comparison: in an arm, between arms, in the list of seeds.

``table`` collects these doubts; each has the number of a refusal and names arms and seeds.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence

from workbench.messages import joined
from workbench.verdict.evidence import Arm, Design, Doubt, Run
from workbench.verdict.judgement import Word
from workbench.verdict.refusals import because


def of_arm(arm: Arm, seeds: Sequence[str], design: Design) -> Iterator[Doubt]:
    """What forbids to compare an arm with any other: its runs are not one for each seed."""
    if not arm.runs:
        yield _refused(6, f"{arm.name} has no run.")
        return
    by_seed: dict[str, list[Run]] = {}
    for run in arm.runs:
        by_seed.setdefault(run.seed, []).append(run)
    if missing := [seed for seed in seeds if seed not in by_seed]:
        # Where no list was fixed in advance, the seeds of all arms together are the list.
        rule = 6 if design.seeds else 9
        yield _refused(rule, f"{arm.name} has no run for {named(missing)}.")
    if double := [seed for seed, runs in by_seed.items() if len(runs) > 1]:
        yield _refused(9, f"{arm.name} has several runs for {named(double)}, expected one.")
    planned = [run for run in arm.runs if run.seed in set(seeds)]
    if pruned := [run.seed for run in planned if run.state == "pruned"]:
        yield _refused(5, f"{arm.name} was pruned on {named(pruned)}.")
    if running := [run for run in planned if not run.ended]:
        states = " and ".join(dict.fromkeys(run.state for run in running))
        text = named([run.seed for run in running])
        yield _refused(6, f"{arm.name} is not finished on {text} ({states}).")
    if empty := [run.seed for run in planned if run.state == "complete" and run.value is None]:
        yield _refused(6, f"{arm.name} completed on {named(empty)} without a value.")
    configs = dict.fromkeys(run.config for run in arm.runs if run.config)
    if len(configs) > 1:
        yield _refused(2, f"{arm.name} was run in {len(configs)} configurations, expected one.")


def out_of_bounds(arm: Arm, design: Design) -> Iterator[Doubt]:
    """Values that the metric cannot have: on another scale, or of another metric."""
    low, high = design.bounds
    # The tolerance is for rounding: a mean of ones may be slightly above 1.
    least = -math.inf if low is None else low - 1e-9 * max(1.0, abs(low))
    most = math.inf if high is None else high + 1e-9 * max(1.0, abs(high))
    for run in arm.runs:
        if run.measured and run.value is not None and not least <= run.value <= most:
            ends = " to ".join("none" if end is None else f"{end:g}" for end in design.bounds)
            text = (
                f"{arm.name} has the value {run.value:g} on seed {run.seed}, outside the bounds of"
                f" {design.metric} ({ends})."
            )
            yield Doubt(word=Word.NOT_COMPARABLE, text=text)
            return


def contradictions(arm: Arm, design: Design) -> Iterator[Doubt]:
    """Values that are not the mean of their own per-example scores."""
    for run in arm.runs:
        if not run.measured or run.value is None or not len(run.scores):
            continue
        mean = math.fsum(run.scores) / len(run.scores)
        size = max(abs(run.value), math.fsum(map(abs, run.scores)) / len(run.scores))
        # The value may have been computed in single precision.
        if not abs(mean - run.value) <= 1e-4 * size:
            text = (
                f"The {design.metric} of {arm.name} on seed {run.seed} is {run.value:g}, but its"
                f" predictions give {mean:g}. Either one of the two was changed, or the metric is"
                " not the mean of the stored scores."
            )
            yield Doubt(word=Word.NOT_COMPARABLE, text=text)
            return


def constants(values: Mapping[str, Sequence[float]]) -> Iterator[Doubt]:
    """Flags for arms whose seeds all gave one value, where not every arm gave that same one.

    Args:
        values: Measured ones of each arm; fewer than 3 tell nothing.
    """
    # Where all arms have one and the same value, ``copies`` says so.
    if len({value for each in values.values() for value in each}) < 2:
        return
    for name, each in values.items():
        if len(each) >= 3 and len(set(each)) == 1:
            text = (
                f"{name} has the value {each[0]:g} on all of its {len(each)} seeds. Was one"
                " evaluation copied? If not, its result does not depend on the seed, and all of"
                " its runs say no more than one."
            )
            yield Doubt(rule=9, text=text)


def copies(values: Mapping[str, Sequence[float | None]]) -> Iterator[Doubt]:
    """Flags for arms that have the same value on every seed.

    Args:
        values: Of each arm, in the order of the seeds; fewer than 3 tell nothing.
    """
    alike: dict[tuple[float | None, ...], list[str]] = {}
    for name, each in values.items():
        if len(each) >= 3 and None not in each:
            alike.setdefault(tuple(each), []).append(name)
    for each, names in alike.items():
        if len(names) > 1:
            text = (
                f"{', '.join(names)} have the same value on each of {len(each)} seeds. Are they one"
                " configuration under several names, or is the metric too coarse to tell them"
                " apart? Their differences do not vary, so no test of them means anything."
            )
            yield Doubt(rule=9, text=text)


def additions(arms: Sequence[Arm], design: Design) -> Iterator[Doubt]:
    """Seeds that the design does not list."""
    planned = set(design.seeds)
    for arm in arms if planned else ():
        extra = list(dict.fromkeys(run.seed for run in arm.runs if run.seed not in planned))
        if extra:
            text = (
                f"{arm.name} was also run on {named(extra)}, which are not among the"
                f" {len(planned)} seeds of the protocol and are ignored."
            )
            yield because(10, Word.EXPLORATORY, text)


def samples(splits: Mapping[str, Sequence[str]], seeds: Sequence[str]) -> Iterator[Doubt]:
    """Test samples that differ between the arms on one seed.

    Args:
        splits: Of each arm, in the order of the seeds; empty where unknown.
        seeds: The shared list.
    """
    for place, seed in enumerate(seeds):
        by_split: dict[str, list[str]] = {}
        for name, found in splits.items():
            if found[place]:
                by_split.setdefault(found[place], []).append(name)
        if len(by_split) > 1:
            groups = " against ".join(", ".join(names) for names in by_split.values())
            text = f"On seed {seed} the configurations were tested on different samples ({groups})."
            yield _refused(9, text)
            return


def budgets(trials: Mapping[str, int | None]) -> Iterator[Doubt]:
    """Arms that were chosen from different numbers of search trials.

    Args:
        trials: Of each arm but a baseline for which nothing was searched.
    """
    if len(set(trials.values())) > 1:
        found = ", ".join(
            f"{name} {'unknown' if number is None else number}" for name, number in trials.items()
        )
        text = f"The configurations were chosen from different numbers of search trials ({found})."
        yield _refused(4, text)


def named(seeds: Sequence[str]) -> str:
    """For example ``seed 3`` or ``seeds 3, 4 and 5``."""
    return f"{'seed' if len(seeds) == 1 else 'seeds'} {joined(seeds, 6)}"


def _refused(rule: int, text: str) -> Doubt:
    return because(rule, Word.NOT_COMPARABLE, text)
