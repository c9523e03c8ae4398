"""Stages of models small enough to see; test_freeze_contract trains the whole catalogue."""

from __future__ import annotations

from typing import Any, cast

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from workbench.backbones import stages
from workbench.backbones.stages import Stage, Staged

NAMES = ("stem", "block1", "block2")


def toy() -> Staged:
    first = nn.Sequential(nn.Linear(4, 4), nn.BatchNorm1d(4), nn.Dropout(0.5))
    second = nn.Sequential(nn.Linear(4, 4), nn.BatchNorm1d(4), nn.Dropout(0.5))
    head = nn.Linear(4, 2)
    return Staged(
        module=nn.Sequential(first, second, head),
        stages=(Stage(name="first", modules=(first,)), Stage(name="second", modules=(second,))),
        head=head,
    )


@pytest.mark.parametrize(
    ("value", "depth"), [(0, 0), (2, 2), (3, 3), ("all", 3), ("stem", 1), ("block2", 3)]
)
def test_a_freeze_depth_is_a_number_a_stage_or_all(value: int | str, depth: int) -> None:
    assert stages.resolve_depth(value, NAMES) == depth


def test_all_stages_of_a_backbone_without_stages_are_none() -> None:
    assert stages.resolve_depth("all", ()) == 0


@pytest.mark.parametrize("value", [4, -1, "layer1", "2", True])
def test_an_invalid_freeze_depth_is_refused_with_the_valid_choices(value: int | str) -> None:
    with pytest.raises(ValueError, match="0 to 3, stem, block1, block2, or all"):
        stages.resolve_depth(value, NAMES)


def test_a_depth_beyond_the_backbone_is_called_too_deep() -> None:
    with pytest.raises(ValueError, match="7 is deeper than the backbone, which has 3 stages"):
        stages.resolve_depth(7, NAMES)


def test_a_parameter_outside_every_stage_is_refused_by_name() -> None:
    staged = toy()
    with pytest.raises(ValueError, match=r"1\.0\.weight belongs to no stage"):
        Staged(module=staged.module, stages=staged.stages[:1], head=staged.head)


def test_a_buffer_outside_every_stage_is_refused_by_name() -> None:
    staged = toy()
    staged.module.register_buffer("scale", torch.ones(1))
    with pytest.raises(ValueError, match="scale belongs to no stage"):
        Staged(module=staged.module, stages=staged.stages, head=staged.head)


def test_a_parameter_in_two_stages_is_refused_with_both() -> None:
    staged = toy()
    both = Stage(name="again", modules=staged.stages[0].modules)
    with pytest.raises(ValueError, match="to both first and again"):
        Staged(module=staged.module, stages=(*staged.stages, both), head=staged.head)


def test_a_head_that_the_model_does_not_hold_is_refused() -> None:
    staged = toy()
    body = nn.Sequential(*list(staged.module.children())[:2])
    with pytest.raises(ValueError, match="head hold parameters or buffers that the model does not"):
        Staged(module=body, stages=staged.stages, head=staged.head)


@pytest.mark.parametrize("name", ["second", "all"])
def test_stages_need_names_of_their_own(name: str) -> None:
    staged = toy()
    renamed = Stage(name=name, modules=staged.stages[0].modules)
    with pytest.raises(ValueError, match="different names"):
        Staged(module=staged.module, stages=(renamed, staged.stages[1]), head=staged.head)


def test_one_stage_is_counted_in_the_singular() -> None:
    with pytest.raises(ValueError, match=r"which has 1 stage; .*0 to 1, hidden1, or all"):
        stages.resolve_depth(2, ["hidden1"])


def test_freezing_turns_gradients_off_drops_old_ones_and_can_be_undone() -> None:
    staged = toy()
    staged.module(torch.randn(8, 4)).sum().backward()
    stages.freeze(staged, 1)
    first, second = (stage.modules[0] for stage in staged.stages)
    assert all(not p.requires_grad and p.grad is None for p in first.parameters())
    assert all(p.requires_grad for p in [*second.parameters(), *staged.head.parameters()])
    stages.freeze(staged, 0)
    assert all(p.requires_grad for p in staged.module.parameters())


def test_freezing_deeper_than_the_backbone_is_refused() -> None:
    with pytest.raises(ValueError, match="deeper"):
        stages.freeze(toy(), 3)


def test_a_frozen_stage_is_one_fixed_function_in_training_mode() -> None:
    staged, inputs = toy(), torch.randn(8, 4)
    first, second = (stage.modules[0] for stage in staged.stages)
    before = {name: value.clone() for name, value in first.state_dict().items()}
    stages.train_mode(staged, 1)
    assert torch.equal(first(inputs), first(inputs))
    assert all(torch.equal(value, before[name]) for name, value in first.state_dict().items())
    assert not torch.equal(second(inputs), second(inputs))


def test_training_mode_wakes_a_stage_that_is_no_longer_frozen() -> None:
    staged = toy()
    stages.train_mode(staged, 2)
    stages.train_mode(staged, 0)
    assert all(module.training for module in staged.module.modules())


def test_only_live_parameters_are_counted_and_handed_out_as_trainable() -> None:
    staged = toy()
    stages.freeze(staged, 1)
    assert stages.parameters(staged) == {"total": 66, "trainable": 38}
    handed = {id(parameter) for parameter in stages.trainable_parameters(staged)}
    live = [*staged.stages[1].modules[0].parameters(), *staged.head.parameters()]
    assert handed == {id(parameter) for parameter in live}


def test_the_description_lists_stages_in_order_and_the_head_last() -> None:
    assert stages.describe(toy()) == [("first", 28), ("second", 28), ("head", 10)]


# ------------------------------------------------------------------------------ stages of any model


class Block(nn.Module):
    """A block with all that must hold still: a norm with statistics, dropout, an in-place step."""

    def __init__(self, width: int = 6) -> None:
        super().__init__()
        self.linear = nn.Linear(width, width)
        self.norm = nn.BatchNorm1d(width)
        self.act = nn.ReLU(inplace=True)
        self.drop = nn.Dropout(0.3)

    def forward(self, inputs: Tensor) -> Tensor:
        return inputs + cast(Tensor, self.drop(self.act(self.norm(self.linear(inputs)))))


class Net(nn.Module):
    """Blocks behind a token that the model holds itself."""

    def __init__(self, blocks: int = 3) -> None:
        super().__init__()
        self.token = nn.Parameter(torch.randn(6))
        self.scale: Tensor
        self.register_buffer("scale", torch.full((6,), 2.0))
        self.enter = nn.Linear(4, 6)
        self.blocks = nn.ModuleList(Block() for _ in range(blocks))
        self.drop = nn.Dropout(0.5)
        self.head = nn.Linear(6, 2)

    def forward(self, inputs: Tensor) -> Tensor:
        hidden = self.enter(inputs) * self.scale + self.token
        for block in self.blocks:
            hidden = block(hidden)
        hidden.add_(1.0)
        return cast(Tensor, self.head(self.drop(hidden)))


def batch_of(samples: int = 5, width: int = 4) -> Tensor:
    return torch.randn(samples, width, generator=torch.Generator().manual_seed(5))


def net(**options: Any) -> Net:
    torch.manual_seed(0)
    return Net(**options)


def test_a_model_is_found_to_consist_of_its_blocks() -> None:
    module = net()
    staged = stages.discover(module, batch_of(), head=None)
    assert staged.names == ("stem", "blocks.0", "blocks.1", "blocks.2")
    assert staged.head is module.head
    assert staged.stages[0].modules == (module.enter,)
    assert {id(t) for t in staged.stages[0].tensors} == {id(module.token), id(module.scale)}
    assert staged.stages[2].modules == (module.blocks[1],)


def trained(replayed: bool, depth: int) -> tuple[list[float], dict[str, Tensor]]:
    """Losses and weights of a few steps, with the frozen part computed or kept."""
    module = net()
    staged = stages.discover(module, batch_of(), head=None)
    stages.freeze(staged, depth)
    stages.train_mode(staged, depth)
    batch, optimizer = batch_of(8), torch.optim.SGD(stages.trainable_parameters(staged), lr=0.1)
    cut = stages.cut(staged, depth, batch_of())
    assert cut is not None
    kept = stages.prefix(module, cut, batch) if replayed else None
    losses = []
    for step in range(4):
        torch.manual_seed(step)
        outputs = module(batch) if kept is None else stages.replay(module, cut, batch, kept)
        loss = outputs.square().mean()
        optimizer.zero_grad()
        torch.autograd.backward(loss)
        optimizer.step()
        losses.append(loss.item())
    return losses, dict(module.state_dict())


@pytest.mark.parametrize("depth", [1, 2, 3, 4])
def test_training_on_kept_activations_is_bitwise_the_same(depth: int) -> None:
    """The model adds to its activations in place, and its head begins with a dropout."""
    (losses, weights), (again, kept) = trained(False, depth), trained(True, depth)
    assert losses == again
    assert all(torch.equal(value, kept[name]) for name, value in weights.items())


def test_activations_serve_the_batch_that_they_were_made_of_and_no_frozen_module_is_run() -> None:
    module = net()
    staged = stages.discover(module, batch_of(), head=None)
    module.eval()
    called: list[str] = []
    module.get_submodule("blocks.0.linear").register_forward_hook(
        lambda *_: called.append("linear")
    )
    cut = stages.cut(staged, 2, batch_of())
    assert cut is not None
    called.clear()
    kept = stages.prefix(module, cut, batch_of(7))
    assert called == ["linear"] and [len(value) for value in kept.values] == [7]
    module.blocks[2].register_forward_pre_hook(lambda *_: called.append("live"))
    stages.replay(module, cut, batch_of(7), kept)
    assert called == ["linear", "live"]


def test_a_model_whose_stages_were_written_by_hand_has_no_cut() -> None:
    assert stages.cut(toy(), 1, torch.randn(2, 4)) is None


def test_the_dropout_before_the_head_stays_on_in_a_linear_probe() -> None:
    module = net()
    staged = stages.discover(module, batch_of(), head=None)
    stages.train_mode(staged, 4)
    assert module.drop.training and not module.get_submodule("blocks.2.drop").training


class Shared(Net):
    """The same block again and again, as ALBERT has it."""

    def forward(self, inputs: Tensor) -> Tensor:
        hidden = self.enter(inputs) * self.scale + self.token
        for block in (self.blocks[0], self.blocks[1], self.blocks[0], self.blocks[1]):
            hidden = block(hidden)
        return cast(Tensor, self.head(hidden))


def test_blocks_that_are_used_again_are_one_stage() -> None:
    staged = stages.discover(Shared(blocks=2), batch_of(), head=None)
    assert staged.names == ("stem", "blocks.0")
    assert len(staged.stages[1].modules) >= 1
    assert stages.cut(staged, 2, batch_of()) is not None


class Skipping(Net):
    """The last block also takes what the first one made."""

    def forward(self, inputs: Tensor) -> Tensor:
        first = self.blocks[0](self.enter(inputs) * self.scale + self.token)
        return cast(Tensor, self.head(self.blocks[2](self.blocks[1](first)) + first))


def cuts_of(staged: Staged, example: Any) -> list[bool]:
    """Whether the model can be cut after each stage."""
    depths = range(1, len(staged.stages) + 1)
    return [stages.cut(staged, depth, example) is not None for depth in depths]


def test_stages_may_be_frozen_where_the_model_skips_them_but_cannot_be_cut_there() -> None:
    staged = stages.discover(Skipping(), batch_of(), head=None)
    assert staged.names == ("stem", "blocks.0", "blocks.1", "blocks.2")
    assert cuts_of(staged, batch_of()) == [True, False, False, True]


def heads() -> nn.ModuleList:
    return nn.ModuleList(nn.Sequential(Block(), nn.Linear(6, 2)) for _ in range(3))


class Pyramid(nn.Module):
    """What every block makes goes up again (a U-Net), and each level has a head (an FPN)."""

    def __init__(self) -> None:
        super().__init__()
        self.enter = nn.Linear(4, 6)
        self.down = nn.ModuleList(Block() for _ in range(3))
        self.up = nn.ModuleList(Block() for _ in range(2))
        self.head = heads()

    def forward(self, inputs: Tensor) -> Tensor:
        hidden, levels = self.enter(inputs), []
        for block in self.down:
            hidden = block(hidden)
            levels.append(hidden)
        for number, block in enumerate(self.up, start=1):
            levels[-1 - number] = block(levels[-1 - number] + levels[-number])
        return torch.stack([head(x) for head, x in zip(self.head, levels, strict=True)]).sum(0)


def test_every_stage_of_a_pyramid_with_a_head_for_each_level_may_be_frozen() -> None:
    module = Pyramid()
    staged = stages.discover(module, batch_of(), head=module.head)
    assert staged.names == ("stem", "down.0", "down.1", "down.2", "up.0", "up.1")
    assert stages.describe(staged)[-1] == ("head", 3 * (6 * 6 + 6 + 2 * 6 + 6 * 2 + 2))
    assert cuts_of(staged, batch_of()) == [True, False, False, False, False, False]
    for depth in range(1, 7):
        stages.freeze(staged, depth)
        stages.train_mode(staged, depth)
        live = {id(parameter) for parameter in stages.trainable_parameters(staged)}
        for number, (name, tensors) in enumerate(staged.tensors()):
            parameters = [t for t in tensors if isinstance(t, nn.Parameter)]
            assert all((id(p) in live) == (number >= depth) for p in parameters), name


class Exits(nn.Module):
    """A head after every block, before the next one."""

    def __init__(self, *, fed_back: bool = True) -> None:
        super().__init__()
        self.enter = nn.Linear(4, 6)
        self.blocks = nn.ModuleList(Block() for _ in range(3))
        self.head = heads()
        self.fed_back = fed_back

    def forward(self, inputs: Tensor) -> Tensor:
        hidden, outputs = self.enter(inputs), []
        for block, head in zip(self.blocks, self.head, strict=True):
            hidden = block(hidden)
            outputs.append(head(hidden))
            if self.fed_back:
                hidden = hidden + outputs[-1].mean(dim=1, keepdim=True)
        return torch.stack(outputs).sum(dim=0)


def test_heads_may_stand_between_stages_unless_a_stage_takes_what_they_make() -> None:
    module = Exits(fed_back=False)
    staged = stages.discover(module, batch_of(), head=module.head)
    assert staged.names == ("stem", "blocks.0", "blocks.1", "blocks.2")
    assert cuts_of(staged, batch_of()) == [True, False, False, False]
    module = Exits(fed_back=True)
    assert stages.discover(module, batch_of(), head=module.head).names == ("stem", "blocks.0")


class Dropping(Net):
    """Draws without a layer of its own between its blocks."""

    def forward(self, inputs: Tensor) -> Tensor:
        hidden = self.enter(inputs) * self.scale + self.token
        hidden = functional.dropout(self.blocks[0](hidden), 0.5, training=self.training)
        return cast(Tensor, self.head(self.blocks[2](self.blocks[1](hidden))))


def test_what_would_not_hold_still_when_frozen_is_no_stage_of_its_own() -> None:
    staged = stages.discover(Dropping(), batch_of(), head=None)
    assert staged.names == ("stem", "blocks.0")
    assert cuts_of(staged, batch_of()) == [True, False]
    with pytest.raises(ValueError, match=r"No stage can begin at blocks\.1.*not fixed when frozen"):
        stages.discover(Dropping(), batch_of(), head=None, cuts=["blocks.1"])


class Detour(Net):
    """What is drawn does not reach the next block, but the head."""

    def forward(self, inputs: Tensor) -> Tensor:
        hidden = self.enter(inputs) * self.scale + self.token
        hidden = self.blocks[0](hidden)
        detour = self.blocks[1](functional.dropout(hidden, 0.5, training=self.training))
        return cast(Tensor, self.head(self.blocks[2](hidden) + detour))


def test_what_reaches_around_a_stage_must_hold_still_as_well() -> None:
    staged = stages.discover(Detour(), batch_of(), head=None)
    assert staged.names == ("stem", "blocks.0")


class Enclosed(nn.Module):
    """A body that draws by its own mode, and a head outside."""

    def __init__(self) -> None:
        super().__init__()
        self.body = Dropping()
        self.body.head = nn.Linear(6, 6)
        self.top = nn.Linear(6, 2)

    def forward(self, inputs: Tensor) -> Tensor:
        return cast(Tensor, self.top(self.body(inputs)))


def test_a_module_around_frozen_stages_is_quiet_once_all_of_it_is_frozen() -> None:
    module = Enclosed()
    staged = stages.discover(module, batch_of(), head=None)
    depth = len(staged.stages)
    assert cuts_of(staged, batch_of())[-1]
    stages.train_mode(staged, depth)
    assert torch.equal(module.body(batch_of()), module.body(batch_of()))
    stages.train_mode(staged, 0)
    assert module.body.training


@pytest.mark.parametrize("kind", [Net, Enclosed, Pyramid, Exits])
def test_finding_stages_changes_nothing_about_the_model_or_the_numbers_drawn(
    kind: type[nn.Module],
) -> None:
    torch.manual_seed(0)
    module = kind()
    next(part for part in module.modules() if isinstance(part, Block)).eval()
    modes = {name: part.training for name, part in module.named_modules()}
    state = {name: value.clone() for name, value in module.state_dict().items()}
    drawn = torch.get_rng_state()
    staged = stages.discover(module, batch_of(), head=getattr(module, "head", None))
    cuts_of(staged, batch_of())
    assert {name: part.training for name, part in module.named_modules()} == modes
    assert all(torch.equal(value, state[name]) for name, value in module.state_dict().items())
    assert torch.equal(torch.get_rng_state(), drawn)
    assert all("forward" not in vars(part) for part in module.modules())
    assert all(p.requires_grad and p.grad is None for p in module.parameters())


class Positions(nn.Module):
    """A table that depends on no sample, and a mask that comes with the batch."""

    def __init__(self) -> None:
        super().__init__()
        self.table = nn.Embedding(9, 6)
        self.words = nn.Embedding(20, 6)
        self.layers = nn.ModuleList(Block() for _ in range(3))
        self.score = nn.Linear(6, 2)

    def forward(self, batch: dict[str, Tensor]) -> Tensor:
        words, mask = batch["words"], batch["mask"]
        hidden = self.words(words)
        positions = self.table(torch.arange(words.shape[1]))
        for layer in self.layers:
            mixed = (hidden * mask[..., None]).mean(dim=1) + positions.mean(dim=0)
            hidden = hidden + layer(mixed)[:, None] * mask[..., None]
        return cast(Tensor, self.score(hidden[:, 0]))


def texts(samples: int, length: int) -> dict[str, Tensor]:
    generator = torch.Generator().manual_seed(length)
    mask = torch.ones(samples, length)
    mask[0, length - 1] = 0
    return {"words": torch.randint(20, (samples, length), generator=generator), "mask": mask}


def test_batches_by_name_of_other_lengths_and_masks_are_replayed() -> None:
    example = {**texts(3, 5), "mask": torch.ones(3, 5)}
    module = Positions()
    staged = stages.discover(module, example, head=None)
    module.eval()
    other = texts(4, 7)
    cuts = [stages.cut(staged, depth, example) for depth in range(1, len(staged.stages) + 1)]
    assert any(cuts)
    for cut in filter(None, cuts):
        kept = stages.prefix(module, cut, other)
        assert torch.equal(stages.replay(module, cut, other, kept), module(other))


def test_a_head_may_be_several_modules() -> None:
    module = net()
    head = nn.ModuleList([module.blocks[2], module.head])
    staged = stages.discover(module, batch_of(), head=head)
    assert staged.names == ("stem", "blocks.0", "blocks.1")
    assert stages.describe(staged)[-1] == ("head", 6 * 6 + 6 + 2 * 6 + 6 * 2 + 2)


def test_a_stage_may_begin_within_a_block() -> None:
    module = net()
    staged = stages.discover(module, batch_of(), head=None, cuts=["blocks.1.norm"])
    assert staged.names == ("stem", "blocks.1.norm")
    stages.freeze(staged, 1)
    live = [name for name, p in module.named_parameters() if p.requires_grad]
    assert live[0] == "blocks.1.norm.weight" and len(live) == 8
    assert stages.cut(staged, 1, batch_of()) is None


@pytest.mark.parametrize(
    ("cuts", "message"),
    [
        (["blocks.9"], r"calls no module blocks\.9; did you mean blocks\.\d\?"),
        (["linear"], r"linear is ambiguous: blocks\.0\.linear, blocks\.1\.linear, .*path"),
        (["blocks.0.act"], r"No stage can begin at blocks\.0\.act, which has no parameters"),
        (["head"], "which belongs to the head"),
        (["blocks.2", "blocks.1"], r"runs blocks\.1, blocks\.2 in this order"),
    ],
)
def test_stages_that_cannot_be_are_refused_with_the_reason(cuts: list[str], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        stages.discover(net(), batch_of(), head=None, cuts=cuts)


def test_a_key_saves_looking_again() -> None:
    passes: list[int] = []

    def counted() -> Net:
        module = net()
        module.register_forward_pre_hook(lambda *_: passes.append(1))
        return module

    key = ("test", "a key saves looking again")
    first = stages.discover(counted(), batch_of(), head=None, key=key)
    assert passes
    passes.clear()
    module = counted()
    again = stages.discover(module, batch_of(), head=None, key=key)
    assert not passes
    assert again.names == first.names and again.module is module
    assert stages.describe(again) == stages.describe(first)


def test_a_head_that_is_never_called_is_refused() -> None:
    module = net()
    module.unused = nn.Linear(2, 2)
    with pytest.raises(ValueError, match=r"never calls its head \(unused\)"):
        stages.discover(module, batch_of(), head=module.unused)


# ------------------------------------------------------------------------------------------ memory


def test_the_memory_of_activations_is_counted_by_hand() -> None:
    module = nn.Sequential(nn.Linear(10, 20), nn.ReLU(), nn.Linear(20, 3))
    staged = stages.discover(module, batch_of(4, 10), head=None)
    # The inputs for the first layer's weights, and what ReLU and the head share.
    assert stages.activation_bytes(staged, batch_of(4, 10), samples=8) == 8 * 4 * (10 + 20)
    stages.freeze(staged, 1)
    assert stages.activation_bytes(staged, batch_of(4, 10), samples=8) == 8 * 4 * 20


@pytest.mark.parametrize(
    ("count", "said"),
    [(999, "999 bytes"), (3_120_000_000, "3.12 GB"), (5 * 10**15, "5,000.0 TB")],
)
def test_memory_is_said_in_words(count: int, said: str) -> None:
    assert stages.size_text(count) == said
