"""What a study file and its data must have for a confirmation; ``candidates`` checks the search."""

from __future__ import annotations

from workbench.study import contamination, space
from workbench.study.config.document import Location, Problem, Unquoted
from workbench.study.config.study_config import StudyConfig
from workbench.study.study import Study
from workbench.tasks import TASKS

_EFFECT: Location = ("confirm", "smallest_effect")


def find(study: Study) -> list[Problem]:
    """Everything that must be corrected before ``workbench confirm`` can begin."""
    config = study.config
    document, metric = config.document, config.objective.metric
    found = []
    measure, effect = metric.partition("/")[2], config.confirm.smallest_effect
    # Of another metric nobody knows the size beforehand.
    share = any(measure in task.shares for task in TASKS.values())
    if share and effect is not None and effect >= 1:
        expected = f"less than 1: {measure} is from 0 to 1, so 1 percentage point is 0.01"
        found.append(document.problem(_EFFECT, effect, expected))
    if effect is None:
        value = "0.01" if share else "..."
        expected = (
            f"the smallest difference in {measure} that matters to you, in its "
            "units: it decides what is good enough and which lead matters, so it is fixed "
            f"beforehand (a line in the file, or --set confirm.smallest_effect={value})"
        )
        found.append(document.problem(_EFFECT, None, expected))
    if not metric.startswith("validation/"):
        expected = (
            "a metric of the validation part; the training part does not measure generalization"
        )
        found.append(document.problem(("objective", "metric"), metric, expected))
    return [*found, *_unequal(config), *_tested(study), *_contaminated(study)]


def _unequal(config: StudyConfig) -> list[Problem]:
    """A grid has as many trials as cells, which strategies with more ranges have more of."""
    # The strategy with more trials would have the better maximum by chance alone.
    targets = space.targets(config)
    if len(set(targets.values())) == 1:
        return []
    counts = ", ".join(f"{name}: {count}" for name, count in targets.items())
    words = Unquoted(f"unequal numbers of trials ({counts})")
    expected = f"the same number for each: at most {min(targets.values())}"
    return [config.document.problem(("search", "trials_per_strategy"), words, expected)]


def _tested(study: Study) -> list[Problem]:
    """All strategies must be tested on the same samples, and on some."""
    config = study.config
    digests: dict[tuple[str, ...], str] = {}
    for strategy in study.strategies:
        knobs = strategy.knobs
        sizes = study.inputs.known_sizes(knobs)
        if not sizes:
            continue  # Not here yet: only looking ahead.
        if not sizes["test"]:
            expected = "test samples: a confirmation ends on data that nothing has read before"
            at: Location = ("recipe", "dataset", "test")
            return [config.document.problem(at, Unquoted("no test sample"), expected)]
        # The digest is one of sample numbers, which mean something within one data set alone.
        source = (str(knobs["dataset"].get(key, "")) for key in ("name", "id", "config", "path"))
        digests.setdefault((*source, sizes["test_digest"]), strategy.name)
    if len(digests) < 2:
        return []
    first, other = list(digests.values())[:2]
    words = Unquoted(f"strategies with different test samples ({first} and {other})")
    return [
        config.document.problem(
            (config.factor_block,),
            words,
            "the same test samples for all: otherwise their runs are not pairs",
        )
    ]


def _contaminated(study: Study) -> list[Problem]:
    """No test sample may be one that the initial weights were trained on, or chosen by."""
    at = study.config.location("backbone.weights")
    expected = (
        "weights that have seen no test sample: of a study with the same data, search.seed and "
        "dataset.test, or of other samples (another data set, other dataset.classes, or another "
        "dataset.part)"
    )
    return [
        study.config.document.problem(at, Unquoted(str(found)), expected)
        for found in contamination.find(study)
        if found.seen is not None
    ]
