"""The recipe for speechocean762 on made-up corpora of its layout: tones in WAV files, and lists."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
import tarfile
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import soundfile

from svmixer.config import load
from svmixer.lists import read_table, read_trials, read_utt2spk, validate_data_dir
from svmixer.training.config import TrainConfig

ROOT = Path(__file__).resolve().parents[2]
RECIPE = ROOT / "egs/speechocean762/sv1"
# Speaker → part, sex, age.
FEW = {
    "0001": ("train", "m", 6), "0003": ("test", "f", 15), "0005": ("train", "f", 16),
    "2016": ("test", "m", 40), "2022": ("train", "m", 12), "9610": ("test", "f", 9),
}  # fmt: skip
TABLE = "speaker\tsplit\n0001\ttrain\n0003\ttrain\n0005\tvalid\n2016\tvalid\n"

pytestmark = pytest.mark.recipe


def write_wave(path: Path) -> None:
    rng = np.random.default_rng(list(path.name.encode()))
    wave = 0.2 * np.sin(rng.uniform(0.05, 0.2) * np.arange(12000)) + 0.02 * rng.standard_normal(12000)
    soundfile.write(path, wave, 16000, subtype="PCM_16")


def write_corpus(folder: Path, speakers: dict, utterances: int, tone: Path | None = None) -> Path:
    """``tone``: one recording that all files are links to."""
    lists: dict[Path, list[str]] = {}
    for speaker, (part, sex, age) in speakers.items():
        home = folder / f"WAVE/SPEAKER{speaker}"
        home.mkdir(parents=True)
        (folder / part).mkdir(exist_ok=True)
        for number in range(utterances):
            name = f"0{speaker}{number:04}"
            if tone:
                (home / f"{name}.WAV").symlink_to(tone)
            else:
                write_wave(home / f"{name}.WAV")
            lists.setdefault(folder / part / "wav.scp", []).append(
                f"{name}\tWAVE/SPEAKER{speaker}/{name}.WAV"
            )
            lists.setdefault(folder / part / "utt2spk", []).append(f"{name}\t{speaker}")
            lists.setdefault(folder / part / "text", []).append(f"{name}\tMARK IS GOING TO SEE ELEPHANT")
        lists.setdefault(folder / part / "spk2gender", []).append(f"{speaker} {sex}")
        lists.setdefault(folder / part / "spk2age", []).append(f"{speaker} {age}")
    for path, lines in lists.items():
        path.write_text("\n".join(lines) + "\n")
    return folder


def run(work: Path, *words: object) -> subprocess.CompletedProcess:
    env = {**os.environ, "SVMIXER_VENV": sys.prefix}
    return subprocess.run([*map(str, words)], cwd=work, env=env, capture_output=True, text=True, check=False)


def data(work: Path, *options: object) -> subprocess.CompletedProcess:
    return run(work, RECIPE / "local/data.sh", "--rirs", 0, *options)


@pytest.fixture(scope="module")
def corpus(tmp_path_factory) -> Path:
    return write_corpus(tmp_path_factory.mktemp("few") / "speechocean762", FEW, 3)


@pytest.fixture(scope="module")
def archive(corpus, tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("archive") / "speechocean762.tar.gz"
    with tarfile.open(path, "w:gz") as stream:
        stream.add(corpus, "speechocean762")
    return path


@pytest.fixture
def work(tmp_path) -> Path:
    (tmp_path / "speakers.tsv").write_text(TABLE)
    return tmp_path


def splits() -> dict[str, str]:
    """Speaker → set, of the recipe's table."""
    lines = (RECIPE / "conf/speakers.tsv").read_text().splitlines()
    assert lines[0] == "speaker\tsplit"
    return dict(line.split("\t") for line in lines[1:])


@pytest.fixture
def complete(tmp_path) -> Path:
    """The corpus's counts: 250 speakers, of whom the recipe's table knows 190; each set is balanced."""
    listed = splits()
    others = [f"{number:04}" for number in range(1, 9999) if f"{number:04}" not in listed][:60]
    write_wave(tmp_path / "tone.wav")
    people = {
        speaker: ("train" if place % 2 else "test", "fm"[place // 2 % 2], 8 + place // 4 % 2 * 20)
        for speakers in (
            *([key for key in listed if listed[key] == name] for name in ("train", "valid")),
            others,
        )
        for place, speaker in enumerate(speakers)
    }
    return write_corpus(tmp_path / "all", people, 20, tmp_path / "tone.wav")


def test_the_table_has_160_training_and_30_validation_speakers():
    assert Counter(splits().values()) == {"train": 160, "valid": 30}


def test_lists_by_hand(work, corpus, monkeypatch):
    done = data(work, "--corpus_dir", corpus, "--speakers", "speakers.tsv")
    assert done.returncode == 0, done.stderr
    folder = work / "data"
    assert set(read_utt2spk(folder / "train/utt2spk").values()) == {"0001", "0003"}
    assert read_table(folder / "train/spk2agegroup") == {"0001": "child", "0003": "child"}
    assert read_table(folder / "valid/spk2agegroup") == {"0005": "adult", "2016": "adult"}
    assert read_table(folder / "test/spk2gender") == {"2022": "m", "9610": "f"}
    assert read_table(folder / "test/wav.scp") == {
        f"0{speaker}000{number}": f"{corpus}/WAVE/SPEAKER{speaker}/0{speaker}000{number}.WAV"
        for speaker in ("2022", "9610")
        for number in range(3)
    }
    monkeypatch.chdir(work)
    for name, trials in (("train", 0), ("valid", 12), ("test", 12)):
        assert validate_data_dir(f"data/{name}", need_speakers=True, check_files=True).trials == trials
    rows = {row[0]: row[1:] for row in map(str.split, done.stdout.splitlines())}
    assert rows["train"] == ["2", "2", "6", "-", "-"]
    assert rows["test"] == ["2", "2", "6", "6", "6"]


def test_the_complete_corpus_is_divided(work, complete):
    """As many speakers and trials as the README says, all impostors of the same sex and age group."""
    done = data(work, "--corpus_dir", complete)
    assert done.returncode == 0, done.stderr
    folder = work / "data"
    for name, count, targets in (("train", 160, 0), ("valid", 30, 3000), ("test", 60, 6000)):
        utt2spk = read_utt2spk(folder / name / "utt2spk")
        assert Counter(Counter(utt2spk.values()).values()) == {20: count}
        if targets:
            sex, group = (read_table(folder / name / key) for key in ("spk2gender", "spk2agegroup"))
            rows = [
                (label, utt2spk[a], utt2spk[b])
                for label, a, b in read_trials(folder / name / "trials").rows()
            ]
            assert Counter(label for label, _, _ in rows) == {1: targets, 0: targets}
            assert all((sex[a], group[a]) == (sex[b], group[b]) for _, a, b in rows)
    assert not splits().keys() & set(read_table(folder / "test/spk2gender"))
    (complete / "test/utt2spk").write_text(
        "".join((complete / "test/utt2spk").read_text().splitlines(True)[:-1])
    )
    cut = data(work, "--corpus_dir", complete)
    assert cut.returncode == 1
    assert "has 19 utterances; speechocean762 has 20 of each" in cut.stderr


def test_the_counts_of_a_part_of_the_corpus_are_refused(work, corpus):
    done = data(work, "--corpus_dir", corpus)
    message = f"error: {corpus}/train/utt2spk: 3 speakers; speechocean762 has 125 in this part\n"
    assert (done.returncode, done.stderr) == (1, message)


@pytest.mark.skipif(not shutil.which("curl"), reason="no curl")
def test_a_download_is_continued_and_kept(work, archive):
    partial = work / "downloads/speechocean762.tar.gz.partial"
    partial.parent.mkdir()
    content = archive.read_bytes()
    partial.write_bytes(content[: len(content) // 2])
    options = ["--url", f"file://{archive}", "--speakers", "speakers.tsv"]
    sha256 = hashlib.sha256(content).hexdigest()
    first = data(work, *options, "--sha256", sha256)
    assert first.returncode == 0, first.stderr
    assert (work / "downloads/speechocean762.tar.gz").read_bytes() == content
    assert not partial.exists()
    assert read_table(work / "data/test/wav.scp")["020220000"].startswith("downloads/speechocean762/WAVE/")
    second = data(work, *options[2:], "--url", "file:///nowhere")
    assert second.returncode == 0, second.stderr
    assert "downloading" not in second.stdout and "unpacking" not in second.stdout


@pytest.mark.skipif(not shutil.which("curl"), reason="no curl")
def test_without_network_the_message_says_what_to_do(work):
    done = data(work, "--url", f"file://{work}/none.tar.gz")
    assert done.returncode == 1
    last = done.stderr.splitlines()[-1]
    assert last.startswith(
        f"data.sh: file://{work}/none.tar.gz could not be downloaded (see above). Run this again"
    )
    assert "--archive FILE" in last
    assert not (work / "data").exists()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--archive", "none.tar.gz"], "data.sh: no such archive: none.tar.gz"),
        (["--archive", "speakers.tsv"], "data.sh: speakers.tsv cannot be unpacked"),
        (
            ["--archive", "speakers.tsv", "--sha256", 64 * "0"],
            "speakers.tsv is not the file that --sha256 names",
        ),
        (
            ["--corpus_dir", "none"],
            "error: none/train/wav.scp: no such list; give the folder that holds WAVE",
        ),
    ],
)
def test_mistakes_get_one_clear_line(work, options, message):
    done = data(work, *options)
    assert done.returncode == 1
    assert message in done.stderr
    assert "Traceback" not in done.stderr
    assert not (work / "data").exists()


@pytest.mark.parametrize(
    ("name", "old", "new", "message"),
    [
        ("train/spk2age", "0001 6", "0001 six", "train/spk2age: 'six' is no age in years"),
        ("train/spk2gender", "0001 m", "0001 x", "train/spk2gender: expected m or f, found 'x'"),
        ("test/spk2age", "2016 40\n", "", "test/spk2age: no line of 2016"),
        ("test/wav.scp", "9610/096100002", "9610/none", "WAVE/SPEAKER9610/none.WAV; unpack the corpus again"),
        (
            "speakers.tsv",
            "0003\ttrain",
            "0003\ttest",
            "speakers.tsv:3: expected a speaker, a tab, and train or",
        ),
        ("speakers.tsv", "0003\t", "0004\t", "speakers.tsv:3: speaker 0004 is not in the corpus"),
        ("speakers.tsv", "0003\t", "0001\t", "speakers.tsv:3: speaker 0001 stands there twice"),
    ],
)
def test_faults_of_lists_are_named(work, corpus, name, old, new, message):
    shutil.copytree(corpus, work, dirs_exist_ok=True)
    text = (work / name).read_text()
    assert old in text
    (work / name).write_text(text.replace(old, new))
    done = data(work, "--corpus_dir", ".", "--speakers", "speakers.tsv")
    assert done.returncode == 1
    assert message in done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_run_sh_knows_its_options_and_configurations(tmp_path):
    known = run(tmp_path, ROOT / "run.sh", "--help").stdout
    given = [
        line.split()[0] for line in (RECIPE / "run.sh").read_text().splitlines() if line.startswith("    --")
    ]
    assert all(f"  {option} " in known for option in given)
    for name in ("train_distill", "train_speaker"):
        config = load(TrainConfig, RECIPE / f"conf/{name}.yaml")
        assert config == load(TrainConfig, ROOT / f"egs/debian_voices/sv1/conf/{name}.yaml")


@pytest.mark.slow
def test_all_stages(work, corpus):
    """Each stage at toy size, from the corpus to a model directory with its card's text."""
    opts = f"--corpus_dir {corpus} --speakers {work}/speakers.tsv --rirs 2"
    small = "--device.threads 1 --loop.max_epochs 1 --loop.batch_size 4 --loop.workers 1"
    done = run(
        work, RECIPE / "run.sh", "--local_data_opts", opts, "--nj", 1, "--onnx", "false",
        "--control", "false", "--distill_args", small, "--train_args", f"{small} --loop.keep_best 1",
    )  # fmt: skip
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    exp = work / "exp/speechocean762"
    assert (exp / "export/model.safetensors").is_file()
    results = (exp / "RESULTS.md").read_text()
    assert "Each speaker was recorded in one session" in results
