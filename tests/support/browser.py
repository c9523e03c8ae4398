"""Chromium, for tests of pages as a reader sees and uses them."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

SCREENSHOTS = Path(__file__).parents[2] / "build/screenshots"  # CI keeps this folder


@contextmanager
def chromium() -> Iterator[Browser]:
    """The system's Chromium; without one, the test is skipped."""
    program = shutil.which("chromium")
    if program is None:
        pytest.skip("needs Chromium to draw pages")
    api = pytest.importorskip("playwright.sync_api", reason="needs Playwright to steer Chromium")
    with api.sync_playwright() as playwright:
        # Root, whom containers run as, has no sandbox.
        browser = playwright.chromium.launch(executable_path=program, args=["--no-sandbox"])
        yield browser
        browser.close()


def keep(page: Page, name: str, *, whole: bool = False) -> None:
    """Keep a picture of what the page shows, for people who look at what CI has kept."""
    page.screenshot(path=SCREENSHOTS / f"{name}.png", full_page=whole)


def barriers(page: Page) -> list[str]:
    """What axe-core finds serious or critical for people who cannot see or point well."""
    from axe_playwright_python.sync_playwright import Axe

    # A figure is one picture with a description; thousands of marks in it would take a minute.
    parts, options = {"exclude": [["svg > g"]]}, {"resultTypes": ["violations"]}
    found = Axe().run(page, parts, options).response["violations"]
    return [
        f"{each['id']}: {node['html']}"
        for each in found
        if each["impact"] in ("serious", "critical")
        for node in each["nodes"]
    ]
