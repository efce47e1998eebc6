"""A folder with a folder for each speaker, taken as it is."""

from __future__ import annotations

import os
import unicodedata
from pathlib import Path

import numpy as np
import pytest
import soundfile

from svmixer.audio.speaker_folders import SpeakerFolderError, find_speakers
from svmixer.cli.main import run_program
from svmixer.lists import read_table, read_utt2spk, validate_data_dir

RNG = np.random.default_rng(0)


def write(*paths: Path) -> None:
    """Recordings of which no two are alike."""
    for path in paths:
        path.parent.mkdir(parents=True, exist_ok=True)
        form = {".opus": "OGG", ".aifc": "AIFF"}.get(path.suffix.lower(), path.suffix[1:].upper())
        soundfile.write(path, 0.1 * RNG.standard_normal(800), 16000, format=form)


@pytest.fixture
def root(tmp_path) -> Path:
    """Two speakers with two recordings each."""
    folder = tmp_path / "recordings"
    write(*(folder / name for name in ("ann/1.wav", "ann/2.wav", "bob/1.wav", "bob/2.wav")))
    return folder


def utterances(root: Path) -> dict[str, str]:
    """Utterance → path below the root."""
    return {name: os.path.relpath(path, root) for name, path in find_speakers(root).wav_scp.items()}


def test_any_depth_and_format(root, monkeypatch):
    write(root / "ann/2024/May 3/a.FLAC", root / "bob/x.Ogg", root / "bob/y.Aifc")
    found = find_speakers(root)
    assert found.remarks == []
    assert found.utt2spk == {
        "ann-1": "ann", "ann-2": "ann", "ann-2024-May_3-a": "ann",
        "bob-1": "bob", "bob-2": "bob", "bob-x": "bob", "bob-y": "bob",
    }  # fmt: skip
    assert found.wav_scp["ann-2024-May_3-a"] == f"{root}/ann/2024/May 3/a.FLAC"
    # The lists can be read from anywhere, however the folder was named.
    monkeypatch.chdir(root / "ann")
    assert find_speakers("..").wav_scp == found.wav_scp


def test_names_of_any_kind_are_unique_words(tmp_path):
    root = tmp_path / "in"
    odd = [
        "Ann Lee",
        "Ann_Lee",
        "Ann\tLee",
        "मीरा",
        "(x)",
        "$(id)",
        "-n",
        "a\x07b",
        "'\"|;#",
        "e\u0301",
        "ann",
        "ann-1",
    ]
    write(*(root / speaker / name for speaker in odd for name in ("1 a.wav", "1_a.wav", "1;a.flac")))
    write(root / "ann/1-1_a.wav")
    found = find_speakers(root)
    assert len(found.wav_scp) == 3 * len(odd) + 1 and found.wav_scp.keys() == found.utt2spk.keys()
    assert len(set(found.utt2spk.values())) == len(odd)
    for utterance, speaker in found.utt2spk.items():
        assert utterance.startswith(f"{speaker}-") and utterance.isprintable() and " " not in utterance
        assert not set("\"'$();|#") & set(utterance)
    of_path = {os.path.relpath(path, root): found.utt2spk[name] for name, path in found.wav_scp.items()}
    speakers = {folder: of_path[f"{folder}/1 a.wav"] for folder in odd}
    # Who has a name that can stay keeps it.
    assert (speakers["Ann_Lee"], speakers["Ann\tLee"], speakers["Ann Lee"]) == (
        "Ann_Lee",
        "Ann_Lee_2",
        "Ann_Lee_3",
    )
    assert speakers["मीरा"] == "मीरा" and speakers["e\u0301"] == unicodedata.normalize("NFC", "e\u0301")
    # `ann` with 1-1_a and `ann-1` with 1_a would share one.
    assert {"ann-1-1_a", "ann-1-1_a_2"} <= found.wav_scp.keys()
    assert any("by another name (" in line for line in found.remarks)


def test_the_lists_are_sound(root, tmp_path, capsys):
    write(root / "Ann Lee/a  b.wav", root / "Ann Lee/c.wav")
    run_program("make_data_dir", ["--audio_dir", str(root), "--data_dir", str(tmp_path / "data")])
    assert capsys.readouterr().out.splitlines() == [
        f"{root}: 6 recordings of 3 speakers",
        f"{root}: 1 speaker by another name ('Ann Lee' is Ann_Lee)",
    ]
    size = validate_data_dir(tmp_path / "data", need_speakers=True, check_files=True)
    assert (size.utterances, size.speakers) == (6, 3)
    assert read_table(tmp_path / "data/wav.scp")["Ann_Lee-a_b"] == f"{root}/Ann Lee/a  b.wav"
    assert read_utt2spk(tmp_path / "data/utt2spk")["Ann_Lee-a_b"] == "Ann_Lee"


def test_what_is_left_out_is_counted_and_named(root):
    for name in ("ann/._1.wav", ".cache/x.wav", "ann/.old/1.wav", "notes.txt", "ann/1.txt", "ann/1.json"):
        (root / name).parent.mkdir(exist_ok=True)
        (root / name).write_text("x")
    (root / "ann/0.wav").write_text("")
    write(root / "loose.wav")
    (root / "carl/inner").mkdir(parents=True)
    os.mkfifo(root / "ann/pipe.wav")
    found = find_speakers(root)
    assert sorted(found.wav_scp) == ["ann-1", "ann-2", "bob-1", "bob-2"]
    assert set(found.remarks) == {
        "left out 3: hidden (.cache, …)",
        "left out 3: no audio by their endings .txt 2, .json 1 (notes.txt, …)",
        "left out 1: audio in no speaker's folder (loose.wav)",
        "left out 1: empty files (ann/0.wav)",
        "left out 1: no regular files (ann/pipe.wav)",
        "1 folder without audio files (carl)",
    }


def test_speakers_with_one_recording_are_named(root):
    write(root / "carl/1.wav", root / "dora/1.wav")
    (remark,) = find_speakers(root).remarks
    assert remark == "2 speakers with one recording, to train with but not to test with (carl, …)"


def test_links_are_followed_once_and_not_around(root, tmp_path):
    elsewhere = tmp_path / "elsewhere"
    write(elsewhere / "deep/1.wav", elsewhere / "deep/2.wav")
    (root / "carl").symlink_to(elsewhere)
    (elsewhere / "round").symlink_to(root)
    (elsewhere / "self").symlink_to(elsewhere)
    (root / "ann/up").symlink_to("..")
    (root / "ann/others").symlink_to(root / "bob")
    assert utterances(root) == {
        "ann-1": "ann/1.wav", "ann-2": "ann/2.wav", "bob-1": "bob/1.wav", "bob-2": "bob/2.wav",
        "carl-deep-1": "carl/deep/1.wav", "carl-deep-2": "carl/deep/2.wav",
    }  # fmt: skip
    (remark,) = find_speakers(root).remarks
    assert remark == "left out 4: links to folders that are read where they lie (ann/others, …)"


def test_copies_count_once_and_never_for_two_speakers(root):
    content = (root / "ann/1.wav").read_bytes()
    (root / "ann/copy of 1.wav").write_bytes(content)
    (root / "ann/z.wav").symlink_to("1.wav")
    found = find_speakers(root)
    assert sorted(found.wav_scp) == ["ann-1", "ann-2", "bob-1", "bob-2"]
    (remark,) = found.remarks
    assert remark == "left out 2: copies of others of the same speaker (ann/copy of 1.wav of ann/1.wav, …)"
    (root / "bob/3.wav").write_bytes(content)
    with pytest.raises(
        SpeakerFolderError, match=r"ann/1\.wav and bob/3\.wav are the same recording under two"
    ):
        find_speakers(root)
    # The same ends and the same size are not enough.
    data = bytearray(RNG.bytes(20000))
    (root / "bob/3.wav").write_bytes(data)
    data[10000] ^= 1
    (root / "ann/3.wav").write_bytes(data)
    assert {"ann-3", "bob-3"} <= find_speakers(root).wav_scp.keys()


def test_what_cannot_be_read_is_an_error_or_left_out(root):
    (root / "ann/3.wav").symlink_to("/nowhere/3.wav")
    message = (
        r"1 of the files and folders cannot be read: ann/3\.wav: a link to /nowhere/3\.wav, which is not"
    )
    with pytest.raises(SpeakerFolderError, match=message + r" there.*--drop_missing true"):
        find_speakers(root)
    found = find_speakers(root, drop_missing=True)
    assert sorted(found.wav_scp) == ["ann-1", "ann-2", "bob-1", "bob-2"]
    assert found.remarks[0].startswith("left out 1: cannot be read (ann/3.wav: a link")


@pytest.mark.parametrize("name", [b"a\nb.wav", b"a\xff.wav"])
def test_names_that_no_list_can_hold(root, name):
    (root / "ann" / os.fsdecode(name)).write_bytes(b"RIFF")
    with pytest.raises(SpeakerFolderError, match=r"a list cannot hold this name .*: rename it"):
        find_speakers(root)


def test_folders_of_no_use_say_what_to_do(tmp_path):
    def refused(folder: Path) -> str:
        with pytest.raises(SpeakerFolderError) as error:
            find_speakers(folder)
        return str(error.value)

    assert refused(tmp_path / "none") == (
        f"{tmp_path}/none: there is no such folder: name the folder that has a folder for each speaker"
    )
    write(tmp_path / "flat/a.wav", tmp_path / "flat/b.wav")
    assert refused(tmp_path / "flat/a.wav").startswith(
        f"{tmp_path}/flat/a.wav: is a file, not a folder: name"
    )
    said = refused(tmp_path / "flat")
    assert "no folder with audio files (left out 2: audio in no speaker's folder (a.wav, …))" in said
    assert f"put the recordings of each speaker into a folder of their own, {tmp_path}/flat/SPEAKER/" in said
    (tmp_path / "empty").mkdir()
    assert "no folder with audio files (it is empty)" in refused(tmp_path / "empty")
    write(tmp_path / "deep/wav/ann/1.wav", tmp_path / "deep/wav/bob/1.wav")
    said = refused(tmp_path / "deep")
    assert "all 2 audio files are in one folder, wav, and a folder is a speaker" in said
    assert f"if the speakers are ann, bob, say --audio_dir {tmp_path}/deep/wav" in said
