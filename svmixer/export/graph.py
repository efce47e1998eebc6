"""A speaker model as an ONNX graph: windows of audio in, embeddings out, any number of windows at a time."""

from __future__ import annotations

import contextlib
import logging
import warnings
from collections.abc import Iterator
from pathlib import Path

import torch
from torch import Tensor, nn

from svmixer.errors import SvmixerError
from svmixer.fileio import atomic_path
from svmixer.inference.onnx_model import INPUT, OUTPUT
from svmixer.models.speaker_model import SpeakerModel, evaluating

# The first one with the GELU operator.
OPSET = 20


class GraphError(SvmixerError):
    """A model that the exporter cannot turn into a graph."""


class _Embedder(nn.Module):
    """``forward`` alone: what is exported."""

    def __init__(self, model: SpeakerModel) -> None:
        super().__init__()
        self.model = model

    def forward(self, wave: Tensor) -> Tensor:
        return self.model(wave)


def write_graph(model: SpeakerModel, path: str | Path) -> None:
    """Write ``model`` as ONNX: input ``wave`` float32 (W, window), output ``embedding`` float32 (W, D).

    Args:
        model: on the CPU.
        path: of the file, which is whole or absent.

    Raises:
        GraphError: the exporter knows no graph of this model.
        ImportError: the packages onnx and onnxscript are missing.
    """
    # Two windows: with one, the exporter takes the number of windows for a constant.
    example = torch.zeros(2, model.window)
    with evaluating(model), _silent(), atomic_path(path) as temporary:
        try:
            program = torch.onnx.export(
                _Embedder(model).eval(),
                (example,),
                dynamo=True,
                dynamic_shapes=({0: torch.export.Dim("windows")},),
                input_names=[INPUT],
                output_names=[OUTPUT],
                opset_version=OPSET,
                verbose=False,
            )
        except torch.onnx.OnnxExporterError as error:
            reason = str(error.__cause__ or error).strip().splitlines()[0]
            raise GraphError(f"{path}: the model cannot be written as ONNX: {reason}") from error
        # A lookup in a table inside the model has the output's name, too.
        for node in program.model.graph:
            for value in node.outputs:
                if value.name == OUTPUT and value not in program.model.graph.outputs:
                    value.name = f"{OUTPUT}.lookup"
        program.save(str(temporary))


@contextlib.contextmanager
def _silent() -> Iterator[None]:
    """The exporter's own messages are for those who develop it."""
    logger = logging.getLogger("torch.onnx")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.setLevel(level)
