"""Parameters and MACs of a speaker model and its parts; without a configuration, of the paper's models."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from svmixer.config import ConfigError, parse_args
from svmixer.log import fail
from svmixer.models.config import BackendConfig, ModelConfig, StudentConfig

if TYPE_CHECKING:
    from torch import Tensor, nn

PAPER_LAYERS = (5, 17)


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


def main(argv: list[str] | None = None) -> None:
    """Print one row a part: parameters, MACs in the paper's accounting, operations in the full one."""
    config = parse_args(ComplexityConfig, argv, __doc__)
    try:
        rows = list(paper_rows() if config.student is None and config.backend is None else model_rows(config))
    except ConfigError as error:
        raise fail(str(error)) from None
    if config.format == "json":
        print(json.dumps(rows, indent=2))
    else:
        print(table(rows))


def paper_rows() -> Iterator[dict[str, Any]]:
    """One layer, the front end, then students, backends and whole systems of 5 and 17 layers."""
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
    from svmixer.complexity import measure

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
    lines = [f"{'':{width}}  {'parameters':>12}  {'MMACs':>10}  {'Mops':>10}"]
    for row in rows:
        macs, operations = row["macs"] / 1e6, row["operations"] / 1e6
        lines.append(f"{row['name']:{width}}  {row['params']:12,}  {macs:10,.1f}  {operations:10,.1f}")
    lines += [
        "",
        f"For one input of {rows[0]['samples']:,} samples. MMACs: millions of multiply-accumulates of Linear",
        "and Conv layers alone, weights and biases, as the paper counts. Mops: those of every matrix product",
        "and convolution as executed, plus one an element for norms, activations and all else that computes.",
    ]
    return "\n".join(lines)


if __name__ == "__main__":
    main()
