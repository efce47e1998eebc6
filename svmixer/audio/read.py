"""Reading what a ``wav.scp`` names: files of any format, entries of archives, and the output of commands."""

from __future__ import annotations

import dataclasses
import functools
import os
import subprocess
from collections.abc import Callable
from io import BytesIO

import numpy as np

from svmixer.audio.ark import ark_entry, is_pipe, opened, read_pcm16, read_pipe, wav_header
from svmixer.audio.decode import (
    UNKNOWN_LENGTH,
    ffmpeg_read,
    joined,
    sndfile_blocks,
    sndfile_layout,
    sndfile_read,
)
from svmixer.audio.errors import AudioError, about
from svmixer.audio.formats import Format, recognise
from svmixer.audio.lengths import check_length, is_chained
from svmixer.audio.resample import from_pcm16, to_mono_16k
from svmixer.audio.span import Span
from svmixer.audio.wav import WavHeader, wav_header_of
from svmixer.lists import find_source
from svmixer.models.utterance import LongWave

# A segment may end this much after its recording: lists are written from rounded times.
_OVERSHOOT = 0.5  # seconds


@dataclasses.dataclass(frozen=True)
class Recording:
    """An opened source: its size is known, pieces of it can be read.

    PCM and FLAC are read from disk piece by piece; what cannot be sought exactly (Vorbis, MP3, G.722, pipes
    …) is decoded once and held in memory.
    """

    source: str  # as wav.scp names it
    rate: int  # samples per second
    num_samples: int  # of one channel
    fetch: Callable[[int, int], np.ndarray]  # (first sample, count) → np.float32 [C, count]
    held_bytes: int = 0  # memory that keeping this object costs

    def read(self, start: float = 0.0, end: float = -1.0) -> np.ndarray:
        """The samples from ``start`` to ``end`` seconds (−1: to the end) as np.float32 [C, N].

        Times are rounded to the nearest sample, so pieces that share a boundary join without gap or overlap.

        Raises:
            AudioError: ``empty``, ``bad segment`` (nothing in it, or more than 0.5 s outside the recording),
                ``non-finite``, ``unreadable``.
        """
        with about(self.source):
            return self._checked_piece(start, end)

    def _checked_piece(self, start: float, end: float) -> np.ndarray:
        if self.num_samples == 0:
            raise AudioError("empty", "no samples")
        length = self.num_samples / self.rate
        first = last = 0
        # Compared before they are multiplied: times may be as large as floating point goes.
        if start <= length and end <= length + _OVERSHOOT:
            first = round(start * self.rate)
            last = self.num_samples if end < 0 else min(round(end * self.rate), self.num_samples)
        if first < 0 or first >= last:
            raise AudioError("bad segment", f"{start:g} to {end:g} s of a recording of {length:g} s")
        return _finite(self.fetch(first, last - first))


def _finite(wave: np.ndarray) -> np.ndarray:
    if not np.isfinite(wave).all():
        bad = np.count_nonzero(~np.isfinite(wave))
        raise AudioError("non-finite", f"{bad} of {wave.size} samples are NaN or infinite")
    return wave


def read_audio(
    source: str, *, allow_pipes: bool = False, start: float = 0.0, end: float = -1.0
) -> tuple[np.ndarray, int]:
    """Read one recording, or a piece of it.

    Args:
        source: what a ``wav.scp`` line holds after its key: a file or named pipe (WAV of any width, FLAC,
            Ogg, SPHERE, MP3, M4A …, see :mod:`svmixer.audio.formats`, recognised by content; headerless
            G.722 and GSM by ``.g722`` and ``.gsm``), ``file.ark:offset``, or ``command |``.
        allow_pipes: run commands (through bash with pipefail); never do so on lists you did not make.
        start: seconds.
        end: seconds; −1 reads to the end.

    Returns:
        (np.float32 [C, N] with integer formats scaled to −1…1, samples per second as the header has it).

    Raises:
        AudioError: see :class:`AudioError` for the reasons.
        ListError: ``source`` is nothing that a ``wav.scp`` may hold.
    """
    recording = open_recording(source, allow_pipes=allow_pipes)
    return recording.read(start, end), recording.rate


def open_recording(source: str, *, allow_pipes: bool = False) -> Recording:
    """Open what a ``wav.scp`` names; arguments and errors as in :func:`read_audio`."""
    parsed = find_source(source)
    with about(source):
        if parsed.kind != "pipe":
            return _from_file(source, parsed.path, parsed.offset if parsed.kind == "ark" else None)
        if not allow_pipes:
            raise AudioError("pipe forbidden", "commands run only with allow_pipes")
        return _from_bytes(source, _command_output(parsed.command))


def open_wave(source: str) -> tuple[LongWave, int]:
    """One recording to embed, of any length: PCM and FLAC files are read where they are sliced.

    Args:
        source: a file or ``file.ark:offset``, as in :func:`read_audio`.

    Returns:
        (the mean of its channels, samples per second as the header has it).

    Raises:
        AudioError: see :class:`AudioError` for the reasons; also when a part that is asked for is damaged.
    """
    recording = open_recording(source)
    if recording.num_samples == 0:
        with about(source):
            raise AudioError("empty", "no samples")

    def fetch(start: int, count: int) -> np.ndarray:
        with about(source):
            return to_mono_16k(_finite(recording.fetch(start, count)), recording.rate, recording.rate)

    return LongWave(recording.num_samples, fetch), recording.rate


def _from_file(source: str, path: str, offset: int | None) -> Recording:
    try:
        with opened(path) as descriptor:
            if is_pipe(descriptor):
                return _from_bytes(source, read_pipe(descriptor), path)
            if offset is None:
                return _recognised(source, path, Span.of_file(descriptor), path)
            if os.pread(descriptor, 4, offset) == b"RIFF":
                header = wav_header(descriptor, offset)
                if header.is_pcm16:
                    return _pcm16(source, path, header)
            return _from_bytes(source, ark_entry(descriptor, offset))
    except AudioError as error:
        if offset is not None and error.reason == "missing file":
            error.detail = f"'{source}' was taken for byte {offset} of an archive {path}"
        raise


def _from_bytes(source: str, data: bytes, name: str = "") -> Recording:
    return _recognised(source, data, Span.of_bytes(data), name)


def _recognised(source: str, place: str | bytes, span: Span, name: str) -> Recording:
    """The recording that is all of ``place``, a file or bytes, in whatever format; ``span`` reads there."""
    if not span.size:
        raise AudioError("empty", "no bytes")
    known, inner = recognise(span, name)
    if known.name in ("WAV", "RF64"):
        header = wav_header_of(inner)
        if header.is_pcm16:
            return _pcm16(source, place, header)
    patch = check_length(known, inner)
    # FFmpeg skips tags itself, and needs them in MP3.
    whole = span if not known.sndfile else inner
    if not patch and not whole.base:
        return _decoded(source, place if isinstance(place, str) else BytesIO(place), known, inner)
    file = BytesIO(whole.take(0, whole.size))
    if patch:
        file.seek(patch[0])
        file.write(patch[1])
    return _decoded(source, file, known, inner)


def _pcm16(source: str, place: str | bytes, header: WavHeader) -> Recording:
    held = len(place) if isinstance(place, bytes) else 0
    fetch = functools.partial(_samples, place, header)
    return Recording(source, header.rate, header.num_samples, fetch, held)


def _samples(place: str | bytes, header: WavHeader, start: int, count: int) -> np.ndarray:
    if isinstance(place, bytes):
        pcm = read_pcm16(place, header, start, count)
    else:
        with opened(place) as descriptor:
            pcm = read_pcm16(descriptor, header, start, count)
    return np.ascontiguousarray(from_pcm16(pcm).T)


def _decoded(source: str, file: str | BytesIO, known: Format, span: Span) -> Recording:
    """A recording that needs a decoder."""
    if not known.sndfile or (known.name == "Ogg" and is_chained(span)):
        return _held(source, *ffmpeg_read(file, known.demuxer))
    try:
        rate, num_samples = sndfile_layout(file)
    except AudioError as error:
        return _held(source, *_second_try(file, known, error))
    if num_samples == UNKNOWN_LENGTH:
        return _held(source, *ffmpeg_read(file, None))
    if known.name == "Ogg" or not isinstance(file, str):
        # Seeking inside Ogg pages is not exact for every stream, and bytes of a command are held anyway.
        return _held(source, *joined(sndfile_blocks(file)))
    return Recording(source, rate, num_samples, functools.partial(sndfile_read, file))


def _second_try(file: str | BytesIO, known: Format, refusal: AudioError) -> tuple[np.ndarray, int]:
    """What libsndfile refuses (FLAC or Speex in Ogg, AAC in CAF …) by FFmpeg."""
    try:
        return ffmpeg_read(file, None)
    except AudioError as error:
        what = f"{known.name} that libsndfile does not read ({refusal.detail}); {error.detail}"
        raise AudioError("unreadable", what) from None


def _held(source: str, wave: np.ndarray, rate: int) -> Recording:
    def fetch(start: int, count: int) -> np.ndarray:
        return wave[:, start : start + count]

    return Recording(source, rate, wave.shape[1], fetch, wave.nbytes)


def _command_output(command: str) -> bytes:
    """Standard output of a shell command line; any failing part of a pipeline counts."""
    shell = ["bash", "-o", "pipefail", "-c", command]
    try:
        done = subprocess.run(shell, stdin=subprocess.DEVNULL, capture_output=True, check=False)
    except OSError as error:
        raise AudioError("pipe failed", f"bash: {error.strerror}") from None
    if done.returncode != 0:
        lines = done.stderr.decode(errors="replace").strip().splitlines()
        last = lines[-1] if lines else "no message"
        raise AudioError("pipe failed", f"exit status {done.returncode}: {last}")
    return done.stdout
