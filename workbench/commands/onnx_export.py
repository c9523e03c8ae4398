"""A model as ONNX, for runtimes without torch; used by ``export``."""

from __future__ import annotations

import copy
import warnings
from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor, nn
from torch.export import Dim

from workbench.commands.saved_model import SavedModel, Unusable
from workbench.messages import first_line

if TYPE_CHECKING:
    from workbench.datasets.samples import Batch

FILE = "model.onnx"
_LIBRARIES = ("onnx", "onnxscript", "onnxruntime")
_TEXTS = ["an example", "a second example, which is longer than the first one"]
# Runtimes add numbers in another order.
_TOLERANCE = 1e-3


def require_libraries() -> None:
    """Refuse an export without its libraries, before anything is written.

    Raises:
        Unusable: They are not installed; the message says how to install them.
    """
    if any(find_spec(name) is None for name in _LIBRARIES):
        raise Unusable("ONNX needs libraries: pip install onnx onnxscript onnxruntime")


def save(model: SavedModel, folder: Path) -> None:
    """Write ``model.onnx`` and compare its outputs with those of the model.

    Its inputs are prepared as in training: ``input``, or the tokens by their names; the number of
    samples and tokens is free.

    Raises:
        Unusable: torch cannot export the model, or the outputs differ.
    """
    network = copy.deepcopy(model.network).cpu()
    batch = _batch(model)
    names = (*batch,) if isinstance(batch, dict) else ("input",)
    free = {0: Dim("batch"), 1: Dim("length")} if isinstance(batch, dict) else {0: Dim("batch")}
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            torch.onnx.export(
                _Positional(network, names if isinstance(batch, dict) else ()).eval(),
                tuple(_named(batch).values()),
                str(folder / FILE),
                input_names=names,
                output_names=["output"],
                dynamic_shapes=(tuple(free for _ in names),),
                dynamo=True,
                external_data=False,
                verbose=False,
            )
        difference = _difference(network, batch, folder / FILE)
    except Exception as error:  # the exporter raises anything
        (folder / FILE).unlink(missing_ok=True)
        raise Unusable(f"{model.name} cannot be exported as ONNX: {first_line(error)}.") from error
    if not difference <= _TOLERANCE:
        (folder / FILE).unlink()
        raise Unusable(
            f"{model.name} as ONNX has other outputs: they differ by up to {difference:.2g}."
        )


class _Positional(nn.Module):
    """A model whose inputs are arguments, as ONNX names them."""

    def __init__(self, network: nn.Module, names: tuple[str, ...]) -> None:
        super().__init__()
        self.network, self.names = network, names

    def forward(self, *inputs: Tensor) -> Tensor:
        batch = dict(zip(self.names, inputs, strict=True)) if self.names else inputs[0]
        outputs: Tensor = self.network(batch)
        return outputs


def _batch(model: SavedModel) -> Batch:
    """Two made-up samples."""
    prepared = model.description.preparation
    if prepared.kind == "text":
        return model.read(_TEXTS)[0][torch.arange(2)]
    return torch.randn(2, *prepared.input_shape, generator=torch.Generator().manual_seed(0))


def _named(batch: Batch) -> Mapping[str, Tensor]:
    return batch if isinstance(batch, dict) else {"input": batch}


def _difference(network: nn.Module, batch: Batch, path: Path) -> float:
    """The largest difference of an output from the model's, relative to the largest output."""
    import onnxruntime

    # Another number of samples than in the export.
    three = torch.tensor([0, 1, 0])
    more = {name: values[three] for name, values in _named(batch).items()}
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    theirs = session.run(None, {name: values.numpy() for name, values in more.items()})[0]
    with torch.inference_mode():
        ours = network(more if isinstance(batch, dict) else more["input"]).numpy()
    return float(np.abs(theirs - ours).max() / max(1.0, np.abs(ours).max()))
