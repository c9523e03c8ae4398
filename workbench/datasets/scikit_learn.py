"""Small data sets that are included in scikit-learn, without downloads.

Sources, from UCI's repository: Alpaydin and Kaynak 1998 (digits, the test set), Forina et al. 1988
(wine), Fisher 1936 (iris), Street et al. 1993 (breast cancer), Efron et al. 2004 (diabetes).
"""

from __future__ import annotations

import torch
from sklearn import datasets

from workbench.datasets.samples import Samples


def images(*, target: str) -> Samples:
    """Digits ``[1797, 1, 8, 8]`` with 17 grey levels, normalised to -1 (paper) to 1 (ink)."""
    bunch = datasets.load_digits()
    return Samples(
        kind="image",
        inputs=torch.from_numpy(bunch.images).float().div(16.0).unsqueeze(1),
        targets=torch.from_numpy(bunch.target).long(),
        classes=tuple(str(name) for name in bunch.target_names),
        mean=(0.5,),
        std=(0.5,),
    )


def vectors(*, target: str, name: str) -> Samples:
    """Measurements ``[N, F]`` of several classes, in the units of the source."""
    bunch = getattr(datasets, f"load_{name}")()
    return Samples(
        kind="vector",
        inputs=torch.from_numpy(bunch.data).float(),
        targets=torch.from_numpy(bunch.target).long(),
        classes=tuple(str(name) for name in bunch.target_names),
    )


def diabetes(*, target: str) -> Samples:
    """Ten measurements of 442 patients; the target is disease progression (25 to 346)."""
    bunch = datasets.load_diabetes(scaled=False)
    return Samples(
        kind="vector",
        inputs=torch.from_numpy(bunch.data).float(),
        targets=torch.from_numpy(bunch.target).float().unsqueeze(1),
        classes=("progression",),
    )
