"""What the pages say about the repository itself."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PAGES = [*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), *ROOT.glob("egs/**/*.md")]
# Backquoted, or behind the word; digests of lists have 32 digits.
COMMIT = re.compile(r"`([0-9a-f]{7,12}|[0-9a-f]{40})`|[Cc]ommit ([0-9a-f]{7,40})\b")
# Commits of other projects, and where they are quoted.
FOREIGN = {"f40076610": "reliability.md"}


def git(*words: str) -> subprocess.CompletedProcess:
    return subprocess.run(["git", "-C", str(ROOT), *words], capture_output=True, text=True)


def test_commits_that_pages_quote_are_in_the_history():
    if git("rev-parse", "--is-shallow-repository").stdout.strip() != "false":
        pytest.skip("no repository with its history")
    quoted = {
        (one or other, page.name)
        for page in PAGES
        for one, other in COMMIT.findall(page.read_text(encoding="utf-8"))
        if re.search("[a-f]", one or other) or len(one or other) == 40
    }
    assert quoted, "the pattern finds none any more"
    absent = {
        (commit, page)
        for commit, page in quoted
        if git("merge-base", "--is-ancestor", commit, "HEAD").returncode and FOREIGN.get(commit) != page
    }
    assert absent == set()


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_lines_can_be_read_in_an_editor(page):
    """At most 140 characters, but for rows of tables and addresses."""
    lines = page.read_text(encoding="utf-8").splitlines()
    assert [
        f"{number}: {line[:40]}…"
        for number, line in enumerate(lines, 1)
        if len(line) > 140 and not line.startswith("|") and "://" not in line
    ] == []
