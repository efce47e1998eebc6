"""What the pages say about the repository itself."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

from svmixer.config import load
from svmixer.models.config import StudentConfig

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


def test_the_default_student_is_as_its_page_says():
    student = load(StudentConfig, ROOT / "conf/student/svmixer_tiny.yaml")
    text = (ROOT / "docs/light.md").read_text(encoding="utf-8")
    assert (len(student.frontend.kernels), student.layers) == (2, 4)
    assert "The default student has two convolutions" in text
    assert "four mixer layers" in text
    notes = (ROOT / "egs/debian_voices/sv1/conf/light_notes.md").read_text(encoding="utf-8")
    assert notes.strip() in text, "the page is made with these notes"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_lines_can_be_read_in_an_editor(page):
    """At most 140 characters, but for rows of tables and addresses."""
    lines = page.read_text(encoding="utf-8").splitlines()
    assert [
        f"{number}: {line[:40]}…"
        for number, line in enumerate(lines, 1)
        if len(line) > 140 and not line.startswith("|") and "://" not in line
    ] == []
