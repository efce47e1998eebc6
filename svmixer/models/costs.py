"""What the parts of a speaker model cost: rows of parameters and operations, also of the paper's models."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor, nn

from svmixer.models.complexity import measure
from svmixer.models.config import ModelConfig, StudentConfig
from svmixer.models.speaker_model import SpeakerModel

PAPER_LAYERS = (5, 17)
# What the paper (Table I) and the released models' description state: millions of parameters, GMACs.
STATED = {
    "transformer layer": (8.40, 1.25),
    "mlp_mixer layer": (8.58, 1.43),
    "cycle_mlp layer": (9.45, 1.42),
    "conv_mixer layer": (9.02, 1.48),
    "svmixer layer": (3.75, 0.63),
    "system L=5": (33.0, 11.9),
    "system L=17": (80.0, 19.4),
}


def paper_rows() -> Iterator[dict[str, Any]]:
    """A layer of each compared encoder, the front end, students, backends and systems of 5 and 17 layers.

    Rows that the paper or the released models state figures for have them under ``stated``.
    """
    for row in _paper_rows():
        if row["name"] in STATED:
            millions, gmacs = STATED[row["name"]]
            row = {**row, "stated": {"params": round(millions * 1e6), "macs": round(gmacs * 1e9)}}
        yield row


def _paper_rows() -> Iterator[dict[str, Any]]:
    for encoder in ("transformer", "mlp_mixer", "cycle_mlp", "conv_mixer"):
        yield _parts(ModelConfig(student=StudentConfig(layers=1, encoder=encoder)))["layer"]
    parts = {layers: _parts(ModelConfig(student=StudentConfig(layers=layers))) for layers in PAPER_LAYERS}
    first = parts[PAPER_LAYERS[0]]
    yield first["layer"]
    yield first["front end + projection"]
    for name in ("student", "backend", "system"):
        for layers in PAPER_LAYERS:
            row = parts[layers][name]
            yield {**row, "name": f"{row['name']} L={layers}"}


def model_rows(config: ModelConfig) -> Iterator[dict[str, Any]]:
    """Rows of one model: a layer, the front end, the student, the backend and all together (``system``)."""
    yield from _parts(config).values()


def _parts(config: ModelConfig) -> dict[str, dict[str, Any]]:
    student = config.student
    # Shapes are all that counting needs: nothing is computed on the meta device.
    with torch.device("meta"):
        # Moved there too: ESPnet makes some parameters of its encoders where the context has no effect.
        model = SpeakerModel(config).to("meta")
        wave = torch.empty(1, student.window)
        frames = torch.empty(1, student.frames, student.hidden)
        states = torch.empty(1, student.layers + 1, student.frames, student.hidden)
    front = torch.nn.Sequential(model.student.conv_layers, model.student.feat_projection)
    return {
        "layer": _row(f"{student.encoder} layer", model.student.layers[0], frames, student.window),
        "front end + projection": _row("front end + projection", front, wave, student.window),
        "student": _row("student", model.student, wave, student.window),
        "backend": _row(f"{config.backend.name} backend", model.backend, states, student.window),
        "system": _row("system", model, wave, student.window),
    }


def _row(name: str, module: nn.Module, example: Tensor, samples: int) -> dict[str, Any]:
    cost = measure(module, example)
    return {
        "name": name,
        "params": cost.params,
        "macs": cost.macs,
        "operations": cost.operations,
        "samples": samples,
    }
