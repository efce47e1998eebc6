"""Trimming silence, cases worked out by hand at 16 kHz: frames of 400 samples every 160, margin 1600."""

from __future__ import annotations

import numpy as np
import pytest
from audio_files import tone
from hypothesis import given, settings
from hypothesis import strategies as st

from svmixer.audio import trim_silence

RATE = 16000


def speech(seconds: float, amplitude: float = 0.5) -> np.ndarray:
    return tone(RATE, seconds, amplitude=amplitude).astype(np.float32)


def test_silence_on_both_sides():
    wave = np.concatenate([np.zeros(16000), speech(1.0), np.zeros(16000)]).astype(np.float32)
    # Frames that touch the sine: from 15680 (15680 + 400 > 16000) to 31840 + 400 = 32240.
    # The first holds 80 samples of it and the last 160: 7 and 4 dB under a full frame, so both count.
    assert trim_silence(wave, RATE) == (15680 - 1600, 31840 + 400 + 1600)


def test_nothing_to_trim():
    assert trim_silence(speech(1.0), RATE) == (0, 16000)


def test_pauses_inside_stay():
    wave = np.concatenate([speech(0.5), np.zeros(32000), speech(0.5)]).astype(np.float32)
    assert trim_silence(wave, RATE) == (0, len(wave))


def test_a_click_is_not_speech():
    wave = np.zeros(48000, np.float32)
    wave[1000:1040] = 0.9  # 2.5 ms, in the three frames from 640, 800 and 960
    wave[24000:40000] = speech(1.0, 0.3)
    start, end = trim_silence(wave, RATE)
    assert start == 23680 - 1600
    assert end == 39840 + 400 + 1600


def test_faint_noise_is_trimmed_and_quiet_speech_is_kept():
    rng = np.random.default_rng(0)
    noise = rng.normal(scale=10 ** (-70 / 20), size=48000)  # −70 dB of full scale
    wave = noise.copy()
    wave[16000:32000] += speech(1.0, 0.01)  # −43 dB
    start, end = trim_silence(wave.astype(np.float32), RATE)
    assert start == pytest.approx(16000 - 1600, abs=400) and end == pytest.approx(32000 + 1600, abs=400)


def test_loud_noise_is_trimmed():
    rng = np.random.default_rng(0)
    wave = rng.normal(scale=10 ** (-40 / 20), size=48000)  # −40 dB of full scale: 31 dB under the speech
    wave[16000:32000] += speech(1.0, 0.5)
    start, end = trim_silence(wave.astype(np.float32), RATE)
    assert start == pytest.approx(16000 - 1600, abs=400) and end == pytest.approx(32000 + 1600, abs=400)


def test_no_speech_at_all():
    assert trim_silence(np.zeros(16000, np.float32), RATE) == (0, 0)
    assert trim_silence(np.zeros(0, np.float32), RATE) == (0, 0)
    assert trim_silence(speech(0.04), RATE) == (0, 0)  # 640 samples: two frames
    assert trim_silence(speech(1.0, 10 ** (-70 / 20)), RATE) == (0, 0)


@given(level=st.floats(0.05, 1.0), before=st.integers(0, 20000), after=st.integers(0, 20000))
@settings(max_examples=50, deadline=None)
def test_speech_is_never_cut_and_at_most_the_margin_stays(level, before, after):
    wave = np.concatenate([np.zeros(before), speech(0.5, level), np.zeros(after)]).astype(np.float32)
    start, end = trim_silence(wave, RATE)
    assert max(0, before - 2000) <= start <= before
    assert before + 8000 <= end <= min(len(wave), before + 8000 + 2000)
