"""Batches are the same wherever they are made, and a dead loader process is named."""

from __future__ import annotations

import os
import signal
from typing import Any

import psutil
import pytest
import torch

from tests.support.training import (
    AUGMENTATION,
    IMAGES,
    every,
    make,
    measured,
    parts,
    phase,
    plan,
    same,
    through_disk,
)
from workbench.engine import batches
from workbench.engine.batches import Batches, is_dead_loader
from workbench.engine.loop import Engine, Interrupted


def children() -> list[psutil.Process]:
    """Loader processes; the one that tracks shared resources is none."""
    return [
        child for child in psutil.Process().children() if "spawn_main" in " ".join(child.cmdline())
    ]


CODE = """
import numpy as np
import torch


def noise():
    return lambda image: image + 0.1 * torch.rand(()) * float(np.random.rand())
"""


@pytest.mark.slow
def test_loader_processes_change_no_bit_and_a_dead_one_is_named(tmp_path: Any) -> None:
    """Also after an epoch that was left in its middle, and with a user's own transform."""
    file = tmp_path / "own.py"
    file.write_text(CODE)
    augmentation: Any = (*AUGMENTATION, {f"{file}:noise": {}})

    def made(workers: int, asks: int | None = None) -> Engine:
        calls = iter(range(10**6))
        return make(
            phase(epochs=3),
            backbone="mlp",
            augmentation=augmentation,
            loader_workers=workers,
            interrupted=lambda: next(calls) == asks,
        )

    alone = made(0)
    expected = measured(list(alone.epochs()))
    two = made(2, asks=6)
    before = len(children())
    states: list[dict[str, Any]] = []
    with pytest.raises(Interrupted):
        states.extend(through_disk(two.state()) for _ in two.epochs())
    assert len(children()) == before + 2
    two.restore(states[-1])
    assert measured(list(two.epochs())) == expected[1:]
    assert same(two.weights(), alone.weights())
    one = made(1)
    stream = one.epochs()
    known = {child.pid for child in children()}
    first = next(stream)
    (worker,) = (child.pid for child in children() if child.pid not in known)
    assert measured([first]) == expected[:1]
    os.kill(worker, signal.SIGKILL)
    with pytest.raises(RuntimeError) as death:
        list(stream)
    assert is_dead_loader(death.value)
    assert not is_dead_loader(RuntimeError("an error in a loader process"))


def test_an_error_in_a_sample_is_told_as_if_no_process_lay_between(tmp_path: Any) -> None:
    file = tmp_path / "own.py"
    file.write_text("def broken():\n    return lambda image: image[9]\n")
    engine = make(phase(), augmentation=({f"{file}:broken": {}},), loader_workers=1)
    with pytest.raises(ValueError, match=r"own\.py:2: broken raised IndexError"):
        next(engine.epochs())


def test_parts_of_an_epoch_are_its_batches_in_order() -> None:
    _, _, data = parts(phase())
    made = Batches(data, plan(phase()), seed=3, device=torch.device("cpu"))
    assert (made.steps, len(made)) == (3, 20)
    whole = list(made.inputs(2, 0, 3))
    split = [*made.inputs(2, 0, 1), *made.inputs(2, 1, 3)]
    for inputs, others in zip(whole, split, strict=True):
        assert torch.equal(inputs, others)  # type: ignore[arg-type]
    order = batches.order(20, seed=3, epoch=2)
    targets = torch.cat([made.targets(positions) for positions in made.positions(2, 0, 3)])
    assert torch.equal(targets, data.train.targets[order])


@pytest.mark.parametrize(
    ("count", "size", "sizes"),
    [(9, 4, [4, 5]), (10, 4, [4, 4, 2]), (3, 1, [1, 1, 1]), (1, 4, [1]), (8, 4, [4, 4])],
)
def test_no_batch_of_one_is_left_over(count: int, size: int, sizes: list[int]) -> None:
    assert [len(batch) for batch in batches.split(torch.arange(count), size)] == sizes


def test_a_training_image_is_cropped_to_what_the_model_takes_after_its_augmentation() -> None:
    _, _, data = parts(phase())
    larger = ({"resize": {"size": 12}},)
    made = Batches(data, plan(phase(), augmentation=larger), seed=3, device=torch.device("cpu"))
    (inputs,) = made.inputs(1, 0, 1)
    assert isinstance(inputs, torch.Tensor)
    assert inputs.shape == (8, 1, 8, 8)
    taken = every(data.train)[batches.order(20, seed=3, epoch=1)[:8]]
    resized = torch.nn.functional.interpolate(taken, size=(12, 12), mode="bilinear", antialias=True)
    torch.testing.assert_close(inputs, resized[..., 2:10, 2:10], rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(
    ("augmentation", "loaders", "place"),
    [
        (({"random_horizontal_flip": {}},), 0, "meta"),
        ((), 0, "meta"),
        (({"gaussian_blur": {"kernel_size": 3}},), 0, "cpu"),
        (({"random_horizontal_flip": {}},), 1, "cpu"),
    ],
)
def test_images_wait_on_the_device_unless_single_ones_are_transformed_or_other_processes_read(
    augmentation: Any, loaders: int, place: str
) -> None:
    _, _, data = parts(phase())
    chosen = plan(phase(), augmentation=augmentation, loader_workers=loaders)
    made = Batches(data, chosen, seed=3, device=torch.device("meta"))
    inputs = made._reader.data.train.inputs[torch.arange(2)]
    assert isinstance(inputs, torch.Tensor) and inputs.device.type == place
    on_device = "gaussian_blur" not in str(augmentation)
    assert made._reader.finishes is not on_device, "whatever the number of processes"


def test_a_batch_is_the_same_where_it_is_augmented_after_it_was_read() -> None:
    _, _, data = parts(phase())
    reader, positions = batches.Reader(data, AUGMENTATION, seed=3), torch.tensor([4, 0, 9])
    expected = reader[2, positions]
    reader.finishes = False
    read = reader[2, positions]
    assert isinstance(read, torch.Tensor) and isinstance(expected, torch.Tensor)
    assert not torch.equal(read, expected)
    finished = reader.finish(read, 2, positions)
    assert isinstance(finished, torch.Tensor) and torch.equal(finished, expected)


def test_an_augmentation_that_makes_images_too_small_is_refused() -> None:
    smaller = ({"random_crop": {"size": 6}},)
    with pytest.raises(ValueError, match=r"6 x 6 pixels, but the model takes 8 x 8.*size to 8"):
        next(make(phase(), augmentation=smaller).epochs())


def test_vectors_cannot_be_augmented() -> None:
    flips: Any = ({"random_horizontal_flip": {}},)
    with pytest.raises(ValueError, match="transforms images"):
        next(make(phase(), backbone="mlp", dataset={"name": "wine"}, augmentation=flips).epochs())


def test_a_batch_of_texts_is_taken_apart_column_by_column() -> None:
    tokens = {"input_ids": torch.arange(12).reshape(4, 3), "attention_mask": torch.ones(4, 3)}
    taken = batches.rows(batches.to_device(tokens, torch.device("cpu")), slice(1, 3))
    assert isinstance(taken, dict)
    assert taken["input_ids"].tolist() == [[3, 4, 5], [6, 7, 8]]
    assert taken["attention_mask"].shape == (2, 3)


def test_images_count_by_their_pixels_and_texts_by_their_tokens() -> None:
    assert batches.input_size(torch.zeros(2, 3, 4, 4)) == 48
    tokens = {"input_ids": torch.zeros(2, 7), "attention_mask": torch.zeros(2, 7)}
    assert batches.input_size(tokens) == 7 * 256
    assert IMAGES["validation"] == 20
