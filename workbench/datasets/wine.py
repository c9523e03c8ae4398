"""Italian wines of three growers, bundled with scikit-learn: 13 measurements of 178 wines.

Source: Forina et al. 1988, UCI Wine. Knows nothing of splits or models.
"""

from __future__ import annotations

import torch
from sklearn.datasets import load_wine

from workbench.datasets.samples import Samples


def read(*, target: str) -> Samples:
    """Vectors ``[178, 13]`` in the units of the laboratory, standardised on the training part."""
    bunch = load_wine()
    return Samples(
        kind="vector",
        inputs=torch.from_numpy(bunch.data).float(),
        targets=torch.from_numpy(bunch.target).long(),
        classes=tuple(str(name) for name in bunch.target_names),
    )
