"""One job of the conversion: its share of a list's files as 16 kHz mono 16-bit WAV.

A file that is there is complete, because it got its name when it was, and is not made again. Files that are
WAV already are left where they are. What cannot be converted stands in failed.JOB.tsv of the output folder.
"""

from __future__ import annotations

import signal
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import soundfile

from svmixer.audio import AudioError, read_audio, to_mono_16k, to_pcm16
from svmixer.audio.dumpset import RATE
from svmixer.audio.share import job_range
from svmixer.cli.main import failed
from svmixer.config import parse_args
from svmixer.fileio import atomic_path, atomic_write
from svmixer.lists import ListError, iter_table
from svmixer.log import get_logger

logger = get_logger("convert")

_REPORT_EVERY = 10.0  # seconds


@dataclass(frozen=True)
class ConvertConfig:
    """Options of the conversion."""

    # List of utterance and file.
    scp: str
    # Folder of the results: idXXXXX/VIDEO/00001.wav.
    output_dir: str
    # How many jobs share the list.
    num_jobs: int = 1
    # Which of them this is, from 1.
    job: int = 1

    def __post_init__(self) -> None:
        if not 1 <= self.job <= self.num_jobs:
            raise ValueError(f"job {self.job} of {self.num_jobs}: jobs count from 1 to num_jobs")


def converted(path: str, output_dir: str | Path) -> Path:
    """Where the result for ``…/idXXXXX/VIDEO/00001.m4a`` goes; the path itself if it is a WAV file."""
    source = Path(path)
    if source.suffix.lower() == ".wav":
        return source
    return Path(output_dir, *source.parts[-3:]).with_suffix(".wav")


def convert_file(source: str, target: Path) -> None:
    """Decode ``source``, mix its channels, resample, and write ``target`` in one go.

    Raises:
        AudioError: the source cannot be read, or is empty.
    """
    for half in target.parent.glob(f".{target.name}.*.tmp"):  # of a run that was killed
        half.unlink(missing_ok=True)
    wave, rate = read_audio(source)
    pcm = to_pcm16(to_mono_16k(wave, rate, RATE))
    with atomic_path(target) as temporary:
        soundfile.write(temporary, pcm, RATE, "PCM_16", format="WAV")


def convert_share(config: ConvertConfig) -> None:
    """Convert the job's share of the list; say what was done, and list what failed."""
    entries = list(iter_table(config.scp))
    share = [entries[row] for row in job_range(len(entries), config.num_jobs, config.job)]
    made = there = 0
    failed: list[str] = []
    begun = reported = time.monotonic()
    for place, (_, utterance, source) in enumerate(share, 1):
        target = converted(source, config.output_dir)
        if target.is_file():
            there += 1
            continue
        try:
            convert_file(source, target)
            made += 1
        except AudioError as error:
            failed.append("\t".join((utterance, " ".join(error.what.split()), source)) + "\n")
            logger.warning("not converted: %s", error)
        now = time.monotonic()
        if now - reported > _REPORT_EVERY:
            reported = now
            left = (now - begun) / (made + len(failed)) * (len(share) - place)
            logger.info("%d of %d files, %.0f s left at most", place, len(share), left)
    with atomic_write(Path(config.output_dir, f"failed.{config.job}.tsv")) as stream:
        stream.writelines(failed)
    logger.info("job %d: %d converted, %d there already, %d failed", config.job, made, there, len(failed))


def main() -> None:
    # A dispatcher's TERM must unwind, so that the half-written file is removed.
    signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(128 + number))
    config = parse_args(ConvertConfig, description=__doc__)
    try:
        convert_share(config)
    except (ListError, OSError) as error:
        raise failed(str(error)) from None


if __name__ == "__main__":
    main()
