"""Whichever of the two ways to run a model is installed: ONNX Runtime, or PyTorch."""

from __future__ import annotations

import functools
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from svmixer.audio import open_wave
from svmixer.fileio import sha256_file
from svmixer.inference.calibration import Calibration, read_calibration
from svmixer.inference.embedding_model import DEFAULT_MODEL, ModelError, find_directory
from svmixer.inference.onnx_model import DESCRIPTION, FILES, OnnxModel, Precision, read_description
from svmixer.inference.utterance import Source, wave_source

if TYPE_CHECKING:
    from svmixer.models.speaker_model import SpeakerModel

Runtime = Literal["auto", "onnx", "torch"]


@dataclass(frozen=True)
class Embedder:
    """A model ready to use."""

    model: OnnxModel | SpeakerModel
    # Cosine from which on two recordings count as one speaker; None if the model does not say.
    threshold: float | None
    # What it runs: the ONNX file, or model.safetensors.
    weights: Path
    # What it was called: a directory, or a name.
    name: str
    # Of its scores; None if it has none.
    calibration: Calibration | None = None

    @property
    def size(self) -> int:
        """Numbers D of an embedding."""
        if isinstance(self.model, OnnxModel):
            return self.model.description.embedding
        return self.model.config.embedding_size

    @functools.cached_property
    def fingerprint(self) -> str:
        """SHA-256 of the model's weights: one for all the forms of a model that lie in one directory."""
        return sha256_file(whole_weights(self.weights))

    def open_source(self, name: str, path: str | Path, channel: int | None = None) -> Source:
        """A recording as an utterance for ``model.embed_sources``.

        Raises:
            AudioError: unreadable, also when a part that is asked for is damaged.
        """
        wave, _ = open_wave(str(path), self.model.sample_rate, channel)
        return wave_source(wave, name)


def whole_weights(weights: Path) -> Path:
    """The file that a model's fingerprint is of, whichever of its forms runs."""
    whole = weights.with_name("model.safetensors")
    return whole if whole.is_file() else weights


def load_embedder(
    path_or_name: str, runtime: Runtime = "auto", precision: Precision = "auto", device: str = "cpu"
) -> Embedder:
    """The model of a directory or name.

    Args:
        path_or_name: a directory, or a name of a model that comes with the package.
        runtime: ``auto`` takes ONNX Runtime where it and an export are there, for the CPU; else PyTorch.
        precision: of the ONNX files ``float32`` or ``int8``, ``auto`` being the recommended one; PyTorch
            computes in float32.
        device: ``cpu``, or one of PyTorch's.

    Raises:
        ModelError: no such model, what it needs is not installed, or options that exclude each other.
    """
    directory = _directory(path_or_name)
    exported = (directory / DESCRIPTION).is_file()
    if runtime == "auto":
        here = exported and device == "cpu" and find_spec("onnxruntime") is not None
        runtime = "onnx" if here else "torch"
    if runtime == "onnx":
        if device != "cpu":
            raise ModelError(f"device: exported models run on the CPU, not on {device}; take --runtime torch")
        onnx = OnnxModel(find_directory(path_or_name, "export", (DESCRIPTION,)), precision)
        weights = directory / FILES[onnx.precision]
        return Embedder(onnx, onnx.threshold, weights, path_or_name, onnx.calibration)
    if precision == "int8":
        raise ModelError("precision: PyTorch computes in float32; int8 is an ONNX file, for --runtime onnx")
    if find_spec("torch") is None:
        why = f"{directory}: torch is not installed: pip install 'svmixer[torch]'"
        if exported:
            raise ModelError(why)
        raise ModelError(
            f"{why}, or export the model where it is, to run without: svmixer export --onnx true"
        )
    threshold = read_description(directory).threshold if exported else None
    from svmixer.models.io import load_model

    model = load_model(path_or_name, device)
    weights = directory / "model.safetensors"
    return Embedder(model, threshold, weights, path_or_name, read_calibration(directory))


def _directory(path_or_name: str) -> Path:
    """Of the model, whatever files it has.

    Raises:
        ModelError: no such model.
    """
    try:
        return find_directory(path_or_name, "model", ())
    except ModelError as error:
        if path_or_name != DEFAULT_MODEL:
            raise
        raise ModelError(
            f"{error}; it is taken when no model is named, but this package comes without it: name one with "
            "--model DIR, a directory that svmixer export or a training wrote"
        ) from None
