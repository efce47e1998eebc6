"""The two sides of a comparison: a speaker by what was enrolled, or a recording."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from svmixer.audio.quality import Quality, together
from svmixer.errors import SvmixerError
from svmixer.inference.calibration import is_telephone
from svmixer.inference.utterance import Recording
from svmixer.inference.verification import enrol
from svmixer.scoring.embedder import Embedder
from svmixer.scoring.recordings import EmbeddedRecording, embed_recording
from svmixer.scoring.store import Enrolled


@dataclass(frozen=True)
class Side:
    """A speaker or a recording, ready to be compared."""

    # float32 (D,), unit length
    embedding: np.ndarray
    # Of each recording that it is of; None: not known.
    measured: tuple[Quality | None, ...] = ()
    # What speaks against relying on them; and that there is little speech, which a calibration has limits
    # for.
    doubts: tuple[str, ...] = ()
    little: tuple[str, ...] = ()

    @property
    def qualities(self) -> list[Quality]:
        """Of the recordings, as far as they are known."""
        return [quality for quality in self.measured if quality is not None]

    @property
    def telephone(self) -> float:
        """1 if it has the band of a telephone, else 0; NaN: not known."""
        return float(is_telephone(together(self.qualities))) if self.qualities else np.nan


def side_of(enrolled: Sequence[Enrolled]) -> Side:
    """A speaker by the recordings of a store."""
    return Side(enrol([one.embedding for one in enrolled]), tuple(one.quality for one in enrolled))


def side_of_recordings(embedded: Sequence[EmbeddedRecording]) -> Side:
    """A speaker by its embedded recordings."""
    return Side(
        enrol([vector for one in embedded for vector in one.vectors]),
        tuple(one.quality for one in embedded for _ in one.vectors),
        tuple(doubt for one in embedded for doubt in one.doubts),
        tuple(doubt for one in embedded for doubt in one.little),
    )


def embed_recordings(
    embedder: Embedder,
    recordings: Recording | Sequence[Recording],
    channel: int | None = None,
    sample_rate: int | None = None,
) -> list[EmbeddedRecording]:
    """Each of one or more recordings; see :func:`svmixer.scoring.recordings.embed_recording`.

    Raises:
        SvmixerError: no recording.
    """
    # Lists are of recordings, never of samples.
    given = list(recordings) if isinstance(recordings, (list, tuple)) else [recordings]
    if not given:
        raise SvmixerError("no recording given")
    return [embed_recording(embedder, one, channel, sample_rate) for one in given]
