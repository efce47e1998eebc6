"""tools/run_tables.sh: the commands it would give, and those it gives to a recipe that only notes them."""

import signal
import subprocess
import time
from pathlib import Path

import pytest

# Most of the time is the start of processes.
pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]
TABLES = """
tables:
  - key: one
    title: First
    rows:
      - {name: A, tag: a, seeds: [0, 1]}
      - {name: B, tag: b, teacher: T, distill_args: "--y [1,2]", train_args: "--y [1,2] --z 3"}
"""
RECIPE = """#!/usr/bin/env bash
set -euo pipefail
printf '<%s> ' "$@" >>"$(dirname "$0")/calls"
echo >>"$(dirname "$0")/calls"
[ "$2" != a_seed1 ]
"""


@pytest.fixture
def recipe(tmp_path):
    folder = tmp_path / "my recipe"
    (folder / "conf").mkdir(parents=True)
    (folder / "conf/tables.yaml").write_text(TABLES)
    (folder / "run.sh").write_text(RECIPE)
    (folder / "run.sh").chmod(0o755)
    return folder


def run(recipe, cwd, *more):
    command = [str(ROOT / "tools/run_tables.sh"), "--recipe", str(recipe), *more]
    return subprocess.run(command, cwd=cwd, capture_output=True, text=True, timeout=300)


def test_every_run_is_given_to_the_recipe_and_failures_are_named(recipe, tmp_path):
    result = run(recipe, tmp_path, "--seeds", "7", "--test_sets", "x y")
    assert result.returncode == 1
    assert "run_tables.sh: failed: a_seed1" in result.stderr
    calls = [line.strip("<> ").split("> <") for line in (recipe / "calls").read_text().splitlines()]
    assert [call[1] for call in calls] == ["a_seed0", "a_seed1", "b_seed7"]
    given = dict(zip(calls[2][::2], calls[2][1::2], strict=True))
    assert given["--seed"] == "7" and given["--teacher"] == "T" and given["--test_sets"] == "x y"
    assert given["--distill_args"] == "--y [1,2]" and given["--train_args"] == "--y [1,2] --z 3"
    assert "--teacher" not in calls[0] and "--train_args" not in calls[0]
    assert "Not finished: 3 of 3 runs" in (tmp_path / "tables.md").read_text()


def test_no_further_run_begins_after_a_signal(recipe, tmp_path):
    (recipe / "run.sh").write_text('#!/bin/sh\necho >>"$(dirname "$0")/calls"\nsleep 300\n')
    command = [str(ROOT / "tools/run_tables.sh"), "--recipe", str(recipe)]
    tables = subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.DEVNULL)
    deadline = time.monotonic() + 60
    while not (recipe / "calls").exists() and time.monotonic() < deadline:
        time.sleep(0.1)
    tables.send_signal(signal.SIGTERM)
    assert tables.wait(timeout=20) == 2
    assert (recipe / "calls").read_text() == "\n"


def test_the_page_has_the_command_as_it_was_given(recipe, tmp_path):
    """Not cut inside of a word."""
    run(
        recipe, tmp_path, "--expdir", f"{tmp_path}/exp", "--only", "one", "--test_sets", f"/mnt{tmp_path}/x y"
    )
    text = (tmp_path / "tables.md").read_text()
    assert "./tools/run_tables.sh --recipe 'my recipe' --expdir exp --only one --test_sets '…/x y'" in text


def test_a_signal_while_the_environment_is_made(tmp_path):
    """setup.sh gets it, too; the status is that of a run that was told to stop."""
    (tmp_path / "tools").mkdir()
    for name in ("parse_options.sh", "run_child.sh", "run_tables.sh"):
        (tmp_path / "tools" / name).write_text((ROOT / "tools" / name).read_text())
    setup = tmp_path / "tools/setup.sh"
    setup.write_text("#!/bin/bash\ntrap 'touch told; exit 1' TERM\ntouch began\nsleep 60 & wait\n")
    setup.chmod(0o755)
    tables = subprocess.Popen(["bash", "tools/run_tables.sh", "--recipe", "."], cwd=tmp_path)
    deadline = time.monotonic() + 30
    while not (tmp_path / "began").exists() and time.monotonic() < deadline:
        time.sleep(0.05)
    tables.send_signal(signal.SIGTERM)
    assert tables.wait(timeout=20) == 2
    assert (tmp_path / "told").exists()


@pytest.mark.parametrize("script", ["run.sh", "tools/run_tables.sh"])
def test_a_signal_before_anything_has_begun(tmp_path, script):
    """While options are still being read."""
    for name in (script, "stages/options.sh", "tools/parse_options.sh"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text((ROOT / name).read_text())
    (tmp_path / "tools/parse_options.sh").write_text("touch began\nsleep 1\necho reached\n")
    words = ["bash", script, "--recipe", "."]
    driver = subprocess.Popen(words, cwd=tmp_path, stdout=subprocess.PIPE, text=True)
    deadline = time.monotonic() + 30
    while not (tmp_path / "began").exists() and time.monotonic() < deadline:
        time.sleep(0.02)
    driver.send_signal(signal.SIGTERM)
    assert driver.communicate(timeout=20)[0] == "" and driver.returncode == 2


def test_dry_run_runs_nothing(recipe, tmp_path):
    result = run(recipe, tmp_path, "--dry_run", "true", "--only", "one")
    assert result.returncode == 0, result.stderr
    assert len(result.stdout.splitlines()) == 3
    assert "--distill_args --y\\ \\[1\\,2\\]" in result.stdout
    assert not (recipe / "calls").exists() and not (tmp_path / "tables.md").exists()


def test_an_unknown_table_is_named(recipe, tmp_path):
    result = run(recipe, tmp_path, "--only", "two")
    assert result.returncode == 1
    assert "no table 'two'; known: one" in result.stderr
    assert not (recipe / "calls").exists()
