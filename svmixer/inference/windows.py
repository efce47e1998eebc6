"""Audio of any length cut into windows of a fixed length: the one place where that is decided.

Below the window an utterance is repeated until it fills the window; at the window it is taken as it is; above
it is cut into several windows.
"""

from __future__ import annotations

import math
from typing import Any, Literal, TypeVar, get_args

import numpy as np

from svmixer.errors import SvmixerError

# An array of numpy's or a tensor of PyTorch's.
Array = TypeVar("Array", bound=Any)
Protocol = Literal["crops", "whole", "stream"]
PROTOCOLS = get_args(Protocol)
EMPTY = "empty waveform: there is nothing to repeat up to one window"


def repeat_pad(wave: Array, window: int) -> Array:
    """The waveform ``(…, N)`` repeated and cut to ``(…, window)``; longer ones are returned as they are.

    Raises:
        ValueError: N = 0.
    """
    num_samples = wave.shape[-1]
    if num_samples == 0:
        raise SvmixerError(EMPTY)
    if num_samples >= window:
        return wave
    return wave[..., np.arange(window) % num_samples]


def window_starts(num_samples: int, window: int, count: int) -> np.ndarray:
    """``count`` evenly spaced starts ``int64``; the last window ends with the utterance."""
    return np.linspace(0, num_samples - window, count).round().astype(np.int64)


def utterance_starts(
    num_samples: int, window: int, protocol: Protocol = "crops", num_crops: int = 10
) -> np.ndarray:
    """First samples ``int64 (W,)`` of the windows of an utterance, rising.

    Args:
        num_samples: of the utterance; up to ``window`` there is one window, which :func:`repeat_pad` fills.
        window: samples of a window.
        protocol: ``crops``: ``num_crops`` windows with evenly spaced starts (the paper's evaluation);
            ``whole``: the fewest windows that cover every sample, evenly spaced; ``stream``: one window after
            the other, the last one ends with the utterance.
        num_crops: windows of the ``crops`` protocol.

    Raises:
        ValueError: no samples, unknown protocol, ``num_crops`` < 1.
    """
    if protocol not in PROTOCOLS:
        raise SvmixerError(f"unknown protocol '{protocol}'; known: {', '.join(PROTOCOLS)}")
    if num_crops < 1:
        raise SvmixerError(f"num_crops must be at least 1, found {num_crops}")
    if num_samples < 1:
        raise SvmixerError(EMPTY)
    if num_samples <= window:
        return np.zeros(1, np.int64)
    count = num_crops if protocol == "crops" else math.ceil(num_samples / window)
    if protocol == "stream":
        return np.minimum(np.arange(count) * window, num_samples - window)
    return window_starts(num_samples, window, count)


def utterance_windows(
    wave: np.ndarray, window: int, protocol: Protocol = "crops", num_crops: int = 10
) -> np.ndarray:
    """All windows ``(W, window)`` of one utterance ``(N,)``; see :func:`utterance_starts`.

    Raises:
        ValueError: also for a waveform that is not one-dimensional.
    """
    if wave.ndim != 1:
        raise SvmixerError(f"expected one channel of samples, found shape {tuple(wave.shape)}")
    starts = utterance_starts(len(wave), window, protocol, num_crops)
    wave = repeat_pad(wave, window)
    return np.stack([wave[start : start + window] for start in starts])


def frame_windows(num_frames: int, frames: int) -> list[tuple[int, int]]:
    """Windows of ``frames`` over ``num_frames`` ≥ ``frames`` frames: (first frame, frames to skip) each.

    Windows follow one another without overlap; the last one ends with the utterance and contributes only the
    frames that none before it covered.
    """
    windows = [(first, 0) for first in range(0, num_frames - frames + 1, frames)]
    rest = num_frames % frames
    if rest:
        windows.append((num_frames - frames, frames - rest))
    return windows
