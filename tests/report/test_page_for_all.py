"""The page can be read by all: contrast, order of headings, landmarks."""

from __future__ import annotations

import re
from itertools import pairwise
from pathlib import Path

import pytest

from tests.support import confirmed
from tests.support.pages import Page
from workbench import report
from workbench.report import templates
from workbench.report.figures import FIGURES

CSS = (Path(templates.__file__).parent / "report.css").read_text(encoding="utf-8")
TEXT = ("ink", "quiet", "note", "fine", "link", "halt")
BACKGROUND = ("paper", "wash", "note-wash")


def luminance(colour: str) -> float:
    """Relative luminance of ``#rrggbb``; source: WCAG 2.2."""
    parts = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    red, green, blue = (
        part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts
    )
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


@pytest.mark.parametrize("scheme", [0, 1, 2], ids=["light", "dark", "print"])
def test_every_text_has_a_contrast_of_at_least_4_5_on_every_background(scheme: int) -> None:
    blocks = re.findall(r":root \{(.*?)\}", CSS, flags=re.DOTALL)
    colours = dict(re.findall(r"--([a-z-]+): (#[0-9a-f]{6})", blocks[scheme]))
    for background in BACKGROUND:
        for text in TEXT:
            one, two = luminance(colours[background]), luminance(colours[text])
            ratio = (max(one, two) + 0.05) / (min(one, two) + 0.05)
            assert ratio >= 4.5, f"{text} on {background}: {ratio:.2f}"


def test_headings_are_in_order_and_all_content_is_in_a_landmark() -> None:
    content = report.compose(
        confirmed.material(strategies=confirmed.THREE), figures=False
    ).summary.content
    page = Page(templates.html(content, dict.fromkeys(FIGURES, "")))
    levels = [int(tag[1]) for tag, _ in page.elements if re.fullmatch("h[1-6]", tag)]
    assert levels[0] == 1 and levels.count(1) == 1
    assert all(after <= before + 1 for before, after in pairwise(levels))
    tags = [tag for tag, _ in page.elements]
    assert [tags.count(tag) for tag in ("header", "main", "nav", "footer")] == [1, 1, 1, 1]
    # An empty head of a row tells a screen reader nothing.
    assert not re.search(r"<th[^>]*></th>", templates.html(content, dict.fromkeys(FIGURES, "")))
