"""Telephone calls, a speaker on each channel: from lists of the template's recipe to a dump."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile

from svmixer.audio import DumpSet, to_pcm16
from svmixer.lists import read_table

ROOT = Path(__file__).resolve().parents[2]
SETS = ("train", "valid", "test")
SIDES = [(call, side) for call in range(6) for side in "AB"]


def run(*command: object, cwd: Path) -> subprocess.CompletedProcess:
    env = {**os.environ, "SVMIXER_VENV": sys.prefix}
    return subprocess.run([*map(str, command)], cwd=cwd, env=env, capture_output=True, text=True, check=False)


def level(call: int, side: str) -> int:
    """Every sample of a side has one value, which no other side has."""
    return 1000 + 100 * call + "AB".index(side)


@pytest.fixture
def recipe(tmp_path) -> Path:
    """The template with six calls of twelve speakers, each cut in two; no list names a channel."""
    for name in ("tools", "svmixer", "path.sh"):
        (tmp_path / name).symlink_to(ROOT / name)
    shutil.copytree(ROOT / "egs/TEMPLATE", tmp_path / "egs/TEMPLATE")
    lists = tmp_path / "egs/TEMPLATE/sv1/lists"
    for call in range(6):
        sides = np.stack([np.full(800, level(call, side), np.int16) for side in "AB"], axis=1)
        soundfile.write(tmp_path / f"call{call}.wav", sides, 16000)
    scp = "".join(f"c{call}{side} {tmp_path}/call{call}.wav\n" for call, side in SIDES)
    (lists / "wav.scp").write_text(scp)
    utterances = [(f"c{call}{side}-{half}", f"c{call}{side}", half) for call, side in SIDES for half in "01"]
    rows = (
        f"{name} {own} {0.025 * int(half):.3f} {0.025 + 0.025 * int(half):.3f}\n"
        for name, own, half in utterances
    )
    (lists / "segments").write_text("".join(rows))
    (lists / "utt2spk").write_text("".join(f"{name} {own}\n" for name, own, _ in utterances))
    return lists.parent


def prepare(recipe: Path, work: Path, *options: object) -> subprocess.CompletedProcess:
    work.mkdir(exist_ok=True)
    command = [recipe / "local/data.sh", "--valid_speakers", 4, "--test_speakers", 4, *options]
    done = run(*command, cwd=work)
    assert done.returncode == 0, done.stderr
    return done


def dump(work: Path) -> tuple[dict[str, set[int]], str]:
    """Stage 2: the values in each utterance, and what the stage said."""
    done = run(ROOT / "stages/02_dump.sh", "--recipe", work, "--min_seconds", 0, "--nj", 1, cwd=work)
    assert done.returncode == 0, done.stderr
    found = {}
    for name in SETS:
        dumped = DumpSet(work / "dump" / name)
        found |= {
            utterance: set(to_pcm16(dumped.read(row)).tolist())
            for row, utterance in enumerate(dumped.utterances)
        }
    return found, done.stdout + done.stderr


@pytest.mark.slow
@pytest.mark.recipe
def test_calls_are_told_apart(recipe, tmp_path, monkeypatch):
    channels = "".join(f"c{call}{side} call{call} {side}\n" for call, side in SIDES)
    (recipe / "lists/reco2file_and_channel").write_text(channels)
    work = tmp_path / "work"
    done = prepare(recipe, work)
    assert "WARNING" not in done.stderr
    kept: dict[str, str] = {}
    for name in SETS:
        kept |= read_table(work / "data" / name / "reco2file_and_channel")
    assert kept == read_table(recipe / "lists/reco2file_and_channel")
    monkeypatch.chdir(work)
    first, _ = dump(work)
    assert first == {f"c{call}{side}-{half}": {level(call, side)} for call, side in SIDES for half in "01"}
    _, said = dump(work)
    assert [f"dump/{name} is done" in said for name in SETS] == [True] * 3
    # A change of the channels alone makes the dump anew.
    for name in SETS:
        path = work / "data" / name / "reco2file_and_channel"
        swapped = {"A": "B", "B": "A"}
        rows = (line.rpartition(" ") for line in path.read_text().splitlines())
        path.write_text("".join(f"{head} {swapped[side]}\n" for head, _, side in rows))
    second, _ = dump(work)
    assert second["c3A-0"] == first["c3B-0"] and second["c3B-1"] == first["c3A-1"]


@pytest.mark.slow
@pytest.mark.recipe
def test_calls_that_are_not_told_apart_are_named(recipe, tmp_path):
    work = tmp_path / "work"
    done = prepare(recipe, work)
    assert "data/all: different speakers at the same time in 6 of its recordings, first in" in done.stderr
