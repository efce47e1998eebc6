"""Who is enrolled: every speaker's recordings by their embeddings, in memory."""

from __future__ import annotations

import unicodedata
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timezone

import numpy as np

from svmixer.audio.quality import Quality
from svmixer.config import nearest
from svmixer.errors import SvmixerError


class StoreError(SvmixerError):
    """An enrolment store that cannot be used, or a speaker who is not in it; the message names the file."""

    kind = "store"


@dataclass(frozen=True)
class Enrolled:
    """One recording of a speaker."""

    # float32 (D,), unit length
    embedding: np.ndarray
    # File name, or what else it was enrolled from.
    source: str
    # Of the recording; None if it was enrolled from an embedding.
    quality: Quality | None = None
    # Time of enrolment, ISO 8601 in UTC; empty: now.
    enrolled: str = ""


class Store(ABC):
    """Speakers by name, each with one or more recordings."""

    @abstractmethod
    def add(self, speaker: str, recordings: Sequence[Enrolled]) -> int:
        """Enrol recordings of a speaker, beside those that there are; how many were new.

        What a speaker is enrolled with already is not stored again.

        Raises:
            StoreError: a name that is empty, longer than 200 characters or not printable.
        """

    @abstractmethod
    def speakers(self) -> Mapping[str, list[Enrolled]]:
        """All who are enrolled, in the order of their names."""

    @abstractmethod
    def others_with(self, speaker: str, embeddings: Sequence[np.ndarray]) -> list[str]:
        """Names of all others who are enrolled with one of these very embeddings ``(D,)``, sorted."""

    @abstractmethod
    def delete(self, name: str) -> int:
        """Forget a speaker; how many recordings that were.

        Raises:
            StoreError: nobody of that name.
        """

    def speaker(self, name: str) -> list[Enrolled]:
        """The recordings that a speaker is enrolled with.

        Raises:
            StoreError: nobody of that name; the message has the nearest.
        """
        found, name = self.speakers(), clean_name(name)
        if name in found:
            return found[name]
        if not found:
            raise StoreError(f"{self}: nobody is enrolled: svmixer enrol FILE... --name NAME")
        # All the names of a large store would fill the screen, and are nobody's business.
        hint = nearest(name, list(found))
        hint = f"; {hint}" if "?" in hint else ""
        raise StoreError(f"{self}: nobody is enrolled as '{name}'{hint}")


class MemoryStore(Store):
    """Those who are enrolled as long as the program runs."""

    def __init__(self) -> None:
        self._speakers: dict[str, list[Enrolled]] = {}

    def add(self, speaker: str, recordings: Sequence[Enrolled]) -> int:
        """See :class:`Store`."""
        known = self._speakers.setdefault(clean_name(speaker), [])
        before = len(known)
        for one in recordings:
            if not any(np.array_equal(one.embedding, other.embedding) for other in known):
                known.append(replace(one, enrolled=one.enrolled or utc_now()))
        return len(known) - before

    def speakers(self) -> Mapping[str, list[Enrolled]]:
        """See :class:`Store`."""
        return dict(sorted(self._speakers.items()))

    def others_with(self, speaker: str, embeddings: Sequence[np.ndarray]) -> list[str]:
        """See :class:`Store`."""
        wanted = {np.asarray(vector, "<f4").tobytes() for vector in embeddings}
        return [
            name
            for name, known in self.speakers().items()
            if name != clean_name(speaker)
            and any(np.asarray(one.embedding, "<f4").tobytes() in wanted for one in known)
        ]

    def delete(self, name: str) -> int:
        """See :class:`Store`."""
        self.speaker(name)
        return len(self._speakers.pop(clean_name(name)))

    def __str__(self) -> str:
        return "in memory"


def utc_now() -> str:
    return datetime.now(timezone.utc).isoformat(timespec="seconds")


def clean_name(name: str) -> str:
    """A speaker's name as it is stored: letters with accents have one form of the two that Unicode knows.

    Raises:
        StoreError: see :meth:`EnrolmentStore.add`.
    """
    name = unicodedata.normalize("NFC", name)
    if not name or name != name.strip() or not name.isprintable() or len(name) > 200:
        raise StoreError(
            f"a speaker's name has 1 to 200 printable characters and no space at its ends, found {name!r}"
        )
    return name
