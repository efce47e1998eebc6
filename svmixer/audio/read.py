"""Reading what a ``wav.scp`` names: files of any format, entries of archives, and the output of commands."""

from __future__ import annotations

import dataclasses
import functools
import itertools
import os
import subprocess
from collections.abc import Callable, Iterable, Iterator
from io import BytesIO

import numpy as np

from svmixer.audio.ark import ark_entry, is_pipe, opened, read_pcm16, read_pipe, wav_header
from svmixer.audio.checks import Downmix, check_not_empty, check_samples, pick_channel
from svmixer.audio.decode import (
    UNKNOWN_LENGTH,
    ffmpeg_blocks,
    joined,
    sndfile_blocks,
    sndfile_layout,
    sndfile_read,
)
from svmixer.audio.errors import AudioError, about
from svmixer.audio.formats import Format, Span, recognise
from svmixer.audio.lengths import check_complete, ogg_links
from svmixer.audio.resample import Resampler, from_pcm16
from svmixer.audio.standard_input import STANDARD_INPUT, read_standard_input
from svmixer.audio.wav import WavHeader, wav_header_of
from svmixer.lists import find_source
from svmixer.lists.source import Source
from svmixer.log import get_logger

logger = get_logger(__name__)

# A segment may end this much after its recording: lists are written from rounded times.
_OVERSHOOT = 0.5  # seconds
# The longest packet of Opus: positions in its pages are no more exact than that where streams were cut.
_OPUS_PACKET = 0.12  # seconds
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
    fetch: Callable[[int, int], np.ndarray]  # (first sample, count) → np.float32 (C, count)
    held_bytes: int = 0  # memory that keeping this object costs
    mixed: bool = False  # has gone through a Mix

    def read(self, start: float = 0.0, end: float = -1.0, channel: int | None = None) -> np.ndarray:
        """The samples from ``start`` to ``end`` seconds (−1: to the end) as np.float32 (C, N).

        With ``channel``, counted from 0, only those of that channel, (1, N).

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
        """A piece as np.float32 (N,) at ``rate`` Hz: the mean of its channels, or channel ``channel``.

        It is mixed down and resampled while it is read.

        Raises:
            AudioError: as :meth:`read`; also ``bad rate``, and ``all-zero`` for channels that cancel.
        """
        with about(self.source):
            first, last = self._span(start, end)
            downmix, resample = Downmix(channel, self.source), Resampler(self.rate, rate)
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
        source: what a ``wav.scp`` line holds after its key: a file or named pipe (WAV of any width, FLAC,
            Ogg, SPHERE, MP3, M4A …, see :mod:`svmixer.audio.formats`, recognised by content; headerless
            G.722 and GSM by ``.g722`` and ``.gsm``), ``file.ark:offset``, or ``command |``.
        allow_pipes: run commands (through bash with pipefail); never do so on lists you did not make.
        start: seconds.
        end: seconds; −1 reads to the end.

    Returns:
        (np.float32 (C, N) with integer formats scaled to −1…1, samples per second as the header has it).

    Raises:
        AudioError: see :class:`AudioError` for the reasons.
        ListError: ``source`` is nothing that a ``wav.scp`` may hold.
    """
    recording = open_recording(source, allow_pipes=allow_pipes)
    return recording.read(start, end), recording.rate


@dataclasses.dataclass(frozen=True)
class Mix:
    """How a recording that has to be decoded as a whole becomes one channel at one rate on the way."""

    downmix: Downmix
    rate: int | None  # Hz; None: the recording's own

    def __call__(self, blocks: Iterable[tuple[np.ndarray, int]]) -> Iterator[tuple[np.ndarray, int]]:
        """Blocks ((C, n), their rate) → blocks ((1, m), the rate wanted)."""
        resample, rate_out = None, 0
        for block, rate in blocks:
            rate_out = self.rate or rate
            resample = resample or Resampler(rate, rate_out)
            yield resample(self.downmix(block), last=False)[None], rate_out
        if resample:
            yield resample(np.zeros(0, np.float32), last=True)[None], rate_out


def open_recording(
    source: str,
    *,
    allow_pipes: bool = False,
    mix: Mix | None = None,
    named_file: bool = False,
    data: bytes | None = None,
) -> Recording:
    """Open what a ``wav.scp`` names; arguments and errors as in :func:`read_audio`.

    With ``mix`` what is decoded as a whole is held in that form; :attr:`Recording.mixed` says so. With
    ``named_file`` the name of a file that is there is just that, whatever it would be in a ``wav.scp``, and
    ``-`` is standard input. ``data`` are the bytes of a file that ``source`` is the name of for errors alone.
    """
    with about(source):
        if data is None and named_file and source == STANDARD_INPUT:
            data = read_standard_input()
        if data is not None:
            return _from_bytes(source, data, mix=mix)
    parsed = Source("file", path=source) if named_file and os.path.exists(source) else find_source(source)
    with about(source):
        if parsed.kind != "pipe":
            return _from_file(source, parsed.path, parsed.offset if parsed.kind == "ark" else None, mix)
        if not allow_pipes:
            raise AudioError("pipe forbidden", "commands run only with allow_pipes")
        return _from_bytes(source, _command_output(parsed.command), mix=mix)


def _from_file(source: str, path: str, offset: int | None, mix: Mix | None) -> Recording:
    try:
        with opened(path) as descriptor:
            if is_pipe(descriptor):
                return _from_bytes(source, read_pipe(descriptor), path, mix)
            if offset is None:
                return _recognised(source, path, Span.of_file(descriptor), path, mix)
            if os.pread(descriptor, 4, offset) == b"RIFF":
                header = wav_header(descriptor, offset)
                if header.is_pcm16:
                    return _pcm16(source, path, header)
            return _from_bytes(source, ark_entry(descriptor, offset), mix=mix)
    except AudioError as error:
        if offset is not None and error.reason == "missing file":
            error.detail = f"'{source}' was taken for byte {offset} of an archive {path}"
        raise


def _from_bytes(source: str, data: bytes, name: str = "", mix: Mix | None = None) -> Recording:
    return _recognised(source, data, Span.of_bytes(data), name, mix)


def _recognised(source: str, place: str | bytes, span: Span, name: str, mix: Mix | None) -> Recording:
    """The recording that is all of ``place``, a file or bytes, in whatever format; ``span`` reads there."""
    if not span.size:
        raise AudioError("empty", "no bytes")
    known, inner = recognise(span, name)
    if known.name in ("WAV", "RF64"):
        header = wav_header_of(inner)
        if header.is_pcm16:
            return _pcm16(source, place, header)
    patch = check_complete(known, inner)
    # FFmpeg skips tags itself, and needs them in MP3.
    whole = span if not known.sndfile else inner
    if not patch and not whole.base:
        return _decoded(source, place if isinstance(place, str) else BytesIO(place), known, inner, mix)
    file = BytesIO(whole.take(0, whole.size))
    if patch:
        file.seek(patch[0])
        file.write(patch[1])
    return _decoded(source, file, known, inner, mix)


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


def _decoded(source: str, file: str | BytesIO, known: Format, span: Span, mix: Mix | None) -> Recording:
    """A recording that needs a decoder."""
    if not known.sndfile:
        return _held(source, ffmpeg_blocks(file, known.demuxer), mix)
    if known.name == "Ogg" and len(links := ogg_links(span)) > 1:
        return _held(source, _linked(source, span, links, known), mix)
    try:
        rate, num_samples = sndfile_layout(file)
    except AudioError as error:
        return _held(source, _second_try(file, known, error), mix)
    if num_samples == UNKNOWN_LENGTH:
        return _held(source, ffmpeg_blocks(file, None), mix)
    if known.name == "Ogg":
        # Seeking inside Ogg pages is not exact for every stream.
        return _held_ogg(source, file, known, num_samples / rate, mix)
    if not isinstance(file, str):
        # Bytes of a command are held anyway.
        return _held(source, sndfile_blocks(file), mix)
    return Recording(source, rate, num_samples, functools.partial(sndfile_read, file))


def _held_ogg(source: str, file: str | BytesIO, known: Format, seconds: float, mix: Mix | None) -> Recording:
    """An Ogg recording that promises to have that many seconds.

    libsndfile does not go on, or promises more than there is, where the positions in the pages of Opus are
    off by some samples: programs write such that cut or copy streams. FFmpeg does not mind, but it passes
    over damage as well, so it must find all that is promised.
    """
    try:
        return _held(source, sndfile_blocks(file), mix)
    except AudioError as error:
        found = _held(source, _second_try(file, known, error), mix)
        if found.num_samples / found.rate < seconds - _OPUS_PACKET:
            raise error from None
        return found


def _second_try(file: str | BytesIO, known: Format, refusal: AudioError) -> Iterator[tuple[np.ndarray, int]]:
    """What libsndfile refuses (FLAC or Speex in Ogg, AAC in CAF …) by FFmpeg."""
    try:
        yield from ffmpeg_blocks(file, None)
    except AudioError as error:
        what = f"{known.name} that libsndfile does not read ({refusal.detail}); {error.detail}"
        raise AudioError("unreadable", what) from None


def _linked(source: str, span: Span, links: list[int], known: Format) -> Iterator[tuple[np.ndarray, int]]:
    """Recordings that begin at ``links``, one after the other: libsndfile reads the first of them alone.

    One with another number of channels or rate cannot be joined: it is left out with what follows, and a
    warning.
    """
    layout = None
    for begin, end in itertools.pairwise([*links, span.size]):
        file = BytesIO(span.take(begin, end - begin))
        try:
            sndfile_layout(file)
            blocks = sndfile_blocks(file)
        except AudioError as error:
            blocks = _second_try(file, known, error)
        for block, rate in blocks:
            layout = layout or (len(block), rate)
            if (len(block), rate) != layout:
                what = "%s: %d channels at %d Hz become %d at %d Hz after byte %d; the rest is left out"
                logger.warning(what, source, *layout, len(block), rate, begin)
                return
            yield block, rate


def _held(source: str, blocks: Iterator[tuple[np.ndarray, int]], mix: Mix | None) -> Recording:
    wave, rate = joined(mix(blocks) if mix else blocks)

    def fetch(start: int, count: int) -> np.ndarray:
        return wave[:, start : start + count]

    return Recording(source, rate, wave.shape[1], fetch, wave.nbytes, mixed=mix is not None)


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
