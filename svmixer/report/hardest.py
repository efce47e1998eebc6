"""The trials that a system decides wrongly with the most confidence, and what they sound like."""

from __future__ import annotations

import base64
import io
from dataclasses import dataclass

import numpy as np

from svmixer.audio import AudioError, DumpSet
from svmixer.audio.dumpset import RATE
from svmixer.lists import ListError
from svmixer.report.results import Result
from svmixer.scoring.metrics import equal_error_rate, error_rates

# Seconds of a recording that a page holds, from its middle.
CLIP_SECONDS = 4.0
# Bytes of all clips of a page; those beyond are left out.
CLIP_BYTES = 1_500_000


@dataclass(frozen=True)
class WrongTrial:
    """A trial on the wrong side of the threshold of the equal error rate."""

    target: bool
    enrol: str
    test: str
    score: float
    # How far the score lies on the wrong side.
    margin: float


def wrong_trials(result: Result, most: int = 6) -> list[WrongTrial]:
    """Up to ``most`` targets with the lowest scores, then as many non-targets with the highest, all of them
    decided wrongly; equal scores in the order of the list.
    """
    trials = result.trials()
    scores, labels = result.load()
    _, threshold = equal_error_rate(error_rates(scores, labels))
    found = []
    for target in (True, False):
        margins = threshold - scores if target else scores - threshold
        # A score at the threshold is accepted.
        wrong = np.flatnonzero((labels == target) & ((margins > 0) if target else (margins >= 0)))
        for row in wrong[np.argsort(-margins[wrong], kind="stable")][:most]:
            names = (trials.utterances[side[row]] for side in (trials.enrol, trials.test))
            found.append(WrongTrial(target, *names, float(scores[row]), float(margins[row])))
    return found


def clips(result: Result, utterances: list[str], room: int) -> dict[str, str]:
    """Utterance → its middle as a ``data:`` address, for those that are at hand and fit.

    Args:
        result: on whose test set.
        utterances: in the order in which they matter.
        room: bytes that all addresses may take.
    """
    try:
        dump = DumpSet(result.metrics["data_dir"])
    except (ListError, OSError):
        return {}
    index = {name: number for number, name in enumerate(dump.utterances)}
    found: dict[str, str] = {}
    for name in dict.fromkeys(utterances):
        number = index.get(name, -1)
        if number < 0:
            continue
        samples = min(int(CLIP_SECONDS * RATE), int(dump.num_samples[number]))
        try:
            wave = dump.read(number, (int(dump.num_samples[number]) - samples) // 2, samples)
        except AudioError:
            continue
        address = _data_address(wave)
        if len(address) > room:
            break
        room -= len(address)
        found[name] = address
    return found


def _data_address(wave: np.ndarray) -> str:
    """A waveform ``(N,)`` of 16 kHz as MP3 where libsndfile writes it, else as 16-bit WAV."""
    import soundfile

    # Every browser plays MP3; Safari has known Opus in Ogg for a short while only.
    mp3 = "MP3" in soundfile.available_formats()
    stream = io.BytesIO()
    soundfile.write(stream, wave, RATE, format="MP3" if mp3 else "WAV")
    return f"data:audio/{'mpeg' if mp3 else 'wav'};base64,{base64.b64encode(stream.getvalue()).decode()}"
