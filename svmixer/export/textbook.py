"""The layers in their textbook form: channels first, plain convolutions, weights as second operands.

Exporters and quantisers know these forms; :mod:`svmixer.models.layers` computes the same faster in PyTorch.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from types import MethodType

from torch import Tensor, nn
from torch.nn import functional as F

from svmixer.models.layers import FrameConv, GroupedLinear, TimeLinear
from svmixer.models.mixing import MultiScaleGroupMixing


@contextlib.contextmanager
def textbook_form(model: nn.Module) -> Iterator[None]:
    """Inside the block ``model`` computes its convolutions and linear maps in their textbook form."""
    changed = []
    try:
        for module in model.modules():
            for kind, name, method in _FORMS:
                if isinstance(module, kind):
                    setattr(module, name, MethodType(method, module))
                    changed.append((module, name))
        yield
    finally:
        for module, name in changed:
            delattr(module, name)


def _frame_conv(self: FrameConv, x: Tensor) -> Tensor:
    return nn.Conv1d.forward(self, x.transpose(1, 2)).transpose(1, 2)


def _time_linear(self: TimeLinear, x: Tensor) -> Tensor:
    return F.linear(x.transpose(1, 2), self.weight, self.bias).transpose(1, 2)


def _channel_mlp(
    self: MultiScaleGroupMixing, x: Tensor, expand: GroupedLinear, reduce: GroupedLinear
) -> Tensor:
    hidden = F.gelu(nn.Conv1d.forward(expand, x.transpose(1, 2)))
    return nn.Conv1d.forward(reduce, hidden).transpose(1, 2)


_FORMS = (
    (FrameConv, "forward", _frame_conv),
    (TimeLinear, "forward", _time_linear),
    (MultiScaleGroupMixing, "channel_mlp", _channel_mlp),
)
