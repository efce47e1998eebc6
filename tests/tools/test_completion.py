"""Completion of verbs and options in bash, from the help of the program."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


def complete(*words: str) -> list[str]:
    """What the TAB key offers behind ``words``, the last of which is unfinished."""
    script = (
        'svmixer() { "$python" -m svmixer "$@"; }\n. tools/completion.bash\n'
        'COMP_WORDS=(svmixer "$@")\nCOMP_CWORD=$#\n_svmixer\nprintf "%s\\n" "${COMPREPLY[@]}"'
    )
    done = subprocess.run(
        ["bash", "-u", "-c", script, "bash", *words],
        cwd=ROOT, env={"python": sys.executable, "PATH": "/usr/bin:/bin"},
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert done.stderr == ""
    return done.stdout.split()


@pytest.mark.parametrize(
    ("words", "offered"),
    [
        (("ver",), ["verify"]),
        (("verify", "--thr"), ["--threshold"]),
        (("distill", "--loop.schedule.w"), ["--loop.schedule.warmup_steps"]),
        (("verify", "a.w"), []),
        (("no_verb", "--"), []),
    ],
)
def test_completion(words, offered):
    assert complete(*words) == offered


def test_shellcheck():
    done = subprocess.run(["shellcheck", ROOT / "tools/completion.bash"], capture_output=True, text=True)
    assert done.stdout + done.stderr == ""
