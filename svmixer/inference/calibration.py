"""From cosines to log-likelihood ratios and decisions: what an export knows about its scores.

An export directory with ``calibration.json`` and ``cohort.npy`` has a calibration, which
svmixer/scoring/calibrate.py fits. The ratio is linear in the trial's score after AS-norm with the cohort;
slope, offset and thresholds depend on how many of its sides come through a telephone.
"""

from __future__ import annotations

import contextlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from svmixer.audio.quality import Quality
from svmixer.config import nearest
from svmixer.errors import SvmixerError, UsageError
from svmixer.fileio import read_json
from svmixer.inference.embedding_model import ModelError
from svmixer.inference.normalisation import cohort_statistics, normalise
from svmixer.inference.utterance import unit_length

CALIBRATION, COHORT = "calibration.json", "cohort.npy"
FORMAT = 1
# The operating point that is taken when none is named.
STANDARD = "standard"
# Less power than this above 4 kHz, dB beside that below, is the band of the telephone.
TELEPHONE_DB = -34.0
HARDLY_SPEECH = "hardly speech: music or noise"


def parse_share(false_accepts: float | str) -> float:
    """A share of false accepts: ``0.001``, or as text also ``0.1%``.

    Raises:
        SvmixerError: no share that can be asked for.
    """
    value = -1.0
    with contextlib.suppress(ValueError, TypeError):
        if isinstance(false_accepts, str) and false_accepts.endswith("%"):
            value = float(false_accepts[:-1]) / 100.0
        else:
            value = float(false_accepts)
    if not 0.0 < value <= 1.0:
        raise SvmixerError(f"max_false_accepts: a share as 0.001 or 0.1%, found '{false_accepts}'")
    return value


@dataclass(frozen=True)
class OperatingPoint:
    """A decision threshold, and what it does on the speech that the calibration was made with."""

    # Log-likelihood ratio from which on it is one speaker.
    ratio: float
    # Shares of different-speaker trials accepted and of same-speaker trials rejected.
    false_accepts: float
    false_rejects: float


@dataclass(frozen=True)
class Limits:
    """Recordings outside of them are unlike those that the calibration was made with."""

    # Least seconds of speech.
    seconds: float
    # Least distance of soft and loud frames, dB; see svmixer.audio.quality.
    range_db: float
    # Largest share of samples near the peak.
    clipped: float

    def doubts(self, quality: Quality) -> list[str]:
        """Why a recording is outside; empty if it is not."""
        if quality.hardly_speech:
            return [HARDLY_SPEECH]
        found = []
        if quality.seconds < self.seconds:
            found.append(f"{quality.seconds:.1f} s of speech, fewer than {self.seconds:g}")
        if quality.range_db < self.range_db:
            found.append(f"noisy, {quality.range_db:.0f} dB between pauses and speech")
        if quality.clipped > self.clipped:
            found.append(f"clipped, {100 * quality.clipped:.1f} % of the samples at the peak")
        return found


@dataclass(frozen=True)
class Map:
    """From a score after AS-norm to a log-likelihood ratio, and thresholds for it."""

    slope: float
    offset: float
    # By name.
    points: Mapping[str, OperatingPoint]
    # By falling share of false accepts.
    table: Sequence[OperatingPoint]

    def point(self, name: str) -> OperatingPoint:
        """The operating point of that name.

        Raises:
            UsageError: there is none; the message has the nearest.
        """
        if name not in self.points:
            raise UsageError(f"no operating point '{name}'; {nearest(name, list(self.points))}")
        return self.points[name]

    def at_most(self, false_accepts: float) -> OperatingPoint:
        """The lowest threshold of the table with at most this share of false accepts.

        Raises:
            SvmixerError: a share that is none, or smaller than the trials of the calibration can show.
        """
        parse_share(false_accepts)
        found = next((point for point in self.table if point.false_accepts <= false_accepts), None)
        if found is None:
            least = min(point.false_accepts for point in self.table)
            raise SvmixerError(
                f"max_false_accepts: {100 * false_accepts:g} % is less than this model's calibration can "
                f"promise, which is {100 * least:g} %"
            )
        return found


@dataclass(frozen=True, eq=False)
class Calibration:
    """Log-likelihood ratios (natural logarithm) of a model's embeddings."""

    # float32 (C, D), unit length.
    cohort: np.ndarray
    # Highest cohort scores that AS-norm takes.
    top: int
    limits: Limits
    # By the number of a trial's two sides that have no more than the telephone band.
    maps: Mapping[int, Map]

    def normalised(self, first: np.ndarray, second: np.ndarray) -> np.ndarray:
        """Scores after AS-norm ``float64 (N, M)`` of embeddings ``(N, D)`` against ``(M, D)``."""
        first, second = unit_length(np.atleast_2d(first)), unit_length(np.atleast_2d(second))
        cosines = first.astype(np.float64) @ second.astype(np.float64).T
        mean, deviation = cohort_statistics(np.concatenate([first, second]), self.cohort, self.top)
        rows, columns = np.indices(cosines.shape)
        z = normalise(cosines.ravel(), rows.ravel(), len(first) + columns.ravel(), mean, deviation)
        return z.reshape(cosines.shape)

    def map_for(self, telephone_sides: int) -> tuple[Map, bool]:
        """The map for so many sides of telephone bandwidth, and whether it was made with such trials."""
        known = telephone_sides in self.maps
        return self.maps[telephone_sides if known else 0], known

    def ratios(self, first: np.ndarray, second: np.ndarray, sides: np.ndarray) -> np.ndarray:
        """Log-likelihood ratios ``float64 (N, M)`` of embeddings ``(N, D)`` against ``(M, D)``.

        Args:
            first, second: the embeddings.
            sides: ``int (N, M)``, how many of the two come through a telephone.
        """
        return self.map_scores(self.normalised(first, second), sides)

    def map_scores(self, scores: np.ndarray, sides: np.ndarray) -> np.ndarray:
        """Log-likelihood ratios of scores after AS-norm, any shape; see :meth:`ratios`."""
        found = np.empty(scores.shape)
        for number in np.unique(sides).tolist():
            line, _ = self.map_for(number)
            found[sides == number] = line.slope * scores[sides == number] + line.offset
        return found

    def ratio(self, enrolled: np.ndarray, embedding: np.ndarray, telephone_sides: int = 0) -> float:
        """Log-likelihood ratio of two embeddings ``(D,)``."""
        return float(self.ratios(enrolled, embedding, np.array([[telephone_sides]]))[0, 0])


def is_telephone(quality: Quality) -> bool:
    """Whether a recording has no more than the band of the telephone."""
    return quality.band_db < TELEPHONE_DB


def telephone_sides(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """How many of a trial's sides come through a telephone, ``int``.

    Args:
        first, second: 1 for a side that does and 0 for one that does not, arrays of shapes that go together;
            NaN: not known, and taken to be as the other side.
    """
    sides = np.stack(np.broadcast_arrays(np.asarray(first, float), np.asarray(second, float)))
    known = np.maximum(np.isfinite(sides).sum(axis=0), 1)
    return (2 * np.nansum(sides, axis=0) // known).astype(np.int64)


def probability(ratio: float, prior: float = 0.5) -> float:
    """Of one speaker, by a log-likelihood ratio and the probability before the recordings were heard.

    Raises:
        SvmixerError: a prior that is not between 0 and 1.
    """
    if not 0.0 < prior < 1.0:
        raise SvmixerError(f"prior: a probability between 0 and 1, found {prior:g}")
    odds = ratio + np.log(prior / (1.0 - prior))
    return float(np.exp(-np.logaddexp(0.0, -odds)))


def read_calibration(directory: str | Path) -> Calibration | None:
    """The calibration of an export directory; None if it has none.

    Raises:
        ModelError: damaged, or of another version; the message names the file.
    """
    path, cohort_path = Path(directory) / CALIBRATION, Path(directory) / COHORT
    if not path.is_file():
        return None
    try:
        found = read_json(path)
        if found["format"] != FORMAT:
            raise ModelError(f"{path}: of format {found['format']}, this version reads {FORMAT}")
        cohort = np.load(cohort_path, allow_pickle=False).astype(np.float32)
        if cohort.ndim != 2 or not np.isfinite(cohort).all():
            raise ModelError(f"{cohort_path}: not embeddings (C, D), its shape is {cohort.shape}")
        return Calibration(
            cohort=unit_length(cohort),
            top=int(found["top"]),
            limits=Limits(**found["limits"]),
            maps={int(sides): _map(values) for sides, values in found["maps"].items()},
        )
    except OSError as error:
        raise ModelError(f"{error.filename}: cannot be read: {error.strerror}") from None
    except (KeyError, TypeError, ValueError, EOFError) as error:
        if isinstance(error, SvmixerError):
            raise
        raise ModelError(f"{path}: damaged, or written by another version: {error}") from None


def _point(values: dict[str, Any]) -> OperatingPoint:
    return OperatingPoint(**{name: float(value) for name, value in values.items()})


def _map(values: dict[str, Any]) -> Map:
    return Map(
        float(values["slope"]),
        float(values["offset"]),
        {name: _point(point) for name, point in values["operating_points"].items()},
        [_point(point) for point in values["table"]],
    )
