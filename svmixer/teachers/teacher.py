"""A frozen teacher: hidden states of a self-supervised model that is never trained or stored."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from svmixer.errors import SvmixerError
from svmixer.models.student import Student
from svmixer.teachers.config import TeacherConfig

if TYPE_CHECKING:
    from torchaudio.models import Wav2Vec2Model

# Added to the variance when a waveform is scaled, as the models' published feature extractors do.
_VARIANCE_OFFSET = 1e-7


class Teacher(nn.Module):
    """Hidden states of WavLM, HuBERT or wav2vec 2.0.

    The model is held outside the module tree: a parent's ``state_dict``, ``parameters`` and ``train`` do not
    reach it, so it is never saved, optimised, synchronised or woken from evaluation mode; ``.to(device)``
    moves it all the same.
    """

    def __init__(self, model: Wav2Vec2Model, config: TeacherConfig) -> None:
        super().__init__()
        self.config = config
        self._held = [model.eval().requires_grad_(False)]
        self.training = False

    @property
    def model(self) -> Wav2Vec2Model:
        """The torchaudio model."""
        return self._held[0]

    def train(self, mode: bool = True) -> Teacher:
        """A teacher stays in evaluation mode."""
        return self

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> Teacher:
        self.model._apply(fn, recurse)
        return super()._apply(fn, recurse)

    @torch.no_grad()
    def hidden_states(
        self, wave: Tensor, final_norm: bool = False, layers: Sequence[int] | None = None
    ) -> Tensor:
        """``(B, N)`` → ``(B, L + 1, T, D)``, counted as ``transformers`` counts ``hidden_states``.

        State 0 is the encoder's input (projection, positional embedding and the layer norm where it stands
        there); state i is the output of layer i.

        Args:
            wave: waveforms at the teacher's rate, as they are: each teacher scales them itself.
            final_norm: apply the layer norm that follows the last layer of the Large models to state L, which
                makes it their ``last_hidden_state`` (``transformers`` before 5 did so in ``hidden_states``
                too). No effect on models whose layers end with their own norm.
            layers: give these K states alone, ``(B, K, T, D)``; −1 is state L. Layers above the highest of
                them are not computed.

        Raises:
            ValueError: not ``(B, N)``, too few samples for one frame, or no such layer.
        """
        wanted = self.numbers(layers)
        if wave.dim() != 2:
            raise SvmixerError(f"a teacher takes waveforms (batch, samples), found {tuple(wave.shape)}")
        least = self.config.frontend.receptive_field
        if wave.shape[1] < least:
            raise SvmixerError(f"the teacher needs at least {least} samples, found {wave.shape[1]}")
        if self.config.normalise_waveform:
            wave = normalise(wave)
        features, _ = self.model.feature_extractor(wave, None)
        encoder = self.model.encoder.transformer
        x = self.model.encoder.feature_projection(features)
        x = x + encoder.pos_conv_embed(x)
        if not self.config.encoder_layer_norm_first:
            x = encoder.layer_norm(x)
        states, position_bias = [x], None
        for layer in encoder.layers[: max(wanted)]:
            x, position_bias = layer(x, None, position_bias=position_bias)
            states.append(x)
        if final_norm and self.config.encoder_layer_norm_first and len(states) == self.config.layers + 1:
            states[-1] = encoder.layer_norm(x)
        return torch.stack([states[number] for number in wanted], dim=1)

    forward = hidden_states

    def numbers(self, layers: Sequence[int] | None = None) -> list[int]:
        """The states ``layers`` counted from 0, where −1 is the last; all of them for None.

        Raises:
            ValueError: no such layer.
        """
        count = self.config.layers
        for layer in layers or ():
            if not -1 <= layer <= count:
                raise SvmixerError(f"layers: the teacher has {count} layers, asked for layer {layer}")
        return [count if layer == -1 else layer for layer in (range(count + 1) if layers is None else layers)]

    def frontend_state_dict(self) -> dict[str, Tensor]:
        """Convolutions and projection under the student's names: ``conv_layers.…``, ``feat_projection.…``."""
        projection = self.model.encoder.feature_projection
        tensors = dict(self.model.feature_extractor.state_dict())
        tensors.update({f"feat_projection.{key}": value for key, value in projection.state_dict().items()})
        return tensors


def normalise(wave: Tensor) -> Tensor:
    """Each waveform of ``(B, N)`` to zero mean and unit variance, on its own."""
    wave = wave - wave.mean(dim=1, keepdim=True)
    return wave / (wave.square().mean(dim=1, keepdim=True) + _VARIANCE_OFFSET).sqrt()


@dataclass(frozen=True)
class Copied:
    """What :func:`init_frontend_from_teacher` did."""

    # Names of the tensors that were copied.
    copied: list[str] = field(default_factory=list)
    # Names of the tensors that were not, each with the reason.
    skipped: dict[str, str] = field(default_factory=dict)


@torch.no_grad()
def init_frontend_from_teacher(student: Student, teacher: Teacher) -> Copied:
    """Copy the teacher's convolutions and feature projection into the student where the shapes agree.

    DistilHuBERT (Chang et al., ICASSP 2022) starts its student in this way.
    """
    source = teacher.frontend_state_dict()
    own = {
        key: value
        for key, value in student.state_dict().items()
        if key.startswith(("conv_layers.", "feat_projection."))
    }
    report = Copied()
    for key in sorted(own.keys() | source.keys()):
        if key not in own:
            report.skipped[key] = "the student has no such tensor"
        elif key not in source:
            report.skipped[key] = "the teacher has no such tensor"
        elif own[key].shape != source[key].shape:
            report.skipped[key] = f"teacher {tuple(source[key].shape)}, student {tuple(own[key].shape)}"
        else:
            own[key].copy_(source[key])
            report.copied.append(key)
    return report
