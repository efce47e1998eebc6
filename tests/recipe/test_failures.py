"""Full disks, closed doors, damaged archives: what is told, nothing half-written, right after repair."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import soundfile
from toy_recipe import run, without_privileges

OTHER_TAG = ("--tag", "other", "--control", "false", "--lowpass", "")


@contextlib.contextmanager
def small_disk(folder: Path, size: str) -> Iterator[None]:
    """A file system of that size at ``folder``; skips the test where none can be mounted."""
    folder.mkdir(parents=True)
    if os.geteuid():
        pytest.skip("needs root, to mount a small file system")
    options = ["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(folder)]
    mounted = subprocess.run(options, capture_output=True, text=True)
    if mounted.returncode:
        pytest.skip(f"cannot mount a small file system: {mounted.stderr.strip()}")
    try:
        yield
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=True)


def enlarge(folder: Path, size: str) -> None:
    subprocess.run(["mount", "-o", f"remount,size={size}", str(folder)], check=True)


def write_corpus(folder: Path, names: str = "abc") -> None:
    """Recordings of 2 s, and ``data`` with their lists."""
    (folder / "data").mkdir(parents=True)
    rng = np.random.default_rng(0)
    for name in names:
        soundfile.write(folder / f"{name}.wav", rng.uniform(-0.5, 0.5, 32000), 16000, subtype="PCM_16")
    (folder / "data/wav.scp").write_text("".join(f"{name} {name}.wav\n" for name in names))


def program(
    folder: Path, name: str, *options: str, before: tuple[str, ...] = ()
) -> subprocess.CompletedProcess:
    words = [
        *before,
        sys.executable,
        "-m",
        "svmixer",
        name,
        "--data_dir",
        "data",
        "--output_dir",
        "dump",
    ]
    return subprocess.run([*words, *options], cwd=folder, capture_output=True, text=True)


def complete(folder: Path) -> dict[str, bytes]:
    """Dump ``folder``, which must work; the files of the result."""
    for name in ("dump", "dump_merge"):
        done = program(folder, name)
        assert done.returncode == 0, done.stderr
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in folder.rglob("dump/**/*")
        if path.is_file()
    }


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory) -> dict[str, bytes]:
    folder = tmp_path_factory.mktemp("undisturbed")
    write_corpus(folder)
    return complete(folder)


def last_line(done: subprocess.CompletedProcess) -> str:
    assert done.returncode == 1 and "Traceback" not in done.stderr, done.stderr
    return done.stderr.splitlines()[-1]


def files(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.is_file()]


def test_a_full_disk_in_the_dump(tmp_path, undisturbed):
    write_corpus(tmp_path)
    with small_disk(tmp_path / "dump", "100k"):
        assert last_line(program(tmp_path, "dump")) == (
            "error: [Errno 28] No space left on device: 'dump/data/wav.1.ark'"
        )
        assert files(tmp_path / "dump") == []
        enlarge(tmp_path / "dump", "1M")
        assert complete(tmp_path) == undisturbed


def test_a_read_only_output_directory(tmp_path, undisturbed):
    write_corpus(tmp_path)
    (tmp_path / "dump").mkdir(mode=0o555)
    done = program(tmp_path, "dump", before=without_privileges())
    assert last_line(done) == "error: [Errno 13] Permission denied: 'dump/data'"
    assert files(tmp_path / "dump") == []
    (tmp_path / "dump").chmod(0o755)
    assert complete(tmp_path) == undisturbed


def test_a_list_that_may_not_be_read(tmp_path, undisturbed):
    write_corpus(tmp_path)
    (tmp_path / "data/wav.scp").chmod(0)
    done = program(tmp_path, "dump", before=without_privileges())
    assert last_line(done) == "error: data/wav.scp: cannot be read: Permission denied"
    assert not (tmp_path / "dump").exists()
    (tmp_path / "data/wav.scp").chmod(0o644)
    assert complete(tmp_path) == undisturbed


def test_a_recording_that_may_not_be_read(tmp_path, undisturbed):
    """It is dropped, and one of three is more than may be."""
    write_corpus(tmp_path)
    (tmp_path / "b.wav").chmod(0)
    assert program(tmp_path, "dump", before=without_privileges()).returncode == 0
    line = last_line(program(tmp_path, "dump_merge"))
    assert "1 of 3 utterances cannot be used (1 unreadable)" in line
    assert "b (unreadable: Permission denied: b.wav)" in line
    assert not (tmp_path / "dump/wav.scp").exists()
    (tmp_path / "b.wav").chmod(0o644)
    assert complete(tmp_path) == undisturbed


def begin(finished: Path, work: Path) -> Path:
    """A directory with the finished lists and dumps, to train in."""
    work.mkdir()
    for name in ("data", "dump"):
        shutil.copytree(finished / name, work / name)
    return work


@pytest.mark.slow
@pytest.mark.recipe
@pytest.mark.timeout(1800)
def test_a_full_disk_in_a_training(finished, recipe, tmp_path):
    """Three checkpoints do not fit; with more room the training goes on from the second."""
    work = begin(finished, tmp_path / "work")
    only = (*OTHER_TAG, "--stage", "3", "--stop_stage", "3")
    with small_disk(work / "exp", "420k"):
        failed = run(recipe, work, *only)
        assert failed.returncode == 1
        assert "error: [Errno 28] No space left on device: 'exp/other/distill/" in failed.stderr
        folder = work / "exp/other/distill"
        assert not (folder / ".done").exists() and not list(folder.rglob(".*.tmp"))
        enlarge(work / "exp", "20M")
        again = run(recipe, work, *only)
        assert again.returncode == 0, again.stderr
        assert "resumed at epoch" in (folder / "distill.log").read_text()
        student = (folder / "student.safetensors").read_bytes()
    assert student == (finished / "exp/toy/distill/student.safetensors").read_bytes()


@pytest.mark.slow
@pytest.mark.recipe
@pytest.mark.timeout(1800)
def test_a_truncated_archive_is_named_by_training_and_scoring(finished, recipe, tmp_path):
    work = begin(finished, tmp_path / "work")
    shutil.copytree(finished / "exp/toy", work / "exp/toy")
    for name in ("train", "test"):
        archive = work / f"dump/{name}/data/wav.1.ark"
        os.truncate(archive, archive.stat().st_size - 1000)
    last = {
        name: (work / f"dump/{name}/wav.scp").read_text().splitlines()[-1].split()[0]
        for name in ("train", "test")
    }

    workers = ("--distill_args", "--loop.workers 1")
    trained = run(recipe, work, *OTHER_TAG, *workers, "--stage", "3", "--stop_stage", "3")
    assert trained.returncode == 1
    assert (
        f"error: utterance {last['train']}: dump/train/data/wav.1.ark: unreadable: truncated"
        in trained.stderr
    )
    assert not (work / "exp/other/distill/.done").exists()

    only = ("--control", "false", "--lowpass", "", "--stage", "5", "--stop_stage", "5", "--force", "true")
    scored = run(recipe, work, *only)
    assert scored.returncode == 1
    assert (
        f"error: utterance {last['test']}: dump/test/data/wav.1.ark: unreadable: truncated" in scored.stderr
    )
    assert "repair with: run.sh --stage dump" in scored.stderr
    assert not (work / "exp/toy/score/test/.done").exists()

    shutil.copy(finished / "dump/test/data/wav.1.ark", work / "dump/test/data/wav.1.ark")
    repaired = run(recipe, work, *only)
    assert repaired.returncode == 0, repaired.stderr
    scores = [folder / "exp/toy/score/test/scores" for folder in (work, finished)]
    assert scores[0].read_bytes() == scores[1].read_bytes()
