"""Ranges of activations that 8-bit products need, measured on speech and kept in a file."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from svmixer.inference.model_dir import ModelError
from svmixer.models.io import read_safetensors, save_tensors

LEVELS = 255
# Parts of the full range that are tried: rare large values cost all others precision.
SHARES = (0.3, 0.35, 0.4, 0.45, 0.5, 0.55, 0.6, 0.65, 0.7, 0.75, 0.8, 0.85, 0.9, 0.95, 1.0)


@dataclass(frozen=True)
class Range:
    """Values that 0 … 255 stand for: ``scale · (code − zero)``."""

    scale: float
    zero: int


@dataclass(frozen=True)
class Calibration:
    """Activations of a model, by name of the product that takes them."""

    # Of the whole input; products without one stay float32.
    ranges: dict[str, Range]
    # Of each column or channel of the input, with which the rounding of the weights is made up for.
    means: dict[str, Tensor]


def best_range(samples: Sequence[Tensor]) -> Range:
    """The range with the least squared error on samples of an activation, what lies outside cut off."""
    values = torch.cat(list(samples)).double()
    low, high = min(values.min().item(), 0.0), max(values.max().item(), 1e-6)
    tried = [_covering(share * low, share * high) for share in SHARES]
    # A one-sided activation, as GELU's, has its small values on one side: there nothing is cut.
    tried += [_covering(low, share * high) for share in SHARES]
    errors = [(_rounded(values, candidate) - values).square().mean().item() for candidate in tried]
    return tried[errors.index(min(errors))]


def _covering(low: float, high: float) -> Range:
    scale = (high - low) / LEVELS
    return Range(scale, round(-low / scale))


def _rounded(values: Tensor, candidate: Range) -> Tensor:
    codes = (values / candidate.scale).round().add(candidate.zero).clamp(0, LEVELS)
    return (codes - candidate.zero) * candidate.scale


def save_calibration(calibration: Calibration, path: str | Path) -> None:
    """Write it as safetensors; the file is whole or absent."""
    tensors = {f"mean {name}": values for name, values in calibration.means.items()}
    for name, entry in calibration.ranges.items():
        tensors[f"range {name}"] = torch.tensor([entry.scale, entry.zero], dtype=torch.float64)
    save_tensors(tensors, path)


def load_calibration(path: str | Path) -> Calibration:
    """What :func:`save_calibration` wrote.

    Raises:
        ModelError: missing or damaged.
    """
    ranges, means = {}, {}
    for key, values in read_safetensors(path).items():
        kind, _, name = key.partition(" ")
        if kind == "range" and values.shape == (2,):
            ranges[name] = Range(float(values[0]), int(values[1]))
        elif kind == "mean":
            means[name] = values
        else:
            raise ModelError(f"{path}: not a calibration: unexpected {key}")
    return Calibration(ranges, means)
