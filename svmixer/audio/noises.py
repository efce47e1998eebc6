"""Recordings that augmentation draws from: dumps, and wav.scp lists of noises or room impulse responses."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np

from svmixer.audio.dumpset import RATE, DumpSet
from svmixer.audio.errors import AudioError
from svmixer.audio.read import open_recording
from svmixer.config import ConfigError
from svmixer.lists import read_table

Reader = Callable[[int, int], np.ndarray]


class DumpRecordings:
    """A dump directory; :meth:`open` costs nothing, reads take only the bytes they need."""

    def __init__(self, dump: DumpSet) -> None:
        self.dump = dump

    def __len__(self) -> int:
        return len(self.dump)

    def open(self, index: int) -> tuple[int, Reader]:
        """Length in samples and a function (first sample, count) → np.float32 (count,)."""
        return int(self.dump.num_samples[index]), lambda start, count: self.dump.read(index, start, count)


class ListedRecordings:
    """A ``wav.scp`` of recordings at 16 kHz, of which the first channel is used.

    WAV and FLAC are read piece by piece; other formats are decoded whole at every draw, so dump those first.

    Raises:
        ListError: the list is missing or broken.
    """

    def __init__(self, scp: Path) -> None:
        table = read_table(scp)
        self.scp = scp
        self.names, self.sources = list(table), list(table.values())

    def __len__(self) -> int:
        return len(self.names)

    def open(self, index: int) -> tuple[int, Reader]:
        """Length in samples and a function (first sample, count) → np.float32 (count,).

        Raises:
            AudioError: not readable, empty, not at 16 kHz, or a command; the function raises it for samples
                that are not finite.
        """
        try:
            recording = open_recording(self.sources[index])
            if recording.rate != RATE:
                raise AudioError("unreadable", f"{recording.rate} Hz; dump the list (run.sh --stage dump)")
            if recording.num_samples == 0:
                raise AudioError("empty", self.sources[index])
        except AudioError as error:
            raise self._error(index, error) from None

        def read(start: int, count: int) -> np.ndarray:
            try:
                wave = np.ascontiguousarray(recording.fetch(start, count)[0])
            except AudioError as error:
                raise self._error(index, error) from None
            if not np.isfinite(wave).all():
                raise self._error(index, AudioError("non-finite", self.sources[index]))
            return wave

        return recording.num_samples, read

    def _error(self, index: int, error: AudioError) -> AudioError:
        return AudioError(error.reason, f"{self.scp}: utterance {self.names[index]}: {error.detail}")


Recordings = DumpRecordings | ListedRecordings


def open_recordings(path: str) -> Recordings:
    """A dump directory, a directory with a ``wav.scp``, or a ``wav.scp`` itself.

    Raises:
        ConfigError: there is no such list.
        ListError: a list is broken or empty.
    """
    place = Path(path)
    if (place / "utt2num_samples").exists():
        recordings: Recordings = DumpRecordings(DumpSet(place))
    elif place.is_file() or (place / "wav.scp").exists():
        recordings = ListedRecordings(place if place.is_file() else place / "wav.scp")
    else:
        raise ConfigError(
            f"no list at {path}: expected a dump, a wav.scp, or a directory with wav.scp "
            "({dumpdir} in a configured path stands for the folder of --dumpdir)"
        )
    if len(recordings) == 0:
        raise ConfigError(f"the list at {path} is empty")
    return recordings


def excerpt(recordings: Recordings, index: int, num: int, rng: np.random.Generator) -> np.ndarray:
    """A random stretch of one recording as np.float32 [num]; a shorter one is looped from a random point."""
    total, read = recordings.open(index)
    if total >= num:
        return read(int(rng.integers(total - num + 1)), num)
    return np.resize(np.roll(read(0, total), -int(rng.integers(total))), num)


class SpeakerDraw:
    """Uniform draws of an utterance that is not of a given speaker, in constant time.

    Args:
        speakers: speaker of each utterance.
    """

    def __init__(self, speakers: list[str]) -> None:
        numbers: dict[str, int] = {}
        codes = np.array([numbers.setdefault(speaker, len(numbers)) for speaker in speakers], dtype=np.int32)
        # Utterances ordered by speaker: one speaker's are a range that a draw can jump over.
        self._order = np.argsort(codes, kind="stable")
        ends = np.cumsum(np.bincount(codes))
        starts = ends - np.bincount(codes)
        self._range = {name: (int(starts[code]), int(ends[code])) for name, code in numbers.items()}

    @property
    def num_speakers(self) -> int:
        return len(self._range)

    def __call__(self, rng: np.random.Generator, other_than: str | None) -> int:
        """An utterance index; a speaker who is not in the list (or None) excludes nobody."""
        start, end = self._range.get(other_than, (0, 0))
        place = int(rng.integers(len(self._order) - (end - start)))
        return int(self._order[place + (end - start) if place >= start else place])
