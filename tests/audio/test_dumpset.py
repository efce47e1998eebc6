"""Random access to a dumped set, and what it says about a damaged one."""

from __future__ import annotations

import multiprocessing
import os
import pickle

import kaldiio
import numpy as np
import pytest
from audio_files import noise_pcm, write_wav
from hypothesis import given, settings
from hypothesis import strategies as st

from svmixer.audio import AudioError, DumpSet
from svmixer.lists import ListError

ENTRIES = {f"s{i % 2}-u{i}": noise_pcm(400 + 10 * i, i) for i in (0, 2, 4, 1, 3)}


def build(folder, entries=ENTRIES):
    """A dump with two archives and one plain file, written without the code under test."""
    folder.mkdir()
    names = sorted(entries)
    for job, group in enumerate((names[:2], names[2:-1]), 1):
        pcm = {name: (16000, entries[name]) for name in group}
        kaldiio.save_ark(str(folder / f"{job}.ark"), pcm, scp=str(folder / f"{job}.scp"))
    write_wav(folder / "last.wav", entries[names[-1]], before_data=b"LIST\4\0\0\0abcd")
    scp = (folder / "1.scp").read_text() + (folder / "2.scp").read_text() + f"{names[-1]} {folder}/last.wav\n"
    (folder / "wav.scp").write_text(scp)
    (folder / "utt2num_samples").write_text("".join(f"{name} {len(entries[name])}\n" for name in names))
    (folder / "utt2spk").write_text("".join(f"{name} {name[:2]}\n" for name in names))
    return folder


@pytest.fixture(scope="module")
def dump(tmp_path_factory):
    return DumpSet(build(tmp_path_factory.mktemp("dump") / "set"))


def test_contents(dump):
    assert dump.utterances == sorted(ENTRIES) and len(dump) == 5
    assert dump.speakers == ["s0", "s0", "s0", "s1", "s1"]
    assert dump.num_samples.dtype == np.int64
    assert dump.num_samples.tolist() == [400, 420, 440, 410, 430]
    for index, name in enumerate(dump.utterances):
        wave = dump.read(index)
        assert wave.dtype == np.float32
        np.testing.assert_array_equal(wave, ENTRIES[name] / 32768)


@given(index=st.integers(0, 4), start=st.integers(0, 399), count=st.integers(0, 400))
@settings(deadline=None)
def test_pieces(dump, index, start, count):
    count = min(count, int(dump.num_samples[index]) - start)
    expected = ENTRIES[dump.utterances[index]][start : start + count] / 32768
    np.testing.assert_array_equal(dump.read(index, start, count), expected)


def test_a_piece_reads_its_bytes_only(dump, monkeypatch):
    sizes = []
    pread = os.pread
    monkeypatch.setattr(os, "pread", lambda fd, n, offset: sizes.append(n) or pread(fd, n, offset))
    dump.read(1, 100, 50)
    assert sizes[-1] == 100 and len(sizes) == 2


@pytest.mark.parametrize(("start", "count"), [(-1, 5), (0, 401), (400, 1), (0, -1), (401, None)])
def test_ranges_outside_the_utterance(dump, start, count):
    with pytest.raises(IndexError):
        dump.read(0, start, count)


def test_pickling_drops_open_files_and_keeps_everything_else(dump):
    dump.read(0)
    copy = pickle.loads(pickle.dumps(dump))
    assert copy.utterances == dump.utterances and copy.speakers == dump.speakers
    np.testing.assert_array_equal(copy.read(3, 5, 7), dump.read(3, 5, 7))


def _check_in_child(dump, first, failures):
    for turn in range(300):
        index = (first + turn) % len(dump)
        if not np.array_equal(dump.read(index), ENTRIES[dump.utterances[index]] / np.float32(32768)):
            failures.put(index)


def test_forked_workers_share_descriptors_without_disturbing_each_other(dump):
    dump.read(0), dump.read(2)
    context = multiprocessing.get_context("fork")
    failures = context.SimpleQueue()
    workers = [context.Process(target=_check_in_child, args=(dump, first, failures)) for first in range(2)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
        assert worker.exitcode == 0
    assert failures.empty()


def test_noise_sets_have_no_speakers(tmp_path):
    folder = build(tmp_path / "set")
    (folder / "utt2spk").unlink()
    assert DumpSet(folder).speakers is None


def test_lists_that_do_not_fit_together(tmp_path):
    folder = build(tmp_path / "set")
    lengths = (folder / "utt2num_samples").read_text().splitlines(keepends=True)
    cases = [
        ("".join(lengths[:-1]), r"utt2num_samples:4: shorter than wav.scp"),
        ("".join([*lengths, "t 1\n"]), r"utt2num_samples:6: utterance t: not in the order of wav.scp"),
        ("".join(lengths[::-1]), r"utt2num_samples:1: utterance s1-u3: not in the order of wav.scp"),
        (
            "".join(lengths).replace(" 400", " many"),
            r"utterance s0-u0: expected a number of samples, found 'many'",
        ),
    ]
    for text, message in cases:
        (folder / "utt2num_samples").write_text(text)
        with pytest.raises(ListError, match=message):
            DumpSet(folder)
    (folder / "utt2num_samples").write_text("".join(lengths))
    (folder / "utt2spk").write_text("s0-u0 s0\n")
    with pytest.raises(ListError, match=r"utt2spk: utterance s0-u2: no speaker"):
        DumpSet(folder)


def test_commands_are_refused(tmp_path):
    folder = build(tmp_path / "set")
    scp = (folder / "wav.scp").read_text().splitlines()
    (folder / "wav.scp").write_text("\n".join([*scp[:-1], "s1-u3 cat a.wav |"]) + "\n")
    with pytest.raises(
        ListError, match=r"wav.scp:5: utterance s1-u3: a dump holds files and archives, no commands"
    ):
        DumpSet(folder)


def test_a_dump_that_was_changed_behind_its_lists(tmp_path):
    folder = build(tmp_path / "set")
    write_wav(folder / "last.wav", noise_pcm(100))
    os.truncate(folder / "2.ark", 500)
    (folder / "1.ark").unlink()
    dump = DumpSet(folder)
    with pytest.raises(
        AudioError, match=r"utterance s0-u0: .*1.ark: missing file: repair with: run.sh --stage dump"
    ):
        dump.read(0)
    with pytest.raises(AudioError, match=r"utterance s0-u4: .*2.ark: unreadable: truncated"):
        dump.read(2)
    with pytest.raises(AudioError, match=r"utterance s1-u3: .* expected 430 samples, .* found 100 samples"):
        dump.read(4)


def test_many_files_do_not_exhaust_descriptors(tmp_path):
    write_wav(tmp_path / "a.wav", noise_pcm(10))
    folder = tmp_path / "set"
    folder.mkdir()
    names = [f"u{i:04d}" for i in range(1500)]
    for name in names:
        os.link(tmp_path / "a.wav", folder / f"{name}.wav")
    (folder / "wav.scp").write_text("".join(f"{name} {folder}/{name}.wav\n" for name in names))
    (folder / "utt2num_samples").write_text("".join(f"{name} 10\n" for name in names))
    dump = DumpSet(folder)
    before = len(os.listdir("/proc/self/fd")) if os.path.isdir("/proc/self/fd") else None
    for index in range(len(dump)):
        assert dump.read(index, 1, 1)[0] == 32767 / 32768
    if before is not None:
        assert len(os.listdir("/proc/self/fd")) <= before + 2
