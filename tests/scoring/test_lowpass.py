"""The low-pass filter: what it takes away, what it leaves, and when."""

import numpy as np
import pytest
from scipy.signal import freqz

from svmixer.scoring.utterances import _design, lowpass

RATE = 16000


def tone(frequency, seconds=0.5):
    return np.sin(2 * np.pi * frequency * np.arange(int(seconds * RATE)) / RATE).astype(np.float32)


def gain_db(frequency, edge=3800.0):
    """Gain of a steady tone, the ends of the wave left out."""
    middle = slice(1000, -1000)
    wave = tone(frequency)
    power = np.mean(lowpass(wave, edge)[middle].astype(float) ** 2) / np.mean(wave[middle].astype(float) ** 2)
    return 10 * np.log10(power + 1e-30)


@pytest.mark.parametrize("frequency", [50, 1000, 3000, 3600])
def test_pass_band_is_flat(frequency):
    assert gain_db(frequency) == pytest.approx(0, abs=0.01)


@pytest.mark.parametrize("frequency", [3800, 4000, 5500, 7900])
def test_stop_band_is_gone(frequency):
    assert gain_db(frequency) < -95


def test_response_over_all_frequencies():
    frequencies, response = freqz(_design(3800.0, RATE), worN=8192, fs=RATE)
    level = 20 * np.log10(np.abs(response) + 1e-30)
    assert np.abs(level[frequencies <= 3600]).max() < 0.001
    assert level[frequencies >= 3800].max() < -99.9


def test_another_edge_moves_the_band():
    assert gain_db(1500, edge=2000.0) == pytest.approx(0, abs=0.01)
    assert gain_db(2500, edge=2000.0) < -95


def test_wave_is_not_delayed():
    wave = np.random.default_rng(0).normal(size=RATE).astype(np.float32)
    filtered = lowpass(wave, 3800.0)
    shifts = range(-5, 6)
    correlation = [np.dot(wave[100:-100], np.roll(filtered, -shift)[100:-100]) for shift in shifts]
    assert shifts[int(np.argmax(correlation))] == 0


def test_impulse_response_is_symmetric():
    impulse = np.zeros(2001, dtype=np.float32)
    impulse[1000] = 1
    filtered = lowpass(impulse, 3800.0)
    np.testing.assert_allclose(filtered, filtered[::-1], atol=1e-7)


@pytest.mark.parametrize("length", [0, 1, 100, 514, 515, 516, 40_000])
def test_length_and_type_are_kept(length):
    filtered = lowpass(np.ones(length, dtype=np.float32), 3800.0)
    assert filtered.shape == (length,)
    assert filtered.dtype == np.float32
    assert np.isfinite(filtered).all()


@pytest.mark.parametrize("edge", [0.0, 200.0, 8000.0, -5.0])
def test_impossible_edge(edge):
    with pytest.raises(ValueError, match="low-pass edge"):
        lowpass(np.ones(10), edge)
