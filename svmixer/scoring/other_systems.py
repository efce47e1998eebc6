"""Embeddings of a dump by other systems, as targets of a training (``--teacher_embeddings``)."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from svmixer.audio.dumpset import RATE, DumpSet
from svmixer.audio.resample import name_at_speed, speed_perturb
from svmixer.errors import SvmixerError
from svmixer.fileio import md5_file
from svmixer.inference.embedding_model import ModelError
from svmixer.inference.onnx_model import open_session
from svmixer.log import Progress, get_logger
from svmixer.scoring.vectors import EmbeddingError, job_finished, merge_jobs, write_job

logger = get_logger(__name__)

# Utterances of a file; a run that was stopped goes on with the next one.
BLOCK = 1000
# Samples of a frame of the filterbank: 25 ms.
FRAME = 400
# What Kaldi's features take a waveform in [−1, 1] times.
KALDI_SCALE = 32768


class OnnxSystem:
    """Any ONNX model from a waveform, or from Kaldi's mel filterbank, to one embedding.

    An input of two dimensions gets the waveform ``(1, N)`` in [−1, 1] at 16 kHz. One of three gets log
    energies ``(1, T, F)`` of F mel bands as Kaldi and WeSpeaker compute them (25 ms every 10 ms, Hamming
    window, no dither, 16-bit scale), their mean over time subtracted. Both need a free length.

    Args:
        path: the file.
        mean_norm: subtract the mean over time from the filterbank's energies.

    Raises:
        ModelError: it cannot be opened, or has other inputs or outputs than these.
    """

    def __init__(self, path: str | Path, mean_norm: bool = True) -> None:
        self.path, self.mean_norm = Path(path), mean_norm
        self._session = open_session(self.path, 0)
        inputs = self._session.get_inputs()
        if len(inputs) != 1 or len(inputs[0].shape) not in (2, 3):
            found = ", ".join(f"{value.name} {value.shape}" for value in inputs)
            raise ModelError(
                f"{path}: expected one input, a waveform (1, N) or features (1, T, F), found {found}"
            )
        self._input, shape = inputs[0].name, inputs[0].shape
        if isinstance(shape[1], int):
            raise ModelError(
                f"{path}: takes exactly {shape[1]} samples or frames, and utterances have any length"
            )
        self.bands = 0
        if len(shape) == 3:
            if not isinstance(shape[2], int):
                raise ModelError(f"{path}: does not say how many mel bands it takes, found {shape}")
            self.bands = shape[2]

    def embed(self, wave: np.ndarray) -> np.ndarray:
        """An utterance ``float32 (N,)`` at 16 kHz → embedding ``float32 (D,)``.

        Raises:
            EmbeddingError: the model fails on it, or gives something else than one finite vector.
        """
        value = self._features(wave) if self.bands else wave[None]
        try:
            outputs = self._session.run(None, {self._input: value.astype(np.float32)})
        except Exception as error:
            raise EmbeddingError(f"{self.path}: {str(error).splitlines()[0]}") from None
        found = [output[0] for output in outputs if output.ndim == 2 and len(output) == 1]
        if len(found) != 1:
            shapes = ", ".join(str(output.shape) for output in outputs)
            raise EmbeddingError(f"{self.path}: expected one output (1, D), found {shapes}")
        if not np.isfinite(found[0]).all():
            raise EmbeddingError(f"{self.path}: the embedding is not finite")
        return found[0]

    def _features(self, wave: np.ndarray) -> np.ndarray:
        import torch
        from torchaudio.compliance.kaldi import fbank

        if len(wave) < FRAME:
            raise EmbeddingError(f"{len(wave)} samples are less than one frame of 25 ms")
        energies = fbank(
            torch.from_numpy(wave[None]) * KALDI_SCALE, num_mel_bins=self.bands, sample_frequency=RATE,
            window_type="hamming", dither=0.0,
        ).numpy()  # fmt: skip
        if self.mean_norm:
            energies = energies - energies.mean(axis=0)
        return energies[None]


def embed_at_speeds(
    dump_dir: str | Path,
    embed: Callable[[np.ndarray], np.ndarray],
    speeds: tuple[float, ...],
    directory: str | Path,
    settings: dict[str, Any],
) -> Path:
    """Embed every utterance of a dump at every speed; what was finished with the same settings stays.

    Args:
        embed: a waveform ``float32 (N,)`` → a vector ``(D,)``.
        speeds: utterances at another one than 1 are named ``utterance#sp0.9``, as training asks for them.
        directory: receives ``embeddings.scp`` and its archives.
        settings: what makes two such runs on one dump the same.

    Returns:
        The list.

    Raises:
        AudioError, EmbeddingError: see ``DumpSet.read`` and ``embed``; the utterance is named.
    """
    dump, folder = DumpSet(dump_dir), Path(dump_dir)
    # Stage 2's marker knows the recordings; lists alone are the same for another one of the same length.
    facts = [folder / name for name in ("wav.scp", "utt2num_samples", ".done")]
    digests = {path.name: md5_file(path) for path in facts if path.is_file()}
    items = [(row, speed) for speed in speeds for row in range(len(dump))]
    blocks = [items[start : start + BLOCK] for start in range(0, len(items), BLOCK)]
    settings = {**settings, "dump": digests, "speeds": list(speeds), "num_jobs": len(blocks)}
    progress = Progress(logger, len(items), "utterances")

    def vectors(block: list[tuple[int, float]], done: int) -> Iterator[tuple[str, np.ndarray]]:
        for row, speed in block:
            name, wave = name_at_speed(dump.utterances[row], speed), read_at_speed(dump, row, speed)
            try:
                vector = embed(wave)
            except SvmixerError as error:
                raise EmbeddingError(f"utterance {name}: {error}") from None
            yield name, vector
            done += 1
            progress.update(done)

    for number, block in enumerate(blocks, start=1):
        if not job_finished(directory, number, settings):
            write_job(directory, number, vectors(block, (number - 1) * BLOCK), settings)
    merge_jobs(directory, len(blocks))
    logger.info("%s: %d vectors", Path(directory) / "embeddings.scp", len(items))
    return Path(directory) / "embeddings.scp"


def read_at_speed(dump: DumpSet, row: int, speed: float) -> np.ndarray:
    """A whole utterance, ``float32 (N,)``, played ``speed`` times as fast.

    Raises:
        AudioError: see :meth:`svmixer.audio.dumpset.DumpSet.read`.
    """
    samples = int(int(dump.num_samples[row]) / speed)
    return speed_perturb(lambda start, count: dump.read(row, start, count), 0, samples, speed)
