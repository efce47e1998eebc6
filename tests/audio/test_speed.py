"""Speed perturbation: lengths, frequencies, what is read."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from svmixer.audio.resample import source_samples, speed_perturb

RATE = 16000


def tone(hz, num):
    return np.sin(2 * np.pi * hz * np.arange(num) / RATE).astype(np.float32)


def reader(wave):
    """A recording that refuses to be read outside of itself, and the list of what was asked for."""
    asked = []

    def read(start, count):
        assert start >= 0 and start + count <= len(wave)
        asked.append((start, count))
        return wave[start : start + count]

    return read, asked


@pytest.mark.parametrize(("factor", "count"), [(0.9, 43200), (1.0, 48000), (1.1, 52800)])
def test_reads_only_the_samples_it_needs(factor, count):
    read, asked = reader(tone(500, 60000))
    out = speed_perturb(read, 320, 48000, factor)
    assert asked == [(320, count)]
    assert source_samples(48000, factor) == count
    assert out.shape == (48000,)
    assert out.dtype == np.float32


@pytest.mark.parametrize("factor", [0.9, 1.1])
@pytest.mark.parametrize("hz", [100, 1000, 6000])
def test_a_tone_is_shifted_by_the_factor_and_stays_aligned(factor, hz):
    read, _ = reader(tone(hz, 60000))
    out = speed_perturb(read, 0, 48000, factor)
    np.testing.assert_allclose(out[500:-500], tone(hz * factor, 48000)[500:-500], atol=1e-3)


def test_what_would_alias_is_removed():
    read, _ = reader(tone(7700, 60000))  # 8470 Hz at 1.1 times the speed
    assert np.abs(speed_perturb(read, 0, 48000, 1.1)[2000:-2000]).max() < 1e-3


def test_factor_one_is_identity():
    wave = tone(440, 60000)
    assert np.array_equal(speed_perturb(reader(wave)[0], 1600, 48000, 1.0), wave[1600:49600])


@settings(max_examples=60, deadline=None)
@given(st.integers(1, 5000), st.sampled_from([0.5, 0.9, 0.95, 1.05, 1.1, 2.0]))
def test_length_is_exact(num, factor):
    count = source_samples(num, factor)
    assert abs(count - num * factor) <= 0.5
    if count:
        wave = np.random.default_rng(num).standard_normal(count).astype(np.float32)
        out = speed_perturb(reader(wave)[0], 0, num, factor)
        assert out.shape == (num,)
        assert np.array_equal(out, speed_perturb(reader(wave)[0], 0, num, factor))


@pytest.mark.parametrize("factor", [0.0, 0.4, 2.1, -1.0, float("nan")])
def test_bad_factor(factor):
    with pytest.raises(ValueError, match=r"speed factor must be between 0\.5 and 2"):
        speed_perturb(reader(tone(1, 100))[0], 0, 10, factor)
