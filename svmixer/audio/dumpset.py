"""Random access to a dumped set: any piece of any utterance by reading only its bytes."""

from __future__ import annotations

import os
from array import array
from pathlib import Path
from typing import IO, Any

import numpy as np

from svmixer.audio.ark import read_pcm16, wav_header
from svmixer.audio.errors import AudioError
from svmixer.audio.resample import from_pcm16
from svmixer.lists import ListError, iter_table, parse_source, read_utt2spk

RATE = 16000  # samples per second of every dump
GRID = 320  # samples between the frames of front ends (20 ms), at which crops start
_DIGITS = 18  # of numbers that 64 bits hold
MAX_OPEN = 256  # archives kept open; plain files are opened for each read


class DumpSet:
    """The utterances of ``dump/<set>``, in the order of its ``wav.scp``.

    Offsets and lengths are arrays, so that millions of utterances stay small and forked workers share them.
    Archives open at the first read; objects can be pickled and forked at any time, and reads from several
    threads are safe.

    Attributes:
        utterances: ids, sorted in byte order.
        num_samples: np.int64 (U,).
        speakers: the speaker of each utterance; None without ``utt2spk``.
    """

    def __init__(self, folder: str | Path):
        """Read the lists of a dump directory.

        Raises:
            ListError: a list is missing or broken, or they do not name the same utterances.
        """
        folder = Path(folder)
        self.utterances: list[str] = []
        self.speakers: list[str] | None = None
        paths: dict[str, int] = {}
        path_index, offsets = array("i"), array("q")
        for number, utterance, text in iter_table(folder / "wav.scp"):
            path, colon, offset = text.rpartition(":")
            # parse_source for every line would double the loading time.
            if not (colon and path and len(offset) <= _DIGITS and offset.isascii() and offset.isdigit()):
                path, offset = self._plain_file(text, folder / "wav.scp", number, utterance), "-1"
            self.utterances.append(utterance)
            path_index.append(paths.setdefault(path, len(paths)))
            offsets.append(int(offset))
        self._paths = np.array([os.fsencode(path) for path in paths], dtype=np.bytes_)
        self._path_index = np.array(path_index, dtype=np.int32)
        self._offsets = np.array(offsets, dtype=np.int64)  # −1: a plain file
        self.num_samples = self._read_lengths(folder / "utt2num_samples")
        if (folder / "utt2spk").exists():
            speaker_of = read_utt2spk(folder / "utt2spk")
            missing = next((utterance for utterance in self.utterances if utterance not in speaker_of), None)
            if missing is not None:
                raise ListError("no speaker", path=folder / "utt2spk", utterance=missing)
            self.speakers = [speaker_of[utterance] for utterance in self.utterances]
        self._open: dict[int, IO[bytes]] = {}

    @staticmethod
    def _plain_file(text: str, scp: Path, number: int, utterance: str) -> str:
        try:
            source = parse_source(text)
        except ListError as error:
            raise ListError(error.what, path=scp, line=number, utterance=utterance) from None
        if source.kind != "file":
            raise ListError(
                "a dump holds files and archives, no commands", path=scp, line=number, utterance=utterance
            )
        return source.path

    def __len__(self) -> int:
        return len(self.utterances)

    def read(self, index: int, start: int = 0, count: int | None = None) -> np.ndarray:
        """Samples ``start`` … ``start + count`` (default: to the end) as np.float32 (count,) in −1…1.

        Raises:
            AudioError: the audio is not what the lists say: the dump is damaged or older than its archives.
            IndexError: the range is not inside the utterance.
        """
        path_index, offset = int(self._path_index[index]), int(self._offsets[index])
        try:
            stream = self._stream(path_index, keep=offset >= 0)
            header = wav_header(stream.fileno(), max(offset, 0))
            if (header.rate, header.channels, header.num_samples) != (RATE, 1, self.num_samples[index]):
                found = f"{header.num_samples} samples, {header.channels} channels, {header.rate} Hz"
                wanted = f"{self.num_samples[index]} samples, 1 channel, {RATE} Hz"
                raise AudioError("unreadable", f"expected {wanted}, found {found}")
            return from_pcm16(read_pcm16(stream.fileno(), header, start, count)[:, 0])
        except FileNotFoundError:
            raise self._error(index, "missing file") from None
        except OSError as error:
            raise self._error(index, "unreadable", error.strerror or "") from None
        except AudioError as error:
            raise self._error(index, error.reason, error.detail) from None

    def read_crop(self, index: int, samples: int, rng: np.random.Generator) -> np.ndarray:
        """A random crop ``float32 (samples,)``, starting on the 20 ms grid; only its bytes are read.

        An utterance shorter than the crop is repeated until it fills it.

        Raises:
            AudioError: see :meth:`read`.
        """
        total = int(self.num_samples[index])
        if total <= samples:
            return np.tile(self.read(index), -(-samples // total))[:samples]
        start = int(rng.integers((total - samples) // GRID + 1)) * GRID
        return self.read(index, start, samples)

    def _stream(self, path_index: int, keep: bool) -> IO[bytes]:
        if path_index in self._open:
            return self._open[path_index]
        path = os.fsdecode(self._paths[path_index])
        stream = open(path, "rb", buffering=0)  # noqa: SIM115 (outlives the call)
        if keep and len(self._open) < MAX_OPEN:
            # Nothing is evicted: the descriptor another thread reads from must not become another file's.
            return self._open.setdefault(path_index, stream)
        return stream

    def _error(self, index: int, reason: str, detail: str = "") -> AudioError:
        path = os.fsdecode(self._paths[self._path_index[index]])
        repair = "repair with: run.sh --stage dump"
        detail = f"{detail}; {repair}" if detail else repair
        return AudioError(reason, detail, f"utterance {self.utterances[index]}: {path}")

    def _read_lengths(self, path: Path) -> np.ndarray:
        lengths = np.empty(len(self.utterances), dtype=np.int64)
        row = -1
        for row, (number, utterance, text) in enumerate(iter_table(path)):
            if row >= len(lengths) or utterance != self.utterances[row]:
                raise ListError("not in the order of wav.scp", path=path, line=number, utterance=utterance)
            if not (text.isascii() and text.isdigit() and len(text) <= _DIGITS):
                what = f"expected a number of samples, found '{text}'"
                raise ListError(what, path=path, line=number, utterance=utterance)
            lengths[row] = int(text)
        if row + 1 != len(lengths):
            raise ListError("shorter than wav.scp", path=path, line=row + 1)
        return lengths

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_open": {}}
