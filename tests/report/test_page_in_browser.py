"""The page of a report in a browser: tables, narrow screens, dark mode, paper, accessibility."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.support import browser, confirmed
from workbench import report
from workbench.commands.verdict import judge
from workbench.report import writing

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

pytestmark = pytest.mark.slow

SCREEN, PHONE = 1200, 390  # pixels
PAGE_EXCESS = "document.documentElement.scrollWidth - innerWidth"
SCROLLED = """box => new Promise((done) => {
    const look = () => (box.scrollLeft > 0 ? done() : requestAnimationFrame(look)); look(); })"""
PAIRS = "details:has(> summary:text('pairs'))"


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    with browser.chromium() as started:
        yield started


@pytest.fixture(scope="module")
def index(chromium: Browser, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The page of nine confirmed strategies; not made where nothing can show it."""
    composed = report.compose(confirmed.material())
    return writing.write(composed, tmp_path_factory.mktemp("page") / "digits")


@contextmanager
def opened(chromium: Browser, index: Path, width: int = SCREEN, **given: Any) -> Iterator[Page]:
    context = chromium.new_context(viewport={"width": width, "height": 900}, **given)
    page = context.new_page()
    page.goto(index.as_uri())
    yield page
    context.close()


def column(page: Page, table: str, number: int) -> list[str]:
    cells = f"{table} tbody tr:visible > :nth-child({number})"
    return [text.strip() for text in page.locator(cells).all_inner_texts()]


def test_the_main_table_fits_a_screen_of_1200_pixels(chromium: Browser, index: Path) -> None:
    with opened(chromium, index) as page:
        box = page.locator(".scroll:has(> table.main)")
        excess = box.evaluate("box => box.scrollWidth - box.clientWidth")
        assert excess == 0, "its last column is scrolled out of sight"
        browser.keep(page, "report-screen", whole=True)


def test_a_heading_sorts_its_table_by_click_and_by_key_and_says_so(
    chromium: Browser, index: Path
) -> None:
    with opened(chromium, index) as page:
        head = page.locator("table.main th", has_text="test accuracy")
        head.locator("button").click()
        means = [float(text.split()[0]) for text in column(page, "table.main", 3)]
        assert means == sorted(means) and len(set(means)) > 5
        assert head.get_attribute("aria-sort") == "ascending"
        page.keyboard.press("Enter")
        means = [float(text.split()[0]) for text in column(page, "table.main", 3)]
        assert means == sorted(means, reverse=True)
        assert head.get_attribute("aria-sort") == "descending"
        page.locator("table.main th", has_text="ahead on").locator("button").click()
        ahead = [int(text.split()[0]) for text in column(page, "table.main", 6) if text]
        assert ahead == sorted(ahead)
        assert page.locator("table.main th[aria-sort]").count() == 1


def test_a_long_table_is_filtered_by_words_in_any_column(chromium: Browser, index: Path) -> None:
    with opened(chromium, index) as page:
        page.locator(f"{PAIRS} > summary").click()
        total = page.locator(f"{PAIRS} tbody tr").count()
        page.locator(f"{PAIRS} input").focus()
        page.keyboard.type("adamw-2 ahead")
        browser.keep(page, "report-filtered")
        rows = page.locator(f"{PAIRS} tbody tr:visible").all_inner_texts()
        assert rows and all("adamw-2" in row and "ahead" in row for row in rows)
        assert page.locator(f"{PAIRS} output").inner_text() == f"{len(rows)} of {total} rows"
        page.locator(f"{PAIRS} input").fill("")
        assert page.locator(f"{PAIRS} tbody tr:visible").count() == total
        assert page.locator("p.filter + .scroll > table.main").count() == 0, "it is short"


def test_the_page_is_whole_without_its_script(chromium: Browser, index: Path) -> None:
    with opened(chromium, index, java_script_enabled=False) as page:
        assert page.locator("table.main tbody tr").count() == len(confirmed.STRATEGIES) + 1
        assert page.locator("input").count() == 0
        page.locator(f"{PAIRS} > summary").click()
        assert page.locator(f"{PAIRS} tbody tr").first.is_visible()


def test_a_phone_shows_the_page_without_scrolling_it_sideways(
    chromium: Browser, index: Path
) -> None:
    with opened(chromium, index, PHONE) as page:
        browser.keep(page, "report-phone", whole=True)
        assert page.evaluate(PAGE_EXCESS) == 0
        box = page.locator(".scroll:has(> table.main)")
        assert box.get_attribute("aria-label") == "Scrolls sideways"
        name = box.locator("tbody th").first
        place = "cell => cell.getBoundingClientRect().left"
        left = name.evaluate(place)
        box.focus()
        page.keyboard.press("ArrowRight")
        box.evaluate(SCROLLED)
        assert name.evaluate(place) == left, "the name of a row stays in sight"
        assert "gradient" in box.evaluate("box => getComputedStyle(box).backgroundImage")


def test_no_line_ends_within_the_name_of_a_strategy(chromium: Browser, index: Path) -> None:
    lines = "(names) => names.map((name) => name.getClientRects().length)"
    with opened(chromium, index, PHONE) as page:
        for part in (".verdict span.nowrap", "figcaption span.nowrap"):
            assert set(page.locator(part).evaluate_all(lines)) == {1}
        assert "adam-0" in page.locator(".headline").inner_text()


def test_the_last_of_an_odd_number_of_figures_has_its_caption_beside_it(
    chromium: Browser, index: Path
) -> None:
    places = """(all) => all.map((figure) => [...figure.children].map((part) => {
        const box = part.getBoundingClientRect(); return [box.left, box.top]; }))"""
    for width, columns in ((SCREEN, 2), (PHONE, 1)):
        with opened(chromium, index, width) as page:
            page.evaluate("""document.querySelectorAll(".figures").forEach((figures) => {
                if (figures.children.length % 2 === 0) figures.lastElementChild.remove(); })""")
            last = page.locator(".figures > figure:last-child")
            for picture, caption in last.evaluate_all(places):
                beside = caption[0] > picture[0] and abs(caption[1] - picture[1]) < 20
                assert beside == (columns == 2)


@pytest.mark.parametrize(("width", "scheme"), [(PHONE, "light"), (SCREEN, "dark")])
def test_axe_finds_no_serious_barrier(
    chromium: Browser, index: Path, width: int, scheme: str
) -> None:
    with opened(chromium, index, width, color_scheme=scheme) as page:
        assert browser.barriers(page) == []


def test_dark_mode_has_light_text_on_dark_paper_also_in_figures(
    chromium: Browser, index: Path
) -> None:
    light = "node => Math.max(...getComputedStyle(node).{}.match(/[0-9]+/g).slice(0, 3))"
    with opened(chromium, index, color_scheme="dark") as page:
        browser.keep(page, "report-dark", whole=True)
        body = page.locator("body")
        assert body.evaluate(light.format("backgroundColor")) < 40
        assert body.evaluate(light.format("color")) > 200
        lettering = page.locator("#forest svg text, #forest svg use").first
        assert lettering.evaluate(light.format("fill")) > 120


def test_paper_shows_what_a_screen_folds_and_no_controls(chromium: Browser, index: Path) -> None:
    with opened(chromium, index, color_scheme="dark") as page:
        page.emulate_media(media="print")
        for folded in (f"{PAIRS} tbody tr", "details:has(> summary:text('passed')) li"):
            assert page.locator(folded).first.is_visible()
        assert not page.locator("nav").is_visible()
        assert not page.locator(f"{PAIRS} input").is_visible()
        paper = page.locator("body").evaluate("node => getComputedStyle(node).backgroundColor")
        assert paper == "rgb(255, 255, 255)"
        page.pdf(path=browser.SCREENSHOTS / "report.pdf", prefer_css_page_size=True)


def test_the_page_of_any_results_has_tables_that_sort_and_no_barrier(
    chromium: Browser, tmp_path: Path
) -> None:
    lines = [
        f"{name},{seed},{value - 0.001 * (seed * place % 5)}"
        for place, (name, value) in enumerate({"a": 0.93, "b": 0.91, "c": 0.9}.items(), start=1)
        for seed in range(8)
    ]
    table = tmp_path / "results.csv"
    table.write_text("\n".join(["strategy,seed,value", *lines]))
    judge(table, home=tmp_path, smallest_effect=0.005, out=tmp_path / "out")
    with opened(chromium, tmp_path / "out/index.html") as page:
        browser.keep(page, "verdict", whole=True)
        head = page.locator("table th", has_text="second")
        head.get_by_role("button").click()
        assert head.get_attribute("aria-sort") == "ascending"
        seconds = page.locator("table:has(th[aria-sort]) tbody tr > :nth-child(2)")
        assert seconds.all_inner_texts() == sorted(seconds.all_inner_texts())
        assert browser.barriers(page) == []


def test_the_page_over_data_sets_folds_the_tables_of_each_and_prints_them(
    chromium: Browser, tmp_path: Path
) -> None:
    lines = [
        f"{dataset},{name},{seed},{value + 0.001 * ((seed + at) * place % 7)}"
        for place, (name, value) in enumerate({"a": 0.93, "b": 0.91}.items(), start=1)
        for at, dataset in enumerate(("cars", "birds", "dogs", "food", "pets", "texts"))
        for seed in range(6)
    ]
    table = tmp_path / "results.csv"
    table.write_text("\n".join(["dataset,strategy,seed,value", *lines]))
    judge(table, home=tmp_path, out=tmp_path / "out")
    with opened(chromium, tmp_path / "out/index.html", PHONE) as page:
        browser.keep(page, "verdict-datasets", whole=True)
        assert page.evaluate(PAGE_EXCESS) == 0
        folded = page.locator("h2:text('Each data set') ~ details table")
        assert [each.is_visible() for each in folded.all()] == [False] * 12
        page.emulate_media(media="print")
        assert all(each.is_visible() for each in folded.all())
