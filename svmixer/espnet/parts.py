"""The student and the backends in the shapes of ESPnet's speaker model: frontend, pooling, projector.

ESPnet's model is frontend (samples → frames), encoder (frames → frames), pooling (frames → vector) and
projector (vector → embedding). The student with the weighted sum of its states is a frontend; behind it
stand either ESPnet's encoders, poolings and projectors, or one of our backends as a pooling, between ESPnet's
encoder ``identity`` and the projector below, which do nothing.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import torch
from espnet2.asr.frontend.abs_frontend import AbsFrontend
from espnet2.spk.pooling.abs_pooling import AbsPooling
from espnet2.spk.projector.abs_projector import AbsProjector
from torch import Tensor

from svmixer import config as configuration
from svmixer.errors import SvmixerError
from svmixer.models.backends import build_backend
from svmixer.models.config import BackendConfig, StudentConfig
from svmixer.models.io import load_tensors
from svmixer.models.layers import state_weights, weighted_sum
from svmixer.models.student import Student, states_of_any_length


@dataclass(frozen=True)
class FrontendConf:
    """What ``frontend_conf`` holds for frontend ``svmixer``."""

    # The student: a section or the name of a YAML file (conf/student).
    student: StudentConfig = field(default_factory=StudentConfig)
    # Weights to start from, e.g. the student.safetensors of a distillation; empty: random ones.
    init: str = ""


@dataclass(frozen=True)
class PoolingConf:
    """What ``pooling_conf`` holds for pooling ``svmixer``."""

    # The backend: a section or the name of a YAML file (conf/backend).
    backend: BackendConfig = field(default_factory=BackendConfig)


class SvMixerFrontend(AbsFrontend):
    """Waveforms → weighted sum of the student's hidden states.

    Args:
        conf: see :class:`FrontendConf`.

    Raises:
        ConfigError: unknown key or bad value.
        ModelError: ``init`` does not fit the student.
    """

    def __init__(self, **conf: Any) -> None:
        super().__init__()
        settings = configuration.from_dict(FrontendConf, conf, "frontend_conf")
        self.student = Student(settings.student)
        self.w = state_weights(settings.student.layers + 1)
        if settings.init:
            load_tensors(self.student, settings.init)

    def output_size(self) -> int:
        """Size H of a frame."""
        return self.student.config.hidden

    def forward(self, input: Tensor, input_lengths: Tensor) -> tuple[Tensor, Tensor | None]:
        """Waveforms ``(B, N)`` → frames ``(B, T', H)`` and how many of them are no padding ``(B,)``.

        None instead of lengths when nothing is padded, as in training, where all crops are equally long.
        ESPnet's poolings divide by the lengths that a frontend gives, even behind an encoder that leaves
        fewer frames; without lengths they count the frames that they see.
        """
        frames = weighted_sum(states_of_any_length(self.student, self.student.config, input), self.w)
        samples = input_lengths.tolist()
        if all(length == input.shape[1] for length in samples):
            return frames, None
        front = self.student.config.frontend
        lengths = [max(1, front.num_frames(length)) for length in samples]
        return frames, torch.tensor(lengths, device=input_lengths.device)


class SvMixerPooling(AbsPooling):
    """One of our backends: frames → embedding. Encoder ``identity`` stands before it.

    Args:
        input_size: size H of a frame.
        conf: see :class:`PoolingConf`.

    Raises:
        ConfigError: unknown key or bad value.
    """

    def __init__(self, input_size: int, **conf: Any) -> None:
        super().__init__()
        config = configuration.from_dict(PoolingConf, conf, "pooling_conf").backend
        self.backend = build_backend(config, 1, input_size)
        # The frontend has summed the states already: there is one, and its weight is one.
        self.backend.w.requires_grad_(False).fill_(1.0)
        self._output_size = config.embedding

    def output_size(self) -> int:
        """Size D of the embedding."""
        return self._output_size

    def forward(self, input: Tensor, feat_lengths: Tensor | None = None) -> Tensor:
        """``(B, H, T)`` → ``(B, D)``.

        Raises:
            ValueError: some of the frames are padding, which the backends do not know.
        """
        if feat_lengths is not None and bool((feat_lengths != input.shape[2]).any()):
            raise SvmixerError(
                f"pooling svmixer takes crops of one length, found {input.shape[2]} frames of which only "
                f"{int(feat_lengths.min())} are no padding; preprocessor_conf.target_duration cuts such crops"
            )
        return self.backend(input.transpose(1, 2).unsqueeze(1))


class IdentityProjector(AbsProjector):
    """The vector of the pooling as it is: behind pooling ``svmixer``, which gives the embedding."""

    def __init__(self, input_size: int) -> None:
        super().__init__()
        self._output_size = input_size

    def output_size(self) -> int:
        """Size of the embedding."""
        return self._output_size

    def forward(self, utt_embd: Tensor) -> Tensor:
        """``(B, D)`` → ``(B, D)``."""
        return utt_embd
