"""tools/run_child.sh, and what the stages make of it: a script that is told to stop ends with all it runs."""

import os
import signal
import subprocess
import time
from pathlib import Path

import pytest
from run_pl_helpers import ROOT, is_running, read_pids, wait_until

# A child that waits for another one, as a script for a program.
CHILD = 'echo $$ >a.pid; bash -c "echo \\$\\$ >b.pid; sleep 300; true"; true'


def start(script: str, folder: Path, child: str = "") -> subprocess.Popen:
    """A script that has run_child, in a process group of its own, with ``child`` as a script beside it."""
    (folder / "child").write_text(child)
    text = f'set -euo pipefail; . "{ROOT}/tools/run_child.sh"\n{script}'
    return subprocess.Popen(
        ["bash", "-c", text], cwd=folder, stdout=subprocess.PIPE, text=True, start_new_session=True
    )


@pytest.mark.parametrize(("child", "status"), [("true", 0), ("exit 7", 7), ("kill $$", 143)])
def test_the_status_of_the_child(tmp_path, child, status):
    run = start("run_child bash child && echo 0 || echo $?", tmp_path, child)
    assert run.communicate(timeout=10)[0] == f"{status}\n"


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
@pytest.mark.parametrize("kill", [os.kill, os.killpg])
def test_all_below_the_child_ends(tmp_path, kill, number):
    run = start("run_child bash child", tmp_path, CHILD)
    wait_until(lambda: len(read_pids(tmp_path)) == 2)
    kill(run.pid, number)
    assert run.wait(timeout=10) == 2
    wait_until(lambda: not any(map(is_running, read_pids(tmp_path))))


@pytest.mark.slow
@pytest.mark.parametrize("attempt", range(5))
def test_what_starts_while_the_child_is_told_ends_too(tmp_path, attempt):
    name = f"30{attempt}.{os.getpid()}"
    child = f"echo $$ >a.pid; for i in {{1..2000}}; do sleep {name} & done; wait"
    run = start("run_child bash child", tmp_path, child)
    wait_until(lambda: read_pids(tmp_path))
    time.sleep(0.2 + 0.1 * attempt)
    run.terminate()
    assert run.wait(timeout=30) == 2
    wait_until(lambda: not subprocess.run(["pgrep", "-f", f"^sleep {name}"], stdout=subprocess.PIPE).stdout)


def test_what_has_a_process_group_of_its_own_is_not_told(tmp_path):
    """As the tasks of a dispatcher: it tells them itself."""
    (tmp_path / "task").write_text("trap 'echo >told' TERM; echo $$ >a.pid; sleep 1; echo >ended\n")
    run = start("run_child bash child", tmp_path, "setsid bash task; true")
    wait_until(lambda: read_pids(tmp_path))
    run.terminate()
    assert run.wait(timeout=10) == 2
    wait_until((tmp_path / "ended").exists)
    assert not (tmp_path / "told").exists()


def test_what_the_script_does_at_a_signal_holds_again_afterwards(tmp_path):
    run = start("trap 'exit 2' TERM INT HUP; run_child true; echo >a.pid; sleep 1; echo on", tmp_path)
    wait_until((tmp_path / "a.pid").exists)
    run.terminate()
    assert run.communicate(timeout=10)[0] == "" and run.returncode == 2


def test_a_child_that_ends_well_all_the_same_does_not_hide_the_signal(tmp_path):
    child = "trap 'sleep 0.5; exit 0' TERM; echo $$ >a.pid; while :; do sleep 0.02; done"
    run = start('run_child bash child; echo "went on"', tmp_path, child)
    wait_until(lambda: read_pids(tmp_path))
    run.terminate()
    assert run.communicate(timeout=10)[0] == "" and run.returncode == 2


# A training in small: it says that it has saved, after all others of the process group have been told.
JOB = """trap 'sleep 1; echo "(x:1) INFO: saved"; exit 75' TERM
echo $$ >a.pid
while :; do sleep 0.05; done
"""


@pytest.mark.parametrize("kill", [os.kill, os.killpg])
def test_a_watched_job_ends_and_what_it_says_is_shown(tmp_path, kill):
    """bash may take the watcher, which the group's signal ended, for running: it is not waited for."""
    call = "dispatch_watched 'run.pl --kill-wait 60' exp/a.log bash child"
    run = start(f"force=false; . {ROOT}/stages/lib.sh; own exp; {call}", tmp_path, JOB)
    wait_until(lambda: read_pids(tmp_path))
    for _ in range(2):
        kill(run.pid, signal.SIGTERM)
        time.sleep(0.1)
    output, _ = run.communicate(timeout=20)
    assert (run.returncode, output) == (2, "(x:1) INFO: saved\n")
    assert "# Ended (code 75)" in (tmp_path / "exp/a.log").read_text()
    assert {path.name for path in (tmp_path / "exp").iterdir() if path.is_file()} == {".lock", "a.log"}
    assert subprocess.run(["flock", "-n", tmp_path / "exp/.lock", "true"]).returncode == 0


# The word for the task's number, and longer ones that a script might take instead.
NAMES = ["JOB", "JOB_", "a JOB8/JOB_ JOB__"]


@pytest.mark.parametrize("name", NAMES)
def test_no_path_or_option_of_the_pipeline_is_taken_for_the_task_s_number(tmp_path, name):
    call = f"run_tasks 'run.pl --resume true' 2 '{name}/log/a' printf '<%s> ' '{name}' '--x={name}'"
    run = start(f". {ROOT}/path.sh; {call}", tmp_path)
    assert run.wait(timeout=20) == 0
    for task in "12":
        log = (tmp_path / name / f"log/a.{task}.log").read_text()
        assert f"\n<{name}> <--x={name}> <--job> <{task}> \n" in log


@pytest.mark.parametrize("name", ["NODE", "NODE_", "TRAINING_NODE"])
@pytest.mark.parametrize("nodes", [1, 2])
def test_nor_of_a_training(tmp_path, name, nodes):
    options = f"train_cmd=run.pl num_nodes={nodes} ngpu=0 allow_changes=false max_resubmits=0"
    script = f"force=false; . {ROOT}/stages/lib.sh; . {ROOT}/stages/training.sh; {options}; own '{name}'"
    run = start(f"{script}; run_training '{name}' train printf '<%s> ' '{name}'", tmp_path)
    assert run.wait(timeout=20) == 0
    logs = sorted(path.name for path in (tmp_path / name).glob("*.log"))
    assert logs == (["train.log"] if nodes == 1 else ["train.1.log", "train.2.log"])
    for number, log in enumerate(logs, 1):
        text = (tmp_path / name / log).read_text()
        assert f"\n<{name}> <--device.ngpu> <0> " in text
        assert nodes == 1 or f"<--device.node> <{number}> " in text
