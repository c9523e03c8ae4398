"""A data set of `small_tables.yaml`: a function that returns inputs and labels."""

import numpy as np
from sklearn.datasets import load_diabetes


def diabetes_progression():
    """Whether a patient's diabetes progressed more than that of half of the patients.

    442 patients with 10 measurements each. Source: Efron et al. (2004), Least angle regression,
    Ann. Stat. 32.
    """
    data = load_diabetes()
    labels = (data.target > np.median(data.target)).astype(np.int64)
    return data.data.astype(np.float32), labels
