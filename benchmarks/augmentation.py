"""Images that an augmentation makes in a second of CPU time: by batch, and image by image.

    python benchmarks/augmentation.py [SECONDS]

Image by image, torchvision's transforms run with the generator of each sample. Both ways alternate
for SECONDS a pipeline (default 10) and make the same batches; the medians are printed, and the
largest difference between normalised pixels of the two.
"""

from __future__ import annotations

import statistics
import sys
import time
from typing import Any

import torch
from torch import Tensor
from torchvision.transforms import v2

from workbench.datasets import augmentations
from workbench.record.seeds import derive

BATCH, MEAN, STD = 128, 0.45, 0.25
FLIP: dict[str, Any] = {"random_horizontal_flip": {}}
JITTER = {"color_jitter": {"brightness": 0.4, "contrast": 0.4, "saturation": 0.4, "hue": 0.1}}
ROTATION = {"random_rotation": {"degrees": 15.0, "interpolation": "bilinear"}}


def pipelines(side: int) -> dict[str, dict[str, Any]]:
    """The steps of each pipeline."""
    resized = {"random_resized_crop": {"size": side}, **FLIP}
    return {
        "crop, flip": {"random_crop": {"size": side, "padding": side // 8}, **FLIP},
        "resized crop, flip": resized,
        "these, jitter, erasing": {**resized, **JITTER, "random_erasing": {"p": 0.25}},
        "rotation": ROTATION,
    }


def one_by_one(transforms: list[v2.Transform], inputs: Tensor, epoch: int) -> Tensor:
    """An augmented batch, image by image."""
    outputs = []
    for number, image in enumerate(inputs * STD + MEAN):
        torch.default_generator.manual_seed(derive(0, "augmentation", epoch, number))
        for transform in transforms:
            image = transform(image)
        outputs.append(image)
    return (torch.stack(outputs) - MEAN) / STD


def main() -> None:
    """Measure and print."""
    budget = float(sys.argv[1]) if len(sys.argv) > 1 else 10.0
    torch.set_num_threads(1)
    index = torch.arange(BATCH)
    print("side  pipeline                 one by one     batch  ratio  difference")
    for side in (32, 224):
        inputs = torch.randn(BATCH, 3, side, side, generator=torch.Generator().manual_seed(0))
        inputs = ((inputs * STD + MEAN).clamp(0, 1) - MEAN) / STD
        for title, steps in pipelines(side).items():
            augment = augmentations.build([steps], mean=(MEAN,), std=(STD,))
            assert augment is not None
            singles = [getattr(v2, n.title().replace("_", ""))(**o) for n, o in steps.items()]
            single, batch, worst = [0.0], [0.0], 0.0
            while sum(single) + sum(batch) < budget:
                start = time.process_time()
                expected = one_by_one(singles, inputs, epoch=len(single))
                middle = time.process_time()
                found = augment(inputs, seed=0, epoch=len(single), index=index)
                batch.append(time.process_time() - middle)
                single.append(middle - start)
                worst = max(worst, float((found - expected).abs().max()))
            before, after = (BATCH / statistics.median(times[1:]) for times in (single, batch))
            rates = f"{before:10,.0f} {after:9,.0f} {after / before:6.1f}"
            print(f"{side:4}  {title:24} {rates} {worst:11.1e}")


if __name__ == "__main__":
    main()
