"""WavLM, HuBERT and wav2vec 2.0 as encoders: torchaudio's modules, and all their hidden states."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from svmixer.errors import SvmixerError
from svmixer.models.teacher_config import TeacherConfig

if TYPE_CHECKING:
    from torchaudio.models import Wav2Vec2Model

# Added to the variance when a waveform is scaled, as the models' published feature extractors do.
_VARIANCE_OFFSET = 1e-7
# What torchaudio's wav2vec2_model, which builds HuBERT too, does not take.
_WAVLM_ONLY = ("encoder_num_buckets", "encoder_max_distance")


class TeacherEncoder(nn.Module):
    """A trainable self-supervised model in the place of a :class:`svmixer.models.student.Student`.

    Its parameters have torchaudio's names.
    """

    def __init__(self, config: TeacherConfig) -> None:
        super().__init__()
        self.config = config
        model = build_torchaudio(config)
        self.feature_extractor, self.encoder = model.feature_extractor, model.encoder

    @property
    def conv_layers(self) -> nn.Module:
        """The convolutions over the waveform."""
        return self.feature_extractor

    @property
    def layers(self) -> nn.ModuleList:
        """The transformer layers."""
        return self.encoder.transformer.layers

    def states(self, wave: Tensor) -> list[Tensor]:
        """``(B, N)`` → L + 1 states ``(B, T, D)``; the last one has passed the model's last layer norm.

        Raises:
            SvmixerError: not two dimensions, or too few samples for one frame.
        """
        return hidden_states(self, self.config, wave, self.config.layers, final_norm=True)

    def forward(self, wave: Tensor) -> Tensor:
        """``(B, N)`` → ``(B, L + 1, T, D)``, the stack of :meth:`states`."""
        return torch.stack(self.states(wave), dim=1)


def hidden_states(
    model: TeacherEncoder | Wav2Vec2Model, config: TeacherConfig, wave: Tensor, layers: int, final_norm: bool
) -> list[Tensor]:
    """``(B, N)`` → the states 0 … ``layers``, each ``(B, T, D)``, as ``transformers`` counts them.

    State 0 is the encoder's input (projection, positional embedding and the layer norm where it stands
    there); state i is the output of layer i.

    Args:
        model: with torchaudio's parts ``feature_extractor`` and ``encoder``.
        config: of the model.
        wave: waveforms at the model's rate, as they are: they are scaled here if the model wants that.
        layers: the highest state; layers above it are not computed.
        final_norm: apply the layer norm that follows the last layer of the Large models to state L, which
            makes it their ``last_hidden_state`` (``transformers`` before 5 did so in ``hidden_states`` too).
            No effect on models whose layers end with their own norm.

    Raises:
        SvmixerError: not two dimensions, or too few samples for one frame.
    """
    if wave.dim() != 2:
        raise SvmixerError(f"a teacher takes waveforms (batch, samples), found {tuple(wave.shape)}")
    least = config.frontend.receptive_field
    if wave.shape[1] < least:
        raise SvmixerError(f"the teacher needs at least {least} samples, found {wave.shape[1]}")
    if config.normalise_waveform:
        wave = normalise(wave)
    features, _ = model.feature_extractor(wave, None)
    transformer = model.encoder.transformer
    x = model.encoder.feature_projection(features)
    x = x + transformer.pos_conv_embed(x)
    if not config.encoder_layer_norm_first:
        x = transformer.layer_norm(x)
    states, position_bias = [x], None
    for layer in transformer.layers[:layers]:
        x, position_bias = layer(x, None, position_bias=position_bias)
        states.append(x)
    if final_norm and config.encoder_layer_norm_first and layers == config.layers:
        states[-1] = transformer.layer_norm(x)
    return states


def normalise(wave: Tensor) -> Tensor:
    """Each waveform of ``(B, N)`` to zero mean and unit variance, on its own."""
    wave = wave - wave.mean(dim=1, keepdim=True)
    return wave / (wave.square().mean(dim=1, keepdim=True) + _VARIANCE_OFFSET).sqrt()


def build_torchaudio(config: TeacherConfig) -> Wav2Vec2Model:
    """``torchaudio.models.wavlm_model``, or ``wav2vec2_model`` for HuBERT too: both have the same layers."""
    from torchaudio.models import wav2vec2_model, wavlm_model

    arguments = {
        field.name: getattr(config, field.name)
        for field in dataclasses.fields(config)
        if field.name.startswith(("extractor_", "encoder_"))
    }
    if config.family == "wavlm":
        return wavlm_model(**arguments, aux_num_out=None)
    for name in _WAVLM_ONLY:
        del arguments[name]
    return wav2vec2_model(**arguments, aux_num_out=None)
