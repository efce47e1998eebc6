"""Targets for a training: svmixer teacher_embeddings --model MODEL [--dump_dir dump/train] [--output_dir DIR]

Writes DIR/embeddings.scp, the embedding of every utterance of a dump by another system: a model directory or
the name of a model of this package, or any ONNX file from a waveform (1, N) or from Kaldi's filterbank
(1, T, F), as WeSpeaker and others export them. A run that was stopped goes on.

    svmixer teacher_embeddings --model voxceleb_resnet34_LM.onnx --output_dir exp/resnet34
    ./run.sh --stage train --teacher_embeddings exp/resnet34/embeddings.scp
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from svmixer.config import parse_args
from svmixer.limits import between, different


@dataclass(frozen=True)
class TeacherEmbeddingsConfig:
    """Options of ``svmixer teacher_embeddings``."""

    # ONNX file, model directory, or the name of a model that comes with the package.
    model: str
    # Where embeddings.scp and its archives go.
    output_dir: str
    # Dumped set whose utterances are embedded.
    dump_dir: str = "dump/train"
    # Playing speeds, as the training's data.speeds.
    speeds: tuple[float, ...] = (1.0,)
    # Of a filterbank's energies: subtract their mean over time, as most models want it.
    mean_norm: bool = True

    def __post_init__(self) -> None:
        different(self, "speeds")
        between(self, 0.5, 2.0, "speeds")


def main(argv: list[str] | None = None) -> None:
    """Command line; a user's mistake ends with one line and status 1."""
    config = parse_args(TeacherEmbeddingsConfig, argv, __doc__)
    from svmixer.fileio import md5_file
    from svmixer.scoring.embedder import load_embedder
    from svmixer.scoring.other_systems import OnnxSystem, embed_at_speeds

    if config.model.endswith(".onnx"):
        weights = Path(config.model)
        embed = OnnxSystem(weights, config.mean_norm).embed
    else:
        embedder = load_embedder(config.model)
        weights, embed = embedder.weights, embedder.model.embed
    settings = {"mean_norm": config.mean_norm, "md5": {str(weights): md5_file(weights)}}
    embed_at_speeds(config.dump_dir, embed, config.speeds, config.output_dir, settings)
