"""slurm.pl and queue.pl that are told to stop, or that die, leave no job behind."""

from __future__ import annotations

import os
import shlex
import signal
import subprocess
import time

import pytest
from clusters import ROOT, is_running, wait_for
from dispatching import SLEEPER, Call, wait_dead

pytestmark = pytest.mark.cluster


def test_signal_cancels_the_job(cluster, tmp_path, detected):
    call = Call(cluster, tmp_path, "--max-jobs-run", 2, "JOB=1:4", "log/a.JOB.log", "bash", "-c", SLEEPER)
    wait_for(lambda: len(list(tmp_path.glob("*.pid"))) == 2)
    pids = [int(path.read_text()) for path in tmp_path.glob("*.pid")]
    happened = time.monotonic()
    call.process.terminate()
    assert call.finish() == 2
    detected("told to stop: job cancelled and gone", cluster, happened, call.ended, since="TERM")
    assert f"{cluster.dispatcher}: SIGTERM: cancelled the tasks" in call.stderr
    assert not any(map(is_running, pids))
    call.left_nothing()
    assert len(list(tmp_path.glob("*.pid"))) == 2


SAVER = "trap 'sleep 1; echo saved > saved; exit 5' {}; echo $$ > 1.pid; while :; do sleep 0.05; done"


def test_tasks_may_save_before_they_end(cluster, tmp_path):
    """Slurm sends TERM; Grid Engine USR2 to those who asked for a notice, and KILL at once to others."""
    script = SAVER.format({"slurm": "TERM", "sge": "USR2"}[cluster.name])
    call = Call(
        cluster, tmp_path, "--kill-wait", 20, "--time", 10, "--notice", 60, "a.log", "bash", "-c", script
    )
    wait_for(lambda: (tmp_path / "1.pid").exists() and (tmp_path / "1.pid").read_text().endswith("\n"))
    call.process.terminate()
    assert call.finish() == 2
    assert (tmp_path / "saved").read_text() == "saved\n"


def test_tasks_may_save_before_the_time_limit(cluster, tmp_path):
    """Slurm looks every 30 s whose time is running out."""
    limit = {"slurm": ("1:00", 30), "sge": ("0:20", 17)}[cluster.name]
    call = Call(
        cluster,
        tmp_path,
        *("--time", limit[0], "--notice", limit[1]),
        "a.log",
        "bash",
        "-c",
        SAVER.format("USR1"),
    )
    assert call.finish(90) == 1
    assert (tmp_path / "saved").read_text() == "saved\n"
    assert "failed with exit code 5" in call.stderr


def test_killed_dispatcher_leaves_no_job(cluster, tmp_path, detected):
    call = Call(cluster, tmp_path, "JOB=1:2", "log/a.JOB.log", "bash", "-c", SLEEPER)
    pids = call.pids(1, 2)
    happened = time.monotonic()
    os.kill(call.process.pid, signal.SIGKILL)
    last = max(wait_dead(pid) for pid in pids.values())
    detected("dispatcher killed: tasks gone", cluster, happened, last, since="KILL")
    call.left_nothing()


def test_dispatcher_ends_with_its_driver(cluster, tmp_path):
    driver = subprocess.Popen(["sleep", "600"])
    words = ["JOB=1:2", "log/a.JOB.log", "bash", "-c", SLEEPER]
    call = Call(cluster, tmp_path, *words, DISPATCH_DRIVER_PID=str(driver.pid))
    pids = call.pids(1, 2)
    driver.kill()
    driver.wait()
    assert call.finish() == 2
    assert "cancelled the tasks" in call.stderr
    assert not any(map(is_running, pids.values()))


def test_stopped_while_the_scheduler_is_away(cluster, tmp_path):
    """What cannot be cancelled is named; it is cancelled as soon as the scheduler is back."""
    call = Call(cluster, tmp_path, "a.log", "bash", "-c", SLEEPER.replace("JOB", "1"))
    job = call.job()
    (pid,) = call.pids(1).values()
    # Slurm writes down every few seconds what it has started.
    time.sleep(6)
    cluster.kill({"slurm": "slurmctld", "sge": "sge_qmaster"}[cluster.name])
    try:
        call.process.terminate()
        assert call.finish(90) == 2
        assert f"SIGTERM: could not cancel {job} yet" in call.stderr
        assert is_running(pid)
    finally:
        cluster.start()
    wait_dead(pid)
    # A host whose daemon was started anew tells of its jobs after a while.
    call.left_nothing(120)


# As run.sh runs a dispatcher; the options of sbatch are those of docs/cluster.md, but for their numbers.
DRIVER = """\
trap 'exit 2' TERM INT HUP
. "$0/path.sh"
. "$0/tools/run_child.sh"
export DISPATCH_DRIVER_PID=$$
run_child slurm.pl JOB=1:2 log/a.JOB.log bash -c "$1"
"""


@pytest.mark.slow
def test_a_driver_in_a_job_of_its_own_cancels_its_tasks(slurm, tmp_path):
    """The signal that --signal=B:TERM asks for reaches it before its time limit, up to a minute early."""
    words = shlex.join(["exec", "bash", "-c", DRIVER, str(ROOT), SLEEPER])
    options = ["--time=2", "--cpus-per-task=1", "--mem=200M", "--signal=B:TERM@30", f"--chdir={tmp_path}"]
    log = tmp_path / "run.log"
    slurm.call("sbatch", *options, f"--output={log}", "--wrap", words)
    wait_for(lambda: len(list(tmp_path.glob("*.pid"))) == 2)
    pids = [int(path.read_text()) for path in tmp_path.glob("*.pid")]
    wait_for(lambda: "SIGTERM: cancelled the tasks" in log.read_text(), 120)
    assert not any(map(is_running, pids))
