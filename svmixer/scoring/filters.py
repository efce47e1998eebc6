"""Low-pass filter that takes the upper band away from every system alike.

Recordings of one voice often share a recording set-up, and the set-up shows above the telephone band. A
second figure with everything low-passed tells how much of a result comes from there.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np

from svmixer.errors import SvmixerError

# Width of the transition band below the edge, Hz.
TRANSITION_HZ = 200.0
# Attenuation from the edge on, dB: under the rounding noise of 16-bit audio, so that nothing can be amplified
# back.
STOPBAND_DB = 100.0


def lowpass(wave: np.ndarray, edge_hz: float, sample_rate: int = 16000) -> np.ndarray:
    """``wave (N,)`` without what lies at or above ``edge_hz``: float32 ``(N,)``, not delayed.

    A linear-phase FIR filter (Kaiser window): flat up to ``edge_hz - 200`` Hz, 100 dB down from ``edge_hz``
    on. The wave counts as silence outside its ends.

    Raises:
        ValueError: ``edge_hz`` is not between 200 Hz and half the sample rate.
    """
    from scipy.signal import oaconvolve

    taps = _design(edge_hz, sample_rate)
    half = len(taps) // 2
    if not len(wave):
        return np.zeros(0, dtype=np.float32)
    filtered = oaconvolve(np.asarray(wave, dtype=np.float64), taps)
    return filtered[half : half + len(wave)].astype(np.float32)


def lowpass_reach(edge_hz: float, sample_rate: int = 16000) -> int:
    """Samples on either side that a sample of :func:`lowpass` depends on."""
    return len(_design(edge_hz, sample_rate)) // 2


@lru_cache(maxsize=8)
def _design(edge_hz: float, sample_rate: int) -> np.ndarray:
    """Odd number of symmetric filter taps."""
    from scipy.signal import firwin, kaiserord

    if not TRANSITION_HZ < edge_hz < sample_rate / 2:
        raise SvmixerError(
            f"a low-pass edge lies between {TRANSITION_HZ:g} and {sample_rate / 2:g} Hz, found {edge_hz:g}"
        )
    taps, beta = kaiserord(STOPBAND_DB, TRANSITION_HZ / (sample_rate / 2))
    return firwin(taps | 1, edge_hz - TRANSITION_HZ / 2, window=("kaiser", beta), fs=sample_rate)
