"""Who of the enrolled speaks when in a long recording: svmixer diarize RECORDING [ENROLLED...]

Looks for everybody who was enrolled with `svmixer enrol`, or for the speakers of further files as `svmixer
identify` takes them. Writes a line for each turn in RTTM, times in seconds; speech of others has none.

    svmixer enrol --audio_dir voices
    svmixer diarize meeting.wav --output meeting.rttm

Turns are found on a grid of half a second, by windows of three seconds: short interjections are missed, and
of several who speak at once one is named at most. Nobody is told apart who is not enrolled. Turns of less
speech than the model is calibrated for are named, too; --json says that they are uncertain, and why.

Exit status: 0 when there is an answer; 1 when a recording or model cannot be read; 2 for a command line that
makes no sense.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from svmixer.cli.options import DecisionOptions
from svmixer.config import parse_args
from svmixer.errors import UsageError
from svmixer.fileio import atomic_write
from svmixer.log import get_logger

if TYPE_CHECKING:
    from svmixer.scoring.diarize import Turn

logger = get_logger(__name__)


@dataclass(frozen=True)
class DiarizeConfig(DecisionOptions):
    """Options of ``svmixer diarize``."""

    # Of a model with a calibration: balanced (equal errors; taken without this option), standard (1 % false
    # accepts) or strict (0.1 %); of a turn, and of all who are enrolled together.
    operating_point: str = ""
    # File for the turns (RTTM); without it they are printed.
    output: str = ""


def main(argv: list[str] | None = None) -> None:
    """Write the turns; a recording that cannot be read ends with one line and status 1."""
    config = parse_args(DiarizeConfig, argv, __doc__)
    if not config.files:
        raise UsageError("no recording given: svmixer diarize RECORDING [ENROLLED...]")
    from svmixer.inference.utterance import one_channel_at
    from svmixer.scoring.decision import Decider
    from svmixer.scoring.diarize import diarize

    recording, *files = config.files
    verifier = config.verifier(None if files else config.store, config.rule)
    enrolled = {name: verifier.side_from([file]) for name, file in named(files).items()} or verifier.sides()
    decider = verifier.decider
    if decider.calibration is not None and not config.operating_point:
        decider = Decider(verifier.embedder, replace(config.rule, operating_point="balanced"))
    wave = one_channel_at(recording, None, verifier.embedder.model.sample_rate, config.channel)
    turns = list(diarize(decider, wave, enrolled))
    if not turns:
        logger.warning("%s: nobody of the %d enrolled is heard", recording, len(enrolled))
    if config.json:
        text = json.dumps([as_object(turn) for turn in turns], ensure_ascii=False) + "\n"
    else:
        name = Path(recording).stem
        text = "".join(rttm_line(name, turn) for turn in turns)
    if config.output:
        with atomic_write(config.output) as stream:
            stream.write(text)
    else:
        print(text, end="")


def named(files: Sequence[str]) -> dict[str, str]:
    """Speaker → file: they are called as their files, without folder and ending.

    Raises:
        UsageError: two of one name.
    """
    found: dict[str, str] = {}
    for file in files:
        other = found.setdefault(Path(file).stem, file)
        if other != file:
            raise UsageError(f"{other}, {file}: speakers are called as their files, and these are alike")
    return found


def rttm_line(recording: str, turn: Turn) -> str:
    """A turn in the form of the Rich Transcription evaluations; names have no spaces there."""
    recording, speaker = (re.sub(r"\s", "_", name) for name in (recording, turn.speaker))
    times = f"{turn.start:.2f} {turn.end - turn.start:.2f}"
    return f"SPEAKER {recording} 1 {times} <NA> <NA> {speaker} <NA> <NA>\n"


def as_object(turn: Turn) -> dict[str, object]:
    """A turn for ``--json``."""
    found = {"start": round(turn.start, 2), "end": round(turn.end, 2), "speaker": turn.speaker}
    verdict = turn.verdict
    about = {"uncertain": verdict.uncertain, "doubts": list(verdict.doubts)}
    return {**found, "ratio": verdict.ratio, "score": verdict.score, **about}
