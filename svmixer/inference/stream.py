"""Embeddings of audio that arrives piece by piece, in memory that does not grow with its length."""

from __future__ import annotations

import copy
from collections.abc import Callable

import numpy as np

from svmixer.audio.checks import (
    MOST_CHANNELS,
    Downmix,
    as_channels,
    check_length,
    check_not_empty,
    check_rate,
    lies_samples_first,
)
from svmixer.audio.errors import AudioError
from svmixer.audio.resample import Resampler
from svmixer.errors import SvmixerError
from svmixer.inference.utterance import WINDOWS_AT_ONCE, SpeechSum, unit_length, unit_vector, window_powers
from svmixer.inference.windows import repeat_pad


class EmbeddingStream:
    """A running embedding, and its score against an enrolled one.

    Windows begin every ``hop`` samples; what is left at the end is covered by one more window that ends with
    the audio, and less than one window is repeated to fill it. With ``hop`` of one window that is the
    protocol ``stream`` of :func:`svmixer.inference.windows.utterance_starts`: after all audio has come,
    :meth:`embedding` is what the model gives for the whole of it.

    Args:
        embed_windows: windows ``float32 (W, window)`` → embeddings ``float32 (W, D)``.
        window: samples of a window.
        hop: samples from one window to the next, 1 to ``window``; less than a window costs more and answers
            sooner. None takes one window.
        rate: the model's rate in Hz.
        sample_rate: of the audio that comes; None takes the model's.
        enrolled: embedding ``(D,)`` that :meth:`score` compares with.
        min_samples: at the model's rate; of less audio there is no embedding.
        channel: of the audio that comes, the one to take, from 0; None takes the mean of all.

    Raises:
        AudioError: a sampling rate that no recording has.
        ValueError: ``hop`` out of range.
    """

    def __init__(
        self,
        embed_windows: Callable[[np.ndarray], np.ndarray],
        window: int,
        hop: int | None = None,
        rate: int = 16000,
        sample_rate: int | None = None,
        enrolled: np.ndarray | None = None,
        min_samples: int = 1,
        channel: int | None = None,
    ) -> None:
        self.window, self.hop = window, window if hop is None else hop
        if not 1 <= self.hop <= window:
            raise SvmixerError(f"hop must be 1 to {window} samples, found {self.hop}")
        self.enrolled = None if enrolled is None else unit_vector(enrolled)
        self._embed_windows = embed_windows
        self._rate, self._min_samples = rate, min_samples
        self._downmix = Downmix(channel)
        # Of pieces of several channels: whether they are (n, channels); known from the first one on.
        self._samples_first: bool | None = None
        self._finished = False
        self._resample = Resampler(rate if sample_rate is None else check_rate(sample_rate), rate)
        # The last samples: one window at most, and what has come since.
        self._recent = np.zeros(0, np.float32)
        # Samples that have come, and the first sample of the next window, at the model's rate.
        self._total = self._next = 0
        # Of the unit-length embeddings of all whole windows.
        self._sum = SpeechSum()

    @property
    def windows(self) -> int:
        """Whole windows so far."""
        return self._next // self.hop

    @property
    def num_samples(self) -> int:
        """Samples so far, at the model's rate; resampled audio is some milliseconds behind what came in."""
        return self._total

    def push(self, wave: np.ndarray) -> int:
        """Take the next samples.

        Args:
            wave: samples as :func:`svmixer.audio.checks.as_channels` takes them, of any length.

        Returns:
            Whole windows that these samples completed.

        Raises:
            AudioError: see :mod:`svmixer.audio.checks`; nothing is taken then.
            ValueError: :meth:`finish` was called.
        """
        if self._finished:
            raise SvmixerError("the stream is finished; start another one")
        wave = self._downmix(as_channels(wave, self._orientation(wave)))
        return self._take(self._resample(wave, last=False))

    def _orientation(self, wave: np.ndarray) -> bool | None:
        """Whether a piece is ``(n, channels)``, as the first one was: short pieces do not show it.

        Raises:
            AudioError: ``bad shape``: the first piece is too short to show it.
        """
        shape = np.shape(wave)
        if len(shape) != 2 or min(shape) == 0 or self._samples_first is not None:
            return self._samples_first if len(shape) == 2 else None
        if max(shape) <= MOST_CHANNELS:
            what = f"{shape} does not show which side is that of the channels; begin with a longer piece"
            raise AudioError("bad shape", what)
        self._samples_first = lies_samples_first(shape)
        return self._samples_first

    def finish(self) -> int:
        """Take what the resampler still holds; no samples can follow. Returns the windows it completed."""
        if self._finished:
            return 0
        self._finished = True
        return self._take(self._resample(np.zeros(0, np.float32), last=True))

    def _take(self, wave: np.ndarray) -> int:
        before = self.windows
        most = WINDOWS_AT_ONCE * self.window
        for first in range(0, len(wave), most):
            piece = wave[first : first + most]
            self._recent = np.concatenate([self._recent, piece])
            self._total += len(piece)
            self._advance()
        return self.windows - before

    def _advance(self) -> None:
        """Embed the windows that are whole now, and forget what no window can need."""
        begin = self._total - len(self._recent)
        starts = range(self._next, self._total - self.window + 1, self.hop)
        for first in range(0, len(starts), WINDOWS_AT_ONCE):
            batch = starts[first : first + WINDOWS_AT_ONCE]
            windows = np.stack([self._recent[start - begin : start - begin + self.window] for start in batch])
            embeddings = self._embed_windows(windows)
            for row, power in zip(unit_length(embeddings), window_powers(windows), strict=True):
                self._sum.add(row, float(power))
        self._next += len(starts) * self.hop
        self._recent = self._recent[-self.window :].copy()

    def embedding(self) -> np.ndarray:
        """The embedding ``float32 (D,)``, unit length, of all audio so far.

        Costs one window more where the audio does not end with a whole one.

        Raises:
            AudioError: too little audio so far, or nothing in it.
        """
        check_not_empty(self._total)
        check_length(self._total, self._rate, self._min_samples / self._rate)
        self._downmix.finish(self._rate)
        total = copy.copy(self._sum)
        if self._next == 0 or self._next - self.hop + self.window < self._total:
            last = repeat_pad(self._recent, self.window)[None]
            total.add(unit_length(self._embed_windows(last))[0], float(window_powers(last)[0]))
        return unit_length(total.mean()).astype(np.float32)

    def score(self) -> float:
        """Cosine of the embedding so far with the enrolled one.

        Raises:
            AudioError: see :meth:`embedding`.
            ValueError: nobody is enrolled.
        """
        if self.enrolled is None:
            raise SvmixerError("nobody is enrolled: give the stream an embedding to compare with")
        return float(self.embedding() @ self.enrolled)
