"""Released SV-Mixer checkpoints: two PyTorch state dicts, a student and a classifier, as one speaker model.

Their tensors have the names and shapes of this package's own (Heo et al., ASRU 2025; five layers are the
small, seventeen the large model). The sizes are read off the shapes; what shapes do not tell (strides, kind
of norm) is that of the release.
"""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from svmixer.models.config import BackendConfig, EcapaConfig, FrontendConfig, ModelConfig, StudentConfig
from svmixer.models.io import ModelError, set_tensors
from svmixer.models.speaker_model import SpeakerModel

WINDOW = 48000


def load_released(student: str | Path, classifier: str | Path) -> SpeakerModel:
    """The speaker model of a released pair of files; every tensor of both is used exactly once.

    Args:
        student: ``…_student_model.pt``.
        classifier: ``…_classifier.pt``, the ECAPA-TDNN backend.

    Raises:
        ModelError: a file that is no state dict of plain tensors, tensors that are missing, left over or of
            unexpected shape; the message names them.
    """
    student_tensors, backend_tensors = read_state_dict(student), read_state_dict(classifier)
    config = ModelConfig(
        student_config(student_tensors, student), backend_config(backend_tensors, classifier)
    )
    states = config.student.layers + 1
    weights = _shape(backend_tensors, "w", classifier)
    if weights != (1, states, 1, 1):
        raise ModelError(
            f"{classifier}: w has shape {weights}, but {student} has {states - 1} layers, {states} states"
        )
    model = SpeakerModel(config)
    set_tensors(model.student, student_tensors, student)
    # A counter of training batches that evaluation does not read; older files lack it.
    counters = {
        key: value
        for key, value in model.backend.state_dict().items()
        if key.endswith("num_batches_tracked") and key not in backend_tensors
    }
    set_tensors(model.backend, {**backend_tensors, **counters}, classifier)
    return model.eval()


def read_state_dict(path: str | Path) -> dict[str, Tensor]:
    """Names and tensors of a PyTorch file, read without running any code that is in it.

    Raises:
        ModelError: missing, damaged, or something else than tensors by name.
    """
    return state_dict_of(read_plain(path), path)


def read_plain(path: str | Path) -> Any:
    """What a PyTorch file holds: tensors, numbers, text, and lists and dictionaries of them.

    Raises:
        ModelError: missing, damaged, or with something else in it.
    """
    try:
        return torch.load(path, map_location="cpu", weights_only=True)
    except OSError as error:
        raise ModelError(f"{path}: {error.strerror or error}") from None
    except (pickle.UnpicklingError, RuntimeError, EOFError, ValueError) as error:
        first = str(error).strip().partition("\n")[0]
        raise ModelError(f"{path}: not a PyTorch file of plain tensors: {first}") from None


def state_dict_of(state: Any, path: str | Path) -> dict[str, Tensor]:
    """``state``, read from ``path``, if it is names and tensors; numbers of less than 32 bits as float32.

    Raises:
        ModelError: it is something else.
    """
    if not isinstance(state, dict) or not all(isinstance(value, Tensor) for value in state.values()):
        raise ModelError(f"{path}: expected a state dict, names with tensors, found {type(state).__name__}")
    return {key: value.float() if value.is_floating_point() else value for key, value in state.items()}


def student_config(tensors: dict[str, Tensor], path: str | Path) -> StudentConfig:
    """Sizes of the student that these tensors belong to."""
    front = FrontendConfig()
    kernels = tuple(
        _shape(tensors, f"conv_layers.{index}.conv.weight", path)[2] for index in range(len(front.kernels))
    )
    if kernels != front.kernels:
        raise ModelError(f"{path}: convolutions of kernel {kernels}; the released ones have {front.kernels}")
    channels = tuple(tensors[f"conv_layers.{index}.conv.weight"].shape[0] for index in range(len(kernels)))
    hidden = _shape(tensors, "layer_norm.weight", path)[0]
    inner, group_width, _ = _shape(tensors, "layers.0.channel_mixing.fc1.weight", path)
    frames = _shape(tensors, "layers.0.token_mixing.linear1.weight", path)[1]
    layers = 1 + max(int(key.split(".")[1]) for key in tensors if key.startswith("layers."))
    frontend = FrontendConfig(channels=channels)
    try:
        return StudentConfig(
            frontend=frontend,
            layers=layers,
            hidden=hidden,
            window=WINDOW if frontend.num_frames(WINDOW) == frames else frontend.num_samples(frames),
            group_width=group_width,
            expansion=inner // hidden,
        )
    except ValueError as error:
        raise ModelError(f"{path}: {error}") from None


def backend_config(tensors: dict[str, Tensor], path: str | Path) -> BackendConfig:
    """Sizes of the ECAPA-TDNN backend that these tensors belong to."""
    parts = {key.split(".")[2] for key in tensors if key.startswith("layer1.convs.")}
    try:
        ecapa = EcapaConfig(
            channels=_shape(tensors, "conv2.weight", path)[0],
            attention_channels=_shape(tensors, "attention.0.weight", path)[0],
            se_bottleneck=_shape(tensors, "layer1.se.se.1.weight", path)[0],
            scale=len(parts) + 1,
        )
        return BackendConfig(name="ecapa", embedding=_shape(tensors, "fc6.weight", path)[0], ecapa=ecapa)
    except ValueError as error:
        raise ModelError(f"{path}: {error}") from None


def _shape(tensors: dict[str, Tensor], name: str, path: str | Path) -> tuple[int, ...]:
    if name not in tensors:
        raise ModelError(f"{path}: no tensor {name}; is this the right file of the two?")
    return tuple(tensors[name].shape)
