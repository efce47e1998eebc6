"""The smoke recipe on a corpus of the same layout as ESPnet's small AN4, made here: tones in SPHERE files."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import numpy as np
import pytest
from small_an4 import (
    MEMBER,
    RATE,
    TEST,
    TRAIN,
    samples,
    write_corpus,
    write_espnet,
    write_sphere,
    write_wheel,
)

from svmixer.audio.dumpset import DumpSet
from svmixer.lists import read_table, read_trials, read_utt2spk, validate_data_dir

ROOT = Path(__file__).resolve().parents[2]
RECIPE = ROOT / "egs/mini_an4/sv1"
TEST_SEGMENTS = """\
fjkl-one-1 fjkl-one 0 0.7
fjkl-one-2 fjkl-one 0.7 1.4
fjkl-one-3 fjkl-one 1.4 -1
mmno-one-1 mmno-one 0 0.7
mmno-one-2 mmno-one 0.7 -1
"""
VALID_SEGMENTS = """\
fabc-one-1 fabc-one 0 0.7
fabc-one-2 fabc-one 0.7 -1
fabc-two-1 fabc-two 0 -1
fghi-one-1 fghi-one 0 0.7
fghi-one-2 fghi-one 0.7 1.4
fghi-one-3 fghi-one 1.4 -1
mdef-one-1 mdef-one 0 0.7
mdef-one-2 mdef-one 0.7 -1
mdef-two-1 mdef-two 0 -1
"""

pytestmark = pytest.mark.recipe


@pytest.fixture(scope="module")
def corpus(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("corpus")
    write_corpus(folder)
    return folder


@pytest.fixture(scope="module")
def archive(corpus, tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("archive") / "downloads.tar.gz"
    with tarfile.open(path, "w:gz") as stream:
        stream.add(corpus, "downloads")
    return path


def run(work: Path, *words: object, **environment: object) -> subprocess.CompletedProcess:
    work.mkdir(exist_ok=True)
    env = {
        **os.environ,
        "SVMIXER_VENV": sys.prefix,
        **{key: str(value) for key, value in environment.items()},
    }
    return subprocess.run([*map(str, words)], cwd=work, env=env, capture_output=True, text=True, check=False)


def data(work: Path, *options: object, **environment: object) -> subprocess.CompletedProcess:
    """``local/data.sh``; pip sees no index, and the packages of one folder at most."""
    pip = {"PIP_CONFIG_FILE": "/dev/null", "PIP_NO_INDEX": "1", "PIP_FIND_LINKS": work}
    return run(work, RECIPE / "local/data.sh", *options, **{**pip, **environment})


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.fixture(scope="module")
def prepared(archive, tmp_path_factory) -> tuple[Path, str]:
    """A work directory with lists made from the archive, and what was printed."""
    work = tmp_path_factory.mktemp("work")
    done = data(work, "--archive", archive)
    assert done.returncode == 0, done.stderr
    return work, done.stdout


def test_lists(prepared):
    work, output = prepared
    folder = work / "data"
    assert read_table(folder / "train/wav.scp") == {
        name.replace("/", "-"): f"downloads/mini_an4/an4/wav/an4_clstk/{name}.sph" for name in TRAIN
    }
    assert read_utt2spk(folder / "train/utt2spk") == {name.replace("/", "-"): name[:4] for name in TRAIN}
    assert not (folder / "train/segments").exists() and not (folder / "train/trials").exists()
    assert (folder / "valid/segments").read_text() == VALID_SEGMENTS
    assert (folder / "test/segments").read_text() == TEST_SEGMENTS
    assert (folder / "test/wav.scp").read_text() == (
        "fjkl-one downloads/mini_an4/an4/wav/an4test_clstk/fjkl/one.sph\n"
        "mmno-one downloads/mini_an4/an4/wav/an4test_clstk/mmno/one.sph\n"
    )
    assert (folder / "test/spk2utt").read_text() == (
        "fjkl fjkl-one-1 fjkl-one-2 fjkl-one-3\nmmno mmno-one-1 mmno-one-2\n"
    )
    assert (folder / "valid/spk2gender").read_text() == "fabc f\nfghi f\nmdef m\n"
    assert read_table(folder / "noise/wav.scp") == {
        name: f"downloads/mini_an4/noise/{name}.wav" for name in ("hiss", "hum")
    }
    assert read_table(folder / "rirs/wav.scp") == {"room": "downloads/mini_an4/rirs/room.wav"}
    assert "licence of the recordings: downloads/mini_an4/an4/LICENSE\n" in output
    rows = {row[0]: row[1:] for row in map(str.split, output.splitlines()) if row[0] in ("train", "test")}
    assert rows == {"train": ["3", "5", "5", "-", "-"], "test": ["2", "2", "5", "4", "4"]}


def test_trials_are_all_target_pairs_and_as_many_impostor_pairs(prepared):
    for name, targets in (("valid", 9), ("test", 4)):
        folder = prepared[0] / "data" / name
        speaker = read_utt2spk(folder / "utt2spk")
        rows = list(read_trials(folder / "trials").rows())
        assert len({frozenset(row[1:]) for row in rows}) == len(rows) == 2 * targets
        assert all(label == (speaker[a] == speaker[b]) for label, a, b in rows)
        assert sum(label for label, _, _ in rows) == targets


def test_every_set_is_sound(prepared, monkeypatch):
    monkeypatch.chdir(prepared[0])
    for name, trials in (("train", 0), ("valid", 18), ("test", 8)):
        assert validate_data_dir(f"data/{name}", need_speakers=True, check_files=True).trials == trials
    for name in ("noise", "rirs"):
        validate_data_dir(f"data/{name}", check_files=True)


def test_an_unpacked_corpus_gives_the_same_lists(prepared, corpus, tmp_path):
    done = data(tmp_path, "--corpus_dir", corpus)
    assert done.returncode == 0, done.stderr
    assert not (tmp_path / "downloads").exists()
    expected = contents(prepared[0] / "data")
    found = contents(tmp_path / "data")
    for text in found:
        found[text] = found[text].replace(bytes(corpus), b"downloads/mini_an4")
    assert found == expected


def test_the_archive_of_the_installed_espnet_is_taken(prepared, archive, tmp_path):
    write_espnet(tmp_path / "site", "202611", archive)
    done = data(tmp_path / "work", PYTHONPATH=tmp_path / "site")
    assert done.returncode == 0, done.stderr
    assert "downloads/mini_an4.tar.gz: from the installed espnet" in done.stdout
    assert contents(tmp_path / "work/data") == contents(prepared[0] / "data")


@pytest.mark.slow
def test_with_an_older_espnet_the_archive_comes_from_a_wheel(prepared, archive, tmp_path):
    write_espnet(tmp_path / "site", "202511", None)
    write_wheel(tmp_path / "index", archive)
    work, older = tmp_path / "work", {"PYTHONPATH": tmp_path / "site"}
    first = data(work, PIP_FIND_LINKS=tmp_path / "index", **older)
    assert first.returncode == 0, first.stderr
    assert "the installed espnet 202511 does not have the corpus" in first.stderr
    assert "downloading the wheel of espnet 202611" in first.stdout
    assert contents(work / "data") == contents(prepared[0] / "data")
    assert sorted(path.name for path in (work / "downloads").iterdir()) == [
        "espnet-202611-py3-none-any.whl",
        "mini_an4",
        "mini_an4.tar.gz",
    ]
    # What is there is not downloaded again: now nothing could be.
    second = data(work, **older)
    assert second.returncode == 0, second.stderr
    assert "downloading" not in second.stdout


def test_without_network_the_message_says_what_to_fetch(tmp_path):
    write_espnet(tmp_path / "site", "202511", None)
    done = data(tmp_path / "work", PYTHONPATH=tmp_path / "site")
    assert done.returncode == 1
    last = done.stderr.splitlines()[-1]
    assert last.startswith("data.sh: the wheel of espnet 202611 could not be downloaded (see above).")
    assert "pip download --no-deps --only-binary :all: --python-version 3.12 espnet==202611" in last
    assert "copy the .whl into downloads" in last
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "work/data").exists()


@pytest.mark.parametrize("content", ["without", "broken"])
def test_a_wheel_that_is_no_use_is_named(archive, tmp_path, content):
    write_espnet(tmp_path / "site", "202511", None)
    (tmp_path / "work/downloads").mkdir(parents=True)
    wheel = tmp_path / "work/downloads/espnet-202611-py3-none-any.whl"
    if content == "broken":
        wheel.write_bytes(b"half a wheel")
    else:
        with zipfile.ZipFile(wheel, "w") as stream:
            stream.writestr("espnet/version.txt", "202611\n")
    done = data(tmp_path / "work", PYTHONPATH=tmp_path / "site")
    assert done.returncode == 1
    why = {"without": f"does not have {MEMBER}", "broken": "cannot be read: File is not a zip file"}[content]
    assert f"downloads/{wheel.name} {why}\n" in done.stderr
    assert f"data.sh: remove downloads/{wheel.name} and run this again" in done.stderr
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "work/data").exists()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--archive", "none.tar.gz"], "data.sh: no such archive: none.tar.gz"),
        (["--archive", "text"], "data.sh: text cannot be unpacked"),
        (["--corpus_dir", "none"], "error: none/an4/wav/an4_clstk: no <speaker>/<name>.sph in it"),
        (["--corpus", "x"], "data.sh: unknown option --corpus; did you mean --corpus_dir?"),
        (["--nj", "0"], "data.sh: --nj must be an integer of at least 1, not '0'"),
    ],
)
def test_mistakes_get_one_clear_line(tmp_path, options, message):
    (tmp_path / "text").write_text("no archive\n")
    done = data(tmp_path, *options)
    assert done.returncode != 0
    assert message in done.stderr
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "data").exists()


def test_an_incomplete_corpus_is_refused(corpus, tmp_path):
    write_corpus(tmp_path / "corpus")
    for path in (tmp_path / "corpus/rirs").iterdir():
        path.unlink()
    no_rooms = data(tmp_path, "--corpus_dir", "corpus")
    assert (no_rooms.returncode, no_rooms.stderr) == (
        1,
        "error: corpus/rirs: no WAV files in it; give the folder that holds an4, noise and rirs\n",
    )
    write_corpus(tmp_path / "corpus")
    (tmp_path / "corpus/an4/wav/an4test_clstk/mmno/one.sph").write_bytes(b"NIST_1A\n   1024\n")
    broken = data(tmp_path, "--corpus_dir", "corpus")
    assert broken.returncode == 1
    assert "mmno/one.sph" in broken.stderr and "Traceback" not in broken.stderr
    # 0.7 s are one piece, and one utterance makes no target trial.
    write_sphere(tmp_path / "corpus/an4/wav/an4test_clstk/mmno/one.sph", samples("x", 0.7), "01")
    short = data(tmp_path, "--corpus_dir", "corpus")
    assert (short.returncode, short.stderr) == (
        1,
        "error: data/test: two speakers with two utterances are needed, found {'fjkl': 3, 'mmno': 1}\n",
    )


def test_run_sh_knows_its_options_and_configurations(tmp_path):
    """Every option that the recipe passes is one of the driver's, and every configuration loads."""
    from svmixer.config import load
    from svmixer.training.config import TrainConfig

    known = run(tmp_path, ROOT / "run.sh", "--help").stdout
    given = [
        line.split()[0] for line in (RECIPE / "run.sh").read_text().splitlines() if line.startswith("    --")
    ]
    assert {"--recipe", "--aug_sets", "--teacher"} <= set(given)
    assert all(f"  {option} " in known for option in given)
    for name in ("train_distill", "train_speaker"):
        config = load(TrainConfig, RECIPE / f"conf/{name}.yaml")
        kinds = {source.kind: source.path for source in config.augment.sources}
        assert kinds == {"rir": "dump/rirs", "noise": "dump/noise", "babble": "", "coloured": "", "clip": ""}
    assert (config.model.student.hidden, config.model.backend.name, config.model.whiten) == (
        64,
        "ecapa",
        True,
    )


@pytest.fixture(scope="module")
def all_stages(archive, tmp_path_factory) -> Path:
    """Work directory of a run of all stages."""
    work = tmp_path_factory.mktemp("all")
    # What two threads or jobs of so little work gain, they lose beside other tests.
    single = ["--nj", 1, "--distill_args", "--device.threads 1", "--train_args", "--device.threads 1"]
    places = ["--datadir", "lists", "--dumpdir", "d2", "--expdir", "results"]
    opts = ["--local_data_opts", f"--archive '{archive}'"]
    done = run(work, RECIPE / "run.sh", *opts, *places, "--onnx", "false", *single)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    return work


def expected_utterances(segments: str, recordings: dict[str, float]) -> dict[str, np.ndarray]:
    """Utterance → the samples of its piece, cut here from what the files were written with."""
    cut = {}
    for line in segments.splitlines():
        utterance, recording, start, end = line.split()
        name = recording.replace("-", "/")
        whole = samples(name, recordings[name])
        cut[utterance] = whole[round(float(start) * RATE) : None if end == "-1" else round(float(end) * RATE)]
    return cut


@pytest.mark.slow
def test_dumps_hold_the_samples(all_stages, monkeypatch):
    monkeypatch.chdir(all_stages)
    expected = {
        "train": {name.replace("/", "-"): samples(name, seconds) for name, seconds in TRAIN.items()},
        "valid": expected_utterances(VALID_SEGMENTS, TRAIN),
        "test": expected_utterances(TEST_SEGMENTS, TEST),
        "noise": {"hum": samples("noise/hum", 1.0), "hiss": samples("noise/hiss", 2.0)},
        "rirs": {"room": samples("rirs/room", 0.25)},
    }
    for name, utterances in expected.items():
        dumped = DumpSet(f"d2/{name}")
        assert sorted(utterances) == dumped.utterances
        for index, utterance in enumerate(dumped.utterances):
            pcm = np.round(dumped.read(index) * 32768)
            np.testing.assert_array_equal(pcm, utterances[utterance], err_msg=f"{name}: {utterance}")
    assert (all_stages / "d2/test/trials").read_bytes() == (all_stages / "lists/test/trials").read_bytes()


@pytest.mark.slow
def test_everything_lies_where_it_was_asked_for(all_stages, monkeypatch):
    """Augmentation too; what is saved beside results names its lists and can be used again."""
    from svmixer.audio.augment import Augmenter
    from svmixer.config import load
    from svmixer.training.config import TrainConfig

    assert sorted(path.name for path in all_stages.iterdir()) == ["d2", "downloads", "lists", "results"]
    monkeypatch.chdir(all_stages)
    for stage in ("distill", "train"):
        augment = load(TrainConfig, f"results/mini_an4/{stage}/config.yaml").augment
        assert [source.path for source in augment.sources] == ["d2/rirs", "d2/noise", "", "", ""]
        Augmenter(augment, DumpSet("d2/train"))


@pytest.mark.slow
def test_a_model_is_evaluated_on_the_same_data(all_stages):
    """Without the options that the data was made with, and with fewer sets: nothing is made anew."""
    places = ["--datadir", "lists", "--dumpdir", "d2", "--expdir", "evaluated"]
    options = ["--model", "pocket", "--tag", "pocket", "--stop_stage", 2, *places]
    done = run(all_stages, RECIPE / "run.sh", *options)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    assert "as it was made with" in done.stdout
    assert "stage 1: lists is done" in done.stdout and "stage 2: d2/test is done" in done.stdout


@pytest.mark.slow
def test_all_stages_leave_their_results(all_stages):
    folder = all_stages / "results/mini_an4"
    for stage, figure in (("distill", "valid_loss"), ("train", "valid_eer")):
        records = [json.loads(line) for line in (folder / stage / "log.jsonl").read_text().splitlines()]
        epochs = [record[figure] for record in records if figure in record]
        assert len(epochs) == 2 and np.isfinite(epochs).all()
    metrics = json.loads((folder / "score/test/metrics.json").read_text())
    assert (metrics["trials"], metrics["targets"]) == (8, 4)
    # Of four targets and four impostors.
    assert 0 <= metrics["eer"] <= 100
    assert f"{metrics['eer']:.2f}" in (folder / "RESULTS.md").read_text()
    # Three training speakers; each other speed makes three more.
    assert len((folder / "export/speakers.txt").read_text().splitlines()) == 9

    import svmixer

    model = svmixer.load_model(folder / "export")
    wave = samples("mmno/one", 1.5).astype(np.float32) / 32768
    embedding = model.embed(wave, RATE)
    assert embedding.shape == (32,)
    assert np.linalg.norm(embedding) == pytest.approx(1, abs=1e-5)
