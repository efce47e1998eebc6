"""Stages 1 and 2: what makes finished work unfinished, and which options it is remembered with."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
import soundfile

from svmixer.fileio import read_json, write_json

ROOT = Path(__file__).resolve().parents[2]
ONE_SET = ("--train_set", "", "--valid_set", "", "--max_drop", "0.9")
DATA_SH = """#!/usr/bin/env bash
# Copies lists; takes data.sh's usual options.
set -euo pipefail
recipe=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
# Where the data goes.
data_dir=data
# Parallel jobs.
nj=1
# A list of recordings in place of the recipe's; none fails.
wav_scp=
. "$SVMIXER_ROOT/tools/parse_options.sh"
[ "$wav_scp" != none ] || exit 1
echo made >>"$data_dir/made"
for set in train valid test; do
    mkdir -p "$data_dir/$set"
    cp "${wav_scp:-$recipe/lists/wav.scp}" "$data_dir/$set/wav.scp"
    cut -d' ' -f1 "$data_dir/$set/wav.scp" | sed 's/.*/& &/' >"$data_dir/$set/utt2spk"
    cp "$data_dir/$set/utt2spk" "$data_dir/$set/spk2utt"
done
"""

pytestmark = [pytest.mark.recipe, pytest.mark.slow]


@pytest.fixture
def work(tmp_path) -> Path:
    """A recipe with a list of two recordings and a command, and a folder to work in."""
    recipe = tmp_path / "my recipe"
    for folder in ("local", "conf", "lists"):
        (recipe / folder).mkdir(parents=True)
    (recipe / "local/data.sh").write_text(DATA_SH)
    folder = tmp_path / "work"
    folder.mkdir()
    for number, name in enumerate(("a", "b", "c")):
        write_audio(folder / f"{name}.wav", number)
    (recipe / "lists/wav.scp").write_text("a a.wav\nb b.wav\nc cat c.wav |\n")
    return folder


def write_audio(path: Path, seed: int) -> None:
    """0.4 s of noise; all files have one size."""
    wave = 0.1 * np.random.default_rng(seed).standard_normal(6400)
    soundfile.write(path, wave, 16000, subtype="PCM_16")


def run(work: Path, script: str, *options: object) -> str:
    """Standard output of a script that succeeds."""
    done = start(work, script, *options)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def start(work: Path, script: str, *options: object) -> subprocess.CompletedProcess:
    words = [str(ROOT / script), "--recipe", str(work.parent / "my recipe"), *map(str, options)]
    return subprocess.run(words, cwd=work, capture_output=True, text=True, timeout=300)


def data(work: Path, *options: object) -> str:
    return run(work, "stages/01_data.sh", *options)


def dump(work: Path, *options: object) -> str:
    return run(work, "stages/02_dump.sh", *ONE_SET, *options)


def test_linked_lists(work):
    """What a link leads to counts, be it a list or the folder of lists."""
    lists = work.parent / "my recipe/lists"
    lists.rename(work.parent / "elsewhere")
    lists.symlink_to(work.parent / "elsewhere")
    data(work)
    assert "data is done" in data(work)
    (lists / "wav.scp").write_text("a a.wav\n")
    assert "data: again, because option recipe" in data(work)
    assert (work / "data/test/wav.scp").read_text() == "a a.wav\n"
    (lists / "wav.scp").rename(work.parent / "one")
    (lists / "wav.scp").symlink_to(work.parent / "one")
    assert "data is done" in data(work)
    (work.parent / "one").write_text("b b.wav\n")
    assert "data: again, because option recipe" in data(work)
    assert (work / "data/test/wav.scp").read_text() == "b b.wav\n"


def test_a_renamed_list_is_another(work):
    lists = work.parent / "my recipe/lists"
    (lists / "trials").write_text("1 a b\n")
    data(work)
    (lists / "trials").rename(lists / "trials.off")
    assert "data: again, because option recipe" in data(work)


def test_a_list_that_options_name(work):
    """Its content counts, blanks in its name do not; when it is gone it has not changed."""
    listed = work.parent / "my lists"
    listed.mkdir()
    (listed / "wav.scp").write_text("a a.wav\n")
    options = ("--local_data_opts", f"--wav_scp '{listed}/wav.scp'")
    data(work, *options)
    assert (work / "data/test/wav.scp").read_text() == "a a.wav\n"
    assert "data is done" in data(work, *options)
    (listed / "wav.scp").write_text("b b.wav\n")
    assert f"again, because {listed}/wav.scp changed" in data(work, *options)
    assert (work / "data/test/wav.scp").read_text() == "b b.wav\n"
    (listed / "wav.scp").unlink()
    assert "data is done" in data(work, *options)


def test_a_list_behind_an_equals_sign(work):
    """`--wav_scp=FILE` names it as `--wav_scp FILE` does; other quotes are no change."""
    listed = work.parent / "my=lists"
    listed.mkdir()
    (listed / "wav.scp").write_text("a a.wav\n")
    options = ("--local_data_opts", f"--wav_scp='{listed}/wav.scp'")
    data(work, *options)
    marker = (work / "data/.done").read_bytes()
    for same in (f"--wav_scp={listed}/wav.scp", f' "--wav_scp={listed}"/wav.scp '):
        assert "data is done" in data(work, "--local_data_opts", same)
    assert (work / "data/.done").read_bytes() == marker
    (listed / "wav.scp").write_text("b b.wav\n")
    assert f"again, because {listed}/wav.scp changed" in data(work, *options)
    assert (work / "data/test/wav.scp").read_text() == "b b.wav\n"
    assert "option local_data_opts" in data(work, "--local_data_opts", f"--wav_scp '{listed}/wav.scp'")


def test_options_of_finished_data_are_remembered(work):
    """Through run.sh: left out they are as they were; given, or changed in the recipe, they are taken."""
    (work / "one").write_text("a a.wav\n")
    stop = ("--stop_stage", "1")
    run(work, "run.sh", *stop, "--local_data_opts", "--wav_scp one")
    assert "data is done" in run(work, "run.sh", *stop, "--local_data_opts", "--wav_scp one")
    for more in ((), ("--local_data_opts", "--wav_scp none", "--recipe_defaults", "end")):
        output = run(work, "run.sh", *stop, *more)
        assert "data: --local_data_opts '--wav_scp one', as it was made with" in output
        assert "data is done" in output
    assert (work / "data/made").read_text() == "made\n"
    other = run(work, "run.sh", *stop, "--recipe_defaults", "end", "--local_data_opts", "")
    assert "data: again, because option local_data_opts (--wav_scp one → ) changed" in other
    assert "c cat c.wav |\n" in (work / "data/test/wav.scp").read_text()
    assert "data is done" in run(work, "run.sh", *stop)
    # A default is not remembered: a recipe may change it.
    shutil.rmtree(work / "data")
    run(work, "run.sh", *stop, "--local_data_opts", "--wav_scp one", "--recipe_defaults", "end")
    assert "again, because option" in run(work, "run.sh", *stop, "--recipe_defaults", "end")


def test_another_recipe_has_its_own_options(work):
    (work / "one").write_text("a a.wav\n")
    data(work, "--local_data_opts", "--wav_scp one")
    shutil.copytree(work.parent / "my recipe", work.parent / "another")
    words = [ROOT / "stages/01_data.sh", "--recipe", work.parent / "another", "--given", "none"]
    done = subprocess.run(words, cwd=work, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0 and "option local_data_opts (--wav_scp one → ) changed" in done.stdout


def test_fewer_sets_make_no_data_anew(work):
    data(work)
    assert "data is done" in data(work, "--train_set", "", "--valid_set", "")
    assert "data is done" in data(work)


def test_a_failed_repetition_leaves_no_marker(work):
    data(work)
    assert start(work, "stages/01_data.sh", "--local_data_opts", "--wav_scp none").returncode != 0
    assert not (work / "data/.done").exists()
    data(work)
    assert (work / "data/made").read_text() == "made\nmade\n"


def test_options_of_a_dump_are_remembered(work):
    data(work)
    dump(work, "--trim", "true")
    marker = (work / "dump/test/.done").read_bytes()
    later = dump(work)
    assert "dump/test: --trim true, as it was made with; give --trim to change that" in later
    assert later.count("is done") == 1
    through = run(work, "run.sh", "--stage", "2", "--stop_stage", "2", "--trim", "false", *ONE_SET,
                  "--recipe_defaults", "end")  # fmt: skip
    assert through.count("is done") == 1
    # Done again by force it is as it was, for whatever was made from it.
    dump(work, "--force", "true")
    assert (work / "dump/test/.done").read_bytes() == marker
    assert "dump/test: again, because option dump" in dump(work, "--trim", "false")
    assert "--trim false" in read_json(work / "dump/test/.done")["options"]["dump"]


def test_a_new_set_is_dumped_as_the_others(work):
    """Not one that was dumped before, nor by what another recipe remembers."""
    data(work)
    dump(work, "--trim", "true", "--min_seconds", "0.2")
    for set in ("far", "near", "rirs", "other"):
        shutil.copytree(work / "data/test", work / "data" / set)
    more = dump(work, "--test_sets", "test far", "--aug_sets", "rirs")
    for name, seconds in (("far", "0.2"), ("rirs", "0")):
        assert f"dump/{name}: --trim true, as dump/test was made with; give --trim to change that" in more
        described = read_json(work / f"dump/{name}/.done")["options"]["dump"]
        assert "--trim true" in described and f"--min_seconds {seconds} " in described
    # Alone, too, and remembered as its own.
    assert "--trim true, as dump/far was made with" in dump(work, "--test_sets", "near")
    assert "dump/near: --trim true, as it was made with" in dump(work, "--test_sets", "near")
    assert "--trim true, as" not in dump(work, "--test_sets", "other", "--trim", "false")
    assert "--trim false" in read_json(work / "dump/other/.done")["options"]["dump"]
    (work / "dump/near/.given").unlink()
    assert "near: again, because option dump" in dump(work, "--test_sets", "near")
    shutil.copytree(work.parent / "my recipe", work.parent / "another")
    shutil.rmtree(work / "dump/near")
    dump(work, "--test_sets", "near", "--recipe", work.parent / "another")
    assert "--trim false" in read_json(work / "dump/near/.done")["options"]["dump"]


# Stands in for the program of stage 3: every Python that starts imports it.
FAKE_DISTILL = """import os, sys
if sys.orig_argv[1:4] == ["-m", "svmixer", "distill"]:
    open("exp/default/distill/student.safetensors", "w").close()
    os._exit(0)
"""


def test_trainings_know_their_augmentation_sets(work, monkeypatch):
    """A recording that was replaced there counts as one of the training set; absent sets do not."""
    (work / "fake").mkdir()
    (work / "fake/sitecustomize.py").write_text(FAKE_DISTILL)
    monkeypatch.setenv("PYTHONPATH", str(work / "fake"))
    data(work)
    shutil.copytree(work / "data/test", work / "data/rirs")
    (work / "data/rirs/wav.scp").write_text("a rir.wav\n")
    write_audio(work / "rir.wav", 11)
    dump(work, "--train_set", "train", "--valid_set", "valid", "--aug_sets", "rirs")
    (work.parent / "my recipe/conf/train.yaml").write_text("loop: {max_epochs: 1}\n")
    distill = ("stages/03_distill.sh", "--distill_config", "conf/train.yaml", "--aug_sets", "rirs absent")
    run(work, *distill)
    assert "exp/default/distill is done" in run(work, *distill)
    write_audio(work / "rir.wav", 12)
    stale = start(work, *distill)
    assert stale.returncode == 1 and "dump/rirs is stale: recording rir.wav changed" in stale.stderr
    before = (work / "exp/default/distill/.inputs").read_text()
    dump(work, "--train_set", "train", "--valid_set", "valid", "--aug_sets", "rirs")
    refused = start(work, *distill)
    assert refused.returncode == 1
    assert (
        "exp/default/distill was made from other inputs or options: dump/rirs/.done changed" in refused.stderr
    )
    assert "--force true to do it again, or --allow_changes true" in refused.stderr
    later = start(work, "stages/04_train.sh", "--train_config", "conf/train.yaml", "--aug_sets", "rirs")
    assert "exp/default/distill is stale: dump/rirs/.done changed after it was made" in later.stderr
    # Trainings of earlier versions do not know theirs.
    for name in (".inputs", ".done"):
        content = read_json(work / "exp/default/distill" / name)
        assert list(content.pop("lists")) == ["dump/rirs/.done"]
        write_json(work / "exp/default/distill" / name, content)
    assert "exp/default/distill is done" in run(work, *distill)
    (work / "exp/default/distill/.inputs").write_text(before)
    run(work, *distill, "--allow_changes", "true")
    assert "exp/default/distill is done" in run(work, *distill)
    (work / "dump/rirs/.done").unlink()
    missing = start(work, *distill)
    assert "dump/rirs is missing; it is made by stage 2 (dump)" in missing.stderr


def test_a_replaced_recording(work):
    """Another one of the same name and size is noticed; a touch or a loss makes nothing anew."""
    data(work)
    dump(work)
    marker = (work / "dump/test/.done").read_bytes()
    os.utime(work / "a.wav")
    shutil.copy(work / "b.wav", work / "copy.wav")
    (work / "copy.wav").replace(work / "b.wav")
    assert dump(work).count("is done") == 1
    assert (work / "dump/test/.done").read_bytes() == marker
    times = os.stat(work / "b.wav")
    write_audio(work / "b.wav", 7)
    os.utime(work / "b.wav", ns=(times.st_atime_ns, times.st_mtime_ns))
    stale = start(work, "stages/05_score.sh", "--model", "pocket")
    assert "dump/test is stale: recording b.wav changed after it was made; it is made by s" in stale.stderr
    assert "dump/test: again, because recording b.wav changed" in dump(work)
    # What was made from the dump must notice, although all its lists are as before.
    assert (work / "dump/test/.done").read_bytes() != marker
    (work / "a.wav").unlink()
    assert dump(work).count("is done") == 1
    write_audio(work / "a.wav", 8)
    assert "dump/test: again, because recording a.wav changed" in dump(work)


def test_dumps_of_earlier_versions_stay(work):
    """Their markers know no recordings."""
    data(work)
    dump(work)
    content = read_json(work / "dump/test/.done")
    del content["audio"]
    write_json(work / "dump/test/.done", content)
    (work / "dump/test/.audio").unlink()
    write_audio(work / "a.wav", 9)
    assert dump(work).count("is done") == 1


@pytest.mark.parametrize(
    ("script", "option"),
    [
        ("run.sh", "local_data_opts"),
        ("run.sh", "train_args"),
        ("run.sh", "distill_args"),
        ("run.sh", "export_args"),
        ("stages/01_data.sh", "local_data_opts"),
    ],
)
def test_an_open_quote_is_one_line(work, script, option):
    refused = start(work, script, f"--{option}", "--x 'a b")
    assert refused.returncode == 1
    name = Path(script).name
    assert refused.stderr == f"{name}: --{option}: a quote ' is not closed in: --x 'a b\n"
    assert not (work / "data/made").exists()
