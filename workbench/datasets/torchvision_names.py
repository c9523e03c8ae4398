"""The data sets of torchvision by name: their options, files and parts.

A table only, which loads no torch; ``torchvision_sets`` reads them. The test part is the one that
papers report on: for ImageNet and Imagenette that is ``val``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from workbench.datasets.samples import TEST, TRAIN, VALIDATION

# Options of every data set of image files; see ``images.loading``.
FILES: dict[str, Any] = {
    "store_size": int,
    "on_bad_input": Literal["refuse", "skip"],
    # An option of every data set of images; here it also sets the size of decoded files.
    "image_size": int,
}


@dataclass(frozen=True, kw_only=True)
class TorchvisionSet:
    """A data set of torchvision.

    Attributes:
        summary: One line of description.
        outputs: Number of classes; 0 if it depends on an option.
        loader: Name of torchvision's class.
        archives: The files that the loader reads or unpacks, relative to the folder.
        shape: Of one image, if all have the same.
        options: Its own options, except the path; it consists of image files if they include
            ``FILES``.
        parts: Arguments of the loader for each part; a single entry if there are no parts.
        megabytes: Approximate size of all archives; 0 if unknown.
        downloads: Whether torchvision can download it.
        classes: Names of the classes, if the loader has no usable ones.
        count: Images in all parts, for loaders that take any files in the folder; else 0.
        needs: A library that the loader needs.
    """

    summary: str
    outputs: int
    loader: str
    archives: tuple[str, ...]
    shape: tuple[int, ...] = ()
    options: Mapping[str, Any] = field(default_factory=dict)
    parts: Mapping[int, Mapping[str, Any]] = field(default_factory=lambda: {TRAIN: {}})
    megabytes: int = 0
    downloads: bool = True
    classes: tuple[str, ...] = ()
    count: int = 0
    needs: str = ""


def _flag() -> dict[int, dict[str, Any]]:
    return {TRAIN: {"train": True}, TEST: {"train": False}}


def _split(
    train: str = "train", test: str = "test", validation: str = ""
) -> dict[int, dict[str, Any]]:
    middle = {VALIDATION: {"split": validation}} if validation else {}
    return {TRAIN: {"split": train}, **middle, TEST: {"split": test}}


def _idx(folder: str) -> tuple[str, ...]:
    names = ("train-images-idx3", "train-labels-idx1", "t10k-images-idx3", "t10k-labels-idx1")
    return tuple(f"{folder}/raw/{name}-ubyte.gz" for name in names)


_DIGITS = tuple(str(digit) for digit in range(10))
_EMOTIONS = ("angry", "disgusted", "afraid", "happy", "sad", "surprised", "neutral")
_EMNIST = Literal["byclass", "bymerge", "balanced", "letters", "digits", "mnist"]
_PET = Literal["breed", "species"]
_AIRCRAFT = Literal["variant", "family", "manufacturer"]
TORCHVISION: dict[str, TorchvisionSet] = {
    "cifar10": TorchvisionSet(
        summary="60,000 colour images of 32 x 32 pixels",
        outputs=10,
        shape=(3, 32, 32),
        loader="CIFAR10",
        parts=_flag(),
        archives=("cifar-10-python.tar.gz",),
        megabytes=170,
    ),
    "cifar100": TorchvisionSet(
        summary="60,000 colour images of 32 x 32 pixels",
        outputs=100,
        shape=(3, 32, 32),
        loader="CIFAR100",
        parts=_flag(),
        archives=("cifar-100-python.tar.gz",),
        megabytes=169,
    ),
    "mnist": TorchvisionSet(
        summary="70,000 handwritten digits of 28 x 28 pixels",
        outputs=10,
        shape=(1, 28, 28),
        loader="MNIST",
        parts=_flag(),
        archives=_idx("MNIST"),
        megabytes=12,
        classes=_DIGITS,
    ),
    "fashion_mnist": TorchvisionSet(
        summary="70,000 pieces of clothing, 28 x 28 pixels, grey",
        outputs=10,
        shape=(1, 28, 28),
        loader="FashionMNIST",
        parts=_flag(),
        archives=_idx("FashionMNIST"),
        megabytes=31,
    ),
    "kmnist": TorchvisionSet(
        summary="70,000 cursive Japanese letters of 28 x 28 pixels",
        outputs=10,
        shape=(1, 28, 28),
        loader="KMNIST",
        parts=_flag(),
        archives=_idx("KMNIST"),
        megabytes=21,
    ),
    "emnist": TorchvisionSet(
        summary="letters and digits of 28 x 28 pixels",
        outputs=0,
        shape=(1, 28, 28),
        options={"variant": _EMNIST},
        loader="EMNIST",
        parts=_flag(),
        archives=("EMNIST/raw/gzip.zip",),
        megabytes=560,
    ),
    "qmnist": TorchvisionSet(
        summary="120,000 handwritten digits of 28 x 28 pixels",
        outputs=10,
        shape=(1, 28, 28),
        loader="QMNIST",
        parts=_flag(),
        archives=tuple(
            f"QMNIST/raw/qmnist-{part}-{what}.gz"
            for part in ("train", "test")
            for what in ("images-idx3-ubyte", "labels-idx2-int")
        ),
        classes=_DIGITS,
    ),
    "svhn": TorchvisionSet(
        summary="99,289 house numbers of 32 x 32 pixels",
        outputs=10,
        shape=(3, 32, 32),
        loader="SVHN",
        parts=_split(),
        archives=("train_32x32.mat", "test_32x32.mat"),
        megabytes=246,
        classes=_DIGITS,
    ),
    "stl10": TorchvisionSet(
        summary="13,000 labelled photographs of 96 x 96 pixels",
        outputs=10,
        shape=(3, 96, 96),
        loader="STL10",
        parts=_split(),
        archives=("stl10_binary.tar.gz",),
        megabytes=2640,
    ),
    "usps": TorchvisionSet(
        summary="9,298 handwritten digits of 16 x 16 pixels",
        outputs=10,
        shape=(1, 16, 16),
        loader="USPS",
        parts=_flag(),
        archives=("usps.bz2", "usps.t.bz2"),
        megabytes=8,
        classes=_DIGITS,
    ),
    "semeion": TorchvisionSet(
        summary="1,593 handwritten digits of 16 x 16 pixels",
        outputs=10,
        shape=(1, 16, 16),
        loader="SEMEION",
        archives=("semeion.data",),
        megabytes=3,
        classes=_DIGITS,
    ),
    "fer2013": TorchvisionSet(
        summary="35,887 faces of 48 x 48 pixels, 7 emotions",
        outputs=7,
        shape=(1, 48, 48),
        loader="FER2013",
        parts=_split(),
        archives=("fer2013/fer2013.csv",),
        downloads=False,
        classes=_EMOTIONS,
    ),
    "pcam": TorchvisionSet(
        summary="327,680 patches of lymph nodes, 96 x 96 pixels",
        outputs=2,
        shape=(3, 96, 96),
        loader="PCAM",
        parts=_split(validation="val"),
        archives=tuple(
            f"pcam/camelyonpatch_level_2_split_{part}_{what}.h5"
            for part in ("train", "valid", "test")
            for what in "xy"
        ),
        classes=("normal", "tumour"),
        needs="h5py",
    ),
    "food101": TorchvisionSet(
        summary="101,000 photographs of dishes",
        outputs=101,
        options=FILES,
        loader="Food101",
        parts=_split(),
        archives=("food-101.tar.gz",),
        megabytes=5000,
    ),
    "flowers102": TorchvisionSet(
        summary="8,189 photographs of flowers",
        outputs=102,
        options=FILES,
        loader="Flowers102",
        parts=_split(validation="val"),
        archives=tuple(
            f"flowers-102/{name}" for name in ("102flowers.tgz", "imagelabels.mat", "setid.mat")
        ),
        megabytes=345,
    ),
    "oxford_iiit_pet": TorchvisionSet(
        summary="7,349 photographs of cats and dogs",
        outputs=0,
        options={**FILES, "label": _PET},
        loader="OxfordIIITPet",
        parts=_split(train="trainval"),
        archives=("oxford-iiit-pet/images.tar.gz", "oxford-iiit-pet/annotations.tar.gz"),
        megabytes=811,
    ),
    "fgvc_aircraft": TorchvisionSet(
        summary="10,000 photographs of aircraft",
        outputs=0,
        options={**FILES, "label": _AIRCRAFT},
        loader="FGVCAircraft",
        parts=_split(validation="val"),
        archives=("fgvc-aircraft-2013b.tar.gz",),
        megabytes=2750,
    ),
    "dtd": TorchvisionSet(
        summary="5,640 photographs of textures",
        outputs=47,
        options={**FILES, "partition": int},
        loader="DTD",
        parts=_split(validation="val"),
        archives=("dtd/dtd-r1.0.1.tar.gz",),
        megabytes=625,
    ),
    "eurosat": TorchvisionSet(
        summary="27,000 satellite images of 64 x 64 pixels",
        outputs=10,
        options=FILES,
        loader="EuroSAT",
        archives=("eurosat/EuroSAT.zip",),
        megabytes=94,
        count=27000,
    ),
    "gtsrb": TorchvisionSet(
        summary="39,270 German traffic signs",
        outputs=43,
        options=FILES,
        loader="GTSRB",
        parts=_split(),
        archives=tuple(
            f"gtsrb/GTSRB{name}.zip"
            for name in ("-Training_fixed", "_Final_Test_Images", "_Final_Test_GT")
        ),
        megabytes=276,
        classes=tuple(str(number) for number in range(43)),
        count=39270,
    ),
    "caltech101": TorchvisionSet(
        summary="8,677 photographs of objects",
        outputs=101,
        options=FILES,
        loader="Caltech101",
        archives=("caltech101/caltech-101.zip",),
        megabytes=137,
        count=8677,
    ),
    "caltech256": TorchvisionSet(
        summary="30,607 photographs of objects",
        outputs=257,
        options=FILES,
        loader="Caltech256",
        archives=("caltech256/256_ObjectCategories.tar",),
        megabytes=1180,
        count=30607,
    ),
    "country211": TorchvisionSet(
        summary="63,300 photographs by country",
        outputs=211,
        options=FILES,
        loader="Country211",
        parts=_split(validation="valid"),
        archives=("country211.tgz",),
        megabytes=11300,
        count=63300,
    ),
    "imagenet": TorchvisionSet(
        summary="1,331,167 photographs (ILSVRC 2012)",
        outputs=1000,
        options=FILES,
        loader="ImageNet",
        parts=_split(test="val"),
        archives=(
            "ILSVRC2012_devkit_t12.tar.gz",
            "ILSVRC2012_img_train.tar",
            "ILSVRC2012_img_val.tar",
        ),
        downloads=False,
        count=1331167,
    ),
    "imagenette": TorchvisionSet(
        summary="13,394 photographs of ten ImageNet classes",
        outputs=10,
        options={**FILES, "size": Literal["full", "320px", "160px"]},
        loader="Imagenette",
        parts=_split(test="val"),
        archives=("imagenette2.tgz",),
        count=13394,
    ),
    "rendered_sst2": TorchvisionSet(
        summary="9,613 film reviews drawn as images",
        outputs=2,
        options=FILES,
        loader="RenderedSST2",
        parts=_split(validation="val"),
        archives=("rendered-sst2.tgz",),
        count=9613,
    ),
    "sun397": TorchvisionSet(
        summary="108,754 photographs of scenes",
        outputs=397,
        options=FILES,
        loader="SUN397",
        archives=("SUN397.tar.gz",),
        megabytes=37000,
        count=108754,
    ),
    "stanford_cars": TorchvisionSet(
        summary="16,185 photographs of cars",
        outputs=196,
        options=FILES,
        loader="StanfordCars",
        parts=_split(),
        archives=tuple(
            f"stanford_cars/{name}"
            for name in ("cars_train", "cars_test", "devkit", "cars_test_annos_withlabels.mat")
        ),
        downloads=False,
    ),
}
