"""A short model card: what a model was trained for, what may be claimed, and how to load it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from workbench.commands.program_export import Format
from workbench.record import Role
from workbench.report.summary import ReportContent
from workbench.trial.saved_weights import Description

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


def model_card(
    model: Description, study: ReportContent, load: str, *, programs: Sequence[Format] = ()
) -> str:
    """Markdown.

    Args:
        model: Of its weights.
        study: What the report of its study is written from.
        load: Python code that loads the model.
        programs: Formats of the programs that are there too.
    """
    question, verdict = study.summary.question, study.summary.verdict
    strategy = "" if model.strategy == "joint" else f" with the strategy {model.strategy}"
    lines = [
        f"# {model.study}: {model.strategy}",
        "",
        *([question, ""] if question else []),
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


def _measured(model: Description, study: ReportContent) -> list[str]:
    """The mean over seeds where the configuration was confirmed, then this run's own values."""
    arm, key = model.trial.rpartition("/")[0], f"{model.study}/{model.role}/{model.trial}"
    found, summary = [], study.summary
    metric = summary.objective.tested
    sides = summary.verdict.sides if summary.confirmed and model.role == Role.CONFIRMATION else ()
    for side in sides:
        if side.name == arm and side.mean is not None and side.sd is not None:
            found.append(
                f"{metric} {side.mean.estimate:.4g} on average over {side.n} seeds (SD "
                f"{side.sd:.2g}; 95 % interval of the mean {side.mean.low:.4g} to "
                f"{side.mean.high:.4g})"
            )
    # A report's material has no test value that must not be shown yet.
    tested = next((t.test.get(metric) for t in study.material.trials if t.key == key), None)
    if tested is not None:
        found.append(f"{metric} {tested:.4g} in this run")
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
