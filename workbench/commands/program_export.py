"""A model as a program, for use without Workbench: ONNX or torch.export; used by ``export``."""

from __future__ import annotations

import copy
import warnings
from collections.abc import Mapping, Sequence
from enum import StrEnum
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor, nn
from torch.export import Dim, ExportedProgram

from workbench.commands.saved_model import ModelError, SavedModel
from workbench.messages import first_line

if TYPE_CHECKING:
    from workbench.datasets.samples import Batch

_LIBRARIES = ("onnx", "onnxscript", "onnxruntime")
_TEXTS = ["an example", "a second example, which is longer than the first one"]
# Runtimes add numbers in another order.
_TOLERANCE = 1e-3


class Format(StrEnum):
    """A kind of program; the value is the ending of its file."""

    ONNX = "onnx"
    PT2 = "pt2"

    @property
    def file(self) -> str:
        """Name of the file."""
        return f"model.{self}"


def require_libraries(formats: Sequence[Format]) -> None:
    """Refuse an export without its libraries, before anything is written.

    Raises:
        ModelError: They are not installed; the message says how to install them.
    """
    if Format.ONNX in formats and any(find_spec(name) is None for name in _LIBRARIES):
        raise ModelError("ONNX needs libraries: pip install onnx onnxscript onnxruntime")


def save(model: SavedModel, folder: Path, formats: Sequence[Format]) -> None:
    """Write a model as programs, and compare their outputs with those of the model.

    Their inputs are prepared as in training: ``input``, or the tokens by their names; the number of
    samples and tokens is free.

    Raises:
        ModelError: torch cannot export the model, or the outputs differ.
    """
    network = copy.deepcopy(model.network).cpu().eval()
    batch = _batch(model)
    names = (*batch,) if isinstance(batch, dict) else ("input",)
    for each in formats:
        path = folder / each.file
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                _write(_export(network, batch), path, each, names)
                difference = _difference(network, batch, path, each)
        except Exception as error:  # the exporters raise anything
            path.unlink(missing_ok=True)
            raise ModelError(
                f"{model.name} cannot be exported as {each.file}: {first_line(error)}."
            ) from error
        if not difference <= _TOLERANCE:
            path.unlink()
            raise ModelError(
                f"{model.name} as {each.file} has other outputs: they differ by up to "
                f"{difference:.2g}."
            )


class _Positional(nn.Module):
    """A model whose inputs are arguments, as programs name them."""

    def __init__(self, network: nn.Module, names: tuple[str, ...]) -> None:
        super().__init__()
        self.network, self.names = network, names

    def forward(self, *inputs: Tensor) -> Tensor:
        batch = dict(zip(self.names, inputs, strict=True)) if self.names else inputs[0]
        outputs: Tensor = self.network(batch)
        return outputs


def _export(network: nn.Module, batch: Batch) -> ExportedProgram:
    inputs = _named(batch)
    # Not a named Dim: torch would refuse a length that the model limits.
    free = (Dim.DYNAMIC, Dim.DYNAMIC) if isinstance(batch, dict) else (Dim.DYNAMIC,)
    return torch.export.export(
        _Positional(network, (*inputs,) if isinstance(batch, dict) else ()).eval(),
        tuple(inputs.values()),
        dynamic_shapes=(tuple(dict(enumerate(free)) for _ in inputs),),
    )


def _write(program: ExportedProgram, path: Path, kind: Format, names: tuple[str, ...]) -> None:
    if kind is Format.PT2:
        torch.export.save(program, path)
        return
    torch.onnx.export(
        program,
        (),
        str(path),
        input_names=names,
        output_names=["output"],
        dynamo=True,
        external_data=False,
        verbose=False,
    )


def _batch(model: SavedModel) -> Batch:
    """Two made-up samples."""
    prepared = model.description.preparation
    if prepared.kind == "text":
        return model.read(_TEXTS)[0][torch.arange(2)]
    return torch.randn(2, *prepared.input_shape, generator=torch.Generator().manual_seed(0))


def _named(batch: Batch) -> Mapping[str, Tensor]:
    return batch if isinstance(batch, dict) else {"input": batch}


def _difference(network: nn.Module, batch: Batch, path: Path, kind: Format) -> float:
    """The largest difference of an output from the model's, relative to the largest output."""
    # Other numbers of samples and tokens than in the export.
    three, shorter = torch.tensor([0, 1, 0]), slice(-1 if isinstance(batch, dict) else None)
    more = {name: values[three][:, shorter] for name, values in _named(batch).items()}
    with torch.inference_mode():
        ours = network(more if isinstance(batch, dict) else more["input"]).numpy()
        if kind is Format.PT2:
            theirs = torch.export.load(path).module()(*more.values()).numpy()
        else:
            import onnxruntime

            session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
            inputs = {name: values.numpy() for name, values in more.items()}
            theirs = session.run(None, inputs)[0]
    return float(np.abs(theirs - ours).max() / max(1.0, np.abs(ours).max()))
