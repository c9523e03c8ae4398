from __future__ import annotations

from dataclasses import replace

import pytest

from tests.support import mlflow_home as made
from workbench.record import Objective, Role, State
from workbench.record.strategy import EarlyStopping, Lora, Schedule
from workbench.tracker import entry
from workbench.tracker.params import params_of, tag_text, valid_name


def entry_for(state: State | None, *, orphaned: bool = False, epochs: int = 5) -> entry.Entry:
    ended = None if state is None else made.result(state)
    history = [made.epoch(number) for number in range(1, epochs + 1)]
    return entry.entry_of(made.spec(), history, ended, parent_run_id="p", orphaned=orphaned)


def test_a_plain_plan_has_unprefixed_params_and_its_options_beside_them() -> None:
    params = params_of(made.spec())

    assert params["optimizer"] == "adamw"
    assert params["learning_rate"] == "0.00031"
    assert params["freeze_depth"] == "2"
    assert params["beta1"] == "0.9"
    assert params["epochs"] == "5"
    assert params["dataset"] == "digits"
    assert params["dataset.classes"] == "[5, 6]"
    assert params["backbone.width"] == "8"
    assert params["augmentation"] == '[{"shift": {"pixels": 1}}]'
    assert params["schedule"] == "constant"
    assert "phases" not in params


def test_the_rule_that_chose_the_best_epoch_is_a_param() -> None:
    objective = Objective(metric="validation/f1", direction="maximize", epoch="last")
    params = params_of(made.spec(objective=objective))
    assert (params["objective.metric"], params["objective.epoch"]) == ("validation/f1", "last")


def test_several_phases_are_told_apart_by_their_names() -> None:
    plan = made.plan(
        made.phase(name="probe", epochs=3, freeze_depth=4, learning_rate=1e-2),
        made.phase(name="finetune", epochs=9, freeze_depth=0, learning_rate=1e-4),
    )
    params = params_of(made.spec(plan=plan))

    assert params["phases"] == "probe,finetune"
    assert (params["probe.learning_rate"], params["finetune.learning_rate"]) == ("0.01", "0.0001")
    assert (params["probe.epochs"], params["epochs"]) == ("3", "12")
    assert "learning_rate" not in params


def test_only_what_a_schedule_says_beyond_its_default_is_a_param() -> None:
    schedule = Schedule(name="cosine", warmup_epochs=0.5)
    params = params_of(made.spec(plan=made.plan(made.phase(schedule=schedule))))

    assert params["schedule"] == "cosine"
    assert params["schedule.warmup_epochs"] == "0.5"
    assert "schedule.gamma" not in params


def test_a_plan_that_does_as_everybody_does_adds_no_param() -> None:
    usual = set(params_of(made.spec()))
    assert not usual & {"ema", "mixup", "lora", "report_every", "early_stopping", "layer_decay"}
    assert not usual & {"precision", "trainable", "l2_sp", "code", "trial", "clip_norm"}


def test_every_other_method_of_a_plan_is_a_param() -> None:
    phase = made.phase(layer_decay=0.75, trainable="bias", unfreeze_every=2)
    plan = replace(
        made.plan(phase),
        ema=0.99,
        mixup=0.2,
        report_every=0.25,
        early_stopping=EarlyStopping(patience=3),
        lora=Lora(rank=4, targets=("query", "value")),
        code={"task.py": "ab"},
    )
    usual = params_of(made.spec())
    added = {k: v for k, v in params_of(made.spec(plan=plan)).items() if k not in usual}
    assert added == {
        "layer_decay": "0.75",
        "trainable": "bias",
        "unfreeze_every": "2",
        "ema": "0.99",
        "mixup": "0.2",
        "report_every": "0.25",
        "early_stopping.patience": "3",
        "early_stopping.least": "0.0",
        "lora.rank": "4",
        "lora.alpha": "16.0",
        "lora.dropout": "0.0",
        "lora.targets": '["query", "value"]',
        "code": '{"task.py": "ab"}',
    }


def test_methods_of_a_phase_carry_its_name_where_there_are_several() -> None:
    plan = made.plan(made.phase(name="a"), made.phase(name="b", head_learning_rate=0.5))
    params = params_of(made.spec(plan=plan))
    assert params["b.head_learning_rate"] == "0.5"
    assert "a.head_learning_rate" not in params


def test_reports_within_an_epoch_are_points_that_say_how_many_epochs_are_done() -> None:
    half = replace(made.epoch(1), metrics={"validation/rmse": 2.0, "epochs": 0.5})
    found = entry.entry_of(made.spec(), [half], None, parent_run_id="p")
    assert [(p.name, p.value, p.step) for p in found.history[0][1]] == [
        ("validation/rmse", 2.0, 1),
        ("epochs", 0.5, 1),
    ]


@pytest.mark.parametrize(
    ("rate", "shown"), [(3.1e-4, "3.1e-4"), (0.1, "1e-1"), (1e-10, "1e-10"), (2.0, "2e0")]
)
def test_a_run_is_named_by_its_trial_and_a_short_learning_rate(rate: float, shown: str) -> None:
    spec = made.spec(plan=made.plan(made.phase(learning_rate=rate)))
    named = entry.entry_of(spec, [], None, parent_run_id="p")

    assert named.name == f"adamw-2/007 lr={shown}"


def test_a_run_that_is_not_of_the_search_is_named_with_its_role() -> None:
    spec = made.spec(role=Role.CONFIRMATION)
    named = entry.entry_of(spec, [], None, parent_run_id="p").name
    assert named.startswith("confirmation/adamw-2/007 lr=")


def test_statuses_are_honest() -> None:
    shown = {state: entry_for(state).status for state in State if state is not State.RUNNING}

    assert shown == {
        State.PARKED: "SCHEDULED",
        State.COMPLETE: "FINISHED",
        State.PRUNED: "KILLED",
        State.FAILED: "FAILED",
    }
    assert entry_for(None).status == "RUNNING"


def test_a_trial_without_a_result_that_nobody_works_on_is_shown_as_parked_with_a_reason() -> None:
    shown = entry_for(None, orphaned=True)

    assert shown.status == "SCHEDULED"
    assert shown.tags["workbench.state"] == "parked"
    assert "next run of the study continues" in shown.tags["workbench.reason"]


def test_being_orphaned_does_not_change_a_result() -> None:
    assert entry_for(State.COMPLETE, orphaned=True) == entry_for(State.COMPLETE)


def test_only_a_trial_that_has_ended_has_an_end_and_a_summary() -> None:
    assert entry_for(State.PARKED).ended is None
    assert entry_for(State.PARKED).summary == []
    assert entry_for(State.PRUNED).ended == made.BEGAN + 6000
    names = {point.name for point in entry_for(State.PRUNED).summary}
    assert names >= {"best/validation/accuracy", "objective", "parameters/trainable"}


def test_the_best_metrics_carry_step_and_time_of_the_chosen_epoch() -> None:
    points = {point.name: point for point in entry_for(State.COMPLETE).summary}

    best = points["best/validation/accuracy"]
    assert (best.step, best.timestamp) == (3, made.epoch(3).timestamp)
    assert best.value == made.epoch(3).metrics["validation/accuracy"]


def test_a_trial_begins_when_its_result_says_else_when_its_first_epoch_began() -> None:
    began = made.BEGAN + 1000 - 1000
    assert entry_for(None).started == began
    assert entry_for(None, epochs=0).started is None
    late = replace(made.result(State.COMPLETE), started=made.BEGAN - 5)
    assert entry.entry_of(made.spec(), [], late, parent_run_id="p").started == made.BEGAN - 5


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        ("validation/accuracy", "validation/accuracy"),
        ("f1 (macro)", "f1 _macro_"),
        ("/../a//b/.", "a/b"),
        ("größe", "größe"),
        ("", "_"),
        ("x" * 400, "x" * 250),
        ("x" * 249 + "/y", "x" * 249),
    ],
)
def test_names_become_ones_that_mlflow_takes(given: str, kept: str) -> None:
    assert valid_name(given) == kept


def test_a_long_text_is_cut_at_a_line_break() -> None:
    text = "\n".join(f"line {number}" for number in range(2000))
    shown = tag_text(text)

    assert 7900 < len(shown) <= 8000
    assert shown.endswith("\n…")
    assert text.startswith(shown.removesuffix("…"))


def test_a_long_text_without_line_breaks_is_cut_all_the_same() -> None:
    assert len(tag_text("x" * 9000)) == 8000
    assert tag_text("x" * 8000) == "x" * 8000


def test_text_that_no_database_stores_is_replaced() -> None:
    assert tag_text("a\x00b\ud800c") == "a\ufffdb?c"


def test_choices_too_long_for_a_tag_are_an_error_that_shows_them() -> None:
    spec = made.spec(hyperparameters={"learning_rate": "x" * 9000})
    with pytest.raises(ValueError, match=r"at most 8000 characters.*learning_rate"):
        entry.entry_of(spec, [], None, parent_run_id="p")


def test_training_and_validation_data_are_two_data_sets_of_one_digest() -> None:
    uses = entry.datasets_of(made.spec())

    assert [use.context for use in uses] == ["training", "validation"]
    assert len({(use.name, use.digest) for use in uses}) == 2
    assert uses[0].source["digest"] == "cd" * 32
    # Whole, as the parent's: MLflow's limit is the client's matter, and the same for both.
    assert {use.digest for use in uses} == {"cd" * 32}


def test_a_confirmation_run_reads_the_test_split_and_says_so() -> None:
    uses = entry.datasets_of(made.confirmation())
    assert [use.context for use in uses] == ["training", "validation", "test"]
    selection = entry.datasets_of(made.selection())
    assert [use.context for use in selection] == ["training", "validation"]


def test_a_confirmation_run_is_tagged_with_its_seed_and_the_protocol_that_planned_it() -> None:
    identity = entry.entry_of(made.confirmation(3), [], None, parent_run_id="p").identity
    assert identity["workbench.seed"] == str(2**62 + 3)
    assert identity["workbench.protocol"] == made.PROTOCOL_SHA256
    assert identity["workbench.key"] == "digits/confirmation/adamw-2/003"
    search = entry.entry_of(made.spec(), [], None, parent_run_id="p").identity
    assert "workbench.protocol" not in search
    assert search["workbench.data_digest"] == "cd" * 32


def test_test_metrics_stand_at_the_chosen_epoch_when_the_run_ended() -> None:
    ended = made.tested(0.9)
    made_of = entry.entry_of(made.confirmation(), [made.epoch(3)], ended, parent_run_id="p")
    points = {point.name: point for point in made_of.summary}
    found = points["test/accuracy"]
    assert (found.value, found.step, found.timestamp) == (0.9, 3, ended.ended)
    assert points["trial/peak_memory"].value == 3_000_000
    assert points["objective"].value == ended.value


def test_provenance_is_tagged_part_by_part_and_passes_when_a_run_goes_on() -> None:
    tags = entry.entry_of(made.confirmation(), [], made.tested(), parent_run_id="p").tags
    for name, text in made.PROVENANCE.items():
        assert tags[f"workbench.{name}"] == text
        assert f"workbench.{name}" in entry.PASSING
    running = entry.entry_of(made.confirmation(), [], None, parent_run_id="p").tags
    assert not any(f"workbench.{name}" in running for name in made.PROVENANCE)


def test_a_result_that_does_not_know_its_memory_logs_none() -> None:
    ended = made.tested(peak_memory=None)
    summary = entry.entry_of(made.confirmation(), [], ended, parent_run_id="p").summary
    assert "trial/peak_memory" not in {point.name for point in summary}
