"""The samples of an utterance from pieces of recordings, or the length of one that stays as it is."""

from __future__ import annotations

import os
from collections import OrderedDict
from pathlib import Path

import numpy as np

from svmixer.audio.ark import is_pipe, opened, wav_header
from svmixer.audio.checks import NO_CHANNEL, Downmix, check_length, check_not_empty, silence
from svmixer.audio.dumpset import RATE
from svmixer.audio.errors import AudioError, about
from svmixer.audio.formats import HEAD_BYTES, Span, recognise
from svmixer.audio.read import Mix, Recording, open_recording
from svmixer.audio.resample import to_pcm16
from svmixer.audio.share import NamedChannel, SourcePiece, Utterance
from svmixer.audio.speech import trim_silence
from svmixer.lists import ListError, find_source

OVERSHOOT = 1.5  # times full scale
_CACHE_BYTES = 256 << 20
_CACHE_ENTRIES = 16


class RecordingCache:
    """The last few recordings: utterances cut from one in a row decode it once. Memory is bounded."""

    def __init__(self, allow_pipes: bool):
        self._allow_pipes = allow_pipes
        self._entries: OrderedDict[str, Recording | AudioError] = OrderedDict()

    def open(self, source: str) -> Recording:
        """As :func:`open_recording`; a source that failed fails again without another try."""
        entry = self._entries.pop(source, None)
        if entry is None:
            try:
                entry = open_recording(source, allow_pipes=self._allow_pipes)
            except AudioError as error:
                entry = error
        self._entries[source] = entry
        while len(self._entries) > 1 and (len(self._entries) > _CACHE_ENTRIES or self._held() > _CACHE_BYTES):
            self._entries.popitem(last=False)
        if isinstance(entry, AudioError):
            raise entry
        return entry

    def one_channel(self, piece: SourcePiece, channel: int | None) -> np.ndarray:
        """A piece as np.float32 (N,) at 16 kHz: the mean of its channels, or the one that is named.

        A whole recording is not kept for others, nor held in more than one channel.
        """
        if (piece.start, piece.end) != (0.0, -1.0):
            return self.open(piece.source).one_channel(piece.start, piece.end, channel, RATE)
        mix = Mix(Downmix(channel, piece.source), RATE)
        recording = open_recording(piece.source, allow_pipes=self._allow_pipes, mix=mix)
        if not recording.mixed:
            return recording.one_channel(0.0, -1.0, channel, RATE)
        with about(piece.source):
            check_not_empty(recording.num_samples)
            mix.downmix.check_cancelled()
        return recording.fetch(0, recording.num_samples)[0]

    def _held(self) -> int:
        return sum(entry.held_bytes for entry in self._entries.values() if isinstance(entry, Recording))


def utterance_pcm(
    utterance: Utterance, cache: RecordingCache, *, trim: bool, min_seconds: float
) -> np.ndarray:
    """The pieces of an utterance at 16 kHz, each trimmed if asked, joined: np.int16 (N,).

    Raises:
        AudioError: a piece cannot be read, or the whole is too short or all zero.
        ListError: a list names a channel that the recording does not have.
    """
    wave = np.concatenate([_piece_wave(piece, cache, trim, utterance.name) for piece in utterance.pieces])
    check_length(len(wave), RATE, min_seconds)
    peak = max(float(wave.max()), -float(wave.min()))
    # Decoders and resampling overshoot full scale a little, which is cut off. What floating point holds
    # further above it is brought down as a whole.
    pcm = to_pcm16(wave / peak if peak > OVERSHOOT else wave)
    if not pcm.any():
        raise AudioError("all-zero", silence(len(pcm), RATE))
    return pcm


def _piece_wave(piece: SourcePiece, cache: RecordingCache, trim: bool, utterance: str) -> np.ndarray:
    wave = _read_channel(piece, cache, utterance)
    if trim:
        start, end = trim_silence(wave, RATE)
        wave = wave[start:end]
    return wave


def _read_channel(piece: SourcePiece, cache: RecordingCache, utterance: str) -> np.ndarray:
    """The piece in the channel that its list names, if it names one."""
    try:
        return cache.one_channel(piece, piece.channel and piece.channel.index)
    except AudioError as error:
        if error.reason != NO_CHANNEL:
            raise
        missing = error
    if piece.channel.taken and len(cache.open(piece.source).fetch(0, 1)) == 1:
        return cache.one_channel(piece, None)
    # Not one utterance dropped: lists that count from 1 would give the others the wrong speaker's channel.
    raise channel_error(piece.channel, utterance, f"{missing.what} ({piece.source})")


def channel_error(named: NamedChannel, utterance: str, what: str, repair: str | None = None) -> ListError:
    """What is wrong with a channel that a list names, with that line of it, which may be the recording's."""
    return ListError(f"utterance {utterance}: {what}", path=named.path, line=named.line, repair=repair)


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
