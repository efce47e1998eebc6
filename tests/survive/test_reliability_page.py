"""Every test that docs/reliability.md names exists, and every promise has one."""

from __future__ import annotations

import ast
import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs/reliability.md").read_text(encoding="utf-8")
NAMED = re.compile(r"`(tests/[\w/]+\.py)(?:::(\w+))?`")


def functions(path: Path) -> set[str]:
    return {node.name for node in ast.parse(path.read_text()).body if isinstance(node, ast.FunctionDef)}


def test_every_named_test_exists():
    named = NAMED.findall(PAGE)
    assert len(named) > 30
    missing = [
        f"{file}::{name}"
        for file, name in named
        if not (ROOT / file).is_file() or (name and name not in functions(ROOT / file))
    ]
    assert missing == []


def test_every_promise_names_a_test():
    tables = re.findall(r"^\| promise \| test \|\n\|---\|---\|\n((?:\|.*\n)+)", PAGE, re.MULTILINE)
    promises = "".join(tables).splitlines()
    assert len(promises) > 20
    assert [line for line in promises if not NAMED.search(line.split("|")[2])] == []


def test_every_test_of_survival_is_named():
    """The tests that are there for this page alone, file by file."""
    files = [*(ROOT / "tests/survive").glob("test_*.py"), ROOT / "tests/recipe/test_failures.py"]
    named = {file for file, _ in NAMED.findall(PAGE)}
    assert {str(path.relative_to(ROOT)) for path in files if path != Path(__file__).resolve()} <= named
