"""Which utterance of a set a name in its trials stands for."""

from __future__ import annotations

import os
from collections.abc import Collection, Iterator, Mapping
from functools import cached_property
from pathlib import Path

from svmixer.lists.forms import Forms, difference
from svmixer.lists.segments import parse_pieces
from svmixer.lists.source import one_spelling
from svmixer.lists.table import iter_table
from svmixer.lists.trials import utterance_of_path

Table = Mapping[str, str]

_LISTS = ("wav.scp", "segments", "parts", "utt2spk")
_SHOWN = 3  # ids


class TrialNames:
    """Names that trials may have for the utterances of a set: ids and paths.

    Args:
        tables: name of a list → its entries: ``wav.scp``, ``segments`` or ``parts`` if there are any, and
            ``utt2spk`` if there is one.
    """

    def __init__(self, tables: Mapping[str, Table]) -> None:
        self.base = next(name for name in ("segments", "parts", "wav.scp") if name in tables)
        self.utterances, self._recordings = tables[self.base], tables.get("wav.scp", {})
        self._speakers = tables.get("utt2spk", {})
        # Number of last parts of a path → these parts → recording; None where several end alike.
        self._tails: dict[int, dict[str, str | None]] = {}

    @classmethod
    def read(cls, folder: Path, lists: Collection[str] = _LISTS) -> TrialNames:
        """Those of a data directory; ``lists`` are the names of its sound lists, among others."""
        names = [name for name in _LISTS if name in lists and (folder / name).exists()]
        return cls({name: {key: value for _, key, value in iter_table(folder / name)} for name in names})

    def find(self, name: str) -> str | None:
        """The utterance that ``name`` stands for; not every list need have it.

        It is its id, in whatever Unicode form; the path that ``wav.scp`` has for it, or the end of one that
        no other path has, with or without the ending; or a path whose folders make up the id, as is usual for
        VoxCeleb. A path of several recordings and a recording of several segments are no utterance.
        """
        if name in self.utterances or name in self._speakers:
            return name
        place = one_spelling(name)
        if place in self._paths and self._paths[place] is None:
            return None
        found = self._of_recording.get(self._paths.get(place) or "")
        if found is None and utterance_of_path(name) in self.utterances:
            found = utterance_of_path(name)
        if found is None and _may_be_path(name):
            tail = os.path.normpath(name)
            found = self._of_recording.get(self._ending(tail.count("/") + 1).get(tail) or "")
        return found or self._forms.twin(name)

    def means_several(self, name: str) -> bool:
        """Whether ``name`` is known, but not as one utterance: a path that recordings share, say."""
        if name in self.utterances or self.find(name):
            return False
        return name in self._recordings or bool(self._recordings_at(name))

    def explain(self, name: str) -> str:
        """Why ``name`` stands for no utterance, or not as it is written; what is accepted."""
        if name in self.utterances:
            return "it is not in utt2spk"
        if name in self._speakers:
            return f"it is not in {self.base}"
        twin, found = self._forms.twin(name), self.find(name)
        if twin:
            return difference(name, twin, self.base)
        if found:
            return f"a path, which stands for utterance '{found}'"
        example = next(iter(self.utterances), "")
        return (
            f"'{name}' is {self._nature(name)} trials name utterances by ids of {self.base}, such as "
            f"'{example}', or by paths of wav.scp; enrolment models of several utterances (enroll.map) are "
            "not supported"
        )

    def _nature(self, name: str) -> str:
        """What ``name`` is that is no utterance, with a colon or semicolon."""
        if name in self._speakers.values():
            return "a speaker, no utterance:"
        recordings = [name] if name in self._recordings else self._recordings_at(name)
        if len(recordings) > 1:
            return f"a path of {len(recordings)} recordings ({_listed(recordings)}): name one of them;"
        if not recordings:
            return "no utterance of the set:"
        inside = [utterance for utterance, named in self._pieces() if recordings[0] in named]
        if not inside:
            return "a recording without an utterance:"
        return f"a recording with {len(inside)} utterances ({_listed(inside)}): name one of them;"

    def _recordings_at(self, name: str) -> list[str]:
        """Recordings that have the path ``name``, or else a path that ends so."""
        place, tail = one_spelling(name), os.path.normpath(name)
        whole = [recording for recording, path in self._files() if one_spelling(path) == place]
        if whole or not _may_be_path(name):
            return whole
        parts = tail.count("/") + 1
        return [recording for recording, path in self._files() if tail in _ends(path, parts)]

    def _files(self) -> Iterator[tuple[str, str]]:
        """Recordings with their paths; commands have none."""
        return ((recording, path) for recording, path in self._recordings.items() if not path.endswith("|"))

    def _pieces(self) -> Iterator[tuple[str, set[str]]]:
        """Utterances, each with the recordings it is cut from."""
        if self.base == "wav.scp":
            yield from ((recording, {recording}) for recording in self.utterances)
            return
        for utterance, value in self.utterances.items():
            yield utterance, {piece[0] for piece in parse_pieces(value, single=self.base == "segments")}

    @cached_property
    def _forms(self) -> Forms:
        return Forms(self.utterances)

    @cached_property
    def _paths(self) -> dict[str, str | None]:
        """Path → its recording, None if it has several."""
        paths: dict[str, str | None] = {}
        for recording, path in self._files():
            place = one_spelling(path)
            paths[place] = None if place in paths else recording
        return paths

    @cached_property
    def _of_recording(self) -> dict[str, str | None]:
        """Recording → its utterance, None if it has several."""
        found: dict[str, str | None] = {}
        for utterance, recordings in self._pieces():
            for recording in recordings:
                found[recording] = None if recording in found else utterance
        return found

    def _ending(self, parts: int) -> dict[str, str | None]:
        if parts not in self._tails:
            tails: dict[str, str | None] = {}
            for recording, path in self._files():
                for end in _ends(path, parts):
                    tails[end] = recording if tails.get(end, recording) == recording else None
            self._tails[parts] = tails
        return self._tails[parts]


def _may_be_path(name: str) -> bool:
    """Whether ``name`` is more than a word, which is an id."""
    return "/" in name or "." in name


def _ends(path: str, parts: int) -> set[str]:
    """The last ``parts`` parts of a path, with and without the ending."""
    tail = "/".join(os.path.normpath(path).split("/")[-parts:])
    stem, dot, _ = tail.rpartition(".")
    return {tail, stem} if dot else {tail}


def _listed(ids: list[str]) -> str:
    return ", ".join(ids[:_SHOWN]) + (", …" if len(ids) > _SHOWN else "")
