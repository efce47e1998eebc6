"""What an exported graph gives, beside the model that it was made from. Needs no torch."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from svmixer.errors import SvmixerError
from svmixer.inference.onnx_model import open_session, run_session
from svmixer.log import get_logger

logger = get_logger(__name__)

# Lowest cosine with the model's own embeddings of the same windows.
PARITY = {"float32": 0.9999, "int8": 0.999, "float16 weights": 0.9999}


class ParityError(SvmixerError):
    """What was exported does not give the model's embeddings."""


def check_parity(what: str, path: Path, found: np.ndarray, exact: np.ndarray) -> dict[str, Any]:
    """How near the embeddings ``(W, D)`` of an export are to those of the model.

    Args:
        what: a key of :data:`PARITY`.
        path: of the file, for the message.
        found: embeddings by the export.
        exact: of the same windows by the model.

    Raises:
        ParityError: not near enough, or not finite.
    """
    cosine = cosines(found, exact)
    logger.info("%s: lowest cosine with the model %.6f", path, cosine.min())
    # NaN is no parity either.
    if not cosine.min() >= PARITY[what]:
        raise ParityError(
            f"{path}: the lowest cosine with the model's embeddings of {len(exact)} windows is "
            f"{cosine.min():.6f}, not {PARITY[what]} or more"
        )
    return {
        "cosine_lowest": float(cosine.min()),
        "cosine_mean": float(cosine.mean()),
        "windows": len(exact),
        "megabytes": path.stat().st_size / 1e6,
    }


def run_windows(path: Path, windows: np.ndarray, threads: int = 0) -> np.ndarray:
    """Embeddings ``float32 (W, D)`` of windows ``(W, window)`` by the graph in a file."""
    session = open_session(path, threads)
    return np.concatenate([run_session(session, window[None]) for window in windows])


def cosines(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Cosine of each row of ``(W, D)`` with the same row of the other, in double precision: ``(W,)``."""
    one, two = first.astype(np.float64), second.astype(np.float64)
    return (one * two).sum(1) / (np.linalg.norm(one, axis=1) * np.linalg.norm(two, axis=1))


def milliseconds(calls: dict[str, Callable[[], object]], rounds: int = 15) -> dict[str, float]:
    """Median processor time of each call in this thread; the calls take turns.

    What else the machine does takes turns with them, too: their time is not counted, and it meets all alike.
    """
    times: dict[str, list[float]] = {name: [] for name in calls}
    for number in range(rounds + 2):
        for name, call in calls.items():
            began = time.thread_time()
            call()
            if number >= 2:
                times[name].append(1000 * (time.thread_time() - began))
    return {name: statistics.median(values) for name, values in times.items()}
