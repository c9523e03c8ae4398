"""The training loop: repeatable and resumable to the last bit, and true to the freeze depth."""

from __future__ import annotations

import io
import math
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from workbench import backbones, datasets, stages, tasks
from workbench.backbones import BACKBONES
from workbench.datasets import Data, Part
from workbench.engine import Diverged, Engine, Interrupted, choose_device
from workbench.optimizers import OPTIMIZERS, factor
from workbench.randomness import derive
from workbench.record import EpochResult
from workbench.stages import Staged
from workbench.strategy import Phase, Plan, Schedule
from workbench.tasks import TASKS

IMAGES = {"name": "digits", "classes": [1, 7], "train_per_class": 10, "validation": 20}
AUGMENTATION = ({"random_affine": {"degrees": 15.0, "translate": [0.1, 0.1]}},)
CPU = torch.device("cpu")


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """As in a worker by default; and tests that share two cores do not wait for each other."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def phase(
    optimizer: str = "adamw",
    *,
    name: str = "main",
    epochs: int = 2,
    depth: int = 0,
    learning_rate: float = 1e-2,
    schedule: str = "constant",
) -> Phase:
    return Phase(
        name=name,
        epochs=epochs,
        freeze_depth=depth,
        optimizer=optimizer,
        learning_rate=learning_rate,
        weight_decay=0.1,
        options=OPTIMIZERS[optimizer].options,
        schedule=Schedule(name=schedule, warmup_epochs=0.5),
    )


def make(
    *phases: Phase,
    backbone: str = "small_cnn",
    seed: int = 3,
    batch_size: int = 8,
    augmentation: tuple[dict[str, Any], ...] = (),
    interrupted: Callable[[], bool] = lambda: False,
    dataset: dict[str, Any] = IMAGES,
    **options: Any,
) -> Engine:
    return parts(
        *phases,
        backbone={"name": backbone, **options},
        seed=seed,
        batch_size=batch_size,
        augmentation=augmentation,
        interrupted=interrupted,
        dataset=dataset,
    )[0]


def parts(
    *phases: Phase,
    backbone: dict[str, Any],
    seed: int = 3,
    batch_size: int = 8,
    augmentation: tuple[dict[str, Any], ...] = (),
    interrupted: Callable[[], bool] = lambda: False,
    dataset: dict[str, Any] = IMAGES,
) -> tuple[Engine, Staged, Data]:
    plan = Plan(
        dataset=dataset,
        backbone=backbone,
        weights=None,
        keep_head=False,
        task={"name": "classification"},
        batch_size=batch_size,
        augmentation=augmentation,
        device="cpu",
        threads=1,
        phases=phases,
    )
    data = datasets.load(dataset, study_seed=0, seed=seed)
    task = tasks.build(plan.task, data.classes)
    staged = backbones.build(
        backbone,
        weights=None,
        keep_head=False,
        input_shape=data.input_shape,
        outputs=task.outputs,
        seed=seed,
    )
    engine = Engine(
        plan=plan,
        staged=staged,
        task=task,
        data=data,
        seed=seed,
        device=CPU,
        interrupted=interrupted,
    )
    return engine, staged, data


def measured(results: list[EpochResult]) -> list[tuple[int, str, dict[str, float]]]:
    """All that must repeat: everything but times."""
    return [
        (result.epoch, result.phase, {k: v for k, v in result.metrics.items() if k != "seconds"})
        for result in results
    ]


def same(first: dict[str, Tensor], second: dict[str, Tensor]) -> bool:
    return first.keys() == second.keys() and all(
        torch.equal(value, second[name]) for name, value in first.items()
    )


def through_disk(state: dict[str, Any]) -> dict[str, Any]:
    buffer = io.BytesIO()
    torch.save(state, buffer)
    buffer.seek(0)
    loaded: dict[str, Any] = torch.load(buffer, weights_only=True)
    return loaded


def true_at(call: int) -> Callable[[], bool]:
    answers = iter([False] * (call - 1) + [True])
    return lambda: next(answers, False)


def tensors(modules: tuple[nn.Module, ...]) -> list[Tensor]:
    return [value.clone() for module in modules for value in module.state_dict().values()]


# ------------------------------------------------------------------------------ freeze contract


def contract_cases() -> list[tuple[str, str | int]]:
    return [(name, depth) for name in BACKBONES for depth in (0, 1, 2, "all")]


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


def every(part: Part) -> Tensor:
    inputs = part.inputs[torch.arange(len(part.inputs))]
    assert isinstance(inputs, Tensor)
    return inputs


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
    assert first.initial_seed() == derive(3, "dropout", 1)


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


# ----------------------------------------------------------------------- repeating and resuming

TWO_PHASES = (
    phase("sgd", name="probe", epochs=2, depth=2, schedule="cosine"),
    phase("adamw", name="finetune", epochs=2, schedule="linear"),
)


@pytest.mark.parametrize(
    ("backbone", "options"), [("small_cnn", {}), ("mlp", {"dropout": 0.3, "hidden": [16, 16]})]
)
def test_a_trial_run_twice_is_equal_to_the_last_bit(backbone: str, options: dict[str, Any]) -> None:
    runs = []
    for noise in (1, 2):
        torch.manual_seed(noise)
        engine = make(*TWO_PHASES, backbone=backbone, augmentation=AUGMENTATION, **options)
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
    def fresh() -> Engine:
        return make(
            *phases, backbone="mlp", dropout=0.3, hidden=[16, 16], augmentation=AUGMENTATION
        )

    whole = fresh()
    states = [through_disk(whole.state())]
    results = []
    for result in whole.epochs():
        results.append(result)
        states.append(through_disk(whole.state()))
    for done, state in enumerate(states):
        resumed = fresh()
        resumed.restore(state)
        assert measured(list(resumed.epochs())) == measured(results)[done:]
        assert same(resumed.weights(), whole.weights())
        assert resumed.confusion == whole.confusion


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


def test_a_state_can_be_used_twice() -> None:
    first = make(phase("adam", epochs=3))
    next(first.epochs())
    state = first.state()
    ends = []
    for _ in range(2):
        resumed = make(phase("adam", epochs=3))
        resumed.restore(state)
        ends.append((measured(list(resumed.epochs())), resumed.weights()))
    assert ends[0][0] == ends[1][0]
    assert same(ends[0][1], ends[1][1])


def test_an_engine_that_was_interrupted_in_an_epoch_stands_after_the_last_whole_one() -> None:
    whole = make(*TWO_PHASES)
    results = measured(list(whole.epochs()))
    # An epoch asks 3 times in training and once in validation: here, in the third epoch.
    for asked in (9, 10, 12):
        engine = make(*TWO_PHASES, interrupted=true_at(asked))
        before: list[EpochResult] = []
        with pytest.raises(Interrupted):
            before.extend(engine.epochs())
        resumed = make(*TWO_PHASES)
        resumed.restore(through_disk(engine.state()))
        assert engine.state()["epoch"] == 2
        assert measured(list(resumed.epochs())) == results[2:]
        assert measured(list(engine.epochs())) == results[2:]
        assert same(engine.weights(), whole.weights())


def test_an_interruption_before_the_first_batch_leaves_everything_untouched() -> None:
    engine = make(phase(), interrupted=lambda: True)
    before = engine.weights()
    with pytest.raises(Interrupted):
        next(engine.epochs())
    assert engine.state()["epoch"] == 0
    assert engine.confusion is None
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
        outputs = copy.eval()(data.validation.inputs)
    right = (outputs.argmax(dim=1) == data.validation.targets).double().mean().item()
    assert last.metrics["validation/accuracy"] == pytest.approx(right)
    loss = nn.functional.cross_entropy(outputs, data.validation.targets).item()
    assert last.metrics["validation/loss"] == pytest.approx(loss)
    assert engine.confusion is not None
    assert sum(map(sum, engine.confusion)) == len(data.validation.targets)
    assert sum(engine.confusion[k][k] for k in range(2)) == round(right * 20)


def test_the_training_loss_is_a_mean_over_samples_and_not_over_batches() -> None:
    engine, staged, data = parts(
        phase("sgd", epochs=1, learning_rate=1e-30), backbone={"name": "mlp"}, batch_size=17
    )
    outputs = staged.module(data.train.inputs)
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
    with pytest.raises(Diverged, match=r"diverged at epoch 2: train/loss is (nan|inf)") as caught:
        reported.extend(make(calm, wild).epochs())
    assert [result.epoch for result in reported] == [1]
    assert caught.value.epoch == 2
    assert caught.value.what in ("train/loss is nan", "train/loss is inf")


def test_weights_share_no_memory_with_the_model() -> None:
    engine, staged, _ = parts(phase(), backbone={"name": "small_cnn"})
    weights, state = engine.weights(), engine.state()["weights"]
    for name, value in staged.module.state_dict().items():
        assert weights[name].is_contiguous()
        assert len({value.data_ptr(), weights[name].data_ptr(), state[name].data_ptr()}) == 3


# --------------------------------------------------------------------------------------- device


def test_the_cpu_is_always_there_and_auto_finds_a_device() -> None:
    assert choose_device("cpu") == CPU
    assert choose_device("auto").type in ("cpu", "cuda", "mps")


@pytest.mark.skipif(torch.cuda.is_available(), reason="needs a machine without a GPU")
def test_a_device_that_is_not_there_is_refused_with_those_that_are() -> None:
    with pytest.raises(ValueError, match="device is cuda, but torch finds only"):
        choose_device("cuda")
