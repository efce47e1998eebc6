"""Which utterance of a set a name in its trials stands for."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from pathlib import Path

from svmixer.lists.forms import Forms, difference
from svmixer.lists.segments import parse_pieces
from svmixer.lists.table import iter_table
from svmixer.lists.trials import utterance_of_path

Table = Mapping[str, str]


class TrialNames:
    """Names that trials may have for the utterances of a set: ids and paths.

    Args:
        tables: name of a list → its entries: ``wav.scp``, ``segments`` or ``parts`` if there are any, and
            ``utt2spk`` if there is one.
    """

    def __init__(self, tables: Mapping[str, Table]) -> None:
        self.base = next(name for name in ("segments", "parts", "wav.scp") if name in tables)
        self.utterances, self._recordings = tables[self.base], tables["wav.scp"]
        self._speakers = tables.get("utt2spk", {})
        # Number of last parts of a path → these parts → recording; None where several end alike.
        self._tails: dict[int, dict[str, str | None]] = {}

    @classmethod
    def read(cls, folder: Path) -> TrialNames:
        """Those of a data directory, whose lists are sound."""
        names = [name for name in ("wav.scp", "segments", "parts", "utt2spk") if (folder / name).exists()]
        return cls({name: {key: value for _, key, value in iter_table(folder / name)} for name in names})

    def find(self, name: str) -> str | None:
        """The utterance that ``name`` stands for.

        It is its id, in whatever Unicode form; the path that ``wav.scp`` has for it, or the end of one that
        no other path has, with or without the ending; or a path whose folders make up the id, as is usual for
        VoxCeleb. A recording of several segments is no utterance.
        """
        if name in self.utterances:
            return name
        found = self._of_recording.get(self._paths.get(name, ""))
        if found is None and utterance_of_path(name) in self.utterances:
            found = utterance_of_path(name)
        if found is None and ("/" in name or "." in name):
            tail = name.removeprefix("./")
            found = self._of_recording.get(self._ending(tail.count("/") + 1).get(tail) or "")
        return found or self._forms.twin(name)

    def explain(self, name: str) -> str:
        """Why ``name`` stands for no utterance, or not as it is written; what is accepted."""
        if name in self.utterances:
            return "it is not in utt2spk"
        twin, found = self._forms.twin(name), self.find(name)
        if twin:
            return difference(name, twin, self.base)
        if found:
            return f"a path, which stands for utterance '{found}'"
        what = "a speaker, no utterance" if name in self._speakers.values() else "no utterance of the set"
        example = next(iter(self.utterances), "")
        return (
            f"'{name}' is {what}: trials name utterances by ids of {self.base}, such as '{example}', or by "
            "paths of wav.scp; enrolment models of several utterances (enroll.map) are not supported"
        )

    @cached_property
    def _forms(self) -> Forms:
        return Forms(self.utterances)

    @cached_property
    def _paths(self) -> dict[str, str]:
        return {path: recording for recording, path in self._recordings.items()}

    @cached_property
    def _of_recording(self) -> dict[str, str | None]:
        """Recording → its utterance, None if it has several."""
        if self.base == "wav.scp":
            return {recording: recording for recording in self.utterances}
        found: dict[str, str | None] = {}
        for utterance, value in self.utterances.items():
            for recording in {piece[0] for piece in parse_pieces(value, single=self.base == "segments")}:
                found[recording] = None if recording in found else utterance
        return found

    def _ending(self, parts: int) -> dict[str, str | None]:
        if parts not in self._tails:
            tails: dict[str, str | None] = {}
            for recording, path in self._recordings.items():
                if path.endswith("|"):
                    continue
                tail = "/".join(path.split("/")[-parts:])
                stem, dot, _ = tail.rpartition(".")
                for end in {tail, stem} if dot else {tail}:
                    tails[end] = recording if tails.get(end, recording) == recording else None
            self._tails[parts] = tails
        return self._tails[parts]
