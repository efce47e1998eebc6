"""How much speech a recording has, by its level."""

from __future__ import annotations

import numpy as np
import pytest

from svmixer.audio.speech import SpeechMeter, speech_level

RATE = 16000


def syllables(seconds: float, gain: float = 0.1) -> np.ndarray:
    """Noise that comes and goes four times a second."""
    time = np.arange(round(seconds * RATE)) / RATE
    noise = np.random.default_rng(0).standard_normal(len(time))
    return (gain * noise * (0.5 - 0.5 * np.cos(2 * np.pi * 4 * time))).astype(np.float32)


def measured(wave: np.ndarray) -> SpeechMeter:
    meter = SpeechMeter(RATE)
    for begin in range(0, len(wave), 4800):
        meter.take(wave[begin : begin + 4800].astype(np.float32))
    return meter


@pytest.mark.parametrize("gain", [0.1, 0.01])
def test_share_of_speech(gain):
    quiet = 1e-5 * np.random.default_rng(1).standard_normal(3 * RATE)
    meter = measured(np.concatenate([quiet, syllables(1.0, gain)]))
    assert meter.share() == pytest.approx(0.25, abs=0.06) and not meter.steady()


def test_no_speech():
    assert measured(np.zeros(RATE)).share() == 0.0
    assert measured(3e-4 * np.random.default_rng(0).standard_normal(RATE)).share() == 0.0
    assert SpeechMeter(RATE).share() == 0.0 and not SpeechMeter(RATE).steady()


def test_a_steady_sound_is_told():
    time = np.arange(RATE) / RATE
    assert measured(0.1 * np.sin(2 * np.pi * 440 * time)).steady()
    assert measured(0.1 * np.random.default_rng(0).standard_normal(RATE)).steady()
    assert not measured(syllables(1.0)).steady()


def test_what_only_looks_steady():
    brief = np.concatenate([np.zeros(60 * RATE), syllables(1.5)])
    assert not measured(brief).steady() and 61.5 * measured(brief).share() == pytest.approx(1.3, abs=0.3)
    offset = 0.3 + syllables(2.0)
    assert not measured(offset).steady() and measured(offset).share() > 0.7
    assert measured(np.full(RATE, 0.3)).share() == 0.0


@pytest.mark.parametrize(
    ("loudest", "background", "expected"),
    # 35 dB below the loudest; 9 above the background; 18 below the loudest, where there are no pauses; -60.
    [(-20, -70, -55), (-15, -50, -41), (-15, -40, -33), (-40, -100, -60)],
)
def test_the_level_of_speech(loudest, background, expected):
    levels = np.concatenate([np.full(50, background), np.full(50, loudest)])
    assert speech_level(levels, loudest) == pytest.approx(expected)
