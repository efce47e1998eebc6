"""The pages of the project and what the tests read from them."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PAGES = sorted(
    path
    for pattern in ("*.md", "docs/**/*.md", "egs/**/*.md")
    for path in ROOT.glob(pattern)
    if not {"data", "dump", "exp", "downloads"} & set(path.relative_to(ROOT).parts)
)


def blocks(text: str, language: str) -> list[str]:
    """The fenced blocks of code in one language."""
    return re.findall(rf"^```{language}\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)


def without_code(text: str) -> str:
    """A page without its blocks of code and code spans, whose brackets are no links."""
    text = re.sub(r"^```.*?^```$", "", text, flags=re.MULTILINE | re.DOTALL)
    return re.sub(r"`[^`\n]+`", "x", text)


def anchors(text: str) -> set[str]:
    """What links into a page may name: its headings as GitHub and the site make anchors of them."""
    headings = re.findall(r"^#+ +(.*)$", re.sub(r"^```.*?^```$", "", text, flags=re.M | re.S), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).strip().replace(" ", "-") for heading in headings}
