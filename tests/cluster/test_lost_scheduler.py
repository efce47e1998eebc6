"""slurm.pl and queue.pl on real schedulers whose daemons die, restart, hold, forget and repeat."""

from __future__ import annotations

import os
import re
import signal
import time
from pathlib import Path

import pytest
from clusters import Cluster, is_running, up_to_shepherd, wait_for
from dispatching import SLEEPER, Call, Report, last_of, wait_dead

pytestmark = pytest.mark.cluster

MASTER = {"slurm": "slurmctld", "sge": "sge_qmaster"}
# A task that waits for a file.
WAITER = "echo $$ > JOB.pid.new; mv JOB.pid.new JOB.pid; until [ -e go ]; do sleep 0.1; done; echo done JOB"


@pytest.fixture
def master(cluster: Cluster):
    """The name of the daemon that clients talk to; it runs again after the test."""
    yield MASTER[cluster.name]
    cluster.start()


def test_unreachable_at_submission(cluster, master, tmp_path, detected):
    cluster.kill(master)
    call = Call(cluster, tmp_path, "--submit-timeout", 3, "JOB=1:2", "log/a.JOB.log", "true")
    said = call.said("the scheduler cannot be reached (")
    detected("scheduler unreachable at submission", cluster, call.began, said, since="the call")
    assert call.finish() == 1
    assert "gave up after " in call.stderr
    assert call.ended - call.began < 30


def test_reachable_in_time_for_submission(cluster, master, tmp_path):
    cluster.kill(master)
    call = Call(cluster, tmp_path, "JOB=1:2", "log/a.JOB.log", "touch", "did.JOB")
    call.said("the scheduler cannot be reached (")
    cluster.start()
    assert call.finish(90) == 0, call.stderr
    assert sorted(path.name for path in tmp_path.glob("did.*")) == ["did.1", "did.2"]
    call.left_nothing()


def test_master_killed_and_restarted_in_mid_wait(cluster, master, tmp_path, detected):
    call = Call(cluster, tmp_path, "JOB=1:3", "log/a.JOB.log", "bash", "-c", f"{WAITER}; [ JOB != 2 ]")
    job, pids = call.job(), call.pids(1, 2, 3)
    # Slurm writes down every few seconds what it has started; without that it would start the tasks again.
    time.sleep(6)
    happened = time.monotonic()
    cluster.kill(master)
    said = call.said("the scheduler cannot be asked (")
    detected("scheduler unreachable in mid-wait", cluster, happened, said)
    # All tasks end while nobody can be asked.
    (tmp_path / "go").touch()
    for pid in pids.values():
        wait_dead(pid)
    happened = time.monotonic()
    report = Report(call, job, 2)
    cluster.start()
    assert call.finish(90) == 1
    case = "failed task, after a restart of the scheduler"
    detected(case, cluster, happened, call.ended, report.at, since="its restart")
    assert "failed tasks: 2 (exit code 1)" in call.stderr
    assert "JOB=2" in call.rerun_words()
    for number in (1, 3):
        assert call.log(f"log/a.{number}.log") == f"done {number}\n"


def test_node_daemon_killed_and_restarted(cluster, tmp_path):
    """A daemon of the node that comes back soon loses nothing."""
    call = Call(cluster, tmp_path, "a.log", "bash", "-c", WAITER.replace("JOB", "1"))
    job = call.job()
    (pid,) = call.pids(1).values()
    (task,) = cluster.tasks(job).values()
    cluster.kill({"slurm": f"slurmd-{task.node}", "sge": "sge_execd"}[cluster.name])
    time.sleep(1)
    assert is_running(pid)
    cluster.start()
    (tmp_path / "go").touch()
    assert call.finish(60) == 0, call.stderr
    assert call.stderr == ""
    assert call.log("a.log") == "done 1\n"


def write_config(directory: Path, text: str) -> None:
    (directory / "conf").mkdir(exist_ok=True)
    for name in ("slurm.conf", "queue.conf"):
        (directory / "conf" / name).write_text(text)


def held_config(cluster: Cluster, directory: Path) -> None:
    """A configuration whose jobs wait until they are released."""
    command = {
        "slurm": "sbatch --export=ALL --hold",
        "sge": "qsub -v PATH -S /bin/bash -h",
    }[cluster.name]
    write_config(directory, f"command {command}\n")


def release(cluster: Cluster, job: str) -> None:
    if cluster.name == "slurm":
        cluster.call("scontrol", "release", job)
    else:
        cluster.call("qrls", "-h", "u", job)


def test_held_job_is_said_and_waited_for(cluster, tmp_path, detected):
    held_config(cluster, tmp_path)
    call = Call(cluster, tmp_path, "JOB=1:2", "log/a.JOB.log", "true")
    said = call.said(" are held (")
    detected("held job", cluster, call.began, said, since="the call")
    release(cluster, call.job())
    assert call.finish() == 0, call.stderr


def test_log_directory_removed_before_the_start(cluster, tmp_path, detected):
    held_config(cluster, tmp_path)
    call = Call(cluster, tmp_path, "JOB=1:2", "log/a.JOB.log", "true")
    call.said(" are held (")
    job = call.job()
    (tmp_path / "log").rename(tmp_path / "elsewhere")
    happened = time.monotonic()
    release(cluster, job)
    reports = [Report(call, job, number) for number in (1, 2)]
    assert call.finish() == 1
    case = "log directory gone before the start"
    detected(case, cluster, happened, call.ended, last_of(reports), since="the release")
    assert "failed tasks: 1:2 (ended without a result" in call.stderr
    assert "JOB=1:2" in call.rerun_words()
    call.left_nothing()


def test_error_state(sge, tmp_path, detected):
    """What Grid Engine cannot start at all waits in the state Eqw for ever."""
    write_config(tmp_path, "command qsub -v PATH -S /no/such/shell\n")
    call = Call(sge, tmp_path, "JOB=1:2", "log/a.JOB.log", "true")
    job = call.job()
    wait_for(lambda: call.ended or "Eqw" in {task.state for task in sge.tasks(job).values()})
    happened = time.monotonic()
    assert call.finish() == 1
    detected("error state (Eqw)", sge, happened, call.ended, happened, since="the scheduler says so")
    assert "failed tasks: 1:2 (error state Eqw" in call.stderr
    assert 'unable to find shell "/no/such/shell"' in call.stderr
    assert "JOB=1:2" in call.rerun_words()
    call.left_nothing()


@pytest.mark.parametrize("place", ["/proc/svmixer/a.JOB.log", "file/a.JOB.log"])
def test_log_directory_that_cannot_be_made(cluster, tmp_path, detected, place):
    (tmp_path / "file").touch()
    call = Call(cluster, tmp_path, "JOB=1:2", place, "true")
    assert call.finish() == 1
    detected("log directory that cannot be made", cluster, call.began, call.ended, since="the call")
    assert f"cannot make the log directory {place.rpartition('/')[0]}" in call.stderr
    call.left_nothing()


def test_job_that_waits_for_what_cannot_come(slurm, tmp_path, detected):
    failed = slurm.call("sbatch", "--parsable", "--output=/dev/null", "--wrap", "exit 1").strip()
    wait_for(lambda: {task.state for task in slurm.tasks(failed).values()} == {"FAILED"})
    write_config(tmp_path, f"command sbatch --export=ALL --dependency=afterok:{failed}\n")
    call = Call(slurm, tmp_path, "JOB=1:2", "log/a.JOB.log", "true")
    assert call.finish() == 1
    detected("waits for what can never come", slurm, call.began, call.ended, since="the call")
    assert "failed tasks: 1:2 (can never run" in call.stderr
    assert "DependencyNeverSatisfied" in call.stderr
    call.left_nothing()


def test_requeued_task_with_two_copies_at_once(slurm, tmp_path):
    """The daemon of a node dies, its task lives on, a second copy runs elsewhere: the log is that of one."""
    write_config(tmp_path, "command sbatch --export=ALL --requeue\n")
    script = """n=$(ls | grep -c '^copy[.]'); echo $$ > new.$n; mv new.$n copy.$n; i=0
        until [ -e go ]; do echo "copy $n line $((i++))"; sleep 0.02; done; echo "copy $n ends after $i" """
    call = Call(slurm, tmp_path, "a.log", "bash", "-c", script)
    job = call.job()
    wait_for(lambda: (tmp_path / "copy.0").exists())
    (task,) = slurm.tasks(job).values()
    slurm.kill(f"slurmd-{task.node}")
    try:
        slurm.call("scontrol", "update", f"NodeName={task.node}", "State=DOWN", "Reason=test")
        wait_for(lambda: (tmp_path / "copy.1").exists(), 60, "the second copy")
        copies = [int((tmp_path / f"copy.{n}").read_text()) for n in (0, 1)]
        time.sleep(1)
        assert all(map(is_running, copies)) and not call.ended
        (tmp_path / "go").touch()
        assert call.finish(90) == 0, call.stderr
        # The other copy may end later, and must not touch what is there.
        for pid in copies:
            wait_dead(pid)
        time.sleep(0.5)
        *lines, end = call.log("a.log").splitlines()
        copy = end.split()[1]
        assert lines == [f"copy {copy} line {i}" for i in range(len(lines))] and len(lines) > 20
        assert end == f"copy {copy} ends after {len(lines)}"
    finally:
        (tmp_path / "go").touch()
        slurm.start()
    call.left_nothing()


def test_requeue_by_an_administrator(slurm, tmp_path):
    write_config(tmp_path, "command sbatch --export=ALL --requeue\n")
    script = f"echo JOB >> ran; [ $(grep -cx JOB ran) = 1 ] || exit 0; {SLEEPER}"
    call = Call(slurm, tmp_path, "JOB=1:2", "log/a.JOB.log", "bash", "-c", script)
    job = call.job()
    call.pids(1, 2)
    slurm.call("scontrol", "requeue", f"{job}_2")
    slurm.call("scontrol", "requeue", f"{job}_1")
    assert call.finish(90) == 0, call.stderr
    assert sorted((tmp_path / "ran").read_text().split()) == ["1", "1", "2", "2"]


def test_scheduler_forgets_the_job(slurm, tmp_path):
    """A controller that starts without its state knows none of the jobs."""
    call = Call(slurm, tmp_path, "JOB=1:2", "log/a.JOB.log", "bash", "-c", f"[ JOB = 1 ] || {{ {SLEEPER}; }}")
    pids = call.pids(2)
    wait_for(lambda: (tmp_path / "log/.dispatch/a.1.log.done").exists())
    slurm.kill("slurmctld")
    (slurm.directory / "state").rename(slurm.directory / "state.lost")
    (slurm.directory / "state").mkdir()
    slurm.start()
    assert call.finish(60) == 1
    assert "1 / 2 failed" in call.stderr and "failed tasks: 2 (" in call.stderr
    wait_dead(pids[2])


@pytest.fixture
def short_memory(cluster: Cluster):
    """Slurm forgets jobs two seconds after their end; Grid Engine always forgets them at once."""

    def remember(seconds: int) -> None:
        config = cluster.directory / "slurm.conf"
        config.write_text(re.sub(r"(?m)^MinJobAge=\d+$", f"MinJobAge={seconds}", config.read_text()))
        cluster.call("scontrol", "reconfigure")

    if cluster.name == "slurm":
        remember(2)
    yield
    if cluster.name == "slurm":
        remember(300)


def test_cancelled_while_the_dispatcher_was_suspended(cluster, short_memory, tmp_path):
    """The end of a job that has been forgotten meanwhile is a failure of the tasks without a result."""
    script = f"[ JOB = 1 ] || {{ {SLEEPER}; }}"
    call = Call(cluster, tmp_path, "JOB=1:2", "log/a.JOB.log", "bash", "-c", script)
    job = call.job()
    call.pids(2)
    wait_for(lambda: (tmp_path / "log/.dispatch/a.1.log.done").exists())
    call.process.send_signal(signal.SIGSTOP)
    cluster.cancel(job)
    wait_for(lambda: job not in cluster.jobs() and not cluster.tasks(job), 60)
    call.process.send_signal(signal.SIGCONT)
    assert call.finish(90) == 1
    assert "1 / 2 failed" in call.stderr
    causes = "cancelled|ended by signal SIGTERM|ended without a result"
    assert re.search(rf"failed tasks: 2 \(({causes})", call.stderr), call.stderr


def test_host_lost(sge, tmp_path, detected):
    """Grid Engine says that it has not heard of a host (state u), and leaves its jobs as they are."""
    call = Call(sge, tmp_path, "JOB=1:2", "log/a.JOB.log", "bash", "-c", f"[ JOB = 2 ] || exit 0; {SLEEPER}")
    pids = call.pids(2)
    processes = up_to_shepherd(pids[2])
    sge.kill("sge_execd")
    try:
        for pid in reversed(processes):
            os.kill(pid, signal.SIGKILL)
        wait_for(lambda: re.search(r"(?m)^all\.q@.* \w*u\w*\s*$", sge.call("qstat", "-f")), 60, "state u")
        happened = time.monotonic()
        assert call.finish(120) == 1
        detected("node down", sge, happened, call.ended, happened, since="the scheduler says so")
        assert "failed tasks: 2 (node lost" in call.stderr
    finally:
        sge.start()
    call.left_nothing()
