"""--resume of run.pl, slurm.pl and queue.pl: what is finished is left out, what differs is not."""

import os

import pytest

# Most of the time is the start of processes.
pytestmark = pytest.mark.slow

# Counts its calls; fails where a file says so.
TASK = ["bash", "-c", "echo JOB >> ran; ! [ -e fail.JOB ]"]


def ran(dispatcher) -> list[str]:
    """The tasks that ran since the last question."""
    path = dispatcher.directory / "ran"
    numbers = sorted(path.read_text().split()) if path.exists() else []
    path.unlink(missing_ok=True)
    return numbers


def test_only_what_failed_runs_again(dispatcher):
    (dispatcher.directory / "fail.2").touch()
    words = ["--resume", "true", "JOB=1:3", "log/a.JOB.log", *TASK]
    first = dispatcher(*words)
    assert first.returncode == 1
    assert f"{dispatcher.program.name}: 1 / 3 failed, log is in log/a.*.log" in first.stderr
    assert "failed tasks: 2 (exit code 1)" in first.stderr
    assert ran(dispatcher) == ["1", "2", "3"]
    second = dispatcher(*words)
    assert second.returncode == 1
    note = f"{dispatcher.program.name}: 2 of 3 tasks were finished before\n"
    assert second.stderr.startswith(note) and "1 / 3 failed" in second.stderr
    assert ran(dispatcher) == ["2"]
    (dispatcher.directory / "fail.2").unlink()
    third = dispatcher(*words)
    assert (third.returncode, third.stderr, ran(dispatcher)) == (0, note, ["2"])
    fourth = dispatcher(*words)
    assert (fourth.returncode, ran(dispatcher)) == (0, [])
    assert fourth.stderr == note.replace("2 of 3", "3 of 3")


@pytest.mark.parametrize(
    "change",
    [
        {"head": ["--resume-key", "other inputs"]},
        {"words": ["bash", "-c", "echo JOB >> ran; true"]},
        {"log": "log/b.JOB.log"},
        {"head": ["--operators", "false"], "words": ["bash", "-c", "echo JOB >> ran", "|", "cat"]},
    ],
)
def test_another_command_key_or_log_runs_again(dispatcher, change):
    words = change.get("words", TASK)
    if "|" in words:
        # The same words, but here | acts.
        assert dispatcher("JOB=1:2", "log/a.JOB.log", *words).returncode == 0
    else:
        assert dispatcher("JOB=1:2", "log/a.JOB.log", *TASK).returncode == 0
    assert ran(dispatcher) == ["1", "2"]
    log = change.get("log", "log/a.JOB.log")
    done = dispatcher("--resume", "true", *change.get("head", []), "JOB=1:2", log, *words)
    assert (done.returncode, done.stderr, ran(dispatcher)) == (0, "", ["1", "2"])


def test_by_default_everything_runs_again(dispatcher):
    for _ in range(2):
        assert dispatcher("JOB=1:2", "log/a.JOB.log", *TASK).returncode == 0
        assert ran(dispatcher) == ["1", "2"]


def test_a_later_failure_counts(dispatcher):
    assert dispatcher("JOB=1:2", "log/a.JOB.log", *TASK).returncode == 0
    (dispatcher.directory / "fail.1").touch()
    assert dispatcher("JOB=1:2", "log/a.JOB.log", *TASK).returncode == 1
    ran(dispatcher)
    assert dispatcher("--resume", "true", "JOB=1:2", "log/a.JOB.log", *TASK).returncode == 1
    assert ran(dispatcher) == ["1"]


def test_single_jobs_and_other_range_names_are_remembered_by_their_words(dispatcher):
    assert dispatcher("JOB=3", "a.3.log", "bash", "-c", "echo JOB >> ran").returncode == 0
    assert ran(dispatcher) == ["3"]
    for words in (["TASK=3", "a.TASK.log"], ["a.3.log"]):
        number = "TASK" if len(words) == 2 else "3"
        done = dispatcher("--resume", "true", *words, "bash", "-c", f"echo {number} >> ran")
        assert (done.returncode, ran(dispatcher)) == (0, [])
        assert done.stderr.endswith("1 of 1 tasks were finished before\n")


def test_marker_is_readable_and_of_the_directory(dispatcher):
    assert dispatcher("log/a.log", "echo", "two words", "it's").returncode == 0
    marker = dispatcher.directory / "log/.dispatch/a.log.done"
    assert marker.read_text() == (
        f"directory {dispatcher.directory}\nlog log/a.log\nkey ''\ncommand echo 'two words' 'it'\\''s'\n"
    )
    # A marker that was cut off counts for nothing.
    os.truncate(marker, 40)
    assert dispatcher("--resume", "true", "log/a.log", "echo", "two words", "it's").stderr == ""
