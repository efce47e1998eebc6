"""tools/run.pl: signals, and that no process of a task outlives what it works for."""

import fcntl
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from run_pl_helpers import RUN_PL, is_running, process_state, read_pids, wait_until

# Seconds: one, and one more for a machine under load.
PROMPT = 2.0

# A task with a child of its own; both leave their process ids.
TASK = "echo $$ > JOB.a.pid; bash -c 'echo $$ > JOB.b.pid; sleep 300; true'; true"


def start_tasks(run_pl, *options, count: int = 2, task: str = TASK, **started):
    """run.pl with `count` tasks that all run, and the process ids they wrote (two each)."""
    words = [*options, "--max-jobs-run", count, f"JOB=1:{count}", "t.JOB.log", "bash", "-c", task]
    process = run_pl.start(*words, **started)
    wait_until(lambda: len(read_pids(run_pl.directory)) == 2 * count)
    return process, read_pids(run_pl.directory)


def guard_of(pid: int) -> int:
    """The process that watches over the tasks of the run.pl `pid`."""
    for entry in Path("/proc").glob("[0-9]*"):
        state = process_state(int(entry.name))
        if state and state[1] == pid and is_running(int(entry.name)):
            try:
                if b"task-guard" in (entry / "cmdline").read_bytes():
                    return int(entry.name)
            except OSError:
                continue
    return 0


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_signal_reaches_the_tasks_and_ends_run_pl(run_pl, tmp_path, number):
    task = "trap 'echo told; exit 5' TERM; echo $$ > JOB.pid; while :; do sleep 0.02; done"
    words = ["--max-jobs-run", 2, "JOB=1:5", "t.JOB.log", "bash", "-c", task]
    process = run_pl.start(*words)
    wait_until(lambda: len(read_pids(tmp_path)) == 2)
    process.send_signal(number)
    sent = time.monotonic()
    _, message = process.communicate(timeout=10)
    assert process.returncode == 2
    assert time.monotonic() - sent < PROMPT
    assert message == f"run.pl: {number.name}: stopped the running tasks; not started: 3:5\n"
    assert [pid for pid in read_pids(tmp_path) if is_running(pid)] == []
    for task_number in (1, 2):
        log = run_pl.log(f"t.{task_number}.log")
        # bash may also say that its sleep was "Terminated".
        assert (log["output"].splitlines()[-1], log["end"]) == ("told", "code 5")
    assert not (tmp_path / "t.3.log").exists()


def test_untrapped_signal_ends_grandchildren_too(run_pl):
    process, pids = start_tasks(run_pl)
    process.terminate()
    assert process.wait(timeout=10) == 2
    assert [pid for pid in pids if is_running(pid)] == []
    assert run_pl.log("t.1.log")["end"] == "code 143; signal 15"


def test_deaf_tasks_are_killed_after_the_wait(run_pl):
    process, pids = start_tasks(run_pl, "--kill-wait", 1, task="trap '' TERM; " + TASK)
    process.terminate()
    sent = time.monotonic()
    assert process.wait(timeout=20) == 2
    assert 0.9 <= time.monotonic() - sent < 5
    assert [pid for pid in pids if is_running(pid)] == []
    assert run_pl.log("t.2.log")["end"] == "code 137; signal 9"


@pytest.mark.slow
def test_a_second_signal_does_not_wait(run_pl):
    process, pids = start_tasks(run_pl, "--kill-wait", 300, task="trap '' TERM; " + TASK)
    process.terminate()
    time.sleep(2.5)
    assert process.poll() is None
    process.send_signal(signal.SIGINT)
    assert process.wait(timeout=10) == 2
    assert [pid for pid in pids if is_running(pid)] == []


def test_a_signal_that_comes_several_times_is_one(run_pl, tmp_path):
    # As from a process group that is told to stop, whose scripts pass it on.
    saver = "trap 'sleep 1.5; echo saved > saved; exit' TERM; echo $$ > 1.pid; while :; do sleep 0.02; done"
    process = run_pl.start("--kill-wait", 300, "t.log", "bash", "-c", saver)
    wait_until(lambda: read_pids(tmp_path))
    for number in (signal.SIGHUP, signal.SIGTERM, signal.SIGTERM):
        process.send_signal(number)
        time.sleep(0.2)
    _, message = process.communicate(timeout=20)
    assert (process.returncode, message) == (2, "run.pl: SIGHUP: stopped the running tasks\n")
    assert (tmp_path / "saved").read_text() == "saved\n"


def test_all_parts_of_a_pipe_may_finish_their_work(run_pl, tmp_path):
    # TERM ends the bash around the pipe at once; the part that still saves something must not be killed.
    saver = "trap 'sleep 0.5; echo saved > saved; exit' TERM; echo $$ > 1.pid; while :; do sleep 0.02; done"
    process = run_pl.start("t.log", "bash", "-c", saver, "|", "cat")
    wait_until(lambda: read_pids(tmp_path))
    process.terminate()
    assert process.wait(timeout=20) == 2
    assert (tmp_path / "saved").read_text() == "saved\n"


def test_ignored_signal_stays_ignored(run_pl, tmp_path):
    # As nohup does it: HUP means nothing to run.pl and nothing to its task.
    script = f"trap '' HUP; exec {RUN_PL} t.log bash -c 'echo $$ > 1.pid; kill -HUP $$ $PPID; echo alive'"
    done = subprocess.run(["bash", "-c", script], cwd=tmp_path, env=run_pl.environment(), timeout=30)
    assert done.returncode == 0
    assert run_pl.log("t.log")["output"] == "alive\n"


def test_tasks_die_with_run_pl(run_pl, tmp_path):
    process, pids = start_tasks(run_pl)
    process.kill()
    killed = time.monotonic()
    process.wait(timeout=10)
    wait_until(lambda: not any(map(is_running, pids)))
    assert time.monotonic() - killed < PROMPT
    # The log tells that the task did not end by itself.
    assert "# Ended" not in (tmp_path / "t.1.log").read_text()


def test_killing_the_process_group_of_run_pl_leaves_nothing(run_pl):
    process, pids = start_tasks(run_pl, start_new_session=True)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait(timeout=10)
    wait_until(lambda: not any(map(is_running, pids)))


def test_a_killed_guard_is_replaced(run_pl):
    process, pids = start_tasks(run_pl)
    first = guard_of(process.pid)
    assert first
    os.kill(first, signal.SIGKILL)
    wait_until(lambda: guard_of(process.pid) not in (0, first))
    assert all(map(is_running, pids))
    second = guard_of(process.pid)
    process.kill()
    process.wait(timeout=10)
    wait_until(lambda: not any(map(is_running, [*pids, second])))


def test_guard_ends_with_run_pl(run_pl, tmp_path):
    process = run_pl.start("t.log", "bash", "-c", "echo $$ > 1.pid; until [ -e go ]; do sleep 0.02; done")
    wait_until(lambda: read_pids(tmp_path))
    guard = guard_of(process.pid)
    (tmp_path / "go").touch()
    assert process.wait(timeout=10) == 0
    assert guard and process_state(guard) is None


def start_under_a_caller(run_pl, *options, task: str):
    """A caller (bash) that waits for run.pl, so that only the caller's death can be noticed."""
    script = '"$@"; echo "caller went on" > went_on'
    words = ["bash", "-c", script, "caller", str(RUN_PL), *options, "t.log", "bash", "-c", task]
    return subprocess.Popen(words, cwd=run_pl.directory, env=run_pl.environment(), stderr=subprocess.DEVNULL)


def test_tasks_die_with_the_caller(run_pl, tmp_path):
    caller = start_under_a_caller(run_pl, task=TASK.replace("JOB", "1"))
    wait_until(lambda: len(read_pids(tmp_path)) == 2)
    caller.kill()
    killed = time.monotonic()
    wait_until(lambda: not any(map(is_running, read_pids(tmp_path))))
    assert time.monotonic() - killed < PROMPT
    caller.wait(timeout=10)
    wait_until(lambda: "# Ended (code 137; signal 9)" in (tmp_path / "t.log").read_text())


def test_without_die_with_parent_the_task_is_finished(run_pl, tmp_path):
    task = "echo $$ > 1.pid; until [ -e go ]; do sleep 0.02; done; echo done"
    caller = start_under_a_caller(run_pl, "--die-with-parent", "false", task=task)
    wait_until(lambda: read_pids(tmp_path))
    caller.kill()
    caller.wait(timeout=10)
    time.sleep(0.5)
    (tmp_path / "go").touch()
    wait_until(lambda: "# Ended" in (tmp_path / "t.log").read_text())
    log = run_pl.log("t.log")
    assert (log["output"], log["end"]) == ("done\n", "code 0")


def test_tasks_die_with_the_driver_above_the_caller(run_pl):
    # The driver is not collected by its parent (this test) until the end: dead is gone all the same.
    driver = subprocess.Popen(["sleep", "300"])
    process, pids = start_tasks(run_pl, env={"DISPATCH_DRIVER_PID": str(driver.pid)})
    time.sleep(0.3)
    assert process.poll() is None
    driver.kill()
    _, message = process.communicate(timeout=10)
    assert process.returncode == 2
    assert message == "run.pl: the caller is gone: stopped the running tasks\n"
    assert [pid for pid in pids if is_running(pid)] == []
    driver.wait()


def test_nothing_starts_for_a_driver_that_is_gone(run_pl, tmp_path):
    driver = subprocess.Popen(["true"])
    driver.wait()
    done = run_pl("t.log", "touch", "started", env={"DISPATCH_DRIVER_PID": str(driver.pid)})
    assert done.returncode == 2
    assert not (tmp_path / "started").exists()


def test_what_a_task_leaves_running_is_ended(run_pl, tmp_path):
    began = time.monotonic()
    assert run_pl("t.log", "bash", "-c", "sleep 300 & echo $! > 1.pid; echo done").returncode == 0
    assert time.monotonic() - began < 10
    assert run_pl.log("t.log")["output"] == "done\n"
    assert not is_running(read_pids(tmp_path)[0])


def test_a_task_whose_first_process_is_killed_fails_and_leaves_nothing(run_pl):
    process, pids = start_tasks(run_pl, count=1)
    os.kill(pids[0], signal.SIGKILL)
    _, message = process.communicate(timeout=10)
    assert process.returncode == 1
    assert "failed tasks: 1 (ended by signal SIGKILL" in message
    assert [pid for pid in pids if is_running(pid)] == []


def test_an_inherited_lock_is_free_only_after_the_tasks(run_pl, tmp_path):
    # What the pipeline's driver relies on: a lock that it took is held by everything that works for it.
    with open(tmp_path / "lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        process, pids = start_tasks(run_pl, pass_fds=[lock.fileno()])
    with open(tmp_path / "lock") as lock:
        with pytest.raises(BlockingIOError):
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        process.kill()
        fcntl.flock(lock, fcntl.LOCK_EX)
        assert [pid for pid in pids if is_running(pid)] == []
    process.wait(timeout=10)


def test_run_pl_inside_a_task_ends_too(run_pl):
    inner = f"{RUN_PL} inner.log bash -c 'echo $$ > 1.b.pid; sleep 300; true'"
    process = run_pl.start("t.log", "bash", "-c", f"echo $$ > 1.a.pid; {inner}; true")
    wait_until(lambda: len(read_pids(run_pl.directory)) == 2)
    process.kill()
    process.wait(timeout=10)
    wait_until(lambda: not any(map(is_running, read_pids(run_pl.directory))))


def processes_in(directory: Path) -> list[int]:
    """Those that work in a directory: run.pl, its guard and its tasks, also those just being started."""
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            if (entry / "cwd").samefile(directory) and is_running(int(entry.name)):
                found.append(int(entry.name))
        except OSError:  # it ended meanwhile
            continue
    return found


@pytest.mark.slow
def test_random_kills_leave_no_task(run_pl, tmp_path):
    # SIGKILL at many moments, also while tasks are being started and ended; each task says that it began.
    # Every fourth would outlive the test.
    task = (
        "import sys, time\nopen('began', 'a').write('.')\nn = int(sys.argv[1])\n"
        "time.sleep(0.01 * n if n % 4 else 60)\n"
    )
    for moment in range(25):
        words = ["--max-jobs-run", 4, "JOB=1:12", "t.JOB.log", sys.executable, "-S", "-c", task, "JOB"]
        process = run_pl.start(*words)
        time.sleep(0.01 * moment)
        assert processes_in(tmp_path)
        process.kill()
        process.wait(timeout=10)
        wait_until(lambda: not processes_in(tmp_path), PROMPT)
    # Some calls had come as far as their tasks, and none could end them all.
    assert 0 < len((tmp_path / "began").read_text()) < 25 * 12
