"""Sounds like speech, made by formula."""

from __future__ import annotations

import numpy as np

RATE = 16000
LOW = (110.0, (600.0, 1000.0, 2400.0))
HIGH = (220.0, (850.0, 1900.0, 3000.0))


def voice(
    kind: tuple[float, tuple[float, ...]], seed: int, samples: int = 6 * RATE, rate: int = RATE
) -> np.ndarray:
    """``float32 (samples,)``: harmonics of a gliding pitch under formants, in syllables, with some noise."""
    pitch, formants = kind
    rng = np.random.default_rng(seed)
    time = np.arange(samples) / rate
    glide = 1 + 0.1 * np.sin(2 * np.pi * (0.7 + rng.random()) * time + 6 * rng.random())
    phase = 2 * np.pi * np.cumsum(pitch * glide) / rate
    wave = np.zeros(samples)
    for harmonic in range(1, 25):
        gain = sum(np.exp(-(((harmonic * pitch - formant) / 200) ** 2)) for formant in formants)
        wave += gain * np.sin(harmonic * phase + rng.random())
    syllables = 0.55 + 0.45 * np.sin(2 * np.pi * (3 + rng.random()) * time)
    wave = syllables * wave / np.abs(wave).max() + 0.01 * rng.standard_normal(samples)
    return (0.4 * wave).astype(np.float32)
