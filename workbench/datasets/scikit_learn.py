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
        classes=tuple(map(str, bunch.target_names)),
        mean=(0.5,),
        std=(0.5,),
    )


def vectors(*, target: str, name: str) -> Samples:
    """Measurements ``[N, F]`` in the units of the source.

    The targets are classes, except in ``diabetes``: there they are the progression of the disease
    (25 to 346) of 442 patients.
    """
    # scikit-learn scales the inputs of diabetes by default; the others have no such option.
    options = {"scaled": False} if name == "diabetes" else {}
    bunch = getattr(datasets, f"load_{name}")(**options)
    targets = torch.from_numpy(bunch.target)
    numeric = target == "numbers"
    return Samples(
        kind="vector",
        inputs=torch.from_numpy(bunch.data).float(),
        targets=targets.float().unsqueeze(1) if numeric else targets.long(),
        classes=("progression",) if numeric else tuple(map(str, bunch.target_names)),
        levels=dict.fromkeys(map(str, bunch.feature_names)),
    )
