"""What augmentation does to a waveform of np.float32 (N,) at 16 kHz; chance comes in through arguments only.

Powers are summed by NumPy in float64, not by BLAS: results must not depend on the number of threads.
"""

from __future__ import annotations

import functools
import math
from io import BytesIO

import numpy as np
import soundfile
from scipy import fft

from svmixer.audio.dumpset import RATE
from svmixer.audio.resample import to_mono_16k

# Recordings of speech have nothing below this; noise that has would spend its power where nobody hears it.
_LOWEST_HZ = 20.0

# Codecs by name: sampling rate, libsndfile's format and subtype, compression level. None shifts the signal.
CODECS = {
    "mulaw": (8000, "WAV", "ULAW", None),
    "gsm": (8000, "WAV", "GSM610", None),
    "adpcm": (RATE, "WAV", "IMA_ADPCM", None),
    "vorbis": (RATE, "OGG", "VORBIS", 1.0),
    "mp3": (RATE, "MP3", "MPEG_LAYER_III", 0.95),
}

# Power of coloured noise falls with this power of frequency.
COLOURS = {"white": 0, "pink": 1, "brown": 2}


def power(wave: np.ndarray) -> float:
    """Mean square of np.float32 (N,), N ≥ 1."""
    return float(np.square(wave, dtype=np.float64).mean())


def mix_at_snr(wave: np.ndarray, noise: np.ndarray, snr: float) -> np.ndarray:
    """``wave`` plus ``noise`` scaled so that the ratio of their powers over this crop is ``snr`` dB.

    When either is silent the ratio has no meaning and ``wave`` comes back as it is.

    Args:
        wave: np.float32 (N,).
        noise: np.float32 (N,).
        snr: decibels.
    """
    signal_power, noise_power = power(wave), power(noise)
    if signal_power == 0.0 or noise_power == 0.0:
        return wave
    return wave + noise * math.sqrt(signal_power / noise_power * 10.0 ** (-snr / 10.0))


def direct_path(response: np.ndarray) -> int:
    """Index of a room impulse response's direct sound: the first sample within 6 dB of its peak.

    The strongest sample itself may be a reflection, or several that arrive together.
    """
    magnitude = np.abs(response)
    return int(np.argmax(magnitude >= 0.5 * magnitude.max()))


def reverberate(wave: np.ndarray, response: np.ndarray) -> np.ndarray:
    """``wave`` in a room: convolved, the direct sound's delay removed, cut to its length, energy kept.

    With the delay gone, frames of the result match frames of the input (which a teacher hears). What precedes
    the direct sound in ``response``, such as the ringing of a fractional delay, is kept in its place.

    Args:
        wave: np.float32 (N,).
        response: np.float32 (R,), room impulse response.

    Returns:
        np.float32 (N,); ``wave`` itself when it or the response is silent.
    """
    num, delay = len(wave), direct_path(response)
    response = response[: delay + num]  # later taps reach beyond the crop
    size = fft.next_fast_len(num + len(response) - 1, real=True)
    spectrum = fft.rfft(wave, size)
    spectrum *= fft.rfft(response, size)
    wet = fft.irfft(spectrum, size)[delay : delay + num]
    before, after = power(wave), power(wet)
    if before == 0.0 or after == 0.0:
        return wave
    return wet * np.float32(math.sqrt(before / after))


def coloured_noise(num: int, colour: str, rng: np.random.Generator) -> np.ndarray:
    """Noise whose power falls by 0 (white), 3 (pink) or 6 (brown) dB per octave above 20 Hz.

    Every frequency has its exact amplitude and a random phase, half as costly as Gaussian samples.

    Args:
        num: samples.
        colour: a key of :data:`COLOURS`.
        rng: the only source of chance.

    Returns:
        np.float32 [num]; its level means nothing (see :func:`mix_at_snr`).
    """
    shape = _noise_shape(num, COLOURS[colour])
    phase = np.float32(2.0 * math.pi) * rng.random(len(shape), dtype=np.float32)
    spectrum = np.empty(len(shape), dtype=np.complex64)
    spectrum.real = shape * np.cos(phase)
    spectrum.imag = shape * np.sin(phase)
    return fft.irfft(spectrum, num)


def clip_peaks(wave: np.ndarray, ratio: float) -> np.ndarray:
    """Samples beyond ``ratio`` times the peak are cut off there."""
    limit = np.float32(ratio) * np.abs(wave).max()
    return np.clip(wave, -limit, limit)


def limit_band(wave: np.ndarray, low_hz: float, high_hz: float) -> np.ndarray:
    """A zero-phase band-pass: −6 dB at both edges, raised cosines 10 % (high) and 100 % (low) of them wide.

    Args:
        wave: np.float32 (N,).
        low_hz: lower edge; 0 keeps everything below.
        high_hz: upper edge.
    """
    # Zeros behind the crop keep the filter's tail from wrapping around to its beginning.
    size = fft.next_fast_len(len(wave) + RATE // 10, real=True)
    frequency = np.arange(size // 2 + 1, dtype=np.float32) * np.float32(RATE / size)
    gain = 1.0 - _ramp(frequency, 0.95 * high_hz, 1.05 * high_hz)
    if low_hz > 0.0:
        gain *= _ramp(frequency, 0.5 * low_hz, 1.5 * low_hz)
    return fft.irfft(fft.rfft(wave, size) * gain, size)[: len(wave)]


def equalise(wave: np.ndarray, gains_db: np.ndarray) -> np.ndarray:
    """A zero-phase filter whose gain in dB is a line from octave to octave: 62.5, 125, … 8000 Hz.

    Args:
        wave: np.float32 (N,).
        gains_db: (8,), one an octave; the first holds below it, too.

    Returns:
        np.float32 (N,) of the same power; silence as it is.
    """
    size = fft.next_fast_len(len(wave) + RATE // 10, real=True)
    octave = np.log2(np.maximum(np.arange(size // 2 + 1) * (RATE / size / 62.5), 1.0))
    gain = 10.0 ** (np.interp(octave, np.arange(8), gains_db) / 20.0)
    shaped = fft.irfft(fft.rfft(wave, size) * gain.astype(np.float32), size)[: len(wave)]
    before, after = power(wave), power(shaped)
    if before == 0.0 or after == 0.0:
        return wave
    return shaped * np.float32(math.sqrt(before / after))


def through_codec(wave: np.ndarray, codec: str) -> np.ndarray:
    """What is left of a recording that was coded and decoded, at its place in time.

    Args:
        wave: np.float32 (N,) at 16 kHz; beyond ±1 it is coded more quietly.
        codec: a key of :data:`CODECS`.

    Returns:
        np.float32 (N,); silence as it is.
    """
    rate, container, subtype, level = CODECS[codec]
    peak = np.abs(wave).max(initial=0.0)
    if peak == 0.0:
        return wave
    scale = np.float32(max(1.0, peak / 0.98))
    coded = BytesIO()
    soundfile.write(
        coded, to_mono_16k(wave[None] / scale, RATE, rate), rate, format=container, subtype=subtype,
        compression_level=level,
    )  # fmt: skip
    coded.seek(0)
    decoded, _ = soundfile.read(coded, dtype="float32")
    decoded = to_mono_16k(decoded[None], rate)[: len(wave)] * scale
    return np.pad(decoded, (0, len(wave) - len(decoded)))


def _ramp(frequency: np.ndarray, start: float, end: float) -> np.ndarray:
    """0 up to ``start``, 1 from ``end``, half a cosine between."""
    place = np.clip((frequency - np.float32(start)) / np.float32(end - start), 0.0, 1.0)
    return 0.5 - 0.5 * np.cos(np.float32(math.pi) * place)


@functools.lru_cache(maxsize=16)
def _noise_shape(num: int, exponent: int) -> np.ndarray:
    """Amplitude of each of the num // 2 + 1 frequencies of a real signal."""
    frequency = np.arange(num // 2 + 1) * (RATE / num)
    heard = frequency >= _LOWEST_HZ
    shape = np.zeros(len(frequency), dtype=np.float32)
    shape[heard] = frequency[heard] ** (-exponent / 2)
    return shape
