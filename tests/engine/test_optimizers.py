"""Names and defaults, the translation to torch's arguments, and the learning rate of every step."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace

import pytest
import torch
from torch import nn

from workbench.engine import optimizers
from workbench.engine.optimizers import OPTIMIZERS, SCHEDULES
from workbench.record.strategy import Phase, Schedule


def phase(name: str, **options: bool | float) -> Phase:
    return Phase(
        name="main",
        epochs=1,
        freeze_depth=0,
        optimizer=name,
        learning_rate=0.25,
        weight_decay=0.125,
        options={**OPTIMIZERS[name].options, **options},
        schedule=Schedule(),
    )


def test_no_catalogue_loads_torch_when_imported() -> None:
    names = ("engine.optimizers", "datasets.augmentations", "backbones", "datasets", "tasks")
    program = f"import sys, {', '.join(f'workbench.{name}' for name in names)}"
    program += "; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_every_optimizer_is_built_with_the_phases_rate_and_decay_and_takes_a_step(
    name: str,
) -> None:
    parameter = nn.Parameter(torch.ones(3))
    optimizer = optimizers.build(phase(name), [parameter])
    assert optimizer.defaults["lr"] == 0.25
    assert optimizer.defaults["weight_decay"] == 0.125
    parameter.grad = torch.ones(3)
    optimizer.step()
    assert (parameter < 1).all()


def test_adams_knobs_reach_torch_under_its_own_names() -> None:
    parameters = [nn.Parameter(torch.ones(3))]
    built = optimizers.build(phase("adamw", beta1=0.8, beta2=0.95, epsilon=1e-6), parameters)
    assert built.defaults["betas"] == (0.8, 0.95)
    assert built.defaults["eps"] == 1e-6


OTHERS: dict[str, dict[str, bool | float]] = {
    "momentum": {"momentum": 0.5},
    "nesterov": {"nesterov": True, "momentum": 0.5},
    "beta1": {"beta1": 0.5},
    "beta2": {"beta2": 0.5},
    "epsilon": {"epsilon": 0.5},
    "momentum_decay": {"momentum_decay": 2.0},
    "decoupled_weight_decay": {"decoupled_weight_decay": False},
    "alpha": {"alpha": 0.5},
    "centered": {"centered": True},
    "rate_decay": {"rate_decay": 0.5},
    "initial_accumulator": {"initial_accumulator": 0.5},
    "rho": {"rho": 0.5},
    "beta2_decay": {"beta2_decay": -0.1},
    "update_clip": {"update_clip": 8.0},
}


def trained(name: str, **options: bool | float) -> torch.Tensor:
    """Where some numbers end after ten steps on a valley."""
    parameter = nn.Parameter(torch.tensor([[3.0, -2.0], [0.5, 1.0]]))
    optimizer = optimizers.build(phase(name, **options), [parameter])
    for step in range(10):
        optimizer.zero_grad()
        (((parameter - step) ** 2) * torch.tensor([1.0, 10.0])).sum().backward()  # type: ignore[no-untyped-call]
        optimizer.step()
    return parameter.detach()


@pytest.mark.parametrize(
    ("name", "option"),
    [(name, option) for name, entry in OPTIMIZERS.items() for option in entry.options],
)
def test_every_knob_of_every_optimizer_changes_its_steps(name: str, option: str) -> None:
    assert not torch.equal(trained(name), trained(name, **OTHERS[option]))


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_weight_decay_is_decoupled_where_the_catalogue_says_so(name: str) -> None:
    """Without a gradient a decoupled decay takes the rate times the decay of a parameter."""
    parameter = nn.Parameter(torch.full((3,), 2.0))
    optimizer = optimizers.build(phase(name), [parameter])
    parameter.grad = torch.zeros(3)
    optimizer.step()
    decoupled = name in ("adamw", "nadam", "radam", "adafactor")
    expected = torch.full((3,), 2.0 * (1 - 0.25 * 0.125))
    if name != "sgd":  # For SGD without a past the two are the same.
        assert torch.allclose(parameter.detach(), expected, atol=1e-5) == decoupled


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_an_optimizer_remembers_no_more_numbers_than_the_catalogue_says(name: str) -> None:
    parameter = nn.Parameter(torch.ones(64, 64))
    on = {"momentum": 0.9, "centered": True} if name == "rmsprop" else {}
    optimizer = optimizers.build(phase(name, **on), [parameter])
    parameter.grad = torch.ones(64, 64)
    optimizer.step()
    held = sum(
        value.numel() for value in optimizer.state[parameter].values() if torch.is_tensor(value)
    )
    assert round(held / parameter.numel()) == OPTIMIZERS[name].slots


def test_groups_have_rates_of_their_own() -> None:
    groups = [{"params": [nn.Parameter(torch.ones(1))], "lr": rate} for rate in (0.1, 0.2)]
    built = optimizers.build(phase("adamw"), groups)
    assert [group["lr"] for group in built.param_groups] == [0.1, 0.2]


def test_a_missing_option_is_the_catalogues_default() -> None:
    bare = replace(phase("sgd"), options={"nesterov": True})
    built = optimizers.build(bare, [nn.Parameter(torch.ones(3))])
    assert built.defaults["momentum"] == 0.9
    assert built.defaults["nesterov"] is True


def factors(schedule: Schedule, *, epochs: int = 4, steps_per_epoch: int = 5) -> list[float]:
    steps = epochs * steps_per_epoch
    return [
        optimizers.factor(schedule, step=step, steps=steps, steps_per_epoch=steps_per_epoch)
        for step in range(steps)
    ]


@pytest.mark.parametrize("name", SCHEDULES)
def test_without_warm_up_every_schedule_starts_at_the_full_rate(name: str) -> None:
    assert factors(Schedule(name=name))[0] == pytest.approx(1.0)


@pytest.mark.parametrize("name", SCHEDULES)
def test_warm_up_rises_linearly_to_the_full_rate_and_the_schedule_follows(name: str) -> None:
    schedule = Schedule(name=name, warmup_epochs=0.8)
    got = factors(schedule)
    assert got[:4] == pytest.approx([0.25, 0.5, 0.75, 1.0])
    bare = replace(schedule, warmup_epochs=0.0)
    rest = [optimizers.factor(bare, step=step, steps=16, steps_per_epoch=5) for step in range(16)]
    assert got[4:] == pytest.approx(rest)


def test_a_warm_up_longer_than_the_phase_never_leaves_it() -> None:
    assert factors(Schedule(name="cosine", warmup_epochs=8.0))[-1] == pytest.approx(0.5)


def test_the_schedules_agree_with_torchs_own_schedulers() -> None:
    for name, build in (
        (
            "linear",
            lambda optimizer: torch.optim.lr_scheduler.LinearLR(
                optimizer, start_factor=1.0, end_factor=0.1, total_iters=20
            ),
        ),
        (
            "cosine",
            lambda optimizer: torch.optim.lr_scheduler.CosineAnnealingLR(
                optimizer, T_max=20, eta_min=0.1
            ),
        ),
        (
            "step",
            lambda optimizer: torch.optim.lr_scheduler.StepLR(optimizer, step_size=10, gamma=0.5),
        ),
    ):
        optimizer = torch.optim.SGD([nn.Parameter(torch.ones(1))], lr=1.0)
        scheduler = build(optimizer)
        expected = []
        for _ in range(20):
            expected.append(optimizer.param_groups[0]["lr"])
            optimizer.step()
            scheduler.step()
        got = factors(Schedule(name=name, final=0.1, gamma=0.5, step_epochs=2.0))
        assert got == pytest.approx(expected), name


def test_the_last_step_still_moves_the_weights() -> None:
    assert factors(Schedule(name="linear"))[-1] == pytest.approx(1 / 20)
    assert factors(Schedule(name="cosine"))[-1] > 0


@pytest.mark.parametrize("name", ["sgd", "adamw"])
def test_a_parameter_without_a_gradient_in_the_first_steps_joins_as_without_a_fused_kernel(
    name: str,
) -> None:
    ends = []
    for fused in (True, False):
        first, later = nn.Parameter(torch.ones(3)), nn.Parameter(torch.ones(2))
        optimizer = optimizers.build(phase(name), [first, later])
        for group in optimizer.param_groups:
            group["fused"] = fused
        for step in range(5):
            first.grad = torch.arange(3.0) + step
            later.grad = torch.arange(2.0) - step if step in (2, 4) else None
            optimizer.step()
        ends.append(torch.cat([first.detach(), later.detach()]))
    torch.testing.assert_close(ends[0], ends[1])
