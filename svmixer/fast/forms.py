"""The parts of a model in their optimised forms: what replaces which method of :mod:`svmixer.models`."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from svmixer.fast.kits import FloatKit, Int8Kit, quantised
from svmixer.models.frontend import FeatureProjection
from svmixer.models.layers import FrameBatchNorm, FrameConv, GroupedLinear
from svmixer.models.mixing import LocalGlobalMixing, MultiScaleGroupMixing

Form = Callable[..., Tensor]


def projection(name: str, module: FeatureProjection, kit: FloatKit) -> dict[str, Form]:
    """Norm and linear map, the dropout left out."""
    layer = module.projection
    product = kit.linear(f"{name}.projection", layer.weight, layer.bias)

    def forward(x: Tensor) -> Tensor:
        x = module.layer_norm(x.float())
        return product(x.flatten(0, 1)).view(*x.shape[:2], -1)

    return {"forward": forward}


def time_mixing(name: str, module: LocalGlobalMixing, kit: FloatKit) -> dict[str, Form]:
    """LGM: the MLP over time on rows that are channels."""
    first, second = f"{name}.linear1", f"{name}.linear2"
    expand = kit.linear(first, module.linear1.weight, module.linear1.bias, "gelu", feeds=second)
    reduce = kit.linear(second, module.linear2.weight, module.linear2.bias)
    # The local branch is a hundredth of the work; it is float32 always.
    plain = FloatKit()
    wide = plain.conv(f"{name}.local_mix1", module.local_mix1, "gelu")
    narrow = plain.conv(f"{name}.local_mix2", module.local_mix2)

    def far(u: Tensor) -> Tensor:
        u = _in_format(u, first, kit).transpose(1, 2).contiguous()  # (B, H, T)
        return reduce(expand(u.flatten(0, 1))).view(u.shape).transpose(1, 2)

    return {"near": lambda u: narrow(wide(u)), "far": far}


def channel_mixing(name: str, module: MultiScaleGroupMixing, kit: FloatKit) -> dict[str, Form]:
    """MSM and GCM: group by group, what passes from one product to the next in the products' format."""
    pairs = [("fc3", "fc4")] + ([("fc1", "fc2")] if module.multi_scale else [])
    branches = {}
    for wide, narrow in pairs:
        expand, reduce = getattr(module, wide), getattr(module, narrow)
        branches[expand] = _branch(f"{name}.{wide}", f"{name}.{narrow}", expand, reduce, kit)
    forms: dict[str, Form] = {"channel_mlp": lambda x, expand, reduce: branches[expand](x)}
    if module.grouped:
        inner = kit.conv(f"{name}.fc5", module.fc5, "gelu", feeds=f"{name}.fc6")
        outer = kit.conv(f"{name}.fc6", module.fc6)
        forms["group_mixing"] = lambda x: outer(inner(x))
    return forms


def _branch(
    first: str, second: str, expand: GroupedLinear, reduce: GroupedLinear, kit: FloatKit
) -> Callable[[Tensor], Tensor]:
    groups = expand.groups
    weights = zip(
        expand.weight.squeeze(2).chunk(groups), expand.bias.chunk(groups),
        reduce.weight.squeeze(2).chunk(groups), reduce.bias.chunk(groups), strict=True,
    )  # fmt: skip
    products = [
        (
            kit.linear(f"{first}:{index}", wide, offset, "gelu", feeds=second),
            kit.linear(f"{second}:{index}", narrow, base),
        )
        for index, (wide, offset, narrow, base) in enumerate(weights)
    ]

    def branch(x: Tensor) -> Tensor:
        parts = _in_format(x, first, kit).flatten(0, 1).chunk(groups, dim=1)
        rows = [reduce(expand(part)) for part, (expand, reduce) in zip(parts, products, strict=True)]
        return torch.cat(rows, dim=1).view(x.shape)

    return branch


def convolution(name: str, module: FrameConv, kit: FloatKit) -> dict[str, Form]:
    """Any other convolution."""
    if module.kernel_size != (1,):
        return {"forward": kit.conv(name, module)}
    product = kit.linear(name, module.weight.squeeze(2), module.bias)
    return {"forward": lambda x: product(x.flatten(0, 1)).view(*x.shape[:2], -1)}


def context_convolution(name: str, module: FrameConv, kit: FloatKit) -> dict[str, Form]:
    """The attention's first: the two thirds of its input that are the same in all frames are taken once."""
    width = module.in_channels // 3
    weight = module.weight.squeeze(2)
    own = kit.linear(name, weight[:, :width], None)
    shared = weight[:, width:].detach().contiguous()

    def forward(x: Tensor) -> Tensor:
        context = F.linear(x[:, 0, width:], shared, module.bias)
        return own(x[:, :, :width].flatten(0, 1)).view(*x.shape[:2], -1) + context.unsqueeze(1)

    return {"forward": forward}


def batch_norm(name: str, module: FrameBatchNorm, kit: FloatKit) -> dict[str, Form]:
    """A factor and an offset."""
    factor = (module.weight / (module.running_var + module.eps).sqrt()).detach()
    offset = (module.bias - module.running_mean * factor).detach()
    return {"forward": lambda x: torch.addcmul(offset, x, factor)}


def _in_format(x: Tensor, name: str, kit: FloatKit) -> Tensor:
    """Converted once, before it is cut up."""
    if isinstance(kit, Int8Kit):
        return quantised(x, kit.ranges[name]) if name in kit.ranges else x
    return x.to(kit.dtype)


FORMS: dict[type[nn.Module], Callable[..., dict[str, Form]]] = {
    FeatureProjection: projection,
    LocalGlobalMixing: time_mixing,
    MultiScaleGroupMixing: channel_mixing,
    FrameConv: convolution,
    FrameBatchNorm: batch_norm,
}
