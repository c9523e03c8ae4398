"""The training loop: repeatable and resumable to the last bit, and true to the freeze depth."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from tests.support.training import (
    AUGMENTATION,
    CPU,
    IMAGES,
    every,
    make,
    measured,
    must_resume,
    parts,
    phase,
    same,
    through_disk,
)
from workbench import backbones
from workbench.backbones import stages
from workbench.backbones.stages import Stage, Staged
from workbench.datasets import Data
from workbench.engine import devices
from workbench.engine import inference as engine_outputs
from workbench.engine.devices import choose_device, set_gpu_precision
from workbench.engine.loop import DivergedError, Engine, Interrupted
from workbench.engine.optimizers import OPTIMIZERS, factor
from workbench.record import EpochResult
from workbench.record.seeds import derive
from workbench.record.strategy import Phase, Schedule
from workbench.tasks import TASKS


def true_at(call: int) -> Callable[[], bool]:
    answers = iter([False] * (call - 1) + [True])
    return lambda: next(answers, False)


def tensors(modules: tuple[nn.Module, ...]) -> list[Tensor]:
    return [value.clone() for module in modules for value in module.state_dict().values()]


# ------------------------------------------------------------------------------ freeze contract


def contract_cases() -> list[tuple[str, str | int]]:
    return [(n, depth) for n in ("mlp", "small_cnn", "resnet18") for depth in (0, 1, 2, "all")]


@pytest.mark.parametrize(("name", "depth"), contract_cases())
def test_a_trial_changes_what_is_live_and_not_one_bit_of_what_is_frozen(
    name: str, depth: str | int
) -> None:
    dataset = {**IMAGES, "channels": 3, "train_per_class": 5, "validation": 6}
    names = backbones.build(
        {"name": name}, weights=None, keep_head=False, input_shape=(3, 8, 8), outputs=2, seed=3
    ).names
    frozen = stages.resolve_depth(depth, names)
    main = phase("adamw", depth=frozen, epochs=2)
    engine, staged, _ = parts(main, backbone={"name": name}, dataset=dataset, batch_size=10)
    before = [tensors(stage.modules) for stage in staged.stages]
    head = tensors((staged.head,))
    list(engine.epochs())
    trainable = sum(value.numel() for value in staged.head.parameters())
    for number, stage in enumerate(staged.stages):
        changed = [
            not torch.equal(old, new)
            for old, new in zip(before[number], tensors(stage.modules), strict=True)
        ]
        every = [parameter for module in stage.modules for parameter in module.parameters()]
        if number < frozen:
            assert not any(changed), stage.name
            assert all(p.grad is None and not p.requires_grad for p in every), stage.name
            assert not any(module.training for module in stage.modules)
        else:
            assert all(changed), stage.name
            assert all(p.grad is not None for p in every), stage.name
            trainable += sum(parameter.numel() for parameter in every)
    assert not any(map(torch.equal, head, tensors((staged.head,))))
    assert engine.parameters["trainable"] == trainable
    held = engine.state()["optimizer"].values()
    assert sum(slots["exp_avg"].numel() for slots in held) == trainable


def test_training_mode_follows_the_freeze_depth_in_every_epoch() -> None:
    engine, staged, _ = parts(phase(depth=1, epochs=3), backbone={"name": "mlp", "dropout": 0.5})
    modes = []
    for stage in staged.stages:
        stage.modules[0].register_forward_pre_hook(
            lambda module, inputs, name=stage.name: modes.append((name, module.training))
        )
    list(engine.epochs())
    assert {mode for name, mode in modes if name == "hidden1"} == {False}
    assert {mode for name, mode in modes if name == "hidden2"} == {True, False}


def test_a_stage_frozen_later_on_stops_where_it_stands() -> None:
    warm, still = phase("sgd", name="warm"), phase("sgd", name="still", depth=4)
    engine, staged, _ = parts(warm, still, backbone={"name": "small_cnn"})
    kept: list[list[Tensor]] = []
    counts = []
    for result in engine.epochs():
        counts.append(engine.parameters["trainable"])
        if result.epoch >= 2:
            kept.append([value for stage in staged.stages for value in tensors(stage.modules)])
    assert all(map(torch.equal, kept[0], kept[2]))
    assert counts[0] == counts[1] == engine.parameters["total"]
    assert counts[2] == counts[3] == 64 * 2 + 2


def test_a_freeze_depth_shifts_nobody_elses_randomness() -> None:
    """At a learning rate of almost 0 all depths see the same batches, dropout and head."""
    first, second = (
        measured(
            list(
                make(
                    phase("sgd", depth=depth, learning_rate=1e-30),
                    backbone="mlp",
                    augmentation=AUGMENTATION,
                ).epochs()
            )
        )
        for depth in (0, 2)
    )
    assert first == second


def training_inputs(**arguments: Any) -> tuple[list[Tensor], Data]:
    """What the model is given in each of two training epochs, in order."""
    engine, staged, data = parts(phase(), backbone={"name": "mlp"}, **arguments)
    epochs: list[list[Tensor]] = [[], []]
    staged.module.register_forward_pre_hook(
        lambda module, inputs: (
            epochs[engine.state()["epoch"]].append(inputs[0]) if module.training else None
        )
    )
    list(engine.epochs())
    return [torch.cat(batches) for batches in epochs], data


def as_set(samples: Tensor) -> set[tuple[float, ...]]:
    return {tuple(sample) for sample in samples.flatten(start_dim=1).tolist()}


def test_every_epoch_shows_every_training_sample_once_in_an_order_of_its_own() -> None:
    (first, second), data = training_inputs()
    assert as_set(first) == as_set(second) == as_set(every(data.train))
    assert len(first) == len(second) == len(data.train.inputs)
    assert not torch.equal(first, second)


def test_every_epoch_augments_anew() -> None:
    (first, second), _ = training_inputs(augmentation=AUGMENTATION)
    assert as_set(first) != as_set(second)


def test_augmentation_works_on_pixels_and_hands_on_normalised_values() -> None:
    darker = ({"color_jitter": {"brightness": [0.5, 0.5]}},)
    (first, _), data = training_inputs(augmentation=darker)
    half = (every(data.train) * 0.5 + 0.5) * 0.5
    assert as_set(first) == as_set((half - 0.5) / 0.5)


def test_every_epoch_drops_other_units() -> None:
    backbone = {"name": "mlp", "dropout": 0.5}
    engine, staged, _ = parts(phase(depth=1), backbone=backbone, batch_size=20)
    generators = []
    staged.module.register_forward_pre_hook(
        lambda module, inputs: generators.append(torch.get_rng_state()) if module.training else None
    )
    list(engine.epochs())
    assert not torch.equal(generators[0], generators[1])
    first = torch.Generator()
    first.set_state(generators[0])
    assert first.initial_seed() == derive(3, "dropout", 1, 0)


def test_training_on_the_cpu_seeds_no_accelerator() -> None:
    before = torch.cuda._lazy_seed_tracker.get_calls()
    list(make(phase(), backbone={"name": "mlp", "dropout": 0.5}).epochs())
    assert torch.cuda._lazy_seed_tracker.get_calls() == before


def dropped_after(depth: int) -> list[Tensor]:
    """State of the generator when the second dropout layer draws, at each training step."""
    engine, staged, _ = parts(phase(depth=depth), backbone={"name": "mlp", "dropout": 0.5})
    second = [m for m in staged.module.modules() if isinstance(m, nn.Dropout)][1]
    states: list[Tensor] = []
    second.register_forward_pre_hook(
        lambda layer, _: states.append(torch.get_rng_state()) if layer.training else None
    )
    list(engine.epochs())
    return states


def test_a_frozen_dropout_layer_does_not_shift_the_layers_after_it() -> None:
    full, partial = dropped_after(0), dropped_after(1)
    assert len(full) == len(partial) > 2
    assert all(torch.equal(one, other) for one, other in zip(full, partial, strict=True))
    assert not torch.equal(full[0], full[1])


class Drawing(nn.Module):
    """Drops without a layer, as attention does, and keeps what it dropped in training."""

    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(64, 64)
        self.dropped: list[Tensor] = []

    def forward(self, inputs: Tensor) -> Tensor:
        kept = nn.functional.dropout(torch.ones(len(inputs), 64), 0.5, self.training)
        if self.training:
            self.dropped.append(kept)
        outputs: Tensor = self.linear(inputs.flatten(start_dim=1)) * kept
        return outputs


def drawing(staged: Staged) -> Staged:
    first, second, head = Drawing(), Drawing(), nn.Linear(64, 2)
    found = (Stage(name="first", modules=(first,)), Stage(name="second", modules=(second,)))
    return Staged(module=nn.Sequential(first, second, head), stages=found, head=head)


def test_a_frozen_stage_shifts_no_draws_without_a_layer_in_those_after_it() -> None:
    drawn = []
    for depth in (0, 1):
        (engine, *_), made = drawn_by(depth)
        list(engine.epochs())
        drawn.append([module.dropped for module in made.modules() if isinstance(module, Drawing)])
    (first, full), (none, partial) = drawn
    assert none == []
    assert len(full) == len(partial) == 6
    assert all(map(torch.equal, full, partial))
    assert not torch.equal(first[0], full[0])


def drawn_by(depth: int) -> tuple[Any, nn.Module]:
    made: list[Staged] = []

    def change(staged: Staged) -> Staged:
        made.append(drawing(staged))
        return made[0]

    return parts(phase(depth=depth), change=change), made[0].module


class Repeating(nn.Module):
    """Calls each of its layers several times, as ALBERT does, and keeps what they dropped."""

    def __init__(self, times: int) -> None:
        super().__init__()
        self.times = times
        self.layer, self.unnamed = nn.Dropout(0.5), Drawing()
        self.kept: list[Tensor] = []

    def forward(self, inputs: Tensor) -> Tensor:
        outputs = inputs.flatten(start_dim=1)
        for _ in range(self.times):
            kept = self.layer(torch.ones(len(inputs), 64))
            if self.training:
                self.kept.append(kept)
            outputs = self.unnamed(outputs * kept)
        return outputs


def repeated_by(depth: int, times: int) -> list[Repeating]:
    """Two stages, each called once and made of layers that are called ``times``, after training."""
    made: list[Repeating] = []

    def change(_: Staged) -> Staged:
        first, second, head = Repeating(times), Repeating(times), nn.Linear(64, 2)
        made.extend((first, second))
        stages_ = (
            # A layer without a layer of dropout draws by its stage's numbers.
            Stage(name="first", modules=(first.layer, first.unnamed)),
            Stage(name="second", modules=(second.layer, second.unnamed)),
        )
        return Staged(module=nn.Sequential(first, second, head), stages=stages_, head=head)

    list(make(phase(epochs=1, depth=depth), change=change, batch_size=20).epochs())
    return made


def test_a_layer_that_is_called_again_drops_other_units() -> None:
    (once, _), (repeating, _) = repeated_by(0, 1), repeated_by(0, 3)
    for drawn, first in (
        (repeating.kept, once.kept),
        (repeating.unnamed.dropped, once.unnamed.dropped),
    ):
        assert len(drawn) == 3
        assert not any(torch.equal(drawn[a], drawn[b]) for a, b in ((0, 1), (0, 2), (1, 2)))
        assert torch.equal(drawn[0], first[0])


def test_a_frozen_stage_shifts_no_repeated_draws_in_those_after_it() -> None:
    (_, full), (frozen, partial) = repeated_by(0, 3), repeated_by(1, 3)
    assert frozen.unnamed.dropped == []
    assert all(map(torch.equal, full.kept, partial.kept))
    assert all(map(torch.equal, full.unnamed.dropped, partial.unnamed.dropped))


# ----------------------------------------------------------------------- repeating and resuming

TWO_PHASES = (
    phase("sgd", name="probe", epochs=2, depth=2, schedule="cosine"),
    phase("adamw", name="finetune", epochs=2, schedule="linear"),
)


@pytest.mark.parametrize(
    "backbone", [{"name": "small_cnn"}, {"name": "mlp", "dropout": 0.3, "hidden": [16, 16]}]
)
def test_a_trial_run_twice_is_equal_to_the_last_bit(backbone: dict[str, Any]) -> None:
    runs = []
    for noise in (1, 2):
        torch.manual_seed(noise)
        engine = make(*TWO_PHASES, backbone=backbone, augmentation=AUGMENTATION)
        runs.append((measured(list(engine.epochs())), engine.weights()))
    assert runs[0][0] == runs[1][0]
    assert same(runs[0][1], runs[1][1])


def test_another_seed_is_another_trial() -> None:
    first, second = (measured(list(make(phase(), seed=seed).epochs())) for seed in (3, 4))
    assert first != second


@pytest.mark.parametrize(
    "phases",
    [TWO_PHASES, *[(phase(name, epochs=4, schedule="step"),) for name in OPTIMIZERS]],
    ids=["two phases", *OPTIMIZERS],
)
def test_resuming_after_any_epoch_is_equal_to_the_last_bit(phases: tuple[Phase, ...]) -> None:
    backbone = {"name": "mlp", "dropout": 0.3, "hidden": [16, 16]}
    must_resume(lambda: make(*phases, backbone=backbone, augmentation=AUGMENTATION))


def test_batch_statistics_survive_a_resume_to_the_last_bit() -> None:
    whole = make(*TWO_PHASES)
    results = list(whole.epochs())
    half = make(*TWO_PHASES)
    stream = half.epochs()
    next(stream)
    resumed = make(*TWO_PHASES)
    resumed.restore(through_disk(half.state()))
    assert measured(list(resumed.epochs())) == measured(results)[1:]
    assert same(resumed.weights(), whole.weights())


def test_frozen_weights_are_copied_once_and_only_if_they_will_be_trained() -> None:
    engine = make(phase("adam", epochs=2, depth=2))
    first, second = [(engine.weights(), engine.state()["weights"]) for _ in engine.epochs()]
    parameters = dict(engine._staged.module.named_parameters())
    frozen = {name for name, weight in parameters.items() if not weight.requires_grad}
    kept = {name for name in first[0] if first[0][name] is second[0][name]}
    assert kept == frozen and frozen
    assert all(first[0][name] is second[1][name] for name in frozen), "stored once in a checkpoint"
    assert all(torch.equal(second[0][name], weight) for name, weight in parameters.items())
    assert shared(engine) == frozen
    engine = make(phase("adam", epochs=1, depth=2), phase("sgd", name="all", epochs=1, depth=0))
    for _ in engine.epochs():
        assert not shared(engine), "training that goes on must not change what was kept"


def shared(engine: Engine) -> set[str]:
    """Names of the parameters of which ``weights`` gives no copies."""
    given = engine.weights()
    parameters = engine._staged.module.named_parameters()
    return {name for name, own in parameters if own.data_ptr() == given[name].data_ptr()}


def test_weights_that_are_trained_between_two_frozen_phases_are_kept_as_they_became() -> None:
    depths = {"first": 2, "second": 0, "third": 2}
    engine = make(*(phase("sgd", name=name, epochs=1, depth=d) for name, d in depths.items()))
    for _ in engine.epochs():
        assert same(engine.weights(), engine._staged.module.state_dict())


def test_an_engine_that_was_interrupted_in_an_epoch_continues_from_its_last_state() -> None:
    whole = make(*TWO_PHASES)
    results = measured(list(whole.epochs()))
    # An epoch asks 3 times in training and once in validation: here, in the third epoch.
    for asked in (9, 10, 12):
        engine = make(*TWO_PHASES, interrupted=true_at(asked))
        states: list[dict[str, Any]] = []
        with pytest.raises(Interrupted):
            states.extend(through_disk(engine.state()) for _ in engine.epochs())
        assert states[-1]["epoch"] == 2
        engine.restore(states[-1])
        assert measured(list(engine.epochs())) == results[2:]
        assert same(engine.weights(), whole.weights())


def test_an_interruption_before_the_first_batch_leaves_everything_untouched() -> None:
    engine = make(phase(), interrupted=lambda: True)
    before = engine.weights()
    with pytest.raises(Interrupted):
        next(engine.epochs())
    assert engine.state()["epoch"] == 0
    assert engine.validated is None
    assert same(engine.weights(), before)


# -------------------------------------------------------------------------------------- metrics


def test_an_epoch_measures_every_metric_of_the_task_on_training_and_validation() -> None:
    (result,) = make(phase(epochs=1)).epochs()
    names = TASKS["classification"].metrics
    expected = {f"{part}/{name}" for part in ("train", "validation") for name in names}
    assert set(result.metrics) == expected | {"learning_rate", "seconds"}
    assert all(math.isfinite(value) for value in result.metrics.values())
    assert result.metrics["seconds"] > 0
    assert result.timestamp > 1.6e12


def test_epochs_count_through_the_phases_and_name_them() -> None:
    got = [(result.epoch, result.phase) for result in make(*TWO_PHASES).epochs()]
    assert got == [(1, "probe"), (2, "probe"), (3, "finetune"), (4, "finetune")]


def test_validation_metrics_are_those_of_the_weights_handed_out() -> None:
    engine, _, data = parts(phase(epochs=3), backbone={"name": "small_cnn"})
    last = list(engine.epochs())[-1]
    copy = parts(phase(), backbone={"name": "small_cnn"})[1].module
    copy.load_state_dict(engine.weights())
    with torch.inference_mode():
        outputs = copy.eval()(every(data.validation))
    right = (outputs.argmax(dim=1) == data.validation.targets).double().mean().item()
    assert last.metrics["validation/accuracy"] == pytest.approx(right)
    loss = nn.functional.cross_entropy(outputs, data.validation.targets).item()
    assert last.metrics["validation/loss"] == pytest.approx(loss)
    assert engine.validated is not None
    torch.testing.assert_close(engine.validated, (outputs, data.validation.targets))


def test_the_training_loss_is_a_mean_over_samples_and_not_over_batches() -> None:
    engine, staged, data = parts(
        phase("sgd", epochs=1, learning_rate=1e-30), backbone={"name": "mlp"}, batch_size=17
    )
    outputs = staged.module(every(data.train))
    expected = nn.functional.cross_entropy(outputs, data.train.targets).item()
    (result,) = engine.epochs()
    assert result.metrics["train/loss"] == pytest.approx(expected, rel=1e-5)


def test_augmentation_touches_training_alone() -> None:
    plain, augmented = (
        next(
            make(
                phase("sgd", learning_rate=1e-30), backbone="mlp", augmentation=augmentation
            ).epochs()
        ).metrics
        for augmentation in ((), AUGMENTATION)
    )
    assert plain["train/loss"] != augmented["train/loss"]
    assert plain["validation/loss"] == augmented["validation/loss"]


def test_the_learning_rate_is_that_of_the_epochs_last_step_and_starts_anew_in_a_phase() -> None:
    got = [result.metrics["learning_rate"] for result in make(*TWO_PHASES).epochs()]
    expected = [
        phase.learning_rate * factor(phase.schedule, step=step, steps=6, steps_per_epoch=3)
        for phase in TWO_PHASES
        for step in (2, 5)
    ]
    assert got == pytest.approx(expected)


def test_a_phase_starts_with_a_fresh_optimizer() -> None:
    engine = make(phase(name="one"), phase(name="two"))
    steps = [engine.state()["optimizer"][0]["step"].item() for _ in engine.epochs()]
    assert steps == [3, 6, 3, 6]


def test_a_last_batch_of_one_joins_the_one_before() -> None:
    """ResNet-18 ends in one pixel here: a batch of one has no variance and would raise."""
    engine = make(
        phase(epochs=1),
        backbone="resnet18",
        batch_size=3,
        dataset={**IMAGES, "channels": 3, "train_per_class": 2, "validation": 4},
    )
    assert len(list(engine.epochs())) == 1


def test_a_model_learns_to_tell_two_digits_apart() -> None:
    results = list(make(phase(epochs=8)).epochs())
    assert results[-1].metrics["validation/accuracy"] >= 0.9
    assert results[-1].metrics["train/loss"] < results[0].metrics["train/loss"]


def test_vectors_train_as_images_do() -> None:
    engine = make(phase(epochs=10), backbone="mlp", dataset={"name": "wine"})
    assert list(engine.epochs())[-1].metrics["validation/accuracy"] >= 0.9


def test_divergence_ends_the_trial_before_the_epoch_is_reported() -> None:
    calm = phase("sgd", name="calm", epochs=1, learning_rate=1e-3)
    wild = phase("sgd", name="wild", epochs=3, learning_rate=1e30)
    reported: list[EpochResult] = []
    with pytest.raises(DivergedError, match=r"^diverged at epoch 2: train/loss is (nan|inf)$"):
        reported.extend(make(calm, wild).epochs())
    assert [result.epoch for result in reported] == [1]


def test_weights_share_no_memory_with_the_model() -> None:
    engine, staged, _ = parts(phase(), backbone={"name": "small_cnn"})
    weights = engine.weights()
    for name, value in staged.module.state_dict().items():
        assert weights[name].is_contiguous()
        assert value.data_ptr() != weights[name].data_ptr()


def test_an_epoch_changes_no_weights_that_were_kept_before_it() -> None:
    epochs = (engine := make(phase(epochs=2), backbone={"name": "small_cnn"})).epochs()
    next(epochs)
    kept = engine.weights()
    before = copy.deepcopy(kept)
    next(epochs)
    assert not same(engine.weights(), before)
    assert same(kept, before)


# ----------------------------------------------------------------------- reports within an epoch


FOUR_STEPS = {**IMAGES, "train_per_class": 16}


@pytest.mark.parametrize("every_", [0.5, 0.25])
def test_reports_within_an_epoch_change_no_bit_of_the_training(every_: float) -> None:
    main = (
        phase("sgd", name="one", epochs=2, depth=2, unfreeze_every=1, schedule="cosine"),
        phase("adamw", name="two", epochs=1),
    )
    backbone = {"name": "mlp", "dropout": 0.3, "hidden": [8, 8, 8]}
    arguments: dict[str, Any] = {"backbone": backbone, "dataset": FOUR_STEPS, "ema": 0.8}
    whole, split = make(*main, **arguments), make(*main, report_every=every_, **arguments)
    each = round(1 / every_)
    ends = [(whole.weights(), result) for result in whole.epochs()]
    reports = [(split.weights(), result) for result in split.epochs()]
    assert [result.epoch for _, result in reports] == list(range(1, 3 * each + 1))
    done = [result.metrics["epochs"] for _, result in reports]
    assert done == [number / each for number in range(1, 3 * each + 1)]
    assert "epochs" not in ends[0][1].metrics
    for (weights, result), (others, other) in zip(ends, reports[each - 1 :: each], strict=True):
        assert same(weights, others)
        assert result.phase == other.phase
        for name in ("validation/loss", "validation/f1", "learning_rate"):
            assert result.metrics[name] == other.metrics[name]


def test_a_reports_training_metrics_are_those_of_the_steps_since_the_last_one() -> None:
    main = phase("sgd", epochs=1, learning_rate=1e-30)
    arguments: dict[str, Any] = {"backbone": "mlp", "dataset": FOUR_STEPS}
    (whole,) = make(main, **arguments).epochs()
    split = [r.metrics["train/loss"] for r in make(main, report_every=0.25, **arguments).epochs()]
    assert len(set(split)) == 4
    assert whole.metrics["train/loss"] == pytest.approx(sum(split) / 4)


def test_a_trial_resumes_within_an_epoch_to_the_last_bit() -> None:
    main = phase("sgd", name="one", depth=1, unfreeze_every=1), phase(name="two", epochs=1)
    backbone = {"name": "mlp", "dropout": 0.3, "hidden": [8]}
    must_resume(lambda: make(*main, backbone=backbone, report_every=1 / 3, change=restless))


def test_an_interruption_within_an_epoch_goes_back_to_the_last_report() -> None:
    whole = make(phase(), report_every=0.5)
    results = measured(list(whole.epochs()))
    # Three steps: two, then a validation, then one.
    engine = make(phase(), report_every=0.5, interrupted=true_at(4))
    with pytest.raises(Interrupted):
        list(engine.epochs())
    assert engine.state()["epoch"] == 1
    assert measured(list(engine.epochs())) == results[1:]
    assert same(engine.weights(), whole.weights())


def test_more_reports_than_steps_are_refused_with_the_least_that_is_possible() -> None:
    with pytest.raises(ValueError, match=r"report_every is 0.25 .* 3 steps; .* least 0.333"):
        make(phase(), report_every=0.25)


def test_a_divergence_within_an_epoch_says_how_far_it_came() -> None:
    calm = phase("sgd", name="calm", epochs=1, learning_rate=1e-3)
    wild = phase("sgd", name="wild", epochs=3, learning_rate=1e30)
    with pytest.raises(DivergedError, match=r"diverged at epoch 1\.333: validation/loss is"):
        list(make(calm, wild, report_every=1 / 3).epochs())


# ------------------------------------------------------------ what a step is made of, and precision


class Restless(nn.Module):
    """Draws from the global generator as functional dropout does, without a layer of its own."""

    def __init__(self, inner: nn.Module) -> None:
        super().__init__()
        self.inner = inner

    def forward(self, inputs: Tensor) -> Tensor:
        outputs: Tensor = nn.functional.dropout(self.inner(inputs), 0.5, self.training)
        return outputs


def restless(staged: Staged) -> Staged:
    return Staged(module=Restless(staged.module), stages=staged.stages, head=staged.head)


def test_a_step_in_several_passes_is_the_same_step() -> None:
    ends, losses = [], []
    for size in (None, 3, 8):
        engine = make(phase("sgd"), backbone="mlp", micro_batch_size=size, clip_norm=0.5)
        losses.append([result.metrics["train/loss"] for result in engine.epochs()])
        ends.append(engine.weights())
    assert same(ends[0], ends[2])
    assert losses[0] == losses[2]
    assert losses[0] == pytest.approx(losses[1], rel=1e-4)
    for name, value in ends[0].items():
        torch.testing.assert_close(value, ends[1][name], rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("fields", [{}, {"mixup": 0.4}])
def test_a_step_in_several_passes_is_the_same_step_with_class_weights(
    fields: dict[str, Any],
) -> None:
    task = {"name": "classification", "class_weights": [1.0, 20.0], "label_smoothing": 0.1}
    ends, losses = [], []
    for size in (None, 2):
        engine = make(phase("sgd"), backbone="mlp", micro_batch_size=size, task=task, **fields)
        losses.append([result.metrics["train/loss"] for result in engine.epochs()])
        ends.append(engine.weights())
    assert losses[0] == pytest.approx(losses[1], rel=1e-4)
    for name, value in ends[0].items():
        torch.testing.assert_close(value, ends[1][name], rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("size", [None, 3])
def test_the_training_loss_of_an_epoch_is_weighted_by_class_as_that_of_validation(
    size: int | None,
) -> None:
    # Batches differ in their share of the rare class, and the model predicts the other one.
    dataset = {"name": "wine", "classes": ["class_0", "class_1"], "validation": 40, "test": 40}

    def unequal(staged: Staged) -> Staged:
        assert isinstance(staged.head, nn.Linear)
        staged.head.bias.data.copy_(torch.tensor([2.0, -2.0]))
        return staged

    engine, staged, data = parts(
        phase("sgd", epochs=1, learning_rate=1e-12, weight_decay=0.0),
        backbone="mlp",
        dataset=dataset,
        task={"name": "classification", "class_weights": [1.0, 20.0]},
        micro_batch_size=size,
        change=unequal,
    )
    (result,) = engine.epochs()
    with torch.inference_mode():
        outputs = staged.module.eval()(every(data.train))
    weights = torch.tensor([1.0, 20.0])
    expected = nn.functional.cross_entropy(outputs, data.train.targets, weight=weights)
    assert result.metrics["train/loss"] == pytest.approx(float(expected), rel=1e-4)


def test_passes_take_no_more_samples_than_they_are_allowed_and_leave_none_alone() -> None:
    engine, staged, _ = parts(phase(epochs=1), batch_size=7, micro_batch_size=3)
    sizes: list[int] = []
    staged.module.register_forward_pre_hook(
        lambda module, inputs: sizes.append(len(inputs[0])) if module.training else None
    )
    list(engine.epochs())
    assert sizes == [3, 4, 3, 4, 3, 3]


def test_every_pass_of_a_step_drops_other_units_and_resumes_to_the_last_bit() -> None:
    backbone = {"name": "mlp", "dropout": 0.5, "hidden": [16]}
    engine, staged, _ = parts(phase(epochs=1), backbone=backbone, batch_size=20, micro_batch_size=5)
    (layer,) = (m for m in staged.module.modules() if isinstance(m, nn.Dropout))
    states: list[Tensor] = []
    layer.register_forward_pre_hook(
        lambda layer, _: states.append(torch.get_rng_state()) if layer.training else None
    )
    list(engine.epochs())
    assert len({tuple(state.tolist()) for state in states}) == len(states) == 4
    must_resume(lambda: make(phase(), backbone=backbone, micro_batch_size=3, change=restless))


def norms(clip: float | None) -> list[float]:
    """Of what SGD without momentum moves the model by at each step, at a rate of 1."""
    main = phase(
        "sgd", epochs=1, learning_rate=1.0, weight_decay=0.0, options={"momentum": 0.0}, l2_sp=0.1
    )
    main = replace(main, schedule=Schedule())
    engine, staged, _ = parts(main, backbone="mlp", clip_norm=clip)
    places: list[Tensor] = []
    staged.module.register_forward_pre_hook(
        lambda module, _: (
            places.append(nn.utils.parameters_to_vector(module.parameters()).detach().clone())
            if module.training
            else None
        )
    )
    list(engine.epochs())
    return [float((two - one).norm()) for one, two in pairwise(places)]


def test_clipping_shortens_long_gradients_and_no_others() -> None:
    free = norms(None)
    assert min(free) > 0.2
    assert norms(0.1) == pytest.approx([0.1] * len(free), rel=1e-3)
    assert norms(1e6) == free


def test_bfloat16_computes_in_bfloat16_and_keeps_weights_and_metrics_in_float32() -> None:
    engine, staged, _ = parts(phase(epochs=3), precision="bfloat16")
    kinds: set[torch.dtype] = set()
    staged.head.register_forward_hook(lambda module, _, outputs: kinds.add(outputs.dtype))
    results = list(engine.epochs())
    assert kinds == {torch.bfloat16}
    assert {value.dtype for value in engine.weights().values()} == {torch.float32, torch.int64}
    assert engine.validated is not None
    assert engine.validated[0].dtype == torch.float32
    full = list(make(phase(epochs=3)).epochs())
    for got, expected in zip(results, full, strict=True):
        assert got.metrics["train/loss"] != expected.metrics["train/loss"]
        assert got.metrics["train/loss"] == pytest.approx(expected.metrics["train/loss"], rel=0.1)


def test_a_trial_in_bfloat16_resumes_to_the_last_bit() -> None:
    must_resume(lambda: make(phase(depth=1), precision="bfloat16", ema=0.9, clip_norm=1.0))


def test_channels_last_changes_the_memory_format_and_hardly_a_number() -> None:
    def change(staged: Staged) -> Staged:
        devices.to_channels_last(staged.module)
        return staged

    usual = list(make(phase()).epochs())
    engine, staged, _ = parts(phase(), change=change)
    formats: set[bool] = set()

    def look(module: nn.Module, _: object, outputs: Tensor) -> None:
        formats.add(outputs.is_contiguous(memory_format=torch.channels_last))

    # Not the first one: the memory of one channel has the same order in both formats.
    convolution = [m for m in staged.module.modules() if isinstance(m, nn.Conv2d)][-1]
    convolution.register_forward_hook(look)
    results = list(engine.epochs())
    assert formats == {True}
    assert not convolution.weight.is_contiguous()
    for got, expected in zip(results, usual, strict=True):
        assert got.metrics["train/loss"] == pytest.approx(expected.metrics["train/loss"], rel=1e-3)
    # What is stored has the usual format, which other programs read.
    assert all(weight.is_contiguous() for weight in engine.weights().values())
    must_resume(lambda: make(phase(depth=1), ema=0.9, change=change))


def test_a_gpu_uses_tf32_only_if_the_precision_says_so() -> None:
    for precision, used in (("tf32", True), ("bfloat16", False), ("float32", False)):
        set_gpu_precision(precision)
        assert torch.backends.cudnn.allow_tf32 is used
        assert torch.backends.cuda.matmul.allow_tf32 is used
    assert torch.backends.cudnn.deterministic
    assert not torch.backends.cudnn.benchmark


def test_all_methods_together_resume_to_the_last_bit() -> None:
    main = phase(
        epochs=2,
        depth=2,
        unfreeze_every=1,
        layer_decay=0.7,
        head_learning_rate=0.05,
        l2_sp=0.01,
        trainable="norm",
    )
    must_resume(
        lambda: make(
            main,
            mixup=0.2,
            cutmix=1.0,
            ema=0.9,
            clip_norm=1.0,
            micro_batch_size=4,
            precision="bfloat16",
            report_every=0.5,
            augmentation=AUGMENTATION,
        )
    )


def test_texts_train_with_every_method_that_takes_them_and_resume_to_the_last_bit(
    tmp_path: Path,
) -> None:
    words = ("bad poor", "good fine")
    lines = [f"{words[n % 2]} {'word ' * (n % 5)}{n},{n % 2}" for n in range(60)]
    file = tmp_path / "texts.csv"
    file.write_text("\n".join(["text,label", *lines]) + "\n")
    dataset = {"name": "text_table", "path": str(file), "text": "text", "label": "label"}
    main = phase(epochs=2, depth=2, unfreeze_every=1, layer_decay=0.5, l2_sp=0.01)
    engine = must_resume(
        lambda: make(
            main,
            dataset=dataset,
            backbone={"name": "small_text", "width": 8, "buckets": 64},
            micro_batch_size=3,
            ema=0.5,
            clip_norm=1.0,
            report_every=0.5,
        )
    )
    assert engine.validated is not None
    assert engine.validated[0].shape == (12, 2)


def test_outputs_and_targets_of_the_last_validation_are_at_hand() -> None:
    engine, _, data = parts(phase(epochs=1))
    assert engine.validated is None
    (result,) = engine.epochs()
    assert engine.validated is not None
    outputs, targets = engine.validated
    assert torch.equal(targets, data.validation.targets)
    right = (outputs.argmax(dim=1) == targets).double().mean().item()
    assert result.metrics["validation/accuracy"] == pytest.approx(right)


def test_validation_in_small_batches_gives_the_same_outputs(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    whole = make(phase(epochs=1))
    list(whole.epochs())
    monkeypatch.setattr(engine_outputs, "MAX_NUMBERS", 8 * 8 * 7)
    small, staged, _ = parts(phase(epochs=1))
    sizes: list[int] = []
    staged.module.register_forward_pre_hook(
        lambda module, inputs: None if module.training else sizes.append(len(inputs[0]))
    )
    list(small.epochs())
    assert sizes == [7, 7, 6]
    assert whole.validated is not None and small.validated is not None
    torch.testing.assert_close(whole.validated[0], small.validated[0])


# --------------------------------------------------------------------------------------- device


def test_the_cpu_is_always_there_and_auto_finds_a_device() -> None:
    assert choose_device("cpu") == CPU
    assert choose_device("auto").type in ("cpu", "cuda", "mps")


@pytest.mark.skipif(torch.cuda.is_available(), reason="needs a machine without a GPU")
def test_a_device_that_is_not_there_is_refused_with_those_that_are() -> None:
    with pytest.raises(ValueError, match="device is cuda, but torch finds only"):
        choose_device("cuda")


@pytest.mark.parametrize(("gpus", "found"), [(1, "1 GPU"), (2, "2 GPUs")])
def test_a_gpu_s_number_that_is_too_large_is_answered_with_one_that_is_there(
    gpus: int, found: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: gpus)
    message = f"device is cuda:3, but torch finds only {found} on this machine; use cuda:{gpus - 1}"
    with pytest.raises(ValueError, match=f"^{message} or auto"):
        choose_device("cuda:3")
