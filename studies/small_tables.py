"""Two data sets of `small_tables.yaml`: functions that return inputs and labels."""

import numpy as np
from sklearn.datasets import load_diabetes, load_sample_images

_SIDE = 8  # of a patch, in pixels


def diabetes_progression():
    """Whether a patient's diabetes progressed more than that of half of the patients.

    442 patients with 10 measurements each. Source: Efron et al. (2004), Least angle regression,
    Ann. Stat. 32.
    """
    data = load_diabetes()
    labels = (data.target > np.median(data.target)).astype(np.int64)
    return data.data.astype(np.float32), labels


def picture_patches():
    """Which of scikit-learn's two sample pictures a patch is from: a temple or a flower.

    Disjoint patches of 8 x 8 pixels and 3 colours, 4,240 of each picture. Source: china.jpg and
    flower.jpg, which come with scikit-learn (CC BY).
    """
    pictures = load_sample_images().images
    patches = np.stack([_patches(picture) for picture in pictures])
    labels = np.repeat(np.arange(len(pictures)), patches.shape[1])
    return patches.reshape(len(labels), -1).astype(np.float32) / 255, labels


def _patches(picture):
    """Shape [patches, pixels]; what is left over at the edges is cut off."""
    down, along = (size // _SIDE for size in picture.shape[:2])
    whole = picture[: down * _SIDE, : along * _SIDE]
    blocks = whole.reshape(down, _SIDE, along, _SIDE, -1).swapaxes(1, 2)
    return blocks.reshape(down * along, -1)
