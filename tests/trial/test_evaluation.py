"""A confirmation run: trained, then tested once, with the model that was validated."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import torch
from torch import Tensor

from tests.support.trials import OWN, go_on, never, planned, spec_for, with_rate
from workbench import backbones, datasets, record, tasks
from workbench.datasets import Data
from workbench.engine import inference
from workbench.record import Decision, EpochResult, Result, Role, State, TrialDirectory, TrialSpec
from workbench.record.strategy import Lora
from workbench.trial import activations, artifacts, evaluation, saved_weights
from workbench.trial import run as trial_run

Write = Callable[..., Path]


PROTOCOL = b'{"looks": 1}'


def sealed(spec: TrialSpec, home: Path) -> TrialSpec:
    """A confirmation run of a specification, by a protocol that lies where it should."""
    path = record.protocol_path(record.study_directory(home, spec.study))
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(PROTOCOL)
    digest = hashlib.sha256(PROTOCOL).hexdigest()
    return replace(spec, role=Role.CONFIRMATION, protocol=digest)


def written(spec: TrialSpec, home: Path) -> TrialDirectory:
    directory = record.directory_of(record.study_directory(home, spec.study), spec)
    directory.write_spec(spec)
    return directory


def run(
    spec: TrialSpec, home: Path, report: Callable[[EpochResult], Decision] = go_on
) -> tuple[TrialDirectory, Result]:
    directory = written(spec, home)
    return directory, trial_run.run(directory, report=report, interrupted=never)


def predictions(directory: TrialDirectory) -> pd.DataFrame:
    return pd.read_parquet(directory.artifacts / "predictions.parquet")


def opened(spec: TrialSpec, home: Path) -> Data:
    """The data with the test part, past the trial."""
    return datasets.load_test(
        spec.plan.dataset,
        target=tasks.target_of(spec.plan.task),
        study_seed=spec.study_seed,
        seed=spec.seed,
        protocol=record.protocol_path(record.study_directory(home, spec.study)),
        sha256=spec.protocol,
    )


def kept_by_a_search(spec: TrialSpec, home: Path) -> dict[str, Tensor]:
    """Weights that the very same training keeps when it is a trial of the search."""
    search = replace(spec, role=Role.SEARCH, protocol=None)
    assert run(search, home)[1].state is State.COMPLETE
    return kept_by(search, home)


def kept_by(spec: TrialSpec, home: Path) -> dict[str, Tensor]:
    study = record.study_directory(home, spec.study)
    weights = saved_weights.read_weights(record.directory_of(study, spec))
    assert weights is not None
    return weights


def test_the_test_measures_the_weights_of_the_chosen_epoch_on_the_test_split(
    tiny: Path, home: Path
) -> None:
    spec = sealed(spec_for(tiny, home), home)
    directory, result = run(spec, home)
    assert (result.state, result.reason) == (State.COMPLETE, None)
    assert directory.result() == result

    data = opened(spec, home)
    assert data.test is not None
    staged = backbones.build(
        spec.plan.backbone, weights=None, keep_head=False, input_shape=(13,), outputs=3, seed=9
    )
    staged.module.load_state_dict(kept_by_a_search(spec, home))
    with torch.no_grad():
        said = staged.module.eval()(data.test.inputs[torch.arange(40)])
    right = (said.argmax(dim=1) == data.test.targets).double().mean().item()
    loss = torch.nn.functional.cross_entropy(said, data.test.targets).item()
    assert result.test["test/accuracy"] == pytest.approx(right, abs=1e-12)
    assert result.test["test/loss"] == pytest.approx(loss, rel=1e-6)
    assert list(result.test) == [f"test/{name}" for name in tasks.TASKS["classification"].metrics]
    # What the record calls its value stays what validation said.
    assert result.value == result.metrics["validation/accuracy"]
    assert not any(name.startswith("test/") for name in result.metrics)


@pytest.mark.parametrize(
    ("changes", "exact"),
    [
        ({}, True),
        ({"ema": 0.5}, True),
        ({"precision": "bfloat16"}, True),
        ({"micro_batch_size": 8}, True),
        # The adapters are merged into what is kept, which rounds otherwise.
        ({"lora": Lora(rank=2)}, False),
    ],
)
def test_the_saved_model_measured_as_in_the_test_is_the_one_that_was_validated(
    tiny: Path, home: Path, changes: dict[str, Any], exact: bool
) -> None:
    spec = planned(spec_for(tiny, home), **changes)
    directory, result = run(spec, home)
    weights = saved_weights.read_weights(directory)
    assert weights is not None
    data = artifacts.data_of(spec)
    task = tasks.build(spec.plan.task, data.classes, data.train.targets)
    staged = inference.rebuild_model(
        spec.plan.backbone, weights, owner="t", input_shape=(13,), outputs=3
    )
    outputs = inference.outputs_of(
        staged.module,
        data.validation.inputs,
        device=torch.device("cpu"),
        precision=spec.plan.precision,
    )
    found = inference.metrics_of(task, outputs, data.validation.targets)
    wanted = {
        name.removeprefix("validation/"): value
        for name, value in result.metrics.items()
        if name.startswith("validation/")
    }
    assert found == (wanted if exact else pytest.approx(wanted, abs=1e-6))


def test_images_are_tested_as_they_are_validated(write_study: Write, home: Path) -> None:
    file = write_study(
        ("{name: wine, validation: 40, test: 40}", "{name: digits, train_per_class: 5, test: 60}"),
        ("{name: mlp, hidden: [8, 8]}", "{name: small_cnn, width: 4}"),
    )
    spec = sealed(planned(spec_for(file, home), batch_size=50), home)
    directory, result = run(spec, home)
    found = predictions(directory)
    assert len(found) == 60
    assert (found["target"] == found["predicted"]).mean() == result.test["test/accuracy"]


# What is left of the test


def test_every_test_sample_has_its_row_in_the_order_of_the_split(tiny: Path, home: Path) -> None:
    spec = sealed(spec_for(tiny, home), home)
    directory, result = run(spec, home)
    found, data = predictions(directory), opened(spec, home)
    assert data.test is not None
    classes = [f"probability/class_{number}" for number in range(3)]
    assert list(found.columns) == ["sample", "target", "predicted", *classes, "score"]
    assert found["sample"].tolist() == data.test.index.tolist()
    assert found["target"].tolist() == [data.classes[t] for t in data.test.targets.tolist()]
    assert found[classes].sum(axis=1).to_numpy() == pytest.approx(1.0)
    assert found["score"].tolist() == (found["target"] == found["predicted"]).tolist()
    assert found["score"].mean() == result.test["test/accuracy"]


def test_the_same_run_again_leaves_the_same_bytes(tiny: Path, home: Path, tmp_path: Path) -> None:
    spec = spec_for(tiny, home)
    runs = [run(sealed(spec, at), at) for at in (home, tmp_path / "other")]
    first, second = (at.artifacts / "predictions.parquet" for at, _ in runs)
    assert first.read_bytes() == second.read_bytes()
    assert runs[0][1].test == runs[1][1].test


def test_runs_of_other_seeds_test_the_same_samples(tiny: Path, home: Path) -> None:
    spec = sealed(spec_for(tiny, home), home)
    tables = [
        predictions(run(replace(spec, number=number, seed=seed), home)[0])
        for number, seed in enumerate((5, 6))
    ]
    assert tables[0]["sample"].equals(tables[1]["sample"])
    assert tables[0]["target"].equals(tables[1]["target"])
    assert not tables[0].equals(tables[1])


def test_a_metric_that_is_no_mean_of_samples_has_no_scores(write_study: Write, home: Path) -> None:
    file = write_study(("validation/accuracy", "validation/f1"))
    directory, result = run(sealed(spec_for(file, home), home), home)
    assert "test/f1" in result.test
    assert "score" not in predictions(directory).columns


def test_of_a_confirmation_the_first_seeds_weights_are_kept_and_none_of_a_selection(
    tiny: Path, home: Path
) -> None:
    spec = sealed(spec_for(tiny, home), home)
    selection = replace(spec, role=Role.SELECTION, group=f"{spec.group}/003")
    for one, keeps in ((spec, True), (replace(spec, number=1), False), (selection, False)):
        directory, result = run(one, home)
        assert result.state is State.COMPLETE
        assert directory.weights.exists() is directory.weights_description.exists() is keeps
    assert kept_by_a_search(spec, home).keys() == kept_by(spec, home).keys()


# Who may test, and when


@pytest.mark.parametrize("role", [Role.SEARCH, Role.SELECTION, Role.TRY])
def test_only_a_confirmation_run_is_tested_even_where_a_protocol_lies(
    tiny: Path, home: Path, role: Role
) -> None:
    spec = replace(sealed(spec_for(tiny, home), home), role=role)
    directory, result = run(spec, home)
    assert result.state is State.COMPLETE
    assert result.test == {}
    assert not (directory.artifacts / "predictions.parquet").exists()


@pytest.mark.parametrize(
    ("protocol", "message"),
    [
        (None, "The test split cannot be used: the run has no SHA-256 of"),
        ("0" * 64, "has the SHA-256 [0-9a-f]{64}, but the run was planned with 0{64}"),
    ],
)
def test_a_run_without_the_protocols_hash_fails_before_it_trains(
    tiny: Path, home: Path, protocol: str | None, message: str
) -> None:
    spec = replace(sealed(spec_for(tiny, home), home), protocol=protocol)
    directory, result = run(spec, home)
    assert result.state is State.FAILED
    assert result.reason is not None and result.reason.startswith("The test split cannot be used")
    with pytest.raises(ValueError, match=message):
        raise ValueError(result.reason)
    assert directory.history() == [] and result.test == {}


def test_a_run_in_a_study_without_a_protocol_fails_with_its_path(tiny: Path, home: Path) -> None:
    spec = sealed(spec_for(tiny, home), home)
    path = record.protocol_path(record.study_directory(home, spec.study))
    path.unlink()
    _, result = run(spec, home)
    assert result.state is State.FAILED
    assert f"there is no protocol at {path}" in str(result.reason)


def test_a_protocol_that_is_edited_while_a_run_trains_closes_the_test(
    tiny: Path, home: Path
) -> None:
    spec = sealed(spec_for(tiny, home), home)
    path = record.protocol_path(record.study_directory(home, spec.study))

    def edit(line: EpochResult) -> Decision:
        path.write_bytes(PROTOCOL + b"\n")
        return Decision.CONTINUE

    directory, result = run(spec, home, edit)
    assert result.state is State.FAILED and result.test == {} and result.value is None
    assert "A protocol must not change after the confirmation has begun" in str(result.reason)
    assert len(directory.history()) == 3
    assert not (directory.artifacts / "predictions.parquet").exists()


def test_a_data_set_without_test_samples_is_told(write_study: Write, home: Path) -> None:
    file = write_study(("test: 40", "test: 0"))
    _, result = run(sealed(spec_for(file, home), home), home)
    assert result.state is State.FAILED
    assert "There are no test samples: dataset.test is 0" in str(result.reason)


# Interrupted and killed


def test_a_run_killed_between_training_and_test_is_tested_once_by_the_next_attempt(
    tiny: Path, home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    spec = spec_for(tiny, home)
    _, whole = run(sealed(spec, tmp_path / "whole"), tmp_path / "whole")
    calls: list[str] = []
    measure = evaluation.measure

    def killed(*given: Any, **named: Any) -> evaluation.EvaluationResult:
        calls.append("killed" if not calls else "measured")
        if calls == ["killed"]:
            raise SystemExit  # Nothing of a process that is killed goes on.
        return measure(*given, **named)

    monkeypatch.setattr(evaluation, "measure", killed)
    spec = sealed(spec, home)
    directory = written(spec, home)
    with pytest.raises(SystemExit):
        trial_run.run(directory, report=go_on, interrupted=never)
    assert directory.result() is None
    history = directory.history()

    directory.write_spec(replace(spec, attempt=2))
    result = trial_run.run(directory, report=go_on, interrupted=never)
    assert (result.state, result.attempt) == (State.COMPLETE, 2)
    assert calls == ["killed", "measured"]
    assert result.test == whole.test
    assert [line.timestamp for line in directory.history()] == [line.timestamp for line in history]


def test_a_run_that_is_stopped_during_its_test_is_parked_and_tested_when_it_goes_on(
    tiny: Path, home: Path, tmp_path: Path
) -> None:
    spec = spec_for(tiny, home)
    _, whole = run(sealed(spec, tmp_path / "whole"), tmp_path / "whole")
    directory = written(sealed(spec, home), home)

    def when_trained() -> bool:
        return len(directory.history()) == 3

    result = trial_run.run(directory, report=go_on, interrupted=when_trained)
    assert (result.state, result.test) == (State.PARKED, {})
    assert not (directory.artifacts / "predictions.parquet").exists()
    assert (directory.path / "checkpoint.pt").exists()
    result = trial_run.run(directory, report=go_on, interrupted=never)
    assert result.state is State.COMPLETE
    assert result.test == whole.test
    assert not list(directory.path.glob("checkpoint*"))


# What cannot be tested


def test_a_test_that_is_not_finite_fails_and_says_so(tiny: Path, home: Path) -> None:
    file = tiny.with_name("mine.py")
    file.write_text(
        "calls = []\n"
        "def odd(predicted, true):\n"
        "    calls.append(1)\n"
        # Once an epoch in training, once in validation; the next is the test.
        "    return float('nan') if len(calls) > 6 else 0.5\n"
    )
    spec = spec_for(tiny, home)
    spec = planned(spec, task={"name": "classification", "metrics": [f"{file}:odd"]})
    _, result = run(sealed(spec, home), home)
    assert result.state is State.FAILED
    assert result.reason == "diverged on the test split: test/odd is nan"
    assert result.test == {}


def test_a_run_that_diverges_in_training_is_not_tested(tiny: Path, home: Path) -> None:
    _, result = run(sealed(with_rate(spec_for(tiny, home), 1e30), home), home)
    assert str(result.reason).startswith("diverged at epoch ")
    assert result.test == {}


def own(tiny: Path, home: Path, text: str) -> TrialSpec:
    file = tiny.with_name("training.py")
    file.write_text(text)
    return sealed(planned(spec_for(tiny, home), trial=f"{file}:train"), home)


def test_a_users_training_is_tested_with_the_backbone_that_it_trained(
    tiny: Path, home: Path
) -> None:
    directory, result = run(own(tiny, home, OWN), home)
    assert (result.state, result.reason) == (State.COMPLETE, None)
    assert predictions(directory)["score"].mean() == result.test["test/accuracy"]


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (
            "yield {'validation/accuracy': 0.5}",
            r"training\.py:train kept no model",
        ),
        (
            "import torch\n    yield {'validation/accuracy': 0.5}, {'w': torch.zeros(1)}",
            r"The weights of sgd-0/000 do not fit the backbone of its plan",
        ),
        (
            "trial.staged\n    yield {'validation/accuracy': 0.987}",
            r"reported validation/accuracy 0\.987, but .* has 0\.\d+",
        ),
    ],
)
def test_a_users_training_without_a_model_to_test_fails_with_the_reason(
    tiny: Path, home: Path, body: str, message: str
) -> None:
    _, result = run(own(tiny, home, f"def train(trial):\n    {body}\n"), home)
    assert result.state is State.FAILED and result.test == {}
    with pytest.raises(ValueError, match=message):
        raise ValueError(result.reason)


def test_an_objective_that_the_task_does_not_measure_cannot_be_confirmed(
    tiny: Path, home: Path
) -> None:
    spec = spec_for(tiny, home)
    objective = replace(spec.objective, metric="learning_rate")
    _, result = run(sealed(replace(spec, objective=objective), home), home)
    assert result.state is State.FAILED
    assert str(result.reason).startswith(
        "The test has no metric test/learning_rate, which the study compares; it has test/loss, "
    )


def test_scores_of_a_users_task_that_do_not_make_the_metric_are_left_out(
    tiny: Path, home: Path, caplog: pytest.LogCaptureFixture
) -> None:
    file = tiny.with_name("mine.py")
    file.write_text(
        "import torch\n"
        "class Own:\n"
        "    measures = {'right': 'maximize'}\n"
        "    def __init__(self, classes, targets, honest):\n"
        "        self.honest = honest\n"
        "    def loss(self, outputs, targets):\n"
        "        return torch.nn.functional.cross_entropy(outputs, targets)\n"
        "    def metrics(self, outputs, targets):\n"
        "        return {'right': (outputs.argmax(1) == targets).float().mean()}\n"
        "    def scores(self, metric, outputs, targets):\n"
        "        right = (outputs.argmax(1) == targets).float()\n"
        "        return right if self.honest else right + 0.25\n"
    )
    for number, honest in enumerate((True, False)):
        spec = replace(spec_for(tiny, home), number=number)
        spec = planned(spec, task={"name": f"{file}:Own", "honest": honest})
        objective = replace(spec.objective, metric="validation/right")
        directory, result = run(sealed(replace(spec, objective=objective), home), home)
        assert result.state is State.COMPLETE
        found = predictions(directory)
        assert ("score" in found.columns) is honest
        if honest:
            assert found["score"].mean() == pytest.approx(result.test["test/right"])
    assert "the samples' scores is not test/right" in caplog.text


# What a result says beside its numbers


def test_every_result_says_what_it_was_made_with_and_how_much_memory_it_took(
    tiny: Path, home: Path
) -> None:
    for role in (Role.SEARCH, Role.CONFIRMATION):
        _, result = run(replace(sealed(spec_for(tiny, home), home), role=role), home)
        assert {"packages", "hardware", "threads"} <= result.provenance.keys()
        assert f"torch {torch.__version__.partition('+')[0]}" in result.provenance["packages"]
        assert result.provenance["threads"] == "1"
        assert result.peak_memory is None or 2**20 < result.peak_memory < 2**40


def test_a_trial_that_never_found_its_device_claims_no_provenance(tiny: Path, home: Path) -> None:
    _, result = run(planned(spec_for(tiny, home), device="abacus"), home)
    assert result.state is State.FAILED
    assert result.provenance == {} and result.peak_memory is None


def test_parquet_is_read_without_an_index_of_pandas(tiny: Path, home: Path) -> None:
    import pyarrow.parquet

    directory, _ = run(sealed(spec_for(tiny, home), home), home)
    content = (directory.artifacts / "predictions.parquet").read_bytes()
    schema = pyarrow.parquet.read_schema(io.BytesIO(content))
    assert schema.metadata is None
    assert str(schema.field("score").type) == "double"


def test_a_run_has_the_same_test_values_with_and_without_stored_activations(
    tiny: Path, home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WORKBENCH_DATA", str(tmp_path / "data"))
    monkeypatch.setattr(activations, "_GAIN", 0.0)
    monkeypatch.setattr(activations, "_LEAST_SECONDS", -1.0)
    entries, results = [], []
    for number, limit in enumerate((10.0, 10.0, 0.0)):
        spec = spec_for(tiny, home)
        frozen = (replace(spec.plan.phases[0], freeze_depth=1),)
        at = tmp_path / str(number)
        directory, result = run(sealed(planned(spec, phases=frozen, activations_gb=limit), at), at)
        table = predictions(directory).to_dict()
        results.append((result.state, result.value, result.test, table))
        entries.append(len(list((tmp_path / "data" / "activations").glob("*/entry.json"))))
    assert results[0] == results[1] == results[2]
    assert results[0][0] is State.COMPLETE
    assert entries == [3, 3, 3], "training, validation and test"
