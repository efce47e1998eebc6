"""One channel of a recording of any length, read and resampled where it is needed, never as a whole."""

from __future__ import annotations

import math
import os
from collections.abc import Callable
from typing import BinaryIO

import numpy as np
import soxr

from svmixer.audio.checks import Downmix, check_length, check_not_empty, check_rate
from svmixer.audio.errors import AudioError, about
from svmixer.audio.read import Mix, open_recording

Fetch = Callable[[int, int], np.ndarray]

# Seconds on either side of a stretch that its resampled form is computed with: the filter reaches less far.
_MARGIN = 0.05


class LongWave:
    """Samples that are read where they are needed: what a slice asks for, never all.

    Args:
        num_samples: of the recording.
        fetch: (first sample, count) → ``float32 (count,)``.
        finish: called when all that is wanted has been read; raises an AudioError if there was nothing in it.
        differing: whether channels were mixed that hold different sounds, by what has been read.
    """

    ndim = 1

    def __init__(
        self,
        num_samples: int,
        fetch: Fetch,
        finish: Callable[[], None] = lambda: None,
        differing: Callable[[], bool] = lambda: False,
    ) -> None:
        self.shape = (num_samples,)
        self._fetch = fetch
        self.finish, self.differing = finish, differing

    def __getitem__(self, part: slice) -> np.ndarray:
        start, stop, _ = part.indices(self.shape[0])
        return self._fetch(start, stop - start)

    def __array__(self, dtype: object = None, copy: bool | None = None) -> np.ndarray:
        return np.asarray(self[:], dtype)


def resampled(num_samples: int, fetch: Fetch, rate: int, rate_out: int) -> tuple[int, Fetch]:
    """A recording at another rate: its number of samples and a function that reads them.

    Every stretch is resampled (soxr, high quality) with a margin, so that it is what the whole would give.

    Args:
        num_samples: at ``rate``.
        fetch: (first sample, count) → ``float32 (count,)`` at ``rate``.
        rate: in Hz.
        rate_out: in Hz.

    Raises:
        AudioError: ``bad rate``.
    """
    check_rate(rate)
    if rate == rate_out:
        return num_samples, fetch
    divisor = math.gcd(rate, rate_out)
    # So many samples at both rates take the same time: stretches begin at multiples of it.
    unit, unit_out = rate // divisor, rate_out // divisor
    margin = math.ceil(_MARGIN * rate / unit)
    # soxr's own rounding, half up.
    total = (2 * num_samples * rate_out + rate) // (2 * rate)

    def fetch_out(start: int, count: int) -> np.ndarray:
        first = max(0, start // unit_out - margin)
        last = math.ceil((start + count) / unit_out) + margin
        piece = fetch(first * unit, min(last * unit, num_samples) - first * unit)
        found = soxr.resample(piece, rate, rate_out, quality="HQ")[start - first * unit_out :][:count]
        return np.ascontiguousarray(found)

    return total, fetch_out


def open_wave(
    source: str | os.PathLike[str] | bytes | BinaryIO, rate: int | None = None, channel: int | None = None
) -> tuple[LongWave, int]:
    """One recording to embed, of any length: what can be sought exactly is read where it is sliced.

    Args:
        source: a file or ``file.ark:offset``, as in :func:`read_audio`, ``-`` being standard input; or the
            bytes of a file, or a binary file object, which is read to its end from where it is.
        rate: wanted, in Hz; None: that of the recording.
        channel: the one to take, from 0, of recordings with several; None: the mean of all.

    Returns:
        (one channel, its samples per second).

    Raises:
        AudioError: see :class:`AudioError` for the reasons; also when a part that is asked for is damaged, or
            at the end for a recording in which nothing was found.
    """
    source, data = _name_and_bytes(source)
    rate = None if rate is None else check_rate(rate)
    downmix = Downmix(channel, source, only=True)
    recording = open_recording(source, mix=Mix(downmix, rate), named_file=True, data=data)
    with about(source):
        check_not_empty(recording.num_samples)
        check_length(recording.num_samples, check_rate(recording.rate))

    def fetch(start: int, count: int) -> np.ndarray:
        with about(source):
            piece = recording.fetch(start, count)
            return piece[0] if recording.mixed else downmix(piece)

    def finish() -> None:
        with about(source):
            downmix.finish(recording.rate, recording.num_samples)

    rate = rate or recording.rate
    size, read = resampled(recording.num_samples, fetch, recording.rate, rate)
    return LongWave(size, read, finish, lambda: downmix.differing), rate


def is_encoded(recording: object) -> bool:
    """Whether it is a file as bytes or a file object, not samples or a name."""
    return isinstance(recording, (bytes, bytearray, memoryview)) or hasattr(recording, "read")


def _name_and_bytes(source: str | os.PathLike[str] | bytes | BinaryIO) -> tuple[str, bytes | None]:
    """What errors call a recording, and its bytes if it is not a file of that name.

    Raises:
        AudioError: a file object of text.
    """
    if not is_encoded(source):
        return os.fspath(source), None  # type: ignore[arg-type]
    name = str(getattr(source, "name", "<bytes>"))
    data = source.read() if hasattr(source, "read") else source
    if not isinstance(data, (bytes, bytearray, memoryview)):
        raise AudioError("bad type", "a file object of text; open it in binary mode ('rb')", name)
    return name, bytes(data)
