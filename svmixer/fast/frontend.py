"""The convolutional front end as matrix products with fused activations, a stretch of frames at a time."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from svmixer.fast.kits import FloatKit, Layer
from svmixer.models.config import FrontendConfig
from svmixer.models.frontend import ConvFrontend, ConvLayer
from svmixer.models.layers import TimeGroupNorm

# Frames of a stretch: longer ones do not fit a cache, and shorter ones cost the products more than they save.
STRETCH = 149


class StretchedFrontend:
    """:class:`svmixer.models.frontend.ConvFrontend` computed stretch by stretch.

    A norm over time behind the first layer does not stand in the way: mean and variance of its output follow
    from those of the slices of the waveform, and become part of weights and bias.
    """

    def __init__(self, name: str, frontend: ConvFrontend, config: FrontendConfig, kit: FloatKit) -> None:
        self._config = config
        self._levelled = frontend.levelled
        self._first: ConvLayer = frontend[0]
        self._names = [f"{name}.{index}" for index in range(len(frontend))] + [""]
        self._kit = kit
        self._rest = [self._layer(index, layer) for index, layer in enumerate(frontend) if index]

    def __call__(self, wave: Tensor) -> Tensor:
        """``(B, N)`` → ``(B, T, C)``."""
        return torch.stack([self._features(item) for item in self._levelled(wave)])

    def _features(self, wave: Tensor) -> Tensor:
        frames, hop = self._config.num_frames(len(wave)), self._config.hop
        first = self._first_layer(wave)
        parts = []
        for begin in range(0, frames, STRETCH):
            end = min(begin + STRETCH, frames)
            length = self._config.num_samples(end - begin)
            x = first(wave[begin * hop : begin * hop + length]).unsqueeze(0)
            for layer in self._rest:
                x = layer(x)
            parts.append(x[0])
        return torch.cat(parts)

    def _first_layer(self, wave: Tensor) -> Layer:
        """A function from a piece of this waveform to the first layer's output."""
        conv, norm = self._first.conv, self._first.layer_norm
        weight, bias = conv.weight[:, 0], None
        kernel, stride = conv.kernel_size[0], conv.stride[0]
        if isinstance(norm, TimeGroupNorm):
            weight, bias = folded_norm(weight, norm, wave.unfold(0, kernel, stride))
        plain = norm is None or isinstance(norm, TimeGroupNorm)

        def layer(piece: Tensor) -> Tensor:
            slices = piece.unfold(0, kernel, stride)
            y = torch.mm(slices, weight.t()) if bias is None else torch.addmm(bias, slices, weight.t())
            return F.gelu(y if plain else norm(y))

        return layer

    def _layer(self, index: int, layer: ConvLayer) -> Layer:
        name, norm = self._names[index], layer.layer_norm
        if norm is None:
            return self._kit.conv(name, layer.conv, "gelu", feeds=self._names[index + 1])
        conv = self._kit.conv(name, layer.conv)
        return lambda x: F.gelu(norm(conv(x)))


def folded_norm(weight: Tensor, norm: TimeGroupNorm, slices: Tensor) -> tuple[Tensor, Tensor]:
    """Weight ``(C, K)`` and bias ``(C,)`` of a convolution and the norm over time behind it.

    Args:
        weight: of the convolution ``(C, K)``.
        norm: over each channel of its output.
        slices: what the convolution sees ``(T, K)``, of the whole utterance.
    """
    rows, exact = slices.double(), weight.double()
    centre = rows.mean(dim=0)
    rows = rows - centre
    covariance = rows.t() @ rows / len(rows)
    variance = ((exact @ covariance) * exact).sum(dim=1)
    factor = norm.weight.double() / (variance + norm.eps).sqrt()
    bias = norm.bias.double() - factor * (exact @ centre)
    return (exact * factor[:, None]).float(), bias.float()
