"""A speaker model made for inference on a CPU: same weights, same interface, other arithmetic."""

from __future__ import annotations

import copy
from collections.abc import Iterable
from itertools import chain
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from torch import nn

from svmixer.export.check import cosines
from svmixer.fast.forms import FORMS, context_convolution
from svmixer.fast.frontend import StretchedFrontend
from svmixer.fast.kits import FloatKit, Int8Kit, RecordingKit, base_name
from svmixer.fast.ranges import Calibration, best_range, load_calibration
from svmixer.inference.model_dir import ModelError, find_directory
from svmixer.models.backends.ecapa import Ecapa
from svmixer.models.embedding import window_embedder
from svmixer.models.frontend import ConvFrontend
from svmixer.models.io import load_model
from svmixer.models.speaker_model import SpeakerModel

Precision = Literal["float32", "bf16", "int8"]
# In a model directory.
CALIBRATION = "int8.safetensors"
# Lowest cosine that calibration asks for on its own windows; on other speech it is lower, see docs/speed.md.
LIMIT = 0.9998
# Windows that it is asked of.
COMPARED = 8
PRECISIONS = ("float32", "bf16", "int8")


def optimise(
    model: SpeakerModel, precision: Precision = "float32", calibration: Calibration | None = None
) -> SpeakerModel:
    """``model`` with weights packed and activations fused: :meth:`SpeakerModel.embed` and the rest as before.

    The result shares the parameters of ``model``, which stays as it is. It is for inference alone, and what
    is later trained or loaded into ``model`` does not reach it.

    Args:
        model: on the CPU; parts without an optimised form (other encoders, other backends) stay as they are.
        precision: ``float32``; ``bf16``: products of 8-bit mantissas, fast where the processor has tiles for
            them (AMX); ``int8``: products of 8-bit integers (VNNI or AMX), 7 bits of the weights where the
            processor has neither.
        calibration: for ``int8``, see :func:`calibrate`.

    Raises:
        ValueError: unknown precision, a model that is not on the CPU, calibration missing or unasked for.
        RuntimeError: a PyTorch without oneDNN.
    """
    if precision not in PRECISIONS:
        raise ValueError(f"unknown precision '{precision}'; known: {', '.join(PRECISIONS)}")
    if (precision == "int8") != (calibration is not None):
        raise ValueError("calibration: int8 needs that of calibrate(), the other precisions have none")
    if model.device.type != "cpu":
        raise ValueError(f"optimised models run on the CPU; this one is on {model.device}")
    if precision == "int8":
        return _with_kit(model, Int8Kit(calibration.ranges, calibration.means))
    return _with_kit(model, FloatKit(torch.bfloat16 if precision == "bf16" else torch.float32))


def load_optimised(path_or_name: str | Path, precision: Precision = "float32") -> SpeakerModel:
    """The model of a model directory, optimised.

    ``int8`` reads ``int8.safetensors`` in that directory, which ``svmixer calibrate`` writes.

    Raises:
        ModelError: see :func:`svmixer.models.io.load_model`; for ``int8``, no calibration in the directory.
    """
    calibration = load_calibration(calibration_path(path_or_name)) if precision == "int8" else None
    return optimise(load_model(path_or_name), precision, calibration)


def calibration_path(path_or_name: str | Path) -> Path:
    """The calibration in a model directory.

    Raises:
        ModelError: there is none.
    """
    path = find_directory(path_or_name, "model") / CALIBRATION
    if not path.exists():
        raise ModelError(f"{path}: missing; int8 needs it: svmixer calibrate --model DIR --data_dir DUMP")
    return path


def calibrate(model: SpeakerModel, windows: np.ndarray, limit: float = LIMIT) -> Calibration:
    """What int8 has to know of a model's activations, for as many of its products as the embeddings allow.

    Each part of the model is computed in int8 by itself; then those that change the embeddings most are left
    out, one after the other, until all the others together keep the limit.

    Args:
        model: on the CPU.
        windows: speech like that to come, of many speakers: ``float32 (W, window)``, some dozens. The first
            eight (or all, if they are fewer) are those that are compared.
        limit: lowest cosine with the embeddings of ``model``; 0 takes every product.
    """
    kit = RecordingKit()
    _embeddings(_with_kit(model, kit), windows)
    ranges = {name: best_range(samples) for name, samples in kit.seen.items()}
    means = {name: torch.stack(rows).mean(dim=0) for name, rows in kit.means.items()}
    compared = windows[:COMPARED]
    exact = _embeddings(model, compared)

    def cosine(names: Iterable[str]) -> float:
        chosen = Calibration({name: ranges[name] for name in names}, means)
        return float(cosines(_embeddings(optimise(model, "int8", chosen), compared), exact).min())

    parts: dict[str, list[str]] = {}
    for name in ranges:
        parts.setdefault(_part(name), []).append(name)
    # The worst comes last.
    order = sorted(parts, key=lambda part: cosine(parts[part]), reverse=True) if limit > 0 else list(parts)
    while order and cosine(chain.from_iterable(parts[part] for part in order)) < limit:
        order.pop()
    taken = {name: ranges[name] for part in order for name in parts[part]}
    return Calibration(taken, {name: mean for name, mean in means.items() if base_name(name) in taken})


def _part(name: str) -> str:
    """A product of all encoder layers alike; or a layer of the front end, or one of the backend."""
    words = name.split(".")
    return ".".join(words[3:]) if words[1] == "layers" else ".".join(words[:3])


def _embeddings(model: SpeakerModel, windows: np.ndarray) -> np.ndarray:
    embed = window_embedder(model)
    return np.concatenate([embed(window[None]) for window in windows])


def _with_kit(model: SpeakerModel, kit: FloatKit) -> SpeakerModel:
    if not torch.backends.mkldnn.is_available():
        raise RuntimeError("this build of PyTorch has no oneDNN, whose products optimised models are made of")
    # The modules are new, their tensors are not.
    tensors = {id(tensor): tensor for tensor in (*model.parameters(), *model.buffers())}
    twin = copy.deepcopy(model, tensors).eval()
    taken: list[str] = []
    with torch.no_grad():
        for name, module in twin.named_modules():
            if name.startswith(tuple(taken)):
                continue
            forms = _forms(name, module, twin, kit)
            for method, form in forms.items():
                setattr(module, method, form)
            if forms:
                taken.append(f"{name}.")
            if isinstance(module, Ecapa):
                attention = module.attention[0]
                attention.forward = context_convolution(f"{name}.attention.0", attention, kit)["forward"]
                taken.append(f"{name}.attention.0")
    return twin


def _forms(name: str, module: nn.Module, model: SpeakerModel, kit: FloatKit) -> dict:
    if isinstance(module, ConvFrontend):
        front = model.config.student.frontend
        if front.first_layer == "log_mel":
            # One product of matrices already.
            return {}
        return {"forward": StretchedFrontend(name, module, front, kit)}
    make = FORMS.get(type(module))
    return make(name, module, kit) if make else {}
