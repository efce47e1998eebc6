"""The speaker model in the form of the released implementation: what our own form is measured against.

Plain PyTorch, channels first, one module call after the other: ``Conv1d``, ``GroupNorm``, transposes around
``Linear`` where the mixing is over time. Parameters have the names and shapes of :mod:`svmixer.models`, which
are those of the released checkpoints.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from svmixer.models.config import BackendConfig, FrontendConfig, StudentConfig
from svmixer.models.speaker_model import SpeakerModel


class ConvLayer(nn.Module):
    """Convolution without bias, a norm where there is one, GELU."""

    def __init__(self, in_channels: int, channels: int, kernel: int, stride: int, norm: str) -> None:
        super().__init__()
        self.conv = nn.Conv1d(in_channels, channels, kernel, stride, bias=False)
        kinds = {"group_norm": nn.GroupNorm(channels, channels), "layer_norm": nn.LayerNorm(channels)}
        self.layer_norm = kinds.get(norm)

    def forward(self, x: Tensor) -> Tensor:
        """``(B, C_in, N)`` → ``(B, C_out, N')``."""
        x = self.conv(x)
        if isinstance(self.layer_norm, nn.LayerNorm):
            x = self.layer_norm(x.transpose(1, 2)).transpose(1, 2)
        elif self.layer_norm is not None:
            x = self.layer_norm(x)
        return F.gelu(x)


class Projection(nn.Module):
    """Layer norm over the channels and the linear map to the hidden size."""

    def __init__(self, channels: int, hidden: int) -> None:
        super().__init__()
        self.layer_norm = nn.LayerNorm(channels)
        self.projection = nn.Linear(channels, hidden)

    def forward(self, x: Tensor) -> Tensor:
        """``(B, T, C)`` → ``(B, T, H)``."""
        return self.projection(self.layer_norm(x))


class TokenMixing(nn.Module):
    """LGM: depthwise convolutions and an MLP over all frames, with the residual."""

    def __init__(self, config: StudentConfig) -> None:
        super().__init__()
        hidden, frames, inner = config.hidden, config.frames, config.expansion * config.frames
        self.norm = nn.LayerNorm(hidden)
        self.local_mix1 = nn.Conv1d(hidden, hidden, 7, padding=3, groups=hidden)
        self.local_mix2 = nn.Conv1d(hidden, hidden, 3, padding=1, groups=hidden)
        self.linear1 = nn.Linear(frames, inner)
        self.linear2 = nn.Linear(inner, frames)

    def forward(self, x: Tensor) -> Tensor:
        """``(B, T, H)`` → ``(B, T, H)``."""
        u = self.norm(x).transpose(1, 2)
        near = self.local_mix2(F.gelu(self.local_mix1(u)))
        far = self.linear2(F.gelu(self.linear1(u)))
        return x + (near + far).transpose(1, 2)


class ChannelMixing(nn.Module):
    """MSM and GCM: grouped MLPs at two rates, then grouped and full convolutions, with the residual."""

    def __init__(self, config: StudentConfig) -> None:
        super().__init__()
        hidden, inner, groups = config.hidden, config.expansion * config.hidden, config.groups
        self.norm1 = nn.LayerNorm(hidden)
        self.pool = nn.AvgPool1d(2, 2)
        self.fc1 = nn.Conv1d(hidden, inner, 1, groups=groups)
        self.fc2 = nn.Conv1d(inner, hidden, 1, groups=groups)
        self.fc3 = nn.Conv1d(hidden, inner, 1, groups=groups)
        self.fc4 = nn.Conv1d(inner, hidden, 1, groups=groups)
        self.fc5 = nn.Conv1d(hidden, hidden, 3, padding=1, groups=groups)
        self.fc6 = nn.Conv1d(hidden, hidden, 1)

    def forward(self, x: Tensor) -> Tensor:
        """``(B, T, H)`` → ``(B, T, H)``."""
        v = self.norm1(x).transpose(1, 2)
        half = self.fc2(F.gelu(self.fc1(self.pool(v))))
        half = F.interpolate(half, size=v.shape[2], mode="linear", align_corners=False)
        mixed = half + self.fc4(F.gelu(self.fc3(v)))
        mixed = self.fc6(F.gelu(self.fc5(mixed)))
        return x + mixed.transpose(1, 2)


class Block(nn.Module):
    """Mixing over time, then over channels."""

    def __init__(self, config: StudentConfig) -> None:
        super().__init__()
        self.token_mixing = TokenMixing(config)
        self.channel_mixing = ChannelMixing(config)

    def forward(self, x: Tensor) -> Tensor:
        """``(B, T, H)`` → ``(B, T, H)``."""
        return self.channel_mixing(self.token_mixing(x))


class Student(nn.Module):
    """Waveforms of one window → all hidden states."""

    def __init__(self, config: StudentConfig) -> None:
        super().__init__()
        front: FrontendConfig = config.frontend
        norms = [
            front.norm if index == 0 or front.norm == "layer_norm" else ""
            for index in range(len(front.kernels))
        ]
        sizes = zip(
            (1, *front.channels[:-1]), front.channels, front.kernels, front.strides, norms, strict=True
        )
        self.conv_layers = nn.ModuleList(ConvLayer(*size) for size in sizes)
        self.feat_projection = Projection(front.channels[-1], config.hidden)
        self.layers = nn.ModuleList(Block(config) for _ in range(config.layers))
        self.layer_norm = nn.LayerNorm(config.hidden)

    def features(self, wave: Tensor) -> Tensor:
        """The front end alone: ``(B, N)`` → ``(B, T, H)``."""
        x = wave.unsqueeze(1)
        for layer in self.conv_layers:
            x = layer(x)
        return self.feat_projection(x.transpose(1, 2))

    def encode(self, x: Tensor) -> Tensor:
        """The layers alone: ``(B, T, H)`` → ``(B, L + 1, T, H)``."""
        states = [x]
        for layer in self.layers:
            x = layer(x)
            states.append(x)
        states[-1] = self.layer_norm(x)
        return torch.stack(states, dim=1)

    def forward(self, wave: Tensor) -> Tensor:
        """``(B, N)`` → ``(B, L + 1, T, H)``."""
        return self.encode(self.features(wave))


class SqueezeExcitation(nn.Module):
    """Channels scaled by a gate that sees their means over time."""

    def __init__(self, channels: int, bottleneck: int) -> None:
        super().__init__()
        self.se = nn.Sequential(
            nn.AdaptiveAvgPool1d(1),
            nn.Conv1d(channels, bottleneck, 1),
            nn.ReLU(),
            nn.Conv1d(bottleneck, channels, 1),
            nn.Sigmoid(),
        )

    def forward(self, x: Tensor) -> Tensor:
        """``(B, C, T)`` → ``(B, C, T)``."""
        return x * self.se(x)


class SERes2Block(nn.Module):
    """1×1 convolution, Res2 convolutions, 1×1 convolution, gate, residual."""

    def __init__(self, channels: int, dilation: int, scale: int, bottleneck: int) -> None:
        super().__init__()
        self.width = channels // scale
        self.conv1 = nn.Conv1d(channels, channels, 1)
        self.bn1 = nn.BatchNorm1d(channels)
        self.convs = nn.ModuleList(
            nn.Conv1d(self.width, self.width, 3, dilation=dilation, padding=dilation)
            for _ in range(scale - 1)
        )
        self.bns = nn.ModuleList(nn.BatchNorm1d(self.width) for _ in range(scale - 1))
        self.conv3 = nn.Conv1d(channels, channels, 1)
        self.bn3 = nn.BatchNorm1d(channels)
        self.se = SqueezeExcitation(channels, bottleneck)

    def forward(self, x: Tensor) -> Tensor:
        """``(B, C, T)`` → ``(B, C, T)``."""
        pieces = torch.split(self.bn1(F.relu(self.conv1(x))), self.width, dim=1)
        outputs: list[Tensor] = []
        for index, (conv, bn) in enumerate(zip(self.convs, self.bns, strict=True)):
            piece = pieces[index] if index == 0 else outputs[-1] + pieces[index]
            outputs.append(bn(F.relu(conv(piece))))
        joined = torch.cat([*outputs, pieces[-1]], dim=1)
        return x + self.se(self.bn3(F.relu(self.conv3(joined))))


class Ecapa(nn.Module):
    """All hidden states → embedding."""

    def __init__(self, config: BackendConfig, states: int, hidden: int) -> None:
        super().__init__()
        sizes = config.ecapa
        channels, pooled = sizes.channels, 3 * sizes.channels
        self.w = nn.Parameter(torch.rand(1, states, 1, 1))
        self.norm = nn.InstanceNorm1d(hidden) if sizes.instance_norm else nn.Identity()
        self.conv2 = nn.Conv1d(hidden, channels, 5, padding=2)
        self.bn2 = nn.BatchNorm1d(channels)
        for index, dilation in enumerate((2, 3, 4), start=1):
            block = SERes2Block(channels, dilation, sizes.scale, sizes.se_bottleneck)
            setattr(self, f"layer{index}", block)
        self.layer4 = nn.Conv1d(pooled, pooled, 1)
        self.attention = nn.Sequential(
            nn.Conv1d(3 * pooled, sizes.attention_channels, 1),
            nn.ReLU(),
            nn.BatchNorm1d(sizes.attention_channels),
            nn.Tanh(),
            nn.Conv1d(sizes.attention_channels, pooled, 1),
            nn.Softmax(dim=2),
        )
        self.bn5 = nn.BatchNorm1d(2 * pooled)
        self.fc6 = nn.Linear(2 * pooled, config.embedding)
        self.bn6 = nn.BatchNorm1d(config.embedding)

    def forward(self, states: Tensor) -> Tensor:
        """``(B, L + 1, T, H)`` → ``(B, D)``."""
        x = self.norm((states * self.w).sum(dim=1).transpose(1, 2))
        x = self.bn2(F.relu(self.conv2(x)))
        x1 = self.layer1(x)
        x2 = self.layer2(x + x1)
        x3 = self.layer3(x + x1 + x2)
        x = F.relu(self.layer4(torch.cat([x1, x2, x3], dim=1)))
        frames = x.shape[2]
        centre = x.mean(dim=2, keepdim=True).expand(-1, -1, frames)
        spread = x.var(dim=2, keepdim=True).clamp(min=1e-4).sqrt().expand(-1, -1, frames)
        weights = self.attention(torch.cat([x, centre, spread], dim=1))
        mean = (x * weights).sum(dim=2)
        deviation = ((x.square() * weights).sum(dim=2) - mean.square()).clamp(min=1e-4).sqrt()
        return self.bn6(self.fc6(self.bn5(torch.cat([mean, deviation], dim=1))))


class ReleasedModel(nn.Module):
    """Waveforms of one window → embeddings."""

    def __init__(self, student: Student, backend: Ecapa) -> None:
        super().__init__()
        self.student = student
        self.backend = backend

    def forward(self, wave: Tensor) -> Tensor:
        """``(B, N)`` → ``(B, D)``, not scaled to unit length."""
        return self.backend(self.student(wave))


def released_form(model: SpeakerModel) -> ReleasedModel:
    """``model`` in that form, with its weights, in evaluation mode.

    Raises:
        ValueError: a part that the released implementation does not have.
    """
    config = model.config
    student, backend = config.student, config.backend
    if (student.encoder, backend.name) != ("svmixer", "ecapa") or set(student.mixing) != {
        "lgm",
        "msm",
        "gcm",
    }:
        raise ValueError(
            f"the released form has SV-Mixer blocks and ECAPA-TDNN alone, not {student.encoder} "
            f"({', '.join(student.mixing)}) with {backend.name}"
        )
    if model.whitening is not None:
        raise ValueError("the released form has no whitening")
    twin = ReleasedModel(Student(student), Ecapa(backend, student.layers + 1, student.hidden))
    twin.load_state_dict(model.state_dict())
    return twin.eval()
