"""One training step as one writes it down first: channels-first modules of torch, a plain AdamW, no more.

A second form of ``svmixer_tiny`` (layer norm in the front end), of the statistics backend and of the
DistilHuBERT loss, with the same parameter names as the project's, so that one state dict fits both.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from released import Projection
from torch import Tensor, nn

from svmixer.losses import AAMSoftmax
from svmixer.models.config import StudentConfig


class PlainConvLayer(nn.Module):
    """Convolution → layer norm over the channels → GELU, ``(B, C_in, N)`` → ``(B, C, T)``."""

    def __init__(self, in_channels: int, channels: int, kernel: int, stride: int) -> None:
        super().__init__()
        self.conv = nn.Conv1d(in_channels, channels, kernel, stride, bias=False)
        self.layer_norm = nn.LayerNorm(channels)

    def forward(self, x: Tensor) -> Tensor:
        """See the class."""
        return F.gelu(self.layer_norm(self.conv(x).transpose(1, 2)).transpose(1, 2))


class PlainTokenMixing(nn.Module):
    """Local-global mixing on ``(B, T, H)``."""

    def __init__(self, hidden: int, frames: int, expansion: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(hidden)
        self.local_mix1 = nn.Conv1d(hidden, hidden, 7, padding=3, groups=hidden)
        self.local_mix2 = nn.Conv1d(hidden, hidden, 3, padding=1, groups=hidden)
        self.linear1 = nn.Linear(frames, expansion * frames)
        self.linear2 = nn.Linear(expansion * frames, frames)

    def forward(self, x: Tensor) -> Tensor:
        """See the class."""
        u = self.norm(x).transpose(1, 2)
        near = self.local_mix2(F.gelu(self.local_mix1(u)))
        far = self.linear2(F.gelu(self.linear1(u)))
        return x + (near + far).transpose(1, 2)


class PlainChannelMixing(nn.Module):
    """Multi-scale mixing and group channel mixing on ``(B, T, H)``."""

    def __init__(self, hidden: int, groups: int, expansion: int) -> None:
        super().__init__()
        inner = expansion * hidden
        self.norm1 = nn.LayerNorm(hidden)
        self.fc1, self.fc3 = (nn.Conv1d(hidden, inner, 1, groups=groups) for _ in range(2))
        self.fc2, self.fc4 = (nn.Conv1d(inner, hidden, 1, groups=groups) for _ in range(2))
        self.fc5 = nn.Conv1d(hidden, hidden, 3, padding=1, groups=groups)
        self.fc6 = nn.Conv1d(hidden, hidden, 1)

    def forward(self, x: Tensor) -> Tensor:
        """See the class."""
        v = self.norm1(x).transpose(1, 2)
        half = self.fc2(F.gelu(self.fc1(F.avg_pool1d(v, 2, 2))))
        mixed = self.fc4(F.gelu(self.fc3(v))) + F.interpolate(half, size=v.shape[2], mode="linear")
        return x + self.fc6(F.gelu(self.fc5(mixed))).transpose(1, 2)


class PlainBlock(nn.Module):
    """One SV-Mixer block."""

    def __init__(self, config: StudentConfig) -> None:
        super().__init__()
        self.token_mixing = PlainTokenMixing(config.hidden, config.frames, config.expansion)
        self.channel_mixing = PlainChannelMixing(config.hidden, config.groups, config.expansion)

    def forward(self, x: Tensor) -> Tensor:
        """``(B, T, H)`` → ``(B, T, H)``."""
        return self.channel_mixing(self.token_mixing(x))


class PlainStudent(nn.Module):
    """Waveforms ``(B, N)`` → ``(B, L + 1, T, H)``.

    Raises:
        ValueError: another front end, encoder or dropout than svmixer_tiny has.
    """

    def __init__(self, config: StudentConfig) -> None:
        super().__init__()
        front = config.frontend
        if config.encoder != "svmixer" or config.dropout or front.norm != "layer_norm":
            raise ValueError("the plain form is that of svmixer_tiny: layer norms, no dropout")
        inputs = (1, *front.channels[:-1])
        shapes = zip(inputs, front.channels, front.kernels, front.strides, strict=True)
        self.level = front.level
        self.conv_layers = nn.Sequential(*(PlainConvLayer(*shape) for shape in shapes))
        self.feat_projection = Projection(front.channels[-1], config.hidden)
        self.layers = nn.ModuleList(PlainBlock(config) for _ in range(config.layers))
        self.layer_norm = nn.LayerNorm(config.hidden)

    def forward(self, wave: Tensor) -> Tensor:
        """See the class."""
        if self.level is not None:
            power = torch.mean(wave**2, dim=1, keepdim=True) + 1e-9
            wave = wave * 10 ** (self.level / 20) / torch.sqrt(power)
        x = self.feat_projection(self.conv_layers(wave.unsqueeze(1)).transpose(1, 2))
        states = [x]
        for layer in self.layers:
            x = layer(x)
            states.append(x)
        states[-1] = self.layer_norm(x)
        return torch.stack(states, dim=1)


class PlainStatistics(nn.Module):
    """Weighted sum of the states → mean and deviation → batch norm → linear map."""

    def __init__(self, states: int, hidden: int, embedding: int) -> None:
        super().__init__()
        self.w = nn.Parameter(torch.rand(1, states, 1, 1))
        self.norm = nn.BatchNorm1d(2 * hidden)
        self.linear = nn.Linear(2 * hidden, embedding)

    def forward(self, states: Tensor) -> Tensor:
        """``(B, L + 1, T, H)`` → ``(B, D)``."""
        x = (states * self.w).sum(dim=1)
        deviation = x.var(dim=1, unbiased=False).clamp(min=1e-4).sqrt()
        return self.linear(self.norm(torch.cat([x.mean(dim=1), deviation], dim=1)))


class PlainHeads(nn.Module):
    """The loss of DistilHuBERT: a head for each of the teacher's ``layers``."""

    def __init__(self, hidden: int, layers: tuple[int, ...]) -> None:
        super().__init__()
        self.layers = layers
        self.heads = nn.ModuleList(
            nn.Sequential(nn.Linear(hidden, hidden), nn.GELU(), nn.Linear(hidden, hidden)) for _ in layers
        )

    def forward(self, states: Tensor, teacher: Tensor) -> Tensor:
        """``(B, L + 1, T, H)`` of student and teacher → loss."""
        loss = torch.zeros(())
        for layer, head in zip(self.layers, self.heads, strict=True):
            guess, target = head(states[:, -1]), teacher[:, layer]
            cosine = F.cosine_similarity(guess, target, dim=-1)
            loss = loss + F.l1_loss(guess, target) - F.logsigmoid(cosine).mean()
        return loss


class PlainDistill(nn.Module):
    """Stage 3."""

    def __init__(self, config: StudentConfig, layers: tuple[int, ...]) -> None:
        super().__init__()
        self.student = PlainStudent(config)
        self.distill = PlainHeads(config.hidden, layers)

    def forward(self, batch: dict[str, Tensor], teacher: Tensor) -> dict[str, Tensor]:
        """The losses; ``loss`` is what is minimised."""
        loss = self.distill(self.student(batch["noisy"]), teacher)
        return {"loss": loss, "distill": loss}


class PlainSpeaker(nn.Module):
    """Stage 4."""

    def __init__(
        self, config: StudentConfig, embedding: int, layers: tuple[int, ...], speaker: AAMSoftmax
    ) -> None:
        super().__init__()
        self.model = nn.Module()
        self.model.student = PlainStudent(config)
        self.model.backend = PlainStatistics(config.layers + 1, config.hidden, embedding)
        self.speaker = speaker
        self.distill = PlainHeads(config.hidden, layers)

    def forward(self, batch: dict[str, Tensor], teacher: Tensor) -> dict[str, Tensor]:
        """The losses; ``loss`` is what is minimised."""
        states = self.model.student(batch["noisy"])
        speaker, figures = self.speaker(self.model.backend(states), batch["label"])
        distilled = self.distill(states, teacher)
        return {"loss": speaker + distilled, "speaker": speaker, "distill": distilled, **figures}
