"""Model directories: ``config.yaml`` + ``model.safetensors`` (+ ``speakers.txt``), no pickle anywhere."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from safetensors.torch import save as safetensors_bytes
from torch import nn

from svmixer import config as configuration
from svmixer.devices import find_device
from svmixer.fileio import atomic_write
from svmixer.inference.model_dir import DESCRIPTION, ModelError, find_directory
from svmixer.inference.onnx_model import read_description
from svmixer.models.config import ModelConfig
from svmixer.models.speaker_model import SpeakerModel


def save_model(
    model: SpeakerModel,
    directory: str | Path,
    speakers: Iterable[str] | None = None,
    dtype: torch.dtype = torch.float32,
) -> None:
    """Write ``model`` as a model directory; each file is whole or absent.

    Args:
        model: any device.
        directory: made when missing.
        speakers: training speakers, one a line in ``speakers.txt``.
        dtype: of the file's numbers, whole ones left out; reading makes them float32 again.
    """
    directory = Path(directory)
    configuration.save(model.config, directory / "config.yaml")
    tensors = model.state_dict().items()
    rounded = {key: value.to(dtype) if value.is_floating_point() else value for key, value in tensors}
    save_tensors(rounded, directory / "model.safetensors")
    if speakers is not None:
        with atomic_write(directory / "speakers.txt") as stream:
            stream.writelines(f"{speaker}\n" for speaker in speakers)


def load_model(path_or_name: str | Path, device: str | torch.device = "cpu") -> SpeakerModel:
    """The speaker model of a model directory, in evaluation mode.

    Args:
        path_or_name: a directory, or the name of a model that comes with the package.
        device: where to put it.

    Raises:
        ModelError: no such directory, a file of it missing or damaged, tensors that do not fit.
        ConfigError: ``config.yaml`` has an unknown key or a bad value.
        DeviceError: there is no such device here.
    """
    # Before anything is read, which takes seconds.
    device = find_device(device)
    directory = find_directory(path_or_name, "model")
    model = SpeakerModel(configuration.load(ModelConfig, directory / "config.yaml"))
    load_tensors(model, directory / "model.safetensors")
    if (directory / DESCRIPTION).is_file():
        model.threshold = read_description(directory).threshold
    return model.to(device).eval()


def read_speakers(directory: str | Path) -> list[str]:
    """Training speakers of a model directory; empty when it does not list them."""
    path = Path(directory) / "speakers.txt"
    return path.read_text(encoding="utf-8").splitlines() if path.exists() else []


def save_tensors(
    tensors: dict[str, torch.Tensor], path: str | Path, metadata: dict[str, str] | None = None
) -> None:
    """Named tensors as safetensors, atomically.

    Raises:
        OSError: no room; ``path`` is named.
    """
    plain = {key: value.detach().cpu().contiguous() for key, value in tensors.items()}
    with atomic_write(path, "wb") as stream:
        # Not safetensors' save_file: what it writes only its owner can read, whatever the umask says, and a
        # killed one leaves files behind that nobody knows to be rests.
        stream.write(safetensors_bytes(plain, metadata))


def load_tensors(module: nn.Module, path: str | Path) -> None:
    """Fill ``module`` from a safetensors file, see :func:`set_tensors`.

    Raises:
        ModelError: the file is damaged or does not fit.
    """
    set_tensors(module, read_safetensors(path), path)


def read_safetensors(path: str | Path) -> dict[str, torch.Tensor]:
    """Names and tensors of a safetensors file.

    Raises:
        ModelError: missing, damaged, or another format.
    """
    try:
        return load_file(path)
    except (OSError, SafetensorError) as error:
        raise ModelError(f"{path}: not a readable safetensors file: {error}") from None


def set_tensors(module: nn.Module, tensors: dict[str, torch.Tensor], source: str | Path) -> None:
    """Fill ``module`` from named tensors, every key used exactly once.

    Raises:
        ModelError: keys or shapes differ; the message names ``source`` and the first few of them.
    """
    own = module.state_dict()
    problems = [f"missing {key}" for key in own if key not in tensors]
    problems += [f"unexpected {key}" for key in tensors if key not in own]
    problems += [
        f"{key} has shape {tuple(tensors[key].shape)}, the configuration says {tuple(own[key].shape)}"
        for key in own
        if key in tensors and tensors[key].shape != own[key].shape
    ]
    if problems:
        more = f" and {len(problems) - 3} more" if len(problems) > 3 else ""
        raise ModelError(f"{source}: does not fit its configuration: {'; '.join(problems[:3])}{more}")
    module.load_state_dict(tensors)
