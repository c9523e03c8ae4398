"""The grammar of ``compare`` and ``tune``, one block at a time."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

import pytest

from workbench.study.config.blocks import FactorBlocks
from workbench.study.config.document import Document
from workbench.study.config.knobs import Categorical, Factor, Interval, Level, TunedKnob


def blocks(folder: Path, text: str, phases: Collection[str] = ()) -> tuple[Document, FactorBlocks]:
    path = folder / "study.yaml"
    path.write_text(text)
    document = Document(path)
    return document, FactorBlocks(document, phases)


def factors(folder: Path, text: str, phases: Collection[str] = ()) -> tuple[Factor, ...]:
    document, reader = blocks(folder, f"compare:\n  {text}\n", phases)
    read = reader.factors(document.content["compare"])
    document.finish()
    return read


def tune(
    folder: Path, text: str, compare: str = "{}", phases: Collection[str] = ()
) -> tuple[TunedKnob, ...]:
    document, reader = blocks(folder, f"compare: {compare}\ntune:\n  {text}\n", phases)
    content = document.content
    read = reader.tune(content["tune"], {}, reader.factors(content["compare"]))
    document.finish()
    return read


def test_levels_may_be_values_entries_with_names_labelled_values_or_bundles(tmp_path: Path) -> None:
    text = (
        "freeze_depth: [0, block1, all]\n"
        "  backbone: [{name: mlp, hidden: [8]}, small_cnn]\n"
        "  batch_size: {small: 8, large: 64}\n"
        "  method: {plain: {}, slow: {epochs: 9, optimizer: sgd}}"
    )
    depth, backbone, size, method = factors(tmp_path, text)
    assert [level.label for level in depth.levels] == ["0", "block1", "all"]
    assert depth.levels[2].knobs == {"freeze_depth": "all"}
    assert backbone.levels == (
        Level(label="mlp", knobs={"backbone.name": "mlp", "backbone.hidden": [8]}),
        Level(label="small_cnn", knobs={"backbone.name": "small_cnn"}),
    )
    assert size.levels[1] == Level(label="large", knobs={"batch_size": 64})
    assert method.levels == (
        Level(label="plain", knobs={}),
        Level(label="slow", knobs={"epochs": 9, "optimizer": "sgd"}),
    )


def test_a_level_knows_the_phases_that_it_brings(tmp_path: Path) -> None:
    text = "method: {full: {epochs: 9}, lpft: {phases: {probe: {epochs: 3}, rest: {}}}}"
    (method,) = factors(tmp_path, text, {"probe", "rest"})
    assert method.levels[0].phases == frozenset()
    assert method.levels[1].phases == {"probe", "rest"}
    assert method.levels[1].knobs == {"probe.epochs": 3, "rest": {}}


def test_a_path_may_be_compared(tmp_path: Path) -> None:
    text = "backbone.hidden: {narrow: [8], wide: [64]}\n  probe.optimizer: [sgd, adam]"
    hidden, optimizer = factors(tmp_path, text, {"probe"})
    assert hidden.levels[1].knobs == {"backbone.hidden": [64]}
    assert optimizer.levels[0].knobs == {"probe.optimizer": "sgd"}


def test_a_flawed_level_does_not_hide_the_other_ones(tmp_path: Path) -> None:
    document, reader = blocks(
        tmp_path, "compare:\n  optimizer: [sgd, x]\n  epochs: [y, 3, z]\n  schedule: [linear]\n"
    )
    read = reader.factors(document.content["compare"])
    assert [str(problem.key) for problem in document.problems] == [
        "compare.optimizer.1",
        "compare.epochs.0",
        "compare.epochs.2",
    ]
    assert [[level.label for level in factor.levels] for factor in read] == [
        ["sgd"],
        ["3"],
        ["linear"],
    ]


def test_a_tuned_knob_may_be_a_range_a_choice_or_entries_with_conditions(tmp_path: Path) -> None:
    text = (
        "optimizer: [sgd, adam]\n"
        "  batch_size: {choices: {small: 8, large: 64}, default: large}\n"
        "  weight_decay: {low: 0, high: 1, default: 0}\n"
        "  learning_rate:\n"
        "    - {when: {optimizer: sgd}, low: 1e-3, high: 1, log: true, default: 0.1}\n"
        "    - {choices: [1e-3, 1e-2]}\n"
        "  method: {plain: {}, slow: {epochs: 9}}"
    )
    optimizer, size, decay, rate, method = tune(tmp_path, text)
    assert [type(entry) for entry in optimizer.entries] == [Categorical]
    assert isinstance(size.entries[0], Categorical) and size.entries[0].default == "large"
    assert isinstance(decay.entries[0], Interval)
    assert [type(entry) for entry in rate.entries] == [Interval, Categorical]
    assert rate.entries[0].when == {"optimizer": ("sgd",)}
    assert isinstance(rate.entries[1], Categorical)
    assert rate.entries[1].levels[0] == Level(label="0.001", knobs={"learning_rate": 1e-3})
    assert isinstance(method.entries[0], Categorical)
    assert method.entries[0].levels[1].knobs == {"epochs": 9}


@pytest.mark.parametrize(
    ("entry", "whole"),
    [
        ("epochs: {low: 1, high: 9, default: 3}", True),
        ("backbone.width: {low: 4, high: 64, log: true, default: 8}", True),
        ("probe.freeze_depth: {low: 0, high: 4, default: 0}", True),
        ("momentum: {low: 0, high: 0.99, default: 0}", False),
        ("weight_decay: {low: 0, high: 1, default: 0}", False),
        ("task.delta: {low: 1, high: 2, step: 0.5, default: 1}", False),
    ],
)
def test_a_range_is_of_whole_numbers_where_the_knob_takes_no_others(
    tmp_path: Path, entry: str, whole: bool
) -> None:
    (tuned,) = tune(tmp_path, entry, phases={"probe"})
    (interval,) = tuned.entries
    assert isinstance(interval, Interval) and interval.whole is whole
    kind = int if whole else float
    assert {type(n) for n in (interval.low, interval.high, interval.default)} == {kind}


def test_a_condition_may_name_a_compared_factor_its_knobs_and_earlier_choices(
    tmp_path: Path,
) -> None:
    text = (
        "size: {small: {batch_size: 8}, large: {batch_size: 64}}\n"
        "  learning_rate: {when: {method: b, epochs: 9, size: small, batch_size: 8}, "
        "low: 1, high: 2, default: 1}"
    )
    _, rate = tune(tmp_path, text, compare="{method: {a: {epochs: 3}, b: {epochs: 9}}}")
    assert rate.entries[0].when == {
        "method": ("b",),
        "epochs": ("9",),
        "size": ("small",),
        "batch_size": ("8",),
    }
