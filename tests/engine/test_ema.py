"""The average is torch's own, and lending weights leaves no trace."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from tests.support.training import every, make, must_resume, parts, phase, same
from workbench.engine.ema import Average, temporary_weights


def model() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(4, 3), nn.BatchNorm1d(3), nn.Linear(3, 2))


def test_the_average_is_the_one_that_torch_keeps() -> None:
    module = model()
    average = Average(module, 0.9)
    torchs = AveragedModel(
        module,
        multi_avg_fn=get_ema_multi_avg_fn(0.9),  # type: ignore[no-untyped-call]
        use_buffers=True,
    )
    assert average.tensors == {}
    for _ in range(4):
        module(torch.randn(8, 4))
        with torch.no_grad():
            for parameter in module.parameters():
                parameter.add_(torch.randn_like(parameter))
        average.update()
        torchs.update_parameters(module)
    for name, value in torchs.module.state_dict().items():
        if value.is_floating_point():
            assert torch.equal(average.tensors[name], value), name
    assert average.tensors["1.num_batches_tracked"] == 4


def test_what_does_not_change_does_not_change_in_the_average() -> None:
    module = model()
    average = Average(module, 0.999)
    for _ in range(50):
        average.update()
    assert same(average.tensors, dict(module.state_dict()))


def test_temporary_weights_are_taken_back_even_after_an_error() -> None:
    module = model()
    own = {name: value.clone() for name, value in module.state_dict().items()}
    other = {name: value + 1 for name, value in own.items()}

    def borrow() -> None:
        with temporary_weights(module, other):
            assert same(dict(module.state_dict()), other)
            raise KeyError

    with pytest.raises(KeyError):
        borrow()
    assert same(dict(module.state_dict()), own)


# --------------------------------------------------------------------------------------- in a trial


def test_an_averaged_trial_resumes_to_the_last_bit() -> None:
    main = phase(epochs=2, depth=2, name="one"), phase("sgd", epochs=1, name="two")
    must_resume(lambda: make(*main, ema=0.8))


def test_the_average_is_what_is_validated_and_kept() -> None:
    engine, staged, data = parts(phase(epochs=3), ema=0.7)
    results = list(engine.epochs())
    live = {name: value.clone() for name, value in staged.module.state_dict().items()}
    assert same(live, engine.state()["weights"])
    kept = engine.weights()
    assert not same(live, kept)
    staged.module.load_state_dict(kept)
    with torch.inference_mode():
        outputs = staged.module.eval()(every(data.validation))
    loss = nn.functional.cross_entropy(outputs, data.validation.targets).item()
    assert results[-1].metrics["validation/loss"] == pytest.approx(loss)


def test_averaging_changes_neither_the_steps_nor_a_bit_of_what_is_frozen() -> None:
    def train(ema: float | None) -> tuple[dict[str, Tensor], dict[str, Tensor], dict[str, Tensor]]:
        engine, staged, _ = parts(phase(depth=2), ema=ema)
        before = {name: value.clone() for name, value in staged.module.state_dict().items()}
        list(engine.epochs())
        return before, engine.state()["weights"], engine.weights()

    before, plain, _ = train(None)
    _, live, kept = train(0.9)
    assert same(plain, live)
    frozen = [name for name in before if name.startswith(("stem", "block1"))]
    assert len(frozen) > 8
    assert all(torch.equal(before[name], kept[name]) for name in frozen)
    assert not torch.equal(before["head.weight"], kept["head.weight"])
