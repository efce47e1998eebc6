"""Parameters and MACs of a speaker model and its parts; without a configuration, of the paper's models."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from svmixer.config import parse_args
from svmixer.limits import at_least
from svmixer.models.config import BackendConfig, ModelConfig, StudentConfig

if TYPE_CHECKING:
    from torch import Tensor, nn

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


@dataclass(frozen=True)
class ComplexityConfig:
    """Options; a model's ``config.yaml`` can be given as ``--config``."""

    # Student: a section or a YAML file. Without student and backend: the paper's small and large models.
    student: StudentConfig | None = None
    # Backend: a section or a YAML file.
    backend: BackendConfig | None = None
    # Whether the embeddings are whitened.
    whiten: bool = False
    # Sampling rate of the waveforms in Hz.
    sample_rate: int = 16000
    # table for people, json for programs.
    format: Literal["table", "json"] = "table"
    # The same as --format json.
    json: bool = False

    def __post_init__(self) -> None:
        at_least(self, 1, "sample_rate")


def main(argv: list[str] | None = None) -> None:
    """Print one row a part: parameters, MACs in the paper's accounting, operations in the full one."""
    config = parse_args(ComplexityConfig, argv, __doc__)
    rows = list(paper_rows() if config.student is None and config.backend is None else model_rows(config))
    if config.json or config.format == "json":
        print(json.dumps(rows, indent=2))
    else:
        print(table(rows))


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


def model_rows(config: ComplexityConfig) -> Iterator[dict[str, Any]]:
    """Rows of one model; a part that the options leave out has its default."""
    student, backend = config.student or StudentConfig(), config.backend or BackendConfig()
    yield from _parts(ModelConfig(student, backend, config.whiten, config.sample_rate)).values()


def _parts(config: ModelConfig) -> dict[str, dict[str, Any]]:
    import torch

    from svmixer.models.speaker_model import SpeakerModel

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
    from svmixer.models.complexity import measure

    cost = measure(module, example)
    return {
        "name": name,
        "params": cost.params,
        "macs": cost.macs,
        "operations": cost.operations,
        "samples": samples,
    }


def table(rows: list[dict[str, Any]]) -> str:
    """Rows as aligned text, with what the columns count."""
    width = max(len(row["name"]) for row in rows)
    stated = any("stated" in row for row in rows)
    head = f"{'':{width}}  {'parameters':>12}  {'MMACs':>10}  {'Mops':>10}"
    lines = [head + f"  {'stated':>10}  {'MMACs':>10}" if stated else head]
    for row in rows:
        macs, operations = row["macs"] / 1e6, row["operations"] / 1e6
        line = f"{row['name']:{width}}  {row['params']:12,}  {macs:10,.1f}  {operations:10,.1f}"
        if "stated" in row:
            params, macs = row["stated"]["params"] / 1e6, row["stated"]["macs"] / 1e6
            line += f"  {params:9.2f}M  {macs:10,.0f}"
        lines.append(line)
    lines += [
        "",
        f"For one input of {rows[0]['samples']:,} samples. MMACs: millions of multiply-accumulates of Linear",
        "and Conv layers alone, weights and biases, as the paper counts. Mops: those of every matrix product",
        "and convolution as executed, plus one an element for norms, activations and all else that computes.",
    ]
    if stated:
        lines.append("Stated: by the paper for layers (Table I), by the released models for whole systems.")
    return "\n".join(lines)
