"""The data sets of torchvision by name: what is known about them before they are downloaded.

A table only, which loads no torch; ``torchvision_sets`` reads them. A name is that of torchvision's
class in lower case. The test part is the one that papers report on: for ImageNet and Imagenette
that is ``val``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated, Literal

from pydantic import Field

from workbench.record.knob import FromOne

# Options of every data set of image files; see ``images.loading``.
FILES: dict[str, object] = {
    "store_size": FromOne,
    "on_bad_input": Literal["refuse", "skip"],
    # An option of every data set of images; here it also sets the size of decoded files.
    "image_size": FromOne,
}


@dataclass(frozen=True, kw_only=True)
class TorchvisionSet:
    """A data set of torchvision.

    Attributes:
        outputs: Number of classes; 0 if it depends on an option.
        archives: The files that the loader reads or unpacks, relative to the folder.
        shape: Of one image; empty if it consists of image files, whose sizes may differ.
        options: Type of each of its own options.
        parts: torchvision's names of training, validation (if there is one) and test; empty if the
            data set has no parts.
        megabytes: Approximate size of all archives; 0 if unknown.
        downloads: Whether torchvision can download it.
        classes: Names of the classes, if the loader has none and they are not numbers.
        count: Images in all parts, for loaders that take any files in the folder; else 0.
        needs: A library that the loader needs.
    """

    outputs: int
    archives: tuple[str, ...]
    shape: tuple[int, ...] = ()
    options: Mapping[str, object] = field(default_factory=dict)
    parts: tuple[str, ...] = ("train", "test")
    megabytes: int = 0
    downloads: bool = True
    classes: tuple[str, ...] = ()
    count: int = 0
    needs: str = ""


def _idx(folder: str) -> tuple[str, ...]:
    names = ("train-images-idx3", "train-labels-idx1", "t10k-images-idx3", "t10k-labels-idx1")
    return tuple(f"{folder}/raw/{name}-ubyte.gz" for name in names)


_EMNIST = Literal["byclass", "bymerge", "balanced", "letters", "digits", "mnist"]
_VAL, _VALID = ("train", "val", "test"), ("train", "valid", "test")
TORCHVISION: dict[str, TorchvisionSet] = {
    "cifar10": TorchvisionSet(
        outputs=10, shape=(3, 32, 32), archives=("cifar-10-python.tar.gz",), megabytes=170
    ),
    "cifar100": TorchvisionSet(
        outputs=100, shape=(3, 32, 32), archives=("cifar-100-python.tar.gz",), megabytes=169
    ),
    "mnist": TorchvisionSet(outputs=10, shape=(1, 28, 28), archives=_idx("MNIST"), megabytes=12),
    "fashion_mnist": TorchvisionSet(
        outputs=10, shape=(1, 28, 28), archives=_idx("FashionMNIST"), megabytes=31
    ),
    "kmnist": TorchvisionSet(outputs=10, shape=(1, 28, 28), archives=_idx("KMNIST"), megabytes=21),
    "emnist": TorchvisionSet(
        outputs=0,
        shape=(1, 28, 28),
        options={"variant": _EMNIST},
        archives=("EMNIST/raw/gzip.zip",),
        megabytes=560,
    ),
    "qmnist": TorchvisionSet(
        outputs=10,
        shape=(1, 28, 28),
        archives=tuple(
            f"QMNIST/raw/qmnist-{part}-{what}.gz"
            for part in ("train", "test")
            for what in ("images-idx3-ubyte", "labels-idx2-int")
        ),
    ),
    "svhn": TorchvisionSet(
        outputs=10, shape=(3, 32, 32), archives=("train_32x32.mat", "test_32x32.mat"), megabytes=246
    ),
    "stl10": TorchvisionSet(
        outputs=10, shape=(3, 96, 96), archives=("stl10_binary.tar.gz",), megabytes=2640
    ),
    "usps": TorchvisionSet(
        outputs=10, shape=(1, 16, 16), archives=("usps.bz2", "usps.t.bz2"), megabytes=8
    ),
    "semeion": TorchvisionSet(
        outputs=10, shape=(1, 16, 16), parts=(), archives=("semeion.data",), megabytes=3
    ),
    "fer2013": TorchvisionSet(
        outputs=7,
        shape=(1, 48, 48),
        archives=("fer2013/fer2013.csv",),
        downloads=False,
        classes=("angry", "disgusted", "afraid", "happy", "sad", "surprised", "neutral"),
    ),
    "pcam": TorchvisionSet(
        outputs=2,
        shape=(3, 96, 96),
        parts=_VAL,
        archives=tuple(
            f"pcam/camelyonpatch_level_2_split_{part}_{what}.h5" for part in _VALID for what in "xy"
        ),
        classes=("normal", "tumour"),
        needs="h5py",
    ),
    "food101": TorchvisionSet(outputs=101, archives=("food-101.tar.gz",), megabytes=5000),
    "flowers102": TorchvisionSet(
        outputs=102,
        parts=_VAL,
        archives=tuple(
            f"flowers-102/{name}" for name in ("102flowers.tgz", "imagelabels.mat", "setid.mat")
        ),
        megabytes=345,
    ),
    "oxford_iiit_pet": TorchvisionSet(
        outputs=0,
        options={"label": Literal["breed", "species"]},
        parts=("trainval", "test"),
        archives=("oxford-iiit-pet/images.tar.gz", "oxford-iiit-pet/annotations.tar.gz"),
        megabytes=811,
    ),
    "fgvc_aircraft": TorchvisionSet(
        outputs=0,
        options={"label": Literal["variant", "family", "manufacturer"]},
        parts=_VAL,
        archives=("fgvc-aircraft-2013b.tar.gz",),
        megabytes=2750,
    ),
    "dtd": TorchvisionSet(
        outputs=47,
        options={"partition": Annotated[int, Field(ge=1, le=10)]},
        parts=_VAL,
        archives=("dtd/dtd-r1.0.1.tar.gz",),
        megabytes=625,
    ),
    "eurosat": TorchvisionSet(
        outputs=10, parts=(), archives=("eurosat/EuroSAT.zip",), megabytes=94, count=27000
    ),
    "gtsrb": TorchvisionSet(
        outputs=43,
        archives=tuple(
            f"gtsrb/GTSRB{name}.zip"
            for name in ("-Training_fixed", "_Final_Test_Images", "_Final_Test_GT")
        ),
        megabytes=276,
        count=39270,
    ),
    "caltech101": TorchvisionSet(
        outputs=101, parts=(), archives=("caltech101/caltech-101.zip",), megabytes=137, count=8677
    ),
    "caltech256": TorchvisionSet(
        outputs=257,
        parts=(),
        archives=("caltech256/256_ObjectCategories.tar",),
        megabytes=1180,
        count=30607,
    ),
    "country211": TorchvisionSet(
        outputs=211, parts=_VALID, archives=("country211.tgz",), megabytes=11300, count=63300
    ),
    "imagenet": TorchvisionSet(
        outputs=1000,
        parts=("train", "val"),
        archives=tuple(
            f"ILSVRC2012_{name}" for name in ("devkit_t12.tar.gz", "img_train.tar", "img_val.tar")
        ),
        downloads=False,
        count=1331167,
    ),
    "imagenette": TorchvisionSet(
        outputs=10,
        options={"size": Literal["full", "320px", "160px"]},
        parts=("train", "val"),
        archives=("imagenette2.tgz",),
        count=13394,
    ),
    "rendered_sst2": TorchvisionSet(
        outputs=2, parts=_VAL, archives=("rendered-sst2.tgz",), count=9613
    ),
    "sun397": TorchvisionSet(
        outputs=397, parts=(), archives=("SUN397.tar.gz",), megabytes=37000, count=108754
    ),
    "stanford_cars": TorchvisionSet(
        outputs=196,
        archives=tuple(
            f"stanford_cars/{name}"
            for name in ("cars_train", "cars_test", "devkit", "cars_test_annos_withlabels.mat")
        ),
        downloads=False,
    ),
}
