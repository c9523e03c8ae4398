"""ResNet-18 as torchvision builds it (He et al. 2016), for images of 3 channels.

Knows no data set.
"""

from __future__ import annotations

from torch import Tensor, nn
from torchvision.models import ResNet18_Weights
from torchvision.models import resnet18 as torchvision_resnet18

from workbench.stages import Stage, Staged


def build(*, input_shape: tuple[int, ...], outputs: int) -> Staged:
    """Stages ``stem`` and ``layer1`` to ``layer4``; the head is ``fc``.

    Args:
        input_shape: ``(3, H, W)`` of one image.
        outputs: Of the head.

    Raises:
        ValueError: The images do not have 3 channels.
    """
    if input_shape[0] != 3:
        raise ValueError(
            f"The backbone resnet18 takes images of 3 channels, but these have {input_shape[0]}; "
            f"set dataset.channels: 3."
        )
    # torchvision draws the body after the head: with the head as it is in the weights, the body
    # does not depend on the number of outputs.
    module = torchvision_resnet18(weights=None)
    module.fc = nn.Linear(module.fc.in_features, outputs)
    stem = Stage(name="stem", modules=(module.conv1, module.bn1, module.relu, module.maxpool))
    layers = ("layer1", "layer2", "layer3", "layer4")
    stages = tuple(Stage(name=name, modules=(module.get_submodule(name),)) for name in layers)
    return Staged(module=module, stages=(stem, *stages), head=module.fc)


def imagenet(*, source: str) -> dict[str, Tensor]:
    """Weights trained on ImageNet-1k, downloaded once into torch's own cache.

    A file that is already in the cache is used as it is, as by torchvision itself.
    """
    state: dict[str, Tensor] = ResNet18_Weights.DEFAULT.get_state_dict(
        progress=False, check_hash=True, weights_only=True, map_location="cpu"
    )
    return state
