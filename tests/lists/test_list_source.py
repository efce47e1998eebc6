"""The right-hand side of wav.scp."""

from __future__ import annotations

import pytest

from svmixer.lists import ListError, Source, parse_source
from svmixer.lists.source import FileProbe


@pytest.mark.parametrize(
    ("text", "source"),
    [
        ("/c/a b.wav", Source("file", path="/c/a b.wav")),
        ("  x.flac ", Source("file", path="x.flac")),
        ("/c/data.1.ark:1234567890123", Source("ark", path="/c/data.1.ark", offset=1234567890123)),
        ("a:b.ark:5", Source("ark", path="a:b.ark", offset=5)),
        ("no-offset.ark:", Source("file", path="no-offset.ark:")),
        ("time 12:30.wav", Source("file", path="time 12:30.wav")),
        ("x:²", Source("file", path="x:²")),
        ("sox 'a b.mp3' -t wav - |", Source("pipe", command="sox 'a b.mp3' -t wav -")),
        ("cat x | sox - -t wav -|", Source("pipe", command="cat x | sox - -t wav -")),
        ("ffmpeg -i a:3 |", Source("pipe", command="ffmpeg -i a:3")),
    ],
)
def test_kinds(text, source):
    assert parse_source(text) == source


@pytest.mark.parametrize("text", ["", "  ", "-", "|", " | ", "| sox - x.wav", "| x |"])
def test_nothing_to_read(text):
    with pytest.raises(ListError):
        parse_source(text)


def test_probe(tmp_path):
    path = tmp_path / "x.ark"
    path.write_bytes(bytes(10))
    probe = FileProbe()
    assert probe.reason_absent(str(path)) is None
    assert probe.reason_absent(f"{path}:9") is None
    assert probe.reason_absent(f"{path}:10") == f"archive {path} ends before byte 10"
    assert probe.reason_absent(f"{tmp_path}/y.ark:1") == (
        f"no such file: {tmp_path}/y.ark (byte 1 of an archive)"
    )
    assert probe.reason_absent(str(tmp_path)) == f"no such file: {tmp_path}"
    assert probe.reason_absent("false |") is None
