"""docs/troubleshooting.md: every message that it explains is one that the code prints."""

from __future__ import annotations

import ast
import re
from functools import cache

import pytest
from pages import ROOT

PAGE = (ROOT / "docs/troubleshooting.md").read_text(encoding="utf-8")
MESSAGES = [
    message
    for line in PAGE.splitlines()
    if line.startswith("| `")
    for message in re.findall(r"`([^`]+)`", re.split(r"(?<!\\)\|", line)[1])
]
# What others say: the shell.
OTHERS = {"command not found"}


@cache
def texts() -> str:
    """All texts of the package (… where an f-string puts something in), and all shell and Perl scripts."""
    found = []
    for path in (ROOT / "svmixer").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Constant) and isinstance(node.value, str):
                found.append(node.value)
            elif isinstance(node, ast.JoinedStr):
                parts = (part.value if isinstance(part, ast.Constant) else "…" for part in node.values)
                found.append("".join(map(str, parts)))
    for pattern in ("*.sh", "stages/*.sh", "tools/*.sh", "tools/**/*.p[lm]", "egs/*/sv1/local/*.sh"):
        for path in ROOT.glob(pattern):
            found.append(re.sub(r"\$\{[^}]*\}|\$\w+", "…", path.read_text(encoding="utf-8")))
    return "\n".join(found)


@pytest.mark.parametrize("message", [message for message in MESSAGES if message not in OTHERS])
def test_the_message_exists(message):
    pieces = [piece.strip() for piece in re.split(r"…|'…'|--…", message)]
    missing = [piece for piece in pieces if len(piece) > 3 and piece not in texts()]
    assert missing == []


def test_the_table_is_read():
    assert len(MESSAGES) > 40
