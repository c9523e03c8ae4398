"""Cells of the tracker's frame as plain values: what is missing, and what is no finite number.

Knows no column.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import pandas as pd

# MLflow stores infinity as the largest double.
_INFINITE = 1e308


def text(value: Any) -> str:
    """A text; empty where the tracker left the cell empty: None, NaN or NA."""
    return "" if value is None or value is pd.NA or value != value else str(value)


def number(value: Any) -> float | None:
    """A finite number, or None."""
    try:
        found = float(value)
    except (TypeError, ValueError):
        return None
    return found if math.isfinite(found) and abs(found) < _INFINITE else None


def mapping(value: Any) -> Mapping[Any, Any]:
    """A mapping; an empty one where there is none."""
    return value if isinstance(value, Mapping) else {}
