"""A user's own data set: a function in a Python file."""

from __future__ import annotations

from typing import Any

from workbench import usercode
from workbench.datasets.from_arrays import of_arrays
from workbench.datasets.samples import Samples


def read(*, target: str, reference: str, **options: Any) -> Samples:
    """Call the user's function with the options, and return its samples.

    Args:
        target: What the task predicts; see ``samples.TARGETS``.
        reference: ``FILE.py:NAME`` of a function that returns ``Samples``, or a pair of inputs and
            targets: arrays, tensors or lists (see ``of_arrays``).
        options: Those of the study file.

    Raises:
        UserCodeError: The file cannot be run, or the function raises.
        ValueError: It does not return samples.
    """
    file = usercode.file_of(reference)
    name = reference.rpartition(":")[2]
    function = usercode.load_function(reference, "a data set")
    with usercode.errors_of(reference):
        returned = function(**options)
    if isinstance(returned, Samples):
        return returned
    if not isinstance(returned, tuple) or len(returned) != 2:
        raise ValueError(
            f"{file}: {name} returned a {type(returned).__name__}; it must return Samples or a "
            "pair of inputs and targets."
        )
    try:
        return of_arrays(*returned, target=target)
    except ValueError as error:
        raise ValueError(f"{file}: {name}: {error}") from error
