"""One job of the dump: its share of the utterances as 16 kHz mono 16-bit WAV in a Kaldi archive.

What is written for an utterance depends on its sources alone, never on the number of jobs. A job's lists
take their names after its archive, the scp last: a complete scp stands for a finished job.
"""

from __future__ import annotations

import contextlib
import dataclasses
import os
import time
from collections.abc import Iterable, Iterator
from io import BytesIO
from pathlib import Path
from typing import IO, Literal

import numpy as np

from svmixer.audio.checks import MIN_SECONDS, check_length
from svmixer.audio.dumpset import RATE
from svmixer.audio.errors import AudioError
from svmixer.audio.pieces import RecordingCache, channel_error, original_length, utterance_pcm
from svmixer.audio.share import Utterance, read_share, utterance_list
from svmixer.fileio import atomic_path, atomic_write
from svmixer.lists import ListError, find_source, parse_source, write_table
from svmixer.lists.overlap import sound_lists, warn_of_overlap
from svmixer.log import get_logger

logger = get_logger(__name__)

DROPPED_HEADER = "utterance\treason\tsource\n"
_REPORT_EVERY = 10.0  # seconds between progress lines
_WARNINGS = 20  # dropped utterances that the log names; the list has them all


@dataclasses.dataclass(frozen=True)
class DumpConfig:
    """Options of ``python -m svmixer dump``."""

    # Data directory with wav.scp and, where utterances are not whole recordings, segments or parts.
    data_dir: str
    # Directory of the dumped set; archives and the jobs' lists go to its data folder.
    output_dir: str
    # How many jobs share the utterances.
    num_jobs: int = 1
    # Which of them this is, from 1.
    job: int = 1
    # raw: write 16 kHz mono 16-bit archives; raw_copy: list the originals, which must be just that already.
    feats_type: Literal["raw", "raw_copy"] = "raw"
    # Cut leading and trailing silence off every piece.
    trim: bool = False
    # Run the commands that wav.scp holds.
    allow_pipes: bool = False
    # Shorter utterances are dropped (seconds).
    min_seconds: float = MIN_SECONDS

    def __post_init__(self) -> None:
        if self.num_jobs < 1 or not 1 <= self.job <= self.num_jobs:
            raise ValueError(f"job {self.job} of {self.num_jobs}: jobs count from 1 to num_jobs")
        if self.min_seconds < 0:
            raise ValueError(f"min_seconds {self.min_seconds} is negative")
        if self.feats_type == "raw_copy" and self.trim:
            raise ValueError("feats_type raw_copy changes nothing, so it cannot trim; use feats_type raw")


@dataclasses.dataclass(frozen=True)
class JobFiles:
    """The files of job ``job`` in a dump directory."""

    output_dir: str
    job: int

    @property
    def ark(self) -> Path:
        return Path(self.output_dir) / "data" / f"wav.{self.job}.ark"

    @property
    def scp(self) -> Path:
        return self.ark.with_name(f"wav.{self.job}.scp")

    @property
    def lengths(self) -> Path:
        return self.ark.with_name(f"utt2num_samples.{self.job}")

    @property
    def dropped(self) -> Path:
        return self.ark.with_name(f"dropped.{self.job}.tsv")

    def remove(self) -> None:
        """Remove what an earlier run left, half-written files of a killed one too; the scp goes first."""
        for path in (self.scp, self.lengths, self.dropped, self.ark):
            path.unlink(missing_ok=True)
            for half in path.parent.glob(f".{path.name}.*.tmp"):
                half.unlink(missing_ok=True)


def dump_job(config: DumpConfig) -> None:
    """Dump one job's share and write its lists.

    Raises:
        ListError: see :func:`svmixer.audio.share.read_share`; a list names a channel that its recording does
            not have; with ``raw_copy`` also a source that is not 16 kHz mono 16-bit WAV.
    """
    if config.feats_type == "raw_copy" and utterance_list(config.data_dir).name != "wav.scp":
        what = "feats_type raw_copy needs utterances that are whole recordings"
        raise ListError(what, path=utterance_list(config.data_dir), repair="--feats_type raw")
    if config.job == 1:
        folder = Path(config.data_dir)
        warn_of_overlap(folder, sound_lists(folder))
    share = read_share(config.data_dir, config.num_jobs, config.job, allow_pipes=config.allow_pipes)
    _check_apart(share, config)
    files = JobFiles(config.output_dir, config.job)
    files.remove()
    # The merged list of an earlier dump would point into archives that are about to change.
    (Path(config.output_dir) / "wav.scp").unlink(missing_ok=True)
    job = _Job(len(share), f"job {config.job} of {config.num_jobs}")
    if config.feats_type == "raw_copy":
        _list_originals(share, config, job)
    else:
        _write_ark(share, config, job, files.ark)
    with atomic_write(files.dropped) as stream:
        stream.writelines([DROPPED_HEADER, *job.dropped])
    write_table(files.lengths, job.lengths)
    write_table(files.scp, job.sources)
    logger.info(
        "%s finished: %d kept (%.2f h), %d dropped", job.name, len(job.sources), job.hours, len(job.dropped)
    )


def _check_apart(share: Iterable[Utterance], config: DumpConfig) -> None:
    """A dump removes what it is going to write; that must not be what it reads."""
    if os.path.realpath(config.data_dir) == os.path.realpath(config.output_dir):
        raise ListError("output_dir and data_dir are the same folder", path=config.output_dir)
    own = os.path.realpath(JobFiles(config.output_dir, config.job).ark.parent)
    sources = (find_source(piece.source) for utterance in share for piece in utterance.pieces)
    for folder in {os.path.dirname(source.path) for source in sources if source.kind != "pipe"}:
        if os.path.realpath(folder) == own:
            what = f"its recordings lie in {folder}, which this dump is about to overwrite"
            raise ListError(what, path=config.data_dir, repair="another --output_dir")


def _write_ark(share: Iterable[Utterance], config: DumpConfig, job: _Job, ark: Path) -> None:
    cache = RecordingCache(config.allow_pipes)
    with atomic_path(ark) as temporary, open(temporary, "wb") as stream:
        for utterance in share:
            with job.utterance(utterance):
                pcm = utterance_pcm(utterance, cache, trim=config.trim, min_seconds=config.min_seconds)
                offset = _append(stream, utterance.name, pcm)
                job.keep(utterance.name, f"{ark}:{offset}", len(pcm))


def _append(stream: IO[bytes], name: str, pcm: np.ndarray) -> int:
    """Add one entry; the position that ``wav.scp`` has to name."""
    offset = stream.tell() + len(name.encode()) + 1
    import kaldiio

    # Not into the file itself: kaldiio goes back to its header, which on a full disk fails a second time.
    entry = BytesIO()
    kaldiio.save_ark(entry, {name: (RATE, pcm)})
    stream.write(entry.getbuffer())
    return offset


def _list_originals(share: Iterable[Utterance], config: DumpConfig, job: _Job) -> None:
    for utterance in share:
        with job.utterance(utterance):
            [piece] = utterance.pieces
            source = piece.source
            if piece.channel and not piece.channel.taken:
                what = "feats_type raw_copy cannot take a channel out of a recording"
                raise channel_error(piece.channel, utterance.name, what, "--feats_type raw")
            num_samples = original_length(utterance.name, source, config.data_dir)
            check_length(num_samples, RATE, config.min_seconds)
            # A file whose name looks like a place in an archive: readers of dumps don't ask which it is.
            start = "" if find_source(source) == parse_source(source) else ":0"
            job.keep(utterance.name, source + start, num_samples)


class _Job:
    """The lists of a job while they grow, and its progress."""

    def __init__(self, total: int, name: str):
        self.name = name
        self.sources: dict[str, str] = {}
        self.lengths: dict[str, str] = {}
        self.dropped: list[str] = []
        self._total, self._samples = total, 0
        self._begin = self._reported = time.monotonic()

    @property
    def hours(self) -> float:
        return self._samples / RATE / 3600

    @contextlib.contextmanager
    def utterance(self, utterance: Utterance) -> Iterator[None]:
        """Handle one utterance: unusable audio is noted as dropped; progress is reported now and then."""
        try:
            yield
        except AudioError as error:
            cells = (utterance.name, error.what, error.source or utterance.sources)
            self.dropped.append("\t".join(" ".join(cell.split()) for cell in cells) + "\n")
            if len(self.dropped) <= _WARNINGS:
                logger.warning("dropped %s: %s (%s)", utterance.name, error.what, cells[2])
        if time.monotonic() - self._reported > _REPORT_EVERY:
            self._report()

    def keep(self, name: str, source: str, num_samples: int) -> None:
        self.sources[name] = source
        self.lengths[name] = str(num_samples)
        self._samples += num_samples

    def _report(self) -> None:
        self._reported = time.monotonic()
        done, seconds = len(self.sources) + len(self.dropped), self._reported - self._begin
        left = time.strftime("%H:%M:%S", time.gmtime(seconds / done * (self._total - done)))
        logger.info(
            "%s: %d of %d utterances, %.2f h of audio, %.0f utterances/s, %.0f times real time, %s left",
            *(self.name, done, self._total, self.hours, done / seconds, self._samples / RATE / seconds, left),
        )
