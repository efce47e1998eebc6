"""Recordings through standard input: the same embedding as from a file, and errors that say what came."""

from __future__ import annotations

import json
import os
import pty
import subprocess
from contextlib import contextmanager

import numpy as np
import pytest
import soundfile

from svmixer.audio import standard_input
from svmixer.cli.main import main

RATE = 16000


@contextmanager
def stdin(descriptor: int):
    """Descriptor 0 is a copy of this one."""
    kept = os.dup(0)
    os.dup2(descriptor, 0)
    try:
        yield
    finally:
        os.dup2(kept, 0)
        os.close(kept)


@contextmanager
def piped(data: bytes):
    """``data`` comes through a pipe, which cannot be sought."""
    with subprocess.Popen(["cat"], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        writer = os.fork()
        if not writer:
            os.close(process.stdout.fileno())
            process.stdin.write(data)
            process.stdin.close()
            os._exit(0)
        process.stdin.close()
        with stdin(process.stdout.fileno()):
            yield
        process.stdout.close()
        os.waitpid(writer, 0)


@pytest.fixture
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    time = np.arange(4 * RATE) / RATE
    for number, name in enumerate(("a.wav", "a.flac", "a.ogg", "b.wav", "a.mp3")):
        noise = np.random.default_rng(number == 3).standard_normal(len(time))
        soundfile.write(name, 0.1 * noise * (0.5 - 0.5 * np.cos(2 * np.pi * 4 * time)), RATE)
    return tmp_path


def embedded(name: str) -> np.ndarray:
    main(["embed", name, "--output", "out.npy"])
    return np.load("out.npy")


@pytest.mark.parametrize("name", ["a.wav", "a.flac", "a.ogg", "a.mp3"])
def test_what_comes_through_a_pipe_is_what_is_in_the_file(here, name):
    expected = embedded(name)
    with piped((here / name).read_bytes()):
        found = embedded("-")
    np.testing.assert_array_equal(found, expected)


def test_formats_that_ffmpeg_reads(here):
    av = pytest.importorskip("av")
    with av.open("a.m4a", "w") as container:
        stream = container.add_stream("aac", rate=RATE, layout="mono")
        wave, _ = soundfile.read("a.wav", dtype="float32")
        frame = av.AudioFrame.from_ndarray(wave[None], format="fltp", layout="mono")
        frame.rate = RATE
        for packet in (*stream.encode(frame), *stream.encode(None)):
            container.mux(packet)
    expected = embedded("a.m4a")
    with piped((here / "a.m4a").read_bytes()):
        np.testing.assert_array_equal(embedded("-"), expected)


def test_every_verb_that_takes_recordings(here, capsys):
    data = (here / "a.wav").read_bytes()
    main(["verify", "a.wav", "b.wav", "--json"])
    expected = json.loads(capsys.readouterr().out)
    with piped(data):
        main(["verify", "-", "b.wav", "--json"])
    assert json.loads(capsys.readouterr().out) == expected | {"enrolled": ["-"]}
    with open("a.wav", "rb") as stream, stdin(stream.fileno()):
        main(["enrol", "-", "--output", "ann.npy"])
    with piped(data):
        main(["identify", "-", "ann.npy", "b.wav", "--json"])
    best = json.loads(capsys.readouterr().out)["likeliest"][0]
    assert best["name"] == "ann.npy" and best["score"] == pytest.approx(1.0, abs=1e-6)


def test_a_file_of_that_name(here):
    os.rename("a.wav", "-")
    expected = embedded("./-")
    assert expected.shape == (1, 1486)


def refused(capsys, *words: str) -> dict:
    with pytest.raises(SystemExit):
        main([*words, "--json"])
    return json.loads(capsys.readouterr().out)["error"]


@pytest.mark.parametrize(
    ("data", "reason", "message"),
    [
        (b"", "empty", "-: empty: nothing came through standard input"),
        (b"hello, world, no audio", "unreadable", "-: unreadable: no known audio format (begins with b'hel"),
        (bytes(3), "unreadable", "-: unreadable: no known audio format"),
    ],
)  # fmt: skip
def test_what_is_no_recording(here, capsys, data, reason, message):
    with piped(data):
        error = refused(capsys, "verify", "a.wav", "-")
    assert (error["kind"], error["reason"], error["file"]) == ("audio", reason, "-")
    assert error["message"].startswith(message)


def test_the_same_checks_as_for_files(here, capsys):
    soundfile.write("silence.wav", np.zeros(RATE), RATE)
    with piped((here / "silence.wav").read_bytes()):
        assert refused(capsys, "verify", "a.wav", "-")["reason"] == "all-zero"
    with piped((here / "a.wav").read_bytes()[:40000]):
        assert "-: unreadable: truncated" in refused(capsys, "verify", "a.wav", "-")["message"]


def test_a_terminal_a_closed_descriptor_and_too_much(here, capsys, monkeypatch):
    master, slave = pty.openpty()
    with stdin(slave):
        assert "standard input is a terminal" in refused(capsys, "verify", "a.wav", "-")["message"]
    os.close(master)
    os.close(slave)
    monkeypatch.setattr(standard_input, "MOST_BYTES", 1 << 15)
    with piped((here / "a.wav").read_bytes()):
        message = refused(capsys, "verify", "a.wav", "-")["message"]
    assert message == "-: unreadable: more than 0 MiB came through standard input: name a file instead"
    kept = os.dup(0)
    os.close(0)
    try:
        assert "standard input: Bad file descriptor" in refused(capsys, "verify", "a.wav", "-")["message"]
    finally:
        os.dup2(kept, 0)
        os.close(kept)


def test_it_is_given_once(here, capsys):
    error = refused(capsys, "verify", "-", "a.wav", "-")
    assert (error["status"], error["kind"]) == (2, "usage")
    assert error["message"] == "'-' is standard input, which is read once; it was given twice"
