"""Convolutions and linear maps on ``(B, T, C)``, channels last: the layout in which they are fastest on CPUs.

Parameters keep the shapes and names of ``Conv1d`` and ``Linear``: state dicts are theirs. Beside them the
weighted sum of hidden states that most backends start with.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F


class FrameConv(nn.Conv1d):
    """``Conv1d`` over the frames of ``(B, T, C_in)``; gives ``(B, T', C_out)``."""

    def forward(self, x: Tensor) -> Tensor:
        """``(B, T, C_in)`` → ``(B, T', C_out)``."""
        unpadded = self.padding == (0,) and self.dilation == (1,)
        if unpadded and self.kernel_size == self.stride == (1,) and self.groups == 1:
            return F.linear(x, self.weight.squeeze(2), self.bias)
        if unpadded and self.in_channels == 1 and self.bias is None:
            return self._from_waveform(x)
        # As a two-dimensional convolution of height 1, whose channels-last form needs no copy of x.
        y = F.conv2d(
            x.transpose(1, 2).unsqueeze(2),
            self.weight.unsqueeze(2),
            self.bias,
            stride=(1, self.stride[0]),
            padding=(0, self.padding[0]),
            dilation=(1, self.dilation[0]),
            groups=self.groups,
        )
        return y.squeeze(2).transpose(1, 2)

    def _from_waveform(self, x: Tensor) -> Tensor:
        # A matrix product over slices of the waveform: with one input channel, convolution routines waste
        # most of their width. In memory the result is (B, C, T), as the norm over time behind it wants it.
        slices = x.squeeze(2).unfold(1, self.kernel_size[0], self.stride[0])  # (B, T', kernel)
        weight = self.weight.squeeze(1).expand(x.shape[0], -1, -1)
        return torch.bmm(weight, slices.transpose(1, 2)).transpose(1, 2)


class GroupedLinear(nn.Conv1d):
    """1×1 ``Conv1d`` in groups: one batched matrix product over rows that are split into groups already."""

    def __init__(self, in_features: int, out_features: int, groups: int) -> None:
        super().__init__(in_features, out_features, 1, groups=groups)

    def forward(self, x: Tensor) -> Tensor:
        """``(G, M, C_in / G)`` → ``(G, M, C_out / G)``."""
        weight = self.weight.view(self.groups, -1, self.weight.shape[1])
        return torch.baddbmm(self.bias.view(self.groups, 1, -1), x, weight.transpose(1, 2))


class TimeLinear(nn.Linear):
    """``Linear`` over the frames, the same for every channel."""

    def forward(self, x: Tensor) -> Tensor:
        """``(B, T_in, C)`` → ``(B, T_out, C)``."""
        return torch.baddbmm(self.bias[:, None], self.weight.expand(x.shape[0], -1, -1), x)


class TimeGroupNorm(nn.GroupNorm):
    """Every channel of ``(B, T, C)`` normalised over time, with an affine map."""

    def __init__(self, channels: int) -> None:
        super().__init__(channels, channels)

    def forward(self, x: Tensor) -> Tensor:
        """``(B, T, C)`` → ``(B, T, C)``."""
        return super().forward(x.transpose(1, 2)).transpose(1, 2).contiguous()


class FrameBatchNorm(nn.BatchNorm1d):
    """Batch normalisation of the channels of ``(B, T, C)``, or of ``(B, C)``."""

    def forward(self, x: Tensor) -> Tensor:
        """``(…, C)`` → ``(…, C)``; statistics over everything but the channels."""
        return super().forward(x.flatten(0, -2)).view_as(x)


def upsampling_matrix(frames_in: int, frames_out: int) -> Tensor:
    """``(frames_out, frames_in)``: linear interpolation over time (``align_corners=False``) as a matrix."""
    identity = torch.eye(frames_in).unsqueeze(0)
    return F.interpolate(identity, size=frames_out, mode="linear", align_corners=False)[0].t().contiguous()


def state_weights(states: int) -> nn.Parameter:
    """Weights ``(1, L + 1, 1, 1)``, used as they are (no softmax), drawn from U(0, 1)."""
    return nn.Parameter(torch.rand(1, states, 1, 1))


def weighted_sum(states: Tensor, weights: Tensor) -> Tensor:
    """``(B, L + 1, T, H)`` and ``(1, L + 1, 1, 1)`` → ``(B, T, H)``."""
    return torch.einsum("blth,l->bth", states, weights.flatten())
