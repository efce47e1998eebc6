"""The speech of a recording without what surrounds it, where that is much: what enrol and verify embed.

Windows of noise or silence have embeddings, too, and two recordings with the same noise would be alike by it.
Recordings that are mostly speech stay as they are.
"""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass

import numpy as np

from svmixer.audio.speech import FLOOR_DB, RANGE_DB, speech_level
from svmixer.inference.speech_detection import speech_detector
from svmixer.inference.utterance import Source

FRAME = 0.032  # seconds; that of the detector
# Samples that are looked at together: bounds the memory.
FRAMES_AT_ONCE = 1500
# Kept on both sides of speech, seconds: soft sounds, and pauses between words.
MARGIN = 0.3
# What is left out is at least so long, in seconds, and leaves at most this share of the recording.
LEAST_LEFT_OUT, MOST_KEPT = 3.0, 0.6
# With less speech, in seconds and as a share of what by its level may be speech, it is music or noise.
LEAST_SECONDS, LEAST_SHARE = 0.2, 0.05


@dataclass(frozen=True)
class SpeechParts:
    """What to embed of a recording."""

    # The recording, or its speech where that is far shorter.
    source: Source
    # Seconds of speech in it by the detector; None where no detector is installed.
    seconds: float | None
    # Whether the detector takes it for music or noise; it is then left as it is.
    hardly: bool


def speech_parts(source: Source, rate: int) -> SpeechParts:
    """Look where the speech of a recording is, by the detector where it is installed, else by level.

    By level, speech is above what :func:`svmixer.audio.speech.speech_level` says. The recording is read once;
    longer ones than 48 s once more when they are embedded.

    Raises:
        UtteranceError: samples that are not finite.
        AudioError: a part of it cannot be read.
    """
    detector, size = speech_detector(rate), round(FRAME * rate)
    found, levels = [], []
    for first in range(0, source.num_samples, FRAMES_AT_ONCE * size):
        wave = source.samples(first, min(FRAMES_AT_ONCE * size, source.num_samples - first))
        # Without a constant offset, which is no sound.
        power = wave[: len(wave) // size * size].reshape(-1, size).var(axis=1)
        levels.append(10 * np.log10(power + 1e-12))
        if detector:
            found.append(detector(wave))
    if source.num_samples <= FRAMES_AT_ONCE * size:
        source = dataclasses.replace(source, read=lambda first, count: wave[first : first + count])
    level = np.concatenate(levels)
    loud = level >= max(level.max(initial=FLOOR_DB) - RANGE_DB, FLOOR_DB)
    if not detector:
        # However faint the recording is: what is soft in it is not silence.
        speech = level > speech_level(level, level.max(), floor=-np.inf) if len(level) else loud
        return SpeechParts(_shortened(source, speech, level, rate), None, False)
    speech = np.concatenate(found)
    hardly = speech.sum() * FRAME < max(LEAST_SECONDS, LEAST_SHARE * loud.sum() * FRAME)
    kept = source if hardly else _shortened(source, speech, level, rate)
    return SpeechParts(kept, float(speech.sum() * FRAME), bool(hardly))


def _shortened(source: Source, speech: np.ndarray, level: np.ndarray, rate: int) -> Source:
    """The parts of a recording around the frames ``bool (F,)`` that are speech, one after the other.

    Of frames beside them, those count whose level ``(F,)`` is not that of silence.
    """
    if not speech.any():
        return source
    size, margin = round(FRAME * rate), math.ceil(MARGIN / FRAME)
    near = np.convolve(speech, np.ones(2 * margin + 1), "full")[margin:-margin] > 0
    kept = speech | (near & (level >= min(FLOOR_DB, level.max() - RANGE_DB)))
    edges = np.flatnonzero(np.diff(np.concatenate([[False], kept, [False]])))
    starts, ends = edges[::2] * size, edges[1::2] * size
    if kept[-1]:
        # What is no whole frame any more.
        ends[-1] = source.num_samples
    lengths = ends - starts
    total = int(lengths.sum())
    if source.num_samples - total < LEAST_LEFT_OUT * rate or total > MOST_KEPT * source.num_samples:
        return source
    places = np.concatenate([[0], np.cumsum(lengths)])  # of the parts in what is kept

    def read(first: int, count: int) -> np.ndarray:
        pieces, part = [], int(np.searchsorted(places, first, "right")) - 1
        while count > 0:
            inside = first - int(places[part])
            taken = min(count, int(lengths[part]) - inside)
            pieces.append(source.read(int(starts[part]) + inside, taken))
            first, count, part = first + taken, count - taken, part + 1
        return np.concatenate(pieces)

    return dataclasses.replace(source, num_samples=total, read=read)
