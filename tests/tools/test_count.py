"""tools/count.py counts what its description says."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PROGRAM = ROOT / "tools/count.py"

MODULE = '''\
"""A module."""

import argparse

LIMIT = 3
_hidden = 4
ready: bool = True


class CutConfig:
    """Two options."""

    # How much.
    much: int = 1
    fast: bool = False

    def late(self): ...


class Other:
    field: int = 0


def cut(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--where")
    parser.add_argument("what")


def _helper(): ...
'''
SCRIPT = """\
#!/usr/bin/env bash
# A script.
set -euo pipefail

# How much.
much=1
# Where to.
# shellcheck disable=SC2034
where=here

quiet=true
. "$(dirname "$0")/../tools/parse_options.sh"
# Not an option any more.
after=2
"""
# One option of its own beside those of the table.
TAKER = """\
#!/usr/bin/env bash
# What this one does.
how=quickly
option_names="much where"
. "$(dirname "$0")/options.sh"
"""


def load():
    spec = importlib.util.spec_from_file_location("count", PROGRAM)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_each_figure():
    files = {
        "svmixer/__init__.py": "",
        "svmixer/cut.py": MODULE,
        "tests/test_cut.py": MODULE,
        "run.sh": SCRIPT,
        "stages/options.sh": SCRIPT,
        "stages/01.sh": TAKER,
        "tools/cut.sh": SCRIPT,
        "stages/lib.sh": "# Nothing to set.\nname=1\n",
        "tools/queue.pl": "print 1;\nprint 2;\n",
        "tools/perl/Words.pm": "1;\n",
        "tools/dispatch": "#!/usr/bin/perl\n",
        "notes": "no program\n",
    }
    assert load().count(files) == {
        "package lines": len(MODULE.splitlines()),
        "package files": 2,
        "public names": 5,  # LIMIT, ready, CutConfig, Other, cut
        "Python options": 3,  # much, fast, --where
        "shell options, run.sh and stages": 5,
        "shell options, all scripts": 7,
        "shell lines": 3 * len(SCRIPT.splitlines()) + len(TAKER.splitlines()) + 2,
        "Perl lines": 4,
    }


@pytest.mark.skipif(not (ROOT / ".git").exists(), reason="no git checkout")
def test_the_working_tree_is_the_default():
    done = subprocess.run([sys.executable, PROGRAM], capture_output=True, text=True, check=True)
    head, rule, lines, *_ = done.stdout.splitlines()
    assert (head, rule) == ("| | working tree |", "|---|---:|")
    listed = subprocess.check_output(
        ["git", "-C", str(ROOT), "ls-files", "-co", "--exclude-standard"], text=True
    )
    package = [
        ROOT / name for name in listed.splitlines() if name.startswith("svmixer/") and name.endswith(".py")
    ]
    total = sum(len(path.read_text().splitlines()) for path in package if path.is_file())
    assert lines == f"| package lines | {total:,} |"


def test_an_unknown_commit():
    done = subprocess.run([sys.executable, PROGRAM, "no-such-commit"], capture_output=True, text=True)
    assert done.returncode != 0
    assert "Traceback" not in done.stderr
