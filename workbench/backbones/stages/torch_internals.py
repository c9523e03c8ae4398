"""What the stages use of torch that torch keeps private: the one place to repair after a release.

The arguments and outputs of a module may be nested lists, tuples, dictionaries and output classes
of transformers. torch flattens them (``torch.utils._pytree``, for which there is no public name),
and libraries register their own classes there.
"""

from __future__ import annotations

from torch import nn
from torch.utils._pytree import TreeSpec, tree_flatten, tree_map, tree_unflatten

__all__ = ["DROPOUTS", "TreeSpec", "tree_flatten", "tree_map", "tree_unflatten"]

# torch's own layers, which others subclass; their common base class is private.
DROPOUTS = (
    nn.Dropout,
    nn.Dropout1d,
    nn.Dropout2d,
    nn.Dropout3d,
    nn.AlphaDropout,
    nn.FeatureAlphaDropout,
)
