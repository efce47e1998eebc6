"""Enrolment, verification and identification with one model: for Python and for the command line."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from svmixer.errors import SvmixerError
from svmixer.inference.embedding_model import DEFAULT_MODEL
from svmixer.inference.onnx_model import Precision
from svmixer.inference.utterance import Recording, unit_length
from svmixer.inference.verification import Rule, Verdict
from svmixer.scoring.decision import Decider, Identification
from svmixer.scoring.embedder import Embedder, Runtime, load_embedder
from svmixer.scoring.recordings import name_of
from svmixer.scoring.sides import Side, embed_recordings, side_of, side_of_recordings
from svmixer.scoring.sqlite_store import EnrolmentStore
from svmixer.scoring.store import Enrolled, MemoryStore, Store, StoreError


@dataclass(frozen=True)
class Enrolment:
    """What an enrolment did."""

    # Recordings that were new, and all that the speaker is enrolled with now.
    new: int
    recordings: int
    # What speaks against relying on the enrolment.
    doubts: tuple[str, ...] = ()


class Verifier:
    """Enrols speakers by name, verifies and identifies them.

    A recording is a file by its name, its bytes or a binary file object; or samples ``(N,)``,
    ``(channels, N)`` or ``(N, channels)`` in an array or a tensor, at ``sample_rate`` (None: the model's).
    Formats, rates, lengths and channels are as for ``svmixer verify``. The name of a file that
    ``svmixer enrol`` or ``svmixer embed`` wrote stands for its recordings, too.

    >>> from svmixer import Verifier
    >>> verifier = Verifier()                                       # or Verifier("exp/mine/export")
    >>> verifier.enrol("ann", ["ann1.wav", "ann2.wav"]).recordings
    2
    >>> bool(verifier.verify("ann", "ann3.wav"))
    True
    >>> verifier.identify("bob1.wav").name is None
    True

    Args:
        model: a directory, or the name of a model that comes with the package.
        store: file of an :class:`EnrolmentStore` that keeps who is enrolled; None: in memory.
        rule: how scores become decisions; the name of an operating point stands for a rule with it.
        runtime: ``onnx``, ``torch``, or ``auto``: ONNX Runtime where it and an export are there.
        precision: of the ONNX graph: ``float32``, ``int8``, or ``auto``: the recommended one.
        channel: the one to take of recordings with several, from 0; None takes their mean.

    Raises:
        ModelError: no such model, or what it needs is not installed.
        StoreError: see :class:`EnrolmentStore`.
        SvmixerError: an operating point where the model has no calibration.
    """

    def __init__(
        self,
        model: str | Path = DEFAULT_MODEL,
        store: str | Path | None = None,
        rule: Rule | str | None = None,
        runtime: Runtime = "auto",
        precision: Precision = "auto",
        channel: int | None = None,
    ) -> None:
        self.embedder: Embedder = load_embedder(str(model), runtime, precision)
        rule = Rule(rule) if isinstance(rule, str) else rule or Rule()
        self.decider, self.channel = Decider(self.embedder, rule), channel
        self.store: Store = MemoryStore()
        if store is not None:
            name, size = self.embedder.name, self.embedder.size
            self.store = EnrolmentStore(store, self.embedder.fingerprint, name, size)

    @property
    def speakers(self) -> list[str]:
        """Names of all who are enrolled, sorted."""
        return list(self.store.speakers())

    def embed(
        self, recordings: Recording | Sequence[Recording], sample_rate: int | None = None
    ) -> np.ndarray:
        """Embeddings ``float32 (n, D)`` of unit length of several recordings, ``(D,)`` of a single one.

        Raises:
            AudioError: a recording that cannot be used, or without any speech.
        """
        embedded = embed_recordings(self.embedder, recordings, self.channel, sample_rate)
        vectors = unit_length(np.concatenate([one.vectors for one in embedded]))
        return vectors if isinstance(recordings, (list, tuple)) else vectors[0]

    def enrol(
        self, name: str, recordings: Recording | Sequence[Recording], sample_rate: int | None = None
    ) -> Enrolment:
        """Enrol a speaker from one or more recordings, beside those that there are.

        Raises:
            AudioError: see :meth:`embed`; nothing is enrolled then.
            StoreError: a name that is empty, longer than 200 characters or not printable.
        """
        embedded = embed_recordings(self.embedder, recordings, self.channel, sample_rate)
        given = recordings if isinstance(recordings, (list, tuple)) else [recordings]
        stored = [
            Enrolled(vector, name_of(one), found.quality)
            for one, found in zip(given, embedded, strict=True)
            for vector in unit_length(found.vectors)
        ]
        new = self.store.add(name, stored)
        now = side_of_recordings(embedded)
        doubts = [*now.doubts]
        others = self.store.others_with(name, [one.embedding for one in stored])
        if others:
            doubts.append(f"the same recording is enrolled as {', '.join(map(repr, others))}")
        speaker = replace(self.side(name), doubts=tuple(doubts), little=now.little)
        return Enrolment(new, len(speaker.measured), self.decider.enrolment_doubts(speaker))

    def delete(self, name: str) -> None:
        """Forget a speaker.

        Raises:
            StoreError: nobody is enrolled under that name.
        """
        self.store.delete(name)

    def verify(self, name: str, recording: Recording, sample_rate: int | None = None) -> Verdict:
        """Whether a recording is of the speaker who is enrolled under that name.

        Raises:
            StoreError: nobody is.
            AudioError: see :meth:`embed`.
        """
        return self.decider.verdict(self.side(name), self.test_side(recording, sample_rate))

    def compare(
        self, first: Recording | Sequence[Recording], second: Recording, sample_rate: int | None = None
    ) -> Verdict:
        """Whether one speaker is in a recording and in another one, or in several others.

        Raises:
            AudioError: see :meth:`embed`.
        """
        return self.decider.verdict(self.side_from(first, sample_rate), self.test_side(second, sample_rate))

    def identify(self, recording: Recording, top: int = 3, sample_rate: int | None = None) -> Identification:
        """Who of the enrolled a recording is of, or that it is nobody of them.

        Raises:
            StoreError: nobody is enrolled.
            AudioError: see :meth:`embed`.
        """
        return self.decider.rank(self.sides(), self.test_side(recording, sample_rate), top)

    def sides(self) -> dict[str, Side]:
        """All who are enrolled, by name, as sides of a comparison.

        Raises:
            StoreError: nobody is.
        """
        speakers = self.store.speakers()
        if not speakers:
            raise StoreError(f"{self.store}: nobody is enrolled: svmixer enrol FILE... --name NAME")
        return {name: side_of(recordings) for name, recordings in speakers.items()}

    def side(self, name: str) -> Side:
        """The speaker who is enrolled under a name, as a side of a comparison.

        Raises:
            StoreError: nobody is.
        """
        return side_of(self.store.speaker(name))

    def side_from(self, recordings: Recording | Sequence[Recording], sample_rate: int | None = None) -> Side:
        """One speaker's recordings as a side of a comparison.

        Raises:
            AudioError: see :meth:`embed`.
        """
        return side_of_recordings(embed_recordings(self.embedder, recordings, self.channel, sample_rate))

    def test_side(self, recording: Recording, sample_rate: int | None = None) -> Side:
        """One recording as the other side.

        Raises:
            AudioError: see :meth:`embed`.
            SvmixerError: a file of several embeddings.
        """
        side = self.side_from([recording], sample_rate)
        if len(side.measured) > 1:
            raise SvmixerError(
                f"{name_of(recording)}: {len(side.measured)} embeddings, where one recording is compared"
            )
        return side
