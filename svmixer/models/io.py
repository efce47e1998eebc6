"""Model directories: ``config.yaml`` + ``model.safetensors`` (+ ``speakers.txt``), no pickle anywhere."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from safetensors.torch import save as safetensors_bytes
from torch import Tensor, nn

from svmixer import config as configuration
from svmixer.devices import find_device
from svmixer.fileio import atomic_write
from svmixer.inference.embedding_model import DESCRIPTION, ModelError, find_directory
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


@dataclass(frozen=True)
class InitParam:
    """One request, as parsed from its notation."""

    # Model directory or safetensors file.
    path: str
    # Prefix of the names to take, in whole parts (``student.layers`` takes ``student.layers.0.…``).
    source: str = ""
    # Prefix that stands in its place in the new model.
    target: str = ""
    # Prefixes of source names to leave out.
    exclude: tuple[str, ...] = ()

    @classmethod
    def parse(cls, text: str) -> InitParam:
        """Read ``PATH[:SRC[:DST[:EXCLUDE]]]``.

        Without DST it is SRC.

        Raises:
            ModelError: no path, or more than four fields.
        """
        path, *rest = text.split(":")
        if not path or len(rest) > 3:
            raise ModelError(f"init_param: expected PATH[:SRC[:DST[:EXCLUDE]]], found '{text}'")
        source, target, exclude = [*rest, *[""] * (3 - len(rest))]
        return cls(path, source, target or source, tuple(part for part in exclude.split(",") if part))


@dataclass(frozen=True)
class InitReport:
    """What became of each tensor of the file."""

    # Names in the new model that were set.
    loaded: list[str] = field(default_factory=list)
    # Names in the file that were left out, or have no counterpart.
    skipped: list[str] = field(default_factory=list)
    # Name in the new model → the two shapes.
    mismatched: dict[str, str] = field(default_factory=dict)

    def lines(self) -> list[str]:
        """The report for people: counts by part of the model, then each mismatch."""
        lines = []
        for name, keys in (("loaded", self.loaded), ("skipped", self.skipped)):
            parts: dict[str, int] = {}
            for key in keys:
                part = ".".join(key.split(".")[:2])
                parts[part] = parts.get(part, 0) + 1
            listed = ", ".join(f"{part} ({count})" for part, count in parts.items())
            lines.append(f"{name}: {len(keys)} tensors{': ' + listed if listed else ''}")
        lines.append(f"mismatched: {len(self.mismatched)} tensors")
        return lines + [f"  {key}: {shapes}" for key, shapes in self.mismatched.items()]


@torch.no_grad()
def init_param(module: nn.Module, request: InitParam) -> InitReport:
    """Copy the tensors that ``request`` names into ``module``.

    A tensor of another shape is left as it is and reported; so is one that the module does not have.

    Raises:
        ModelError: an unreadable file, or not a single tensor that fits.
    """
    tensors = _read(Path(request.path))
    own = module.state_dict()
    report = InitReport()
    for key, value in tensors.items():
        if not _under(key, request.source) or any(_under(key, prefix) for prefix in request.exclude):
            report.skipped.append(key)
            continue
        name = (request.target + key[len(request.source) :]).lstrip(".")
        if name not in own:
            report.skipped.append(key)
        elif own[name].shape != value.shape:
            report.mismatched[name] = f"{tuple(value.shape)} in the file, {tuple(own[name].shape)} here"
        else:
            own[name].copy_(value)
            report.loaded.append(name)
    if not report.loaded:
        raise ModelError(f"init_param: {request.path}: nothing to load; " + "; ".join(report.lines()))
    return report


def _under(key: str, prefix: str) -> bool:
    return not prefix or key == prefix or key.startswith(prefix.rstrip(".") + ".")


def _read(path: Path) -> dict[str, Tensor]:
    file = path / "model.safetensors" if path.is_dir() else path
    try:
        return read_safetensors(file)
    except ModelError as error:
        raise ModelError(f"init_param: {error}") from None
