"""Named pipes and process substitution are read whole; file names that look like places in archives."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time

import numpy as np
import pytest
import soundfile
from audio_files import encode, noise_pcm, tone, wav_bytes, write_wav

from svmixer.audio import AudioError, ark, open_wave, read_audio
from svmixer.audio.pieces import original_length
from svmixer.lists import ListError, Source, find_source, parse_source
from svmixer.lists.source import FileProbe


def write_later(path, content: bytes, pause: float = 0.0) -> threading.Thread:
    """Write to a named pipe in the background: half of it, then the other half."""

    def write() -> None:
        time.sleep(pause)
        with open(path, "wb") as stream:
            time.sleep(pause)
            for part in (content[: len(content) // 2], content[len(content) // 2 :]):
                stream.write(part)
                stream.flush()
                time.sleep(pause)

    thread = threading.Thread(target=write, daemon=True)
    thread.start()
    return thread


@pytest.mark.parametrize("pause", [0.0, 0.2])
@pytest.mark.parametrize("name", ["a.wav", "a.flac", "24.wav"])
def test_named_pipes(tmp_path, name, pause):
    """More than a pipe holds at once, so reader and writer wait for each other."""
    pcm = noise_pcm(100_000)
    soundfile.write(tmp_path / f"of_{name}", pcm, 16000, subtype="PCM_24" if name == "24.wav" else "PCM_16")
    os.mkfifo(tmp_path / name)
    writer = write_later(tmp_path / name, (tmp_path / f"of_{name}").read_bytes(), pause)
    wave, rate = open_wave(str(tmp_path / name))
    writer.join(10)
    assert rate == 16000
    np.testing.assert_array_equal(wave[:], pcm / 32768)
    np.testing.assert_array_equal(wave[500:700], pcm[500:700] / 32768)


def test_a_slow_writer_is_waited_for(tmp_path, monkeypatch):
    """It has opened the pipe; nothing says when it will write."""
    monkeypatch.setattr(ark, "_PATIENCE", 0.1)
    os.mkfifo(tmp_path / "a.wav")
    pcm = noise_pcm(300)
    with open(os.open(tmp_path / "a.wav", os.O_RDWR), "wb") as held:
        writer = write_later(tmp_path / "a.wav", wav_bytes(pcm.tobytes()), 0.3)
        threading.Timer(0.5, held.close).start()
        np.testing.assert_array_equal(read_audio(str(tmp_path / "a.wav"))[0][0], pcm / 32768)
        writer.join(10)


def test_headerless_formats_are_known_by_the_name_of_the_pipe(tmp_path):
    encoded = encode(tmp_path / "b.g722", "g722", tone(16000, 0.5), 16000)
    os.mkfifo(tmp_path / "a.g722")
    write_later(tmp_path / "a.g722", encoded.read_bytes())
    wave, _ = read_audio(str(tmp_path / "a.g722"))
    np.testing.assert_array_equal(wave, read_audio(str(encoded))[0])


def test_a_pipe_that_ends_early_or_brings_nothing(tmp_path, monkeypatch):
    monkeypatch.setattr(ark, "_PATIENCE", 0.1)
    path = tmp_path / "a.wav"
    os.mkfifo(path)
    write_later(path, wav_bytes(noise_pcm(1000).tobytes())[:1000])
    with pytest.raises(AudioError, match=r"a\.wav: unreadable: truncated: .* 2000 bytes of samples, 956"):
        read_audio(str(path))
    with pytest.raises(AudioError, match=r"a\.wav: unreadable: a named pipe that nobody opened to write"):
        read_audio(str(path))
    write_later(path, b"")
    with pytest.raises(AudioError, match=r"a\.wav: (empty: no bytes|unreadable: a named pipe)"):
        read_audio(str(path))


def test_process_substitution_and_standard_input(tmp_path):
    path = write_wav(tmp_path / "a.wav", noise_pcm(50_000))
    program = (
        "import sys; from svmixer.audio import read_audio\n"
        "print([read_audio(name)[0].shape for name in sys.argv[1:]])"
    )
    line = f'"{sys.executable}" -c "$0" <(cat {path}) /dev/stdin <(sleep 0.3; cat {path})'
    for given in (f"cat {path} | {line}", f"{line} < {path}"):
        done = subprocess.run(["bash", "-c", given, program], capture_output=True, text=True)
        assert (done.stdout, done.stderr) == ("[(1, 50000), (1, 50000), (1, 50000)]\n", "")


def test_what_is_neither_file_nor_pipe(tmp_path):
    with pytest.raises(AudioError, match="unreadable: not a file"):
        read_audio("/dev/zero")
    with pytest.raises(AudioError, match="unreadable: Is a directory"):
        read_audio(str(tmp_path))


def test_a_pipe_cannot_be_pointed_at(tmp_path):
    os.mkfifo(tmp_path / "a.wav")
    with pytest.raises(ListError, match="found a pipe"):
        original_length("a", str(tmp_path / "a.wav"), tmp_path)


def test_files_whose_names_look_like_places_in_archives(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    pcm = noise_pcm(300)
    for name in ("call_12:30", "call_12:05", "a:16.wav", "x:" + "9" * 30):
        write_wav(tmp_path / name, pcm)
        np.testing.assert_array_equal(read_audio(name)[0][0], pcm / 32768)
        assert find_source(name) == Source("file", path=name)
        assert original_length("u", name, tmp_path) == 300
    # Also where the archive is there.
    (tmp_path / "call_12").write_bytes(bytes(100))
    np.testing.assert_array_equal(read_audio("call_12:30")[0][0], pcm / 32768)
    assert find_source("call_12:31") == parse_source("call_12:31") == Source("ark", path="call_12", offset=31)


def test_a_place_in_no_archive_is_called_that(tmp_path):
    with pytest.raises(AudioError) as caught:
        read_audio(f"{tmp_path}/call_12:30")
    assert caught.value.reason == "missing file"
    assert (
        caught.value.detail
        == f"'{tmp_path}/call_12:30' was taken for byte 30 of an archive {tmp_path}/call_12"
    )


def test_lists_take_them_too(tmp_path):
    write_wav(tmp_path / "call_12:05", noise_pcm(10))
    os.mkfifo(tmp_path / "pipe")
    probe = FileProbe()
    assert probe.reason_absent(f"{tmp_path}/call_12:05") is None
    assert (
        probe.reason_absent(f"{tmp_path}/call_12:5")
        == f"no such file: {tmp_path}/call_12 (byte 5 of an archive)"
    )
    assert probe.reason_absent(f"{tmp_path}/pipe") is None
