"""How results show themselves in a notebook; used by ``api``."""

from __future__ import annotations

import base64
import io
import shutil
from abc import ABC, abstractmethod
from dataclasses import dataclass
from html import escape
from typing import TYPE_CHECKING

from workbench.cli.printed.records import stage_of

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from rich.console import Console

    from workbench.commands.summaries import StudySummary


class Printable(ABC):
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
        width = shutil.get_terminal_size((80, 24)).columns
        text = self._recorded(width).export_text()
        return "\n".join(line.rstrip() for line in text.splitlines()).rstrip()

    def _recorded(self, width: int = 100) -> Console:
        from rich.console import Console

        console = Console(
            record=True, file=io.StringIO(), force_jupyter=False, emoji=False, width=width
        )
        self._print(console)
        return console


def summary_lines(study: StudySummary) -> list[str]:
    """A study in a few lines."""
    counts = f"{study.complete} complete, {study.pruned} pruned, {study.failed} failed"
    lines = [f"{study.name}: {study.state}, {study.trials} trials ({counts})"]
    if study.best is not None:
        lines.append(f"  best of the search: {study.best_trial}, {study.metric} {study.best:.4f}")
    if study.confirmation is not None:
        lines.append(f"  confirmed: {stage_of(study.confirmation)}")
    if study.problem:
        lines.append(f"  {study.problem}")
    return lines


@dataclass(frozen=True, kw_only=True)
class Picture:
    """A figure of the report, shown in a notebook with its caption.

    Attributes:
        figure: Matplotlib's.
    """

    figure: Figure
    caption: str

    def __repr__(self) -> str:
        return f"Figure: {self.caption}"

    def _repr_html_(self) -> str:
        content = io.BytesIO()
        self.figure.savefig(content, format="png")
        image = base64.b64encode(content.getvalue()).decode()
        caption = escape(self.caption)
        return f'<img src="data:image/png;base64,{image}" alt="{caption}"><p>{caption}</p>'
