"""What is measured of a recording, on signals whose properties are known."""

from __future__ import annotations

import numpy as np
import pytest

from svmixer.audio.quality import Quality, QualityMeter, together

RATE = 16000


def measured(wave: np.ndarray, piece: int = 4800) -> Quality:
    meter = QualityMeter(RATE)
    for begin in range(0, len(wave), piece):
        meter.take(wave[begin : begin + piece].astype(np.float32))
    return meter.quality(len(wave))


def noise(seconds: float = 2.0) -> np.ndarray:
    return 0.1 * np.random.default_rng(0).standard_normal(round(seconds * RATE))


def test_seconds_and_range_of_half_a_recording():
    found = measured(np.concatenate([1e-5 * noise(1.0), noise(1.0)]))
    assert found.seconds == pytest.approx(1.0, abs=0.05)
    # Of the same noise, 100 dB apart; the meter's lowest bin is -120 dB.
    assert found.range_db == pytest.approx(100, abs=2)
    assert measured(noise()).range_db <= 4 and measured(noise()).steady


@pytest.mark.parametrize("piece", [320, 4800, 7000])
def test_band_of_white_and_of_filtered_noise(piece):
    assert measured(noise(), piece).band_db == pytest.approx(0, abs=0.3)
    spectrum = np.fft.rfft(noise())
    hertz = np.fft.rfftfreq(2 * RATE, 1 / RATE)
    # Amplitude down to a hundredth above 3900 Hz: 40 dB.
    wave = np.fft.irfft(np.where(hertz > 3900, 0.01 * spectrum, spectrum))
    assert measured(wave, piece).band_db == pytest.approx(-40, abs=1)


def test_share_of_clipped_samples():
    wave = np.sin(2 * np.pi * 100 * np.arange(RATE) / RATE)
    # |sin| is at least 0.49 for 1 - 2 / pi * asin(0.49) of the time: within 2 % of the new peak.
    expected = 1 - 2 / np.pi * np.arcsin(0.49)
    assert measured(np.clip(wave, -0.5, 0.5)).clipped == pytest.approx(expected, abs=0.015)
    assert measured(noise()).clipped < 0.001


def test_the_last_bit_of_a_quiet_piece_is_not_clipped():
    """Pieces are read one after the other, and each has a peak of its own."""
    quiet = np.sign(np.random.default_rng(0).standard_normal(RATE)).astype(np.float32) / 32768
    for pieces in ([noise(), quiet], [quiet, noise()]):
        meter = QualityMeter(RATE)
        for piece in pieces:
            meter.take(piece)
        assert meter.quality(sum(map(len, pieces))).clipped < 0.001
    # Where all is quiet, it is.
    assert measured(quiet).clipped == 1.0


def test_nothing_at_all():
    found = measured(np.zeros(RATE))
    assert (found.seconds, found.clipped, found.band_db) == (0.0, 0.0, -120.0)


def test_several_recordings_together():
    found = together([Quality(1.5, 30, -10, 0.0), Quality(2.0, 20, -40, 0.01, True)])
    assert found == Quality(3.5, 20, -10, 0.01, True)
