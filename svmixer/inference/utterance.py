"""One embedding for an utterance of any length: what validation, scoring, API and exported model share.

Nothing here needs torch: a model is a function from windows to their embeddings.
"""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any, BinaryIO

import numpy as np

from svmixer.audio import LongWave, is_encoded, open_wave, to_mono_16k
from svmixer.audio.checks import check_rate, one_channel
from svmixer.errors import SvmixerError
from svmixer.inference.windows import EMPTY, Protocol, repeat_pad, utterance_starts

# Windows that go through the model at once, whichever utterances they are of: bounds the memory, and more are
# no faster on a CPU.
WINDOWS_AT_ONCE = 16

# Mean square of a window, 60 dB below full scale, under which it is silence between speech.
SILENT_POWER = 1e-6

EmbedWindows = Callable[[np.ndarray], np.ndarray]
# What an embedding is made of: a file by its name, its bytes or a binary file object; an array or a tensor;
# or what `open_wave` gives.
Recording = str | os.PathLike[str] | bytes | BinaryIO | np.ndarray | LongWave


@dataclass(frozen=True)
class Source:
    """An utterance that is read as its windows are needed."""

    # Its name, for errors; empty in the API, where there is one.
    name: str
    # Samples at the model's rate.
    num_samples: int
    # (first sample, how many) → float32, one channel.
    read: Callable[[int, int], np.ndarray]
    # Called when all windows have been read; raises an AudioError if there was nothing in them.
    finish: Callable[[], None] = lambda: None

    def samples(self, first: int, count: int) -> np.ndarray:
        """What ``read`` gives.

        Raises:
            UtteranceError: samples that are not finite.
        """
        wave = self.read(first, count)
        if not np.isfinite(wave).all():
            raise UtteranceError(self.name, "samples that are not finite (NaN or infinity)")
        return wave


class UtteranceError(SvmixerError):
    """An utterance that has no embedding; the message names it."""

    def __init__(self, name: str, what: object) -> None:
        super().__init__(f"utterance {name}: {what}" if name else str(what))


def one_channel_at(
    wave: Any, sample_rate: int | None, rate: int, channel: int | None = None
) -> np.ndarray | LongWave:
    """One checked channel at ``rate`` Hz of whatever a model's ``embed`` is given.

    Args:
        wave: a file by its name, its bytes or a binary file object; an array as
            :func:`svmixer.audio.checks.as_channels` takes it, at ``sample_rate``; or what
            ``svmixer.audio.open_wave`` gives.
        sample_rate: in Hz; None: ``rate``, and for a file what it says itself.
        rate: wanted, in Hz.
        channel: the one to take, from 0; None: the mean of all.

    Raises:
        AudioError: see :mod:`svmixer.audio.checks`, and for files :mod:`svmixer.audio.read`.
        ValueError: a sampling rate beside a file, or a channel of what is one channel already.
    """
    if isinstance(wave, (str, os.PathLike)) or is_encoded(wave):
        if sample_rate is not None:
            name = "the recording" if is_encoded(wave) else wave
            raise SvmixerError(f"{name}: a file says its sampling rate itself; leave sample_rate out")
        return open_wave(wave, rate, channel)[0]
    rate_in = rate if sample_rate is None else check_rate(sample_rate)
    if isinstance(wave, LongWave):
        if channel is not None:
            raise SvmixerError("channel: open_wave has chosen one already")
        if rate_in == rate:
            return wave
        whole = np.asarray(wave)
        wave.finish()
        wave = whole
    return to_mono_16k(one_channel(wave, rate_in, channel)[None], rate_in, rate)


def wave_source(wave: np.ndarray | LongWave, name: str = "") -> Source:
    """One channel ``(N,)`` at the model's rate as an utterance.

    Raises:
        ValueError: no samples, more than one channel, samples that are not finite; those of a
            :class:`LongWave` are looked at when they are read.
    """
    if not isinstance(wave, LongWave):
        wave = np.asarray(wave, dtype=np.float32)
        if wave.ndim != 1:
            raise SvmixerError(f"expected one channel of samples, found shape {wave.shape}")
        if not np.isfinite(wave).all():
            raise SvmixerError("the waveform has samples that are not finite (NaN or infinity)")
    if wave.shape[0] < 1:
        raise SvmixerError(EMPTY)
    finish = wave.finish if isinstance(wave, LongWave) else lambda: None
    return Source(name, wave.shape[0], lambda first, count: wave[first : first + count], finish)


def unit_length(vectors: np.ndarray) -> np.ndarray:
    """Vectors ``(…, D)`` scaled to length one; zero stays zero."""
    return vectors / np.maximum(np.linalg.norm(vectors, axis=-1, keepdims=True), np.float32(1e-12))


def unit_vector(vector: np.ndarray) -> np.ndarray:
    """One embedding ``(D,)`` scaled to length one.

    Raises:
        ValueError: another shape, zero, or values that are not finite.
    """
    vector = np.asarray(vector, dtype=np.float32)
    if vector.ndim != 1 or not np.isfinite(vector).all() or not vector.any():
        raise SvmixerError(f"expected an embedding (D,), finite and not all zero; found shape {vector.shape}")
    return unit_length(vector)


def embed_utterance(
    embed_windows: EmbedWindows,
    wave: np.ndarray | LongWave,
    window: int,
    protocol: Protocol = "crops",
    num_crops: int = 10,
) -> np.ndarray:
    """The embedding ``float32 (D,)`` of one utterance; see :func:`embed_utterances`.

    Args:
        embed_windows: windows ``float32 (W, window)`` → embeddings ``float32 (W, D)``; gets few at a time.
        wave: one channel ``(N,)`` at the model's rate; of a long :class:`LongWave` a few windows are held.
        window: samples of a window.
        protocol: see :func:`svmixer.inference.windows.utterance_starts`.
        num_crops: windows of the ``crops`` protocol.

    Raises:
        ValueError: empty waveform or other wrong input, see
            :func:`svmixer.inference.windows.utterance_starts`; samples that are not finite.
    """
    sources = [wave_source(wave)]
    ((_, embedding),) = embed_utterances(embed_windows, sources, window, protocol, num_crops)
    return embedding


def embed_utterances(
    embed_windows: EmbedWindows,
    sources: Iterable[Source],
    window: int,
    protocol: Protocol = "crops",
    num_crops: int = 10,
) -> Iterator[tuple[str, np.ndarray]]:
    """(name, embedding ``float32 (D,)``) of each utterance, in the order given.

    All windows have one length, so those of consecutive utterances fill batches of :data:`WINDOWS_AT_ONCE`
    without padding, and nothing is sorted; the last batch holds what is left. Memory is bounded by the
    windows of one batch and the samples of one read, however long and however many the utterances are. A
    batch of another size rounds differently: an embedding differs from that of the utterance alone by some
    1e-7 of its length.

    Raises:
        UtteranceError: no samples, or samples that are not finite.
        ValueError: wrong protocol or number of crops.
    """
    waiting: deque[_Unfinished] = deque()
    batch = np.empty((WINDOWS_AT_ONCE, window), np.float32)
    owners: list[_Unfinished] = []
    for source in sources:
        if source.num_samples < 1:
            raise UtteranceError(source.name, EMPTY)
        starts = utterance_starts(source.num_samples, window, protocol, num_crops)
        waiting.append(_Unfinished(source, len(starts)))
        for wave in source_windows(source, starts, window):
            batch[len(owners)] = wave
            owners.append(waiting[-1])
            if len(owners) == WINDOWS_AT_ONCE:
                _share_out(embed_windows(batch), batch, owners)
                owners.clear()
                while waiting and waiting[0].seen == waiting[0].count:
                    yield waiting.popleft().result(protocol)
    if owners:
        _share_out(embed_windows(batch[: len(owners)]), batch, owners)
    for unfinished in waiting:
        yield unfinished.result(protocol)


def source_windows(source: Source, starts: np.ndarray, window: int) -> Iterator[np.ndarray]:
    """The windows ``(window,)`` of one utterance that begin at ``starts (W,)``.

    Windows that lie close together are read at once, up to :data:`WINDOWS_AT_ONCE` windows of samples.

    Raises:
        UtteranceError: samples that are not finite.
    """
    most = WINDOWS_AT_ONCE * window
    position = 0
    while position < len(starts):
        begin = int(starts[position])
        after = int(np.searchsorted(starts, begin + most - window, side="right"))
        end = min(int(starts[after - 1]) + window, source.num_samples)
        wave = repeat_pad(source.samples(begin, end - begin), window)
        for start in starts[position:after] - begin:
            yield wave[start : start + window]
        position = after


class SpeechSum:
    """The sum of an utterance's window embeddings; double, for it may be of days.

    Windows of silence say nothing about a voice: they count only where there are no others.
    """

    def __init__(self) -> None:
        self.count = self.sounding = 0
        self._total: np.ndarray | float = 0.0
        self._sounding_total: np.ndarray | float = 0.0

    def add(self, embedding: np.ndarray, power: float) -> None:
        """One window: its embedding ``(D,)`` of unit length, and its mean square."""
        row = embedding.astype(np.float64)
        self.count += 1
        self._total = self._total + row
        if power > SILENT_POWER:
            self.sounding += 1
            self._sounding_total = self._sounding_total + row

    def mean(self, all_windows: bool = False) -> np.ndarray:
        """The mean ``float64 (D,)`` over windows with sound, or over all."""
        if self.sounding and not all_windows:
            return np.asarray(self._sounding_total) / self.sounding
        return np.asarray(self._total) / self.count


def window_powers(windows: np.ndarray) -> np.ndarray:
    """Mean squares ``(W,)`` of windows ``(W, window)``."""
    return np.einsum("wn,wn->w", windows, windows) / windows.shape[1]


class _Unfinished:
    """What is known of an utterance so far."""

    def __init__(self, source: Source, count: int) -> None:
        self.source, self.count = source, count
        self.sum = SpeechSum()

    @property
    def seen(self) -> int:
        return self.sum.count

    def result(self, protocol: Protocol) -> tuple[str, np.ndarray]:
        self.source.finish()
        # The paper's protocol takes its crops as they are.
        mean = self.sum.mean(all_windows=protocol == "crops")
        return self.source.name, (mean if protocol == "crops" else unit_length(mean)).astype(np.float32)


def _share_out(embeddings: np.ndarray, batch: np.ndarray, owners: list[_Unfinished]) -> None:
    powers = window_powers(batch[: len(owners)])
    for row, power, owner in zip(unit_length(embeddings), powers, owners, strict=True):
        owner.sum.add(row, float(power))
