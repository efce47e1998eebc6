"""Matrix products and convolutions of one precision, their weights packed for the processor.

PyTorch's own oneDNN operators, those that its compiler emits: the weights are reordered once, and GELU or
ReLU is computed on each tile of the result while it is in cache.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional as F

from svmixer.fast.pairs import PairedConv
from svmixer.fast.ranges import Range
from svmixer.models.layers import FrameConv

Activation = Literal["none", "gelu", "relu"]
Layer = Callable[[Tensor], Tensor]
# For where no operator has them built in.
ENDS: dict[Activation, Layer] = {"none": lambda y: y, "gelu": F.gelu, "relu": F.relu}


def _algorithm(activation: Activation) -> str:
    # How GELU is computed: exactly; the other activations want no word.
    return "none" if activation == "gelu" else ""


def as_image(x: Tensor) -> Tensor:
    """``(B, T, C)`` → ``(B, C, 1, T)``, channels last in memory, without a copy."""
    return x.transpose(1, 2).unsqueeze(2)


def as_frames(y: Tensor) -> Tensor:
    """``(B, C, 1, T)`` → ``(B, T, C)``."""
    return y.squeeze(2).transpose(1, 2)


def _geometry(conv: FrameConv) -> tuple[list[int], list[int], list[int], int]:
    return [0, conv.padding[0]], [1, conv.stride[0]], [1, conv.dilation[0]], conv.groups


def _pairs(conv: FrameConv) -> bool:
    shape = (conv.kernel_size, conv.stride, conv.padding, conv.dilation, conv.groups)
    return shape == ((3,), (2,), (0,), (1,), 1)


class FloatKit:
    """Products in float32 or bfloat16; what goes in and what comes out is float32 unless chained.

    Args:
        dtype: of weights and activations; sums are in float32. Where oneDNN has no bfloat16 products for this
            processor, their factors are rounded to bfloat16 and multiplied in float32, which gives the same.
    """

    def __init__(self, dtype: torch.dtype = torch.float32) -> None:
        self.dtype = dtype
        products = dtype == torch.float32 or torch.ops.mkldnn._is_mkldnn_bf16_supported()
        self.computed = dtype if products else torch.float32

    def _rounded(self, x: Tensor) -> Tensor:
        return x.to(self.dtype).to(self.computed)

    def linear(
        self, name: str, weight: Tensor, bias: Tensor | None, activation: Activation = "none", feeds: str = ""
    ) -> Layer:
        """A function from rows ``(M, K)`` to ``(M, N)``.

        Args:
            name: of the product within the model.
            weight: ``(N, K)``.
            bias: ``(N,)``.
            activation: computed on the result.
            feeds: name of the product that alone takes the result; it may then come in its format.
        """
        packed = torch.ops.mkldnn._reorder_linear_weight(self._rounded(weight.detach()).contiguous(), None)
        offset = None if bias is None else self._rounded(bias.detach())
        arguments = (activation, [], _algorithm(activation))

        def product(rows: Tensor) -> Tensor:
            y = torch.ops.mkldnn._linear_pointwise(self._rounded(rows), packed, offset, *arguments)
            y = y.to(self.dtype)
            return y if feeds else y.float()

        return product

    def conv(self, name: str, conv: FrameConv, activation: Activation = "none", feeds: str = "") -> Layer:
        """A function ``(B, T, C)`` → ``(B, T', C')``; arguments as in :meth:`linear`."""
        if conv.kernel_size == (1,) and conv.groups == 1:
            product = self.linear(name, conv.weight.squeeze(2), conv.bias, activation, feeds)
            return lambda x: product(x.flatten(0, 1)).unflatten(0, x.shape[:2])
        if self.dtype == torch.float32 and _pairs(conv):
            paired = PairedConv(conv)
            end = ENDS[activation]
            return lambda x: end(paired(x))
        if conv.groups == 1:
            weight = conv.weight.permute(0, 2, 1).reshape(conv.out_channels, -1)
            # This kit's, whatever a derived one makes of products: to it this is a convolution.
            product = FloatKit.linear(self, name, weight, conv.bias, activation, feeds)
            return lambda x: product(rows_of(x, conv)).unflatten(0, (len(x), -1))
        padding, stride, dilation, groups = _geometry(conv)
        weight = self._rounded(conv.weight.detach()).unsqueeze(2)
        packed = torch.ops.mkldnn._reorder_convolution_weight(weight, padding, stride, dilation, groups, None)
        bias = None if conv.bias is None else self._rounded(conv.bias.detach())
        arguments = (padding, stride, dilation, groups, activation, [], _algorithm(activation))

        def convolve(x: Tensor) -> Tensor:
            image = as_image(self._rounded(x))
            y = as_frames(torch.ops.mkldnn._convolution_pointwise(image, packed, bias, *arguments))
            y = y.to(self.dtype)
            return y if feeds else y.float()

        return convolve


class RecordingKit(FloatKit):
    """float32 products that note what goes into them."""

    def __init__(self) -> None:
        super().__init__()
        # Name of a product → samples of its input, and the mean of each of its K columns or C channels.
        self.seen: dict[str, list[Tensor]] = {}
        self.means: dict[str, list[Tensor]] = {}

    def linear(
        self, name: str, weight: Tensor, bias: Tensor | None, activation: Activation = "none", feeds: str = ""
    ) -> Layer:
        """As :meth:`FloatKit.linear`."""
        return self._noting(name, super().linear(name, weight, bias, activation, feeds))

    def conv(self, name: str, conv: FrameConv, activation: Activation = "none", feeds: str = "") -> Layer:
        """As :meth:`FloatKit.conv`."""
        if conv.kernel_size == (1,) and conv.groups == 1:
            return super().conv(name, conv, activation, feeds)
        return self._noting(name, super().conv(name, conv, activation, feeds))

    def _noting(self, name: str, layer: Layer) -> Layer:
        def noting(x: Tensor) -> Tensor:
            values = x.flatten()
            # The ends of the range, and enough values between them to see their distribution.
            some = values[:: max(1, len(values) // 4096)]
            self.seen.setdefault(base_name(name), []).append(
                torch.cat([values.min()[None], values.max()[None], some])
            )
            self.means.setdefault(name, []).append(x.flatten(0, -2).mean(dim=0))
            return layer(x)

        return noting


class Int8Kit(FloatKit):
    """Products of 8-bit activations, a range for each, with 8-bit weights, a scale for each output.

    Args:
        ranges: of the input of every product that is to be computed so; the others are float32.
        means: of the columns of those inputs, or of their channels.
    """

    def __init__(self, ranges: dict[str, Range], means: dict[str, Tensor]) -> None:
        super().__init__()
        self.ranges = ranges
        self.means = means
        self.largest = largest_weight()

    def linear(
        self, name: str, weight: Tensor, bias: Tensor | None, activation: Activation = "none", feeds: str = ""
    ) -> Layer:
        """As :meth:`FloatKit.linear`; rows may come as the 8 bits of the input's range."""
        if base_name(name) not in self.ranges:
            return super().linear(name, weight, bias, activation)
        source = self.ranges[base_name(name)]
        codes, scales = eight_bits(weight.detach(), self.largest)
        packed = torch.ops.onednn.qlinear_prepack(codes, None)
        zeros = torch.zeros(len(codes), dtype=torch.int64)
        offset = self._offset(name, weight.detach(), codes * scales[:, None], bias)
        result = self._result(feeds)
        arguments = (packed, scales, zeros, offset, *result, activation, [], _algorithm(activation))

        def product(rows: Tensor) -> Tensor:
            rows = quantised(rows, source)
            return torch.ops.onednn.qlinear_pointwise(rows, source.scale, source.zero, *arguments)

        return product

    def conv(self, name: str, conv: FrameConv, activation: Activation = "none", feeds: str = "") -> Layer:
        """As :meth:`FloatKit.conv`; frames may come as the 8 bits of the input's range."""
        if name not in self.ranges:
            return super().conv(name, conv, activation)
        if conv.kernel_size == (1,) and conv.groups == 1:
            return super().conv(name, conv, activation, feeds)
        if conv.padding == (0,) and conv.dilation == (1,) and conv.groups == 1:
            return self._unpadded(name, conv, activation, feeds)
        source = self.ranges[name]
        padding, stride, dilation, groups = _geometry(conv)
        codes, scales = eight_bits(conv.weight.detach(), self.largest)
        packed = torch.ops.onednn.qconv_prepack(
            codes.unsqueeze(2), scales, source.scale, source.zero, stride, padding, dilation, groups, None
        )
        zeros = torch.zeros(len(codes), dtype=torch.int64)
        rounded = (codes * scales[:, None, None]).flatten(1)
        bias = self._offset(name, conv.weight.detach().flatten(1), rounded, conv.bias, conv)
        kind = "relu" if activation == "relu" else "none"
        arguments = (packed, scales, zeros, bias, stride, padding, dilation, groups)

        def convolve(x: Tensor) -> Tensor:
            image = as_image(quantised(x, source))
            y = torch.ops.onednn.qconv_pointwise(
                image, source.scale, source.zero, *arguments, 1.0, 0, torch.float32, kind, [], ""
            )
            y = as_frames(y)
            # The operator for convolutions has no GELU.
            return F.gelu(y) if activation == "gelu" else y

        return convolve

    def _unpadded(self, name: str, conv: FrameConv, activation: Activation, feeds: str) -> Layer:
        weight = conv.weight.permute(0, 2, 1).reshape(conv.out_channels, -1)
        product = self.linear(name, weight, conv.bias, activation, feeds)
        source = self.ranges[name]

        return lambda x: product(rows_of(quantised(x, source), conv)).unflatten(0, (len(x), -1))

    def _offset(
        self, name: str, exact: Tensor, rounded: Tensor, bias: Tensor | None, conv: FrameConv | None = None
    ) -> Tensor:
        """The bias ``(N,)``, and what the rounding of the weights ``(N, K)`` takes from the mean output."""
        means = self.means[name]
        if conv is not None:
            # Channels of an output's group, each as often as the kernel is wide; the padding is left out.
            means = means.view(conv.groups, 1, -1, 1).expand(
                -1, conv.out_channels // conv.groups, -1, conv.kernel_size[0]
            )
            means = means.reshape(exact.shape)
        elif len(means) != exact.shape[1]:
            means = means.repeat(exact.shape[1] // len(means))
        lost = ((exact - rounded) * means).sum(dim=1)
        return lost if bias is None else bias.detach() + lost

    def _result(self, feeds: str) -> tuple[float, int, torch.dtype]:
        target = self.ranges.get(feeds)
        return (1.0, 0, torch.float32) if target is None else (target.scale, target.zero, torch.uint8)


def rows_of(x: Tensor, conv: FrameConv) -> Tensor:
    """What every output frame of an ungrouped convolution sees: ``(B, T, C)`` → ``(B · T', kernel · C)``.

    oneDNN's own convolution is as fast as a product of such rows for most shapes, and ten times as slow for
    some (kernel 5 with AVX2).
    """
    kernel, stride, padding, dilation = (
        value[0] for value in (conv.kernel_size, conv.stride, conv.padding, conv.dilation)
    )
    if padding:
        x = F.pad(x, (0, 0, padding, padding))
    seen = x.unfold(1, dilation * (kernel - 1) + 1, stride)[..., ::dilation]
    return seen.transpose(2, 3).reshape(-1, kernel * x.shape[2])


def base_name(name: str) -> str:
    """The groups of a product, ``name:0`` and so on, have one range."""
    return name.partition(":")[0]


@functools.cache
def largest_weight() -> int:
    """The largest 8-bit weight whose products this processor adds exactly: 127 or 63.

    x86 without VNNI adds two products of bytes in 16 bits, and what does not fit is cut off without a word;
    with weights of 7 bits everything fits. The processor is asked by a product, for its flags do not say
    which kernel is taken.
    """
    exact = 64 * 255 * 127
    codes = torch.full((16, 64), 127, dtype=torch.int8)
    packed, zeros = torch.ops.onednn.qlinear_prepack(codes, None), torch.zeros(16, dtype=torch.int64)
    rows = torch.full((1, 64), 255, dtype=torch.uint8)
    result = (1.0, 0, torch.float32, "none", [], "")
    found = torch.ops.onednn.qlinear_pointwise(rows, 1.0, 0, packed, torch.ones(16), zeros, None, *result)
    return 127 if bool((found == exact).all()) else 63


def eight_bits(weight: Tensor, largest: int = 127) -> tuple[Tensor, Tensor]:
    """Weights ``(N, …)`` as int8, ``largest`` at most, and their scales ``float32 (N,)``."""
    scales = weight.flatten(1).abs().amax(dim=1).clamp(min=1e-12) / largest
    shaped = scales.view(-1, *[1] * (weight.dim() - 1))
    return (weight / shaped).round().clamp(-largest, largest).to(torch.int8).contiguous(), scales


def quantised(x: Tensor, source: Range) -> Tensor:
    """``x`` as uint8 of that range; uint8 is taken to be of it already."""
    if x.dtype == torch.uint8:
        return x
    return torch.quantize_per_tensor(x, source.scale, source.zero, torch.quint8).int_repr()
