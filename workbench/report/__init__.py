"""The report of a study: report.json, and pages, tables, figures and texts written from it.

The report of a search makes no claim; that of a confirmed study states its verdict
(docs/confirmation.md). Used by the commands ``run``, ``confirm`` and ``report``. Matplotlib is
imported only while figures are drawn.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from workbench.report.material import Material

if TYPE_CHECKING:
    from workbench.report.summary import ReportContent

__all__ = ["Material", "compose", "markdown_summary"]


def compose(material: Material, *, figures: bool = True) -> ReportContent:
    """The content of a report and its figures; see ``summary.compose``."""
    # Here and below: a command that writes no report must not wait for pandas, Jinja and SciPy.
    from workbench.report import summary

    return summary.compose(material, figures=figures)


def markdown_summary(summary: Mapping[str, Any]) -> str:
    """A note of fewer than 6000 characters for the study's MLflow run, while it runs and after."""
    from workbench.report import templates

    return templates.note(summary)
