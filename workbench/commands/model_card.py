"""A short model card: what a model was trained for, what may be claimed, and how to load it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from workbench import record, report
from workbench.commands import report as publish
from workbench.commands.program_export import Format
from workbench.record import Role
from workbench.tracker import Tracker
from workbench.tracker.trial_run import TrialRun
from workbench.trial.saved_weights import Description
from workbench.verdict import Verdict

_SHOWN = 20
_PREDICTS = {"class": "one class of", "labels": "any of the labels", "numbers": "the numbers"}

_PROGRAM = "- `{}` takes prepared samples and returns outputs (logits, standardised numbers)"

LOAD = """\
import workbench as wb

model = wb.load_model(".")  # this folder
model.predict("new_data")  # a path, a pandas table or an array
model.network  # the torch module"""

LOAD_TRANSFORMERS = {
    "text": """\
from transformers import AutoModelForSequenceClassification, AutoTokenizer

model = AutoModelForSequenceClassification.from_pretrained(".")  # this folder
tokenizer = AutoTokenizer.from_pretrained(".")""",
    "image": """\
from transformers import AutoImageProcessor, AutoModelForImageClassification

model = AutoModelForImageClassification.from_pretrained(".")  # this folder
processor = AutoImageProcessor.from_pretrained(".")""",
}


LOAD_MLFLOW = """\
import mlflow

mlflow.set_tracking_uri("{uri}")
model = mlflow.pyfunc.load_model("models:/{name}{place}")
model.predict(model.input_example)"""


@dataclass(frozen=True, kw_only=True)
class StudyFacts:
    """What a card says of the study of a model.

    Attributes:
        question: That the study asks.
        verdict: As it stands.
        confirmed: Whether the study's confirmation is finished.
        metric: That is tested.
        trials: Without test values that must not be shown yet.
    """

    question: str
    verdict: Verdict
    confirmed: bool
    metric: str
    trials: tuple[TrialRun, ...]

    @classmethod
    def of(cls, home: Path, study: str) -> StudyFacts:
        """Read a study from MLflow.

        Raises:
            UnknownStudy, StoreError: MLflow lacks the study, or its store cannot be used.
        """
        tracker = Tracker(home, study, create=False)
        directory = record.study_directory(home, study)
        composed = report.compose(publish.material(tracker, study, directory), figures=False)
        summary = composed.summary
        assert summary.verdict is not None
        return cls(
            question=summary.question,
            verdict=summary.verdict,
            confirmed=summary.confirmation is not None and summary.confirmation.finished,
            metric=summary.objective.tested,
            trials=composed.material.trials,
        )

    def run_id(self, key: str) -> str | None:
        """The MLflow run of a trial; None where MLflow lacks it."""
        return next((trial.run_id for trial in self.trials if trial.key == key), None)

    def tested(self, key: str) -> float | None:
        """The metric of a trial on the test split; None unless it was confirmed."""
        return next((t.test.get(self.metric) for t in self.trials if t.key == key), None)


def model_card(
    model: Description, study: StudyFacts, load: str, *, programs: Sequence[Format] = ()
) -> str:
    """Markdown.

    Args:
        model: Of its weights.
        study: Of the model.
        load: Python code that loads the model.
        programs: Formats of the programs that are there too.
    """
    verdict = study.verdict
    strategy = "" if model.strategy == "joint" else f" with the strategy {model.strategy}"
    lines = [
        f"# {model.study}: {model.strategy}",
        "",
        *([study.question, ""] if study.question else []),
        f"**{verdict.heading}** {verdict.headline}",
        "",
        f"- Model: {_name(model.backbone['name'])}, fine-tuned{strategy}",
        f"- Run: {model.study}/{model.role}/{model.trial}, {_role(model)}",
        f"- Measured: {'; '.join(_measured(model, study))}",
        f"- Data: {_name(model.preparation.dataset['name'])}",
        f"- Predicts: {_PREDICTS[model.target]} {_some(model.classes)}",
        *_preparation(model, processor="AutoImageProcessor" in load),
        *(_PROGRAM.format(program.file) for program in programs),
        "",
        "```python",
        load,
        "```",
    ]
    return "\n".join(lines) + "\n"


def _role(model: Description) -> str:
    return {
        Role.SEARCH: "the best trial of its strategy in the search",
        Role.CONFIRMATION: "the first seed of its configuration in the confirmation",
    }.get(Role(model.role), "trained on its own")


def _measured(model: Description, study: StudyFacts) -> list[str]:
    """The mean over seeds where the configuration was confirmed, then this run's own values."""
    arm = model.trial.rpartition("/")[0]
    found = []
    sides = study.verdict.sides if study.confirmed and model.role == Role.CONFIRMATION else ()
    for side in sides:
        if side.name == arm and side.mean is not None and side.sd is not None:
            found.append(
                f"{study.metric} {side.mean.estimate:.4g} on average over {side.n} seeds (SD "
                f"{side.sd:.2g}; 95 % interval of the mean {side.mean.low:.4g} to "
                f"{side.mean.high:.4g})"
            )
    tested = study.tested(f"{model.study}/{model.role}/{model.trial}")
    if tested is not None:
        found.append(f"{study.metric} {tested:.4g} in this run")
    own = f"{model.metric} {model.value:.4g} in this run"
    if model.role == Role.SEARCH:
        own += ", on the data that it was chosen by"
    return [*found, own]


def _some(names: Sequence[str]) -> str:
    more = f", and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return ", ".join(names[:_SHOWN]) + more


def _name(name: str) -> str:
    """Without the folders of this machine."""
    return Path(name).name if name.startswith("/") else name


def _preparation(model: Description, *, processor: bool) -> list[str]:
    prepared = model.preparation
    lines = []
    if prepared.kind == "image":
        shape = " x ".join(map(str, prepared.input_shape))
        lines.append(
            f"- Input: images {shape} (channels, height, width), values 0 to 1, minus "
            f"{_numbers(prepared.mean)}, divided by {_numbers(prepared.std)}"
        )
        if processor:
            lines.append(
                "- `AutoImageProcessor` gives the pixels of training for square images (up to 1 of "
                "255 levels where they are resized). Of others it resizes the short side before it "
                "takes the middle, Workbench after."
            )
    elif prepared.kind == "text":
        (column,) = prepared.columns or ("text",)
        lines.append(f"- Input: texts, of a table those in the column {column}")
    elif prepared.levels is None:
        lines.append(f"- Input: {prepared.input_shape[0]} numbers, standardised: workbench.json")
    else:
        columns = [
            name if known is None else f"{name} ({_some(known)})"
            for name, known in prepared.levels.items()
        ]
        lines.append(
            f"- Input: a table with the columns {_some(columns)}; numbers are standardised: "
            "workbench.json"
        )
    if model.targets is not None:
        mean, std = model.targets
        lines.append(
            f"- Output: standardised numbers; times {_numbers(std)}, plus {_numbers(mean)}"
        )
    return lines


def _numbers(values: tuple[float, ...]) -> str:
    return ", ".join(f"{value:.6g}" for value in values)
