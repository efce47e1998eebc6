"""The page of ``svmixer demo`` as a test uses it; tests/demo/conftest.py has its browser."""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from node_side import needs_runtime

playwright = pytest.importorskip(
    "playwright.sync_api", reason="playwright is not installed: pip install '.[browser]'"
)
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
# Marks of every module with tests of the page.
MARKS = [
    pytest.mark.slow,
    pytest.mark.timeout(120),
    needs_runtime,
    pytest.mark.skipif(CHROMIUM is None, reason="no Chromium on PATH (Debian: apt-get install chromium)"),
]
WAIT = 60_000  # ms


def opened(context, address):
    page = context.new_page()
    page.set_default_timeout(WAIT)
    page.goto(address)
    ready(page)
    return page


def ready(page) -> None:
    playwright.expect(page.locator("#listen")).to_be_enabled(timeout=WAIT)
    assert page.locator("#loading").inner_text() == ""


def enrol_both(page, audio) -> None:
    page.locator("#enrol-files").set_input_files([audio / "ann.wav", audio / "ben.wav"])
    playwright.expect(page.locator("#people li")).to_have_count(2, timeout=WAIT)


def until(page, condition: Callable[[], bool]) -> None:
    """Wait for something; the page's policy forbids what Playwright would wait with."""
    for _ in range(WAIT // 50):
        if condition():
            return
        page.wait_for_timeout(50)
    raise AssertionError(page.locator("body").inner_text())


def compare(page, path: Path) -> dict:
    """What the page hears in a file."""
    page.evaluate(
        """() => {
          window.heard = null;
          const take = ({ detail }) => (window.heard = { ...detail, embedding: [...detail.embedding] });
          document.addEventListener("heard", take, { once: true });
        }"""
    )
    page.locator("#compare-file").set_input_files(path)
    until(page, lambda: page.evaluate("window.heard !== null"))
    return page.evaluate("window.heard")


def verdict(page) -> str:
    return page.locator("#verdict").inner_text()


def names(page) -> list[str]:
    return page.locator("#ranking .name").all_inner_texts()


def scores(page) -> list[float]:
    """What people are ranked by: log-likelihood ratios, or cosines."""
    return [float(text.split()[0].rstrip(",")) for text in page.locator("#ranking .score").all_inner_texts()]


def figures(page) -> list[float]:
    """Log-likelihood ratio, threshold, number of the enrolled, probability, cosine."""
    text = page.locator("#figures").inner_text()
    pattern = (
        r"Log-likelihood ratio (-?\d+\.\d\d), threshold (\d+\.\d\d) for (\d) enrolled, "
        r"probability ([01]\.\d{3}), cosine (-?\d\.\d{4})"
    )
    return [float(part) for part in re.fullmatch(pattern, text).groups()]
