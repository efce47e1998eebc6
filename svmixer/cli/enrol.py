"""Enrol speakers by name, or write a speaker's embedding: svmixer enrol FILE... --name NAME

Those who are enrolled are kept in a file that its owner alone can read; `svmixer identify` and `svmixer
verify --name` compare with them, `svmixer speakers` lists and deletes them. More recordings of a name are
added to those that there are. With --audio_dir every folder right below a folder is a speaker. With --output
the embedding is written into a file instead.

    svmixer enrol a.wav b.wav --name ann
    svmixer enrol --audio_dir voices
    svmixer enrol a.wav b.wav --output ann.npy
"""

from __future__ import annotations

import json
import sys
from collections import defaultdict
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

import numpy as np

from svmixer.cli.main import failed
from svmixer.cli.options import ModelOptions
from svmixer.config import parse_args
from svmixer.errors import SvmixerError, UsageError
from svmixer.fileio import atomic_write
from svmixer.log import Progress, get_logger, one_line
from svmixer.scoring.store import StoreError, clean_name

if TYPE_CHECKING:
    from svmixer.scoring.verifier import Enrolment, Verifier

logger = get_logger(__name__)


@dataclass(frozen=True)
class EnrolConfig(ModelOptions):
    """Options of ``svmixer enrol``."""

    # Who speaks in the recordings.
    name: str = ""
    # Folder that has a folder of recordings for each speaker, who are called after them.
    audio_dir: str = ""
    # File for the speaker's embedding (.npy), which `svmixer verify` takes in place of a recording.
    output: str = ""
    # File that those who are enrolled are kept in; without it the one of the user, $SVMIXER_STORE or
    # ~/.local/share/svmixer/speakers.db.
    store: str = ""
    # true: print an object that says who was enrolled from how many recordings.
    json: bool = False

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.output and not self.output.endswith(".npy"):
            raise ValueError(f"output: '{self.output}' does not end with .npy")


def main(argv: list[str] | None = None) -> None:
    """Enrol; a speaker with a recording that cannot be read is not enrolled, named, and the status is 1."""
    config = parse_args(EnrolConfig, argv, __doc__)
    how = "svmixer enrol FILE... --name NAME, --audio_dir DIR, or FILE... --output SPEAKER.npy"
    if sum(map(bool, (config.name, config.audio_dir, config.output))) != 1:
        raise UsageError(f"name, audio_dir, output: give one of them: {how}")
    if bool(config.files) == bool(config.audio_dir):
        raise UsageError(
            f"{'recordings or a folder, not both' if config.files else 'no recording given'}: {how}"
        )
    if config.output:
        verifier = config.verifier()
        side = verifier.side_from(config.files)
        with atomic_write(config.output, "wb", private=True) as stream:
            np.save(stream, side.embedding)
        doubts = verifier.decider.enrolment_doubts(side)
        for doubt in doubts:
            logger.warning("%s", doubt)
        if config.json:
            print(json.dumps({"model": config.model, "output": config.output, "doubts": list(doubts)}))
        return
    verifier = config.verifier(config.store)
    found, failures = enrol(verifier, speakers_of(config), printing=not config.json)
    if failures and not (found and config.json):
        raise SvmixerError("\n".join(failures))
    if config.json:
        speakers = [{"name": name, **asdict(one)} for name, one in found.items()]
        print(json.dumps({"model": config.model, "speakers": speakers, "failures": failures}))
    if failures:
        sys.stdout.flush()
        raise failed("\n".join(failures))


def speakers_of(config: EnrolConfig) -> dict[str, list[str]]:
    """Name → recordings, by --name or the folders of --audio_dir."""
    if config.name:
        return {config.name: list(config.files)}
    from svmixer.audio.speaker_folders import find_speakers

    found = find_speakers(config.audio_dir, drop_missing=True, least=1)
    for remark in found.left_out:
        logger.warning("%s", remark)
    names: dict[str, str] = {}
    for speaker, folder in found.folders.items():
        try:
            name = clean_name(folder)
        except StoreError:
            name = speaker
        names[speaker] = speaker if name in names.values() else name
        if names[speaker] != folder:
            logger.warning("%s: enrolled as '%s'", one_line(folder), names[speaker])
    recordings: dict[str, list[str]] = defaultdict(list)
    for utterance, path in found.wav_scp.items():
        recordings[names[found.utt2spk[utterance]]].append(path)
    return recordings


def enrol(
    verifier: Verifier, speakers: dict[str, list[str]], printing: bool
) -> tuple[dict[str, Enrolment], list[str]]:
    """Enrol speakers by name, each whole or not at all.

    Args:
        verifier: with a store.
        speakers: name → recordings.
        printing: a line for each.

    Returns:
        What was done of those who are enrolled, and a line for each who could not be.

    Raises:
        StoreError: the store cannot be used.
    """
    progress, failures = Progress(logger, len(speakers), "speakers"), []
    done: dict[str, Enrolment] = {}
    for number, (name, recordings) in enumerate(speakers.items(), 1):
        try:
            done[name] = found = verifier.enrol(name, recordings)
        except StoreError:
            raise
        except SvmixerError as error:
            failures.append(str(error) if len(speakers) == 1 else f"{name} is not enrolled: {error}")
        else:
            if printing:
                print(f"{name}: {found.new} new, {found.recordings} recordings in all")
            for doubt in found.doubts:
                logger.warning("%s: %s", name, doubt)
        progress.update(number)
    return done, failures
