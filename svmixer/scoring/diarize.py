"""Who of the enrolled speaks when in a long recording.

Windows of the model's length are scored against everybody every half second, a path that does not change
speakers without need is taken through the scores, and every turn of it is then identified like a recording
of its own, so that those who are not enrolled get no name.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby

import numpy as np

from svmixer.audio import LongWave
from svmixer.audio.quality import QualityMeter
from svmixer.audio.speech import FRAME, speech_frames
from svmixer.inference.utterance import WINDOWS_AT_ONCE, Source, source_windows, unit_length, wave_source
from svmixer.inference.verification import Verdict
from svmixer.log import Progress, get_logger
from svmixer.scoring.decision import Decider, check_somebody
from svmixer.scoring.sides import Side

logger = get_logger(__name__)

# Seconds from one window to the next: the grid that turns change on.
STEP = 0.5
# What a change of speakers costs, as a log-likelihood ratio and as a cosine.
_CHANGE, _CHANGE_COSINE = 8.0, 0.4
# A pause up to this long (seconds) does not end a turn; a turn below that is too short to be one.
_PAUSE, _SHORTEST = 0.5, 0.5


@dataclass(frozen=True)
class Turn:
    """A stretch of speech of one of the enrolled."""

    # Seconds.
    start: float
    end: float
    speaker: str
    verdict: Verdict


def diarize(decider: Decider, wave: LongWave | np.ndarray, enrolled: Mapping[str, Side]) -> Iterator[Turn]:
    """Turns of the enrolled in a recording, in the order of time.

    Args:
        decider: of the model that they are enrolled with.
        wave: one channel ``(N,)`` at the model's rate.
        enrolled: by name.

    Raises:
        AudioError: a recording that cannot be used.
        SvmixerError: nobody is enrolled.
    """
    check_somebody(enrolled)
    source, rate = wave_source(wave), decider.embedder.model.sample_rate
    spans = speech_spans(source, rate)
    # Everything has been read: nothing but zeros, or channels that cancel each other, is an error.
    source.finish()
    change = _CHANGE_COSINE if decider.calibration is None else _CHANGE
    path = best_path(step_scores(decider, source, list(enrolled.values())), change)
    for start, end, _ in turns_of(path, spans, rate):
        # Of the turn as a whole: longer than a window, it knows better who it is than its steps do.
        (name, verdict), *_ = decider.rank(enrolled, _side(decider, source, start, end), top=1).ranked
        if verdict.same:
            yield Turn(start / rate, end / rate, name, verdict)


def step_scores(decider: Decider, source: Source, enrolled: Sequence[Side]) -> np.ndarray:
    """Log-likelihood ratios ``float32 (S, N)`` of every step of half a second for N speakers.

    A step has the mean of all the windows that it lies in.
    """
    model = decider.embedder.model
    hop, window = round(STEP * model.sample_rate), model.window
    starts = np.arange(0, max(source.num_samples - window, 0) + hop, hop)
    starts = np.minimum(starts, max(source.num_samples - window, 0))
    steps = -(-source.num_samples // hop)
    total, count = np.zeros((steps, len(enrolled)), np.float32), np.zeros((steps, 1), np.float32)
    progress = Progress(logger, len(starts), "windows")
    for first in range(0, len(starts), WINDOWS_AT_ONCE):
        some = starts[first : first + WINDOWS_AT_ONCE]
        waves = np.stack(list(source_windows(source, some, window)))
        sides = [Side(vector) for vector in unit_length(model.embed_windows(waves))]
        scores = decider.scores(sides, enrolled)
        for start, row in zip(some, scores, strict=True):
            part = slice(start // hop, -(-(start + window) // hop))
            total[part] += row
            count[part] += 1
        progress.update(first + len(some))
    return total / count


def best_path(scores: np.ndarray, change: float) -> np.ndarray:
    """The speaker of each step, ``int (S,)``: the highest sum of scores ``(S, N)``, less ``change`` for every
    step whose speaker is another than the one before (Viterbi)."""
    best = scores[0].astype(np.float64)
    came = np.zeros(scores.shape, np.int32)
    for step in range(1, len(scores)):
        leader = int(best.argmax())
        stays = best >= best[leader] - change
        came[step] = np.where(stays, np.arange(len(best)), leader)
        best = np.where(stays, best, best[leader] - change) + scores[step]
    path = np.empty(len(scores), np.int64)
    path[-1] = best.argmax()
    for step in range(len(scores) - 1, 0, -1):
        path[step - 1] = came[step, path[step]]
    return path


def speech_spans(source: Source, rate: int) -> list[tuple[int, int]]:
    """First sample of each stretch of speech and the one behind its last; short pauses do not end one."""
    frame = round(FRAME * rate)
    flags = speech_frames(source.read, source.num_samples, rate)
    spans: list[tuple[int, int]] = []
    for first in np.flatnonzero(flags):
        begin, end = int(first) * frame, (int(first) + 1) * frame
        if spans and begin - spans[-1][1] <= _PAUSE * rate:
            spans[-1] = (spans[-1][0], end)
        else:
            spans.append((begin, end))
    return [span for span in spans if span[1] - span[0] >= _SHORTEST * rate]


def turns_of(path: np.ndarray, spans: Sequence[tuple[int, int]], rate: int) -> Iterator[tuple[int, int, int]]:
    """(first sample, the one behind the last, speaker) of each stretch of speech of one speaker.

    Args:
        path: the speaker of each step ``int (S,)``.
        spans: of speech, in samples.
        rate: samples a second.
    """
    hop = round(STEP * rate)
    for begin, end in spans:
        steps = range(begin // hop, -(-end // hop))
        for speaker, group in groupby(steps, lambda step: int(path[step])):
            members = list(group)
            start, stop = max(begin, members[0] * hop), min(end, (members[-1] + 1) * hop)
            if stop - start >= _SHORTEST * rate:
                yield start, stop, speaker


def _side(decider: Decider, source: Source, start: int, end: int) -> Side:
    """A stretch of a recording as one of its own."""
    model = decider.embedder.model
    meter = QualityMeter(model.sample_rate)
    piece = Source("", end - start, meter.reading(lambda first, count: source.read(start + first, count)))
    ((_, vector),) = model.embed_sources([piece])
    return Side(vector, (meter.quality(end - start),))
