"""Links and lines of the pages as they lie in the repository."""

from __future__ import annotations

import re

import pytest
from pages import PAGES, ROOT, anchors, without_code

LONGEST = 140


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_link_leads_somewhere(page):
    text = without_code(page.read_text(encoding="utf-8"))
    dead = []
    for target in re.findall(r"\]\(([^)\s]+)\)", text):
        if re.match(r"[a-z]+:", target):
            continue
        path, _, anchor = target.partition("#")
        there = (page.parent / path).resolve() if path else page
        if not there.exists() or (anchor and anchor not in anchors(there.read_text(encoding="utf-8"))):
            dead.append(target)
    assert dead == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_no_line_is_long(page):
    lines = page.read_text(encoding="utf-8").splitlines()
    long = {
        number: len(line)
        for number, line in enumerate(lines, 1)
        if len(line) > LONGEST and not line.startswith("|") and not re.search(r"https?://\S{60}", line)
    }
    assert long == {}, f"line: characters, more than {LONGEST}"


def test_the_anchors_of_headings():
    text = "# One: `two` (three)\n```\n# no heading\n```\n## Score normalisation\n"
    assert anchors(text) == {"one-two-three", "score-normalisation"}
