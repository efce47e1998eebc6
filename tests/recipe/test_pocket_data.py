"""LibriSpeech in the training set of the pocket recipe: files of its layout, made here."""

from __future__ import annotations

import os
import subprocess
import sys
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import soundfile

from svmixer.audio.read import read_audio
from svmixer.lists import read_parts, read_table, read_utt2spk, validate_data_dir

ROOT = Path(__file__).resolve().parents[2]
RECIPE = ROOT / "egs/pocket/sv1"
IDS = ("103-1240-0000", "1034-121119-0001", "26-495-0002")

pytestmark = pytest.mark.recipe


def write_utterance(corpus: Path, name: str, samples: int, ending: str = "flac") -> Path:
    """``corpus/SPEAKER/CHAPTER/NAME.flac``, a tone."""
    speaker, chapter, _ = name.split("-")
    path = corpus / speaker / chapter / f"{name}.{ending}"
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, 0.3 * np.sin(0.1 * np.arange(samples)), 16000)
    return path


@pytest.fixture
def work(tmp_path) -> Path:
    """A training set of one voice with two utterances, and a corpus with two FLAC files and a WAV."""
    folder = tmp_path / "data/train"
    folder.mkdir(parents=True)
    soundfile.write(tmp_path / "voice.wav", 0.3 * np.sin(0.2 * np.arange(48000)), 16000)
    files = {
        "wav.scp": "ann-f0001 voice.wav\n",
        "parts": "ann-0001 ann-f0001 0 1\nann-0002 ann-f0001 1 3\n",
        "utt2spk": "ann-0001 ann\nann-0002 ann\n",
        "spk2utt": "ann ann-0001 ann-0002\n",
        "spk2gender": "ann f\n",
        "spk2lang": "ann en\n",
    }
    for name, text in files.items():
        (folder / name).write_text(text)
    for name, samples, ending in zip(IDS, (16000, 20000, 24000), ("flac", "flac", "wav"), strict=True):
        write_utterance(tmp_path / "LibriSpeech/train-clean-100", name, samples, ending)
    (tmp_path / "utts.txt").write_text(
        "# three\n\n" + "".join(f"{name} {name.split('-')[0]}\n" for name in IDS)
    )
    return tmp_path


def add(work: Path, **changes: str) -> subprocess.CompletedProcess:
    options = {
        "corpus_dir": "LibriSpeech",
        "utterances": "utts.txt",
        "data_dir": "data/train",
        "prefix": "libri",
        "origin": "train-clean-100, https://www.openslr.org/12",
        **changes,
    }
    words = [word for key, value in options.items() for word in (f"--{key}", value)]
    command = [sys.executable, RECIPE / "local/add_speech.py", *words]
    return subprocess.run(command, cwd=work, capture_output=True, text=True)


def test_utterances_are_added_whole(work, monkeypatch):
    # A copy elsewhere, and files that are not asked for, change nothing.
    write_utterance(work / "LibriSpeech/zz", IDS[0], 8000)
    write_utterance(work / "LibriSpeech/train-clean-100", "26-495-0003", 8000)
    done = add(work)
    assert done.returncode == 0, done.stderr
    assert "3 utterances added, 4 speakers in all" in done.stderr
    monkeypatch.chdir(work)
    new = {name: f"libri{name.split('-')[0]}-{name}" for name in IDS}
    wav, parts = read_table("data/train/wav.scp"), read_parts("data/train/parts")
    assert set(wav) == {"ann-f0001", *new.values()}
    assert [len(read_audio(wav[new[name]])[0][0]) for name in IDS] == [16000, 20000, 24000]
    assert parts["ann-0002"] == [("ann-f0001", 1.0, 3.0)]
    assert all(parts[utterance] == [(utterance, 0.0, -1.0)] for utterance in new.values())
    speakers = read_utt2spk("data/train/utt2spk")
    assert {speakers[new[name]] for name in IDS} == {"libri103", "libri1034", "libri26"}
    assert read_table("data/train/spk2utt")["ann"] == "ann-0001 ann-0002"
    assert not Path("data/train/spk2gender").exists() and not Path("data/train/spk2lang").exists()
    found = validate_data_dir("data/train", need_speakers=True, check_files=True)
    assert (found.utterances, found.speakers) == (5, 4)
    # Once more is the same.
    before = {path.name: path.read_bytes() for path in Path("data/train").iterdir()}
    assert add(work).returncode == 0
    assert {path.name: path.read_bytes() for path in Path("data/train").iterdir()} == before


def test_missing_utterances_are_counted(work):
    before = (work / "data/train/wav.scp").read_text()
    for name in IDS[1:]:
        next((work / "LibriSpeech").rglob(f"{name}.*")).unlink()
    done = add(work)
    assert done.returncode == 1 and "Traceback" not in done.stderr
    assert "2 of 3 utterances are not in LibriSpeech, the first is 1034-121119-0001" in done.stderr
    assert "train-clean-100" in done.stderr and "openslr.org/12" in done.stderr
    assert (work / "data/train/wav.scp").read_text() == before
    assert "3 of 3 utterances are not in nowhere" in add(work, corpus_dir="nowhere").stderr


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("103-1240", "utts.txt:6: expected an utterance and a speaker"),
        (f"{IDS[0]} 103", f"utts.txt:6: '{IDS[0]}' is listed twice"),
    ],
)
def test_a_bad_list_names_the_line(work, line, message):
    with open(work / "utts.txt", "a") as stream:
        stream.write(f"{line}\n")
    done = add(work)
    assert done.returncode == 1 and message in done.stderr and "Traceback" not in done.stderr


def test_the_list_has_one_utterance_of_each_of_251_speakers():
    lines = (RECIPE / "conf/librispeech_utts.txt").read_text().splitlines()
    rows = [line.split() for line in lines if not line.startswith("#")]
    assert len(rows) == 251 and rows == sorted(rows)
    assert all(name.split("-")[0] == speaker for name, speaker in rows)
    assert set(Counter(speaker for _, speaker in rows).values()) == {1}


def test_without_the_corpus_stage_1_says_what_to_get(tmp_path):
    env = {**os.environ, "SVMIXER_VENV": sys.prefix}
    done = subprocess.run([RECIPE / "local/data.sh"], cwd=tmp_path, env=env, capture_output=True, text=True)
    assert done.returncode == 1 and not (tmp_path / "data").exists()
    assert "251 utterances of LibriSpeech train-clean-100" in done.stderr
    assert "--local_data_opts '--librispeech LibriSpeech/train-clean-100'" in done.stderr
    assert "--librispeech none" in done.stderr


def test_run_sh_knows_its_options_and_configurations(tmp_path):
    """Every option that the recipe passes is one of the driver's, and every configuration loads."""
    from svmixer.config import load
    from svmixer.training.config import TrainConfig

    env = {**os.environ, "SVMIXER_VENV": sys.prefix}
    known = subprocess.run([ROOT / "run.sh", "--help"], env=env, capture_output=True, text=True).stdout
    lines = [line.split() for line in (RECIPE / "run.sh").read_text().splitlines() if "    --" in line]
    assert {"--recipe", "--export_args"} <= {words[0] for words in lines}
    assert all(f"  {words[0]} " in known for words in lines)
    for name in ("train_distill", "train_speaker"):
        config = load(TrainConfig, RECIPE / f"conf/{name}.yaml")
        assert {source.path for source in config.augment.sources} == {"", "dump/rirs"}
