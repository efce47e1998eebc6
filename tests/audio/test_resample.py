"""Mixing, resampling and the way to 16 bits, against closed forms."""

from __future__ import annotations

import numpy as np
import pytest
from audio_files import tone
from hypothesis import given
from hypothesis import strategies as st

from svmixer.audio import AudioError, from_pcm16, to_mono_16k, to_pcm16
from svmixer.audio.checks import pick_channel


@pytest.mark.parametrize("rate", [8000, 11025, 22050, 44100, 48000, 128000])
def test_a_sine_stays_the_sine(rate):
    wave = tone(rate, 0.5).astype(np.float32)[None]
    mono = to_mono_16k(wave, rate)
    assert mono.dtype == np.float32
    assert len(mono) == pytest.approx(8000, abs=1)
    inside = slice(500, 7500)  # the filter rings where the sine is switched on and off
    np.testing.assert_allclose(mono[inside], tone(16000, 0.5)[inside], atol=2e-4)


def test_what_16_khz_cannot_hold_is_removed():
    wave = tone(44100, 0.5, frequency=12000).astype(np.float32)[None]
    assert np.abs(to_mono_16k(wave, 44100)[500:7500]).max() < 1e-4


def test_channels_are_averaged():
    wave = np.array([[0.5, 0.25, -1.0], [0.25, -0.25, 1.0]], np.float32)
    np.testing.assert_array_equal(to_mono_16k(wave, 16000), np.float32([0.375, 0.0, 0.0]))


def test_equal_rates_change_nothing():
    wave = np.random.default_rng(0).normal(size=(1, 777)).astype(np.float32)
    np.testing.assert_array_equal(to_mono_16k(wave, 16000), wave[0])
    np.testing.assert_array_equal(to_mono_16k(wave, 8000, rate_out=8000), wave[0])


def test_single_samples_and_impossible_rates():
    assert len(to_mono_16k(np.ones((1, 1), np.float32), 48000)) <= 1
    with pytest.raises(AudioError, match="sampling rate 0"):
        to_mono_16k(np.ones((1, 1), np.float32), 0)


def test_rounding_and_clipping():
    wave = np.array([0, 0.4, 0.6, -0.6, 32767, 32768, -32768, 1e9, -1e9], np.float64) / 32768
    expected = [0, 0, 1, -1, 32767, 32767, -32768, 32767, -32768]
    pcm = to_pcm16(wave.astype(np.float32))
    assert pcm.dtype == np.int16
    np.testing.assert_array_equal(pcm, expected)


@given(st.lists(st.integers(-32768, 32767), min_size=1))
def test_16_bits_survive_the_round_trip(values):
    pcm = np.array(values, np.int16)
    np.testing.assert_array_equal(to_pcm16(from_pcm16(pcm)), pcm)


def test_pick_channel():
    wave = np.float32([[0.5, 0.25], [0.1, 0.2]])
    assert pick_channel(wave, None) is wave
    np.testing.assert_array_equal(pick_channel(wave, 0), wave[:1])
    np.testing.assert_array_equal(pick_channel(wave, 1), wave[1:])


@pytest.mark.parametrize(
    ("channels", "channel", "found"), [(2, 2, "2 channels"), (2, -1, "2 channels"), (1, 1, "1 channel")]
)
def test_pick_a_channel_that_is_not_there(channels, channel, found):
    with pytest.raises(AudioError) as caught:
        pick_channel(np.zeros((channels, 4), np.float32), channel)
    assert str(caught.value) == (
        f"no such channel: channel {channel} (counted from 0), and the recording has {found}"
    )
