"""Bad lists and bad audio on the command line: each gets its message, and nothing half-written remains."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import soundfile

from svmixer.audio import DumpSet

TONE = 0.3 * np.sin(2 * np.pi * 300 * np.arange(16000) / 16000)
GOOD = ("a-stereo", "a-telephone", "b-24bit", "b-plain")


def run(folder: Path, script: str, *options: str) -> subprocess.CompletedProcess:
    command = [sys.executable, "-m", "svmixer", script, *options]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)


def write_data(folder: Path, sources: dict[str, str]) -> None:
    """``wav.scp``, ``utt2spk`` and ``spk2utt`` of utterances whose speaker is the first letter."""
    data = folder / "data"
    data.mkdir(exist_ok=True)
    (data / "wav.scp").write_text("".join(f"{name} {sources[name]}\n" for name in sorted(sources)))
    (data / "utt2spk").write_text("".join(f"{name} {name[0]}\n" for name in sorted(sources)))
    speakers: dict[str, list[str]] = {}
    for name in sorted(sources):
        speakers.setdefault(name[0], []).append(name)
    (data / "spk2utt").write_text("".join(f"{key} {' '.join(names)}\n" for key, names in speakers.items()))


def write_good(folder: Path) -> dict[str, str]:
    """Stereo, 8 kHz, 24 bits and plain: all usable."""
    soundfile.write(folder / "a-stereo.wav", np.stack([TONE, -0.5 * TONE], axis=1), 16000)
    soundfile.write(folder / "a-telephone.wav", TONE[::2], 8000)
    soundfile.write(folder / "b-24bit.wav", TONE, 16000, subtype="PCM_24")
    soundfile.write(folder / "b-plain.wav", TONE, 16000)
    return {name: f"{name}.wav" for name in GOOD}


@pytest.fixture
def corpus(tmp_path):
    """A folder with the usable recordings and with one of every unusable kind."""
    sources = write_good(tmp_path)
    (tmp_path / "c-empty.wav").touch()
    (tmp_path / "c-html.wav").write_text("<html>not found</html>")
    plain = (tmp_path / "b-plain.wav").read_bytes()
    (tmp_path / "c-cut.wav").write_bytes(plain[:10000])
    soundfile.write(tmp_path / "c-nan.wav", np.append(TONE, np.nan), 16000, subtype="FLOAT")
    soundfile.write(tmp_path / "c-short.wav", TONE[:1600], 16000)
    soundfile.write(tmp_path / "c-silent.wav", 0 * TONE, 16000)
    bad = ("empty", "html", "cut", "nan", "short", "silent", "missing")
    sources |= {f"c-{name}": f"c-{name}.wav" for name in bad}
    write_data(tmp_path, sources)
    (tmp_path / "data" / "trials").write_text("1 a-stereo a-telephone\n0 a-stereo b-plain\n1 c-cut c-nan\n")
    return tmp_path


def dump(folder: Path, *options: str) -> subprocess.CompletedProcess:
    return run(folder, "dump", "--data_dir", "data", "--output_dir", "dump", *options)


def merge(folder: Path, *options: str) -> subprocess.CompletedProcess:
    return run(folder, "dump_merge", "--data_dir", "data", "--output_dir", "dump", *options)


def assert_one_line(done: subprocess.CompletedProcess, *texts: str) -> None:
    """The command failed, and its last line, not a traceback, says why."""
    assert done.returncode == 1, done.stderr
    assert "Traceback" not in done.stderr
    last = done.stderr.splitlines()[-1]
    assert last.startswith("error: ")
    for text in texts:
        assert text in last


def test_bad_recordings_are_dropped_with_their_reasons(corpus, monkeypatch):
    for job in ("1", "2"):
        done = dump(corpus, "--num_jobs", "2", "--job", job)
        assert done.returncode == 0, done.stderr
    done = merge(corpus, "--num_jobs", "2", "--max_drop", "0.7")
    assert done.returncode == 0, done.stderr
    rows = [line.split("\t") for line in (corpus / "dump" / "dropped.tsv").read_text().splitlines()]
    assert rows[0] == ["utterance", "reason", "source"]
    assert {row[0]: row[1].partition(":")[0] for row in rows[1:]} == {
        "c-cut": "unreadable",
        "c-empty": "empty",
        "c-html": "unreadable",
        "c-missing": "missing file",
        "c-nan": "non-finite",
        "c-short": "too short",
        "c-silent": "all-zero",
    }
    assert all(row[2] == f"{row[0]}.wav" for row in rows[1:])
    assert (corpus / "dump" / "utt2num_samples").read_text().split() == [
        word for name in GOOD for word in (name, "16000")
    ]
    assert (corpus / "dump" / "utt2spk").read_text().split()[::2] == list(GOOD)
    assert (corpus / "dump" / "spk2utt").read_text() == "a a-stereo a-telephone\nb b-24bit b-plain\n"
    assert (corpus / "dump" / "trials").read_text() == "1 a-stereo a-telephone\n0 a-stereo b-plain\n"

    monkeypatch.chdir(corpus)
    dumped = DumpSet("dump")
    stereo, telephone, wide, plain = (dumped.read(index) for index in range(4))
    np.testing.assert_allclose(plain, TONE, atol=1 / 32768)
    np.testing.assert_allclose(wide, TONE, atol=1 / 32768)
    np.testing.assert_allclose(stereo, 0.25 * TONE, atol=1.5 / 32768)  # rounded twice
    np.testing.assert_allclose(telephone[500:-500], TONE[500:-500], atol=1e-3)


def test_more_drops_than_allowed_stop_the_stage(corpus):
    assert dump(corpus).returncode == 0
    done = merge(corpus)
    assert_one_line(
        done,
        "7 of 11 utterances cannot be used",
        "1 all-zero, 1 empty, 1 missing file, 1 non-finite, 1 too short, 2 unreadable",
        "more than max_drop 0.02 allows",
        "c-empty (empty: no bytes: c-empty.wav)",
        "dropped.*.tsv",
    )
    assert [path.name for path in (corpus / "dump").iterdir()] == ["data"]


def test_merging_before_all_jobs_are_done(corpus):
    assert dump(corpus, "--num_jobs", "2", "--job", "1").returncode == 0
    assert_one_line(
        merge(corpus, "--num_jobs", "2"), "data/wav.2.scp: job 2 of 2 has not finished", "--stage dump"
    )
    assert [path.name for path in (corpus / "dump").iterdir()] == ["data"]


LISTS = {
    "duplicate": (
        lambda text: text + "b-plain a-stereo.wav\n",
        "wav.scp:5: utterance b-plain: ",
        "is listed twice",
    ),
    "unsorted": (
        lambda text: "".join(text.splitlines(True)[::-1]),
        "wav.scp:2: utterance b-24bit: ",
        "sorted",
    ),
    "crlf": (lambda text: text.replace("\n", "\r\n"), "wav.scp:1: ", "carriage return"),
    "no value": (lambda text: text.replace(" b-24bit.wav", ""), "wav.scp:3: utterance b-24bit: ", "no value"),
    "latin-1": (lambda text: text.replace("24bit.wav", "\xe9.wav"), "wav.scp:3: ", "not UTF-8"),
    "command": (
        lambda text: text.replace("b-plain.wav", "cat b-plain.wav |"),
        "wav.scp:4: ",
        "--allow_pipes true",
    ),
}


@pytest.mark.parametrize("case", LISTS)
def test_bad_lists_are_refused_by_file_and_line(tmp_path, case):
    change, place, what = LISTS[case]
    write_data(tmp_path, write_good(tmp_path))
    scp = tmp_path / "data" / "wav.scp"
    scp.write_bytes(change(scp.read_text()).encode("latin-1"))
    assert_one_line(dump(tmp_path), f"data/{place}", what)
    assert not (tmp_path / "dump").exists()
    if case != "command":
        done = run(tmp_path, "validate_data_dir", "--data_dir", "data")
        assert done.returncode == 1 and "Traceback" not in done.stderr
        assert any(f"data/{place}" in line and what in line for line in done.stderr.splitlines())


@pytest.mark.parametrize("case", ["unsorted", "crlf"])
def test_the_repair_command_repairs(tmp_path, case):
    write_data(tmp_path, write_good(tmp_path))
    scp = tmp_path / "data" / "wav.scp"
    good = scp.read_text()
    scp.write_bytes(LISTS[case][0](good).encode())
    repair = dump(tmp_path).stderr.splitlines()[-1].partition("repair with: ")[2]
    assert repair == "svmixer fix_data_dir --data_dir data"
    assert run(tmp_path, "fix_data_dir", "--data_dir", "data").returncode == 0
    assert scp.read_text() == good
    assert dump(tmp_path).returncode == 0 and merge(tmp_path).returncode == 0


def test_pipes_run_only_when_allowed_and_their_failure_is_told(tmp_path):
    sources = write_good(tmp_path)
    write_data(
        tmp_path, sources | {"b-pipe": "cat b-plain.wav |", "c-fail": "cat b-plain.wav nothing.wav | cat |"}
    )
    assert_one_line(dump(tmp_path), "data/wav.scp:4: utterance b-pipe: ", "commands run only when allowed")
    assert dump(tmp_path, "--allow_pipes", "true").returncode == 0
    assert merge(tmp_path, "--max_drop", "0.2").returncode == 0
    assert "b-pipe 16000\n" in (tmp_path / "dump" / "utt2num_samples").read_text()
    dropped = (tmp_path / "dump" / "dropped.tsv").read_text()
    assert "c-fail\tpipe failed: exit status 1: cat: nothing.wav: No such file or directory\t" in dropped


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGKILL])
def test_a_killed_job_leaves_no_archive(tmp_path, number):
    """The job hangs in its second utterance; what it wrote before must not look finished."""
    sources = write_good(tmp_path)
    write_data(tmp_path, {**sources, "a-z": "touch reached; sleep 300; cat b-plain.wav |"})
    command = [sys.executable, "-m", "svmixer", "dump", "--data_dir", "data", "--output_dir", "dump"]
    with subprocess.Popen(
        [*command, "--allow_pipes", "true"], cwd=tmp_path, stderr=subprocess.DEVNULL, start_new_session=True
    ) as job:
        deadline = time.monotonic() + 120
        while not (tmp_path / "reached").exists() and time.monotonic() < deadline:
            time.sleep(0.02)
        os.killpg(job.pid, number)
        assert job.wait() != 0
    assert (tmp_path / "reached").exists()
    left = [path.name for path in (tmp_path / "dump" / "data").iterdir()]
    if number == signal.SIGKILL:  # nobody can tidy up, but the name says that it is no archive
        assert len(left) == 1 and left[0].startswith(".wav.1.ark.") and left[0].endswith(".tmp")
    else:
        assert left == []
    assert_one_line(merge(tmp_path), "job 1 of 1 has not finished")
    write_data(tmp_path, sources)
    assert dump(tmp_path).returncode == 0 and merge(tmp_path).returncode == 0
    assert not list((tmp_path / "dump").rglob("*.tmp"))


def test_options_that_do_not_exist(tmp_path):
    done = dump(tmp_path, "--num_job", "2")
    assert done.returncode == 2 and "did you mean 'num_jobs'?" in done.stderr
    done = dump(tmp_path)
    assert_one_line(done, "data/wav.scp: cannot be read: No such file or directory")
