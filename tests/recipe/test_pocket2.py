"""The recipe of pocket2: lists of its corpora, on files made here, and its configurations."""

from __future__ import annotations

import io
import os
import subprocess
import sys
import zipfile
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch

from svmixer.audio.dump import DumpConfig, dump_job
from svmixer.audio.merge import MergeConfig, merge_jobs
from svmixer.config import load
from svmixer.lists import read_table, read_utt2spk, validate_data_dir
from svmixer.scoring.vectors import load_embeddings
from svmixer.training.config import TrainConfig

ROOT = Path(__file__).resolve().parents[2]
RECIPE = ROOT / "egs/pocket/sv2"
# List → utterances and speakers.
LISTS = {
    "librispeech_train": (615, 251),
    "speechocean762_train": (3200, 160),
    "speechocean762_valid": (600, 30),
}

pytestmark = pytest.mark.recipe


def read_rows(path: Path) -> list[list[str]]:
    return [line.split() for line in path.read_text().splitlines() if not line.startswith("#")]


def write_tone(path: Path, samples: int = 16000) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, 0.3 * np.sin(0.1 * np.arange(samples)), 16000)


def run(work: Path, *words: object) -> subprocess.CompletedProcess:
    env = {**os.environ, "SVMIXER_VENV": sys.prefix}
    return subprocess.run([*map(str, words)], cwd=work, env=env, capture_output=True, text=True)


def add(work: Path, **changes: str) -> subprocess.CompletedProcess:
    options = {"corpus_dir": "corpus", "utterances": "utts.txt", "prefix": "so", "data_dir": "data/valid"}
    words = [word for key, value in (options | changes).items() for word in (f"--{key}", value)]
    return run(work, sys.executable, RECIPE.parent / "sv1/local/add_speech.py", *words)


@pytest.fixture
def work(tmp_path) -> Path:
    for name in ("WAVE/SPEAKER0001/a1.WAV", "WAVE/SPEAKER0001/a2.flac", "WAVE/SPEAKER0002/b1.wav"):
        write_tone(tmp_path / "corpus" / name)
    write_tone(tmp_path / "corpus/b2.wav")  # is not on the list
    (tmp_path / "utts.txt").write_text("# three\na1 0001\na2 0001\nb1 0002\n")
    return tmp_path


def test_listed_utterances_make_a_set_and_are_added_to_one(work):
    done = add(work)
    assert done.returncode == 0 and "3 utterances added, 2 speakers in all" in done.stderr
    found = validate_data_dir(work / "data/valid", need_speakers=True, check_files=False)
    assert (found.utterances, found.speakers) == (3, 2)
    (work / "more.txt").write_text("b2 7\n")
    assert add(work, utterances="more.txt", prefix="libri").returncode == 0
    assert read_utt2spk(work / "data/valid/utt2spk") == {
        "so0001-a1": "so0001", "so0001-a2": "so0001", "so0002-b1": "so0002", "libri7-b2": "libri7",
    }  # fmt: skip
    assert read_table(work / "data/valid/wav.scp")["so0001-a1"] == "corpus/WAVE/SPEAKER0001/a1.WAV"


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("c1 1", "1 of 4 utterances are not in corpus, the first is c1 (.flac, .wav, .opus)"),
        ("a1 1", "utts.txt:5: 'a1' is listed twice"),
        ("a3", "utts.txt:5: expected an utterance and a speaker"),
    ],
)
def test_a_bad_list_is_named(work, line, message):
    with open(work / "utts.txt", "a") as stream:
        stream.write(f"{line}\n")
    done = add(work)
    assert done.returncode == 1 and message in done.stderr and "Traceback" not in done.stderr
    assert not (work / "data").exists()


def test_the_lists_are_apart_and_of_the_size_that_is_said():
    speakers = {}
    for name, (utterances, count) in LISTS.items():
        rows = read_rows(RECIPE / f"conf/{name}.txt")
        assert (len(rows), len({row[1] for row in rows})) == (utterances, count)
        assert max(Counter(row[0] for row in rows).values()) == 1
        speakers[name] = {row[1] for row in rows}
    assert not speakers["speechocean762_train"] & speakers["speechocean762_valid"]


def test_noise_and_music_are_folders(tmp_path):
    write_tone(tmp_path / "rain/a b.wav")
    write_tone(tmp_path / "rain/deep/c.flac")
    data = (RECIPE / "local/data.sh", "--sets", "noise music", "--noise_dir", "rain")
    missing = run(tmp_path, *data)
    assert missing.returncode == 1 and "--music_dir: there is no folder ''" in missing.stderr
    write_tone(tmp_path / "songs/d.WAV")
    done = run(tmp_path, *data, "--music_dir", "songs")
    assert done.returncode == 0, done.stderr
    noise, music = ((tmp_path / f"data/{name}/wav.scp").read_text() for name in ("noise", "music"))
    assert noise == "noise-00001 rain/a b.wav\nnoise-00002 rain/deep/c.flac\n"
    assert music == "music-00001 songs/d.WAV\n"
    refused = run(tmp_path, RECIPE / "local/data.sh")
    assert refused.returncode == 1 and "--librispeech DIR --speechocean762 DIR" in refused.stderr


def test_every_configuration_loads_and_names_what_the_step_before_writes(monkeypatch):
    monkeypatch.chdir(RECIPE)
    steps = {name: load(TrainConfig, f"conf/train_{name}.yaml") for name in ("first", "second", "speaker")}
    load(TrainConfig, "conf/train_distill.yaml")
    assert steps["first"].init_student == "exp/pocket2_first/distill/student.safetensors"
    assert steps["second"].init_model == "exp/pocket2_first/train"
    assert steps["speaker"].init_model == "exp/pocket2_second/train"
    assert steps["second"].embeddings.weight == 40 and steps["second"].speaker.margin_epochs == (0.0, 0.0)
    assert steps["speaker"].model.statistics.share == 0.5 and steps["speaker"].model.embedding_size == 1486


def test_run_sh_knows_its_options():
    known = run(RECIPE, ROOT / "run.sh", "--help").stdout
    lines = [line.split() for line in (RECIPE / "run.sh").read_text().splitlines()]
    options = {words[0] for words in lines if words and words[0].startswith("--")}
    options -= {"--output_dir"}  # of the helper
    assert {"--recipe", "--export_args"} <= options and all(f"  {word} " in known for word in options)


@pytest.mark.slow
def test_embeddings_of_a_set_at_two_speeds(tmp_path, monkeypatch):
    """A network of random numbers in the layout of the package's wheel."""
    for name in ("a-1", "a-2"):
        write_tone(tmp_path / f"{name}.wav", 24000)
    (tmp_path / "data").mkdir()
    (tmp_path / "data/wav.scp").write_text("a-1 a-1.wav\na-2 a-2.wav\n")
    monkeypatch.chdir(tmp_path)
    dump_job(DumpConfig(data_dir="data", output_dir="dump"))
    merge_jobs(MergeConfig(data_dir="data", output_dir="dump"))
    torch.manual_seed(0)
    lstm, linear = torch.nn.LSTM(40, 256, 3), torch.nn.Linear(256, 256)
    state = {f"lstm.{name}": value for name, value in lstm.state_dict().items()}
    state |= {f"linear.{name}": value for name, value in linear.state_dict().items()}
    weights = io.BytesIO()
    torch.save({"model_state": state | {"similarity_weight": torch.ones(1)}, "step": 1}, weights)
    with zipfile.ZipFile(tmp_path / "package.whl", "w") as wheel:
        wheel.writestr("resemblyzer/pretrained.pt", weights.getvalue())
    helper = (sys.executable, RECIPE / "local/ge2e_embeddings.py", "--dump_dir", "dump")
    helper = (*helper, "--output_dir", "ge2e", "--speeds", "[0.9, 1.0]", "--resemblyzer")
    done = run(tmp_path, *helper, "package.whl")
    assert done.returncode == 0, done.stderr
    table = read_table("ge2e/embeddings.scp")
    assert set(table) == {"a-1", "a-1#sp0.9", "a-2", "a-2#sp0.9"}
    rows = np.asarray(load_embeddings(table, list(table), "embeddings.scp"))
    assert rows.shape == (4, 256)
    np.testing.assert_allclose(np.linalg.norm(rows, axis=1), 1.0, atol=1e-5)
    missing = run(tmp_path, *helper, ".")
    assert missing.returncode == 1 and "pip download --no-deps resemblyzer" in missing.stderr


def test_a_training_s_folders_are_fixed(tmp_path):
    refused = run(tmp_path, RECIPE / "run.sh", "--expdir", "elsewhere")
    assert refused.returncode == 1 and "are fixed for a training" in refused.stderr
    assert not list(tmp_path.iterdir())
    for words in (["--stop_stage", "score"], ["--stop-stage", "train"], ["--stop_stage=export"]):
        refused = run(tmp_path, RECIPE / "run.sh", *words)
        assert refused.returncode == 1 and "--stop_stage is data or dump" in refused.stderr
    refused = run(tmp_path, RECIPE / "run.sh", "--train-set", "x")
    assert refused.returncode == 1 and "are fixed for a training" in refused.stderr
    shown = run(tmp_path, RECIPE / "run.sh", "--tag", "x", "--help")
    assert shown.returncode == 0 and "--stop_stage" in shown.stdout


def test_validation_speakers_are_never_others(tmp_path):
    missing = run(tmp_path, RECIPE / "local/data.sh", "--sets", "valid")
    assert missing.returncode == 1 and "--speechocean762 DIR" in missing.stderr
    assert not (tmp_path / "data").exists()
