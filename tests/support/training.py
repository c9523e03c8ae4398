"""Engines on data and backbones so small that a trial takes a fraction of a second."""

from __future__ import annotations

import io
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from workbench import backbones, datasets, tasks
from workbench.backbones.stages import Staged
from workbench.datasets import Data, Part
from workbench.engine.activations import ActivationSource
from workbench.engine.loop import Engine
from workbench.engine.optimizers import OPTIMIZERS
from workbench.record import EpochResult
from workbench.record.strategy import Phase, Plan, Schedule

IMAGES = {"name": "digits", "classes": [1, 7], "train_per_class": 10, "validation": 20}
AUGMENTATION = ({"random_affine": {"degrees": 15.0, "translate": [0.1, 0.1]}},)
CPU = torch.device("cpu")


def phase(
    optimizer: str = "adamw",
    *,
    name: str = "main",
    epochs: int = 2,
    depth: int = 0,
    learning_rate: float = 1e-2,
    schedule: str = "constant",
    **fields: Any,
) -> Phase:
    return Phase(
        **{
            "name": name,
            "epochs": epochs,
            "freeze_depth": depth,
            "optimizer": optimizer,
            "learning_rate": learning_rate,
            "weight_decay": 0.1,
            "options": OPTIMIZERS[optimizer].options,
            "schedule": Schedule(name=schedule, warmup_epochs=0.5),
            **fields,
        }
    )


def make(
    *phases: Phase,
    backbone: str | dict[str, Any] = "small_cnn",
    seed: int = 3,
    interrupted: Callable[[], bool] = lambda: False,
    dataset: dict[str, Any] = IMAGES,
    change: Callable[[Staged], Staged] = lambda staged: staged,
    activation_source: ActivationSource | None = None,
    device: torch.device = CPU,
    **fields: Any,
) -> Engine:
    return parts(
        *phases,
        backbone=backbone,
        seed=seed,
        interrupted=interrupted,
        dataset=dataset,
        change=change,
        activation_source=activation_source,
        device=device,
        **fields,
    )[0]


def parts(
    *phases: Phase,
    backbone: str | dict[str, Any] = "small_cnn",
    seed: int = 3,
    interrupted: Callable[[], bool] = lambda: False,
    dataset: dict[str, Any] = IMAGES,
    change: Callable[[Staged], Staged] = lambda staged: staged,
    activation_source: ActivationSource | None = None,
    device: torch.device = CPU,
    **fields: Any,
) -> tuple[Engine, Staged, Data]:
    """An engine with what it trains and what it sees; other fields are the plan's."""
    # As in a worker; and tests that share two cores do not wait for each other.
    torch.set_num_threads(1)
    named = {"name": backbone} if isinstance(backbone, str) else backbone
    planned = plan(*phases, dataset=dataset, backbone=named, **fields)
    target = tasks.target_of(planned.task)
    data = datasets.load(dataset, target=target, study_seed=0, seed=seed)
    data = backbones.prepare(named, data)
    task = tasks.build(planned.task, data.classes, data.train.targets)
    staged = backbones.build(
        named,
        weights=None,
        keep_head=False,
        input_shape=data.input_shape,
        outputs=task.outputs,
        seed=seed,
    )
    staged = change(staged)
    engine = Engine(
        plan=planned,
        staged=staged,
        task=task,
        data=data,
        seed=seed,
        device=device,
        interrupted=interrupted,
        activation_source=activation_source,
    )
    return engine, staged, data


def plan(*phases: Phase, **fields: Any) -> Plan:
    return Plan(
        **{
            "dataset": IMAGES,
            "backbone": {"name": "small_cnn"},
            "weights": None,
            "keep_head": False,
            "task": {"name": "classification"},
            "batch_size": 8,
            "augmentation": (),
            "device": "cpu",
            "threads": 1,
            "phases": phases,
            **fields,
        }
    )


def measured(results: list[EpochResult]) -> list[tuple[int, str, dict[str, float]]]:
    """All that must repeat: everything but times."""
    return [
        (result.epoch, result.phase, {k: v for k, v in result.metrics.items() if k != "seconds"})
        for result in results
    ]


def same(first: dict[str, Tensor], second: dict[str, Tensor]) -> bool:
    """Whether two state dicts are equal to the last bit."""
    return first.keys() == second.keys() and all(
        torch.equal(value, second[name]) for name, value in first.items()
    )


def through_disk(state: dict[str, Any]) -> dict[str, Any]:
    buffer = io.BytesIO()
    torch.save(state, buffer)
    buffer.seek(0)
    loaded: dict[str, Any] = torch.load(buffer, weights_only=True)
    return loaded


def every(part: Part) -> Tensor:
    """All inputs of a part."""
    inputs = part.inputs[torch.arange(len(part.inputs))]
    assert isinstance(inputs, Tensor)
    return inputs


def must_resume(fresh: Callable[[], Engine]) -> Engine:
    """Hold a trial to going on after any report as if it had never stopped; the whole trial."""
    whole = fresh()
    states = [through_disk(whole.state())]
    results = []
    for result in whole.epochs():
        results.append(result)
        states.append(through_disk(whole.state()))
    for done, state in enumerate(states):
        torch.manual_seed(done)
        resumed = fresh()
        resumed.restore(state)
        assert measured(list(resumed.epochs())) == measured(results)[done:]
        assert same(resumed.weights(), whole.weights())
    return whole
