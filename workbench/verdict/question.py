"""From external results on one data set to a verdict, with what results alone cannot prove."""

from __future__ import annotations

import math
import re
from collections import defaultdict
from collections.abc import Iterator, Sequence

from workbench.messages import did_you_mean, joined
from workbench.verdict import Arm, Design, Doubt, Evidence, Run, Stage, Verdict, decide, seed_names
from workbench.verdict.results import ResultRow, ResultsError

# What the name of a metric says of its values: that lower ones are better, or that it is a share.
_ERROR = re.compile(
    r"(?<![a-z])(?:error|err|loss|mae|mse|rmse|mape|nll|perplexity|ppl|wer|cer|eer)(?![a-z])", re.I
)
_SHARE = re.compile(
    r"(?<![a-z])(?:accuracy|acc|f1|auc|auroc|auprc|precision|recall|sensitivity|specificity)"
    r"(?![a-z])",
    re.I,
)
_PERCENT = 2.0  # a share whose largest value is above 1 and not above this is no percentage

# What a table of results never says, by the number of the refusal that it would matter for.
_UNKNOWN = {
    10: "These results have no protocol: nothing shows that strategies, metric and number of seeds"
    " were fixed before the first result was seen.",
    2: "Not known: whether the test data were used to choose these configurations, and whether they"
    " were tested only once.",
    4: "Not known: whether every strategy was tuned with the same budget.",
    1: "Not known: whether the seeds differ from those used in tuning.",
    9: "Not known: what a seed changes, and whether runs of one seed were tested on the same"
    " samples; runs with equal seeds are compared as pairs.",
    16: "Not known: whether code, libraries and hardware were the same for all runs.",
}


def check(rows: Sequence[ResultRow], design: Design, baseline: str | None) -> tuple[str, ...]:
    """Names of the strategies in order of appearance.

    Args:
        rows: Of all data sets.
        design: Metric, direction and smallest effect are used.
        baseline: Strategy that the others are compared with; None compares all pairs.

    Raises:
        ResultsError: Fewer than two, a data set without the baseline, an effect that is none, or a
            direction, values or seeds that cannot be what they are called.
    """
    names = tuple(dict.fromkeys(row.strategy for row in rows))
    if len(names) < 2:
        raise ResultsError(f"There is one strategy, {names[0]!r}; a comparison needs two.")
    if baseline is not None and baseline not in names:
        hint = did_you_mean(baseline, names) or f"; there are {joined(names, 20)}."
        raise ResultsError(f"The baseline {baseline!r} is not a strategy here{hint}")
    for dataset in dict.fromkeys(row.dataset for row in rows):
        # Without the baseline a data set would have no pair to compare.
        here = {row.strategy for row in rows if row.dataset == dataset}
        if baseline is not None and baseline not in here:
            raise ResultsError(
                f"The data set {dataset} has no run of the baseline {baseline!r}, only of"
                f" {', '.join(sorted(here))}. Add its runs, or remove the data set."
            )
    effect = design.smallest_effect
    if effect is not None and not (math.isfinite(effect) and effect > 0):
        raise ResultsError(
            f"The smallest effect is {effect:g}, expected a finite number above 0 in"
            f" units of {design.metric}; leave it out if it is not known."
        )
    if problems := [*_metric(rows, design), *_seeds(rows)]:
        raise ResultsError("\n".join(problems))
    return names


def _metric(rows: Sequence[ResultRow], design: Design) -> Iterator[str]:
    """Contradictions between the name of the metric and its direction or values."""
    if (error := _ERROR.search(design.metric)) and design.direction == "maximize":
        yield (
            f"Lower values of {design.metric} are better, by its name: add --minimize. If higher"
            " ones are better, give the metric another name."
        )
    values = [(row.value, row.where) for row in rows if row.value is not None]
    for value, where in values:
        # Beyond this, squares are no numbers any more.
        if 1e150 < abs(value) < math.inf:
            yield f"{where}: {design.metric} is {value:g}, expected a number within 1e150."
    # The name of an error does not say whether it is a share.
    if error or not _SHARE.search(design.metric) or not values:
        return
    least, most = min(values), max(values)
    beyond = most[0] > 100 or 1 < most[0] <= _PERCENT
    if least[0] < 0 or beyond:
        value, where = most if beyond else least
        yield (
            f"{where}: {design.metric} is {value:g}, expected values from 0 to 1, or from 0 to"
            " 100 in percent. Correct the values, or give the metric another name."
        )
    effect = design.smallest_effect
    if effect is not None and effect >= 1 >= most[0]:
        yield (
            f"The smallest effect is {effect:g}, but the values of {design.metric} are shares"
            f" from 0 to 1: give it in the same units, for example {effect / 100:g} for"
            f" {effect:g} %."
        )


def _seeds(rows: Sequence[ResultRow]) -> Iterator[str]:
    """Seeds that are not separate runs: parts of one run, or copies of others."""
    odd = [
        seed for seed in dict.fromkeys(row.seed for row in rows) if seed_names.part_of_a_run(seed)
    ]
    if odd:
        yield (
            f"The seeds {joined(odd)} are named like folds, epochs or steps, expected training runs"
            " with seeds of their own. Give one value for each run: the mean over its folds, or the"
            " value at its end."
        )
    for dataset in dict.fromkeys(row.dataset for row in rows):
        groups = _alike([row for row in rows if row.dataset == dataset])
        # A coarse metric repeats a result now and then, but hardly that of every seed.
        if len(groups) > 2 and all(len(seeds) > 1 for seeds in groups):
            on = f" on {dataset}" if dataset else ""
            yield (
                f"The {sum(map(len, groups))} seeds{on} have {len(groups)} different results:"
                f" {joined(groups[0])} have the same value in every strategy, for example. Copied"
                " runs add no evidence: give each run once."
            )


def _alike(rows: Sequence[ResultRow]) -> list[list[str]]:
    """Seeds that are measured in every strategy, those with the same values together."""
    values: dict[str, dict[str, float | None]] = defaultdict(dict)
    for row in rows:
        values[row.seed][row.strategy] = row.value
    groups: dict[tuple[tuple[str, float | None], ...], list[str]] = defaultdict(list)
    for seed, found in values.items():
        if None not in found.values():
            groups[tuple(sorted(found.items()))].append(seed)
    return list(groups.values())


def judge(
    rows: Sequence[ResultRow], names: Sequence[str], design: Design, baseline: str | None
) -> Verdict:
    """The verdict on one data set; its level is never above *this configuration*."""
    arms = []
    for name in names:
        runs = tuple(
            Run(seed=row.seed, value=row.value, state=row.state, run_id=row.run_id)
            for row in rows
            if row.strategy == name
        )
        arms.append(Arm(name=name, runs=runs, baseline=name == baseline))
    doubts = [Doubt(rule=rule, text=text) for rule, text in _UNKNOWN.items()]
    copied = [joined(seeds) for seeds in _alike(rows) if len(seeds) > 1]
    if copied:
        text = f"The seeds {'; '.join(copied)} have the same value in every strategy. Copied runs?"
        doubts.append(Doubt(rule=9, text=text))
    return decide(
        Evidence(stage=Stage.EXTERNAL, design=design, arms=tuple(arms), doubts=tuple(doubts))
    )
