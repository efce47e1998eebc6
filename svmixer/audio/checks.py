"""The checks that all audio passes on its way to a model or a dump, whoever hands it in.

What is wrong is an :class:`AudioError` with the same words everywhere: shape, type, rate, values that are not
finite, level, length, silence, channels. Files are checked while they are read (svmixer/audio/read.py).
"""

from __future__ import annotations

from typing import Any

import numpy as np

from svmixer.audio.errors import AudioError
from svmixer.log import get_logger

logger = get_logger(__name__)

# Shorter than a word.
MIN_SECONDS = 0.3
# A damaged header may claim any rate. At 1 Hz a megabyte would become sixteen gigabytes.
LOWEST_RATE, HIGHEST_RATE = 1000, 1_000_000
# 48 dB above full scale: more than overloaded recordings reach that are decoded to floating point (60 times
# full scale was seen), less than integers of 16 bits that were stored as such.
HIGHEST_SAMPLE = 256.0
# An array with more rows is a batch of recordings rather than one with so many channels.
MOST_CHANNELS = 8
# Share of the channels' power below which their mean has lost what they hold.
CANCELLED = 0.01
# A channel with less than this share of the strongest one's power is not in use.
UNUSED = 0.01

# Nothing is recorded so softly with 32 bits: 16 or 24 bits were put into them as they were.
NARROW_INTEGERS = 2.0**-8
NO_CHANNEL = "no such channel"

# Integer type → (value of silence, distance to full scale).
_INTEGERS = {
    "int8": (0, 2.0**7), "int16": (0, 2.0**15), "int32": (0, 2.0**31),
    "uint8": (2**7, 2.0**7), "uint16": (2**15, 2.0**15),
}  # fmt: skip


def check_rate(rate: Any) -> int:
    """``rate`` in Hz as a whole number.

    Raises:
        AudioError: ``bad rate``: no number, not whole, or none that a recording has.
    """
    try:
        whole = int(rate)
    except (TypeError, ValueError, OverflowError):
        raise AudioError("bad rate", f"expected a sampling rate in Hz, found {rate!r}") from None
    if isinstance(rate, (bool, str)) or whole != rate or not LOWEST_RATE <= whole <= HIGHEST_RATE:
        raise AudioError("bad rate", f"sampling rate {rate}, expected {LOWEST_RATE} to {HIGHEST_RATE} Hz")
    return whole


def as_channels(wave: Any, samples_first: bool | None = None) -> np.ndarray:
    """An array of samples as ``float32 (C, N)``; integers are scaled by their range to −1…1.

    Args:
        wave: array, list or tensor: ``(N,)``, ``(channels, N)`` as torchaudio has it, or ``(N, channels)`` as
            soundfile has it.
        samples_first: which of the two it is; None: the shorter side is that of the channels.

    Raises:
        AudioError: ``bad shape``, ``bad type``, ``non-finite`` or ``over full scale``.
    """
    array = _as_array(wave)
    if array.ndim == 2 and samples_first is None:
        samples_first = lies_samples_first(array.shape)
    if array.ndim not in (1, 2) or (array.ndim == 2 and array.shape[bool(samples_first)] > MOST_CHANNELS):
        what = f"expected (N,), (channels, N) or (N, channels) with up to {MOST_CHANNELS} channels"
        raise AudioError("bad shape", f"{what}, found {array.shape}")
    array = _as_floats(array.T if array.ndim == 2 and samples_first else array)
    return check_samples(np.atleast_2d(array))


def lies_samples_first(shape: tuple[int, int]) -> bool:
    """Whether an array is ``(N, channels)``: the longer side, or an empty one, is that of the samples."""
    first, second = shape
    return first > second > 0 or first == 0


def _as_array(wave: Any) -> np.ndarray:
    if hasattr(wave, "detach") and hasattr(wave, "cpu"):
        wave = wave.detach().cpu()
        wave = wave.float().numpy() if wave.is_floating_point() else wave.numpy()
    if isinstance(wave, (bytes, bytearray, memoryview)) or hasattr(wave, "read"):
        found = type(wave).__name__
        raise AudioError(
            "bad type", f"expected samples or the name of a file, found an object of type {found}"
        )
    try:
        return np.asarray(wave)
    except (TypeError, ValueError) as error:
        raise AudioError("bad type", f"expected an array of samples: {error}") from None


def _as_floats(array: np.ndarray) -> np.ndarray:
    if array.dtype.kind == "f":
        with np.errstate(over="ignore"):  # what is too large becomes infinite, which is refused
            return array.astype(np.float32, copy=False)
    if array.dtype.name not in _INTEGERS:
        what = "expected floats in -1…1 or integers of 8, 16 or 32 bits, which are scaled by their range"
        raise AudioError("bad type", f"{what}; found {array.dtype}")
    zero, scale = _INTEGERS[array.dtype.name]
    return ((array.astype(np.float64) - zero) / scale).astype(np.float32)


def check_samples(wave: np.ndarray) -> np.ndarray:
    """``wave``, any shape, if all its samples can be used.

    Raises:
        AudioError: ``non-finite``, or ``over full scale``: far outside −1…1.
    """
    peak = max(float(wave.max(initial=0.0)), -float(wave.min(initial=0.0)))
    if not np.isfinite(peak):
        bad = np.count_nonzero(~np.isfinite(wave))
        raise AudioError("non-finite", f"{bad} of {wave.size} samples are NaN or infinite")
    if peak > HIGHEST_SAMPLE:
        what = (
            f"samples of up to {peak:g} where full scale is 1; were they integers? Divide by their full scale"
        )
        raise AudioError("over full scale", what)
    return wave


def check_not_empty(num_samples: int) -> None:
    """Refuse a recording without samples.

    Raises:
        AudioError: ``empty``.
    """
    if num_samples == 0:
        raise AudioError("empty", "no samples")


def check_length(num_samples: int, rate: int, min_seconds: float = MIN_SECONDS) -> None:
    """Refuse what is too short to tell a voice.

    Raises:
        AudioError: ``too short``.
    """
    if num_samples < max(1, round(min_seconds * rate)):
        raise AudioError("too short", f"{num_samples / rate:.4g} s, less than {min_seconds:g} s")


DIFFERING = "its channels hold different sounds, which are mixed; choose a channel"


class Downmix:
    """Pieces of one recording → its one channel, and whether there was anything in it.

    Args:
        channel: the one to take, from 0; None takes the mean of all.
        name: of the recording, for the warning about channels that differ.
        only: a recording of one channel is taken as it is, whatever ``channel`` says.

    Raises:
        AudioError: ``no such channel``: not a number from 0.
    """

    def __init__(self, channel: int | None = None, name: str = "", only: bool = False) -> None:
        if channel is not None and (isinstance(channel, bool) or not isinstance(channel, (int, np.integer))):
            raise AudioError(NO_CHANNEL, f"expected a number from 0, found {channel!r}")
        self.channel, self.name = channel, name
        self._only = only
        self._warned = False
        self._samples = 0
        self._mean_power = 0.0
        self._powers: np.ndarray | float = 0.0

    def __call__(self, wave: np.ndarray) -> np.ndarray:
        """One piece ``float32 (C, n)`` → ``float32 (n,)``.

        Raises:
            AudioError: ``no such channel``, or see :func:`check_samples`.
        """
        channel = None if self._only and len(wave) == 1 else self.channel
        wave = pick_channel(check_samples(wave), channel)
        if np.ndim(self._powers) and len(wave) != len(self._powers):
            raise AudioError("bad shape", f"{len(wave)} channels, and {len(self._powers)} before")
        mono = wave[0] if len(wave) == 1 else wave.mean(axis=0, dtype=np.float32)
        self._samples += len(mono)
        self._mean_power += float(np.dot(mono, mono))
        self._powers = self._powers + np.einsum("cn,cn->c", wave, wave).astype(np.float64)
        return np.ascontiguousarray(mono, dtype=np.float32)

    @property
    def differing(self) -> bool:
        """Whether channels in use hold different sounds, as of the two ends of a telephone line."""
        powers = np.atleast_1d(self._powers)
        used = np.count_nonzero(powers > UNUSED * powers.max())
        return bool(used > 1 and self._mean_power < (1 + 1 / used) / 2 * powers.mean())

    def finish(self, rate: int, num_samples: int | None = None) -> None:
        """Judge all pieces together, which may overlap or leave parts out.

        Args:
            rate: samples a second.
            num_samples: of the recording; None: of all the pieces.

        Raises:
            AudioError: ``all-zero``: digital silence, or see :meth:`check_cancelled`.
        """
        if not np.any(self._powers):
            raise AudioError("all-zero", silence(num_samples or self._samples, rate))
        self.check_cancelled()

    def check_cancelled(self) -> None:
        """Refuse channels that cancel each other in their mean; warn of those that hold different sounds.

        Raises:
            AudioError: ``all-zero``.
        """
        powers = np.atleast_1d(self._powers)
        if self._mean_power < CANCELLED * powers.mean():
            what = (
                f"the mean of the {len(powers)} channels is silent, they cancel each other (opposite phase)"
            )
            raise AudioError("all-zero", f"{what}; take one of them: channel 0 to {len(powers) - 1}")
        if self.differing and not self._warned:
            self._warned = True
            logger.warning("%s%s", f"{self.name}: " if self.name else "", DIFFERING)


def silence(num_samples: int, rate: int) -> str:
    """The words for samples that are all zero."""
    return f"{num_samples / rate:.2f} s of digital silence"


def pick_channel(wave: np.ndarray, channel: int | None) -> np.ndarray:
    """Channel ``channel`` (from 0) of ``(C, N)`` as ``(1, N)``; all of them for None.

    Raises:
        AudioError: ``no such channel``.
    """
    if channel is None:
        return wave
    if not 0 <= channel < len(wave):
        count = "1 channel" if len(wave) == 1 else f"{len(wave)} channels"
        raise AudioError(NO_CHANNEL, f"channel {channel} (counted from 0), and the recording has {count}")
    return wave[channel : channel + 1]


def one_channel(wave: Any, rate: int, channel: int | None = None) -> np.ndarray:
    """A whole recording in memory, see :func:`as_channels`, as one checked channel ``float32 (N,)``.

    Raises:
        AudioError: ``empty``, or see :func:`as_channels`, :func:`check_length` and :class:`Downmix`.
    """
    channels = as_channels(wave)
    check_not_empty(channels.shape[1])
    if _as_array(wave).dtype == np.int32 and 0 < np.abs(channels).max() <= NARROW_INTEGERS:
        raise AudioError(
            "bad type", "int32 with values of 24 bits or fewer; shift them up, or give floats in -1…1"
        )
    check_length(channels.shape[1], rate)
    downmix = Downmix(channel)
    mono = downmix(channels)
    downmix.finish(rate)
    return mono
