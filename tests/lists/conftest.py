"""Small data directories."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest


@pytest.fixture
def write(tmp_path: Path) -> Callable[[str, str | bytes], Path]:
    """``write(name, text)``: a file below the test's folder, byte by byte as given."""

    def write_file(name: str, text: str | bytes) -> Path:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(text if isinstance(text, bytes) else text.encode("utf-8"))
        return path

    return write_file


@pytest.fixture
def data_dir(write: Callable[[str, str], Path]) -> Path:
    """A sound directory: speakers a and b, two utterances each, one of them a pipe and one in an archive."""
    write("d/wav.scp", "a-1 /c/a 1.wav\na-2 /c/ark.1:17\nb-1 sox /c/b.mp3 -t wav - |\nb-2 /c/b2.flac\n")
    write("d/utt2spk", "a-1 a\na-2 a\nb-1 b\nb-2 b\n")
    write("d/spk2utt", "a a-1 a-2\nb b-1 b-2\n")
    write("d/trials", "1 a-1 a-2\n0 a-1 b-1\n0 b-2 a-2\n1 b-1 b-2\n")
    return write("d/utt2lang", "a-1 en\na-2 fr\nb-1 en\nb-2 en\n").parent
