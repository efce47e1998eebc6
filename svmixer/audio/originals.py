"""``feats_type raw_copy``: recordings that a dump can point at because they need no change."""

from __future__ import annotations

import os
from pathlib import Path

from svmixer.audio.ark import is_pipe, opened, wav_header
from svmixer.audio.dumpset import RATE
from svmixer.audio.errors import AudioError
from svmixer.audio.formats import HEAD_BYTES, Span, recognise
from svmixer.lists import ListError, find_source


def original_length(name: str, text: str, data_dir: str | Path) -> int:
    """Samples of a 16 kHz mono 16-bit WAV recording, in a file or an archive; only its header is read.

    Args:
        name: the utterance, for errors.
        text: its source as in ``wav.scp``.
        data_dir: for errors.

    Raises:
        ListError: the recording is sound but would have to be changed.
        AudioError: it is missing or damaged.
    """
    source = find_source(text)
    found = "a command" if source.kind == "pipe" else _difference(source.path, source.offset)
    if isinstance(found, int):
        return found
    what = f"feats_type raw_copy needs 16 kHz mono 16-bit WAV, found {found}"
    raise ListError(what, path=Path(data_dir) / "wav.scp", utterance=name, repair="--feats_type raw")


def _difference(path: str, offset: int) -> int | str:
    """The number of samples, or what keeps the file from being used as it is."""
    with opened(path) as descriptor:
        if is_pipe(descriptor):
            return "a pipe"
        head = os.pread(descriptor, HEAD_BYTES, offset)
        if not head:
            raise AudioError("empty", "no bytes")
        if not head.startswith(b"RIFF"):
            recognise(Span.of_file(descriptor, offset), path)  # raises if it is no audio at all
            return "another format"
        header = wav_header(descriptor, offset)
    if header.is_pcm16 and (header.rate, header.channels) == (RATE, 1):
        return header.num_samples
    return f"{header.rate} Hz, {header.channels} channels, {header.bits} bits (WAVE format {header.encoding})"
