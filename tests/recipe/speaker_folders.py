"""Voices made by a source and a filter, which a speaker model can tell apart, as folders of recordings."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import soundfile
from scipy.signal import lfilter

RATE = 16000
# Resonances of vowels in Hz.
VOWELS = np.array(
    [(730, 1090, 2440), (270, 2290, 3010), (300, 870, 2240), (530, 1840, 2480), (570, 840, 2410)]
)


def utterance(speaker: int, number: int, seconds: float = 3.0) -> np.ndarray:
    """Syllables of one voice as float64 ``(N,)``: pitch, tract, breath and room are the speaker's."""
    voice = np.random.default_rng(speaker)
    pitch, tract, breath, tilt = (
        voice.uniform(*span) for span in ((85, 260), (0.8, 1.25), (0.02, 0.2), (0.7, 0.97))
    )
    vowels = VOWELS * tract * voice.uniform(0.85, 1.15, VOWELS.shape)
    room = voice.standard_normal(64) * 0.93 ** np.arange(64)
    rng = np.random.default_rng([speaker, number])
    pieces = []
    while sum(map(len, pieces)) < seconds * RATE:
        samples = int(RATE * rng.uniform(0.15, 0.3))
        contour = pitch * (1 + 0.1 * np.sin(np.linspace(0, rng.uniform(1, 4), samples) + rng.uniform(0, 6)))
        phase = np.cumsum(contour) / RATE
        wave = np.diff(np.floor(phase), prepend=0.0) + breath * rng.standard_normal(samples)
        wave = lfilter([1], [1, -tilt], wave)
        for formant in vowels[rng.integers(len(vowels))]:
            radius, angle = np.exp(-np.pi * 90 / RATE), 2 * np.pi * formant / RATE
            wave = lfilter([1], [1, -2 * radius * np.cos(angle), radius**2], wave)
        pieces.append(wave / np.abs(wave).max() * np.hanning(samples))
    wave = lfilter(room, [1], np.concatenate(pieces)[: int(seconds * RATE)])
    # Silence between syllables is never quite silent.
    return 0.3 * wave / np.abs(wave).max() + 0.002 * rng.standard_normal(len(wave))


def write_folders(folder: Path, speakers: int, utterances: int, seconds: float = 3.0) -> None:
    """``folder/voice03/2.wav`` and so on."""
    for speaker in range(speakers):
        (folder / f"voice{speaker:02d}").mkdir(parents=True)
        for number in range(utterances):
            wave = utterance(speaker, number, seconds)
            soundfile.write(folder / f"voice{speaker:02d}/{number}.wav", wave, RATE, subtype="PCM_16")
