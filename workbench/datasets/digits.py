"""Handwritten digits, bundled with scikit-learn: 1,797 images of 8 x 8 pixels in 17 greys.

Source: Alpaydin and Kaynak 1998, UCI Optical Recognition of Handwritten Digits (its test set).
Knows nothing of splits or of the models that will see the images.
"""

from __future__ import annotations

import torch
from sklearn.datasets import load_digits

from workbench.datasets.samples import Samples


def read(*, target: str) -> Samples:
    """Images ``[1797, 1, 8, 8]``, to be normalised to -1 (paper) to 1 (ink)."""
    bunch = load_digits()
    inputs = torch.from_numpy(bunch.images).float().div(16.0).unsqueeze(1)
    return Samples(
        kind="image",
        inputs=inputs,
        targets=torch.from_numpy(bunch.target).long(),
        classes=tuple(str(name) for name in bunch.target_names),
        mean=(0.5,),
        std=(0.5,),
    )
