"""What slurm.pl and queue.pl make of the schedulers' answers: states, causes, held and lost tasks."""

import json
import os
import time

import pytest
from cluster_helpers import perl
from run_pl_helpers import wait_until

VIEW = """use Dispatch::{backend}; no warnings;
    my %answer = (code => $ARGV[0], out => $ARGV[1], errors => $ARGV[2]);
    *Dispatch::{backend}::run_command = sub {{ return \\%answer }};
    my ($view, $problem) = Dispatch::{backend}::look([77, 80]);
    print "problem: $problem\\n" if !$view;
    for my $job (sort keys %{{ $view // {{}} }}) {{
        for my $id (sort keys %{{ $view->{{$job}} }}) {{
            my $entry = $view->{{$job}}{{$id}};
            print join('|', $job, $id, map {{ $_ // '-' }} @$entry{{qw(kind cause lost said)}}), "\\n";
        }}
    }}"""


def view(backend: str, code: int, out: str, errors: str = "") -> list[str]:
    return perl(VIEW.format(backend=backend), str(code), out, errors).splitlines()


def squeue_line(array, job, task, state, code=0, nodes="", reason="None") -> str:
    values, widths = (array, job, task, state, code, nodes, reason), (14, 14, 14, 24, 12, 60, 100)
    return "".join(str(value).ljust(width) for value, width in zip(values, widths, strict=True))


@pytest.mark.parametrize(
    ("line", "entry"),
    [
        (("RUNNING", 0, "n1"), "running|-|-|Slurm: RUNNING, node n1"),
        (("COMPLETING", 0, "n1"), "running|-|-|Slurm: COMPLETING, node n1"),
        (("PENDING", 0, "", "Resources"), "waiting|-|-|Slurm: PENDING, Resources"),
        (("PENDING", 0, "", "JobHeldUser"), "held|-|-|Slurm: PENDING, JobHeldUser"),
        (("PENDING", 0, "", "BadConstraints"), "never|-|-|Slurm: PENDING, BadConstraints"),
        (("PENDING", 0, "", "launch failed requeued held"), "never|-|-|*"),
        (("PENDING", 0, "", "QOSMaxCpuPerJobLimit"), "never|-|-|Slurm: PENDING, QOSMaxCpuPerJobLimit"),
        (("PENDING", 0, "", "QOSMaxCpuPerUserLimit"), "waiting|-|-|Slurm: PENDING, QOSMaxCpuPerUserLimit"),
        (("COMPLETED", 0, "n1"), "ended|-|-|Slurm: COMPLETED, node n1"),
        (("FAILED", 53, "n1", "JobLaunchFailure"), "ended|-|-|*, node n1, exit code 0:53"),
        (("FAILED", 1280, "n1", "NonZeroExitCode"), "ended|-|-|*, node n1, exit code 5:0"),
        (("CANCELLED", 15, "n1"), "ended|cancelled|-|Slurm: CANCELLED, node n1"),
        (("TIMEOUT", 15, "n1", "TimeLimit"), "ended|time limit reached|-|Slurm: TIMEOUT, TimeLimit, node n1"),
        (("OUT_OF_MEMORY", 125, "n1"), "ended|out of memory|-|Slurm: OUT_OF_MEMORY, node n1"),
        (("NODE_FAIL", 15, "n1", "NodeDown"), "ended|node lost|1|Slurm: NODE_FAIL, NodeDown, node n1"),
        (("PREEMPTED", 15, "n1"), "ended|preempted|1|Slurm: PREEMPTED, node n1"),
    ],
)
def test_states_of_slurm(line, entry):
    said = f"Slurm: {line[0]}, {line[-1]}"
    expected = entry.replace("*", said)
    assert view("Slurm", 0, squeue_line(77, 79, 2, *line) + "\n") == [f"77|2|{expected}"]


def test_jobs_of_others_and_arrays_without_numbers():
    lines = [squeue_line(9, 9, 1, "RUNNING"), squeue_line("N/A", 80, "N/A", "CANCELLED")]
    assert view("Slurm", 0, "\n".join(lines)) == ["80|*|ended|cancelled|-|Slurm: CANCELLED"]


def test_an_empty_answer_and_no_answer_are_told_apart():
    assert view("Slurm", 0, "") == []
    assert view("Slurm", 1, "", "slurm_load_jobs error: Invalid job id specified") == []
    down = "slurm_load_jobs error: Unable to contact slurm controller (connect failure)"
    assert view("Slurm", 1, "", down) == [f"problem: {down}"]
    assert view("GridEngine", 1, "", "error: commlib error") == ["problem: error: commlib error"]
    # An answer that was cut off is none.
    assert view("GridEngine", 0, "<job_info><queue_info>") == ["problem: "]


def job_xml(job: int, state: str, tasks: str, queue: str = "") -> str:
    place = f"<queue_name>{queue}</queue_name>" if queue else "<queue_name></queue_name>"
    return (
        f'<job_list state="x">\n<JB_job_number>{job}</JB_job_number>\n<JB_name>a.b</JB_name>\n'
        f"<state>{state}</state>\n{place}\n<slots>1</slots>\n<tasks>{tasks}</tasks>\n</job_list>\n"
    )


@pytest.mark.parametrize(
    ("state", "queue", "kind"),
    [
        ("r", "all.q@h", "running"),
        ("t", "all.q@h", "running"),
        ("dr", "all.q@h", "running"),
        ("S", "all.q@h", "running"),
        ("Rr", "all.q@h", "running"),
        ("qw", "", "waiting"),
        ("Rq", "", "waiting"),
        ("hqw", "", "held"),
        ("hRwq", "", "held"),
        ("Eqw", "", "error"),
    ],
)
def test_states_of_grid_engine(state, queue, kind):
    place = f", queue {queue}" if queue else ""
    xml = f"<job_info>{job_xml(9, 'r', '1')}{job_xml(77, state, '2', queue)}</job_info>\n"
    assert view("GridEngine", 0, xml) == [f"77|2|{kind}|-|-|Grid Engine: {state}{place}"]


def test_lists_of_tasks_of_grid_engine():
    xml = f"<job_info>{job_xml(77, 'qw', '3,5-6:1,10-14:2')}</job_info>"
    assert [line.split("|")[1] for line in view("GridEngine", 0, xml)] == ["10", "12", "14", "3", "5", "6"]


@pytest.mark.parametrize(
    ("failed", "cause", "lost"),
    [
        ("37  : qmaster enforced h_rt", "time limit or another limit of the request reached", "-"),
        ("100 : assumedly after job", "cancelled (qdel) or killed from outside", "-"),
        ("19  : before writing exit_status", "node lost", "1"),
        ("26  : opening input/output file", "could not be run", "-"),
        ("0", "ended without a result", "-"),
    ],
)
def test_accounting_of_grid_engine(failed, cause, lost):
    code = """use Dispatch::GridEngine; no warnings;
        *Dispatch::GridEngine::run_command = sub { return { code => 0, out => $ARGV[0], errors => '' } };
        my $more = Dispatch::GridEngine::post_mortem({ id => 2, submission => { job => 77 } }, 'gone');
        print join '|', map { $_ // '-' } @$more{qw(cause lost)};"""
    record = "taskid       2         \nfailed       {}\nexit_status  137   (Killed)\nhostname     h   \n"
    # It was requeued once: the last record counts.
    assert perl(code, record.format("25  : rescheduling") + record.format(failed)) == f"{cause}|{lost}"


def waiting_call(cluster, lines: str, *words):
    """Start a call whose tasks never start; the queue holds what `lines` says."""
    cluster.answer("sbatch", 0, "77\n")
    cluster.answer("squeue", 0, lines)
    return cluster.start(*words, "JOB=1:2", "a.JOB.log", "true")


@pytest.mark.slow
def test_a_task_that_can_never_run_is_cancelled(slurm_pl):
    lines = [squeue_line(77, 77, n, "PENDING", reason="BadConstraints") for n in (1, 2)]
    _, message = (process := waiting_call(slurm_pl, "\n".join(lines))).communicate(timeout=30)
    assert process.returncode == 1
    assert "failed tasks: 1:2 (can never run (Slurm: PENDING, BadConstraints))\n" in message
    assert sorted(slurm_pl.calls("scancel")[:2]) == [["77_1"], ["77_2"]]


@pytest.mark.slow
def test_causes_and_retries_of_lost_tasks(slurm_pl):
    lines = [
        squeue_line(77, 77, 1, "NODE_FAIL", nodes="n1", reason="NodeDown"),
        squeue_line(77, 78, 2, "CANCELLED", nodes="n2"),
    ]
    process = waiting_call(slurm_pl, "\n".join(lines), "--retries", 1)
    _, message = process.communicate(timeout=60)
    assert process.returncode == 1
    said = [line.removeprefix("slurm.pl: ") for line in message.splitlines()]
    assert "task 1: node lost (Slurm: NODE_FAIL, NodeDown, node n1); trying again in 5 s (1 of 1)" in said
    assert "task 2 failed: cancelled (Slurm: CANCELLED, node n2); the others go on" in said
    causes = "1 (node lost (Slurm: NODE_FAIL, NodeDown, node n1)); 2 (cancelled (Slurm: CANCELLED, node n2))"
    assert f"failed tasks: {causes}" in said
    first, second = slurm_pl.calls("sbatch")
    assert "--array=1-2" in first and "--array=1" in second


def test_a_hold_is_waited_for_and_a_signal_cancels(slurm_pl):
    lines = [squeue_line(77, 77, n, "PENDING", reason="JobHeldUser") for n in (1, 2)]
    process = waiting_call(slurm_pl, "\n".join(lines))
    line = process.stderr.readline()
    hint = "(Slurm: PENDING, JobHeldUser); release them with: scontrol release 77\n"
    assert line == f"slurm.pl: tasks 1:2 are held {hint}"
    assert process.poll() is None
    process.terminate()
    wait_until(lambda: slurm_pl.calls("scancel"))
    # It goes only when the array is gone.
    assert process.poll() is None
    slurm_pl.answer("squeue", 0, "")
    _, message = process.communicate(timeout=30)
    assert (process.returncode, message) == (2, "slurm.pl: SIGTERM: cancelled the tasks\n")
    assert slurm_pl.calls("scancel")[0] == ["77"]


@pytest.mark.slow
def test_an_array_that_is_gone_is_a_failure(slurm_pl):
    _, message = (process := waiting_call(slurm_pl, "")).communicate(timeout=30)
    assert process.returncode == 1
    assert "failed tasks: 1:2 (cancelled or lost in the queue (gone from the queue))" in message


def test_a_killed_dispatcher_s_array_is_cancelled_by_name(slurm_pl):
    lines = [squeue_line(77, 77, n, "PENDING", reason="Resources") for n in (1, 2)]
    process = waiting_call(slurm_pl, "\n".join(lines))
    wait_until(lambda: slurm_pl.calls("squeue"))
    process.kill()
    process.communicate(timeout=10)
    wait_until(lambda: slurm_pl.calls("scancel"))
    (name,) = [word for word in slurm_pl.calls("sbatch")[0] if word.startswith("--job-name=")]
    assert slurm_pl.calls("scancel")[0] == [name.replace("--job-name", "--name")]


@pytest.mark.slow
def test_a_silent_scheduler_does_not_hide_what_tasks_report(slurm_pl):
    # The queue cannot be asked, but the first task says that it succeeded.
    slurm_pl.answer("squeue", 1, "Unable to contact slurm controller")
    assert slurm_pl("JOB=1:2", "a.JOB.log", "true").returncode == 0
    process = waiting_call(slurm_pl, "")
    slurm_pl.answer("squeue", 1, "Unable to contact slurm controller")
    assert process.stderr.readline() == (
        "slurm.pl: the scheduler cannot be asked (Unable to contact slurm controller); waiting for it\n"
    )
    (directory,) = (slurm_pl.directory / ".dispatch").glob("a.*/spec")
    for number, status in ((1, 0), (2, 768)):
        path = directory.parent / f"{number}.x.0.host.1.status"
        path.with_suffix(".new").write_text(f"host h\nstatus {status}\n")
        os.rename(path.with_suffix(".new"), path)
    _, message = process.communicate(timeout=30)
    assert process.returncode == 1
    assert "failed tasks: 2 (exit code 3)" in message


@pytest.mark.slow
def test_what_ended_while_the_scheduler_was_away_was_not_cancelled_by_it(slurm_pl):
    process = waiting_call(slurm_pl, squeue_line(77, 77, 1, "RUNNING"))
    slurm_pl.answer("squeue", 1, "Unable to contact slurm controller")
    assert "cannot be asked" in process.stderr.readline()
    time.sleep(6)
    (directory,) = (slurm_pl.directory / ".dispatch").glob("a.*/spec")
    for number, status in ((1, 768), (2, 0)):
        path = directory.parent / f"{number}.x.0.host.1.status"
        path.with_suffix(".new").write_text(f"host h\nstatus {status}\n")
        os.rename(path.with_suffix(".new"), path)
    time.sleep(1)
    # Back with an old state of its own, it does not find the task where it believes it to wait.
    slurm_pl.answer("squeue", 0, squeue_line(77, 77, 1, "PENDING"))
    assert "answers again" in process.stderr.readline()
    slurm_pl.answer("squeue", 0, squeue_line(77, 77, 1, "CANCELLED"))
    _, message = process.communicate(timeout=30)
    assert process.returncode == 1
    assert "failed tasks: 1 (exit code 3)" in message


def test_a_job_whose_submission_got_no_answer_is_found_by_name(slurm_pl):
    slurm_pl.answer("sbatch", 1, "Socket timed out on send/recv operation")
    slurm_pl.answer("squeue", 0, "77\n")
    process = slurm_pl.start("a.log", "true")
    assert "trying again in 1 s" in process.stderr.readline()
    wait_until(lambda: any("--Format=ArrayJobID:20" in call for call in slurm_pl.calls("squeue")))
    slurm_pl.answer("squeue", 0, squeue_line(77, 77, 1, "CANCELLED"))
    _, message = process.communicate(timeout=30)
    assert "job failed: cancelled (Slurm: CANCELLED), log is in a.log" in message
    assert len(slurm_pl.calls("sbatch")) == 1
    assert json.dumps(slurm_pl.calls("squeue")).count("--jobs=77") >= 1
