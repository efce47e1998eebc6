"""Whether a model computes here what it computed where docs/export.md was written."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from svmixer.inference.embedding_model import EmbeddingModel

MODEL, RATE = "pocket", 16000
# Of docs/export.md, with this model: how the embeddings of the whole signal (6.25 s) and of its first
# half second begin, and their cosine.
WHOLE = (0.0077, 0.0139, 0.0108, -0.0319, 0.0152, 0.0121)
START = (0.0021, 0.0146, 0.0074, -0.0303, 0.0119, 0.0098)
COSINE = 0.8333
# Other processors round the 8-bit graph otherwise: 4e-4 at most was seen in an embedding.
TOLERANCE, COSINE_TOLERANCE = 1e-3, 5e-3


@dataclass(frozen=True)
class SelfTest:
    """How far what was computed is from the numbers."""

    # Largest difference in an embedding, and difference of the cosine.
    embedding: float
    cosine: float

    @property
    def passed(self) -> bool:
        """Whether both are within what rounding explains."""
        return self.embedding <= TOLERANCE and self.cosine <= COSINE_TOLERANCE


def signal() -> np.ndarray:
    """The signal of docs/export.md, ``float32 (100001,)`` at 16 kHz: a swelling tone in noise."""
    state, noise = 0, np.zeros(100_001)
    for at in range(1, len(noise)):
        state = (1103515245 * state + 12345) % 2**31
        noise[at] = state
    time = np.arange(len(noise)) / RATE
    wave = 0.02 * (noise / 2**30 - 1)
    for k in range(1, 21):
        wave += 0.15 * (1 + np.sin(2 * np.pi * 3 * time)) * np.sin(2 * np.pi * 130 * k * time) / k
    return wave.astype(np.float32)


def self_test(model: EmbeddingModel) -> SelfTest:
    """Embed the signal with ``model``, which is to be :data:`MODEL`."""
    wave = signal()
    whole, start = model.embed(wave), model.embed(wave[: RATE // 2])
    far = np.abs(np.stack([whole[:6], start[:6]]) - np.array([WHOLE, START])).max()
    return SelfTest(float(far), abs(float(whole @ start) - COSINE))
