"""tools/run.pl: call, logs, exit codes, reports, concurrency."""

import os
import subprocess
import sys
import time

import pytest
from run_pl_helpers import RUN_PL

CPUS = len(os.sched_getaffinity(0))


def test_log_has_kaldis_layout(run_pl):
    done = run_pl("exp/new/log/a.log", "bash", "-c", "echo out; echo err >&2; echo more")
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    log = run_pl.log("exp/new/log/a.log")
    assert log["command"] == "bash -c 'echo out; echo err >&2; echo more'"
    assert log["output"] == "out\nerr\nmore\n"
    assert (log["time"], log["threads"], log["end"]) == (log["elapsed"], "1", "code 0")


def test_log_counts_seconds_and_threads(run_pl):
    assert run_pl("--num-threads", 3, "a.log", "sleep", "1.1").returncode == 0
    log = run_pl.log("a.log")
    assert log["threads"] == "3"
    assert int(log["time"]) == int(log["elapsed"]) >= 1


def test_footer_starts_on_a_line_of_its_own(run_pl):
    assert run_pl("a.log", "printf", "no line end").returncode == 0
    assert run_pl.log("a.log")["output"] == "no line end\n"


def test_header_is_there_before_the_command_ends(run_pl, tmp_path):
    # The command reads its own log: header first, then what it printed itself.
    assert run_pl("a.log", "bash", "-c", "echo one; cat a.log > seen; echo two").returncode == 0
    seen = (tmp_path / "seen").read_text().splitlines()
    assert [line.split(" at ")[0] for line in seen[1:]] == ["# Started", "#", "one"]
    assert run_pl.log("a.log")["output"] == "one\ntwo\n"


def test_a_rerun_overwrites_the_log(run_pl):
    run_pl("a.log", "echo", "first")
    run_pl("a.log", "echo", "second")
    assert run_pl.log("a.log")["output"] == "second\n"


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        ([], 1, "give a log file and a command"),
        (["a.log"], 1, "give a log file and a command"),
        (["JOB=1:2", "a.log", "true"], 1, "they would all write to the log 'a.log'"),
        (["JOB=1:", "a.JOB.log", "true"], 255, "invalid range 'JOB=1:'"),
        (["JOB=0:2", "a.JOB.log", "true"], 255, "invalid range 'JOB=0:2'"),
        (["JOB=3:2", "a.JOB.log", "true"], 255, "invalid range 'JOB=3:2'"),
        (["JOB=", "a.JOB.log", "true"], 255, "invalid range 'JOB='"),
        (["JOB=1:x", "a.JOB.log", "true"], 255, "invalid range 'JOB=1:x'"),
        (["--max-job-run", "2", "a.log", "true"], 255, "did you mean --max-jobs-run?"),
        (["--max", "2", "a.log", "true"], 255, "did you mean --max-jobs-run?"),
        (["--num_thread=2", "a.log", "true"], 255, "did you mean --num-threads?"),
        (["-men", "2G", "a.log", "true"], 255, "did you mean --mem?"),
        (["--gpu", "--mem", "2G", "a.log", "true"], 255, "option --gpu needs a value, but '--mem' follows"),
        (["--gpu", "one", "a.log", "true"], 255, "--gpu must be a whole number, not 'one'"),
        (["--max-jobs-run", "0", "a.log", "true"], 255, "must be a whole number of at least 1, not '0'"),
        (["--mem", "lots", "a.log", "true"], 255, "a size such as 500M or 2G, not 'lots'"),
        (["--time", "soon", "a.log", "true"], 255, "a time such as 90 or 2-00:00:00, not 'soon'"),
        (["--operators", "yes", "a.log", "true"], 255, "must be true or false, not 'yes'"),
        (["--config", "none.conf", "a.log", "true"], 1, "cannot read 'none.conf': No such file"),
        (["--mem"], 1, "option --mem needs a value"),
        (["-pe", "smp"], 1, "option -pe needs 2 value(s)"),
        (["", "true"], 1, "the name of the log file is empty"),
        (["sub", "true"], 1, "cannot write the log sub: Is a directory"),
        (["plain/a.log", "true"], 1, "cannot make the log directory plain"),
    ],
)
def test_wrong_calls_run_nothing_and_say_why(run_pl, tmp_path, words, code, message):
    (tmp_path / "sub").mkdir()
    (tmp_path / "plain").write_text("a file\n")
    done = run_pl(*words)
    assert done.returncode == code
    assert done.stderr.startswith("run.pl: ") and message in done.stderr and done.stderr.count("\n") == 1
    assert sorted(path.name for path in tmp_path.iterdir()) == ["plain", "sub"]


def test_options_of_both_spellings_and_legacy_ones(run_pl, tmp_path):
    (tmp_path / "queue.conf").write_text("")
    done = run_pl(
        *["--max_jobs_run=1", "-l", "mem_free=4G", "-q", "all.q", "-V", "JOB=1:2"],
        *["-pe", "smp", 4, "-sync", "y", "--time", "2-00:00:00", "--mem=1.5G", "--config", "queue.conf"],
        *["a.JOB.log", "echo", "--max-jobs-run", "JOB"],
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert run_pl.log("a.2.log")["output"] == "--max-jobs-run 2\n"


def test_help_lists_every_option(run_pl):
    done = run_pl("--help")
    assert done.returncode == 0
    for name in (
        "max-jobs-run",
        "num-threads",
        "gpu",
        "mem",
        "time",
        "config",
        "operators",
        "kill-wait",
        "die-with-parent",
    ):
        assert f"  --{name} " in done.stdout
    assert "run.pl [options] [JOB=1:n] [options] LOG command args..." in done.stdout


def test_failed_tasks_are_listed_with_cause_tail_and_rerun(run_pl, tmp_path):
    script = """[ -e fixed ] && echo JOB >> again
        echo from JOB
        case JOB in 2 | 4 | 5) exit 3 ;; 7) kill -9 $$ ;; esac"""
    done = run_pl("--num-threads", 1, "JOB=1:8", "l/a.JOB.log", "bash", "-c", script)
    assert done.returncode == 1
    lines = done.stderr.splitlines()
    assert lines[0] == "run.pl: 4 / 8 failed, log is in l/a.*.log"
    killed = "ended by signal SIGKILL: killed from outside, often for want of memory"
    assert lines[1] == f"run.pl: failed tasks: 2,4:5 (exit code 3); 7 ({killed})"
    assert lines[2:4] == ["run.pl: l/a.2.log ends with", "run.pl:     from 2"]
    assert run_pl.log("l/a.4.log")["end"] == "code 3"
    assert run_pl.log("l/a.7.log")["end"] == "code 137; signal 9"
    assert run_pl.log("l/a.8.log")["end"] == "code 0"
    # The suggested command, pasted into a shell, runs just these tasks.
    prefix = "run.pl: to run only what failed: "
    assert lines[-1].startswith(prefix)
    (tmp_path / "fixed").touch()
    subprocess.run(
        ["bash", "-c", lines[-1].removeprefix(prefix)], cwd=tmp_path, capture_output=True, check=False
    )
    assert sorted((tmp_path / "again").read_text().split()) == ["2", "4", "5", "7"]


def test_single_failure_shows_the_end_of_its_log(run_pl):
    done = run_pl("a.log", "bash", "-c", "seq 1 30; exit 9")
    lines = done.stderr.splitlines()
    assert done.returncode == 1
    assert lines[0] == "run.pl: job failed with exit code 9, log is in a.log"
    assert lines[1] == "run.pl: a.log ends with"
    assert [line.removeprefix("run.pl:     ") for line in lines[2:-1]] == [str(n) for n in range(21, 31)]


@pytest.mark.parametrize(
    ("command", "message"),
    [
        (["no-such-program"], "exit code 127: command not found"),
        (["echo hello"], "write it as words, or as bash -c 'echo hello'"),
    ],
)
def test_command_not_found(run_pl, command, message):
    done = run_pl("a.log", *command)
    assert done.returncode == 1 and message in done.stderr


def test_environment_directory_and_input_of_a_task(run_pl, tmp_path):
    command = ["bash", "-c", 'echo "$MARK ${OMP_NUM_THREADS-unset} $PWD $(wc -c)"']
    assert run_pl("a.log", *command, env={"MARK": "seen"}).returncode == 0
    assert run_pl.log("a.log")["output"] == f"seen unset {tmp_path} 0\n"
    assert (
        run_pl(
            "--num-threads", 2, "a.log", *command, env={"MARK": "seen", "OMP_NUM_THREADS": "64"}
        ).returncode
        == 0
    )
    assert run_pl.log("a.log")["output"] == f"seen 2 {tmp_path} 0\n"


def most_at_once(path) -> int:
    """The largest number of tasks that ran at the same time, from the lines '+' and '-' they wrote."""
    running = most = 0
    for line in path.read_text().split():
        running += 1 if line == "+" else -1
        most = max(most, running)
    assert running == 0
    return most


@pytest.mark.parametrize(
    ("options", "limit"),
    [
        (["--max-jobs-run", 3], 3),
        (["--max-jobs-run", 3, "-tc", 1, "--max-jobs-run", 2], 1),
        ([], CPUS),
        (["--num-threads", CPUS], 1),
        (["--num-threads", 4 * CPUS], 1),
        (["--gpu", 1], 1),
    ],
)
def test_tasks_at_a_time(run_pl, tmp_path, options, limit):
    number = 2 * limit + 1
    task = ["bash", "-c", "echo + >> events; sleep 0.2; echo - >> events"]
    # An empty list of devices: a machine without GPUs runs GPU jobs one after the other.
    done = run_pl(*options, f"JOB=1:{number}", "a.JOB.log", *task, env={"CUDA_VISIBLE_DEVICES": ""})
    assert done.returncode == 0
    assert (tmp_path / "events").read_text().count("+") == number
    assert most_at_once(tmp_path / "events") == limit


def test_each_running_task_has_its_own_gpus(run_pl, tmp_path):
    bin_dir = tmp_path / "bin"
    bin_dir.mkdir()
    fake = bin_dir / "nvidia-smi"
    fake.write_text("#!/bin/sh\nfor i in 0 1 2; do echo \"GPU $i: card (UUID: x)\"; echo '  MIG 1g'; done\n")
    fake.chmod(0o755)
    # mkdir fails if another task holds the device.
    script = "gpu=$CUDA_VISIBLE_DEVICES; mkdir held.$gpu; sleep 0.2; rmdir held.$gpu; echo $gpu"
    environment = run_pl.environment(PATH=f"{bin_dir}:{os.environ['PATH']}")
    environment.pop("CUDA_VISIBLE_DEVICES", None)
    words = ["--gpu", "1", "--max-jobs-run", "8", "JOB=1:6", "a.JOB.log", "bash", "-ec", script]
    subprocess.run([RUN_PL, *words], cwd=tmp_path, env=environment, check=True, timeout=60)
    assert {run_pl.log(f"a.{n}.log")["output"].strip() for n in range(1, 7)} == {"0", "1", "2"}


def test_gpus_of_the_caller_are_respected(run_pl):
    words = [
        "--gpu",
        2,
        "--max-jobs-run",
        8,
        "JOB=1:3",
        "a.JOB.log",
        "bash",
        "-c",
        "echo $CUDA_VISIBLE_DEVICES",
    ]
    assert run_pl(*words, env={"CUDA_VISIBLE_DEVICES": "5,7,9"}).returncode == 0
    assert {run_pl.log(f"a.{n}.log")["output"] for n in (1, 2, 3)} <= {"5,7\n", "9,5\n", "7,9\n"}


def test_many_short_tasks(run_pl):
    began = time.monotonic()
    assert run_pl("JOB=1:200", "log/a.JOB.log", "true").returncode == 0
    print(f"200 tasks of 'true': {time.monotonic() - began:.2f} s")
    assert {run_pl.log(f"log/a.{n}.log")["end"] for n in range(1, 201)} == {"code 0"}


def test_output_of_a_python_task_is_complete(run_pl):
    code = "import sys; sys.stdout.write('x' * 100_000 + '\\n'); sys.stderr.write('end\\n')"
    assert run_pl("a.log", sys.executable, "-c", code).returncode == 0
    assert sorted(run_pl.log("a.log")["output"].split(), key=len) == ["end", "x" * 100_000]
