"""SIGKILLs at random processes of the toy recipe end in the undisturbed run's scores: see chaos.py."""

from __future__ import annotations

import os
import random
import subprocess
import sys
import time

import pytest
from chaos import MARK, Chaos, Found, by_role, processes, toy_command


def test_processes_are_found_by_their_mark_and_by_their_directory(tmp_path):
    code = "import sys, time; print(flush=True); time.sleep(60)"
    marked = {**os.environ, MARK: "mine"}
    runs = [
        subprocess.Popen([sys.executable, "-c", code], env=env, cwd=cwd, stdout=subprocess.PIPE)
        for env, cwd in ((marked, "/"), (None, tmp_path), ({**marked, MARK: "another's"}, "/"))
    ]
    try:
        for process in runs:
            process.stdout.readline()
        found = processes("mine", tmp_path)
        assert {process.pid for process in found} == {process.pid for process in runs[:2]}
        runs[0].kill()
        os.waitid(os.P_PID, runs[0].pid, os.WEXITED | os.WNOWAIT)  # dead, and not yet collected
        assert {process.pid for process in processes("mine", tmp_path)} == {runs[1].pid}
    finally:
        for process in runs:
            process.kill()
            process.wait()


def test_parts_of_a_run_are_told_apart():
    lines = [
        (1, 0, "bash /p/run.sh --recipe /r"),
        (2, 1, "bash /p/stages/03_distill.sh --recipe /r"),
        (3, 2, "perl /p/tools/run.pl --operators false d.log python -m svmixer distill"),
        (4, 3, "python -m svmixer distill --config c"),
        (5, 4, "python -m svmixer distill --config c"),
        (6, 1, "/v/bin/python3 -m svmixer extract --config c"),
        (7, 1, "task-guard"),
        (8, 2, "tail -F d.log"),
        (9, 2, "bash /p/stages/03_distill.sh --recipe /r"),
    ]
    found = [Found(pid, parent, tuple(words.split()), 0) for pid, parent, words in lines]
    assert {role: [process.pid for process in members] for role, members in by_role(found).items()} == {
        "driver": [1], "stage script": [2], "dispatcher": [3], "training": [4], "data worker": [5],
        "program": [6], "guard": [7], "other": [8, 9],
    }  # fmt: skip


SCRIPT = """set -eu
mkdir -p exp/t/score/s
for part in 1 2 3 4 5 6; do
    [ -f part$part ] || { sleep 0.3; echo $part >new; mv new part$part; }
done
cat part? >exp/t/score/s/scores
"""
BROKEN = {
    "sound": ("", None),
    "orphan": ("setsid sleep 300 &\n", "left behind 3 s after the run's end: .*sleep 300"),
    "result": ("date +%N >part1\n", "differing or half-written: exp/t/score/s/scores"),
    "litter": ("touch .a.12345678.tmp\n", r"differing or half-written: .*/\.a\.12345678\.tmp"),
    "failure": (
        "[ ! -f part3 ] || exit 7\n",
        "that nothing has hit ended with status 7|last run ended with status 7",
    ),
}


@pytest.mark.slow
@pytest.mark.parametrize("case", BROKEN)
def test_what_chaos_is_there_to_find_is_found(case, tmp_path):
    """A run in small, sound or with one of the faults, killed four times."""
    fault, message = BROKEN[case]
    (tmp_path / "run.sh").write_text(SCRIPT.replace("mkdir", f"{fault}mkdir", 1))
    (tmp_path / "whole").mkdir()
    (tmp_path / "whole/run.sh").write_text(SCRIPT)
    subprocess.run(["bash", tmp_path / "whole/run.sh"], cwd=tmp_path / "whole", check=True)
    chaos = Chaos(["bash", str(tmp_path / "run.sh")], tmp_path / "whole", tmp_path / "work",
                  random.Random(0), longest=1.0, patience=3.0)  # fmt: skip
    if message is None:
        chaos.play(kills=4)
        assert chaos.counts.keys() <= {"driver", "everything"} and chaos.counts.total() == 4
    else:
        with pytest.raises(SystemExit, match=message):
            chaos.play(kills=4)
    # What it found it has killed; the system takes a moment to bury it.
    deadline = time.monotonic() + 30
    while processes(chaos.mark, tmp_path) and time.monotonic() < deadline:
        time.sleep(0.1)
    assert processes(chaos.mark, tmp_path) == []


@pytest.mark.slow
@pytest.mark.recipe
@pytest.mark.timeout(1800)
def test_random_kills_end_in_the_same_scores(finished, recipe, tmp_path):
    seed = random.randrange(1 << 30)
    print(f"seed {seed}")
    chaos = Chaos(toy_command(recipe), finished, tmp_path, random.Random(seed), longest=10.0)
    chaos.play(kills=8)
    assert sum(chaos.counts.values()) == 8
