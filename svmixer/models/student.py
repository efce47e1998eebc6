"""The student encoder: front end, projection, L layers, and all their hidden states."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from svmixer.errors import SvmixerError
from svmixer.inference.utterance import WINDOWS_AT_ONCE
from svmixer.inference.windows import frame_windows, repeat_pad
from svmixer.models.config import ModelConfig, StudentConfig
from svmixer.models.frontend import ConvFrontend, FeatureProjection
from svmixer.models.students import build_layers


class Student(nn.Module):
    """Waveforms of one window → the stack of L + 1 hidden states.

    State 0 is the output of the projection, states 1 … L − 1 are the outputs of the layers, state L is the
    layer norm of the last layer's output.
    """

    def __init__(self, config: StudentConfig) -> None:
        super().__init__()
        self.config = config
        self.conv_layers = ConvFrontend(config.frontend)
        # Straight behind log-mel bands.
        cepstrum = config.frontend.first_layer == "log_mel" and len(config.frontend.channels) == 1
        channels = config.frontend.channels[-1]
        self.feat_projection = FeatureProjection(channels, config.hidden, config.dropout, cepstrum)
        self.layers = build_layers(config)
        self.layer_norm = nn.LayerNorm(config.hidden)

    def forward(self, wave: Tensor) -> Tensor:
        """``(B, N)`` → ``(B, L + 1, T, H)``, the stack of :meth:`states`."""
        return torch.stack(self.states(wave), dim=1)

    def states(self, wave: Tensor) -> list[Tensor]:
        """``(B, N)`` → L + 1 states ``(B, T, H)``, for whoever needs only some of them.

        Raises:
            ValueError: N samples do not give T frames; ``svmixer.inference.windows`` cuts longer audio.
        """
        config = self.config
        frames = config.frontend.num_frames(wave.shape[-1])
        if wave.dim() != 2 or frames != config.frames:
            raise SvmixerError(
                f"the student takes (batch, samples) with {config.window} samples ({config.frames} frames), "
                f"found shape {tuple(wave.shape)} ({frames} frames)"
            )
        x = self.feat_projection(self.conv_layers(wave))
        states = [x]
        for layer in self.layers:
            x = layer(x)
            states.append(x)
        states[-1] = self.layer_norm(x)
        return states


def states_of_any_length(encoder: nn.Module, config: StudentConfig | ModelConfig, wave: Tensor) -> Tensor:
    """Hidden states ``(B, L + 1, T', H)`` of waveforms ``(B, N)``, N of any length.

    T' is T for N up to one window (shorter audio is repeated to fill it), otherwise the front end's number of
    frames for N samples: windows of T frames one after the other, the last one aligned with the end.

    Args:
        encoder: ``(B, window)`` → ``(B, L + 1, T, H)``.
        config: its window and front end.
        wave: any length.

    Raises:
        ValueError: N = 0 or not two dimensions.
    """
    if wave.dim() != 2:
        raise SvmixerError(f"expected waveforms (batch, samples), found shape {tuple(wave.shape)}")
    front = config.frontend
    wave = repeat_pad(wave, config.window)
    num_frames = front.num_frames(wave.shape[1])
    if num_frames == config.frames:
        return encoder(wave)
    length = front.num_samples(config.frames)
    parts = []
    for first, skip in frame_windows(num_frames, config.frames):
        start = first * front.hop
        window = wave[:, start : start + length]
        states = [encoder(part) for part in window.split(WINDOWS_AT_ONCE)]
        parts.append(torch.cat(states)[:, :, skip:])
    return torch.cat(parts, dim=2)
