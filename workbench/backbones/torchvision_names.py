"""The classification models of torchvision by name, with their options and image sizes.

A table only, which loads no torch; a test compares it with torchvision's own list.
"""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path


@dataclass(frozen=True, kw_only=True)
class Family:
    """Models of one paper.

    Attributes:
        names: torchvision's names.
        smallest: Side in pixels of the smallest image.
        multiple: The side must be a multiple of this.
        options: Option in a study file, and torchvision's argument for it.
    """

    names: tuple[str, ...]
    smallest: int = 1
    multiple: int = 1
    options: dict[str, str] = field(default_factory=dict)

    def side(self, name: str) -> tuple[int, int]:
        """The smallest side of an image for a model, and what the side must be a multiple of."""
        if name.startswith("vit_"):
            patch = int(name.rpartition("_")[2])
            return patch, patch
        # Its first convolution is smaller than that of SqueezeNet 1.0.
        return 17 if name == "squeezenet1_1" else self.smallest, self.multiple


_DROPOUT = {"dropout": "dropout"}
_DEPTH = {"stochastic_depth": "stochastic_depth_prob"}

FAMILIES: dict[str, Family] = {
    "alexnet": Family(names=("alexnet",), smallest=63, options=_DROPOUT),
    "convnext": Family(
        names=("convnext_tiny", "convnext_small", "convnext_base", "convnext_large"),
        smallest=32,
        options=_DEPTH,
    ),
    "densenet": Family(
        names=("densenet121", "densenet161", "densenet169", "densenet201"),
        smallest=29,
        options={"dropout": "drop_rate"},
    ),
    "efficientnet": Family(
        names=(
            *(f"efficientnet_b{size}" for size in range(8)),
            *(f"efficientnet_v2_{size}" for size in "sml"),
        ),
        options={**_DROPOUT, **_DEPTH},
    ),
    "googlenet": Family(names=("googlenet",), smallest=15, options=_DROPOUT),
    "inception": Family(names=("inception_v3",), smallest=75, options=_DROPOUT),
    "maxvit": Family(names=("maxvit_t",), smallest=224, multiple=224),
    "mnasnet": Family(
        names=("mnasnet0_5", "mnasnet0_75", "mnasnet1_0", "mnasnet1_3"), options=_DROPOUT
    ),
    "mobilenet_v2": Family(names=("mobilenet_v2",), options=_DROPOUT),
    "mobilenet_v3": Family(names=("mobilenet_v3_small", "mobilenet_v3_large"), options=_DROPOUT),
    "regnet": Family(
        names=(
            *(f"regnet_x_{s}" for s in ("400mf", "800mf", "1_6gf", "3_2gf", "8gf", "16gf", "32gf")),
            *(f"regnet_y_{s}" for s in ("400mf", "800mf", "1_6gf", "3_2gf", "8gf", "16gf", "32gf")),
            "regnet_y_128gf",
        )
    ),
    "resnet": Family(
        names=(
            *(f"resnet{depth}" for depth in (18, 34, 50, 101, 152)),
            *("resnext50_32x4d", "resnext101_32x8d", "resnext101_64x4d"),
            *("wide_resnet50_2", "wide_resnet101_2"),
        )
    ),
    "shufflenet_v2": Family(
        names=tuple(f"shufflenet_v2_x{width}" for width in ("0_5", "1_0", "1_5", "2_0"))
    ),
    "squeezenet": Family(names=("squeezenet1_0", "squeezenet1_1"), smallest=21, options=_DROPOUT),
    "swin": Family(
        names=("swin_t", "swin_s", "swin_b", "swin_v2_t", "swin_v2_s", "swin_v2_b"),
        smallest=4,
        options=_DROPOUT,
    ),
    "vgg": Family(
        names=tuple(f"vgg{depth}{bn}" for depth in (11, 13, 16, 19) for bn in ("", "_bn")),
        smallest=32,
        options=_DROPOUT,
    ),
    "vit": Family(
        names=("vit_b_16", "vit_b_32", "vit_l_16", "vit_l_32", "vit_h_14"), options=_DROPOUT
    ),
}
FAMILY_OF = {name: family for family in FAMILIES.values() for name in family.names}

_V1, _V2 = "IMAGENET1K_V1", "IMAGENET1K_V2"
_SWAG = ("IMAGENET1K_SWAG_E2E_V1", "IMAGENET1K_SWAG_LINEAR_V1")
_OTHER_WEIGHTS: dict[str, tuple[str, ...]] = {
    **dict.fromkeys(("efficientnet_b1", "mobilenet_v2", "mobilenet_v3_large"), (_V1, _V2)),
    **dict.fromkeys(FAMILIES["regnet"].names, (_V1, _V2)),
    **dict.fromkeys(FAMILIES["resnet"].names, (_V1, _V2)),
    **dict.fromkeys(("resnet18", "resnet34", "resnext101_64x4d"), (_V1,)),
    **dict.fromkeys(("regnet_y_16gf", "regnet_y_32gf"), (_V1, _V2, *_SWAG)),
    **dict.fromkeys(("regnet_y_128gf", "vit_h_14"), _SWAG),
    **dict.fromkeys(("vit_b_16", "vit_l_16"), (_V1, *_SWAG)),
    "vgg16": (_V1, "IMAGENET1K_FEATURES"),
}
# The names of the weights that each model has; imagenet is torchvision's best.
WEIGHTS = {name: ("imagenet", *_OTHER_WEIGHTS.get(name, (_V1,))) for name in FAMILY_OF}


def checkpoints() -> Path:
    """Where torch keeps the weights that it has downloaded, as ``torch.hub.get_dir()`` finds it."""
    home = os.environ.get("TORCH_HOME") or Path(
        os.environ.get("XDG_CACHE_HOME", "~/.cache"), "torch"
    )
    return Path(home).expanduser() / "hub" / "checkpoints"
