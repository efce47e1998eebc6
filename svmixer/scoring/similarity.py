"""How alike many recordings are, each with each."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from svmixer.audio.quality import Quality, QualityMeter
from svmixer.audio.speech import NO_SPEECH
from svmixer.inference.calibration import Calibration, is_telephone, telephone_sides
from svmixer.inference.speech_parts import SpeechParts, speech_parts
from svmixer.inference.utterance import Source, unit_length
from svmixer.scoring.directories import readable
from svmixer.scoring.embedder import Embedder

# Rows of the matrix that are computed at a time.
_ROWS = 128


@dataclass(frozen=True)
class Measured:
    """Recordings that were embedded, and those that could not be."""

    names: list[str]
    # float32 (N, D), unit length.
    vectors: np.ndarray
    qualities: list[Quality]
    # Name → why.
    failures: dict[str, str]


def embed_measured(embedder: Embedder, files: Mapping[str, str | Path], channel: int | None) -> Measured:
    """Embed recordings with a look at their speech; one without any counts among the failures.

    Args:
        embedder: the model.
        files: name → audio file.
        channel: of recordings with several, from 0; None: their mean.
    """
    failures: dict[str, str] = {}
    meters: dict[str, tuple[QualityMeter, SpeechParts]] = {}

    def open_source(name: str, path: str | Path) -> Source:
        rate = embedder.model.sample_rate
        # As `svmixer verify` embeds it.
        parts = speech_parts(embedder.open_source(name, path, channel), rate)
        meter = QualityMeter(rate)
        meters[name] = meter, parts
        return replace(parts.source, read=meter.reading(parts.source.read))

    names, vectors, qualities = [], [], []
    for name, vector in embedder.model.embed_sources(readable(files, open_source, failures)):
        meter, parts = meters.pop(name)
        quality = meter.quality(parts.source.num_samples)
        if quality.seconds == 0.0:
            failures.setdefault(str(files[name]), f"{files[name]}: no speech: {NO_SPEECH}")
        elif parts.hardly:
            quality = replace(quality, seconds=parts.seconds, hardly_speech=True)
        if str(files[name]) not in failures:
            names.append(name)
            vectors.append(vector)
            qualities.append(quality)
    found = np.stack(vectors) if vectors else np.empty((0, embedder.size), np.float32)
    named = {name: failures[str(path)] for name, path in files.items() if str(path) in failures}
    return Measured(names, unit_length(found), qualities, named)


def cosine_matrix(vectors: np.ndarray) -> np.ndarray:
    """Cosines ``float32 (N, N)`` of embeddings ``(N, D)`` of unit length."""
    return np.clip(vectors @ vectors.T, -1.0, 1.0)


def ratio_matrix(calibration: Calibration, vectors: np.ndarray, qualities: list[Quality]) -> np.ndarray:
    """Log-likelihood ratios ``float32 (N, N)`` of embeddings ``(N, D)``; the diagonal says nothing.

    Each trial has the map for the number of its sides with the band of the telephone.
    """
    narrow = np.array([is_telephone(quality) for quality in qualities], float)
    matrix = np.empty((len(vectors), len(vectors)), np.float32)
    for start in range(0, len(vectors), _ROWS):
        rows = slice(start, start + _ROWS)
        matrix[rows] = calibration.ratios(vectors[rows], vectors, telephone_sides(narrow[rows, None], narrow))
    return matrix
