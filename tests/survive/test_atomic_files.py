"""A file is the old one or the new one: every writer is killed, or runs out of room, at chosen bytes."""

from __future__ import annotations

import fnmatch
import os
import random
import resource
import signal
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from svmixer import config as configuration
from svmixer.fileio import atomic_path, atomic_write, write_json
from svmixer.lists import Trials, write_parts, write_spk2utt, write_table, write_trials
from svmixer.models.config import StudentConfig
from svmixer.models.io import save_tensors
from svmixer.scoring.vectors import write_vectors
from svmixer.training.checkpoint import rotate, save_tree

pytestmark = pytest.mark.slow

UTTERANCES = [f"utterance-{number:04d}" for number in range(500)]
TENSORS = {"a": torch.arange(3000.0), "b": torch.ones(2, 3, dtype=torch.int64)}


def write_bytes(path: Path) -> None:
    with atomic_write(path, "wb") as stream:
        stream.write(bytes(range(256)) * 40)


WRITERS: dict[str, Callable[[Path], object]] = {
    "bytes": write_bytes,
    "json": lambda path: write_json(path, UTTERANCES),
    "table": lambda path: write_table(path, dict.fromkeys(UTTERANCES, "/a/b.wav")),
    "spk2utt": lambda path: write_spk2utt(path, {name: name[:12] for name in UTTERANCES}),
    "parts": lambda path: write_parts(path, {name: [("r", 0.5, 1.5)] for name in UTTERANCES}),
    "trials": lambda path: write_trials(path, Trials.from_rows((1, name, "b") for name in UTTERANCES)),
    "configuration": lambda path: configuration.save(StudentConfig(), path),
    "model": lambda path: save_tensors(TENSORS, path),
    "checkpoint": lambda path: save_tree(path, {"module": TENSORS, "counters": [1, 2.5, None]}),
    "vectors": lambda path: write_vectors(path, [(name, np.ones(8)) for name in UTTERANCES[:100]]),
}


def in_child(action: Callable[[], object], room: int | None = None, killed: bool = False) -> str:
    """Run ``action`` in a process of its own whose files end at ``room`` bytes.

    Returns:
        ``killed``: the system ended it there; the text of its OSError; or ``done``.
    """
    reader, writer = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            if room is not None:
                resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
                # By default the signal is ignored in Python, and the write fails as on a full disk.
                signal.signal(signal.SIGXFSZ, signal.SIG_DFL if killed else signal.SIG_IGN)
                resource.setrlimit(resource.RLIMIT_FSIZE, (room, room))
            action()
            answer = "done"
        except OSError as error:
            answer = str(error)
        except BaseException as error:
            answer = repr(error)
        os.write(writer, answer.encode())
        os._exit(0)
    os.close(writer)
    with os.fdopen(reader) as stream:
        answer = stream.read()
    _, status = os.waitpid(pid, 0)
    return "killed" if os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGXFSZ else answer


def whole(name: str, folder: Path) -> bytes:
    folder.mkdir()
    WRITERS[name](folder / "file")
    return (folder / "file").read_bytes()


@pytest.mark.slow
@pytest.mark.parametrize("name", WRITERS)
def test_killed_at_any_byte(name, tmp_path):
    new = whole(name, tmp_path / "whole")
    path = tmp_path / "killed/file"
    path.parent.mkdir()
    drawn = random.Random(name).sample(range(2, len(new) - 1), 6)
    for room in (0, 1, *drawn, len(new) - 1):
        path.write_bytes(b"old")
        assert in_child(lambda: WRITERS[name](path), room, killed=True) == "killed"
        assert path.read_bytes() == b"old"
        halves = [other.name for other in path.parent.iterdir() if other.name != "file"]
        # The names by which the next run (stages/lib.sh, own) knows what it may remove.
        assert all(fnmatch.fnmatchcase(half, ".?*.????????.tmp") for half in halves), halves
        for half in halves:
            (path.parent / half).unlink()
    assert in_child(lambda: WRITERS[name](path), max(len(new), 20_000), killed=True) == "done"
    assert path.read_bytes() == new


@pytest.mark.parametrize("name", WRITERS)
def test_no_room_is_told_with_the_file_and_leaves_nothing(name, tmp_path):
    """A limit of the file's size fails as a full disk and a quota do: at the write, or at the close."""
    new = whole(name, tmp_path / "whole")
    path = tmp_path / "full/file"
    path.parent.mkdir()
    path.write_bytes(b"old")
    for room in (0, random.Random(name).randrange(1, len(new) - 1), len(new) - 1):
        answer = in_child(lambda: WRITERS[name](path), room)
        assert answer == f"[Errno 27] File too large: '{path}'"
        assert path.read_bytes() == b"old"
        assert {other.name for other in path.parent.iterdir()} == {"file"}
    WRITERS[name](path)
    assert path.read_bytes() == new


@pytest.mark.parametrize("umask", [0o022, 0o027, 0o002])
@pytest.mark.parametrize("name", WRITERS)
def test_modes_follow_the_umask(name, umask, tmp_path):
    path = tmp_path / "new folder/file"

    def write() -> None:
        os.umask(umask)
        WRITERS[name](path)

    assert in_child(write) == "done"
    assert path.stat().st_mode & 0o777 == 0o666 & ~umask
    assert path.parent.stat().st_mode & 0o777 == 0o777 & ~umask


def test_a_checkpoint_killed_at_any_byte_leaves_one_to_go_on_from(tmp_path):
    from svmixer.training.checkpoint import load_newest

    path = tmp_path / "last.ckpt"
    rotate(path, {"step": 0, "tensors": TENSORS})
    size = path.stat().st_size
    for step, room in enumerate(random.Random(0).sample(range(size), 12), 1):
        tree = {"step": step, "tensors": TENSORS}
        assert in_child(lambda tree=tree: rotate(path, tree), room, killed=True) == "killed"
        assert load_newest(path)["step"] == step - 1
        rotate(path, tree)


def test_names_as_long_as_the_file_system_takes(tmp_path):
    for name in ("x" * 255, "é" * 127):
        with atomic_path(tmp_path / name) as temporary:
            temporary.write_text("new")
        assert (tmp_path / name).read_text() == "new"
    assert len(list(tmp_path.iterdir())) == 2
