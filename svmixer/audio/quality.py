"""How good a recording is: speech in it, level range, bandwidth, clipping; measured while it is read."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from svmixer.audio.speech import BINS, LOWEST_DB, SpeechMeter

# Hz: the band of the telephone, and what lies above it.
_LOW, _HIGH = (300.0, 3700.0), 4000.0
# Samples from this share of the loudest one of their piece on count as clipped.
_NEAR_PEAK = 0.98
# dB below the loudest piece of a recording: in softer ones nothing is clipped, and the last bit is the peak.
_PEAKS_DB = 20
# Of what has not been measured, dB.
_NOTHING = -120.0


@dataclass(frozen=True)
class Quality:
    """What was measured of a recording."""

    # Of speech, by its level alone; of what is hardly speech, by the detector.
    seconds: float
    # From the level that a tenth of the 20 ms frames stay below to the one that a tenth exceed, dB: speech
    # and its pauses lie far apart, noise fills the pauses.
    range_db: float
    # Power a Hz above 4 kHz over that from 300 to 3700 Hz, dB.
    band_db: float
    # Share of the samples within 2 % of the peak.
    clipped: float
    # Whether the level hardly changes, as it does in noise and tones.
    steady: bool = False
    # Whether a detector of speech takes it for music or noise; without one nobody knows.
    hardly_speech: bool = False


def together(qualities: Sequence[Quality]) -> Quality:
    """Of several recordings of one speaker: the speech in all of them, and the worst of the rest.

    The band is the widest: what one of them lacks, another has.
    """
    return Quality(
        sum(one.seconds for one in qualities),
        min(one.range_db for one in qualities),
        max(one.band_db for one in qualities),
        max(one.clipped for one in qualities),
        any(one.steady for one in qualities),
        any(one.hardly_speech for one in qualities),
    )


class QualityMeter(SpeechMeter):
    """Measures pieces of a recording as they are read; memory does not grow with its length.

    Args:
        rate: samples per second, at least 8100: there is a band above that of the telephone then.
    """

    def __init__(self, rate: int) -> None:
        super().__init__(rate)
        self.rate = rate
        self._window = np.hanning(self.frame + 2)[1:-1].astype(np.float32)
        self._powers = np.zeros(self.frame // 2 + 1)
        self._samples = 0
        # Samples near the peak of their piece, a bin for each decibel of that peak.
        self._near_peak = np.zeros(BINS, np.int64)

    def take(self, wave: np.ndarray) -> np.ndarray:
        """Measure a piece ``float32 (n,)``, and return it."""
        super().take(wave)
        frames = wave[: len(wave) // self.frame * self.frame].reshape(-1, self.frame)
        spectra = np.fft.rfft(frames * self._window, axis=1)
        self._powers += (spectra.real**2 + spectra.imag**2).sum(axis=0)
        peak = np.abs(wave).max(initial=0.0)
        if peak > 0.0:
            place = int(np.clip(20 * np.log10(peak) - LOWEST_DB, 0, BINS - 1))
            self._near_peak[place] += np.count_nonzero(np.abs(wave) >= _NEAR_PEAK * peak)
        self._samples += len(wave)
        return wave

    def quality(self, samples: int) -> Quality:
        """Of a recording of so many samples, all of whose pieces have been taken."""
        hertz = np.arange(len(self._powers)) * (self.rate / self.frame)
        inside = self._powers[(hertz >= _LOW[0]) & (hertz <= _LOW[1])].mean()
        above = self._powers[hertz >= _HIGH].mean()
        loudest = int(np.flatnonzero(self._near_peak).max(initial=0))
        near_peak = self._near_peak[max(loudest - _PEAKS_DB, 0) :].sum()
        band = 10 * np.log10(max(above / inside, 1e-12)) if inside > 0 else _NOTHING
        return Quality(
            seconds=self.share() * samples / self.rate,
            range_db=self.level_range(),
            band_db=float(band),
            clipped=float(near_peak) / max(self._samples, 1),
            steady=self.steady(),
        )
