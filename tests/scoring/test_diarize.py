"""Parts of diarisation, by hand."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from svmixer.audio.speech import speech_frames
from svmixer.inference.utterance import wave_source
from svmixer.scoring.diarize import best_path, speech_spans, turns_of

RATE = 16000


def test_a_path_by_hand():
    scores = np.float32([[2, 0], [0, 1], [2, 0], [0, 5], [0, 5]])
    # A change costs 2: the dip in the second step is not worth two of them, the last two steps are worth one.
    assert best_path(scores, 2).tolist() == [0, 0, 0, 1, 1]
    assert best_path(scores, 0).tolist() == [0, 1, 0, 1, 1]
    assert best_path(scores, 100).tolist() == [1, 1, 1, 1, 1]
    assert best_path(scores[:1], 2).tolist() == [0]


@pytest.mark.parametrize("seed", range(5))
def test_no_path_is_better(seed):
    rng = np.random.default_rng(seed)
    scores, change = rng.standard_normal((6, 3)), 0.7

    def worth(path) -> float:
        return sum(scores[step, who] for step, who in enumerate(path)) - change * sum(
            one != other for one, other in itertools.pairwise(path)
        )

    best = max(itertools.product(range(3), repeat=6), key=worth)
    assert worth(best_path(scores, change)) == pytest.approx(worth(best))


def test_speech_and_pauses():
    noise = np.random.default_rng(0).standard_normal(10 * RATE).astype(np.float32)
    level = np.zeros(10 * RATE, np.float32)
    for first, last in ((1.0, 3.0), (3.3, 4.0), (6.0, 6.1), (8.0, 9.0)):
        level[round(first * RATE) : round(last * RATE)] = 0.1
    source = wave_source(noise * level)
    flags = speech_frames(source.read, source.num_samples, RATE)
    assert flags.shape == (500,) and flags[50:150].all() and not flags[:50].any()
    # 0.3 s of pause ends nothing, a tenth of a second of sound begins nothing.
    assert speech_spans(source, RATE) == [(RATE, 4 * RATE), (8 * RATE, 9 * RATE)]


def test_turns_by_hand():
    path = np.array([0, 0, 0, 1, 1, 1, 1, 0, 0, 0])  # five seconds
    spans = [(round(0.2 * RATE), 4 * RATE), (round(4.9 * RATE), 5 * RATE)]
    found = [(start / RATE, end / RATE, who) for start, end, who in turns_of(path, spans, RATE)]
    assert found == [(0.2, 1.5, 0), (1.5, 3.5, 1), (3.5, 4.0, 0)]
