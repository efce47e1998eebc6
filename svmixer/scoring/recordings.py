"""What enrolment and verification take: a recording with a look at its speech, or embeddings in a file."""

from __future__ import annotations

import dataclasses
import os
import zipfile
from dataclasses import dataclass

import numpy as np

from svmixer.audio import AudioError, LongWave
from svmixer.audio.checks import DIFFERING
from svmixer.audio.quality import Quality, QualityMeter
from svmixer.audio.speech import NO_SPEECH
from svmixer.errors import SvmixerError
from svmixer.inference.calibration import HARDLY_SPEECH
from svmixer.inference.speech_parts import speech_parts
from svmixer.inference.utterance import Recording, Source, one_channel_at, wave_source
from svmixer.lists import ListError, read_table
from svmixer.log import Progress, get_logger
from svmixer.scoring.embedder import Embedder
from svmixer.scoring.vectors import EmbeddingError, load_embeddings

logger = get_logger(__name__)

# Endings of files that hold embeddings: of `svmixer enrol`, and all that `svmixer embed` writes with names.
VECTORS = (".npy", ".npz", ".scp")
# Less speech says little about a voice.
LITTLE_SPEECH = 1.0  # seconds


@dataclass(frozen=True)
class EmbeddedRecording:
    """Embeddings ``float32 (n, D)`` of one file, and what speaks against relying on them."""

    vectors: np.ndarray
    doubts: tuple[str, ...] = ()
    # That there is little speech or hardly any, of which a calibration has limits of its own.
    little: tuple[str, ...] = ()
    # Of a recording; of embeddings in a file nobody knows.
    quality: Quality | None = None


def embed_recording(
    embedder: Embedder, recording: Recording, channel: int | None = None, sample_rate: int | None = None
) -> EmbeddedRecording:
    """The embedding of a recording, or the embeddings in a file.

    Args:
        embedder: the model.
        recording: a recording as :meth:`EmbeddingModel.embed` takes it; or the name of a file that holds
            embeddings.
        channel: the one to take, from 0; None takes the mean of all.
        sample_rate: of samples in an array or a tensor, in Hz; None takes the model's.

    Raises:
        AudioError: a recording that cannot be used, or without any speech.
        ValueError: embeddings that are damaged or of another model; the message begins with the file.
    """
    name = name_of(recording)
    if name.endswith(".ark"):
        raise SvmixerError(
            f"{name}: an archive; name the .scp beside it, or NAME.ark:OFFSET for one recording"
        )
    if isinstance(recording, (str, os.PathLike)) and name.endswith(VECTORS):
        vectors = read_vectors(name)
        if vectors.shape[1] != embedder.size:
            what = f"embeddings of {vectors.shape[1]} numbers, this model's have {embedder.size}"
            raise SvmixerError(f"{name}: {what}: they were made with another model")
        return EmbeddedRecording(vectors)
    rate = embedder.model.sample_rate
    wave = one_channel_at(recording, sample_rate, rate, channel)
    parts, meter = speech_parts(_reporting(wave_source(wave, name), rate), rate), QualityMeter(rate)
    source = dataclasses.replace(parts.source, read=meter.reading(parts.source.read))
    ((_, vector),) = embedder.model.embed_sources([source])
    quality = meter.quality(source.num_samples)
    if quality.seconds == 0.0:
        raise AudioError("no speech", NO_SPEECH, name)
    doubts = [f"{name}: {DIFFERING}"] if isinstance(wave, LongWave) and wave.differing() else []
    little = (f"{name}: {quality.seconds:.1f} s of speech",) if quality.seconds < LITTLE_SPEECH else ()
    if parts.hardly:
        quality = dataclasses.replace(quality, seconds=parts.seconds, hardly_speech=True)
        return EmbeddedRecording(vector[None], tuple(doubts), (f"{name}: {HARDLY_SPEECH}",), quality)
    if quality.steady and not little and parts.seconds is None:
        doubts.append(f"{name}: a steady sound, hardly speech")
    return EmbeddedRecording(vector[None], tuple(doubts), little, quality)


def _reporting(source: Source, rate: int) -> Source:
    """A recording that says how far it is read, where that takes long: once for its speech, once to embed."""
    total, done = 2 * source.num_samples, 0
    progress = Progress(logger, total // rate, f"seconds of {source.name}, read twice")

    def read(first: int, count: int) -> np.ndarray:
        nonlocal done
        samples = source.read(first, count)
        done += count
        # Windows overlap: more may be read than that.
        progress.update(min(done, total - rate) // rate)
        return samples

    return dataclasses.replace(source, read=read)


def name_of(recording: Recording) -> str:
    """What messages call a recording."""
    if isinstance(recording, (str, os.PathLike)):
        return os.fspath(recording)
    return str(getattr(recording, "name", None) or "the recording")


def read_vectors(name: str) -> np.ndarray:
    """All embeddings ``(n, D)`` in a file that `svmixer enrol` or `svmixer embed` wrote.

    Raises:
        ValueError: unreadable, or not vectors of one size; the message begins with the file.
    """
    try:
        vectors = _read(name)
    except FileNotFoundError as error:
        which = "" if error.filename == name else f": {error.filename}"
        raise SvmixerError(f"{name}: missing file{which}") from None
    except (ValueError, OSError, EOFError, MemoryError, RuntimeError, zipfile.BadZipFile) as error:
        # numpy's own words would advise to trust the file.
        why = (
            str(error)
            if isinstance(error, (EmbeddingError, ListError))
            else "it is damaged or something else"
        )
        raise SvmixerError(f"{name}: no embeddings can be read from it: {why}") from None
    what = f"its shape is {vectors.shape}, its type {vectors.dtype}"
    if vectors.ndim not in (1, 2) or not vectors.size or vectors.dtype.kind != "f":
        raise SvmixerError(f"{name}: not embeddings, {what}")
    with np.errstate(over="ignore"):
        vectors = np.atleast_2d(vectors).astype(np.float32)
    if not np.isfinite(vectors).all() or not vectors.any(axis=1).all():
        raise SvmixerError(f"{name}: not embeddings of finite values that are not all zero, {what}")
    return vectors


def _read(name: str) -> np.ndarray:
    if name.endswith(".scp"):
        table = read_table(name)
        return load_embeddings(table, list(table), name)
    loaded = np.load(name, allow_pickle=False)
    if not isinstance(loaded, np.ndarray) and not loaded.files:
        raise SvmixerError("empty")
    if isinstance(loaded, np.ndarray):
        return loaded
    with loaded:
        return np.stack([loaded[key] for key in loaded])
