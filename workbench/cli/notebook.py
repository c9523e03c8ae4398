"""How results show themselves in a notebook; used by ``api``."""

from __future__ import annotations

import base64
import io
from abc import ABC, abstractmethod
from dataclasses import dataclass
from html import escape
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from rich.console import Console


class Printed(ABC):
    """Shown in a notebook, and by ``print``, as the command line prints it."""

    @abstractmethod
    def _print(self, console: Console) -> None: ...

    def _repr_html_(self) -> str:
        console = self._recorded()
        style = "font-family:monospace;line-height:1.3;white-space:pre"
        return console.export_html(
            inline_styles=True, code_format=f'<pre style="{style}">{{code}}</pre>'
        )

    def __repr__(self) -> str:
        return self._recorded().export_text().rstrip()

    def _recorded(self) -> Console:
        from rich.console import Console

        console = Console(
            record=True, file=io.StringIO(), force_jupyter=False, emoji=False, width=100
        )
        self._print(console)
        return console


@dataclass(frozen=True, kw_only=True)
class Picture:
    """A figure of the report, shown in a notebook with its caption.

    Attributes:
        figure: Matplotlib's.
    """

    figure: Figure
    caption: str

    def _repr_html_(self) -> str:
        content = io.BytesIO()
        self.figure.savefig(content, format="png")
        image = base64.b64encode(content.getvalue()).decode()
        caption = escape(self.caption)
        return f'<img src="data:image/png;base64,{image}" alt="{caption}"><p>{caption}</p>'
