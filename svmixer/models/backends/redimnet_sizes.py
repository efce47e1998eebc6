"""Sizes b0 to b6 of ReDimNet (Yakovlev et al., Interspeech 2024), by name.

From wespeaker's port of the authors' implementation, with one difference: the fourth stage of b2 divides the
bins by 3, not by 2, because only so has it as many parameters as the authors' checkpoint is said to have.
Those of b5 agree; nothing is known of the other checkpoints, and none was read.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class StageSize:
    """Sizes of one stage."""

    # What the stage divides the bins by and multiplies the channels by.
    stride: int
    # Two-dimensional blocks.
    blocks: int
    # Channels of these blocks as a multiple of those that the stage gives.
    expansion: int
    # Channels of the one-dimensional part, a multiple of four; 0: the stage has none.
    inner: int


@dataclass(frozen=True)
class RedimnetSize:
    """Sizes of the whole network."""

    # Bins F of the input, a multiple of the product of all strides.
    bins: int
    # Channels C of the stem; C · F stays the same through all stages.
    channels: int
    # Kind of the two-dimensional blocks: ConvNeXt's, ResNet's, or ResNet's with a gate for each bin.
    block: Literal["convnext", "resnet", "resnet_gated"]
    # Channels in a group of the 3×3 convolutions; 1: each channel by itself.
    group_width: int
    # The stages, first to last.
    stages: tuple[StageSize, ...]
    # Channels of the attention inside the pooling.
    attention_channels: int = 128

    @property
    def rows(self) -> int:
        """Rows C · F of a signal."""
        return self.bins * self.channels


def _stages(*sizes: tuple[int, int, int, int]) -> tuple[StageSize, ...]:
    return tuple(StageSize(*size) for size in sizes)


_B4_STAGES = _stages(
    (1, 4, 2, 48), (2, 4, 2, 48), (1, 6, 2, 48), (2, 6, 1, 72), (1, 8, 1, 96), (2, 4, 1, 144)
)  # fmt: skip

SIZES = {
    "b0": RedimnetSize(
        60, 10, "resnet", 1,
        _stages((1, 2, 1, 20), (2, 3, 2, 20), (1, 3, 3, 20), (2, 4, 2, 60), (1, 3, 1, 60)),
    ),
    "b1": RedimnetSize(
        72, 12, "convnext", 8,
        _stages((1, 2, 1, 0), (2, 3, 1, 0), (3, 4, 1, 72), (2, 5, 1, 72), (2, 3, 1, 108)),
    ),
    "b2": RedimnetSize(
        72, 16, "convnext", 4,
        _stages((1, 2, 1, 96), (2, 2, 1, 96), (1, 3, 1, 96), (3, 4, 1, 144), (1, 4, 1, 144), (2, 4, 1, 288)),
    ),
    "b3": RedimnetSize(
        72, 16, "resnet_gated", 1,
        _stages((1, 6, 4, 36), (2, 6, 2, 36), (1, 8, 2, 36), (2, 10, 2, 72), (1, 10, 1, 72), (2, 8, 1, 72)),
    ),
    "b4": RedimnetSize(72, 32, "resnet_gated", 1, _B4_STAGES),
    "b5": RedimnetSize(72, 32, "resnet_gated", 16, _B4_STAGES),
    "b6": RedimnetSize(
        72, 32, "resnet", 32,
        _stages((1, 4, 4, 72), (2, 6, 2, 72), (1, 6, 2, 96), (3, 8, 1, 96), (1, 8, 1, 144), (2, 8, 1, 144)),
    ),
}  # fmt: skip
