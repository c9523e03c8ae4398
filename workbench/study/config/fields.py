"""Types of single values in a study file, and the base classes of its blocks.

Each type says which values it takes, for the reader, and what an editor may offer, for the JSON
Schema. ``schema`` builds the blocks from them.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Iterable
from math import inf
from typing import Annotated, Any, Literal

from pydantic import (
    BaseModel,
    BeforeValidator,
    ByteSize,
    ConfigDict,
    Field,
    GetCoreSchemaHandler,
    TypeAdapter,
    ValidationError,
)

from workbench import usercode
from workbench.messages import listed, nearest
from workbench.record.knob import FromZero
from workbench.record.strategy import Knobs
from workbench.study.config.problems import mismatch

_DEVICES = ("auto", "cpu", "cuda", "mps")
_NUMBERED_GPU = r"cuda:[0-9]+"
# Names of a catalogue in a message.
_SHOWN = 20
# Beside a catalogue's names a user's own code may stand.
OWN = ", or your own FILE.py:NAME"


class Block(BaseModel):
    """A mapping in a study file: frozen, and no key that it does not know."""

    # Strict: `epochs: "3"` is a slip, which must not be read as a number.
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)


class NamedEntry(BaseModel):
    """A catalogue's entry with its options beside the name; a bare name is enough."""

    # Which keys are options depends on the name; ``recipes`` refuses the others.
    model_config = ConfigDict(frozen=True, extra="allow", strict=True)

    @property
    def options(self) -> Knobs:
        """Everything but the fields that every entry of the catalogue has."""
        return dict(self.model_extra or {})


class FromMapping:
    """Lets a strict block read a mapping where it has a dataclass of ``record``.

    Strict validation would take an instance only. The fields of the dataclass stay strict.
    """

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> Any:
        return {**handler.resolve_ref_schema(handler(source)), "strict": False}


def knob(default: Any, help: str, **bounds: Any) -> Any:
    """A field of a block; ``...`` as the default requires it."""
    return Field(default, description=help, **bounds)


def names_of(catalogue: Iterable[str]) -> Any:
    """The names of a catalogue, as a type that an editor offers them from."""
    return Literal[tuple(catalogue)]


def entry_of(
    catalogue: Iterable[str],
    known: Callable[[str], object] = lambda name: None,
    *,
    own: bool = False,
    path: str = "",
) -> BeforeValidator:
    """Refuses names that a catalogue does not have.

    Args:
        catalogue: The names.
        known: Tells whether a name that is not listed is known all the same.
        own: Whether a user's own code may take the place of an entry.
        path: What is expected where a path, or code in a file, was written in place of a name.
    """
    names = list(catalogue)

    def check(value: object) -> object:
        if value not in names and not (isinstance(value, str) and known(value)):
            if path and isinstance(value, str) and re.search(r"/|\.\w+(:\w+)?$", value):
                raise mismatch(path)
            near = nearest(value, names)
            raise mismatch(
                "" if near else f"one of {listed(names, _SHOWN)}{OWN if own else ''}", near
            )
        return value

    # An editor offers the names; those of a hub or of a user's own code cannot be listed.
    offered = names_of(names)
    return BeforeValidator(check, json_schema_input_type=offered | str if own else offered)


def _name_alone(value: object) -> object:
    """A bare name as the mapping that it stands for."""
    if value is not None and not isinstance(value, str | dict | BaseModel):
        raise mismatch("a name, or a mapping with a name")
    return {"name": value} if isinstance(value, str) else value


def or_name(accepted: Any) -> BeforeValidator:
    """A block that a bare name may stand for; ``accepted`` is the type of both."""
    return BeforeValidator(_name_alone, json_schema_input_type=accepted)


def by_name(value: object) -> object:
    """A list of names as a mapping of each name to itself; other values as they are."""
    texts = isinstance(value, list) and all(isinstance(item, str) for item in value)
    return {item: item for item in value} if texts else value  # type: ignore[attr-defined]


def _freeze_depth(value: object) -> object:
    whole = isinstance(value, int) and not isinstance(value, bool) and value >= 0
    if not whole and not (isinstance(value, str) and value):
        raise mismatch("a number of stages (0 or more), the name of a stage, or all")
    return value


def _report_every(value: object) -> object:
    number = not isinstance(value, bool) and isinstance(value, int | float)
    if not number or not 0 < value <= 1 or abs(1 / value - round(1 / value)) > 1e-6:  # type: ignore[operator]
        raise mismatch("1 epoch, or a fraction that divides it evenly, such as 0.5 or 0.25")
    return value


def _reference(value: object) -> object:
    if not usercode.is_reference(value):
        raise mismatch("your own code, FILE.py:NAME")
    return value


def _duration(value: object) -> object:
    units = {"s": 1, "m": 60, "h": 3600}
    seconds: object = value
    if isinstance(value, str) and re.fullmatch(r"[0-9]+(\.[0-9]+)?[smh]", value):
        seconds = float(value[:-1]) * units[value[-1]]
    if value is None:
        return None
    # bool is an int in Python: true is not one second.
    if isinstance(seconds, int | float) and not isinstance(seconds, bool) and 0 < seconds < inf:
        return float(seconds)
    raise mismatch("seconds, or a number followed by s, m or h, greater than 0")


def _device(value: object) -> object:
    if value in _DEVICES or (isinstance(value, str) and re.fullmatch(_NUMBERED_GPU, value)):
        return value
    near = nearest(value, _DEVICES)
    raise mismatch("" if near else f"{listed(_DEVICES)}, or a GPU's number, as in cuda:1", near)


def _bytes(value: object) -> object:
    try:
        size = None if value is None else int(TypeAdapter(ByteSize).validate_python(value))
    except ValidationError:
        size = 0
    if size is None or size > 0:
        return size
    raise mismatch("bytes, or a number followed by a unit, such as 8GB or 512MiB")


def _number(value: object) -> object:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise mismatch("a number")
    if not abs(value) <= sys.float_info.max:
        raise mismatch("a finite number")
    return value


# Stays the whole number that it was written as, which a field of type float would not.
Number = Annotated[float | int, BeforeValidator(_number, json_schema_input_type=float)]
WrittenReport = Annotated[str, Field(pattern=r"\.py:")]
Reference = Annotated[str, BeforeValidator(_reference, json_schema_input_type=WrittenReport)]
FreezeDepth = Annotated[Any, BeforeValidator(_freeze_depth, json_schema_input_type=FromZero | str)]
ReportEvery = Annotated[
    float | int,
    BeforeValidator(_report_every, json_schema_input_type=Annotated[float, Field(gt=0, le=1)]),
]
Device = Annotated[
    str,
    BeforeValidator(
        _device,
        json_schema_input_type=names_of(_DEVICES)
        | Annotated[str, Field(pattern=f"^{_NUMBERED_GPU}$")],
    ),
]
Bytes = Annotated[
    int | None,
    BeforeValidator(
        _bytes,
        json_schema_input_type=Annotated[int, Field(gt=0)]
        | Annotated[str, Field(pattern=r"^[0-9]+(\.[0-9]+)? ?[kMGTkmgt]?i?[Bb]$")]
        | None,
    ),
]
Duration = Annotated[
    float | None,
    BeforeValidator(
        _duration,
        json_schema_input_type=Annotated[float, Field(gt=0)]
        | Annotated[str, Field(pattern=r"^[0-9]+(\.[0-9]+)?[smh]$")]
        | None,
    ),
]
