"""A run that is told to stop, in every stage: saved, ended within seconds, nothing in the way of the next."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import time
from pathlib import Path

import pytest
from chaos import MARK, processes
from toy_recipe import command

pytestmark = [pytest.mark.slow, pytest.mark.recipe, pytest.mark.timeout(900)]

# Seconds from the signal until nothing is left; a few on an idle machine.
PROMPT = 20.0

# Python programs of this name wait for ever; imported by every Python that starts.
SLOW = """import os, sys, time
if sys.orig_argv[1:4] == ["-m", "svmixer", os.environ["SLOW_PROGRAM"]]:
    open(os.environ["SLOW_BEGAN"], "w").close()
    time.sleep(600)
"""


def signal_driver(run: subprocess.Popen) -> None:
    run.send_signal(signal.SIGTERM)


def signal_group(run: subprocess.Popen) -> None:
    os.killpg(run.pid, signal.SIGTERM)


def signal_twice(run: subprocess.Popen) -> None:
    signal_group(run)
    time.sleep(0.1)
    signal_group(run)


def interrupt_group(run: subprocess.Popen) -> None:
    os.killpg(run.pid, signal.SIGINT)


SIGNALS = [signal_driver, signal_group, signal_twice, interrupt_group]


def start(words: list[str], work: Path, **env: str) -> subprocess.Popen:
    """The words in a process group and with a mark of their own."""
    env = {**os.environ, **env, MARK: str(work)}
    return subprocess.Popen(
        words, cwd=work, env=env, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        text=True, start_new_session=True,
    )  # fmt: skip


def ended(run: subprocess.Popen, work: Path) -> int:
    """The run's status, once nothing of it is left: no process, no record, no lock."""
    deadline = time.monotonic() + PROMPT
    try:
        run.communicate(timeout=PROMPT)
        while (left := processes(str(work), work)) and time.monotonic() < deadline:
            time.sleep(0.05)
    except subprocess.TimeoutExpired:
        left = processes(str(work), work)
    for process in left:
        os.kill(process.pid, signal.SIGKILL)
    assert [" ".join(process.words) for process in left] == []
    assert list(work.rglob(".owner")) == []
    for lock in work.rglob(".lock"):
        assert subprocess.run(["flock", "-n", str(lock), "true"]).returncode == 0
    return run.returncode


def wait_for(path: Path, run: subprocess.Popen) -> None:
    deadline = time.monotonic() + 120
    while not path.exists():
        assert run.poll() is None and time.monotonic() < deadline, run.communicate()[0]
        time.sleep(0.05)


# By stage: tasks of a dispatcher, and programs that the stage script waits for.
PROGRAMS = [
    (1, "validate_data_dir"), (2, "dump"), (2, "dump_merge"), (3, "distill"), (4, "train"),
    (5, "extract"), (5, "score"), (6, "report"), (7, "export"),
]  # fmt: skip


@pytest.fixture
def slow(tmp_path) -> dict[str, str]:
    """Environment in which the program SLOW_PROGRAM waits; the file SLOW_BEGAN tells that it does."""
    (tmp_path / "slow").mkdir()
    (tmp_path / "slow/sitecustomize.py").write_text(SLOW)
    return {"PYTHONPATH": str(tmp_path / "slow"), "SLOW_BEGAN": str(tmp_path / "began")}


@pytest.mark.parametrize("how", SIGNALS)
@pytest.mark.parametrize(("stage", "program"), PROGRAMS)
def test_every_stage_ends(finished, recipe, slow, tmp_path, stage, program, how):
    work = tmp_path / "work"
    shutil.copytree(finished, work)
    words = command(recipe, "--stage", str(stage), "--stop_stage", str(stage), "--force", "true")
    run = start(words, work, **slow, SLOW_PROGRAM=program)
    wait_for(Path(slow["SLOW_BEGAN"]), run)
    how(run)
    assert ended(run, work) == 2


@pytest.mark.parametrize("how", SIGNALS)
def test_what_a_recipe_s_data_script_waits_for_ends(tmp_path, how):
    (tmp_path / "recipe/local").mkdir(parents=True)
    script = tmp_path / "recipe/local/data.sh"
    script.write_text("set -euo pipefail\nbash -c 'touch \"$SLOW_BEGAN\"; sleep 600; true' | cat\n")
    work = tmp_path / "work"
    work.mkdir()
    run = start(command(tmp_path / "recipe", "--stop_stage", "1"), work, SLOW_BEGAN=str(tmp_path / "began"))
    wait_for(tmp_path / "began", run)
    how(run)
    assert ended(run, work) == 2


@pytest.mark.parametrize("stage", [3, 4])
@pytest.mark.parametrize("how", [signal_group, signal_twice])
def test_a_training_is_saved_and_goes_on(finished, recipe, tmp_path, stage, how):
    work = tmp_path / "work"
    shutil.copytree(finished, work)
    name = {3: "distill", 4: "train"}[stage]
    shutil.rmtree(work / "exp/toy" / name)
    words = command(
        recipe, "--stage", str(stage), "--stop_stage", str(stage), f"--{name}_args", "--loop.max_epochs 500"
    )
    run = start(words, work)
    next(line for line in run.stdout if "epoch 2/" in line)
    how(run)
    assert ended(run, work) == 2
    log = (work / f"exp/toy/{name}/{name}.log").read_text()
    (place,) = re.findall(r"saved at (epoch \d+, step \d+); run again to continue", log)
    assert "# Ended (code 75)" in log
    run = start(words, work)
    resumed = next(line for line in run.stdout if "resumed at" in line)
    assert f"resumed at {place} of" in resumed
    how(run)
    assert ended(run, work) == 2


def test_timeout_shows_that_the_training_was_saved(finished, recipe, tmp_path):
    """As `timeout` does it: its child is told twice, the rest of the group once."""
    work = tmp_path / "work"
    shutil.copytree(finished, work)
    shutil.rmtree(work / "exp/toy/distill")
    words = command(recipe, "--stage", "3", "--stop_stage", "3", "--distill_args", "--loop.max_epochs 500")
    run = start(["timeout", "600", *words], work)
    next(line for line in run.stdout if "epoch 2/" in line)
    # What its clock sends it when the time is up.
    run.send_signal(signal.SIGALRM)
    last = run.stdout.read()
    assert ended(run, work) == 124
    assert "stopped by a signal: saved at epoch" in last
