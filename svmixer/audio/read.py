"""Reading what a ``wav.scp`` names: files of any format, entries of archives, and the output of commands."""

from __future__ import annotations

import dataclasses
import functools
import os
import subprocess
from collections.abc import Callable
from io import BytesIO

import numpy as np

from svmixer.audio.ark import WavHeader, ark_entry, opened, read_pcm16, wav_header
from svmixer.audio.decode import UNKNOWN_LENGTH, decoder_of, ffmpeg_read, sndfile_layout, sndfile_read
from svmixer.audio.errors import AudioError, about
from svmixer.audio.gate import Downmix, check_length, check_not_empty, check_rate, check_samples, pick_channel
from svmixer.audio.long_wave import LongWave, resampled
from svmixer.audio.resample import Resampler, from_pcm16
from svmixer.lists import parse_source
from svmixer.log import get_logger

logger = get_logger(__name__)

# A segment may end this much after its recording: lists are written from rounded times.
_OVERSHOOT = 0.5  # seconds
# What is held of a recording while it is mixed down and resampled.
_BLOCK_SECONDS = 30


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

    def read(self, start: float = 0.0, end: float = -1.0, channel: int | None = None) -> np.ndarray:
        """The samples from ``start`` to ``end`` seconds (−1: to the end) as np.float32 [C, N].

        With ``channel``, counted from 0, only those of that channel, [1, N].

        Times are rounded to the nearest sample, so pieces that share a boundary join without gap or overlap.

        Raises:
            AudioError: ``empty``, ``bad segment`` (nothing in it, or more than 0.5 s outside the recording),
                ``no such channel``, ``non-finite``, ``unreadable``.
        """
        with about(self.source):
            return self._checked_piece(start, end, channel)

    def _checked_piece(self, start: float, end: float, channel: int | None) -> np.ndarray:
        first, last = self._span(start, end)
        return check_samples(pick_channel(self.fetch(first, last - first), channel))

    def _span(self, start: float, end: float) -> tuple[int, int]:
        """First sample of a piece and the one behind its last."""
        check_not_empty(self.num_samples)
        length = self.num_samples / self.rate
        first = last = 0
        # Compared before they are multiplied: times may be as large as floating point goes.
        if start <= length and end <= length + _OVERSHOOT:
            first = round(start * self.rate)
            last = self.num_samples if end < 0 else min(round(end * self.rate), self.num_samples)
        if first < 0 or first >= last:
            raise AudioError("bad segment", f"{start:g} to {end:g} s of a recording of {length:g} s")
        return first, last

    def one_channel(self, start: float, end: float, channel: int | None, rate: int) -> np.ndarray:
        """A piece as np.float32 [N] at ``rate`` Hz: the mean of its channels, or channel ``channel``.

        It is mixed down and resampled while it is read.

        Raises:
            AudioError: as :meth:`read`; also ``bad rate``, and ``all-zero`` for channels that cancel.
        """
        with about(self.source):
            first, last = self._span(start, end)
            downmix, resample = Downmix(channel), Resampler(self.rate, rate)
            block = _BLOCK_SECONDS * self.rate
            pieces = [
                resample(downmix(self.fetch(begin, min(block, last - begin))), last=begin + block >= last)
                for begin in range(first, last, block)
            ]
            downmix.check_cancelled()
            return np.concatenate(pieces)


def read_audio(
    source: str, *, allow_pipes: bool = False, start: float = 0.0, end: float = -1.0
) -> tuple[np.ndarray, int]:
    """Read one recording, or a piece of it.

    Args:
        source: what a ``wav.scp`` line holds after its key: a file (WAV of any width, FLAC, Ogg, SPHERE,
            AIFF, AU, MP3, M4A …, recognised by content; headerless G.722 and GSM by ``.g722`` and ``.gsm``),
            ``file.ark:offset``, or ``command |``.
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
    parsed = parse_source(source)
    with about(source):
        if parsed.kind != "pipe":
            return _from_file(source, parsed.path, parsed.offset if parsed.kind == "ark" else None)
        if not allow_pipes:
            raise AudioError("pipe forbidden", "commands run only with allow_pipes")
        return _from_bytes(source, _command_output(parsed.command))


def open_wave(source: str, rate: int | None = None, channel: int | None = None) -> tuple[LongWave, int]:
    """One recording to embed, of any length: what can be sought exactly is read where it is sliced.

    Args:
        source: a file or ``file.ark:offset``, as in :func:`read_audio`.
        rate: wanted, in Hz; None: that of the recording.
        channel: the one to take, from 0; None: the mean of all.

    Returns:
        (one channel, its samples per second).

    Raises:
        AudioError: see :class:`AudioError` for the reasons; also when a part that is asked for is damaged, or
            at the end for a recording in which nothing was found.
    """
    recording = open_recording(source)
    downmix = Downmix(channel)
    with about(source):
        check_not_empty(recording.num_samples)
        check_length(recording.num_samples, check_rate(recording.rate))

    def fetch(start: int, count: int) -> np.ndarray:
        with about(source):
            return downmix(recording.fetch(start, count))

    def finish() -> None:
        with about(source):
            downmix.finish(recording.rate)
        if downmix.differing:
            logger.warning(
                "%s: its channels hold different sounds, which are mixed; choose a channel", source
            )

    rate = rate or recording.rate
    return LongWave(*resampled(recording.num_samples, fetch, recording.rate, rate), finish), rate


def _from_file(source: str, path: str, offset: int | None) -> Recording:
    with opened(path) as descriptor:
        head = os.pread(descriptor, 16, offset or 0)
        if head[:4] == b"RIFF":
            header = wav_header(descriptor, offset or 0)
            if header.is_pcm16:
                fetch = functools.partial(_pcm16, path, header)
                return Recording(source, header.rate, header.num_samples, fetch)
        if offset is not None:
            return _from_bytes(source, ark_entry(descriptor, offset))
    return _decoded(source, path, head)


def _pcm16(path: str, header: WavHeader, start: int, count: int) -> np.ndarray:
    with opened(path) as descriptor:
        return np.ascontiguousarray(from_pcm16(read_pcm16(descriptor, header, start, count)).T)


def _from_bytes(source: str, data: bytes) -> Recording:
    return _decoded(source, BytesIO(data), data[:16])


def _decoded(source: str, file: str | BytesIO, head: bytes) -> Recording:
    """A recording in any format but 16-bit WAV on disk; ``head`` is how ``file`` begins."""
    if not head:
        raise AudioError("empty", "no bytes")
    decoder = decoder_of(head, file if isinstance(file, str) else "")
    if decoder != "sndfile":
        return _held(source, *ffmpeg_read(file, None if decoder == "ffmpeg" else decoder))
    rate, num_samples = sndfile_layout(file)
    if num_samples == UNKNOWN_LENGTH:
        return _held(source, *ffmpeg_read(file, None))
    if head[:4] == b"OggS" or not isinstance(file, str):
        # Seeking inside Ogg pages is not exact for every stream, and bytes of a command are held anyway.
        return _held(source, sndfile_read(file, 0, num_samples), rate)
    return Recording(source, rate, num_samples, functools.partial(sndfile_read, file))


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
