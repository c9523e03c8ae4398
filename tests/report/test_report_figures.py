"""Every figure of the report: its width at each venue, what it says, and files that last."""

from __future__ import annotations

import copy
import dataclasses
import re
import shutil
import subprocess
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
from matplotlib.figure import Figure

from tests.support.confirmed import THREE
from tests.support.pictured import findings as pictured
from tests.support.pictured import numbers_of, of_random_search, with_predictions
from tests.support.searched import HOSTILE, respelled
from workbench.plotting import lettering, saving, style, venues
from workbench.report import templates
from workbench.report.figures import (
    ACROSS,
    FIGURES,
    Findings,
    LeftOut,
    load,
    rendering,
)
from workbench.verdict.wording.numbers import bare_p

SVG = "{http://www.w3.org/2000/svg}"


def findings(**knobs: Any) -> Findings:
    """A confirmed study of three strategies: small, since every figure is drawn several times."""
    return pictured(**{"strategies": THREE, **knobs})


@cache
def drawn(name: str, venue: str) -> Any:
    """A figure at a venue's width, drawn once for all tests that only look at it."""
    return load(name).draw(numbers_of(name), venue)


@pytest.mark.parametrize("name", [*FIGURES, *ACROSS])
def test_every_figure_fills_its_column_or_page_and_says_its_n(name: str) -> None:
    figure, numbers = load(name), numbers_of(name)
    assert re.search(r"n = \d+", figure.caption(numbers))
    for venue in ("neurips", "icml"):
        drawing = drawn(name, venue)
        wanted = venues.of(venue)
        assert drawing.get_size_inches()[0] == (wanted.text if figure.wide else wanted.column)
        assert not drawing.get_suptitle()
        assert all(not axes.get_title() for axes in drawing.axes)


@pytest.mark.parametrize("name", [*FIGURES, *ACROSS])
def test_nothing_of_a_figure_lies_outside_it(name: str) -> None:
    drawing = drawn(name, "icml")
    with style.context():
        drawing.draw_without_rendering()
        box = drawing.get_tightbbox()
    width, height = drawing.get_size_inches()
    assert box.x0 > -0.02 and box.x1 < width + 0.02
    assert box.y0 > -0.02 and box.y1 < height + 0.02


@pytest.mark.parametrize("name", ["forest", "confirmed", "cost_quality"])
def test_a_figure_of_a_confirmation_is_left_out_before_there_is_one(name: str) -> None:
    verdict = findings().verdict
    assert verdict is not None
    nothing = dataclasses.replace(verdict, comparisons=())
    alone = dataclasses.replace(findings(), confirmation=None, verdict=nothing)
    with pytest.raises(LeftOut, match="no test values yet"):
        load(name).summarize(alone)
    with pytest.raises(LeftOut, match=r"unfinished \(5 of 48 runs\), so no test value is shown"):
        load(name).summarize(findings(ended=5))


def test_a_confirmation_that_was_edited_compares_nothing() -> None:
    with pytest.raises(LeftOut, match="The verdict is EXPLORATORY"):
        load("forest").summarize(findings(edited=True))


def renamed(found: Findings, names: dict[str, str]) -> Findings:
    """The same study with other names for its levels and strategies."""

    def spell(text: str) -> str:
        head, _, tail = text.partition("-")
        return text if head not in names else names[head] + (f"-{tail}" if tail else "")

    turned = respelled(found, spell)
    assert isinstance(turned, Findings)
    return turned


def test_on_a_phone_a_figure_is_pushed_sideways_rather_than_shrunk_beyond_reading() -> None:
    svg = saving.inline_svg(drawn("heat_map", "neurips"), "heat_map", "x")
    shown, least = (int(found) for found in re.findall(r"width:(\d+)px", svg)[:2])
    smallest = 6.5 * 96 / 72  # pixels of the smallest letters at the figure's own width
    assert least <= shown and smallest * least / shown > 7
    narrow = saving.inline_svg(drawn("strategies", "icml"), "strategies", "x")
    shown, least = (int(found) for found in re.findall(r"width:(\d+)px", narrow)[:2])
    assert least == shown


@pytest.mark.parametrize("name", FIGURES)
def test_hostile_names_are_drawn_as_they_are(name: str) -> None:
    # The first is in no font that is shipped, and the second no formula that could be set.
    whole = pictured() if name == "interaction" else findings()
    hostile = renamed(whole, {"sgd": "优化器", "adam": r"$\nope$", "adamw": HOSTILE})
    if name == "predicted_against_true":
        hostile = with_predictions(hostile)
    figure = load(name)
    numbers = figure.summarize(of_random_search(hostile) if name == "expected_maximum" else hostile)
    svg = saving.inline_svg(figure.draw(numbers), name, figure.caption(numbers))
    assert "<script" not in svg
    ElementTree.fromstring(svg)


def test_files_of_every_figure_are_the_same_bytes_twice() -> None:
    for name in (*FIGURES, *ACROSS):
        again = load(name).draw(numbers_of(name))
        texts = [saving.inline_svg(figure, name, "") for figure in (drawn(name, "neurips"), again)]
        assert texts[0] == texts[1], name


def test_no_file_has_a_type_3_font(tmp_path: Path) -> None:
    if (tool := shutil.which("pdffonts")) is None:
        pytest.skip("pdffonts is not installed")
    for name in (*FIGURES, *ACROSS):
        (path,) = saving.save(drawn(name, "icml"), tmp_path / name, ("pdf",))
        done = subprocess.run([tool, path], capture_output=True, text=True, check=True)
        fonts = done.stdout.splitlines()[2:]
        assert fonts, name
        for line in fonts:
            assert "TrueType" in line and "Type 3" not in line, line
            assert " yes " in line, "the font is embedded"


# The page and the paper


def titles(svg: str) -> Iterator[str]:
    for element in ElementTree.fromstring(svg).iter(f"{SVG}title"):
        yield element.text or ""


def test_a_pointer_finds_the_value_of_every_seed_and_mean() -> None:
    numbers = numbers_of("forest")
    svg = saving.inline_svg(load("forest").draw(numbers), "forest", "x")
    found = list(titles(svg))
    assert len(found) == len(numbers.rows) * (numbers.n + 1)
    row = numbers.rows[0]
    gap = row.comparison.difference
    (mean,) = (text for text in found if text.startswith(f"{row.name} − {numbers.reference}: "))
    assert f"{gap.estimate:+.4g} [{gap.low:+.4g}, {gap.high:+.4g}], p " in mean
    for point in row.points:
        assert f"seed {point.seed}: {point.value:+.4g}" in found


def test_hover_texts_stand_inside_the_shapes_they_tell_of() -> None:
    with style.context():
        drawing = style.figure(height=2.0)
        axes = drawing.subplots()
        points = axes.scatter([1.0, 2.0, 3.0], [3.0, 1.0, 2.0])
        saving.hover(points, "one", "two & <b>", "three")
        saving.hover(axes.text(2, 2, "here"), "a text")
    page = ElementTree.fromstring(saving.inline_svg(drawing, "x", "y"))
    uses = [use for use in page.iter(f"{SVG}use") if use.find(f"{SVG}title") is not None]
    assert [use.findtext(f"{SVG}title") for use in uses] == ["one", "two & <b>", "three"]
    places = [float(use.attrib["x"]) for use in uses]
    assert places == sorted(places)
    groups = [group.findtext(f"{SVG}title") for group in page.iter(f"{SVG}g")]
    assert "a text" in groups


def test_thousands_of_points_are_drawn_without_hover_texts() -> None:
    with style.context():
        drawing = style.figure(height=2.0)
        points = drawing.subplots().scatter(range(1500), range(1500))
        saving.hover(points, *(f"{n}" for n in range(1500)))
    assert saving.MOST_HOVER_TEXTS < 1500
    assert "<title>" not in saving.inline_svg(drawing, "x", "y")


def test_the_page_keeps_its_layout_whatever_venue_the_files_are_for(tmp_path: Path) -> None:
    numbers = numbers_of("forest")
    pages = [
        rendering.render("forest", numbers, "A caption", tmp_path / venue, venue)
        for venue in ("neurips", "cvpr")
    ]
    assert pages[0] == pages[1]
    assert 'aria-label="A caption"' in pages[0]
    sizes = [(tmp_path / v / "forest.svg").read_text() for v in ("neurips", "cvpr")]
    widths = [re.search(r'width="([\d.]+)pt"', text) for text in sizes]
    assert [float(found[1]) for found in widths if found] == [5.5 * 72, 3.25 * 72]


def test_the_page_is_the_background_of_its_figures() -> None:
    svg = saving.inline_svg(load("confirmed").draw(numbers_of("confirmed")), "confirmed", "x")
    assert "#ffffff" not in svg
    assert style.PAPER not in svg and style.INK not in svg


@pytest.mark.parametrize(
    ("venue", "column", "text"),
    [
        ("neurips", 5.5, 5.5),
        ("iclr", 5.5, 5.5),
        ("icml", 3.25, 6.75),
        ("cvpr", 3.25, 6.875),
        ("acl", 3.03, 6.3),
        ("jmlr", 6.0, 6.0),
        ("tmlr", 6.5, 6.5),
    ],
)
def test_a_venue_has_the_widths_of_its_style(venue: str, column: float, text: float) -> None:
    assert venues.of(venue) == venues.Venue(column=column, text=text)


def test_an_unknown_venue_is_refused_with_those_that_there_are(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"no venue 'nips'.*neurips, icml, iclr, cvpr, acl, jmlr"):
        rendering.render("forest", numbers_of("forest"), "x", tmp_path, "nips")


def test_letters_are_smaller_in_a_column_and_never_below_six_points() -> None:
    for venue in venues.VENUES:
        for wide in (True, False):
            with venues.at(venue, wide=wide):
                label, tick, small = venues.sizes()
                assert label >= tick >= small >= 6.5
                assert (label == 9) == (venues.width() > 4)


@pytest.mark.parametrize(
    ("p", "text"),
    [(0.0004, "0.0004"), (0.0214, "0.021"), (1.0, "1.00"), (0.52, "0.52"), (0.00001, "<0.0001")],
)
def test_a_figure_writes_a_p_value_as_a_table_does(p: float, text: str) -> None:
    assert bare_p(p) == templates.bare_p(p) == text


def test_a_figure_is_drawn_again_only_if_what_it_shows_has_changed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WORKBENCH_DATA", str(tmp_path / "cache"))
    drawings: list[str] = []
    inline = saving.inline_svg

    def noted(figure: Figure, name: str, *texts: str) -> str:
        drawings.append(name)
        return inline(figure, name, *texts)

    monkeypatch.setattr(saving, "inline_svg", noted)

    def once(
        numbers: Any, caption: str = "The best.", venue: str = "neurips", of: str = "tiny"
    ) -> tuple[str, dict[str, bytes]]:
        folder = tmp_path / str(len(list(tmp_path.iterdir())))
        svg = rendering.render(
            "expected_maximum", numbers, caption, folder, venue, report=tmp_path / "reports" / of
        )
        return svg, {path.name: path.read_bytes() for path in folder.iterdir()}

    numbers = numbers_of("expected_maximum")
    first = once(numbers)
    assert once(copy.deepcopy(numbers)) == first
    assert len(drawings) == 1
    assert first[1].keys() == {f"expected_maximum.{kind}" for kind in ("pdf", "png", "svg")}
    changed = once(numbers._replace(metric="validation/loss"))
    assert len(drawings) == 2 and changed != first
    assert "The counts." in once(numbers, caption="The counts.")[0]
    assert once(numbers, venue="icml")[1] != first[1]
    once(numbers, of="other")
    assert len(drawings) == 5
    # The machine's fonts decide how these are shown.
    foreign = numbers._replace(metric="validation/\u5b66")
    once(foreign)
    once(foreign)
    assert len(drawings) == 6
    other = lettering.Letters(("DejaVu Sans Mono",), "\u5b66")
    monkeypatch.setattr(lettering, "_letters_for", lambda letters: other)
    once(foreign)
    assert len(drawings) == 7
