"""An exported model: waveform → embedding by ONNX Runtime, on the embedding path of all other models."""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Literal

import numpy as np

from svmixer.fileio import read_json
from svmixer.inference.calibration import read_calibration
from svmixer.inference.embedding_model import DESCRIPTION, EmbeddingModel, ModelError, find_directory

# Graphs of an export; the description says which of them there are, and how they were checked.
FILES = {"float32": "model.onnx", "int8": "model.int8.onnx"}
INPUT, OUTPUT = "wave", "embedding"
FORMAT = 1
# Bytes of a graph whose window is done sooner by one thread than by several that have to meet at every layer.
SMALL_GRAPH = 32_000_000

Precision = Literal["float32", "int8", "auto"]


@dataclass(frozen=True)
class ExportedModel:
    """What ``export.json`` says of a model."""

    sample_rate: int  # Hz
    window: int  # samples of one window
    embedding: int  # size D
    # Cosine from which on two recordings count as one speaker, and what it was set on; None: not known.
    threshold: float | None
    precisions: tuple[Precision, ...]  # that there are files of, the recommended one first


def read_description(directory: Path) -> ExportedModel:
    """The description in an export directory.

    Raises:
        ModelError: it is missing, damaged or of another version.
    """
    path = directory / DESCRIPTION
    try:
        data = read_json(path)
        if data["format"] != FORMAT:
            raise ModelError(f"{path}: format {data['format']}, this version reads {FORMAT}")
        threshold = data["threshold"]
        return ExportedModel(
            int(data["sample_rate"]), int(data["window"]), int(data["embedding"]),
            None if threshold is None else float(threshold["cosine"]), tuple(data["precisions"]),
        )  # fmt: skip
    except ModelError:
        raise
    except KeyError as error:
        raise ModelError(
            f"{path}: not the description of an exported model: {error.args[0]} is missing"
        ) from None
    except (OSError, ValueError, TypeError) as error:
        raise ModelError(f"{path}: not the description of an exported model: {error!r}") from None


class OnnxModel(EmbeddingModel):
    """A speaker model in an ONNX file; the methods are those of ``svmixer.models.SpeakerModel``.

    Args:
        directory: what ``svmixer export`` wrote.
        precision: ``float32``, ``int8``, or ``auto`` for the one that the export recommends.
        threads: of one call; 0 takes all processors. A small graph computes a window on one of them, the
            windows of longer audio side by side; a large graph shares a window out among all.

    Raises:
        ModelError: a file is missing or damaged, or onnxruntime is not installed.
    """

    def __init__(self, directory: Path, precision: Precision = "auto", threads: int = 0) -> None:
        self.description = read_description(directory)
        # Of the scores of its embeddings; None if the export has none.
        self.calibration = read_calibration(directory)
        if precision == "auto":
            precision = self.description.precisions[0]
        if precision not in self.description.precisions:
            there = ", ".join(self.description.precisions)
            raise ModelError(f"{directory}: there is no {precision} model, only {there}")
        self.precision = precision
        path = directory / FILES[precision]
        threads = threads or _processors()
        small = path.is_file() and path.stat().st_size <= SMALL_GRAPH
        self._side_by_side = threads if small else 1
        self._session = open_session(path, 1 if small else threads)

    @property
    def window(self) -> int:  # type: ignore[override]
        """Samples of one window."""
        return self.description.window

    @property
    def sample_rate(self) -> int:  # type: ignore[override]
        """Of the waveforms, in Hz."""
        return self.description.sample_rate

    @property
    def threshold(self) -> float | None:
        """Cosine from which on two recordings count as one speaker; None if the export set none."""
        return self.description.threshold

    def embed_windows(self, windows: np.ndarray) -> np.ndarray:
        """Windows ``float32 (W, window)`` → embeddings ``float32 (W, D)``, not scaled to unit length."""
        parts = min(self._side_by_side, len(windows))
        if parts <= 1:
            return run_session(self._session, windows)
        with ThreadPoolExecutor(parts) as pool:
            shares = np.array_split(windows, parts)
            return np.concatenate(list(pool.map(partial(run_session, self._session), shares)))


def load_onnx(path_or_name: str | Path, precision: Precision = "auto", threads: int = 0) -> OnnxModel:
    """The model of an export directory, or of that name among those that come with the package.

    Raises:
        ModelError: see :class:`OnnxModel`.
    """
    return OnnxModel(find_directory(path_or_name, "export", (DESCRIPTION,)), precision, threads)


def _processors() -> int:
    """How many this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def open_session(path: Path, threads: int) -> Any:
    """An ``onnxruntime.InferenceSession`` on the CPU.

    Raises:
        ModelError: the file is missing or damaged, or onnxruntime is not installed.
    """
    try:
        import onnxruntime
    except ImportError:
        raise ModelError(f"{path}: onnxruntime is not installed: pip install 'svmixer[onnx]'") from None
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.log_severity_level = 3  # errors
    try:
        return onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    except Exception as error:  # onnxruntime's own classes, which have no common name in public
        raise ModelError(f"{path}: not a model that ONNX Runtime reads: {error}") from None


def run_session(session: Any, windows: np.ndarray) -> np.ndarray:
    """Windows ``float32 (W, window)`` → embeddings ``float32 (W, D)``."""
    return session.run([OUTPUT], {INPUT: windows})[0]
