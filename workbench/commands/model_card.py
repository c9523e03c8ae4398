"""A short model card: what a model was trained for, what may be claimed, and how to load it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from workbench import record, report
from workbench.commands import report as publish
from workbench.tracker import Tracker
from workbench.tracker.trial_run import TrialRun
from workbench.trial.kept import Description
from workbench.verdict import Verdict

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
from transformers import AutoModelForImageClassification

model = AutoModelForImageClassification.from_pretrained(".")  # this folder""",
}


LOAD_MLFLOW = """\
import mlflow

mlflow.set_tracking_uri("sqlite:///mlruns/mlflow.db")  # of the study's home
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
        tracker = Tracker(home, create=False)
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


def model_card(model: Description, study: StudyFacts, load: str) -> str:
    """Markdown.

    Args:
        model: Of its weights.
        study: Of the model.
        load: Python code that loads the model.
    """
    prepared, verdict = model.preparation, study.verdict
    value = f"{model.metric} {model.value:.4g}"
    tested = study.tested(f"{model.study}/{model.role}/{model.trial}")
    if tested is not None:
        value += f", {study.metric} {tested:.4g}, of this one training run"
    elif model.role == "search":
        value += ", on the data that this trial was chosen by"
    lines = [
        f"# {model.study}: {model.strategy}",
        "",
        *([study.question, ""] if study.question else []),
        f"**{verdict.heading}** {verdict.headline}",
        "",
        f"- Model: {_name(model.backbone['name'])}, trial {model.role} {model.trial}",
        f"- Data: {_name(prepared.dataset['name'])}; "
        f"{'columns' if model.target == 'numbers' else 'classes'} {', '.join(model.classes[:20])}"
        f"{', ...' if len(model.classes) > 20 else ''}",
        f"- Measured: {value}",
        *_preparation(model),
        "",
        "```python",
        load,
        "```",
    ]
    return "\n".join(lines) + "\n"


def _name(name: str) -> str:
    """Without the folders of this machine."""
    return Path(name).name if name.startswith("/") else name


def _preparation(model: Description) -> list[str]:
    prepared = model.preparation
    lines = []
    if prepared.kind == "image":
        shape = " x ".join(map(str, prepared.input_shape))
        lines.append(
            f"- Input: images {shape} (channels, height, width), values 0 to 1, minus "
            f"{_numbers(prepared.mean)}, divided by {_numbers(prepared.std)}"
        )
    elif prepared.kind == "vector":
        lines.append(f"- Input: {prepared.input_shape[0]} numbers, standardised: workbench.json")
    if model.targets is not None:
        mean, std = model.targets
        lines.append(
            f"- Output: standardised numbers; times {_numbers(std)}, plus {_numbers(mean)}"
        )
    return lines


def _numbers(values: tuple[float, ...]) -> str:
    return ", ".join(f"{value:.6g}" for value in values)
