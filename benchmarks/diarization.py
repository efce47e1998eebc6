"""Errors of svmixer diarize on meetings put together from recordings of single speakers:

python benchmarks/diarization.py --audio_dir DIR, with a folder for each speaker.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, replace

import numpy as np
from measure import Result, command_line, write_result

from svmixer.audio import read_audio, to_mono_16k, trim_silence
from svmixer.audio.speaker_folders import find_speakers
from svmixer.config import parse_args
from svmixer.inference import Rule
from svmixer.scoring.diarize import Turn, diarize
from svmixer.scoring.sides import side_of
from svmixer.scoring.verifier import Verifier

RATE = 16000
# Frames of errors a second.
FRAMES = 100
PAUSE = -1


@dataclass(frozen=True)
class DiarizationConfig:
    """Options of the script."""

    # Folder with a folder of recordings for each speaker.
    audio_dir: str
    # Model directory, or the name of a model that comes with the package.
    model: str = "pocket2"
    # Meetings, each of other speakers.
    meetings: int = 5
    # Of each, speakers who are enrolled.
    enrolled: int = 4
    # Of each, speakers who are not.
    strangers: int = 2
    # Of each, how often somebody speaks.
    turns: int = 60
    # Recordings that enrol a speaker.
    enrolments: int = 3
    # The most recordings that a turn has.
    longest: int = 3
    # Operating points.
    points: tuple[str, ...] = ("balanced", "standard")
    # true: one meeting of six turns.
    quick: bool = False
    # Folder for the results.
    output: str = "exp/benchmark"


@dataclass(frozen=True)
class Meeting:
    """A made-up meeting."""

    # float32 (N,)
    wave: np.ndarray
    # Speaker of each frame, int (F,): strangers come behind the enrolled; PAUSE: nobody.
    truth: np.ndarray
    # Enrolled speaker → recordings.
    people: dict[str, list[str]]


def main(argv: list[str] | None = None) -> None:
    """Make the meetings, look for the enrolled in them, print the errors."""
    config = parse_args(DiarizationConfig, argv, __doc__)
    if config.quick:
        config = replace(config, meetings=1, turns=6)
    found = find_speakers(config.audio_dir)
    recordings: dict[str, list[str]] = {}
    for utterance, path in found.wav_scp.items():
        recordings.setdefault(found.utt2spk[utterance], []).append(path)
    meetings = [make_meeting(config, recordings, seed) for seed in range(config.meetings)]
    rows, figures = [], {}
    for point in config.points:
        errors, speed = zip(*(look(config, meeting, point) for meeting in meetings), strict=True)
        mean = 100 * np.mean(errors, axis=0)
        rows.append([point, *(f"{value:.1f}" for value in mean), f"{np.median(speed):.0f}"])
        figures[point] = dict(zip(("missed", "confused", "strangers"), map(float, mean), strict=True))
    seconds = np.mean([len(meeting.wave) for meeting in meetings]) / RATE
    result = Result(
        name="diarization",
        title=f"Who of the enrolled speaks when, {config.model}",
        command=command_line(),
        header=["operating point", "missed %", "confused %", "strangers named %", "times real time"],
        rows=rows,
        align="lrrrr",
        figures=figures,
        notes=[
            f"{config.meetings} meetings of {seconds:.0f} s on average, {config.turns} turns of "
            f"{config.enrolled} enrolled speakers and {config.strangers} others, one at a time.",
            "Missed and confused: of the time in which the enrolled speak.",
        ],
    )
    print(write_result(result, config.output))


def make_meeting(config: DiarizationConfig, recordings: dict[str, list[str]], seed: int) -> Meeting:
    """Turns of one to a few recordings with pauses between them; nobody has two turns in a row."""
    rng = np.random.default_rng(seed)
    people = [str(name) for name in rng.permutation(sorted(recordings))[: config.enrolled + config.strangers]]
    parts, truth, speaker = [], [], -1
    for _ in range(config.turns):
        speaker = int(rng.choice([at for at in range(len(people)) if at != speaker]))
        left = recordings[people[speaker]][config.enrolments :]
        count = int(rng.integers(1, config.longest + 1))
        spoken = np.concatenate([load(str(path)) for path in rng.choice(left, count)])
        pause = np.zeros(round(rng.uniform(0.1, 1.0) * RATE), np.float32)
        for part, who in ((spoken, speaker), (pause, PAUSE)):
            parts.append(part)
            truth.append(np.full(len(part), who))
    wave = np.concatenate(parts)
    # A room is never quite silent.
    wave = wave + 1e-4 * rng.standard_normal(len(wave)).astype(np.float32)
    enrolled = {name: recordings[name][: config.enrolments] for name in people[: config.enrolled]}
    return Meeting(wave, np.concatenate(truth)[:: RATE // FRAMES], enrolled)


def load(path: str) -> np.ndarray:
    """The speech of a recording ``float32 (N,)`` without silence at its ends."""
    wave = to_mono_16k(*read_audio(path))
    first, last = trim_silence(wave, RATE)
    return wave[first:last] if last else wave


def look(config: DiarizationConfig, meeting: Meeting, point: str) -> tuple[np.ndarray, float]:
    """Shares missed, confused and of strangers named ``(3,)``; and how many times faster than real time."""
    verifier = Verifier(config.model, rule=Rule(point))
    for name, recordings in meeting.people.items():
        verifier.enrol(name, recordings)
    sides = {name: side_of(enrolled) for name, enrolled in verifier.store.speakers().items()}
    began = time.perf_counter()
    turns = list(diarize(verifier.decider, meeting.wave, sides))
    took = time.perf_counter() - began
    return errors_of(turns, meeting), len(meeting.wave) / RATE / took


def errors_of(turns: list[Turn], meeting: Meeting) -> np.ndarray:
    """Shares missed, confused and of strangers named ``(3,)``."""
    names = list(meeting.people)
    said = np.full(len(meeting.truth), PAUSE)
    for turn in turns:
        said[round(turn.start * FRAMES) : round(turn.end * FRAMES)] = names.index(turn.speaker)
    known = (meeting.truth >= 0) & (meeting.truth < len(names))
    strange = meeting.truth >= len(names)
    missed = (said[known] == PAUSE).mean()
    confused = ((said[known] != PAUSE) & (said[known] != meeting.truth[known])).mean()
    return np.array([missed, confused, (said[strange] != PAUSE).mean() if strange.any() else 0.0])


if __name__ == "__main__":
    main()
