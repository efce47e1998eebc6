"""A recipe outside a shared installation, for recordings in a folder for each speaker."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from speaker_folders import write_folders
from toy_recipe import HOSTILE, copy_checkout, without_privileges

from svmixer.lists import read_table, read_utt2spk

pytestmark = pytest.mark.recipe


def files(folder: Path) -> dict[str, tuple[int, int]]:
    """Every file and folder with its mode and time of change."""
    states = {str(path.relative_to(folder)): path.lstat() for path in folder.rglob("*")}
    return {name: (state.st_mode, state.st_mtime_ns) for name, state in states.items()}


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.fixture(scope="module")
def installation(tmp_path_factory) -> Path:
    """A copy of the checkout that nobody can write."""
    root = tmp_path_factory.mktemp("shared") / "my installation"
    copy_checkout(root)
    subprocess.run(["chmod", "-R", "a-w", root], check=True)
    return root


@pytest.fixture(scope="module")
def recordings(tmp_path_factory) -> Path:
    """Six voices, three recordings each."""
    folder = tmp_path_factory.mktemp("corpus") / "my recordings"
    write_folders(folder, speakers=6, utterances=3)
    return folder


def run(*words: object, cwd: Path) -> subprocess.CompletedProcess:
    """A command for which modes of files hold, with what it prints."""
    env = {**os.environ, "SVMIXER_VENV": sys.prefix, "OMP_NUM_THREADS": "1"}
    command = [*without_privileges(), *map(str, words)]
    return subprocess.run(command, cwd=cwd, env=env, capture_output=True, text=True, check=False)


def good(*words: object, cwd: Path) -> str:
    done = run(*words, cwd=cwd)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    return done.stdout


@pytest.fixture
def recipe(installation, recordings, tmp_path) -> Path:
    """A recipe outside, with its lists."""
    folder = tmp_path / "mine"
    words = ("mycorpus", "--dir", folder, "--audio_dir", recordings)
    good(installation / "tools/new_recipe.sh", *words, cwd=tmp_path)
    return folder


def test_a_recipe_outside_leaves_the_installation_alone(installation, recordings, tmp_path):
    before = files(installation)
    folder = tmp_path / f"mine {HOSTILE}"
    name = os.path.relpath(folder, tmp_path)
    said = good(
        installation / "tools/new_recipe.sh", "birds", "--dir", name, "--audio_dir", recordings, cwd=tmp_path
    )
    assert said.startswith(f"{recordings}: 18 recordings of 6 speakers\n{folder} is ready.")
    assert list(read_table(folder / "lists/wav.scp").values()) == sorted(map(str, recordings.rglob("*.wav")))
    made, template = contents(folder), contents(installation / "egs/TEMPLATE/sv1")
    lists = {f"lists/{name}" for name in ("wav.scp", "utt2spk", "spk2utt")}
    assert made.keys() == template.keys() | lists
    assert {name for name in template if made[name] != template[name]} == {"path.sh", "run.sh"}
    assert os.access(folder / "run.sh", os.X_OK) and all(
        path.stat().st_mode & 0o200 for path in folder.rglob("*")
    )
    assert [path.name for path in tmp_path.iterdir()] == [folder.name]
    # From anywhere; everything goes where the recipe is.
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    out = good(folder / "run.sh", "--stop_stage", "data", "--recipe_defaults", "end", cwd=elsewhere)
    assert "data/train: 2 speakers (the others)" in out and "data/test: 2 speakers (by the number" in out
    assert list(elsewhere.iterdir()) == [] and (folder / "data/train/wav.scp").is_file()
    assert files(installation) == before


def test_the_recipe_and_its_data_can_be_moved_together(recipe, tmp_path):
    options = ("--local_data_opts", "--test_speakers 2 --seed 3")
    good(recipe / "run.sh", "--stop_stage", "dump", "--baseline", "", *options, cwd=tmp_path)
    moved = recipe.rename(tmp_path / "moved")
    said = good(moved / "run.sh", "--stop_stage", "dump", "--baseline", "", cwd=tmp_path)
    assert "data: --local_data_opts '--test_speakers 2 --seed 3', as it was made with" in said
    assert "stage 1: data is done" in said and "stage 2: dump/train is done" in said


def test_an_installation_that_moved_is_named(recipe, tmp_path):
    path = recipe / "path.sh"
    path.write_text(re.sub("^_project=.*$", "_project=/nowhere", path.read_text(), flags=re.MULTILINE))
    for script in ("run.sh", "local/data.sh"):
        done = run(recipe / script, cwd=tmp_path)
        assert done.returncode == 1
        assert f"{recipe}/path.sh: the project is not in /nowhere: write its place there" in done.stderr


def test_places_that_cannot_be(installation, recordings, tmp_path):
    def refused(*words: object) -> str:
        before = files(tmp_path)
        done = run(installation / "tools/new_recipe.sh", *words, cwd=tmp_path)
        assert done.returncode == 1 and files(tmp_path) == before
        return done.stderr

    (tmp_path / "full").mkdir()
    (tmp_path / "full/x").write_text("mine")
    assert refused("birds", "--dir", "full") == f"new_recipe.sh: {tmp_path}/full exists already\n"
    inside = installation / "here"
    assert f"{inside} lies in the checkout {installation}: leave --dir out" in refused(
        "birds", "--dir", inside
    )
    assert f"there is no folder none (looked for it in {tmp_path})" in refused("birds", "--audio_dir", "none")
    # Of a failure nothing is left.
    one = recordings / "voice00"
    assert f"error: {one}: no folder with audio files" in refused("birds", "--dir", "new", "--audio_dir", one)
    (tmp_path / "empty").mkdir()
    good(installation / "tools/new_recipe.sh", "birds", "--dir", "empty", cwd=tmp_path)
    assert (tmp_path / "empty/run.sh").is_file()


@pytest.mark.slow
def test_a_folder_that_grows_is_read_again(installation, recordings, tmp_path):
    folder = tmp_path / "mine"
    good(installation / "tools/new_recipe.sh", "mycorpus", "--dir", folder, cwd=tmp_path)
    mine = tmp_path / "in"
    shutil.copytree(recordings, mine)
    words = (folder / "run.sh", "--stop_stage", "data")
    good(*words, "--local_data_opts", f"--audio_dir '{mine}'", cwd=tmp_path)
    assert "stage 1: data is done" in good(*words, cwd=tmp_path)
    write_folders(tmp_path / "more", speakers=7, utterances=2)
    shutil.move(tmp_path / "more/voice06", mine)
    assert "data: again, because option audio" in good(*words, cwd=tmp_path)
    assert len(set(read_utt2spk(folder / "data/all/utt2spk").values())) == 7
    # Lists and a folder at once are a riddle.
    both = run(*words, "--local_data_opts", f"--audio_dir '{mine}' --utt2spk x", cwd=tmp_path)
    assert both.returncode == 1 and "--utt2spk: not beside --audio_dir" in both.stderr


@pytest.mark.slow
def test_fewer_than_six_speakers_are_evaluated_without_training(installation, recordings, tmp_path):
    few = tmp_path / "few"
    for number in range(5):
        shutil.copytree(recordings / f"voice{number:02d}", few / f"voice{number:02d}")
    folder = tmp_path / "mine"
    good(installation / "tools/new_recipe.sh", "few", "--dir", folder, cwd=tmp_path)
    refused = run(folder / "run.sh", "--local_data_opts", f"--audio_dir '{few}'", cwd=tmp_path)
    assert refused.returncode == 1
    assert "5 of 5 speakers have two utterances or more: a training needs 6 speakers" in refused.stderr
    command = re.search(r"without training: (\./run\.sh .*)", refused.stderr)[1]
    good("bash", "-c", f"{command} --stop_stage report", cwd=folder)
    metrics = json.loads((folder / "exp/pocket2/score/test/metrics.json").read_text())
    # Three target pairs of each of the five, and as many impostors.
    assert (metrics["trials"], metrics["targets"], metrics["bootstrap"]["speakers"]) == (30, 15, 5)
    assert f"{metrics['eer']:.2f}" in (folder / "exp/pocket2/RESULTS.md").read_text()
    # Nobody is left to train with.
    training = run(folder / "run.sh", cwd=tmp_path)
    assert training.returncode == 1
    assert "--test_only true leaves nobody to train with" in training.stderr
