"""slurm.pl and queue.pl on real schedulers: a task that fails is named, soon, with the cause."""

from __future__ import annotations

import re
import subprocess
import time

import pytest
from clusters import CannotRun, Cluster, Slurm, is_running, wait_for
from dispatching import SLEEPER, Call, Report, last_of, wait_dead

pytestmark = pytest.mark.cluster


def check_report(call: Call, count: str, causes: dict[str, str], again: str) -> None:
    """How many failed, which tasks with what cause, and the command that runs just these again."""
    lines = [line.removeprefix(f"{call.cluster.dispatcher}: ") for line in call.stderr.splitlines()]
    assert any(line.startswith(f"{count} failed, log is in ") for line in lines), call.stderr
    tasks = next(line for line in lines if line.startswith("failed tasks: ")).removeprefix("failed tasks: ")
    for numbers, cause in causes.items():
        assert f"; {numbers} ({cause}" in f"; {tasks}", call.stderr
    assert f"JOB={again}" in call.rerun_words(), call.stderr


def rerun(call: Call) -> subprocess.CompletedProcess:
    """The offered command, pasted into a shell."""
    return subprocess.run(
        ["bash", "-c", call.rerun_command()],
        cwd=call.directory,
        env=call.cluster.env(),
        capture_output=True,
        text=True,
        timeout=60,
    )


def test_failed_tasks_are_named_and_can_be_run_again(cluster, tmp_path, detected):
    script = """echo JOB >> ran; [ ! -e fixed ] || exit 0; echo "from JOB: finished with status 0"
        case JOB in 2 | 4) date +%s.%N > end.JOB; exit 3 ;; 5) kill -9 $$ ;; esac"""
    call = Call(cluster, tmp_path, "JOB=1:5", "log/a.JOB.log", "bash", "-c", script)
    assert call.finish() == 1
    now = time.time() - (time.monotonic() - call.ended)
    last = max(float((tmp_path / f"end.{n}").read_text()) for n in (2, 4))
    detected("exit code of a task", cluster, last, now, since="the command's end")
    check_report(call, "3 / 5", {"2,4": "exit code 3)", "5": "ended by signal SIGKILL"}, "2,4:5")
    assert f"{cluster.dispatcher}:     from 2: finished with status 0\n" in call.stderr
    (tmp_path / "fixed").touch()
    (tmp_path / "ran").unlink()
    again = rerun(call)
    assert (again.returncode, again.stderr) == (0, "")
    assert sorted((tmp_path / "ran").read_text().split()) == ["2", "4", "5"]


def test_codes_that_mean_something_to_schedulers_are_plain_failures(cluster, tmp_path):
    # Grid Engine would run a job again that ends with 99, and keep one that ends with 100.
    script = "echo JOB >> ran; codes=(99 100 137); exit ${codes[JOB - 1]}"
    call = Call(cluster, tmp_path, "JOB=1:3", "a.JOB.log", "bash", "-c", script)
    assert call.finish() == 1
    check_report(call, "3 / 3", {"1": "exit code 99", "2": "exit code 100", "3": "exit code 137"}, "1:3")
    assert sorted((tmp_path / "ran").read_text().split()) == ["1", "2", "3"]
    call.left_nothing()


def test_job_cancelled(cluster, tmp_path, detected):
    call = Call(cluster, tmp_path, "JOB=1:3", "log/a.JOB.log", "bash", "-c", SLEEPER)
    pids = call.pids(1, 2, 3)
    job = call.job()
    happened = time.monotonic()
    cluster.cancel(job)
    reports = [Report(call, job, number) for number in pids]
    assert call.finish() == 1
    detected("job cancelled", cluster, happened, call.ended, last_of(reports))
    check_report(call, "3 / 3", {"1:3": "cancelled"}, "1:3")
    assert not any(map(is_running, pids.values()))


def test_one_task_cancelled(cluster, tmp_path, detected):
    script = f"[ JOB = 2 ] || {{ until [ -e go ]; do sleep 0.1; done; exit; }}; {SLEEPER}"
    call = Call(cluster, tmp_path, "JOB=1:3", "log/a.JOB.log", "bash", "-c", script)
    job, pids = call.job(), call.pids(2)
    happened = time.monotonic()
    cluster.cancel(job, 2)
    report = Report(call, job, 2)
    said = call.said("task 2 failed: cancelled")
    (tmp_path / "go").touch()
    assert call.finish() == 1
    detected("one task cancelled", cluster, happened, said, report.at)
    check_report(call, "1 / 3", {"2": "cancelled"}, "2")
    assert not is_running(pids[2])


def test_waiting_job_cancelled(cluster, tmp_path, detected):
    words = ["--max-jobs-run", 1, "JOB=1:3", "log/a.JOB.log", "bash", "-c", SLEEPER]
    call = Call(cluster, tmp_path, *words)
    wait_for(lambda: list(tmp_path.glob("*.pid")))
    (first,) = (int(path.stem) for path in tmp_path.glob("*.pid"))
    waiting = {1, 2, 3} - {first}
    job = call.job()
    happened = time.monotonic()
    for number in waiting:
        cluster.cancel(job, number)
    reports = [Report(call, job, number) for number in waiting]
    last = max(call.said(f"task {number} failed: cancelled") for number in waiting)
    detected("waiting tasks cancelled", cluster, happened, last, last_of(reports))
    assert not call.ended
    cluster.cancel(job)
    assert call.finish() == 1
    check_report(call, "3 / 3", {}, "1:3")
    causes = call.stderr.partition("failed tasks: ")[2].partition("\n")[0]
    assert len(re.findall(r"(?:^|; )[\d,:]+ \(", causes)) == len(re.findall(r"\(cancelled", causes)), causes


def test_time_limit(cluster, tmp_path, detected):
    # Slurm looks at limits every 30 s, and at whole minutes only: there the limit is cut in mid-run.
    limit = [] if cluster.name == "slurm" else ["--time", "0:04"]
    call = Call(
        cluster,
        tmp_path,
        *limit,
        "JOB=1:2",
        "log/a.JOB.log",
        "bash",
        "-c",
        f"[ JOB = 2 ] || exit 0; {SLEEPER}",
    )
    job, pids = call.job(), call.pids(2)
    if cluster.name == "slurm":
        cluster.call("scontrol", "update", f"JobId={job}_2", "TimeLimit=0")
    report = Report(call, job, 2)
    died = wait_dead(pids[2])
    assert call.finish() == 1
    detected("time limit", cluster, died, call.ended, report.at, since="the task's death")
    check_report(call, "1 / 2", {"2": "time limit"}, "2")


# Takes more than a job may, and a little time, for Slurm looks once a second.
HUNGRY = """python3 -c 'import time; x = bytearray(400_000_000); time.sleep(30)' & echo $! > JOB.pid.new
    mv JOB.pid.new JOB.pid; wait $!"""


def test_memory_limit(slurm, tmp_path, detected):
    check_memory_limit(slurm, tmp_path, detected, "memory limit, polled by Slurm")


def check_memory_limit(cluster: Cluster, directory, detected, case: str) -> None:
    script = f"[ JOB = 2 ] || exit 0; {HUNGRY}"
    call = Call(cluster, directory, "--mem", "100M", "JOB=1:2", "log/a.JOB.log", "bash", "-c", script)
    report = Report(call, call.job(), 2)
    died = wait_dead(call.pids(2)[2])
    assert call.finish() == 1
    detected(case, cluster, died, call.ended, report.at, since="the task's death")
    check_report(call, "1 / 2", {"2": "out of memory"}, "2")


def test_memory_limit_of_the_kernel(tmp_path, detected):
    try:
        cluster = Slurm("--cgroup", "true")
    except CannotRun as reason:
        pytest.skip(str(reason))
    try:
        check_memory_limit(cluster, tmp_path, detected, "memory limit, by the kernel")
    finally:
        cluster.stop()


def test_node_down(slurm, tmp_path, detected):
    call = Call(
        slurm, tmp_path, "JOB=1:2", "log/a.JOB.log", "bash", "-c", f"[ JOB = 2 ] || exit 0; {SLEEPER}"
    )
    job, pids = call.job(), call.pids(2)
    wait_for(lambda: (tmp_path / "log/.dispatch/a.1.log.done").exists())
    node = slurm.tasks(job)[2].node
    happened = time.monotonic()
    slurm.call("scontrol", "update", f"NodeName={node}", "State=DOWN", "Reason=test")
    report = Report(call, job, 2)
    assert call.finish() == 1
    detected("node down", slurm, happened, call.ended, report.at)
    check_report(call, "1 / 2", {"2": "node lost"}, "2")
    wait_dead(pids[2])
    wait_for(slurm.ready)


def test_lost_node_is_tried_again(slurm, tmp_path):
    script = f"echo JOB >> ran; [ $(grep -cx JOB ran) = 1 ] || exit 0; {SLEEPER}"
    call = Call(slurm, tmp_path, "--retries", 1, "JOB=1:2", "log/a.JOB.log", "bash", "-c", script)
    job, pids = call.job(), call.pids(1, 2)
    nodes = {number: slurm.tasks(job)[number].node for number in (1, 2)}
    lost = [number for number in (1, 2) if nodes[number] == nodes[1]]
    slurm.call("scontrol", "update", f"NodeName={nodes[1]}", "State=DOWN", "Reason=test")
    call.said(": node lost (")
    for number in {1, 2} - set(lost):
        subprocess.run(["kill", str(pids[number])], check=True)
    code = call.finish(90)
    assert code == (0 if len(lost) == 2 else 1), call.stderr
    assert "trying again in" in call.stderr and "(1 of 1)" in call.stderr
    assert sorted((tmp_path / "ran").read_text().split()) == sorted(["1", "2", *map(str, lost)])
    wait_for(slurm.ready)


def test_request_that_nothing_can_meet(cluster, tmp_path, detected):
    call = Call(cluster, tmp_path, "--mem", "500G", "JOB=1:2", "log/a.JOB.log", "true")
    assert call.finish() == 1
    detected("request that nothing can meet", cluster, call.began, call.ended, since="the call")
    assert "submission refused: " in call.stderr
    words = {"slurm": "Memory specification can not be satisfied", "sge": "no suitable queues"}
    assert words[cluster.name] in call.stderr
    call.left_nothing()
