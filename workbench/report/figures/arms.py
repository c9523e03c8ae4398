"""What figures know of a confirmation: its arms, and the comparisons of the verdict.

The only place that knows the keys of the report's ``confirmation`` and ``verdict``. Says why there
is nothing to draw where there is not. Computes no statistic and draws nothing.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from workbench.plotting import style
from workbench.report.figures import LeftOut
from workbench.report.findings import Findings
from workbench.report.trials import encoding
from workbench.verdict.guards import Bar, cut
from workbench.verdict.statistics.paired import EXACT_TO
from workbench.verdict.wording.numbers import counted

SEEDS = "training seeds"
_MARKERS = (*style.MARKERS, "<", ">", "p", "d", "H")
# What varies between the runs of an arm, for captions.
SOURCE = (
    "A seed redraws training and validation data, their order, the head's initialisation and the"
    " augmentation; the test split is the same for all."
)


class Run(NamedTuple):
    """One seed of an arm; ``imputed`` where it diverged or failed and has the worst value."""

    seed: str
    run_id: str
    value: float
    imputed: bool


class Arm(NamedTuple):
    """One arm: mean of its runs and the t interval over seeds, cut at the metric's bounds.

    Attributes:
        seconds: Mean of a run; None where unknown, as ``trainable`` is, the number of parameters.
    """

    name: str
    strategy: str
    baseline: bool
    mean: float
    low: float
    high: float
    runs: tuple[Run, ...]
    trainable: int | None
    seconds: float | None


class Confirmed(NamedTuple):
    """A finished confirmation.

    Attributes:
        bounds: Lowest and highest value of the metric; None where there is none.
        at_bounds: Whether an interval ends there, and so may have been cut.
    """

    metric: str
    direction: str
    arms: tuple[Arm, ...]
    n: int
    bounds: tuple[float | None, float | None]
    at_bounds: bool


class Comparison(NamedTuple):
    """Two sides, seed by seed: positive where ``first`` is nearer to the objective.

    Attributes:
        differences: By seed, in units of the metric; ``low`` and ``high`` bound their mean.
        imputed: Of each difference, whether a run behind it diverged or failed.
        p_holm: Sign-flip permutation, corrected for all pairs.
        equivalent: Within the smallest effect that matters, by TOST.
    """

    first: str
    second: str
    differences: tuple[float, ...]
    imputed: tuple[bool, ...]
    mean: float
    low: float
    high: float
    p_holm: float
    equivalent: bool

    def flipped(self) -> Comparison:
        """The same, seen from the other side."""
        return self._replace(
            first=self.second,
            second=self.first,
            differences=tuple(-item for item in self.differences),
            mean=-self.mean,
            low=-self.high,
            high=-self.low,
        )


class Compared(NamedTuple):
    """What the verdict rests on.

    Attributes:
        sides: Best mean first.
        level: Of the intervals.
        margin: The smallest effect that matters; None where the author gave none.
        pairs: That Holm corrects for.
    """

    metric: str
    direction: str
    contrast: str
    sides: tuple[str, ...]
    leader: str
    baseline: str | None
    comparisons: tuple[Comparison, ...]
    seeds: tuple[str, ...]
    level: float
    alpha: float
    margin: float | None
    pairs: int


def confirmed(findings: Findings) -> Confirmed:
    """The arms in the report's order; raises ``LeftOut`` before all of their runs have ended."""
    found = _finished(findings)
    bounds = tuple(found.get("bounds") or (None, None))
    arms, at_bounds = [], False
    for item in found["arms"]:
        if item.get("mean") is None:
            continue
        arm, ends_there = _arm(item, bounds)
        arms.append(arm)
        at_bounds |= ends_there
    if not arms:
        raise LeftOut("No arm of the confirmation has a value.")
    return Confirmed(
        metric=found["metric"],
        direction=found["direction"],
        arms=tuple(arms),
        n=max(len(arm.runs) for arm in arms),
        bounds=(bounds[0], bounds[1]),
        at_bounds=at_bounds,
    )


def _finished(findings: Findings) -> Mapping[str, Any]:
    found = findings.confirmation
    if found is None:
        raise LeftOut("Nothing was confirmed: there are no test values yet.")
    if not found["finished"]:
        raise LeftOut(
            f"The confirmation is unfinished ({found['done']} of {found['planned']} runs), so no"
            " test value is shown."
        )
    return found


def _arm(item: Mapping[str, Any], bounds: tuple[Any, ...]) -> tuple[Arm, bool]:
    runs = tuple(
        Run(str(run["seed"]), str(run["run_id"] or ""), run["counted"], bool(run["imputed"]))
        for run in item["runs"]
        if run["counted"] is not None
    )
    low, high = item.get("low"), item.get("high")
    low, high = (item["mean"] if end is None else end for end in (low, high))
    inside = cut(low, high, (bounds[0], bounds[1]))
    if len(runs) > 1:
        # The guard of refusal 11: no bar without n and source, none beyond the bounds.
        Bar(
            low=inside[0],
            high=inside[1],
            kind="CI",
            n=len(runs),
            source=SEEDS,
            level=0.95,
            bounds=(bounds[0], bounds[1]),
        )
    arm = Arm(
        name=str(item["name"]),
        strategy=str(item["strategy"]),
        baseline=bool(item["baseline"]),
        mean=item["mean"],
        low=inside[0],
        high=inside[1],
        runs=runs,
        trainable=item.get("trainable"),
        seconds=item.get("seconds_mean"),
    )
    return arm, inside[0] == bounds[0] or inside[1] == bounds[1]


def compared(findings: Findings) -> Compared:
    """The verdict's comparisons; raises ``LeftOut`` where the verdict compares nothing."""
    if findings.confirmation is not None:
        _finished(findings)
    verdict = findings.verdict
    if verdict is None or not verdict["comparisons"]:
        _finished(findings)
        word = "missing" if verdict is None else verdict["word"]
        raise LeftOut(f"The verdict is {word}: it compares no two sides.")
    sides = [item for item in verdict["sides"] if item["mean"] is not None]
    sign = -1 if verdict["direction"] == "maximize" else 1
    sides.sort(key=lambda item: sign * item["mean"]["estimate"])
    baseline = next((str(item["name"]) for item in sides if item["baseline"]), None)
    imputed = {item["name"]: {*item["imputed"]} for item in verdict["sides"]}
    comparisons = tuple(
        _comparison(item, verdict["seeds"], imputed) for item in verdict["comparisons"]
    )
    first = verdict["comparisons"][0]
    return Compared(
        metric=verdict["metric"],
        direction=verdict["direction"],
        contrast=verdict["contrast"],
        sides=tuple(str(item["name"]) for item in sides),
        leader=str(verdict["leader"] or sides[0]["name"]),
        baseline=baseline,
        comparisons=comparisons,
        seeds=tuple(str(seed) for seed in verdict["seeds"]),
        level=first["difference"]["level"],
        alpha=verdict["alpha"],
        margin=verdict["smallest_effect"],
        pairs=verdict["pairs"],
    )


def _comparison(
    item: Mapping[str, Any], seeds: Sequence[str], imputed: Mapping[str, set[str]]
) -> Comparison:
    count = len(item["differences"])
    # With a seed short, differences and seeds no longer stand side by side.
    named = [str(seed) for seed in seeds] if len(seeds) == count else [""] * count
    lost = imputed.get(item["first"], set()) | imputed.get(item["second"], set())
    return Comparison(
        first=str(item["first"]),
        second=str(item["second"]),
        differences=tuple(item["differences"]),
        imputed=tuple(seed in lost for seed in named),
        mean=item["difference"]["estimate"],
        low=item["difference"]["low"],
        high=item["difference"]["high"],
        p_holm=item["p_holm"],
        equivalent=bool(item["equivalent"]),
    )


def looks(findings: Findings, arms: tuple[Arm, ...]) -> dict[str, tuple[str, str]]:
    """Colour and marker of each arm: the colour of its first factor's level, a marker of its own.

    So that arms are told apart without their colours. A default arm beside the strategies is a star
    in the ink's colour.
    """
    codes = encoding(findings.study, findings.trials)
    places = {item["name"]: at for at, item in enumerate(findings.study["strategies"])}
    found = {}
    for index, arm in enumerate(arms):
        if arm.name == arm.strategy:
            shade, _ = codes.get(arm.strategy, (index, 0))
            own = places.get(arm.strategy, index)
            found[arm.name] = (style.colour(shade), _MARKERS[own % len(_MARKERS)])
        else:
            found[arm.name] = (style.INK, "*")
    return found


def how_tested(compared: Compared) -> str:
    """How p was computed, for a caption."""
    most = max(len(item.differences) for item in compared.comparisons)
    kind = "exact sign-flip" if most <= EXACT_TO else "sign-flip"
    return f"p: {kind} permutation test, Holm-corrected over {counted(compared.pairs, 'pair')}"
