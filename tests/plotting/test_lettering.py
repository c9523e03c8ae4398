"""Names in any script stand in a figure without boxes: in a font that has them, or as codes."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from matplotlib.text import Text

from tests.support.pictured import numbers_of
from tests.support.searched import respelled
from workbench.plotting import confusion_matrix, lettering, mistakes, naming, saving
from workbench.report.figures import ACROSS, FIGURES, load, rendering

UNKNOWN = "\U000f1234"  # for private use: no font of a system has it


def renamed(shown: Any, old: str, new: str) -> Any:
    """The same numbers, with another text in place of each that begins like a strategy's name."""
    return respelled(shown, lambda text: text.replace(old, new))


def test_a_script_that_the_house_fonts_have_is_printed_as_it_is() -> None:
    with lettering.of(("größe", "Δ-модель")):
        assert naming.cut("Δ-модель größe") == "Δ-модель größe"
        assert lettering.families() == list(lettering.FONTS)


def test_a_character_that_no_font_has_becomes_its_code_and_the_figure_says_so(
    tmp_path: Path,
) -> None:
    numbers = renamed(numbers_of("best_so_far"), "sgd", f"sgd{UNKNOWN}")
    svg = rendering.render("best_so_far", numbers, "A caption", tmp_path)
    assert svg.startswith("<svg")
    drawn = (tmp_path / "best_so_far.svg").read_text(encoding="utf-8")
    comments = re.findall(r"<!-- (.*?) -->", drawn)
    assert any(r"\U000f1234" in text for text in comments)
    assert lettering.NOTE in comments
    # What is drawn after it has the house's fonts alone.
    assert naming.cut(UNKNOWN) == UNKNOWN


@pytest.mark.parametrize("name", [*FIGURES, *ACROSS])
def test_no_figure_draws_a_box(name: str) -> None:
    """A missing glyph is a warning of matplotlib's, and so an error here."""
    numbers = numbers_of(name)
    for old in ("sgd", "adamw", "default", "learning_rate"):
        numbers = renamed(numbers, old, f"{old}{UNKNOWN}")
    assert saving.inline_svg(load(name).draw(numbers), name, "A caption").startswith("<svg")


def test_wide_forms_of_latin_letters_become_letters(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lettering, "_is_truetype", lambda path: False)
    lettering._letters_for.cache_clear()
    with lettering.of("\uff21\uff22\u5b66"):
        assert naming.cut("\uff21\uff22\u5b66") == r"AB\u5b66"
    lettering._letters_for.cache_clear()


def test_class_names_without_a_font_are_codes_too() -> None:
    found = mistakes.Mistake(np.zeros((4, 4, 1)), UNKNOWN, "cat", "confidence 0.9")
    table = confusion_matrix.summarize([[1, 2], [0, 3]], [UNKNOWN, "cat"])
    for figure in (mistakes.draw([found]), confusion_matrix.draw(table)):
        texts = [text.get_text() for text in figure.findobj(Text) if isinstance(text, Text)]
        assert any(r"\U000f1234" in text for text in texts)
        assert lettering.NOTE in " ".join(texts)
