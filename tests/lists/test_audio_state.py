"""Fingerprints of recordings, and whether those of a list are still the ones that they were."""

import os
import shutil

import numpy as np
import pytest

from svmixer.fileio import audio_fingerprint
from svmixer.lists import ListError
from svmixer.lists.audio_state import changed_recording, state_digest, write_state


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """Three files of 20,000 bytes, an archive of two entries, a file that is not there, a command."""
    monkeypatch.chdir(tmp_path)
    for number, name in enumerate("abc"):
        (tmp_path / f"{name}.wav").write_bytes(bytes([number]) * 20000)
    (tmp_path / "x.ark").write_bytes(b"x" * 100)
    (tmp_path / "wav.scp").write_text(
        "a a.wav\nb b.wav\nc c.wav\nd x.ark:5\ne x.ark:50\nf gone.wav\ng cat pipe.wav |\n"
    )
    (tmp_path / "pipe.wav").write_bytes(b"p")
    write_state("wav.scp", ".audio")
    return tmp_path


def change(path, position, size=20000):
    content = bytearray(path.read_bytes()[:size].ljust(size, b"z"))
    content[position] ^= 255
    path.write_bytes(content)


@pytest.mark.parametrize(
    ("position", "noticed"), [(0, True), (4095, True), (10000, False), (15904, True), (-1, True)]
)
def test_fingerprints_cover_both_ends(folder, position, noticed):
    before = audio_fingerprint("a.wav")
    assert before.startswith("20000-") and before == audio_fingerprint(folder / "a.wav")
    change(folder / "a.wav", position)
    assert (audio_fingerprint("a.wav") != before) == noticed
    assert changed_recording("wav.scp", ".audio") == ("a.wav" if noticed else "")


@pytest.mark.parametrize("size", [0, 1, 4095, 4096, 5000, 8192, 8193])
def test_fingerprints_of_small_files(tmp_path, size):
    path = tmp_path / "a"
    prints = set()
    for content in (b"a" * size, b"a" * size + b"a", b"b" * size + b"a"):
        path.write_bytes(content)
        prints.add(audio_fingerprint(path))
    assert len(prints) == (3 if size else 2)


def test_what_is_no_file_has_no_fingerprint(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    for name in ("pipe", "none", "."):
        with pytest.raises(OSError):
            audio_fingerprint(tmp_path / name)


def test_times_copies_and_losses_are_no_change(folder):
    digest = state_digest(".audio")
    os.utime("a.wav", (1, 1))
    shutil.copy("b.wav", "copy")
    os.replace("copy", "b.wav")
    os.chmod("x.ark", 0o600)
    os.unlink("c.wav")
    (folder / "pipe.wav").write_bytes(b"q")
    assert changed_recording("wav.scp", ".audio") == ""
    (folder / "c.wav").write_bytes(bytes([2]) * 20000)
    write_state("wav.scp", ".audio")
    assert state_digest(".audio") == digest


def test_other_sizes_and_content_are_changes(folder):
    digest = state_digest(".audio")
    change(folder / "x.ark", 0, 100)
    assert changed_recording("wav.scp", ".audio") == "x.ark"
    change(folder / "c.wav", 10000, 20001)
    assert changed_recording("wav.scp", ".audio") == "c.wav"
    write_state("wav.scp", ".audio")
    assert changed_recording("wav.scp", ".audio") == "" and state_digest(".audio") != digest
    (folder / "gone.wav").write_bytes(b"back")
    assert changed_recording("wav.scp", ".audio") == "gone.wav"


def test_a_list_of_another_length(folder):
    (folder / "wav.scp").write_text("a a.wav\n")
    assert changed_recording("wav.scp", ".audio") == "wav.scp"
    (folder / "wav.scp").write_text((folder / "wav.scp").read_text() + "b b.wav\n" * 8)
    assert changed_recording("wav.scp", ".audio") in ("b.wav", "wav.scp")
    (folder / "wav.scp").write_text("a a.wav\nb |\n")
    with pytest.raises(ListError, match=r"wav\.scp:2: utterance b: '\|' is not a recording"):
        write_state("wav.scp", ".audio")


def npz(path) -> None:
    with open(path, "wb") as stream:
        np.savez(stream, x=np.zeros(3))


def npy(path) -> None:
    with open(path, "wb") as stream:
        np.save(stream, np.zeros(3))


@pytest.mark.parametrize(
    "damage",
    [
        lambda path: path.write_bytes(b""),
        lambda path: path.write_bytes(b"half"),
        lambda path: path.write_bytes(b"PK\x03\x04 no archive"),
        lambda path: path.write_bytes(path.read_bytes()[:-30]),
        lambda path: path.write_bytes(path.read_bytes()[:40]),
        lambda path: path.write_bytes(b"\x93NUMPY"),
        npz,
        npy,
    ],
)
def test_a_damaged_state_is_named(folder, damage):
    damage(folder / ".audio")
    for read in (lambda: changed_recording("wav.scp", ".audio"), lambda: state_digest(".audio")):
        with pytest.raises(ListError) as error:
            read()
        assert str(error.value) == ".audio is damaged"


def test_files_whose_names_look_like_places_in_archives(folder):
    """`call_12:30` is a file where there is one, as it is for the readers."""
    names = ["call_12:30", "call_12:45", "call_13:00"]
    for name in names:
        (folder / name).write_bytes(name.encode() * 2000)
    (folder / "wav.scp").write_text("".join(f"{n} {name}\n" for n, name in enumerate([*names, "a.wav"])))
    write_state("wav.scp", ".audio")
    assert changed_recording("wav.scp", ".audio") == ""
    (folder / names[1]).write_bytes(b"another call")
    assert changed_recording("wav.scp", ".audio") == names[1]
    # Those that are gone are no others, and the rest keep their places.
    for name in names[:2]:
        (folder / name).unlink()
    assert changed_recording("wav.scp", ".audio") == ""
    change(folder / "a.wav", 0)
    assert changed_recording("wav.scp", ".audio") == "a.wav"
