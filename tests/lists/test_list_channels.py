"""Channels of recordings: the two lists that name them, and speakers that no channel tells apart."""

from __future__ import annotations

from pathlib import Path

import pytest

from svmixer.lists import (
    DataDirError,
    Dropped,
    ListError,
    fix_data_dir,
    overlap,
    partition_data_dir,
    read_segments,
    subset_data_dir,
    validate_data_dir,
    write_spk2utt,
    write_table,
)
from svmixer.lists.segments import parse_recording_channel


@pytest.fixture
def warnings(monkeypatch):
    """``warnings(folder)``: what validation says of a sound directory."""
    said: list[str] = []
    monkeypatch.setattr(overlap.logger, "warning", lambda text, *values: said.append(text % values))

    def of(folder: Path) -> list[str]:
        said.clear()
        validate_data_dir(folder)
        return said

    return of


@pytest.fixture
def call(write):
    """``call(**lists)``: a directory with the speakers a and b."""

    def make(utt2spk: str = "a-1 a\nb-1 b\n", **lists: str) -> Path:
        folder = write("d/utt2spk", utt2spk).parent
        for path in folder.glob("[!.]*"):
            path.unlink()
        write("d/utt2spk", utt2spk)
        write_spk2utt(folder / "spk2utt", dict(line.split() for line in utt2spk.splitlines()))
        for name, text in lists.items():
            write(f"d/{name.replace('wav_scp', 'wav.scp')}", text)
        return folder

    return make


def test_segments_name_a_channel(write):
    path = write("segments", "u1 r 0 1.5 0\nu2 r 0 1.5 1\nu3 r 1.5 -1\n")
    assert read_segments(path) == {"u1": ("r", 0.0, 1.5, 0), "u2": ("r", 0.0, 1.5, 1), "u3": ("r", 1.5, -1.0)}


@pytest.mark.parametrize("channel", ["A", "B", "-1", "1.0", "x", "99999", "\u0661"])
def test_channels_of_segments_are_numbers_from_0(write, channel):
    path = write("segments", f"t r 0 1 1\nu r 0 1 {channel}\n")
    with pytest.raises(ListError) as caught:
        read_segments(path)
    what = f"channel '{channel}' is not a number from 0 (A, the first channel, is 0; B is 1)"
    assert str(caught.value) == f"{path}:2: utterance u: {what}"


def test_segments_of_two_channels_are_two_values(write):
    with pytest.raises(ListError, match="different values: 'r 0 1 0' and 'r 0 1 1'"):
        read_segments(write("segments", "u r 0 1 0\nu r 0 1 1\n"))


@pytest.mark.parametrize(
    ("value", "channel"), [("f A", 0), ("f B", 1), ("f 1", 0), ("f 2", 1), ("f 3", 2), ("f 12", 11)]
)
def test_recording_channels(value, channel):
    assert parse_recording_channel(value) == channel


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ("f 0", "channel '0' is neither A, B nor a number from 1"),
        ("f a", "channel 'a' is neither"),
        ("f -1", "channel '-1' is neither"),
        ("f", "expected <recording> <file> <channel>, found 'f' behind the recording"),
        ("f A x", "expected <recording> <file> <channel>"),
    ],
)
def test_recording_channels_that_mean_nothing(call, value, message):
    with pytest.raises(ListError, match=message):
        parse_recording_channel(value)
    folder = call(wav_scp="a-1 x\nb-1 y\n", reco2file_and_channel=f"a-1 f A\nb-1 {value}\n")
    for check in (validate_data_dir, fix_data_dir):
        with pytest.raises(ListError, match=rf"reco2file_and_channel:2: recording b-1: {message}") as caught:
            check(folder)
        assert "repair" not in str(caught.value)
    assert (folder / "reco2file_and_channel").read_text() == f"a-1 f A\nb-1 {value}\n"


def test_a_repair_keeps_channels(call):
    folder = call(wav_scp="r x\n", segments="b-1 r 0 1 1\n\na-1  r 0 1 0\r\n")
    assert fix_data_dir(folder).dropped == []
    assert (folder / "segments").read_text() == "a-1 r 0 1 0\nb-1 r 0 1 1\n"
    assert validate_data_dir(folder).utterances == 2
    folder = call(wav_scp="b-1 x\na-1 x\n", reco2file_and_channel="c-1 z A\nb-1 call B\na-1\tcall A\n")
    assert fix_data_dir(folder).dropped == [Dropped("reco2file_and_channel", "not in wav.scp", 1, "c-1")]
    assert (folder / "reco2file_and_channel").read_text() == "a-1 call A\nb-1 call B\n"


@pytest.mark.parametrize(
    "line", ["b-1 r 0 1 B", "b-1 r 0 1 -1", "b-1 r 0 1 1 1", "b-1 r 0", "b-1 r 0,5 1,5", "b-1 0 1 r"]
)
def test_no_repair_deletes_what_it_does_not_understand(call, line):
    folder = call(wav_scp="r x\n", segments=f"a-1 r 0 1 0\n{line}\n")
    with pytest.raises(ListError, match=r"segments:2: utterance b-1: (channel|expected|'.* are not times)"):
        fix_data_dir(folder)
    assert (folder / "segments").read_text() == f"a-1 r 0 1 0\n{line}\n"
    assert not (folder / ".backup").exists()


def test_channels_of_recordings_that_are_not_there(call):
    folder = call(wav_scp="a-1 x\nb-1 y\n", reco2file_and_channel="a-1 x A\nc-1 x B\n")
    with pytest.raises(
        DataDirError, match=r"reco2file_and_channel:2: recording c-1: not in wav.scp; repair with: .*fix_data"
    ):
        validate_data_dir(folder)


def test_subset_keeps_the_channels_it_needs(call, tmp_path):
    channels = "r1 x A\nr2 x B\n"
    folder = call(
        wav_scp="r1 x\nr2 x\n",
        segments="a-1 r1 0 1\nb-1 r2 0 1 1\n",
        reco2file_and_channel=channels,
        reco2dur="r1 2.0\nr2 3.0\n",
    )
    subset_data_dir(folder, tmp_path / "sub", {"b-1"})
    sub = {path.name: path.read_text() for path in (tmp_path / "sub").iterdir()}
    assert sub == {
        "wav.scp": "r2 x\n",
        "segments": "b-1 r2 0 1 1\n",
        "reco2file_and_channel": "r2 x B\n",
        "reco2dur": "r2 3.0\n",
        "utt2spk": "b-1 b\n",
        "spk2utt": "b b-1\n",
    }


def test_partition_keeps_channels(tmp_path):
    """Calls of neighbours: speakers 2i and 2i + 1 on the two channels of a file."""
    folder = tmp_path / "all"
    utt2spk = {f"s{i:02d}-{j}": f"s{i:02d}" for i in range(12) for j in range(2)}
    side = {name: int(name[1:3]) % 2 for name in utt2spk}
    write_table(folder / "utt2spk", utt2spk)
    write_spk2utt(folder / "spk2utt", utt2spk)
    write_table(folder / "wav.scp", {name: f"call{int(name[1:3]) // 2}{name[3:]}.wav" for name in utt2spk})
    write_table(folder / "reco2file_and_channel", {name: f"call {'AB'[side[name]]}" for name in utt2spk})
    partition_data_dir(folder, tmp_path, valid_speakers=3, test_speakers=3)
    kept = "".join(
        (tmp_path / name / "reco2file_and_channel").read_text() for name in ("train", "valid", "test")
    )
    assert sorted(kept.splitlines()) == (folder / "reco2file_and_channel").read_text().splitlines()


def test_lists_by_recording_follow(call):
    folder = call(
        wav_scp="a-1 x\nb-1 y\n",
        reco2dur="a-1 2.5\nb-1 3\nc-1 1\n",
        reco2num_frames="c-1 1\n",
        utt2dur="a-1 2.5\nc-1 1\n",
    )
    (folder / "utt2spk.bak").write_text("an editor's copy\n")
    (folder / "utt2spk~").write_text("c c\n")
    report = fix_data_dir(folder)
    assert (folder / "reco2dur").read_text() == "a-1 2.5\nb-1 3\n"
    assert (folder / "utt2dur").read_text() == "a-1 2.5\n"
    assert not (folder / "reco2num_frames").exists()
    assert {name: report.sizes[name] for name in ("reco2dur", "reco2num_frames", "utt2dur")} == {
        "reco2dur": 2,
        "reco2num_frames": 0,
        "utt2dur": 1,
    }
    assert "utt2spk.bak" not in report.sizes and "utt2spk~" not in report.sizes
    assert (folder / "utt2spk.bak").read_text() == "an editor's copy\n"
    assert validate_data_dir(folder).utterances == 2


WHOLE = {"wav_scp": "a-1 call.wav\nb-1 call.wav\n"}


def warning(folder: Path, count: int, recording: str, first: str, second: str) -> list[str]:
    return [
        f"{folder}: different speakers at the same time in {count} of its recordings, first in {recording}: "
        f"utterances {first} and {second}. Each holds both voices; name the channels where speakers have "
        "their own: docs/own_data.md"
    ]


def test_two_speakers_of_one_recording(call, warnings):
    folder = call(**WHOLE)
    assert warnings(folder) == warning(folder, 1, "b-1", "a-1", "b-1")
    folder = call(wav_scp="r call.wav\n", segments="a-1 r 0 2\nb-1 r 1.5 3\n")
    assert warnings(folder) == warning(folder, 1, "r", "a-1", "b-1")
    folder = call(wav_scp="r call.wav\n", segments="a-1 r 5 -1\nb-1 r 1.5 5.5\n")
    assert warnings(folder) == warning(folder, 1, "r", "b-1", "a-1")
    folder = call(wav_scp="q q.wav\nr call.wav\n", parts="a-1 q 0 1 r 0 2\nb-1 r 1 -1\n")
    assert warnings(folder) == warning(folder, 1, "r", "a-1", "b-1")
    folder = call(
        "a-1 a\na-2 a\nb-1 b\nb-2 b\n",
        wav_scp="r call.wav\ns other.wav\n",
        segments="a-1 r 0 2\na-2 s 0 9\nb-1 r 1 3\nb-2 s 3 4\n",
    )
    assert warnings(folder) == warning(folder, 2, "r", "a-1", "b-1")


@pytest.mark.parametrize(
    "channels", ["a-1 call A\nb-1 call A\n", "b-1 call B\n", "a-1 call A\n", "a-1 call B\nb-1 call 2\n"]
)
def test_channels_that_do_not_tell_two_speakers_apart(call, warnings, channels):
    folder = call(**WHOLE, reco2file_and_channel=channels)
    assert warnings(folder) == warning(folder, 1, "b-1", "a-1", "b-1")


@pytest.mark.parametrize(
    "lists",
    [
        {**WHOLE, "reco2file_and_channel": "a-1 call A\nb-1 call B\n"},
        {"wav_scp": "r c\n", "segments": "a-1 r 0 2 0\nb-1 r 0 2 1\n"},
        {"wav_scp": "r c\ns c\n", "segments": "a-1 r 0 2\nb-1 s 0 2 1\n", "reco2file_and_channel": "r c A\n"},
        {"wav_scp": "a-1 sph2pipe -c 1 c |\nb-1 sph2pipe -c 2 c |\n"},
        # Turns, also of one speaker twice, and a list without speakers.
        {"wav_scp": "r c\n", "segments": "a-1 r 0 2\nb-1 r 2 -1\n"},
        {"wav_scp": "r c\n", "parts": "a-1 r 0 1 r 2 3\nb-1 r 1 2 r 3 4\n"},
        {"wav_scp": "r c\n", "segments": "a-1 r 0 2\na-2 r 1 3\n", "utt2spk": "a-1 a\na-2 a\n"},
    ],
)
def test_speakers_that_are_told_apart(call, warnings, lists):
    assert warnings(call(**lists)) == []


def test_one_file_under_two_spellings(call, warnings, tmp_path, monkeypatch):
    for first, second in (
        ("/x/call.wav", "/x/../x/call.wav"),
        ("call.wav", "./call.wav"),
        ("x//c.w", "x/c.w"),
    ):
        folder = call(wav_scp=f"a-1 {first}\nb-1 {second}\n")
        assert warnings(folder) == warning(folder, 1, "b-1", "a-1", "b-1")
    monkeypatch.chdir(tmp_path)
    folder = call(wav_scp=f"a-1 call.wav\nb-1 {tmp_path}/call.wav\n")
    assert warnings(folder) == warning(folder, 1, "b-1", "a-1", "b-1")
    assert warnings(call(wav_scp="a-1 cat x/../y |\nb-1 cat y |\n")) == []


def test_noises_have_no_speakers(write, warnings):
    assert warnings(write("n/wav.scp", "n1 x\nn2 x\n").parent) == []
