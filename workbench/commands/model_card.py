"""A short model card: what a model was trained for, what may be claimed, and how to load it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from workbench import record, report
from workbench.commands import report as publish
from workbench.tracker import Tracker
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


@dataclass(frozen=True, kw_only=True)
class Subject:
    """What a card is about.

    Attributes:
        description: Of the weights.
        question: That the study asks.
        verdict: Of the study, as it stands.
        confirmed: Whether the study's confirmation is finished.
        run_id: Of the trial's MLflow run; None where MLflow lacks it.
        tested: The metric on the test split with its value; None unless the model was confirmed.
    """

    description: Description
    question: str
    verdict: Verdict
    confirmed: bool
    run_id: str | None
    tested: tuple[str, float] | None

    @classmethod
    def of(cls, home: Path, description: Description) -> Subject:
        """Read a model's study.

        Raises:
            UnknownStudy, StoreError: MLflow lacks the study, or its store cannot be used.
        """
        study = description.study
        tracker = Tracker(home, create=False)
        directory = record.study_directory(home, study)
        composed = report.compose(publish.material(tracker, study, directory), figures=False)
        summary = composed.summary
        assert summary.verdict is not None
        key = f"{study}/{description.role}/{description.trial}"
        # Of sealed material: without test values that must not be shown yet.
        run = next((trial for trial in composed.material.trials if trial.key == key), None)
        metric = summary.objective.tested
        value = None if run is None else run.test.get(metric)
        return cls(
            description=description,
            question=summary.question,
            verdict=summary.verdict,
            confirmed=summary.confirmation is not None and summary.confirmation.finished,
            run_id=None if run is None else run.run_id,
            tested=None if value is None else (metric, value),
        )


def model_card(subject: Subject, load: str) -> str:
    """Markdown.

    Args:
        subject: The model and its study.
        load: Python code that loads the model.
    """
    model, verdict = subject.description, subject.verdict
    prepared = model.preparation
    value = f"{model.metric} {model.value:.4g}"
    if subject.tested is not None:
        value += f", {subject.tested[0]} {subject.tested[1]:.4g}"
    lines = [
        f"# {model.study}: {model.strategy}",
        "",
        *([subject.question, ""] if subject.question else []),
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
