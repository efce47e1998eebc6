"""slurm.pl and queue.pl on real schedulers: work that succeeds, what it costs, and what is not done twice."""

from __future__ import annotations

import time

import pytest
from array_cost import AT_ONCE, TASKS
from clusters import wait_for
from dispatching import SLEEPER, Call, put_before

pytestmark = pytest.mark.cluster


def run(cluster, directory, *words, code: int = 0, **environment) -> Call:
    """One call to its end."""
    call = Call(cluster, directory, *words, **environment)
    assert call.finish(120) == code, call.stderr
    return call


def test_array_with_its_outputs(cluster, tmp_path):
    (tmp_path / "it's here").mkdir()
    script = (
        """printf '%s\\n' "$0" "$@" > out.JOB; echo "$PWD|$MARK|$OMP_NUM_THREADS|$(wc -c)"; echo err >&2"""
    )
    words = ["a  b", "it's", '"q"', "$HOME", "*", "JOB.JOB", "back\\slash", "ü", ""]
    call = run(
        cluster,
        tmp_path / "it's here",
        *["--num-threads", 2, "--mem", "200M", "JOB=1:6", "--max-jobs-run", 3],
        *["exp/log/a.JOB.log", "bash", "-c", script, *words],
        MARK="seen by tasks",
        OMP_NUM_THREADS="64",
    )
    assert call.stderr == ""
    for number in range(1, 7):
        expected = [word.replace("JOB", str(number)) for word in words]
        assert (call.directory / f"out.{number}").read_text().split("\n")[:-1] == expected
        assert call.log(f"exp/log/a.{number}.log").splitlines() == [
            f"{call.directory}|seen by tasks|2|0",
            "err",
        ]
    # Nothing of the submission is left.
    left = sorted(path.name for path in (call.directory / "exp/log/.dispatch").iterdir())
    assert left == [f"a.{number}.log.done" for number in range(1, 7)]
    wait_for(lambda: cluster.jobs() == [])


@pytest.mark.parametrize("numbers", ["2,5:6", "3:4"])
def test_chosen_tasks(cluster, tmp_path, numbers):
    run(cluster, tmp_path, f"JOB={numbers}", "a.JOB.log", "touch", "did.JOB")
    wanted = {"2,5:6": {2, 5, 6}, "3:4": {3, 4}}[numbers]
    assert {int(path.suffix[1:]) for path in tmp_path.glob("did.*")} == wanted


def test_one_task_without_a_range(cluster, tmp_path):
    call = run(cluster, tmp_path, "a.log", "bash", "-c", "echo JOB; sleep 0.1", "|", "tr", "J", "j")
    assert call.log("a.log") == "jOB\n"


def test_array_is_seen_by_the_scheduler(cluster, tmp_path):
    call = Call(cluster, tmp_path, "--max-jobs-run", 2, "JOB=1:4", "log/seen.JOB.log", "bash", "-c", SLEEPER)
    job = call.job()
    wait_for(lambda: len(cluster.running(job)) == 2)
    assert cluster.names()[job].startswith("seen.")
    # The log can be read while the task runs.
    first = min(cluster.running(job))
    log = tmp_path / f"log/seen.{first}.log"
    wait_for(lambda: log.exists() and "# Started at" in log.read_text())
    time.sleep(1.5)
    assert len(cluster.running(job)) == 2
    call.process.terminate()
    assert call.finish() == 2


def test_resume_submits_only_what_failed(cluster, tmp_path):
    script = "echo JOB >> ran; [ -e fixed ] || [ JOB != 3 ]"
    words = ["--resume", "true", "JOB=1:4", "log/a.JOB.log", "bash", "-c", script]
    first = run(cluster, tmp_path, *words, code=1)
    assert "1 / 4 failed" in first.stderr
    assert sorted((tmp_path / "ran").read_text().split()) == ["1", "2", "3", "4"]
    (tmp_path / "fixed").touch()
    second = run(cluster, tmp_path, *words)
    assert second.stderr == f"{cluster.dispatcher}: 3 of 4 tasks were finished before\n"
    assert sorted((tmp_path / "ran").read_text().split()) == ["1", "2", "3", "3", "4"]
    third = run(cluster, tmp_path, *words)
    assert third.stderr == f"{cluster.dispatcher}: 4 of 4 tasks were finished before\n"
    # Another command is another task.
    run(cluster, tmp_path, *words[:-1], f"{script}; true")
    assert sorted((tmp_path / "ran").read_text().split()) == sorted("12343" + "1234")


def test_array_of_short_tasks_asks_little(cluster, tmp_path, noted):
    """One submission, and questions that become rarer; array_cost.py measures the time."""
    programs = {
        "slurm": ["sbatch", "squeue", "scontrol", "scancel"],
        "sge": ["qsub", "qstat", "qacct", "qdel"],
    }
    for name in programs[cluster.name]:
        put_before(tmp_path / "bin", name, f'echo {name} >>"{tmp_path}/asked"')
    own = cluster.submit_true(TASKS, AT_ONCE, tmp_path)
    path = f"{tmp_path / 'bin'}:{cluster.env()['PATH']}"
    words = ["--max-jobs-run", AT_ONCE, f"JOB=1:{TASKS}", "log/a.JOB.log", "true"]
    call = run(cluster, tmp_path, *words, PATH=path)
    seconds = call.ended - call.began
    line = f"{TASKS} tasks of `true`: {cluster.name} by itself {own:.1f} s"
    noted(f"{line}, {cluster.dispatcher} {seconds:.1f} s")
    submit, *questions = programs[cluster.name]
    asked = (tmp_path / "asked").read_text().split()
    assert asked.count(submit) == 1
    # Questions are asked after 0.2 s, 0.3 s, 0.45 s more and so on up to every 2 s.
    assert 1 <= sum(asked.count(name) for name in questions) <= 7 + seconds / 2, asked


def test_secrets_are_not_shown_to_the_scheduler(slurm, tmp_path):
    """A task has the caller's whole environment; the submit command saw next to nothing of it."""
    put_before(tmp_path / "bin", "sbatch", f'env >"{tmp_path}/seen"')
    path = f"{tmp_path / 'bin'}:{slurm.env()['PATH']}"
    call = run(slurm, tmp_path, "a.log", "bash", "-c", 'echo "$TOKEN"', TOKEN="very secret", PATH=path)
    assert call.log("a.log") == "very secret\n"
    seen = (tmp_path / "seen").read_text()
    assert "SLURM_CONF=" in seen and "TOKEN" not in seen and "very secret" not in seen
