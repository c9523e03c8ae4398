"""The test split is out of reach of the search: by the source, by what is read, by what changes."""

from __future__ import annotations

import ast
import hashlib
import json
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from tests.support.imports import IMPORTS, MODULES
from tests.support.tiny import Silent
from workbench import backbones, datasets, record
from workbench.datasets import Data, SealedError, loading
from workbench.datasets.splits.splits import Split
from workbench.driver import Driver
from workbench.driver.workers import InlineWorkers
from workbench.record import Role, State, TrialSpec
from workbench.study.checks import check
from workbench.study.config import load
from workbench.study.search import Search
from workbench.study.study import Study
from workbench.trial.run import run

WINE: dict[str, Any] = {"name": "wine", "test": 40}


@pytest.fixture
def protocol(tmp_path: Path) -> Path:
    path = tmp_path / "protocol.json"
    path.write_text("{}")
    return path


def opened(protocol: Path, dataset: dict[str, Any] = WINE, **given: Any) -> Data:
    digest = hashlib.sha256(protocol.read_bytes()).hexdigest() if protocol.exists() else "0" * 64
    fields = {"study_seed": 0, "seed": 1, "protocol": protocol, "sha256": digest}
    return datasets.load_test(dataset, **{**fields, **given})


def every(inputs: Any) -> Tensor:
    found = inputs[torch.arange(len(inputs))]
    assert isinstance(found, Tensor)
    return found


# What is given to whoever may test


def test_a_protocol_that_names_other_test_samples_keeps_the_split_closed(protocol: Path) -> None:
    digest = datasets.sizes(WINE, study_seed=0, seed=1)["test_digest"]
    protocol.write_text(json.dumps({"data": {"test_digest": digest}}))
    assert opened(protocol).test is not None
    with pytest.raises(SealedError, match=f"{protocol} names {digest}"):
        opened(protocol, study_seed=5)


def test_the_test_part_is_beside_the_very_parts_that_a_trial_was_given(protocol: Path) -> None:
    before = datasets.load(WINE, study_seed=0, seed=1)
    data = opened(protocol)
    assert before.test is None
    assert data.train is before.train and data.validation is before.validation
    assert data.test is not None and len(data.test.index) == 40
    used = {*data.train.index.tolist(), *data.validation.index.tolist()}
    assert not used & set(data.test.index.tolist())
    assert used | set(data.test.index.tolist()) == set(range(178))


def test_the_test_part_is_that_of_the_study_and_its_digest_says_so(protocol: Path) -> None:
    first, second = (opened(protocol, seed=seed) for seed in (1, 2))
    assert first.test is not None and second.test is not None
    assert torch.equal(first.test.index, second.test.index)
    numbers = first.test.index.tolist()
    assert numbers == sorted(numbers)
    content = b"".join(number.to_bytes(8, "little") for number in numbers)
    for seed in (1, 2):
        sizes = datasets.sizes(WINE, study_seed=0, seed=seed)
        assert sizes["test_digest"] == hashlib.sha256(content).hexdigest()
    assert datasets.sizes(WINE, study_seed=1, seed=1)["test_digest"] != sizes["test_digest"]


@pytest.mark.parametrize(
    "dataset",
    [
        WINE,
        {"name": "digits", "classes": [1, 7]},
        {"name": "digits", "classes": [1, 7], "image_size": 6, "channels": 3},
    ],
)
@pytest.mark.parametrize("small", [True, False])
def test_a_sample_is_made_ready_in_the_test_as_it_is_in_validation(
    dataset: dict[str, Any], small: bool, protocol: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from workbench.datasets import preprocessing
    from workbench.datasets.splits import splits

    monkeypatch.setattr(preprocessing, "SMALL", 2**28 if small else 0)
    pool = loading._pool(loading._key(dataset), "class")
    split = splits.draw(pool, study_seed=0, seed=1)
    # The same samples as validation and as test.
    split = replace(split, test=split.validation)
    data = preprocessing.with_test(preprocessing.prepare(pool, split), pool, split)
    assert data.test is not None
    assert torch.equal(every(data.test.inputs), every(data.validation.inputs))
    assert torch.equal(data.test.targets, data.validation.targets)
    assert type(data.test.inputs) is type(data.validation.inputs)


@pytest.fixture
def texts(tmp_path: Path) -> dict[str, Any]:
    """Named texts of two classes; every third is given to the test part."""
    file = tmp_path / "texts.py"
    file.write_text(
        "import torch\n"
        "from workbench.datasets import Samples\n"
        "def read():\n"
        "    texts = tuple(f'word{n} ' * (1 + n % 5) for n in range(60))\n"
        "    return Samples(\n"
        "        kind='text', inputs=texts, targets=torch.arange(60) % 2, classes=('a', 'b'),\n"
        "        given=2 * (torch.arange(60) % 3 == 0).long(),\n"
        "        names=tuple(f'line {n}' for n in range(60)),\n"
        "    )\n"
    )
    return {"name": f"{file}:read"}


def test_names_of_test_samples_are_there_only_with_the_test_part(
    texts: dict[str, Any], protocol: Path
) -> None:
    without = datasets.load(texts, study_seed=0, seed=1)
    data = opened(protocol, texts)
    assert without.names is not None and data.names is not None and data.test is not None
    held_out = set(data.test.index.tolist())
    assert held_out == set(range(0, 60, 3))
    assert not held_out & without.names.keys()
    assert data.names == {**without.names, **{n: f"line {n}" for n in held_out}}


def test_test_texts_become_the_tokens_of_the_backbone(
    texts: dict[str, Any], protocol: Path
) -> None:
    data = opened(protocol, texts)
    assert data.test is not None
    made = backbones.prepare({"name": "small_text"}, data)
    alone = backbones.prepare({"name": "small_text"}, replace(data, validation=data.test))
    assert made.test is not None
    first = torch.arange(20)
    ours, theirs = made.test.inputs[first], alone.validation.inputs[first]
    assert isinstance(ours, dict) and isinstance(theirs, dict)
    assert all(torch.equal(ours[name], theirs[name]) for name in ours)
    assert backbones.prepare({"name": "small_text"}, replace(data, test=None)).test is None


# What keeps the seal closed


def test_without_the_file_the_split_stays_sealed_and_the_path_is_told(tmp_path: Path) -> None:
    path = tmp_path / "nowhere" / "protocol.json"
    with pytest.raises(SealedError, match=f"there is no protocol at {path}"):
        opened(path)


def test_with_a_folder_in_its_place_the_split_stays_sealed(tmp_path: Path) -> None:
    with pytest.raises(SealedError, match="there is no protocol at"):
        datasets.must_be_open(tmp_path, "0" * 64)


@pytest.mark.parametrize("sha256", [None, "", "secret", "A" * 64, "0" * 63])
def test_what_is_no_hash_opens_nothing(protocol: Path, sha256: str | None) -> None:
    with pytest.raises(SealedError, match=r"SHA-256 of .*protocol\.json"):
        opened(protocol, sha256=sha256)


def test_the_hash_of_another_file_opens_nothing(protocol: Path, tmp_path: Path) -> None:
    other = tmp_path / "other.json"
    other.write_text("{ }")
    with pytest.raises(SealedError, match="but the run was planned with"):
        opened(protocol, sha256=hashlib.sha256(other.read_bytes()).hexdigest())


def test_an_edited_protocol_closes_what_was_open_and_cached(protocol: Path) -> None:
    digest = hashlib.sha256(protocol.read_bytes()).hexdigest()
    assert opened(protocol, sha256=digest).test is not None
    protocol.write_text('{"looks": 2}')
    with pytest.raises(
        SealedError, match="A protocol must not change after the confirmation has begun"
    ):
        opened(protocol, sha256=digest)


# By the source: who names what opens the test split


def uses(name: str) -> Iterator[tuple[str, str]]:
    """Module and innermost function of every place in the package that names something."""

    def below(node: ast.AST, module: str, function: str) -> Iterator[tuple[str, str]]:
        for child in ast.iter_child_nodes(node):
            within = function
            if isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef):
                within = child.name
            named = (
                (isinstance(child, ast.Name) and child.id == name)
                or (isinstance(child, ast.Attribute) and child.attr == name)
                or (isinstance(child, ast.alias) and name in (child.name, child.asname))
                or (isinstance(child, ast.Constant) and child.value == name)
            )
            if named:
                yield module, within
            yield from below(child, module, within)

    for module, path in MODULES.items():
        # Few modules have the name at all; parsing every one of them takes seconds.
        if name in (text := path.read_text()):
            yield from below(ast.parse(text), module.removeprefix("workbench."), "")


def test_the_confirmations_test_step_alone_opens_the_test_split() -> None:
    # The catalogue of names in ``datasets`` passes it on; nobody else so much as names it.
    assert sorted(uses("load_test")) == [
        ("datasets", ""),
        ("datasets", ""),
        ("trial.evaluation", "_with_test"),
    ]
    assert sorted(uses("_load_test")) == [("datasets.loading", "load_test")]
    assert sorted(uses("with_test")) == [("datasets.loading", "_load_test")]
    assert sorted(uses("_with_test")) == [("trial.evaluation", "measure")]


def test_the_test_step_is_taken_by_completed_confirmation_runs_alone() -> None:
    module = "workbench.trial.evaluation"
    importers = {found.importer for found in IMPORTS if found.imported.startswith(module)}
    # One takes the step, the other knows the words of its refusal.
    assert importers == {"workbench.trial.run", "workbench.trial.failures"}
    assert {place for place in uses("measure") if place[0].startswith("trial")} == {
        ("trial.run", "_test")
    }
    places = {function for name, function in uses("evaluation") if name == "trial.run"}
    assert places == {"", "_train_and_test", "_test"}
    assert list(uses("_test")) == [("trial.run", "_train_and_test")]
    tree = ast.parse(MODULES["workbench.trial.run"].read_text())
    guards = [
        ast.unparse(node.test)
        for node in ast.walk(tree)
        if isinstance(node, ast.If) and any(ast.unparse(s) == "self._test()" for s in node.body)
    ]
    assert guards == ["state is State.COMPLETE and self.spec.role is Role.CONFIRMATION"]


def test_where_data_are_split_and_trained_on_nobody_else_asks_for_a_test_part() -> None:
    layers = (
        "datasets",
        "backbones",
        "engine",
        "trial",
        "study",
        "driver",
    )
    readers = {
        (module, within.name)
        for module, path in MODULES.items()
        if module.split(".")[1:2] and module.split(".")[1] in layers
        if ".test" in path.read_text()
        for within in ast.walk(ast.parse(path.read_text()))
        if isinstance(within, ast.FunctionDef)
        for node in ast.walk(within)
        if isinstance(node, ast.Attribute) and node.attr == "test"
    }
    assert readers == {
        # How many there are, which, and whether they are copies: for ``check``, before any trial.
        ("workbench.datasets.loading", "sizes"),
        ("workbench.datasets.loading", "overlap"),
        ("workbench.datasets.loading", "load_test"),
        ("workbench.datasets.splits.duplicates", "across"),
        ("workbench.datasets.preprocessing", "with_test"),
        # None, but where ``load_test`` made it.
        ("workbench.backbones", "prepare"),
        ("workbench.trial.evaluation", "_with_test"),
        ("workbench.trial.evaluation", "measure"),
        ("workbench.trial.predictions", "table"),
    }


# By what is read: a whole search, watched

RINGS = """\
import torch
from workbench.datasets import Samples

def rings(salt=0):
    draw = torch.Generator().manual_seed(0)
    labels = torch.arange(90) % 3
    inputs = torch.randn(90, 4, generator=draw) + labels[:, None]
    given = torch.zeros(90, dtype=torch.int64)
    given[60:] = 2
    if salt:
        # Another test part: other inputs, far away, and other labels.
        inputs[60:] = 1e6 * torch.randn(30, 4, generator=draw.manual_seed(salt))
        labels = torch.where(given == 2, (labels + salt) % 3, labels)
    return Samples(
        kind="vector", inputs=inputs, targets=labels, classes=("a", "b", "c"), given=given
    )
"""
STUDY = """\
name: rings
recipe:
  dataset: {{name: data.py:rings, salt: {salt}}}
  backbone: {{name: mlp, hidden: [8]}}
  epochs: 2
  batch_size: 16
compare: {{optimizer: [sgd, adamw]}}
tune:
  learning_rate: {{low: 1e-4, high: 1e-1, log: true, default: 1e-2}}
search: {{sampler: tpe, pruner: median, trials_per_strategy: 3, seed: 3}}
"""


def searched(folder: Path, salt: int) -> tuple[Path, list[tuple[Any, ...]]]:
    """A study's directory after its search, and all that the search found but for the clock."""
    folder.mkdir()
    (folder / "data.py").write_text(RINGS)
    file, home = folder / "rings.yaml", folder / "home"
    file.write_text(STUDY.format(salt=salt))
    config = load(file)
    study = Study(config, home)
    directory = study.directory
    check(study)
    search = Search(study)
    driver = Driver(
        study_directory=directory,
        source=search,
        workers=InlineWorkers(),
        mirror=Silent(),
        progress=lambda driver: None,
    )
    assert driver.run() is None
    found = []
    for at, spec in record.scan(directory):
        result = at.result()
        assert result is not None and result.state in (State.COMPLETE, State.PRUNED)
        lines = [{k: v for k, v in row.metrics.items() if k != "seconds"} for row in at.history()]
        weights = record.sha256_of(at.weights) if at.weights.exists() else None
        kept = (at.artifacts / name for name in ("per_class.csv", "mistakes.json"))
        files = [path.read_bytes() if path.exists() else None for path in kept]
        said = (spec.name, dict(spec.hyperparameters), result.state, result.value, result.epoch)
        found.append((*said, lines, weights, files, result.test))
    return directory, found


def confirmation(directory: Path) -> tuple[TrialSpec, Path]:
    """A confirmation run of the search's first trial."""
    protocol = record.protocol_path(directory)
    protocol.write_text("{}")
    _, spec = record.scan(directory)[0]
    digest = record.sha256_of(protocol)
    spec = replace(spec, role=Role.CONFIRMATION, protocol=digest)
    at = record.directory_of(directory, spec)
    at.write_spec(spec)
    return spec, at.path


def test_another_test_split_changes_no_number_of_a_search_and_those_of_a_confirmation(
    tmp_path: Path,
) -> None:
    (ours, first), (theirs, second) = (searched(tmp_path / str(salt), salt) for salt in (0, 1))
    assert len(first) == 6
    assert first == second
    assert all(row[-1] == {} for row in first)

    # The same training once more, but tested: that one sees the difference.
    results = []
    for directory in (ours, theirs):
        _, path = confirmation(directory)
        result = run(
            record.TrialDirectory(path),
            report=lambda _: record.Decision.CONTINUE,
            interrupted=lambda: False,
        )
        assert result.state is State.COMPLETE, result.reason
        results.append(result)
    assert results[0].value == results[1].value
    assert results[0].test != results[1].test


def test_a_search_asks_the_split_for_no_more_than_the_size_and_copies_of_its_test_part(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    readers: set[str] = set()
    filled: list[str] = []

    def watched_split(self: Split, name: str) -> Any:
        if name == "test":
            readers.add(sys._getframe(1).f_code.co_name)
        return object.__getattribute__(self, name)

    def watched_data(self: Data, name: str) -> Any:
        value = object.__getattribute__(self, name)
        if name == "test" and value is not None:
            filled.append(sys._getframe(1).f_code.co_name)
        return value

    monkeypatch.setattr(Split, "__getattribute__", watched_split)
    monkeypatch.setattr(Data, "__getattribute__", watched_data)
    asked = loading._load_test.cache_info().misses
    directory, found = searched(tmp_path / "watched", 7)
    assert len(found) == 6
    assert readers == {"sizes", "across"}
    assert filled == []
    assert loading._load_test.cache_info().misses == asked

    # The watch would have seen it.
    _, path = confirmation(directory)
    run(
        record.TrialDirectory(path),
        report=lambda _: record.Decision.CONTINUE,
        interrupted=lambda: False,
    )
    assert "with_test" in readers and "measure" in filled
    assert loading._load_test.cache_info().misses == asked + 1
