"""Masks over log-mel bands and frames in training (SpecAugment: Park et al., Interspeech 2019)."""

from __future__ import annotations

import torch
from torch import Tensor


class SpectrumMasks:
    """Features ``(B, T, C)`` → the same, each crop under masks of its own.

    What is masked gets the crop's mean. A mask's width is uniform from 0 to the limit, its place uniform
    among those where it lies inside.

    Args:
        count: masks over bands, and as many over time.
        bands: most neighbouring bands that a mask covers.
        frames: most neighbouring frames that a mask covers.
    """

    def __init__(self, count: int, bands: int, frames: int) -> None:
        self.count, self.bands, self.frames = count, bands, frames

    def __call__(self, x: Tensor) -> Tensor:
        """``(B, T, C)`` → ``(B, T, C)``; random numbers are the default generator's of the device."""
        mean = x.mean(dim=(1, 2), keepdim=True)
        for _ in range(self.count):
            x = torch.where(covered(x, x.shape[2], self.bands).unsqueeze(1), mean, x)
            x = torch.where(covered(x, x.shape[1], self.frames).unsqueeze(2), mean, x)
        return x


def covered(x: Tensor, size: int, limit: int) -> Tensor:
    """Which of ``size`` places one mask covers in each of the B rows of ``x``: bool ``(B, size)``."""
    drawn = torch.rand(2, len(x), 1, device=x.device)
    width = (drawn[0] * (min(limit, size) + 1)).floor()
    first = (drawn[1] * (size - width + 1)).floor()
    places = torch.arange(size, device=x.device)
    return (places >= first) & (places < first + width)
