"""A convolution of kernel 3 and stride 2 with five products where the textbook has six.

Outputs 2s and 2s + 1 share the input x[4s + 2], which the first multiplies by w2 and the second by w0
(Winograd's short filters, on the even samples). With its product by w0 + w2, made once:

    y[2s]     = (w0 + w2) x[4s + 2] + w0 (x[4s] − x[4s + 2])     + w1 x[4s + 1]
    y[2s + 1] = (w0 + w2) x[4s + 2] + w2 (x[4s + 4] − x[4s + 2]) + w1 x[4s + 3]
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from svmixer.models.layers import FrameConv


class PairedConv:
    """That convolution, unpadded and in float32; equal to rounding."""

    def __init__(self, conv: FrameConv) -> None:
        w0, w1, w2 = conv.weight.detach().unbind(2)
        self._shared = (w0 + w2).t().contiguous()
        self._even = torch.cat([w0, w1], dim=1).t().contiguous()
        self._odd = torch.cat([w1, w2], dim=1).t().contiguous()
        self._whole = torch.cat([w0, w1, w2], dim=1)
        self._bias = None if conv.bias is None else conv.bias.detach()

    def __call__(self, x: Tensor) -> Tensor:
        """``(B, T, C)`` → ``(B, (T − 3) // 2 + 1, C')``."""
        return (
            torch.stack([self._convolved(item) for item in x]) if len(x) > 1 else self._convolved(x[0])[None]
        )

    def _convolved(self, x: Tensor) -> Tensor:
        frames = (len(x) - 3) // 2 + 1
        pairs = frames // 2
        y = x.new_empty(frames, self._shared.shape[1])
        if pairs:
            first, second, third, fourth = x[: 4 * pairs].unflatten(0, (pairs, 4)).unbind(1)
            shared = torch.mm(third, self._shared)
            both = y[: 2 * pairs].unflatten(0, (pairs, 2))
            rows = torch.cat([first - third, second], dim=1)
            both[:, 0] = torch.addmm(shared, rows, self._even)
            rows = torch.cat([fourth, x[4 : 4 * pairs + 1 : 4] - third], dim=1)
            both[:, 1] = torch.addmm(shared, rows, self._odd)
        if frames % 2:
            begin = 2 * (frames - 1)
            y[-1] = F.linear(x[begin : begin + 3].reshape(-1), self._whole)
        return y if self._bias is None else y.add_(self._bias)
