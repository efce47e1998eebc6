"""The Debian voices' data stage from end to end, on tiny packages made here."""

import json
import os
import shutil
import subprocess
import sys
from collections import Counter
from pathlib import Path

import av
import numpy as np
import pytest
import soundfile

from svmixer.lists import read_parts, read_table, read_trials, read_utt2spk, validate_data_dir

ROOT = Path(__file__).resolve().parents[2]
DATA_SH = ROOT / "egs/debian_voices/sv1/local/data.sh"
SPLITS = ("train", "valid", "test")

pytestmark = pytest.mark.recipe

TABLE = """\
speaker	sex	lang	package	set	split	files	path_glob
one	F	fr	alpha	compact	test	11	usr/share/alpha/one/* ; !*/beep*
two	F?	fr_CA	alpha	compact	test	12	usr/share/alpha/two/*
three	M	fr	alpha	compact	test	12	usr/share/alpha/three/*
four	F	de	alpha	compact	test	3	usr/share/alpha/four/*
talk	F	en	beta	compact	train	64	usr/share/beta/talk/*
vic	M	en	beta	compact	valid	3	usr/share/beta/vic/*
val	F	en	beta	compact	valid	3	usr/share/beta/val/*
rest	F	de	gamma	full	train	9	usr/share/gamma/*
"""
# Seconds of the files of `one`, by folder and name.
ONE = {
    "x/01.wav": 1.0,
    "x/02.wav": 1.0,
    "x/03.ogg": 1.5,
    "x/04.wav": 4.0,
    "x/05.wav": 0.5,
    "x/06.wav": 1.625,
    "y/01.wav": 1.25,
    "z/01.wav": 0.875,
    "z/02.wav": 1.125,
    "z/03.wav": 1.0,
}
ONE_PARTS = """\
one-0001 one-f0001 0 1 one-f0002 0 1 one-f0003 0 1.5
one-0002 one-f0004 0 4
one-0003 one-f0005 0 0.5 one-f0006 0 1.625
one-0004 one-f0007 0 1.25 one-f0008 0 0.875 one-f0009 0 1.125
"""


def tone(hertz: float, seconds: float, rate: int = 16000) -> np.ndarray:
    """A loud tone from the first sample to the last: nothing to trim."""
    return (0.5 * np.sin(2 * np.pi * hertz * np.arange(round(seconds * rate)) / rate)).astype(np.float32)


def write(path: Path, wave: np.ndarray, rate: int = 16000, subtype: str | None = None) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, wave, rate, subtype)


def write_g722(path: Path, wave: np.ndarray) -> None:
    with av.open(str(path), "w", format="g722") as out:
        stream = out.add_stream("g722", rate=16000, layout="mono")
        frame = av.AudioFrame.from_ndarray((wave * 32767).astype(np.int16)[None], format="s16", layout="mono")
        frame.sample_rate = 16000
        for packet in [*stream.encode(frame), *stream.encode(None)]:
            out.mux(packet)


def make_packages(folder: Path) -> None:
    """``alpha`` and ``beta`` as they look when unpacked; ``gamma``, in the larger sets only, is not made."""
    alpha, beta = folder / "alpha/usr/share", folder / "beta/usr/share"
    for package in (alpha, beta):
        (package / "doc" / package.parts[-3]).mkdir(parents=True)
        (package / "doc" / package.parts[-3] / "copyright").write_text("free\n")
    one = alpha / "alpha/one"
    for number, (name, seconds) in enumerate(ONE.items()):
        write(one / name, tone(200 + 10 * number, seconds))
    # The samples of x/01 once more in 24 bits, a sound that the table excludes, and what is no sound.
    write(one / "z/04.wav", soundfile.read(one / "x/01.wav")[0], subtype="PCM_24")
    write(one / "z/beep.wav", tone(1000, 5.0))
    (one / "readme.txt").write_text("sounds\n")
    for number in range(12):
        write(alpha / f"alpha/two/{number:02d}.wav", tone(300 + 7 * number, 3.0, 8000), 8000)
        write(alpha / f"alpha/three/{number:02d}.wav", tone(100 + 7 * number, 3.25, 44100), 44100)
    for number in range(3):
        write(alpha / f"alpha/four/{number}.wav", tone(400 + 7 * number, 3.0))
    for number in range(64):
        write(beta / f"beta/talk/{number:02d}.wav", tone(200 + 5 * number, 0.75, 8000), 8000)
    (beta / "beta/talk/broken.wav").write_bytes(b"RIFF no header")
    for number in range(3):
        write(beta / f"beta/val/{number}.wav", tone(250 + 9 * number, 3.0))
    silence = np.zeros(16000, np.float32)
    write(beta / "beta/vic/0.wav", np.concatenate([silence, tone(120, 3.5), silence]))
    write(beta / "beta/vic/1.ogg", np.stack([tone(130, 3.5), tone(140, 3.5)], axis=1))
    write_g722(beta / "beta/vic/2.g722", tone(150, 3.5))


def run(work: Path, *options: str, path: str | None = None) -> subprocess.CompletedProcess:
    work.mkdir(exist_ok=True)
    (work / "voices.tsv").write_text(TABLE)
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    if path:
        environment["PATH"] = path
    command = ["bash", str(DATA_SH), "--table", "voices.tsv", "--rirs", "0", "--nj", "1", *options]
    return subprocess.run(command, cwd=work, env=environment, capture_output=True, text=True)


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.fixture(scope="module")
def corpus(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("corpus")
    make_packages(folder)
    return folder


@pytest.fixture(scope="module")
def prepared(tmp_path_factory, corpus) -> tuple[Path, str]:
    """A work directory after a run with two processes, and what the run printed."""
    work = tmp_path_factory.mktemp("work")
    done = run(work, "--corpus_dir", str(corpus), "--max_utts", "6", "--nj", "2", "--rirs", "3")
    assert done.returncode == 0, done.stderr
    return work, done.stdout + done.stderr


@pytest.mark.slow
def test_lists_are_sound(prepared):
    for split in SPLITS:
        size = validate_data_dir(prepared[0] / "data" / split, check_files=True, need_speakers=True)
        assert size.utterances == {"train": 16, "valid": 6, "test": 19}[split]


@pytest.mark.slow
def test_utterances_are_joined_as_the_rule_says(prepared, corpus):
    work, _ = prepared
    lines = (work / "data/test/parts").read_text().splitlines(keepends=True)
    assert "".join(line for line in lines if line.startswith("one-")) == ONE_PARTS
    wav_scp = read_table(work / "data/test/wav.scp")
    files = [f"{corpus}/alpha/usr/share/alpha/one/{name}" for name in ONE]
    # The last file of `one` is a rest too short to keep.
    assert {key: value for key, value in wav_scp.items() if key.startswith("one")} == {
        f"one-f{number:04d}": file for number, file in enumerate(files[:-1], 1)
    }
    assert read_parts(work / "data/train/parts")["talk-0016"] == [
        (f"talk-f{n:04d}", 0, 0.75) for n in range(61, 65)
    ]


@pytest.mark.slow
def test_silence_is_trimmed_in_every_format(prepared):
    parts = read_parts(prepared[0] / "data/valid/parts")
    ((_, start, end),) = parts["vic-0001"]
    assert 0.8 <= start < 1.0 and 4.5 < end <= 4.7
    assert parts["vic-0002"] == [("vic-f0002", 0, 3.5)]
    assert parts["vic-0003"] == [("vic-f0003", 0, 3.5)]


@pytest.mark.slow
def test_left_out_files_are_listed_with_the_reason(prepared):
    work, output = prepared
    rows = [line.split("\t") for line in (work / "data/local/skipped.tsv").read_text().splitlines()]
    assert rows[0] == ["one", "usr/share/alpha/one/z/04.wav", "same audio as usr/share/alpha/one/x/01.wav"]
    assert [row[:2] for row in rows[1:]] == [["talk", "usr/share/beta/talk/broken.wav"]]
    assert rows[1][2].startswith("unreadable")
    assert f"{rows[1][1]}: {rows[1][2]}" in output


@pytest.mark.slow
def test_test_speakers_keep_a_spread_of_utterances_and_train_speakers_all(prepared):
    work, _ = prepared
    spk2utt = read_table(work / "data/test/spk2utt")
    assert spk2utt["two"].split() == [f"two-{number:04d}" for number in (2, 4, 6, 8, 10, 12)]
    assert spk2utt["one"].split() == [f"one-{number:04d}" for number in (1, 2, 3, 4)]
    assert list(read_table(work / "data/train/spk2utt")) == ["talk"]


@pytest.mark.slow
def test_trials_take_impostors_of_the_same_sex_and_language_first(prepared):
    work, _ = prepared
    speaker = read_utt2spk(work / "data/test/utt2spk")
    pairs = Counter(
        (label, *sorted((speaker[enrol], speaker[test])))
        for label, enrol, test in read_trials(work / "data/test/trials").rows()
    )
    # 3, 4, 6 and 6 utterances make 3, 6, 15 and 15 target pairs; as many impostor pairs are chosen for each.
    assert {pair[1:]: n for pair, n in pairs.items() if pair[0] == 1} == {
        ("four", "four"): 3,
        ("one", "one"): 6,
        ("three", "three"): 15,
        ("two", "two"): 15,
    }
    # `one` and `two` have each other, `four` has them for the sex; `three` has nobody like it.
    assert pairs[0, "one", "two"] == 6 + 15
    assert sum(n for pair, n in pairs.items() if pair[0] == 0 and "three" in pair) == 15
    assert sum(pairs.values()) == 2 * (3 + 6 + 15 + 15)
    assert len(read_trials(work / "data/valid/trials")) == 12


@pytest.mark.slow
def test_speaker_lists_and_the_closing_table(prepared):
    work, output = prepared
    assert read_table(work / "data/test/spk2gender") == {"four": "f", "one": "f", "three": "m", "two": "f"}
    assert read_table(work / "data/test/spk2lang") == {"four": "de", "one": "fr", "three": "fr", "two": "fr"}
    rows = [line.split() for line in output.splitlines() if line.startswith(SPLITS)]
    # 4 × 0.75 s a training utterance; 3.5 + 4 + 2.125 + 3.25 + 9 × 3 + 6 × 3.25 = 59.375 s of test speech.
    assert rows[0] == ["train", "1", "64", "16", "0.8", "-", "-"]
    assert rows[2] == ["test", "4", "24", "19", "1.0", "39", "39"]
    assert "alpha/usr/share/doc/alpha/copyright" in output
    warning = "one: 10 different files in alpha, 11 when the table was made: another version of the package?"
    assert warning in output and output.count("another version") == 1


@pytest.mark.slow
def test_rooms_are_listed(prepared):
    work, _ = prepared
    wav_scp = read_table(work / "data/rirs/wav.scp")
    assert wav_scp == {f"rir-{n:04d}": f"data/rirs/wav/rir-{n:04d}.wav" for n in (1, 2, 3)}
    lengths = {soundfile.info(work / path).frames for path in wav_scp.values()}
    assert len(lengths) == 3
    assert {soundfile.info(work / path).samplerate for path in wav_scp.values()} == {16000}


@pytest.mark.slow
def test_lists_do_not_depend_on_the_number_of_processes_nor_on_the_cache(prepared, corpus, tmp_path):
    work, _ = prepared
    options = ("--corpus_dir", str(corpus), "--max_utts", "6")
    alone = run(tmp_path, *options, "--nj", "1", "--rirs", "3")
    assert alone.returncode == 0, alone.stderr
    assert "files decoded" in alone.stderr
    assert contents(tmp_path / "data") == contents(work / "data")
    again = run(tmp_path, *options, "--nj", "2")
    assert again.returncode == 0, again.stderr
    assert "files decoded" not in again.stderr
    assert contents(tmp_path / "data") == contents(work / "data")


@pytest.mark.slow
def test_a_changed_file_is_decoded_again(prepared, corpus, tmp_path):
    work, _ = prepared
    shutil.copytree(corpus, tmp_path / "corpus")
    shutil.copytree(work / "downloads", tmp_path / "downloads")
    write(tmp_path / "corpus/beta/usr/share/beta/val/1.wav", tone(999, 3.25))
    done = run(tmp_path, "--corpus_dir", "corpus")
    assert done.returncode == 0, done.stderr
    assert read_parts(tmp_path / "data/valid/parts")["val-0002"] == [("val-f0002", 0, 3.25)]


def test_too_many_broken_files_stop_the_stage(corpus, tmp_path):
    shutil.copytree(corpus, tmp_path / "corpus")
    for number in range(5):
        (tmp_path / f"corpus/beta/usr/share/beta/talk/{number:02d}.wav").write_bytes(b"")
    done = run(tmp_path, "--corpus_dir", "corpus")
    assert done.returncode == 1
    assert "error: 6 of 109 files left out (see above), more than 2%" in done.stderr
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "data").exists()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--voices", "small"), "error: --voices must be one of compact, fillets, full, not 'small'"),
        (("--voices", "full"), "error: {corpus}: holds neither gamma/usr/share nor usr/share"),
        (("--voice", "full"), "unknown option --voice; did you mean --voices?"),
        (("--nj", "0"), "--nj must be an integer of at least 1, not '0'"),
        (("--table", "none.tsv"), "none.tsv"),
    ],
)
def test_mistakes_get_one_clear_line(corpus, tmp_path, options, message):
    done = run(tmp_path, "--corpus_dir", str(corpus), *options)
    assert done.returncode != 0
    assert message.format(corpus=corpus) in done.stderr
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "data").exists()


# Download: `apt-get` and `id` are stand-ins that know one repository of .deb files made here.

APT_GET = """\
#!/usr/bin/env python3
import glob, json, os, shutil, sys
state = json.load(open(os.environ["APT_STATE"]))
words = [word for word in sys.argv[1:] if not word.startswith("-") and "=" not in word]
open(os.environ["APT_STATE"] + ".log", "a").write(" ".join(words) + "\\n")
if words == ["update"]:
    state["stale"] = []
    json.dump(state, open(os.environ["APT_STATE"], "w"))
elif words[1] in state["stale"]:
    open(words[1] + "_1_all.deb", "w").write("half")
    sys.exit(f"E: 404 {words[1]}")
else:
    debs = glob.glob(os.path.join(state["pool"], words[1] + "_*.deb"))
    shutil.copy(debs[0], ".") if debs else sys.exit(f"E: Unable to locate package {words[1]}")
"""


@pytest.fixture(scope="module")
def pool(corpus, tmp_path_factory) -> Path:
    """The packages as .deb files."""
    if not shutil.which("dpkg-deb"):
        pytest.skip("no dpkg-deb on this machine")
    folder = tmp_path_factory.mktemp("pool")
    for package in ("alpha", "beta"):
        tree = folder / package
        shutil.copytree(corpus / package, tree)
        (tree / "DEBIAN").mkdir()
        fields = {
            "Package": package,
            "Version": "1",
            "Architecture": "all",
            "Maintainer": "x",
            "Description": "x",
        }
        control = "".join(f"{name}: {value}\n" for name, value in fields.items())
        (tree / "DEBIAN/control").write_text(control)
        command = ["dpkg-deb", "-Znone", "-b", tree, folder / f"{package}_1_all.deb"]
        subprocess.run(command, check=True, capture_output=True)
    return folder


class Apt:
    """A stand-in for apt: what its lists lack, who runs it, and what was asked of it."""

    def __init__(self, folder: Path, pool: Path, monkeypatch, stale: list[str], uid: int):
        self.state = folder / "state.json"
        self.state.write_text(json.dumps({"pool": str(pool), "stale": stale}))
        monkeypatch.setenv("APT_STATE", str(self.state))
        for name, text in {"apt-get": APT_GET, "id": f"#!/bin/sh\necho {uid}\n"}.items():
            (folder / "bin").mkdir(exist_ok=True)
            (folder / "bin" / name).write_text(text)
            (folder / "bin" / name).chmod(0o755)
        self.path = f"{folder / 'bin'}:{os.environ['PATH']}"

    def log(self) -> list[str]:
        log = Path(f"{self.state}.log")
        return sorted(log.read_text().splitlines()) if log.exists() else []


@pytest.mark.slow
def test_packages_are_downloaded_once_and_licences_pointed_out(pool, prepared, tmp_path, monkeypatch):
    apt = Apt(tmp_path, pool, monkeypatch, stale=[], uid=1000)
    done = run(tmp_path / "work", "--max_utts", "6", path=apt.path)
    assert done.returncode == 0, done.stderr
    assert "downloading 2 of 2 packages into downloads" in done.stdout
    size = (pool / "alpha_1_all.deb").stat().st_size // 10**6
    assert f"alpha: alpha_1_all.deb, {size} MB, downloaded in" in done.stdout
    assert "    downloads/packages/alpha/usr/share/doc/alpha/copyright\n" in done.stdout
    data = contents(tmp_path / "work/data")
    assert data["test/parts"] == (prepared[0] / "data/test/parts").read_bytes()
    again = run(tmp_path / "work", "--max_utts", "6", path=apt.path)
    assert again.returncode == 0, again.stderr
    assert apt.log() == ["download alpha", "download beta"]
    assert contents(tmp_path / "work/data") == data


def test_what_an_interruption_left_is_done_again(pool, tmp_path, monkeypatch):
    apt = Apt(tmp_path, pool, monkeypatch, stale=[], uid=1000)
    downloads = tmp_path / "work/downloads"
    (downloads / ".partial-alpha").mkdir(parents=True)
    (downloads / ".partial-alpha/alpha_0_all.deb").write_bytes(b"half")
    (downloads / "packages/alpha/usr/share").mkdir(parents=True)
    (downloads / "packages/alpha/usr/share/old").write_bytes(b"")
    (downloads / "beta_1_all.deb").write_bytes((pool / "beta_1_all.deb").read_bytes()[:5000])
    done = run(tmp_path / "work", path=apt.path)
    assert done.returncode == 0, done.stderr
    assert "beta_1_all.deb is damaged, downloading it again" in done.stdout
    assert apt.log() == ["download alpha", "download beta"]
    assert sorted(path.name for path in downloads.glob("[!.s]*")) == [
        "alpha_1_all.deb",
        "beta_1_all.deb",
        "packages",
    ]
    assert not (downloads / ".partial-alpha").exists()
    assert not (downloads / "packages/alpha/usr/share/old").exists()


@pytest.mark.slow
def test_a_fetch_that_outlived_its_run_is_waited_for(pool, tmp_path, monkeypatch):
    apt = Apt(tmp_path, pool, monkeypatch, stale=[], uid=1000)
    (tmp_path / "work/downloads").mkdir(parents=True)
    hold = "echo held; sleep 2; ls work/downloads >seen"
    command = ["flock", tmp_path / "work/downloads/.lock-alpha", "sh", "-c", hold]
    with subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.PIPE, text=True) as other:
        assert other.stdout.readline() == "held\n"
        done = run(tmp_path / "work", path=apt.path)
    assert done.returncode == 0, done.stderr
    assert "alpha_1_all.deb" not in (tmp_path / "seen").read_text().split()
    assert apt.log() == ["download alpha", "download beta"]


def test_a_deb_that_is_there_is_not_downloaded(pool, tmp_path, monkeypatch):
    apt = Apt(tmp_path, pool, monkeypatch, stale=["alpha", "beta"], uid=1000)
    (tmp_path / "work/downloads").mkdir(parents=True)
    for package in ("alpha", "beta"):
        shutil.copy(pool / f"{package}_1_all.deb", tmp_path / "work/downloads")
    done = run(tmp_path / "work", path=apt.path)
    assert done.returncode == 0, done.stderr
    assert apt.log() == []


def test_old_lists_are_updated_once_by_root(pool, tmp_path, monkeypatch):
    apt = Apt(tmp_path, pool, monkeypatch, stale=["alpha"], uid=0)
    done = run(tmp_path / "work", path=apt.path)
    assert done.returncode == 0, done.stderr
    assert "apt could not deliver alpha: updating its lists" in done.stdout
    assert apt.log() == ["download alpha", "download alpha", "download beta", "update"]


def test_others_are_told_to_update(pool, tmp_path, monkeypatch):
    apt = Apt(tmp_path, pool, monkeypatch, stale=["alpha"], uid=1000)
    done = run(tmp_path / "work", path=apt.path)
    assert done.returncode == 1
    assert "apt could not deliver alpha (see above)" in done.stderr and "apt-get update" in done.stderr
    assert "update" not in apt.log()
    assert not (tmp_path / "work/data").exists()


def test_a_package_that_nobody_has_is_named(pool, tmp_path, monkeypatch):
    apt = Apt(tmp_path, pool, monkeypatch, stale=[], uid=0)
    done = run(tmp_path / "work", "--voices", "full", path=apt.path)
    assert done.returncode == 1
    assert "apt could not deliver gamma, also after 'apt-get update' (see above)" in done.stderr
    assert apt.log().count("update") == 1


def test_without_apt_the_other_way_is_shown(tmp_path):
    tools = tmp_path / "bin"
    tools.mkdir()
    for folder in ("/bin", "/usr/bin"):
        for program in Path(folder).iterdir():
            if not program.name.startswith("apt") and not (tools / program.name).exists():
                (tools / program.name).symlink_to(program)
    done = run(tmp_path / "work", path=f"{Path(sys.executable).parent}:{tools}")
    assert done.returncode == 1
    assert "apt-get is not on this machine" in done.stderr
    assert "apt-get download alpha beta; mkdir -p corpus" in done.stderr
    assert "--corpus_dir corpus" in done.stderr
