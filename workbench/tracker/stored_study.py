"""A study as MLflow stores it: the typed content of study.json, and where its runs are.

Read by ``reader`` and used by the report. Keys that earlier versions did not write have a default.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Annotated, Any

from pydantic import AliasPath, BeforeValidator, Field, TypeAdapter, ValidationError

from workbench.record import Addition, Cell, Objective

# A label that YAML reads as a number or a truth value is text here.
Text = Annotated[str, BeforeValidator(str)]


def _at(*path: str) -> Any:
    """Where a field lies in study.json, if not below its own name at the top."""
    return Field(validation_alias=AliasPath(*path))


_NONE = Objective(metric="", direction="maximize")
# Without these keys there can be no report.
NEEDED = ("name", "mode", "objective", "factors", "strategies", "tune", "search")


@dataclass(frozen=True, kw_only=True)
class Strategy:
    """A strategy and its label of each compared factor."""

    name: str
    levels: Mapping[str, Text]


def _several(labels: Any) -> Any:
    return labels if isinstance(labels, list | tuple) else [labels]


def _source(weights: Any) -> Any:
    return weights.get("source") if isinstance(weights, Mapping) else weights


@dataclass(frozen=True, kw_only=True)
class Range:
    """The range of one knob: numbers or choices.

    Attributes:
        when: Labels of other knobs for which it applies; empty: always.
        log: Whether a numeric range was searched on a logarithmic scale.
        choices: Empty for a numeric range.
    """

    knob: str
    when: Mapping[str, Annotated[tuple[Any, ...], BeforeValidator(_several)]] = field(
        default_factory=dict
    )
    low: float | None = None
    high: float | None = None
    log: bool | None = None
    choices: tuple[Any, ...] = ()
    default: Any = None


@dataclass(frozen=True, kw_only=True)
class Duplicates:
    """Samples that two parts of the data share; ``examples`` names some of them."""

    parts: tuple[str, str]
    count: int = 0
    examples: tuple[Text, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Redrawn:
    """The parts of the data that a seed redraws, from ``of`` samples.

    ``train_at_most`` is None where every seed gives the same number of training samples.
    """

    parts: tuple[str, ...]
    of: int | None = None
    train_at_most: int | None = None


@dataclass(frozen=True, kw_only=True)
class Data:
    """A data set: sizes of its parts, and notes about its samples.

    Attributes:
        called: The label of the level that sets it; empty for the first strategy's data set.
        digest: Of content, name and options; ``content_digest``: of its samples alone.
        classes: Names of classes, labels or target columns, or their number.
        duplicates: None if they were not searched for.
        dropped: How many samples were left out because a later part has the same, by part.
        skipped: Texts on samples that were left out; None if unknown.
        per_class: Number of samples by class.
        numbers: ``mean`` and ``sd`` by target column.
        redrawn: None if unknown.
        others: The data sets of other levels.
    """

    name: str | None = None
    source: str | None = None
    called: str = ""
    train: int | None = None
    validation: int | None = None
    test: int | None = None
    digest: str | None = None
    content_digest: str | None = None
    classes: Sequence[str] | int | None = None
    duplicates: tuple[Duplicates, ...] | None = None
    dropped: Mapping[str, int] = field(default_factory=dict)
    skipped: tuple[Text, ...] | None = None
    per_class: Mapping[str, int] = field(default_factory=dict)
    numbers: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    redrawn: Redrawn | None = None
    others: tuple[Data, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Stage:
    """A stage of a backbone and its number of parameters."""

    name: str
    parameters: int


@dataclass(frozen=True, kw_only=True)
class Backbone:
    """The backbone, its stages without the head, and the source of its initial weights.

    Attributes:
        called: The label of the level that sets it; empty where no level does.
        head: Number of parameters of the head; None where the model was not on this machine.
        notes: Remarks on the weights; None if they were not checked.
        others: The backbones of other levels.
    """

    name: str | None = None
    called: str = ""
    weights: Annotated[str | None, BeforeValidator(_source)] = None
    stages: tuple[Stage, ...] = ()
    head: int | None = None
    notes: tuple[Text, ...] | None = None
    others: tuple[Backbone, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Phase:
    """How one phase trains by default."""

    name: str | None = None
    epochs: int | None = None
    optimizer: str | None = None
    schedule: str | None = None
    warmup_epochs: float | None = None


@dataclass(frozen=True, kw_only=True)
class Training:
    """How the baseline strategy trains by default; ``enqueued``: settings to try first."""

    batch_size: int | None = None
    augmentation: tuple[str, ...] = ()
    phases: tuple[Phase, ...] = ()
    enqueued: int = 0


@dataclass(frozen=True, kw_only=True)
class CitedValue:
    """A value from the literature, from the study file."""

    name: str | None = None
    value: float | None = None
    sd: float | None = None
    n: int | None = None
    source: str | None = None


@dataclass(frozen=True, kw_only=True)
class SecondLook:
    """The plan of a second look, as MLflow stores it.

    Attributes:
        protocol: Content of protocol-2.json.
        sha256: Of its bytes now; ``logged``: the same when the second look began.
    """

    protocol: Mapping[str, Any]
    sha256: str
    logged: str | None

    @property
    def planned_sha256(self) -> str:
        """The hash by which its runs were planned, as far as is known."""
        return self.logged or self.sha256


@dataclass(frozen=True, kw_only=True)
class StoredStudy:
    """A study: its description, its confirmation's files, and its place in MLflow.

    Attributes:
        missing: Names of ``NEEDED`` that the description lacks; all where there is none.
        across: Which of its file's studies, of a file with ``across``.
        added: The level that it adds to another study, if it does.
        mode: ``balanced``: a search for each strategy; ``joint``: one for all.
        factors: Labels of each compared factor.
        total: Trials planned in all.
        trials_per_strategy: Trials planned for each search of a balanced study.
        targets: Trials planned for each group.
        search: ``sampler``, ``pruner``, ``seed`` and their options.
        plans: By strategy, the fields of its ``record.Plan`` as JSON, because versions differ.
        task: Name of the task.
        environment: Values by name, without ``packages``.
        commit: Of the last start that trained a trial; empty outside of git.
        parents: Run id by role.
        parent_run_id: The search's, else the confirmation's.
        protocol: Content of protocol.json; None without one.
        selection: Content of selection.json; None without one.
        protocol_sha256: Of the bytes of protocol.json now.
        protocol_logged: The same when the confirmation began.
        second_look: None before it has begun.
        confirmed_file: Text of the study file when the confirmation last trained a run.
    """

    missing: tuple[str, ...] = ()
    name: str = ""
    across: Cell | None = None
    added: Addition | None = None
    question: str = ""
    mode: str = "balanced"
    objective: Objective = _NONE
    factors: Mapping[str, tuple[Text, ...]] = field(default_factory=dict)
    strategies: tuple[Strategy, ...] = ()
    total: Annotated[int | None, _at("budget", "total")] = None
    trials_per_strategy: Annotated[int | None, _at("budget", "trials_per_strategy")] = None
    targets: Annotated[Mapping[str, int], _at("budget", "targets")] = field(default_factory=dict)
    search: Mapping[str, Any] = field(default_factory=dict)
    tune: tuple[Range, ...] = ()
    data: Data = field(default_factory=Data)
    backbone: Backbone | None = None
    epochs: int | None = None
    training: Annotated[Training | None, _at("plan")] = None
    plans: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    plans_differ: bool = False
    baseline: str | None = None
    task: str = "classification"
    cited: Annotated[tuple[CitedValue, ...], _at("content", "report", "cited")] = ()
    environment: Mapping[str, Any] = field(default_factory=dict)
    packages: Mapping[str, str] = field(default_factory=dict)
    commit: str = ""
    dirty: bool = False
    parents: Mapping[str, str] = field(default_factory=dict)
    parent_run_id: str | None = None
    experiment_id: str | None = None
    tracking_uri: str = ""
    protocol: Mapping[str, Any] | None = None
    selection: Mapping[str, Any] | None = None
    protocol_sha256: str | None = None
    protocol_logged: str | None = None
    second_look: SecondLook | None = None
    confirmed_file: str | None = None

    @property
    def described(self) -> bool:
        """Whether MLflow has a description of the study."""
        return "name" not in self.missing

    @property
    def balanced(self) -> bool:
        """Whether each strategy has a separate search."""
        return self.mode == "balanced"

    @property
    def maximizes(self) -> bool:
        """Whether a higher value of the objective is the better one."""
        return self.objective.direction == "maximize"

    @property
    def sampler(self) -> str:
        """Its name in lower case; empty where it is not known."""
        return str(self.search.get("sampler", "")).lower()


_STUDY = TypeAdapter(StoredStudy)


def read(content: Mapping[str, Any], **stored: Any) -> StoredStudy:
    """A study from the content of study.json.

    Args:
        content: Empty where MLflow has no such file.
        **stored: Fields of ``StoredStudy`` that come from other places in MLflow.

    Raises:
        ValueError: A value has the wrong type, or a block lacks its ``name``.
        AttributeError: The study file's own content is not a mapping.
    """
    plans = content.get("plans") or {}
    file = content.get("content") or {}
    fields = {
        # Unknown keys are ignored: a later version may have written them.
        **_without_none(content),
        "missing": tuple(name for name in NEEDED if name not in content),
        "plans": plans,
        "task": _task(plans, (file.get("recipe") or {}).get("task")),
        **stored,
    }
    try:
        return _STUDY.validate_python(fields)
    except ValidationError as error:
        # pydantic's own text has several lines for each problem.
        first = error.errors()[0]
        raise ValueError(f"{'.'.join(map(str, first['loc']))}: {first['msg']}") from error


def _without_none(value: Any) -> Any:
    """The value without keys that hold None, so that a field has its default."""
    if isinstance(value, Mapping):
        return {key: _without_none(item) for key, item in value.items() if item is not None}
    return [_without_none(item) for item in value] if isinstance(value, list) else value


def _task(plans: Mapping[str, Mapping[str, Any]], written: Any) -> str:
    """Name of the task: from the first plan, else from the study file, else the default."""
    for plan in plans.values():
        return str((plan.get("task") or {}).get("name") or "classification")
    name = written.get("name") if isinstance(written, Mapping) else written
    return str(name or "classification")
