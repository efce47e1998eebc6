"""Windows of real speech, and a model's embeddings of them: what exports are checked against."""

from __future__ import annotations

import numpy as np

from svmixer.audio.dumpset import DumpSet
from svmixer.models.speaker_model import SpeakerModel

# Windows of test speech for a check.
CHECKING = 64


def speech_windows(dump: DumpSet, samples: int, count: int, seed: int) -> np.ndarray:
    """Random crops ``float32 (count, samples)``, each of another utterance while there are any."""
    rng = np.random.default_rng(seed)
    order = rng.permutation(len(dump))
    chosen = np.resize(order, count)
    return np.stack([dump.read_crop(int(index), samples, rng) for index in chosen])


def model_embeddings(model: SpeakerModel, windows: np.ndarray) -> np.ndarray:
    """Embeddings ``float32 (W, D)`` of windows ``(W, window)`` by PyTorch, one at a time."""
    return np.concatenate([model.embed_windows(window[None]) for window in windows])
