"""One run a directory: who holds it is told; what a dead run left is taken over, here and elsewhere."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import threading
import time
from pathlib import Path

import pytest
from toy_recipe import HOSTILE, ROOT, without_privileges

RECORD = r"process \d+ on \S+ since \d{4}-\d\d-\d\d \d\d:\d\d:\d\d"


def script(body: str, patience: int = 1) -> list[str]:
    """A stage script in small: it owns the directory ``$1``, then runs ``body``."""
    settings = f"owner_patience={patience} owner_beat=1"
    start = f'set -euo pipefail; force=false; . "$0/stages/lib.sh"; {settings}; own "$1"'
    return ["bash", "-c", f"{start}\n{body}", str(ROOT)]


@pytest.fixture
def folder(tmp_path) -> Path:
    return tmp_path / f"exp {HOSTILE}"


def holder(folder: Path, body: str = "echo mine; sleep 300; true") -> subprocess.Popen:
    """A run that has the directory."""
    process = subprocess.Popen(
        [*script(body), str(folder)], stdout=subprocess.PIPE, text=True, start_new_session=True
    )
    assert process.stdout.readline() == "mine\n"
    return process


def attempt(folder: Path, body: str = "echo mine", *before: str, patience: int = 1):
    command = [*before, *script(body, patience), str(folder)]
    return subprocess.run(command, capture_output=True, text=True, timeout=60)


def test_a_second_run_is_told_whose_the_directory_is_and_since_when(folder):
    first = holder(folder)
    refused = attempt(folder)
    assert refused.returncode == 1 and refused.stdout == ""
    named = re.search(rf"{re.escape(str(folder))} is in use by ({RECORD})", refused.stderr)
    assert named, refused.stderr
    assert named[1].startswith(f"process {first.pid} on {os.uname().nodename} since ")
    os.killpg(first.pid, signal.SIGKILL)
    first.wait()
    taken = attempt(folder)
    assert taken.returncode == 0 and taken.stdout.endswith("mine\n")
    assert f"{named[1]} has ended without finishing; going on from there" in taken.stdout
    # An end in order leaves nothing to take over.
    assert [path.name for path in folder.iterdir()] == [".lock"]
    assert attempt(folder).stdout == "mine\n"


@pytest.mark.slow
def test_a_job_that_outlives_its_script_keeps_the_directory(folder):
    """Somebody kills the script alone: what it started still writes."""
    first = holder(folder, "sleep 4 & echo mine; wait")
    os.kill(first.pid, signal.SIGKILL)
    first.wait()
    assert "is in use by process" in attempt(folder).stderr
    assert attempt(folder, patience=20).returncode == 0


def test_half_written_files_of_a_dead_run_are_removed(folder):
    (folder.parent / "scratch").mkdir()
    folder.symlink_to(folder.parent / "scratch")
    half, other = folder / ".a.txt.0123abcd.tmp", folder / "a.tmp"
    half.touch(), other.touch()
    assert attempt(folder).returncode == 0
    assert not half.exists() and other.exists()


@pytest.mark.slow
def test_the_record_of_another_machine_counts_while_it_is_renewed(folder):
    """As on a file system whose locks do not reach other machines. That machine's clock is an hour off."""
    folder.mkdir()
    record = folder / ".owner"
    record.write_text("process 7 on elsewhere since 2026-01-01 00:00:00\n")
    ended = threading.Event()

    def renew():
        while not ended.wait(0.3):
            moment = time.time() - 3600
            os.utime(record, (moment, moment))

    beat = threading.Thread(target=renew)
    beat.start()
    try:
        refused = attempt(folder, patience=5)
    finally:
        ended.set()
        beat.join()
    assert refused.returncode == 1
    assert "is in use by process 7 on elsewhere since 2026-01-01 00:00:00" in refused.stderr
    taken = attempt(folder, patience=2)
    assert taken.returncode == 0
    assert "process 7 on elsewhere since 2026-01-01 00:00:00 has ended without finishing" in taken.stdout


@pytest.mark.slow
def test_the_record_is_renewed_until_the_last_process_is_gone(folder):
    first = holder(folder)
    times = set()
    deadline = time.monotonic() + 30
    while len(times) < 3 and time.monotonic() < deadline:
        times.add((folder / ".owner").stat().st_mtime_ns)
        time.sleep(0.2)
    assert len(times) == 3
    os.killpg(first.pid, signal.SIGKILL)
    first.wait()
    time.sleep(1.5)
    last = (folder / ".owner").stat().st_mtime_ns
    time.sleep(2.5)
    assert (folder / ".owner").stat().st_mtime_ns == last


def test_a_finished_directory_may_be_read_only_an_unfinished_one_not(folder):
    marker = folder / "step/.done"
    body = 'if is_done "$1/step/.done" --stage dump --option a=1; then echo done; else mkdir "$1/step"; fi'
    write = 'python -m svmixer done write "$1/step/.done" --stage dump --option a=1'
    assert attempt(folder, write).returncode == 0 and marker.is_file()
    folder.chmod(0o555)
    try:
        finished = attempt(folder, body, *without_privileges())
        changed = attempt(folder, body.replace("a=1", "a=2"), *without_privileges())
    finally:
        folder.chmod(0o755)
    assert (finished.returncode, finished.stdout) == (0, "done\n")
    assert changed.returncode == 1
    assert f"cannot write in {folder}: it is read-only, or another user's" in changed.stderr
