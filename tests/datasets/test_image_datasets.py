"""Folders of image files: what is read, what is refused, and what is kept on disk."""

from __future__ import annotations

import json
import multiprocessing
import os
import shutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

from workbench import datasets
from workbench.datasets import Samples, loading
from workbench.datasets.image_folder import read
from workbench.datasets.images import cache as image_cache
from workbench.datasets.images import decoding
from workbench.datasets.samples import TEST, TRAIN, VALIDATION
from workbench.record import files

torch.set_num_threads(1)


@pytest.fixture(autouse=True)
def data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where decoded images are kept."""
    folder = tmp_path / "data"
    monkeypatch.setenv("WORKBENCH_DATA", str(folder))
    return folder


@pytest.fixture
def birds(tmp_path: Path) -> Path:
    """Two classes of three images, in several sizes."""
    rng = np.random.default_rng(0)
    for name in ("crow", "gull"):
        for number in range(3):
            save(tmp_path / "birds" / name / f"{number}.png", noise(rng, 20 + number, 30))
    return tmp_path / "birds"


def noise(rng: np.random.Generator, height: int, width: int) -> Image.Image:
    return Image.fromarray(rng.integers(0, 256, (height, width, 3), dtype=np.uint8))


def save(path: Path, image: Image.Image, **options: Any) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    image.save(path, **options)


def folder(path: Path, **options: Any) -> Samples:
    return read(target="class", path=str(path), **options)


def pixels(samples: Samples) -> Tensor:
    assert isinstance(samples.inputs, Tensor)
    return samples.inputs


def test_folders_are_classes_and_files_are_samples_in_the_order_of_their_names(birds: Path) -> None:
    save(birds / "crow" / "deeper" / "a.JPG", Image.new("RGB", (30, 20)))
    (birds / "crow" / "notes.txt").write_text("no image")
    (birds / "crow" / ".hidden.png").write_bytes(b"no image")
    (birds / ".cache").mkdir()
    samples = folder(birds, store_size=8)
    assert samples.classes == ("crow", "gull")
    assert samples.names == (
        *("crow/0.png", "crow/1.png", "crow/2.png", "crow/deeper/a.JPG"),
        *("gull/0.png", "gull/1.png", "gull/2.png"),
    )
    assert samples.targets.tolist() == [0, 0, 0, 0, 1, 1, 1]
    assert samples.given is None
    assert pixels(samples).shape == (7, 3, 8, 8) and pixels(samples).dtype == torch.uint8


@pytest.mark.parametrize("middle", ["validation", "val", "Valid", "dev"])
def test_folders_of_parts_give_the_parts(birds: Path, tmp_path: Path, middle: str) -> None:
    root = tmp_path / "parts"
    for part in ("train", middle, "test"):
        shutil.copytree(birds, root / part)
    samples = folder(root, image_size=8)
    assert samples.given is not None
    assert samples.given.tolist() == [TRAIN] * 6 + [VALIDATION] * 6 + [TEST] * 6
    assert samples.targets.tolist() == [0, 0, 0, 1, 1, 1] * 3
    assert samples.names is not None and samples.names[6] == f"{middle}/crow/0.png"


def test_images_of_one_size_stay_as_they_are(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    expected = [rng.integers(0, 256, (12, 16, 3), dtype=np.uint8) for _ in range(4)]
    for number, array in enumerate(expected):
        save(tmp_path / "x" / "ab"[number % 2] / f"{number}.png", Image.fromarray(array))
    got = pixels(folder(tmp_path / "x"))
    assert got.shape == (4, 3, 12, 16)
    assert torch.equal(got[2].permute(1, 2, 0), torch.from_numpy(expected[1]))


def test_images_of_several_sizes_become_the_square_in_their_middle(tmp_path: Path) -> None:
    # Left black, middle white, right black: only the middle stays.
    wide = np.zeros((20, 60, 3), dtype=np.uint8)
    wide[:, 20:40] = 255
    tall = wide.transpose(1, 0, 2)
    for name, array in (("wide", wide), ("tall", tall)):
        save(tmp_path / "x" / name / "0.png", Image.fromarray(array))
    got = pixels(folder(tmp_path / "x", store_size=10))
    assert (got[:, :, 1:-1, 1:-1] == 255).all() and got.min() > 200, "the rim is interpolated"
    assert pixels(folder(tmp_path / "x")).shape[2:] == (256, 256)
    assert pixels(folder(tmp_path / "x", image_size=32)).shape[2:] == (32, 32)


def test_large_images_of_one_size_become_smaller(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in "ab":
        save(tmp_path / "x" / name / "0.jpg", Image.new("RGB", (300, 280), (200, 10, 10)))
    got = pixels(folder(tmp_path / "x"))
    assert got.shape == (2, 3, 256, 256)
    assert (got[0].float().mean(dim=(1, 2)) - torch.tensor([200.0, 10, 10])).abs().max() < 4


def test_the_orientation_that_a_camera_noted_is_followed(tmp_path: Path) -> None:
    upright = np.zeros((8, 12, 3), dtype=np.uint8)
    upright[:, :6] = 255
    lying = Image.fromarray(np.rot90(upright, k=1))
    exif = Image.Exif()
    exif[0x0112] = 6  # to be seen turned by 90 degrees clockwise
    save(tmp_path / "x" / "a" / "0.png", Image.fromarray(upright))
    save(tmp_path / "x" / "b" / "0.jpg", lying, exif=exif, quality=95)
    got = pixels(folder(tmp_path / "x"))
    assert got.shape == (2, 3, 8, 12), "one size, once both are upright"
    assert (got[0].int() - got[1].int()).abs().max() < 20


@pytest.mark.parametrize(
    ("mode", "channels"),
    [("L", 1), ("1", 1), ("LA", 1), ("I;16", 1), ("RGB", 3), ("RGBA", 3), ("P", 3), ("CMYK", 3)],
)
def test_every_mode_becomes_grey_or_colour(tmp_path: Path, mode: str, channels: int) -> None:
    values = np.full((8, 8), 200 * 256 if mode == "I;16" else 200)
    grey = Image.fromarray(values.astype(np.uint16 if mode == "I;16" else np.uint8))
    image = grey if mode == "I;16" else grey.convert(mode)
    for name in "ab":
        save(tmp_path / "x" / name / f"0.{'tiff' if mode == 'CMYK' else 'png'}", image)
    got = pixels(folder(tmp_path / "x"))
    assert got.shape == (2, channels, 8, 8)
    if mode == "1":
        assert got.float().mean().item() == pytest.approx(200, abs=25), "dithered"
    else:
        assert (got.int() - 200).abs().max() <= 3


def test_grey_among_colour_is_colour(tmp_path: Path) -> None:
    save(tmp_path / "x" / "a" / "0.png", Image.new("L", (8, 8), 100))
    save(tmp_path / "x" / "b" / "0.png", Image.new("RGB", (8, 8), (1, 2, 3)))
    got = pixels(folder(tmp_path / "x"))
    assert got[:, :, 0, 0].tolist() == [[100, 100, 100], [1, 2, 3]]


def damage(birds: Path) -> None:
    whole = (birds / "crow" / "1.png").read_bytes()
    (birds / "crow" / "1.png").write_bytes(whole[: len(whole) // 2])
    (birds / "gull" / "empty.png").write_bytes(b"")
    (birds / "gull" / "page.jpg").write_text("<html>not found</html>")


def test_damaged_files_are_refused_by_name_with_the_reason(birds: Path, data: Path) -> None:
    damage(birds)
    with pytest.raises(ValueError) as caught:
        folder(birds)
    message = str(caught.value)
    assert message.startswith(f"{birds}: 3 of 8 images cannot be used: crow/1.png (")
    assert "gull/empty.png (the file is empty)" in message
    assert "gull/page.jpg (not an image that Pillow can read)" in message
    assert "dataset.on_bad_input: skip" in message
    assert list((data / "decoded").iterdir()) == [], "nothing is left of it"


def test_damaged_files_are_skipped_and_counted_where_the_study_says_so(birds: Path) -> None:
    damage(birds)
    samples = folder(birds, on_bad_input="skip")
    assert samples.names == ("crow/0.png", "crow/2.png", "gull/0.png", "gull/1.png", "gull/2.png")
    assert samples.targets.tolist() == [0, 0, 1, 1, 1]
    assert [line.split(":")[0] for line in samples.skipped] == [
        *("crow/1.png", "gull/empty.png", "gull/page.jpg")
    ]
    dataset = {"name": "image_folder", "path": str(birds), "on_bad_input": "skip", "test": 0}
    sizes = datasets.sizes({**dataset, "validation": 2}, study_seed=0, seed=0)
    assert sizes["train"] + sizes["validation"] == 5 and len(sizes["skipped"]) == 3


def test_ten_of_many_damaged_files_are_listed_and_the_others_counted(birds: Path) -> None:
    for number in range(13):
        (birds / "crow" / f"bad{number:02d}.png").write_bytes(b"x")
    with pytest.raises(ValueError, match=r"13 of 19 images .*bad09\.png \([^)]*\) and 3 more\. "):
        folder(birds)


@pytest.mark.parametrize("limit", [1000, None])
def test_a_picture_of_too_many_pixels_is_refused_before_it_is_decoded(
    birds: Path, monkeypatch: pytest.MonkeyPatch, limit: int | None
) -> None:
    monkeypatch.setattr(decoding, "_MOST_PIXELS", 1000)
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", limit)
    save(birds / "crow" / "bomb.png", Image.new("1", (100, 15)))
    save(birds / "crow" / "huge.png", Image.new("1", (100, 100)))
    with pytest.raises(ValueError, match="2 of 8 images cannot be used") as refused:
        folder(birds)
    for said in (
        "crow/bomb.png (it has 1,500 pixels, more than the limit of 1,000)",
        "crow/huge.png (it has 10,000 pixels, more than the limit of 1,000)",
    ):
        assert said in str(refused.value)


def test_a_class_of_which_nothing_can_be_used_is_refused(birds: Path) -> None:
    for file in (birds / "gull").iterdir():
        file.write_bytes(b"x")
    with pytest.raises(ValueError, match=f"No image of the class gull in {birds} can be used"):
        folder(birds, on_bad_input="skip")


def test_a_folder_that_holds_no_data_set_is_refused_with_its_path(tmp_path: Path) -> None:
    root = tmp_path / "x"
    with pytest.raises(ValueError, match=f"must be a folder of images, but {root} does not exist"):
        folder(root)
    root.mkdir()
    with pytest.raises(ValueError, match=f"{root} must have a folder of images for each class; it"):
        folder(root)
    save(root / "0.png", Image.new("L", (4, 4)))
    with pytest.raises(ValueError, match="it has 1 images, but no folders"):
        folder(root)
    with pytest.raises(ValueError, match=f"but {root / '0.png'} is a file"):
        folder(root / "0.png")
    save(root / "a" / "0.png", Image.new("L", (4, 4)))
    (root / "b").mkdir()
    (root / "b" / "readme.txt").write_text("soon")
    with pytest.raises(ValueError, match=f"{root / 'b'} has no images; images are files that end"):
        folder(root)


def test_parts_whose_classes_differ_are_refused(birds: Path, tmp_path: Path) -> None:
    root = tmp_path / "parts"
    shutil.copytree(birds, root / "train")
    shutil.copytree(birds, root / "test")
    shutil.rmtree(root / "test" / "gull")
    with pytest.raises(ValueError, match="the same classes, but train has gull and test does not"):
        folder(root)
    shutil.copytree(birds, root / "holdout")
    with pytest.raises(ValueError, match="its folders are parts, but holdout is not one"):
        folder(root)
    shutil.rmtree(root / "holdout")
    for name in ("val", "valid"):
        shutil.copytree(birds, root / name)
    with pytest.raises(ValueError, match="has both val and valid; keep one"):
        folder(root)


def test_images_are_decoded_once_and_then_mapped(
    birds: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = folder(birds, store_size=8)

    def never(*_: Any) -> None:
        raise AssertionError("decoded again")

    with monkeypatch.context() as patch:
        patch.setattr(Image, "open", never)
        again = folder(birds, store_size=8)
    assert torch.equal(pixels(first), pixels(again))
    assert first.mapped is not None and first.mapped == again.mapped
    assert folder(birds, store_size=9).mapped != first.mapped


def test_another_folder_with_files_of_the_same_names_sizes_and_times_has_pixels_of_its_own(
    tmp_path: Path,
) -> None:
    def shades(root: Path) -> list[int]:
        return sorted(set(pixels(folder(root)).flatten().tolist()))

    roots = [tmp_path / "a", tmp_path / "b"]
    for value, root in enumerate(roots, start=1):
        for name in ("crow", "gull"):
            file = root / name / "0.bmp"
            save(file, Image.new("RGB", (8, 8), (value, value, value)))
            os.utime(file, ns=(0, 0))
    assert [shades(root) for root in roots] == [[1], [2]]
    link = tmp_path / "link"
    for root, expected in zip(roots, ([1], [2]), strict=True):
        link.unlink(missing_ok=True)
        link.symlink_to(root)
        assert shades(link) == expected, "through a link, too"
    loose = tmp_path / "loose"
    for name in ("crow", "gull"):
        (loose / name).mkdir(parents=True)
    for root, expected in zip(roots, ([1], [2]), strict=True):
        for name in ("crow", "gull"):
            (loose / name / "0.bmp").unlink(missing_ok=True)
            (loose / name / "0.bmp").symlink_to(root / name / "0.bmp")
        assert shades(loose) == expected, "and of linked files"


def test_the_size_that_a_model_takes_is_the_size_that_is_stored(birds: Path, data: Path) -> None:
    dataset = {"name": "image_folder", "path": str(birds), "validation": 2, "test": 0}
    got = datasets.load({**dataset, "image_size": 12}, study_seed=0, seed=0)
    (kept,) = (data / "decoded").glob("*/images.json")
    assert json.loads(kept.read_text())["shape"] == [6, 3, 12, 12]
    assert got.input_shape == (3, 12, 12)
    margin = datasets.load({**dataset, "image_size": 12, "store_size": 16}, study_seed=0, seed=0)
    assert margin.input_shape == (3, 12, 12)
    assert margin.train.inputs[torch.arange(2)].shape == (2, 3, 16, 16)  # type: ignore[union-attr]


def test_a_changed_file_is_decoded_again_and_changes_the_digest(birds: Path) -> None:
    dataset = {"name": "image_folder", "path": str(birds), "store_size": 8, "validation": 2}

    def digest() -> str:
        for cache in (loading._pool, loading._read):
            cache.cache_clear()
        return str(datasets.sizes({**dataset, "test": 0}, study_seed=0, seed=0)["digest"])

    before = digest()
    file = birds / "crow" / "0.png"
    os.utime(file, ns=(time.time_ns(), time.time_ns()))
    assert digest() == before, "the same pixels at another time"
    save(file, Image.new("RGB", (30, 20), (9, 9, 9)))
    assert digest() != before


def test_the_digest_is_that_of_the_pixels_and_does_not_depend_on_the_folder(
    birds: Path, tmp_path: Path
) -> None:
    shutil.copytree(birds, tmp_path / "elsewhere")
    digests = {
        datasets.sizes(
            {"name": "image_folder", "path": str(path), "image_size": 8, "validation": 2},
            study_seed=0,
            seed=0,
        )["digest"]
        for path in (birds, tmp_path / "elsewhere")
    }
    assert len(digests) == 1


@pytest.mark.parametrize(
    ("damaged", "content"),
    [
        ("images", lambda old: old[:-20]),
        ("images", lambda old: bytes(len(old))),
        ("images", lambda old: old[:500] + bytes([old[500] ^ 1]) + old[501:]),
        ("images.json", lambda old: old[:-20]),
        ("images.json", lambda old: b""),
        ("images.json", lambda old: old.replace(b"[0, 1, 2", b"[0, 2, 1")),
        ("images.json", lambda old: old.replace(b"[6, 3, 8, 8]", b"[3, 6, 8, 8]")),
    ],
)
def test_damaged_decoded_images_are_decoded_again_with_one_warning(
    birds: Path,
    damaged: str,
    content: Callable[[bytes], bytes],
    caplog: pytest.LogCaptureFixture,
) -> None:
    first = folder(birds, store_size=8)
    assert first.mapped is not None
    before, targets = pixels(first).clone(), first.targets
    file = first.mapped.path.with_name(damaged)
    file.write_bytes(content(file.read_bytes()))
    again = folder(birds, store_size=8)
    assert torch.equal(pixels(again), before) and torch.equal(again.targets, targets)
    (record,) = caplog.records
    assert f"{file.parent} are damaged" in record.getMessage()
    assert torch.equal(pixels(folder(birds, store_size=8)), before)
    assert len(caplog.records) == 1, "mended for good"


def test_decoded_images_are_hashed_once_in_a_process(
    birds: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = folder(birds, store_size=8)

    def never(_: Path) -> str:
        raise AssertionError("hashed again")

    monkeypatch.setattr(files, "sha256_of", never)
    assert folder(birds, store_size=8).mapped == first.mapped


def test_new_content_of_the_same_size_and_time_is_decoded(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    def write(value: int) -> None:
        for name in ("crow", "gull"):
            file = tmp_path / "birds" / name / "0.bmp"
            save(file, Image.new("RGB", (8, 8), (value, value, value)))
            os.utime(file, ns=(0, 0))

    write(1)
    folder(tmp_path / "birds")
    write(2)
    assert set(pixels(folder(tmp_path / "birds")).flatten().tolist()) == {2}
    assert not caplog.records, "nothing was damaged"


def test_a_disk_that_fills_up_leaves_nothing_behind(
    birds: Path, data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not Path("/dev/full").exists():
        pytest.skip("there is no device that is always full")
    place = image_cache._write
    monkeypatch.setattr(image_cache, "_write", lambda _, stream: place(Path("/dev/full"), stream))
    with pytest.raises(ValueError, match=r"could not be written to .*decoded \(No space left"):
        folder(birds, store_size=64)
    assert list((data / "decoded").iterdir()) == []


def test_what_a_killed_process_left_behind_is_swept_away(birds: Path, data: Path) -> None:
    for name, age in ((".new-old", 2), (".new-fresh", 0)):
        left = data / "decoded" / name
        left.mkdir(parents=True)
        then = time.time() - age * 24 * 3600
        os.utime(left, (then, then))
    gone = data / "decoded" / ".new-gone"
    gone.symlink_to("nowhere")  # as if another process removed it at this moment
    folder(birds)
    gone.unlink()
    assert sorted(path.name[:10] for path in (data / "decoded").glob(".new*")) == [".new-fresh"]


def _digest(path: str, queue: Any) -> None:
    samples = folder(Path(path), store_size=64)
    assert samples.mapped is not None
    queue.put((samples.mapped.sha256, int(pixels(samples).sum())))


def test_processes_that_decode_at_once_end_with_one_whole_copy(birds: Path, data: Path) -> None:
    fork = multiprocessing.get_context("fork")
    queue = fork.Queue()
    started = [fork.Process(target=_digest, args=(str(birds), queue)) for _ in range(4)]
    for process in started:
        process.start()
    found = {queue.get(timeout=60) for _ in started}
    for process in started:
        process.join(timeout=60)
    assert len(found) == 1
    (kept,) = (data / "decoded").iterdir()
    description = json.loads((kept / "images.json").read_text())
    assert (kept / "images").stat().st_size == np.prod(description["shape"])


def test_a_folder_that_cannot_be_written_to_is_named_with_the_way_out(
    birds: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # A file where a folder should be: even a superuser cannot write there.
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("WORKBENCH_DATA", str(tmp_path / "file"))
    with pytest.raises(ValueError, match=r"could not be written to .*set WORKBENCH_"):
        folder(birds, store_size=8)


def test_a_disk_that_is_too_small_is_noticed_before_anything_is_decoded(
    birds: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    usage = shutil.disk_usage(birds)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage._replace(free=1000))
    with pytest.raises(
        ValueError, match=r"need 0\.0 GB, but .* has 0\.0 GB left; set WORKBENCH_DATA"
    ):
        folder(birds, store_size=100)
