"""Start a model from tensors of another: any part of it, with a report of what fitted.

The notation is ESPnet's, ``PATH[:SRC[:DST[:EXCLUDE]]]``: tensors whose names begin with SRC go to the names
that begin with DST instead, except those whose source names begin with one of EXCLUDE (comma-separated).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import torch
from torch import Tensor, nn

from svmixer.models.io import ModelError, read_safetensors


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
