"""Arrays in files and from a user's own code: what they are taken for, and what is refused."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest
import torch
from torch import Tensor

from workbench import datasets
from workbench.datasets import Samples, arrays, loading
from workbench.datasets.checks import checked
from workbench.datasets.from_arrays import of_arrays
from workbench.datasets.samples import TEST, TRAIN, VALIDATION
from workbench.usercode import UserCodeError

torch.set_num_threads(1)
RNG = np.random.default_rng(0)


@pytest.fixture(autouse=True)
def data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "data"
    monkeypatch.setenv("WORKBENCH_DATA", str(folder))
    return folder


def noise(*shape: int) -> Any:
    return RNG.integers(0, 256, shape, dtype=np.uint8)


def read(path: Path, target: str = "class", **options: Any) -> Samples:
    found = arrays.read(target=target, path=str(path), **options)
    return checked(found, target=target, where=str(path))


def tensor(samples: Samples) -> Tensor:
    assert isinstance(samples.inputs, Tensor)
    return samples.inputs


@pytest.mark.parametrize(
    ("shape", "kind", "stored"),
    [
        ((6, 3, 8, 10), "image", (6, 3, 8, 10)),
        ((6, 8, 10, 3), "image", (6, 3, 8, 10)),
        ((6, 8, 10, 1), "image", (6, 1, 8, 10)),
        ((6, 8, 10), "image", (6, 1, 8, 10)),
        ((6, 5), "vector", (6, 5)),
    ],
)
def test_the_shape_says_what_inputs_are(
    tmp_path: Path, shape: tuple[int, ...], kind: str, stored: tuple[int, ...]
) -> None:
    inputs = noise(*shape)
    np.savez(tmp_path / "a.npz", x=inputs, y=np.arange(6) % 2)
    samples = read(tmp_path / "a.npz")
    assert samples.kind == kind and tensor(samples).shape == stored
    assert tensor(samples).dtype == (torch.uint8 if kind == "image" else torch.float32)
    last = inputs[0].transpose(2, 0, 1) if len(shape) == 4 and shape[3] < 4 else inputs[0]
    assert np.array_equal(tensor(samples)[0].numpy().reshape(last.shape), last)


def test_floats_stay_floats_and_whole_numbers_of_any_width_become_bytes() -> None:
    y = [0, 1]
    assert tensor(of_arrays(np.ones((2, 4, 4), "f8") / 2, y, target="class")).dtype == torch.float32
    wide = of_arrays(np.full((2, 4, 4), 200, "i8"), y, target="class")
    assert tensor(wide).dtype == torch.uint8 and tensor(wide).eq(200).all()


@pytest.mark.parametrize(
    ("targets", "classes", "labels"),
    [
        ([3, 10, 3, 2], ("2", "3", "10"), [1, 2, 1, 0]),
        (np.array(["dog", "cat", "dog", "cat"]), ("cat", "dog"), [1, 0, 1, 0]),
        (np.array([b"dog", b"cat", b"dog", b"cat"]), ("cat", "dog"), [1, 0, 1, 0]),
        (np.array([[1.0], [0.0], [1.0], [0.0]]), ("0", "1"), [1, 0, 1, 0]),
        (torch.tensor([1, 0, 1, 0]), ("0", "1"), [1, 0, 1, 0]),
    ],
)
def test_classes_are_whole_numbers_or_texts_in_order(
    targets: Any, classes: tuple[str, ...], labels: list[int]
) -> None:
    samples = of_arrays(np.ones((4, 2)), targets, target="class")
    assert samples.classes == classes and samples.targets.tolist() == labels


def test_labels_and_numbers_are_columns_with_names(tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", x=np.ones((3, 2)), y=np.eye(3), classes=["sky", "sea", "sun"])
    labels = read(tmp_path / "a.npz", target="labels")
    assert labels.classes == ("sky", "sea", "sun") and labels.targets.shape == (3, 3)
    np.savez(tmp_path / "b.npz", x=np.ones((3, 2)), y=[1.5, 2.5, 3.5])
    numbers = read(tmp_path / "b.npz", target="numbers")
    assert numbers.targets.tolist() == [[1.5], [2.5], [3.5]] and numbers.classes == ("0",)


@pytest.mark.parametrize("form", ["x_{}", "{}_x"])
@pytest.mark.parametrize(
    ("first", "middle", "last"),
    [
        ("train", "val", "test"),
        ("train", "validation", "testing"),
        ("training", "valid", "test"),
        ("training", "dev", "testing"),
    ],
)
def test_arrays_of_parts_give_the_parts(
    tmp_path: Path, form: str, first: str, middle: str, last: str
) -> None:
    sizes = {first: 6, middle: 4, last: 2}
    content: dict[str, Any] = {form.format(part): np.full((n, 3), n) for part, n in sizes.items()}
    content |= {form.replace("x", "y").format(part): np.arange(n) % 2 for part, n in sizes.items()}
    np.savez(tmp_path / "a.npz", **content)
    samples = read(tmp_path / "a.npz")
    assert samples.given is not None
    assert samples.given.tolist() == [TRAIN] * 6 + [VALIDATION] * 4 + [TEST] * 2
    assert tensor(samples)[:, 0].tolist() == [6] * 6 + [4] * 4 + [2] * 2


def test_arrays_that_are_neither_inputs_nor_targets_are_passed_over(tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", x=np.ones((2, 2)), y=[0, 1], x_mean=[1], ids=[4, 5])
    assert read(tmp_path / "a.npz").given is None
    np.savez(tmp_path / "b.npz", x_train=np.ones((2, 2)), y_train=[0, 1], ids_train=[4, 5])
    assert len(tensor(read(tmp_path / "b.npz"))) == 2


def test_other_names_of_arrays_are_said_in_the_study_file(tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", train_images=noise(4, 8, 8), train_labels=[[0], [1], [0], [1]])
    assert tensor(read(tmp_path / "a.npz")).shape == (4, 1, 8, 8)
    np.savez(tmp_path / "b.npz", pictures=noise(4, 8, 8), kind=[0, 1, 0, 1])
    with pytest.raises(
        ValueError, match=r"has no inputs: its arrays are pictures, kind; name one in"
    ):
        read(tmp_path / "b.npz")
    assert len(tensor(read(tmp_path / "b.npz", inputs="pictures", targets="kind"))) == 4
    with pytest.raises(ValueError, match=r"targets names the array kin, .* did you mean kind\?"):
        read(tmp_path / "b.npz", inputs="pictures", targets="kin")


def test_a_folder_of_npy_files_is_read_like_an_archive(tmp_path: Path) -> None:
    np.save(tmp_path / "x_train.npy", noise(4, 8, 8, 3))
    np.save(tmp_path / "y_train.npy", [0, 1, 0, 1])
    assert tensor(read(tmp_path)).shape == (4, 3, 8, 8)


@pytest.mark.parametrize("dtype", ["uint8", "float32"])
def test_large_images_are_mapped_and_hashed_whenever_the_file_may_have_changed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, dtype: str
) -> None:
    monkeypatch.setattr(arrays, "LARGE", 1000)
    images = noise(30, 3, 8, 8) if dtype == "uint8" else RNG.random((30, 3, 8, 8), dtype="f4")
    np.save(tmp_path / "x.npy", images)
    np.save(tmp_path / "y.npy", np.arange(30) % 2)
    samples = read(tmp_path)
    assert samples.mapped is not None and samples.mapped.path == tmp_path / "x.npy"
    assert np.array_equal(tensor(samples).numpy(), images)
    assert samples.mapped.sha256 == hashlib.sha256(samples.mapped.path.read_bytes()).hexdigest()
    state = samples.mapped.path.stat()
    np.save(tmp_path / "x.npy", images[::-1])
    os.utime(tmp_path / "x.npy", ns=(state.st_atime_ns, state.st_mtime_ns))
    changed = read(tmp_path)
    assert changed.mapped is not None
    assert changed.mapped.sha256 != samples.mapped.sha256, "although size and time are the same"


def test_arrays_run_through_a_split(tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", x=noise(40, 8, 8), y=np.arange(40) % 2)
    got = datasets.load(
        {"name": "arrays", "path": str(tmp_path / "a.npz"), "image_size": 4, "channels": 3},
        study_seed=0,
        seed=0,
    )
    assert got.input_shape == (3, 4, 4) and len(got.train.targets) == 24


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({"x": np.ones((4, 2)), "y": [0, 1, 0]}, "there are 4 inputs, but 3 targets"),
        ({"x": np.ones((4, 2))}, "has no targets: its arrays are x; name one in"),
        ({"x": np.ones(4), "y": [0, 1, 0, 1]}, r"the inputs have the shape \[4\]; images are"),
        ({"x": np.ones((4, 5, 6, 7)), "y": [0, 1, 0, 1]}, "fits neither"),
        ({"x": np.ones((4, 3, 6, 3)), "y": [0, 1, 0, 1]}, "fits both"),
        ({"x": np.full((4, 6, 6), 300), "y": [0, 1, 0, 1]}, "pixels are from 300 to 300; integers"),
        (
            {"x": np.full((4, 6, 6), 7.5), "y": [0, 1, 0, 1]},
            "pixels from 7.5 to 7.5, but pixels of",
        ),
        ({"x": np.ones((4, 2)), "y": [0, 0, 0, 0]}, "every sample has the class 0; at least two"),
        (
            {"x": np.ones((4, 2)), "y": [0.5, 1, 0, 1]},
            "sample 0 has the target 0.5; classes are integers",
        ),
        ({"x": [[1, np.nan], [1, 1]], "y": [0, 1]}, "sample 0 has an input that is not finite"),
        (
            {"x": np.ones((4, 2)), "y": [0, 1, 2, 1], "classes": ["a", "b"]},
            "sample 2 has the label 2; valid are 0 to 1",
        ),
        (
            {"x": np.ones((2, 2)), "y": ["a", "c"], "classes": ["a", "b"]},
            "sample 1 has the class c; the classes are a, b",
        ),
        ({"x_val": np.ones((4, 2)), "y_val": [0, 1, 0, 1]}, "has no inputs"),
        (
            {"x_train": np.ones((4, 2)), "y_train": [0, 1, 0, 1], "x_test": np.ones((2, 2))},
            "x_test has no counterpart in x or y",
        ),
        (
            {
                "x_train": np.ones((2, 2)),
                "y_train": [0, 1],
                "x_test": np.ones((2, 3)),
                "y_test": [0, 1],
            },
            r"samples of x_train have the shape \[2\], those of x_test \[3\]",
        ),
        (
            {"x_train": np.ones((2, 2)), "y_train": [0, 1], "x_extra": np.ones((2, 2))},
            "x_extra is not a part; parts are train, training, validation, valid, val, dev, test, "
            "testing. Rename or remove it",
        ),
        (
            {"x_train": np.ones((2, 2)), "y_train": [0, 1], "y_test": [0, 1]},
            "y_test has no counterpart in x or y",
        ),
        (
            {"x": np.ones((2, 2)), "y": [0, 1], "test_x": np.ones((2, 2)), "test_y": [0, 1]},
            "array x has all samples, but test_x is an array of a part",
        ),
        (
            {f"{a}_{part}": np.arange(2) for a in "xy" for part in ("train", "dev", "val")},
            "x_dev and x_val are the same part; keep one",
        ),
    ],
)
def test_what_is_no_data_set_is_refused_with_the_file_and_the_sample(
    tmp_path: Path, content: dict[str, Any], message: str
) -> None:
    np.savez(tmp_path / "a.npz", **content)
    with pytest.raises(ValueError, match=message) as caught:
        read(tmp_path / "a.npz")
    assert str(tmp_path) in str(caught.value)


def test_no_pickled_code_is_run(tmp_path: Path) -> None:
    class Trap:
        def __reduce__(self) -> Any:
            return (Path(tmp_path / "sprung").touch, ())

    np.savez(tmp_path / "a.npz", x=np.array([Trap(), Trap()], dtype=object), y=[0, 1])
    with pytest.raises(ValueError, match=r"the array x cannot be read .* expected a NumPy array"):
        read(tmp_path / "a.npz")
    (tmp_path / "sprung").unlink(missing_ok=True)
    np.save(tmp_path / "x.npy", np.array([Trap(), Trap()], dtype=object), allow_pickle=True)
    (tmp_path / "sprung").unlink(missing_ok=True)
    with pytest.raises(ValueError, match=r"x\.npy cannot be read .* expected a NumPy array"):
        read(tmp_path)
    assert not (tmp_path / "sprung").exists()


def test_a_missing_or_damaged_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"there is no file or folder .*none\.npz"):
        read(tmp_path / "none.npz")
    (tmp_path / "empty").mkdir()
    with pytest.raises(ValueError, match=r"empty contains no \.npy files"):
        read(tmp_path / "empty")
    (tmp_path / "a.npz").write_bytes(b"PK\x03\x04 and then nothing")
    with pytest.raises(ValueError, match=r"a\.npz is not an \.npz file"):
        read(tmp_path / "a.npz")
    np.savez(tmp_path / "c.npz", x=noise(40, 30), y=np.arange(40) % 2)
    whole = bytearray((tmp_path / "c.npz").read_bytes())
    whole[300] ^= 1
    (tmp_path / "c.npz").write_bytes(whole)
    with pytest.raises(ValueError, match=r"c\.npz: the array x cannot be read .*CRC"):
        read(tmp_path / "c.npz")
    np.save(tmp_path / "lone.npy", np.ones(3))
    (tmp_path / "lone.npy").rename(tmp_path / "b.npz")
    with pytest.raises(ValueError, match=r"b\.npz is not an \.npz file"):
        read(tmp_path / "b.npz")


def test_an_archive_that_would_not_fit_into_memory_is_refused_before_it_is_unpacked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "a.npz"
    np.savez_compressed(file, x=np.zeros((1000, 1000), dtype=np.float32), y=np.arange(1000) % 2)
    assert file.stat().st_size < 50_000
    state = type("Memory", (), {"available": 5_000_000})
    monkeypatch.setattr(psutil, "virtual_memory", lambda: state)
    monkeypatch.setattr(np, "load", None)
    with pytest.raises(ValueError, match=r"a\.npz unpacks to 0\.0 GB, .* free. Use fewer samples"):
        read(file)


@pytest.mark.parametrize(
    "damage",
    [
        pytest.param(lambda old: old.replace(b"'fortran_order'", b"'fortran_orde\"'"), id="header"),
        pytest.param(lambda old: old.replace(b"(20, 4)", b"(2**9,)"), id="shape"),
        pytest.param(lambda old: old.replace(b"(20, 4)", b"(-1, 4)"), id="negative"),
        pytest.param(lambda old: old[:100], id="cut"),
        pytest.param(lambda old: b"\x93NUMPY\x09" + old[7:], id="version"),
    ],
)
def test_whatever_a_damaged_array_makes_numpy_raise_the_file_is_named(
    tmp_path: Path, damage: Callable[[bytes], bytes]
) -> None:
    np.save(tmp_path / "x.npy", np.ones((20, 4)))
    np.save(tmp_path / "y.npy", np.arange(20) % 2)
    file = tmp_path / "x.npy"
    file.write_bytes(damage(file.read_bytes()))
    with pytest.raises(ValueError, match=r"x\.npy cannot be read \(.+\); expected a NumPy array"):
        read(tmp_path)


@pytest.mark.parametrize("flag", [b"\x63", b"\x0c"])
def test_an_archive_packed_in_an_unknown_way_is_named(tmp_path: Path, flag: bytes) -> None:
    file = tmp_path / "a.npz"
    np.savez(file, x=np.ones((20, 4)), y=np.arange(20) % 2)
    content = bytearray(file.read_bytes())
    at = content.index(b"PK\x01\x02")
    content[at + 10 : at + 11] = flag
    file.write_bytes(content)
    with pytest.raises(ValueError, match=r"a\.npz: the array x cannot be read \("):
        read(file)


def user(path: Path, code: str, target: str = "class", **options: Any) -> Samples:
    path.write_text(code)
    loading._read.cache_clear()
    return loading._read(f"{path}:make", "", json.dumps(options), target)


def test_a_users_function_is_called_with_the_options_of_the_study_file(tmp_path: Path) -> None:
    code = (
        "import numpy as np\n"
        "def make(count, noise=0.0):\n"
        "    return np.full((count, 3), noise), np.arange(count) % 2\n"
    )
    samples = user(tmp_path / "mine.py", code, count=6, noise=0.5)
    assert samples.kind == "vector" and tensor(samples).eq(0.5).all()
    assert len(samples.targets) == 6


def test_a_users_function_may_return_texts_tensors_or_samples(tmp_path: Path) -> None:
    texts = user(tmp_path / "a.py", "def make():\n    return ['good', 'bad'], ['pos', 'neg']\n")
    assert texts.kind == "text" and texts.inputs == ("good", "bad")
    assert texts.classes == ("neg", "pos") and texts.targets.tolist() == [1, 0]
    tensors = "import torch\ndef make():\n    return torch.zeros(4, 3, 8, 8), torch.arange(4) % 2\n"
    assert user(tmp_path / "b.py", tensors).kind == "image"
    whole = (
        "import torch\n"
        "from workbench.datasets import Samples\n"
        "def make():\n"
        "    return Samples(kind='vector', inputs=torch.ones(2, 2), targets=torch.eye(2)[:, :1],\n"
        "                   classes=('height',))\n"
    )
    assert user(tmp_path / "c.py", whole, target="numbers").classes == ("height",)


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ("    return open('nowhere.csv')", r"mine\.py:2: make raised FileNotFoundError"),
        ("    return [1, 2, 3]", r"mine\.py: make returned a list; it must return Samples or a"),
        ("    return [[1.0], [2.0]], [1]", r"mine\.py:make: there are 2 inputs, but 1 targets"),
        ("    return [[1.0], [2.0, 3.0]], [0, 1]", r"mine\.py: make: the inputs are not an array"),
        ("    return [[1.0], [2.0]], [1, 1]", r"mine\.py:make: every sample has the class 1"),
        ("    return [[1.0], [float('inf')]], [0, 1]", r"mine\.py:make: sample 1 has an input t"),
    ],
)
def test_what_is_wrong_with_a_users_data_names_the_file(
    tmp_path: Path, body: str, message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        user(tmp_path / "mine.py", f"def make():\n{body}\n")


def test_a_wrong_option_of_a_users_function_names_the_file(tmp_path: Path) -> None:
    with pytest.raises(UserCodeError, match=r"mine\.py:1: make raised TypeError: .*'size'"):
        user(tmp_path / "mine.py", "def make(count):\n    pass\n", size=3)
    with pytest.raises(ValueError, match=r"mine\.py: make is a int; a data set must be a function"):
        user(tmp_path / "mine.py", "make = 3\n")
