"""Effects on waveforms: SNR, rooms, coloured noise, clipping, band limits."""

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from svmixer.audio import effects

RATE = 16000


def gaussian(seed, num=48000, scale=0.1):
    return (scale * np.random.default_rng(seed).standard_normal(num)).astype(np.float32)


def decibels(ratio):
    return 10 * np.log10(ratio)


def rms(wave):
    return float(np.sqrt(np.mean(wave.astype(np.float64) ** 2)))


@settings(max_examples=25, deadline=None)
@given(st.floats(-10, 40), st.floats(1e-4, 10), st.integers(0, 1000))
def test_snr_is_exact(snr, scale, seed):
    wave, noise = gaussian(seed, 4000), gaussian(seed + 1, 4000, scale)
    added = effects.mix_at_snr(wave, noise, snr).astype(np.float64) - wave
    assert decibels(np.mean(wave.astype(np.float64) ** 2) / np.mean(added**2)) == pytest.approx(snr, abs=0.01)


def test_mix_by_hand():
    # Powers 0.04 and 4: at 0 dB the noise is scaled by 0.1, at 20 dB by 0.01.
    wave, noise = np.float32([0.2, -0.2]), np.float32([2.0, 2.0])
    np.testing.assert_allclose(effects.mix_at_snr(wave, noise, 0.0), [0.4, 0.0], atol=1e-7)
    np.testing.assert_allclose(effects.mix_at_snr(wave, noise, 20.0), [0.22, -0.18], atol=1e-7)


def test_silence_stays_as_it_is():
    silence, wave = np.zeros(1000, np.float32), gaussian(0, 1000)
    assert np.array_equal(effects.mix_at_snr(silence, wave, 5.0), silence)
    assert np.array_equal(effects.mix_at_snr(wave, silence, 5.0), wave)
    assert np.array_equal(effects.reverberate(silence, wave), silence)
    assert np.array_equal(effects.reverberate(wave, silence), wave)
    assert np.array_equal(effects.clip_peaks(silence, 0.5), silence)
    assert np.array_equal(effects.limit_band(silence, 100, 3000), silence)
    assert np.array_equal(effects.equalise(silence, np.ones(8)), silence)
    assert np.array_equal(effects.through_codec(silence, "gsm"), silence)


@pytest.mark.parametrize("delay", [0, 1, 700, 5000])
@pytest.mark.parametrize("gain", [1.0, -0.02])
def test_room_that_only_delays_changes_nothing(delay, gain):
    wave, response = gaussian(0), np.zeros(8000, np.float32)
    response[delay] = gain
    wet = effects.reverberate(wave, response)
    assert wet.dtype == np.float32
    np.testing.assert_allclose(wet, np.sign(gain) * wave, atol=1e-6)


@pytest.mark.parametrize("num", [1, 160, 48000])
def test_room_equals_direct_convolution(num):
    wave = gaussian(1, num)
    response = np.zeros(1200, np.float32)
    response[300:] = gaussian(2, 900) * np.exp(-np.arange(900) / 200)
    response[300] = 1.0
    full = np.convolve(wave.astype(np.float64), response)[300 : 300 + num]
    expected = full * rms(wave) / rms(full)
    np.testing.assert_allclose(effects.reverberate(wave, response), expected, atol=2e-6)


@settings(max_examples=20, deadline=None)
@given(st.integers(1, 6000), st.integers(1, 9000), st.integers(0, 1000))
def test_room_keeps_length_and_energy(num, length, seed):
    wave, response = gaussian(seed, num), gaussian(seed + 1, length)
    wet = effects.reverberate(wave, response)
    assert len(wet) == num
    assert rms(wet) == pytest.approx(rms(wave), rel=1e-4)


def test_direct_path_is_found_before_a_stronger_reflection():
    response = np.zeros(500, np.float32)
    response[90], response[120], response[300] = 0.4, -0.7, 1.0
    assert effects.direct_path(response) == 120  # 0.4 is more than 6 dB below the peak, 0.7 is not


def band_powers(wave, edges):
    spectrum = np.abs(np.fft.rfft(wave.astype(np.float64))) ** 2
    frequency = np.fft.rfftfreq(len(wave), 1 / RATE)
    pairs = itertools.pairwise(edges)
    return np.array([spectrum[(frequency >= low) & (frequency < high)].mean() for low, high in pairs])


@pytest.mark.parametrize(("colour", "slope"), [("white", 0.0), ("pink", -3.0103), ("brown", -6.0206)])
def test_slope_of_coloured_noise(colour, slope):
    noise = effects.coloured_noise(64000, colour, np.random.default_rng(3))
    levels = decibels(band_powers(noise, [125 * 2**k for k in range(7)]))
    np.testing.assert_allclose(np.diff(levels), slope, atol=0.1)


@pytest.mark.parametrize("colour", effects.COLOURS)
@pytest.mark.parametrize("num", [1, 2, 3, 999, 48000])
def test_coloured_noise_of_any_length(colour, num):
    noise = effects.coloured_noise(num, colour, np.random.default_rng(0))
    assert noise.shape == (num,)
    assert noise.dtype == np.float32
    assert np.isfinite(noise).all()
    again = effects.coloured_noise(num, colour, np.random.default_rng(0))
    assert np.array_equal(noise, again)


def test_coloured_noise_has_nothing_below_20_hz_and_is_bell_shaped():
    noise = effects.coloured_noise(48000, "white", np.random.default_rng(0)).astype(np.float64)
    below, above = band_powers(noise, [0, 19.9, 8000])
    assert below < 1e-9 * above
    normal = noise / noise.std()
    assert np.mean(np.abs(normal) < 1) == pytest.approx(0.6827, abs=0.01)
    assert np.mean(normal**4) == pytest.approx(3.0, abs=0.1)
    other = effects.coloured_noise(48000, "white", np.random.default_rng(1))
    assert abs(np.corrcoef(noise, other)[0, 1]) < 0.03


def test_clipping_level():
    wave = np.float32([0.1, -0.8, 0.5, 0.3, -0.45])
    np.testing.assert_allclose(effects.clip_peaks(wave, 0.5), [0.1, -0.4, 0.4, 0.3, -0.4], atol=1e-7)
    np.testing.assert_allclose(effects.clip_peaks(wave, 1.0), wave)


@pytest.mark.parametrize(
    ("hz", "gain"),
    [(50, 0), (100, 0), (200, 0.5), (300, 1), (1000, 1), (3325, 1), (3500, 0.5), (3675, 0), (6000, 0)],
)
def test_band_limits(hz, gain):
    tone = np.sin(2 * np.pi * hz * np.arange(48000) / RATE).astype(np.float32)
    middle = effects.limit_band(tone, 200, 3500)[8000:-8000]
    # Zero phase: what passes is the tone itself, in place.
    np.testing.assert_allclose(middle, gain * tone[8000:-8000], atol=0.01)


def test_band_without_lower_edge_keeps_the_mean():
    wave = np.full(16000, 0.25, np.float32)
    np.testing.assert_allclose(effects.limit_band(wave, 0, 4000)[4000:-4000], 0.25, atol=1e-3)


def test_band_limit_does_not_wrap_around():
    click = np.zeros(16000, np.float32)
    click[-1] = 1.0
    limited = effects.limit_band(click, 0, 3500)
    assert np.abs(limited[:8000]).max() < 1e-4


def test_an_equaliser_has_its_gain_at_every_octave():
    gains = np.array([0.0, 3.0, -6.0, 0.0, 6.0, -12.0, 2.0, 1.0])
    time = np.arange(48000) / RATE
    tones = [np.sin(2 * np.pi * 62.5 * 2.0**octave * time).astype(np.float32) for octave in range(7)]
    shaped = effects.equalise(np.sum(tones, axis=0, dtype=np.float32), gains)
    # Up to the one factor that keeps the power.
    found = [decibels((np.mean(shaped[1600:-1600] * tone[1600:-1600]) * 2) ** 2) for tone in tones]
    np.testing.assert_allclose(np.array(found) - found[0], gains[:7] - gains[0], atol=0.1)
    assert rms(shaped) == pytest.approx(rms(np.sum(tones, axis=0)), rel=1e-4)
    # Half an octave up it is half way.
    between = np.sin(2 * np.pi * 500 * 2**0.5 * time).astype(np.float32)
    mixed = effects.equalise(between + tones[0], gains)
    parts = [
        decibels((np.mean(mixed[1600:-1600] * tone[1600:-1600]) * 2) ** 2) for tone in (between, tones[0])
    ]
    assert parts[0] - parts[1] == pytest.approx(3.0, abs=0.1)


@pytest.mark.parametrize("codec", effects.CODECS)
@pytest.mark.parametrize("num", [800, 48000])
def test_a_codec_keeps_length_place_and_most_of_the_signal(codec, num):
    time = np.arange(num) / RATE
    chirp = (0.3 * np.sin(2 * np.pi * (300 + 400 * time) * time)).astype(np.float32)
    coded = effects.through_codec(chirp, codec)
    assert coded.shape == chirp.shape and coded.dtype == np.float32
    assert np.array_equal(effects.through_codec(chirp, codec), coded)
    assert not np.array_equal(coded, chirp)
    if num == 48000:
        lags = range(-40, 41)
        match = [np.dot(coded[100:-100], np.roll(chirp, lag)[100:-100]) for lag in lags]
        assert lags[int(np.argmax(match))] == 0
        assert np.corrcoef(coded, chirp)[0, 1] > 0.9


@pytest.mark.parametrize("codec", effects.CODECS)
def test_a_codec_does_not_clip(codec):
    loud = 30 * gaussian(0)
    coded = effects.through_codec(loud, codec)
    assert 0.5 < np.abs(coded).max() / np.abs(loud).max() < 1.5
    silence = np.zeros(4000, np.float32)
    assert np.abs(effects.through_codec(silence, codec)).max() < 2e-3
