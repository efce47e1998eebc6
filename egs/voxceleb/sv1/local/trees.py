"""Finding recordings in the trees that the corpora's archives unpack to."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from options import CorpusError

_SPEAKER = re.compile(r"id\d{5}")
# Endings of recordings, the better one first: a file that was converted is preferred to its source.
SUFFIXES = (".wav", ".flac", ".m4a")
# Folders between the one that is given and the speakers' (dev/wav, vox2_dev/dev/aac, …), at most.
_DEPTH = 3
# VoxCeleb1's test part, the speakers of its O list; the others are its dev part.
VOX1_TEST_SPEAKERS = frozenset(f"id{number}" for number in range(10270, 10310))


@dataclass(frozen=True)
class Counts:
    """How much of a VoxCeleb corpus there is."""

    speakers: int
    videos: int
    utterances: int


# What the whole corpora have, as published.
VOXCELEB1 = Counts(1251, 22496, 153516)
VOXCELEB2_DEV = Counts(5994, 145569, 1092009)


def speaker_of(utterance: str) -> str:
    """``id10270-5r0dWxy17C8-00001`` → ``id10270``."""
    return utterance[:7]


def video_of(utterance: str) -> str:
    """``id10270-5r0dWxy17C8-00001`` → ``id10270-5r0dWxy17C8``; a video's name may hold dashes itself."""
    return utterance.rpartition("-")[0]


def count(utterances: Iterable[str]) -> Counts:
    """Speakers, videos and utterances among utterance ids of VoxCeleb."""
    utterances = list(utterances)
    videos = {video_of(utterance) for utterance in utterances}
    return Counts(len({speaker_of(video) for video in videos}), len(videos), len(utterances))


def speaker_parents(root: Path, dev_only: bool) -> list[Path]:
    """Folders with ``idXXXXX`` folders in them: ``root`` itself, or at most three levels below it.

    Args:
        root: where a VoxCeleb corpus was unpacked; need not exist.
        dev_only: leave out folders below one called ``test…``; where there is one called ``dev…``, take only
            what is below that: the archive of VoxCeleb2's test part unpacks beside ``dev``.
    """
    found = sorted(_speaker_parents(root, _DEPTH))
    if not dev_only:
        return found
    parts = {parent: re.split(r"[/_]", str(parent.relative_to(root)).lower()) for parent in found}
    found = [parent for parent in found if "test" not in parts[parent]]
    return [parent for parent in found if "dev" in parts[parent]] or found


def _speaker_parents(folder: Path, depth: int) -> Iterator[Path]:
    if not folder.is_dir():
        return
    names = [entry.name for entry in os.scandir(folder) if entry.is_dir()]
    if any(_SPEAKER.fullmatch(name) for name in names):
        yield folder
    elif depth:
        for name in names:
            yield from _speaker_parents(folder / name, depth - 1)


def scan_voxceleb(parents: Iterable[Path]) -> dict[str, str]:
    """Utterance id → file, sorted by id, for trees ``idXXXXX/VIDEO/NAME.{wav,flac,m4a}``.

    Of a recording that is there in several formats or places one is taken: WAV before FLAC before M4A, then
    the first parent.
    """
    found: dict[str, str] = {}
    ranks: dict[str, int] = {}
    for parent in parents:
        for speaker in _folders(parent):
            if not _SPEAKER.fullmatch(speaker.name):
                continue
            for video in _folders(speaker.path):
                for file in os.scandir(video.path):
                    stem, suffix = os.path.splitext(file.name)
                    if suffix.lower() not in SUFFIXES:
                        continue
                    utterance = f"{speaker.name}-{video.name}-{stem}"
                    rank = SUFFIXES.index(suffix.lower())
                    if rank < ranks.get(utterance, len(SUFFIXES)):
                        found[utterance], ranks[utterance] = file.path, rank
    return {utterance: found[utterance] for utterance in sorted(found)}


def _folders(path: str | Path) -> list[os.DirEntry]:
    return sorted((entry for entry in os.scandir(path) if entry.is_dir()), key=lambda entry: entry.name)


def find_files(root: Path) -> list[str]:
    """All files below ``root``, links followed, as sorted paths that begin with it."""
    return sorted(
        os.path.join(folder, name) for folder, _, names in os.walk(root, followlinks=True) for name in names
    )


def recordings(folder: Path) -> dict[str, str]:
    """Id → recording, for every recording below ``folder``; ids are the paths with dashes for slashes.

    Raises:
        CorpusError: two recordings would get one id.
    """
    found: dict[str, str] = {}
    for path in find_files(folder):
        stem, suffix = os.path.splitext(os.path.relpath(path, folder))
        if suffix.lower() in SUFFIXES:
            name = stem.replace(os.sep, "-")
            if name in found:
                raise CorpusError(f"{path}: has the same id as {found[name]}: {name}")
            found[name] = path
    return found


def musan_folders(root: Path, categories: Iterable[str]) -> dict[str, Path]:
    """Category → its folder, below ``root/musan`` or ``root``; categories that are not there are left out."""
    places = {category: (root / "musan" / category, root / category) for category in categories}
    found = {category: next(filter(Path.is_dir, paths), None) for category, paths in places.items()}
    return {category: path for category, path in found.items() if path}


def rir_folder(root: Path) -> Path | None:
    """The folder ``simulated_rirs`` of RIRS_NOISES: in ``root``, one below it, or ``root`` itself."""
    if root.name == "simulated_rirs" and root.is_dir():
        return root
    return next(filter(Path.is_dir, (root / "simulated_rirs", root / "RIRS_NOISES/simulated_rirs")), None)


class Tails:
    """Recordings addressed by the end of their path, without its ending, as trial lists name them."""

    def __init__(self, files: Iterable[str]) -> None:
        self._stems = {
            stem: path
            for path in files
            for stem, suffix in [os.path.splitext(path)]
            if suffix.lower() in SUFFIXES
        }
        self._by_length: dict[int, Mapping[str, list[str]]] = {}

    def find(self, name: str) -> str | None:
        """The file whose path ends in ``name``; None if there is none.

        Raises:
            CorpusError: there are several.
        """
        stem, suffix = os.path.splitext(name)
        wanted = (stem if suffix.lower() in SUFFIXES else name).strip("/").removeprefix("./")
        length = wanted.count("/") + 1
        if length not in self._by_length:
            self._by_length[length] = self._index(length)
        found = self._by_length[length].get(wanted, [])
        if len(found) > 1:
            raise CorpusError(f"{name}: can be {self._stems[found[0]]} or {self._stems[found[1]]}")
        return self._stems[found[0]] if found else None

    def _index(self, length: int) -> dict[str, list[str]]:
        index: dict[str, list[str]] = {}
        for stem in self._stems:
            index.setdefault("/".join(stem.split("/")[-length:]), []).append(stem)
        return index
