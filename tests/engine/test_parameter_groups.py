"""Which parameters move, how fast, and what pulls them back."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from tests.support.training import IMAGES, make, must_resume, parts, phase, same
from workbench.backbones.stages import Stage, Staged
from workbench.engine import parameter_groups
from workbench.engine.optimizers import OPTIMIZERS, factor
from workbench.record.strategy import Phase

STEPS = 3  # of an epoch: 20 samples in batches of 8
STAGES = ("stem", "block1", "block2", "block3")


def moved(staged: Staged, before: dict[str, Tensor]) -> set[str]:
    """Names of the parameters that are no longer what they were."""
    return {
        name for name, now in staged.module.named_parameters() if not torch.equal(now, before[name])
    }


def copied(staged: Staged) -> dict[str, Tensor]:
    return {name: value.detach().clone() for name, value in staged.module.named_parameters()}


# ----------------------------------------------------------------------------- gradual unfreezing

GRADUAL = phase(epochs=5, depth=4, unfreeze_every=2)


def test_gradual_unfreezing_takes_a_stage_every_so_many_epochs_and_stops_at_the_input() -> None:
    assert [parameter_groups.depth(GRADUAL, epoch) for epoch in range(1, 12)] == [
        *(4, 4, 3, 3, 2, 2, 1, 1, 0, 0, 0)
    ]
    assert [parameter_groups.depth(phase(depth=2), epoch) for epoch in (1, 5)] == [2, 2]


def test_a_stage_moves_from_the_epoch_in_which_it_is_unfrozen_on() -> None:
    engine, staged, _ = parts(GRADUAL)
    before, counts, live = copied(staged), [], []
    for _ in engine.epochs():
        live.append({name.split(".")[0] for name in moved(staged, before)} - {"head"})
        counts.append(engine.parameters["trainable"])
        before = copied(staged)
    assert live == [set(), set(), {"block3"}, {"block3"}, {"block2", "block3"}]
    assert counts[0] == counts[1] < counts[2] == counts[3] < counts[4]


def test_unfreezing_keeps_the_past_of_what_was_trained_and_starts_the_rest_afresh() -> None:
    engine = make(GRADUAL)
    steps = []
    for _ in engine.epochs():
        held = engine.state()["optimizer"].values()
        steps.append(sorted({int(slots["step"].item()) for slots in held}))
    assert steps == [[3], [6], [3, 9], [6, 12], [3, 9, 15]]


@pytest.mark.parametrize("decay", [1.0, 0.5])
@pytest.mark.parametrize("name", OPTIMIZERS)
def test_a_gradually_unfrozen_trial_resumes_to_the_last_bit(name: str, decay: float) -> None:
    main = phase(name, epochs=3, depth=2, unfreeze_every=1, schedule="cosine", layer_decay=decay)
    must_resume(lambda: make(main, backbone={"name": "mlp", "hidden": [8, 8]}))


# ---------------------------------------------------------------------------------- learning rates


def rates(main: Phase) -> dict[str, float]:
    """The rate of the group that each stage's parameters are in."""
    _, staged, _ = parts(main)
    parameter_groups.select(staged, main, frozen=main.freeze_depth)
    names = {id(p): name.split(".")[0] for name, p in staged.module.named_parameters()}
    return {
        names[id(parameter)]: group["rate"]
        for group in parameter_groups.groups(staged, main)
        for parameter in group["params"]
    }


def test_the_rate_decays_from_the_head_to_the_input() -> None:
    got = rates(phase(learning_rate=0.8, layer_decay=0.5))
    expected = {"head": 0.8, "block3": 0.4, "block2": 0.2, "block1": 0.1, "stem": 0.05}
    assert got == pytest.approx(expected)


def test_the_head_may_have_a_rate_of_its_own() -> None:
    got = rates(phase(learning_rate=0.8, head_learning_rate=3.0, depth=2))
    assert got == pytest.approx({"head": 3.0, "block3": 0.8, "block2": 0.8})


def test_without_either_there_is_one_group_in_the_models_order() -> None:
    _, staged, _ = parts(phase())
    (group,) = parameter_groups.groups(staged, phase())
    assert [id(p) for p in group["params"]] == [id(p) for p in staged.module.parameters()]


def test_a_step_moves_each_stage_by_its_own_rate() -> None:
    """The first step of SGD without momentum is the gradient times the rate."""
    steps = []
    for decay, head in ((1.0, None), (0.5, 0.03)):
        main = phase(
            "sgd",
            epochs=1,
            weight_decay=0.0,
            options={"momentum": 0.0, "nesterov": False},
            layer_decay=decay,
            head_learning_rate=head,
        )
        engine, staged, _ = parts(main, batch_size=20)
        before = copied(staged)
        list(engine.epochs())
        steps.append({name: now - before[name] for name, now in copied(staged).items()})
    for name, step in steps[0].items():
        place = [*STAGES, "head"].index(name.split(".")[0])
        ratio = 3.0 if place == 4 else 0.5 ** (4 - place)
        torch.testing.assert_close(steps[1][name], step * ratio, rtol=1e-3, atol=1e-6)


def test_a_schedule_multiplies_every_rate_and_both_are_reported() -> None:
    main = phase("sgd", schedule="cosine", head_learning_rate=0.5, layer_decay=0.5)
    got = [result.metrics for result in make(main).epochs()]
    factors = [
        factor(main.schedule, step=step, steps=2 * STEPS, steps_per_epoch=STEPS) for step in (2, 5)
    ]
    assert [m["learning_rate"] for m in got] == pytest.approx([0.01 * f for f in factors])
    assert [m["learning_rate/head"] for m in got] == pytest.approx([0.5 * f for f in factors])


def test_the_heads_rate_is_not_reported_where_it_is_the_bodys() -> None:
    (result,) = make(phase(epochs=1, head_learning_rate=1e-2)).epochs()
    assert "learning_rate/head" not in result.metrics


# --------------------------------------------------------------------------------------- trainable


@pytest.mark.parametrize(("kind", "ends"), [("bias", {"1.bias"}), ("norm", {"1.weight", "1.bias"})])
def test_a_kind_of_parameters_moves_in_the_live_stages_and_nothing_else(
    kind: str, ends: set[str]
) -> None:
    engine, staged, _ = parts(phase(depth=1, trainable=kind))
    before = copied(staged)
    list(engine.epochs())
    expected = {f"{stage}.{end}" for stage in STAGES[1:] for end in ends}
    assert moved(staged, before) == expected | {"head.weight", "head.bias"}
    still = [p for p in staged.module.parameters() if not p.requires_grad]
    assert all(p.grad is None for p in still)
    live = {id(p) for p in staged.module.parameters()} - set(map(id, still))
    held = engine.state()["optimizer"]
    assert len(held) == len(live) == len(expected) + 2
    assert (
        engine.parameters["trainable"]
        == sum(p.numel() for name, p in staged.module.named_parameters() if name in expected)
        + 64 * 2
        + 2
    )


class RootNorm(nn.Module):
    """A normalisation layer as model families bring their own."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(width))

    def forward(self, inputs: Tensor) -> Tensor:
        return inputs * self.weight


class LN(nn.LayerNorm):
    """A normalisation layer whose name does not say so."""


class NormHead(nn.Module):
    """Called after what it holds: its own weight is a matrix."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(4, 4))
        self.norm = nn.LayerNorm([2, 2])


def test_every_class_of_normalisation_is_found_and_nothing_that_only_sounds_like_one() -> None:
    body = nn.ModuleDict(
        {
            "linear": nn.Linear(4, 4),
            "batch": nn.BatchNorm2d(4),
            "group": nn.GroupNorm(2, 4),
            "instance": nn.InstanceNorm1d(4, affine=True),
            "root": nn.RMSNorm(4),
            "own": RootNorm(4),
            "subclass": LN(4),
            "sounds": NormHead(),
        }
    )
    head = nn.Linear(4, 2)
    module = nn.ModuleDict({"body": body, "head": head})
    staged = Staged(module=module, stages=(Stage(name="one", modules=(body,)),), head=head)
    parameter_groups.select(staged, phase(trainable="norm"), frozen=0)
    live = {name for name, p in body.named_parameters() if p.requires_grad}
    both = {
        f"{name}.{end}"
        for name in ("batch", "group", "instance", "subclass")
        for end in ("weight", "bias")
    }
    norm = {"sounds.norm.weight", "sounds.norm.bias"}
    assert live == both | norm | {"root.weight", "own.weight"}


def test_a_parameter_that_two_modules_share_is_trained_if_one_of_them_is_a_normalisation() -> None:
    norm, plain, head = nn.LayerNorm(4), nn.Linear(4, 4), nn.Linear(4, 2)
    plain.bias = norm.bias
    body = nn.Sequential(norm, plain)
    module = nn.ModuleDict({"body": body, "head": head})
    staged = Staged(module=module, stages=(Stage(name="one", modules=(body,)),), head=head)
    parameter_groups.select(staged, phase(trainable="norm"), frozen=0)
    assert {name for name, p in body.named_parameters() if p.requires_grad} == {
        "0.weight",
        "0.bias",
    }


def test_attentions_biases_count_as_biases() -> None:
    body, head = nn.MultiheadAttention(4, 2), nn.Linear(4, 2)
    module = nn.ModuleDict({"body": body, "head": head})
    staged = Staged(module=module, stages=(Stage(name="one", modules=(body,)),), head=head)
    parameter_groups.select(staged, phase(trainable="bias"), frozen=0)
    live = {name for name, p in body.named_parameters() if p.requires_grad}
    assert live == {"in_proj_bias", "out_proj.bias"}


def test_a_phase_that_trains_all_again_turns_everything_on() -> None:
    engine, staged, _ = parts(phase(name="bias", trainable="bias"), phase(name="all"))
    counts = [engine.parameters["trainable"] for _ in engine.epochs()]
    assert counts[0] == counts[1] < counts[2] == counts[3] == engine.parameters["total"]
    assert all(p.requires_grad for p in staged.module.parameters())


@pytest.mark.parametrize("kind", ["bias", "norm"])
def test_training_a_kind_of_parameters_resumes_to_the_last_bit(kind: str) -> None:
    must_resume(lambda: make(phase(epochs=3, depth=3, trainable=kind, unfreeze_every=1)))


def test_a_phase_that_would_train_the_head_alone_without_saying_so_is_refused() -> None:
    with pytest.raises(ValueError, match=r"trainable is norm, but .* \(hidden1, hidden2\) have no"):
        make(phase(trainable="norm"), backbone="mlp")
    make(phase(trainable="norm", depth=2), backbone="mlp")


# -------------------------------------------------------------------------------------------- L2-SP


def test_the_pull_is_the_gradient_of_the_penalty_on_what_is_trained_of_the_body() -> None:
    main = phase(depth=2)
    _, staged, _ = parts(main)
    parameter_groups.select(staged, main, frozen=2)
    start = parameter_groups.L2SPPenalty(staged)
    origin = copied(staged)
    with torch.no_grad():
        for parameter in staged.module.parameters():
            parameter.add_(torch.randn_like(parameter))
    live = {n: p for n, p in staged.module.named_parameters() if p.requires_grad}
    body = {n: p for n, p in live.items() if not n.startswith("head")}
    penalty = sum(((p - origin[n]) ** 2).sum() for n, p in body.items())
    assert isinstance(penalty, Tensor)
    expected = torch.autograd.grad(0.3 / 2 * penalty, list(body.values()))
    for parameter in live.values():
        parameter.grad = torch.zeros_like(parameter)
    start.add_gradient(0.3)
    for parameter, gradient in zip(body.values(), expected, strict=True):
        torch.testing.assert_close(parameter.grad, gradient)
    assert all(not p.grad.any() for p in staged.head.parameters() if p.grad is not None)
    assert all(p.grad is None for p in staged.module.parameters() if not p.requires_grad)


def distance(strength: float) -> float:
    """How far the body ends from where it started."""
    main = phase("sgd", epochs=4, weight_decay=0.0, l2_sp=strength)
    engine, staged, _ = parts(main, backbone="mlp")
    before = copied(staged)
    list(engine.epochs())
    return sum(
        float(((now - before[name]) ** 2).sum())
        for name, now in copied(staged).items()
        if not name.startswith("head")
    )


def test_the_stronger_the_pull_the_nearer_the_body_stays_to_its_start() -> None:
    assert distance(0.0) > distance(1.0) > 2 * distance(20.0)


def test_a_pulled_trial_resumes_to_the_last_bit() -> None:
    """Where it started is where the trial started, not where it went on."""
    must_resume(lambda: make(phase(epochs=3, l2_sp=0.5), backbone={"name": "mlp", "hidden": [8]}))


def test_no_pull_is_the_trial_without_it_to_the_last_bit() -> None:
    two: list[dict[str, Any]] = [{}, {"l2_sp": 0.0}]
    ends = []
    for fields in two:
        engine = make(phase(**fields), dataset=IMAGES)
        list(engine.epochs())
        ends.append(engine.weights())
    assert same(ends[0], ends[1])
