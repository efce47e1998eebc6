"""An export directory: ONNX graphs that were checked against PyTorch, their description and a model card."""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

import svmixer
from svmixer.audio.dumpset import DumpSet
from svmixer.export.card import CARD, model_card, write_card
from svmixer.export.check import (
    CHECKING,
    ParityError,
    check_parity,
    graph_rates,
    milliseconds,
    model_embeddings,
    run_windows,
    scored_rates,
    speech_windows,
)
from svmixer.export.graph import OPSET, write_graph
from svmixer.export.int8 import Quantiser
from svmixer.fileio import write_json
from svmixer.inference.onnx_model import DESCRIPTION, FILES, FORMAT, open_session, run_session
from svmixer.log import get_logger
from svmixer.models.io import read_speakers
from svmixer.models.speaker_model import SpeakerModel

logger = get_logger(__name__)

# What all 8-bit parts may cost together, as 1 − cosine. They are chosen on other utterances than they are
# checked on: if that fails, they may cost less, and in the end nothing.
BUDGETS = (6e-4, 2e-4, 5e-5, 0.0)
# Windows of speech for that choice.
CHOOSING = 24


@dataclass(frozen=True)
class Speech:
    """Dumped sets that an export needs."""

    test: Path  # other speakers than in training, with trials
    scores: Path | None = None  # where stage 5 scored the test set with the model


def write_export(
    model: SpeakerModel, directory: Path, speech: Speech, name: str, about: str, jobs: int = 1
) -> dict[str, Any]:
    """Write graphs, ``export.json`` and ``README.md``; what ``export.json`` holds.

    Args:
        model: on the CPU; the one in ``directory``.
        directory: a model directory, see :func:`svmixer.models.io.save_model`.
        speech: what everything is checked on.
        name: of the model, on its card.
        about: text of the recipe for the card: data, limits, licence.
        jobs: processes for what can be done at the same time.

    Raises:
        ParityError: a graph is too far from the model; nothing but the graphs is written.
        GraphError: the model has no form as a graph.
        ImportError: onnx, onnxscript or onnxruntime is missing.
    """
    scored = None if speech.scores is None else scored_rates(speech.scores, speech.test)
    paths = {precision: directory / name for precision, name in FILES.items()}
    checks = _write_graphs(model, paths, speech, jobs)
    checks["pytorch"]["megabytes"] = (directory / "model.safetensors").stat().st_size / 1e6
    description: dict[str, Any] = {
        "format": FORMAT,
        "made_by": f"svmixer {svmixer.__version__}, torch {torch.__version__}",
        "opset": OPSET,
        "sample_rate": model.config.sample_rate,
        "window": model.window,
        "embedding": model.config.embedding_size,
        "parameters": sum(parameter.numel() for parameter in model.parameters()),
        "adapted_from": model.config.adapted_from or None,
        # Those at other speeds have a mark behind their name.
        "training_speakers": len({name.partition("#")[0] for name in read_speakers(directory)}),
        "precisions": sorted(paths, key=lambda precision: checks[precision]["ms_per_window"]),
        "checks": checks,
        "scored": scored,
        "threshold": None,
        "about": about,
    }
    write_json(directory / DESCRIPTION, description)
    work = [(directory, precision, speech.test) for precision in paths]
    for precision, rates in zip(paths, _at_once(graph_rates, work, jobs), strict=True):
        checks[precision]["test"] = rates
    description["threshold"] = _threshold(description)
    write_json(directory / DESCRIPTION, description)
    write_card(directory / CARD, model_card(name, description))
    return description


def _write_graphs(
    model: SpeakerModel, paths: dict[str, Path], speech: Speech, jobs: int
) -> dict[str, dict[str, Any]]:
    """Write both graphs and check them; what was found."""
    windows = speech_windows(DumpSet(speech.test), model.window, CHECKING + CHOOSING, seed=1)
    windows, choosing = windows[:CHECKING], windows[CHECKING:]
    exact = model_embeddings(model, windows)
    write_graph(model, paths["float32"])
    found = run_windows(paths["float32"], windows)
    checks = {"float32": check_parity("float32", paths["float32"], found, exact)}
    # Cosines of a filterbank, for one: energies far below the loudest would drown in what rounding adds.
    fixed = {name for name, _ in model.named_buffers()} - set(model.state_dict())
    quantiser = Quantiser(paths["float32"], choosing, jobs, [f"model.{name}" for name in fixed])
    checks["int8"] = _write_int8(quantiser, paths["int8"], windows, exact)
    for precision, value in _speed(model, paths, windows[:1]).items():
        checks.setdefault(precision, {})
        checks[precision]["ms_per_window"] = value
        checks[precision]["real_time_factor"] = value / (1000 * model.window / model.config.sample_rate)
    return checks


def _write_int8(quantiser: Quantiser, path: Path, windows: np.ndarray, exact: np.ndarray) -> dict[str, Any]:
    """Quantise as much as passes the check; what it found."""
    for budget in BUDGETS:
        parts = quantiser.write(path, budget)
        try:
            return {**check_parity("int8", path, run_windows(path, windows), exact), "parts": parts}
        except ParityError:
            if not parts:
                raise
    raise AssertionError("without a budget there is no part")


def _speed(model: SpeakerModel, paths: dict[str, Path], window: np.ndarray) -> dict[str, float]:
    """Milliseconds for one window on one thread, of the graphs and of PyTorch."""
    calls: dict[str, Callable[[], object]] = {"pytorch": lambda: model.embed_windows(window)}
    for precision, path in paths.items():
        session = open_session(path, threads=1)
        calls[precision] = lambda session=session: run_session(session, window)
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        return milliseconds(calls)
    finally:
        torch.set_num_threads(threads)


def _at_once(function: Callable[..., Any], work: list[tuple[Any, ...]], jobs: int) -> list[Any]:
    if jobs == 1:
        return [function(*arguments) for arguments in work]
    # Not forked: the threads of torch and onnxruntime do not live on in a copy.
    with ProcessPoolExecutor(jobs, multiprocessing.get_context("spawn")) as pool:
        return list(pool.map(function, *zip(*work, strict=True)))


def _threshold(description: dict[str, Any]) -> dict[str, Any]:
    """The cosine at the equal error rate, by stage 5's embeddings of all trials if there are any."""
    scored = description["scored"]
    if scored is not None:
        source = f"equal error rate on {scored['set']}, {scored['trials']} trials, embeddings of unit length"
        return {"cosine": scored["unit_length_threshold"], "from": f"{source} by PyTorch"}
    first = description["precisions"][0]
    rates = description["checks"][first]["test"]
    source = f"equal error rate on {rates['set']}, {rates['trials']} trials, embeddings of unit length"
    return {"cosine": rates["eer_threshold"], "from": f"{source} by the {first} graph"}
