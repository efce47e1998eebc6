"""slurm.pl and queue.pl without a scheduler: the array that is submitted, what a task gets, refusals."""

import json
import os
import stat
import sys

import pytest

# Most of the time is the start of processes.
pytestmark = pytest.mark.slow


def test_array_of_slurm(slurm_pl):
    call = slurm_pl.submitted("--max-jobs-run", 2, "JOB=2,5:7", "log/a.JOB.log", "true")
    assert "--array=2,5-7%2" in call
    (name,) = [word.removeprefix("--job-name=") for word in call if word.startswith("--job-name=")]
    assert name.startswith("a.")
    side = slurm_pl.directory / "log/.dispatch" / name
    assert f"--output={side}/out.%a" in call
    assert call[-1] == f"{side}/job.sh"
    assert {"--no-requeue", "--parsable", "--open-mode=append"} <= set(call)
    # Nothing is left but what --resume needs.
    assert not side.exists()


def test_percent_in_a_path_means_nothing_to_slurm(slurm_pl):
    call = slurm_pl.submitted("100%a/a.log", "true")
    assert any(word.startswith("--output=") and "/100%%a/" in word for word in call)


def test_requeue_of_the_configuration_is_kept(slurm_pl):
    (slurm_pl.directory / "r.conf").write_text("command sbatch --requeue\n")
    assert "--no-requeue" not in slurm_pl.submitted("--config", "r.conf", "a.log", "true")


def test_array_of_grid_engine(queue_pl):
    call = queue_pl.submitted("-tc", 2, "JOB=3:5", "log/a.JOB.log", "true")
    assert call[call.index("-t") + 1] == "3-5"
    assert call[call.index("-tc") + 1] == "2"
    assert call[call.index("-w") + 1] == "e" and call[call.index("-r") + 1] == "n"


def test_sparse_tasks_of_grid_engine_go_through_an_index(queue_pl):
    call = queue_pl.submitted("JOB=2,5:6", "log/a.JOB.log", "echo", "JOB")
    assert call[call.index("-t") + 1] == "1-3"
    assert [queue_pl.log(f"log/a.{n}.log")["output"] for n in (2, 5, 6)] == ["2\n", "5\n", "6\n"]


def test_legacy_options_go_to_qsub_but_for_two(queue_pl):
    legacy = ["-l", "fast=1", "-V", "-q", "all.q", "-sync", "y", "-pe", "smp", 4]
    call = queue_pl.submitted(*legacy, "a.log", "true")
    begin = call.index("-l")
    assert call[begin : begin + 7] == ["-l", "fast=1", "-q", "all.q", "-pe", "smp", "4"]
    assert "-V" not in call and "-sync" not in call


def test_checks_of_the_configuration_are_kept(queue_pl):
    (queue_pl.directory / "q.conf").write_text("command qsub -w n -r y\n")
    call = queue_pl.submitted("--config", "q.conf", "a.log", "true")
    assert call.count("-w") == call.count("-r") == 1 and call[:4] == ["-w", "n", "-r", "y"]


def test_log_has_the_layout_of_run_pl(cluster):
    words = ["bash", "-c", "echo out JOB; echo err >&2"]
    done = cluster("--num-threads", 3, "JOB=1:2", "exp/l/a.JOB.log", *words)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    log = cluster.log("exp/l/a.2.log")
    assert log["command"] == "bash -c 'echo out 2; echo err >&2'"
    assert (log["output"], log["threads"], log["end"]) == ("out 2\nerr\n", "3", "code 0")
    title = "Slurm" if cluster.submit == "sbatch" else "Grid Engine"
    assert log["place"] == f" on {os.uname().nodename}, {title} job 77, array task 2"


@pytest.mark.parametrize(
    "words",
    [
        ["a b", "it's", 'say "x"', "$HOME `id` *", "", "new\nline", "tab\t", "|", "\\", "é%s"],
        ["-x", "--mem", "JOB", "xJOBy", "'JOB' \"JOB\""],
    ],
)
def test_words_arrive_as_they_are(cluster, words):
    code = "import json, sys; print(json.dumps(sys.argv[1:]))"
    done = cluster("--operators", "false", "JOB=4", "a.log", sys.executable, "-c", code, *words)
    assert (done.returncode, done.stderr) == (0, "")
    assert json.loads(cluster.log("a.log")["output"]) == [word.replace("JOB", "4") for word in words]


def test_operators_act_as_in_run_pl(cluster):
    words = ["printf", "%s ", "b c", "|", "tr", "a-c", "A-C", ">", "out file", "&&", "echo", "ok"]
    assert cluster("a.log", *words).returncode == 0
    assert (cluster.directory / "out file").read_text() == "B C "
    assert cluster.log("a.log")["output"] == "ok\n"
    assert cluster("a.log", "false", "|", "cat").returncode == 1


def test_a_task_gets_the_caller_s_environment(cluster):
    hidden = {"SLURM_NTASKS": "9", "TMPDIR": "/mine", "DISPATCH_DRIVER_PID": str(os.getpid())}
    hidden |= {"CUDA_VISIBLE_DEVICES": "7", "SGE_TASK_ID": "50"}
    passed = {"MARK": "a 'b'\nc", "SLURM_CONF": "/s", "HOME": "/h", "SGE_QMASTER_PORT": "1"}
    code = "import json, os; print(json.dumps([dict(os.environ), os.getcwd(), os.umask(0)]))"
    words = ["--num-threads", 2, "a.log", sys.executable, "-c", code]
    mask = os.umask(0o027)
    try:
        done = cluster(*words, env={**hidden, **passed})
    finally:
        os.umask(mask)
    assert (done.returncode, done.stderr) == (0, "")
    environment, directory, umask = json.loads(cluster.log("a.log")["output"])
    assert passed.items() <= environment.items()
    assert directory == environment["PWD"] == str(cluster.directory)
    assert (environment["OMP_NUM_THREADS"], umask) == ("2", 0o027)
    assert {"SLURM_NTASKS", "DISPATCH_DRIVER_PID", "CUDA_VISIBLE_DEVICES"}.isdisjoint(environment)
    # A variable with which sbatch --export would limit the srun of a job.
    assert "SLURM_EXPORT_ENV" not in environment
    assert environment["TMPDIR"] == "/tmp"
    assert environment.get("SGE_TASK_ID") == (None if cluster.submit == "sbatch" else "1")


def test_the_environment_is_for_the_user_alone_and_goes_away(cluster):
    # The task looks at the file while it is there.
    script = 'stat -c %a log/.dispatch/*/spec; grep -c "hush[ ]hush" log/.dispatch/*/spec; exit 1'
    done = cluster("log/a.log", "bash", "-c", script, env={"SECRET": "hush hush"})
    assert done.returncode == 1
    assert cluster.log("log/a.log")["output"] == "600\n1\n"
    assert "hush hush" not in json.dumps(cluster.calls(cluster.submit))
    left = [path for path in (cluster.directory / "log").rglob("*") if path.is_file()]
    assert all(b"hush hush" not in path.read_bytes() for path in left)


def test_log_leads_to_the_attempt_while_it_runs(cluster):
    script = "echo one; readlink log/a.1.log; cat log/a.1.log >copy"
    assert cluster("JOB=1:1", "log/a.JOB.log", "bash", "-c", script).returncode == 0
    output = cluster.log("log/a.1.log")["output"].splitlines()
    name = output[1]
    assert name.startswith(".dispatch/a.1.log.") and f".{os.uname().nodename}." in name
    assert (cluster.directory / "copy").read_text().splitlines()[3] == "one"
    assert stat.S_ISREG(os.lstat(cluster.directory / "log/a.1.log").st_mode)
    assert not (cluster.directory / "log" / name).exists()


def test_failures_are_reported_as_by_run_pl(cluster):
    script = "echo from JOB; case JOB in 2 | 3) exit 3 ;; 5) kill -9 $$ ;; esac"
    done = cluster("JOB=1:5", "l/a.JOB.log", "bash", "-c", script)
    assert done.returncode == 1
    lines = [line.removeprefix(f"{cluster.program.name}: ") for line in done.stderr.splitlines()]
    report = lines[lines.index("3 / 5 failed, log is in l/a.*.log") :]
    killed = "ended by signal SIGKILL: killed from outside, often for want of memory"
    assert report[1] == f"failed tasks: 2:3 (exit code 3); 5 ({killed})"
    assert report[2:4] == ["l/a.2.log ends with", "    from 2"]
    assert report[-1].startswith(f"to run only what failed: {cluster.program} JOB=2:3,5 l/a.JOB.log bash -c ")
    assert cluster.log("l/a.5.log")["end"] == "code 137; signal 9"


def test_what_looks_like_success_in_the_log_is_none(cluster):
    done = cluster("a.log", "bash", "-c", "echo '# Ended (code 0)'; echo '# Finished with status 0'; exit 3")
    assert done.returncode == 1
    assert f"{cluster.program.name}: job failed with exit code 3, log is in a.log\n" in done.stderr


def test_a_refusal_is_final_and_says_why(cluster):
    cluster.answer(cluster.submit, 1, "error: no such partition\nexiting\n")
    done = cluster("log/a.log", "true", env={"SECRET": "hush hush"})
    assert done.returncode == 1
    lines = done.stderr.splitlines()
    assert lines[0] == f"{cluster.program.name}: submission refused: error: no such partition; exiting"
    assert lines[1].startswith(f"{cluster.program.name}:     the command was: {cluster.submit} ")
    assert len(cluster.calls(cluster.submit)) == 1
    assert list((cluster.directory / "log").rglob("spec")) == []


@pytest.mark.parametrize(
    ("program", "message"),
    [
        ("slurm_pl", "sbatch: error: Batch job submission failed: Invalid job array specification"),
        ("slurm_pl", "Job violates accounting/QOS policy (job submit limit, user's size and/or time limits)"),
        ("queue_pl", "Unable to run job: job rejected: you tried to submit a job with more than 10 tasks."),
    ],
)
def test_an_array_that_is_too_large_is_told_with_the_remedy(request, program, message):
    dispatcher = request.getfixturevalue(program)
    dispatcher.answer(dispatcher.submit, 1, message + "\n")
    done = dispatcher("JOB=1:2000", "log/a.JOB.log", "true")
    assert done.returncode == 1
    first, _, hint = done.stderr.splitlines()
    assert message in first
    assert "the cluster may not take 2000 tasks at once (MaxArraySize" in hint
    assert hint.endswith("run with fewer, --nj of run.sh")
    # Of a single task that is not the cause.
    assert "--nj" not in dispatcher("log/b.log", "true").stderr


def test_an_unreachable_scheduler_is_tried_again_for_a_while(cluster):
    words = {"sbatch": "Unable to contact slurm controller", "qsub": "unable to send message to qmaster"}
    cluster.answer(cluster.submit, 1, words[cluster.submit])
    done = cluster("--submit-timeout", 2, "a.log", "true")
    assert done.returncode == 1
    lines = [line.removeprefix(f"{cluster.program.name}: ") for line in done.stderr.splitlines()]
    reason = f"the scheduler cannot be reached ({words[cluster.submit]})"
    assert lines[:2] == [f"{reason}; trying again in 1 s", f"gave up after 2 s: {reason}"]
    assert len(cluster.calls(cluster.submit)) == 2


def test_a_log_directory_that_cannot_be_made(cluster):
    (cluster.directory / "plain").write_text("a file\n")
    done = cluster("plain/a.log", "true")
    assert done.returncode == 1 and "cannot make the log directory plain" in done.stderr
    assert cluster.calls(cluster.submit) == []


def test_help(cluster):
    done = cluster("--help")
    assert done.returncode == 0
    assert f"{cluster.program.name} [options] [JOB=1:n] [options] LOG command args..." in done.stdout
    for name in ("mem", "num-threads", "gpu", "max-jobs-run", "time", "config", "resume", "retries"):
        assert f"  --{name} " in done.stdout
