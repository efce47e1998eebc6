"""Enrol a speaker from one or more recordings: svmixer enrol FILE... --output SPEAKER.npy [--model NAME]

Example:
    svmixer enrol a.wav c.flac --output ann.npy
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from svmixer.config import parse_args
from svmixer.errors import UsageError
from svmixer.fileio import atomic_write
from svmixer.inference.embedding_model import DEFAULT_MODEL
from svmixer.limits import not_negative
from svmixer.log import get_logger

logger = get_logger(__name__)


@dataclass(frozen=True)
class EnrolConfig:
    """Options of ``svmixer enrol``."""

    # File for the speaker's embedding, which `svmixer verify` takes in place of a recording.
    output: str
    # Recordings; - is standard input; the name of this option may be left out.
    files: tuple[str, ...] = ()
    # Model directory, or the name of a model that comes with the package.
    model: str = DEFAULT_MODEL
    # What runs the model; auto: onnx if it is installed, else torch.
    runtime: Literal["auto", "onnx", "torch"] = "auto"
    # Which ONNX file; auto: the one that the export recommends.
    precision: Literal["auto", "float32", "int8"] = "auto"
    # Channel that is taken of recordings with several, from 0; without it their mean.
    channel: int | None = None

    def __post_init__(self) -> None:
        not_negative(self, "channel")
        if not self.output.endswith(".npy"):
            raise ValueError(f"output: '{self.output}' does not end with .npy")


def main(argv: list[str] | None = None) -> None:
    """Write the mean embedding; a recording that cannot be read ends with one line and status 1."""
    config = parse_args(EnrolConfig, argv, __doc__)
    if not config.files:
        raise UsageError("no recording given: svmixer enrol FILE... --output SPEAKER.npy")
    from svmixer.inference.verification import enrol
    from svmixer.scoring.embedder import load_embedder
    from svmixer.scoring.recordings import hear

    model = load_embedder(config.model, config.runtime, config.precision)
    heard = [hear(model, name, config.channel) for name in config.files]
    speaker = enrol([vector for one in heard for vector in one.vectors])
    with atomic_write(config.output, "wb") as stream:
        np.save(stream, speaker)
    for doubt in (doubt for one in heard for doubt in (*one.doubts, *one.little)):
        logger.warning("%s", doubt)
