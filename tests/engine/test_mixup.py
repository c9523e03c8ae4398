"""Samples and their targets are mixed alike, and by (seed, epoch, step) alone."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from tests.support.training import every, make, measured, must_resume, parts, phase, plan, same
from workbench.engine import batches
from workbench.engine.mixup import check, mix

KEY: dict[str, Any] = {"seed": 1, "epoch": 2, "step": 3}


def batch(size: int = 6) -> tuple[Tensor, Tensor]:
    """Images that hold their own number everywhere, and that number as a label."""
    numbers = torch.arange(size)
    images = numbers.float().reshape(-1, 1, 1, 1).expand(-1, 3, 16, 16).contiguous()
    return images, nn.functional.one_hot(numbers, size).float()


def several(steps: int, **alphas: float) -> list[tuple[Tensor, Tensor]]:
    inputs, targets = batch()
    given: dict[str, Any] = {"mixup": 0.0, "cutmix": 0.0, **alphas}
    return [mix(inputs, targets, **given, **{**KEY, "step": step}) for step in range(steps)]


def test_mixup_mixes_targets_as_it_mixes_samples() -> None:
    for inputs, targets in several(20, mixup=0.5):
        assert torch.equal(inputs[:, 0], inputs[:, 2])
        mean = (targets * torch.arange(6)).sum(dim=1)
        torch.testing.assert_close(inputs[:, 0, 0, 0], mean, atol=1e-5, rtol=1e-5)
        torch.testing.assert_close(targets.sum(dim=1), torch.ones(6))


def test_cutmix_mixes_targets_by_the_area_that_each_image_keeps() -> None:
    boxes = 0
    for inputs, targets in several(20, cutmix=1.0):
        shares = torch.stack(
            [(inputs[:, 0] == number).float().mean(dim=(1, 2)) for number in range(6)], dim=1
        )
        torch.testing.assert_close(shares, targets, atol=1e-6, rtol=0)
        foreign = inputs[:, 0] != torch.arange(6).reshape(-1, 1, 1)
        if foreign.any():
            boxes += 1
            (pasted,) = {tuple(f.flatten().tolist()) for f in foreign if f.any()}
            box = torch.tensor(pasted).reshape(16, 16)
            rows, columns = box.any(dim=1), box.any(dim=0)
            assert torch.equal(box, rows[:, None] & columns[None])
    assert boxes > 10


def test_with_both_each_batch_gets_one_of_the_two() -> None:
    whole = [
        bool((inputs[:, 0] == inputs[:, 0].round()).all())
        for inputs, _ in several(60, mixup=0.5, cutmix=0.5)
    ]
    assert 15 < sum(whole) < 45


def test_the_mean_share_is_half_and_small_alphas_mix_little() -> None:
    def shares(alpha: float) -> Tensor:
        found = [targets.amax(dim=1).min() for _, targets in several(300, mixup=alpha)]
        return torch.stack(found)

    assert shares(0.05).median() > 0.99 > 0.8 > shares(5.0).median() > 0.5


def test_seed_epoch_and_step_each_change_the_mixture_and_nothing_else_does() -> None:
    inputs, targets = batch()
    before = inputs.clone()
    keys = (KEY, {**KEY, "seed": 9}, {**KEY, "epoch": 9}, {**KEY, "step": 9})
    drawn = [mix(inputs, targets, mixup=1.0, cutmix=0.0, **key)[1] for key in keys]
    assert all(not torch.equal(drawn[0], other) for other in drawn[1:])
    torch.manual_seed(77)
    state = torch.get_rng_state()
    assert torch.equal(mix(inputs, targets, mixup=1.0, cutmix=0.0, **KEY)[1], drawn[0])
    assert torch.equal(torch.get_rng_state(), state)
    assert torch.equal(inputs, before)


# --------------------------------------------------------------------------------------- in a trial


@pytest.mark.parametrize("alphas", [{"mixup": 0.4}, {"cutmix": 1.0}, {"mixup": 0.4, "cutmix": 1.0}])
def test_a_mixed_trial_resumes_to_the_last_bit(alphas: dict[str, Any]) -> None:
    backbone = {"name": "mlp", "dropout": 0.3, "hidden": [8]}
    must_resume(lambda: make(phase(epochs=3), backbone=backbone, **alphas))


def test_a_trial_trains_on_mixed_samples_and_measures_each_against_its_own_label() -> None:
    seen: list[Tensor] = []
    engine, staged, data = parts(
        phase("sgd", epochs=1, learning_rate=1e-30), backbone="mlp", mixup=5.0, batch_size=20
    )
    staged.module.register_forward_hook(
        lambda module, inputs, outputs: (
            seen.extend((inputs[0], outputs)) if module.training else None
        )
    )
    (result,) = engine.epochs()
    inputs, outputs = seen
    originals = {tuple(row) for row in every(data.train).flatten(start_dim=1).tolist()}
    mixed = {tuple(row) for row in inputs.flatten(start_dim=1).tolist()}
    assert len(mixed - originals) >= 15, "a permutation leaves few where they are"
    labels = data.train.targets[batches.order(20, seed=3, epoch=1)]
    accuracy = (outputs.argmax(dim=1) == labels).double().mean().item()
    assert result.metrics["train/accuracy"] == pytest.approx(accuracy)
    hard = nn.functional.cross_entropy(outputs, labels).item()
    assert result.metrics["train/loss"] != pytest.approx(hard, rel=1e-4)


def test_vectors_can_be_mixed_up() -> None:
    engine = make(phase(epochs=6), backbone="mlp", dataset={"name": "wine"}, mixup=0.2)
    assert list(engine.epochs())[-1].metrics["validation/accuracy"] >= 0.9


def test_passes_of_a_batch_are_parts_of_one_mixture() -> None:
    ends = []
    for size in (None, 3):
        engine = make(phase("sgd"), backbone="mlp", mixup=0.4, micro_batch_size=size)
        list(engine.epochs())
        ends.append(engine.weights())
    assert not same(ends[0], ends[1])
    for name, value in ends[0].items():
        torch.testing.assert_close(value, ends[1][name], rtol=1e-4, atol=1e-6)


def test_a_freeze_depth_changes_no_mixture() -> None:
    main = [phase("sgd", depth=depth, learning_rate=1e-30) for depth in (0, 2)]
    first, second = (measured(list(make(m, backbone="mlp", mixup=0.4).epochs())) for m in main)
    assert first == second


def test_vectors_cannot_be_cut() -> None:
    with pytest.raises(ValueError, match=r"cutmix .* the samples are vectors"):
        make(phase(), backbone="mlp", dataset={"name": "wine"}, cutmix=1.0)


def test_texts_cannot_be_mixed() -> None:
    with pytest.raises(ValueError, match="mixup and cutmix cannot mix texts"):
        check(plan(phase(), mixup=0.2, cutmix=1.0), "text")
    check(plan(phase()), "text")
