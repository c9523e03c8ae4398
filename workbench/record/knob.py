"""What a catalogue declares of an option that a study file may set.

The reader of study files, its messages, the JSON Schema and the tables of the documentation are
made from these declarations.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any

from pydantic import Field

from workbench.record.strategy import Scalar

FromZero = Annotated[int, Field(ge=0)]
FromOne = Annotated[int, Field(ge=1)]
FromTwo = Annotated[int, Field(ge=2)]
BelowOne = Annotated[float, Field(ge=0, lt=1)]
AboveZero = Annotated[float, Field(gt=0)]


@dataclass(frozen=True)
class Knob:
    """An option of a catalogue's entry.

    Attributes:
        type: Its type with its bounds: ``Annotated[float, Field(ge=0, lt=1)]``.
        default: Its value where a study file does not set it; None where ``help`` says what
            happens then.
        help: One line for the documentation and for editors.
        argument: What the library calls it, where that differs. Two options that share an
            argument are passed as one pair, in their order.
    """

    type: Any
    default: Scalar
    help: str
    argument: str = ""
