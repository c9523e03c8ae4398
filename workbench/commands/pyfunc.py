"""What ``mlflow.pyfunc.load_model`` calls to load a model of a trial: ``MLmodel`` names it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd

from workbench.commands.saved_model import SavedModel, load_folder


class PyFunc:
    """A model as MLflow calls it."""

    def __init__(self, model: SavedModel) -> None:
        self._model = model

    def predict(
        self, model_input: pd.DataFrame | np.ndarray, params: object = None
    ) -> pd.DataFrame:
        """A row for each sample, with the columns of ``predictions.Predictions``.

        Args:
            model_input: A table: the columns of the data set, for texts their column, for images
                ``image`` with the content of image files. Or an array of vectors or images.
            params: Ignored.

        Raises:
            ModelError: The samples are of another kind than the trial's.
        """
        del params
        return self._model.predict(model_input).frame()


def _load_pyfunc(path: str) -> PyFunc:
    return PyFunc(load_folder(Path(path)))
