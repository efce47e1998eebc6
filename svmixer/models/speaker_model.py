"""Encoder and backend as one model: waveform → speaker embedding."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from svmixer.inference.embedding_model import EmbeddingModel
from svmixer.models.backends import build_backend
from svmixer.models.backends.statistics import WhitenedStatistics
from svmixer.models.config import ModelConfig
from svmixer.models.student import Student, states_of_any_length
from svmixer.models.teacher_encoder import TeacherEncoder
from svmixer.models.whitening import Whitening


@contextlib.contextmanager
def evaluating(model: nn.Module) -> Iterator[None]:
    """Evaluation mode without gradients inside the block; each module's own mode is put back afterwards."""
    # Where nothing is in training mode, as always but in training, there is nothing to go through twice.
    training = [module for module in model.modules() if module.training]
    if training:
        model.eval()
    try:
        with torch.no_grad():
            yield
    finally:
        for module in training:
            module.training = True


class EmbeddingModule(EmbeddingModel, nn.Module):
    """A module with a ``forward`` from windows ``(B, window)`` to embeddings ``(B, D)``, for any audio.

    Runs on its own device in evaluation mode, whatever mode it is in.
    """

    @property
    def device(self) -> torch.device:
        """Where the parameters are; the CPU without any."""
        parameter = next(self.parameters(), None)
        return torch.device("cpu") if parameter is None else parameter.device

    def embed_windows(self, windows: np.ndarray) -> np.ndarray:
        """Windows ``float32 (W, window)`` → embeddings ``float32 (W, D)``, not scaled to unit length."""
        with evaluating(self):
            return self(torch.from_numpy(windows).to(self.device)).float().cpu().numpy()


class SpeakerModel(EmbeddingModule):
    """An encoder with a speaker backend: an SV-Mixer student or, as a system of its own, a teacher.

    ``forward`` takes windows of exactly :attr:`window` samples, for training; :meth:`embed` and
    :meth:`hidden_states` take audio of any length.
    """

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.config = config
        self.student: Student | TeacherEncoder = (
            Student(config.student) if config.teacher is None else TeacherEncoder(config.teacher)
        )
        self.backend = build_backend(config.backend, config.layers + 1, config.hidden)
        self.whitening = Whitening(config.backend.embedding) if config.whiten else None
        self.statistics: WhitenedStatistics | None = None
        if config.statistics.share:
            self.statistics = WhitenedStatistics(config.statistics, config.layers + 1, config.hidden)
        self.adaptation = Whitening(config.embedding_size) if config.adapted_from else None
        # Cosine from which on two recordings count as one speaker, where the model's directory says one.
        self.threshold: float | None = None

    @property
    def window(self) -> int:  # type: ignore[override]
        """Samples of one window."""
        return self.config.window

    @property
    def sample_rate(self) -> int:  # type: ignore[override]
        """Of the waveforms, in Hz."""
        return self.config.sample_rate

    def forward(self, wave: Tensor) -> Tensor:
        """Windows ``(B, window)`` → embeddings ``(B, D)``, not scaled to unit length."""
        return self.from_states(self.student(wave), wave)

    def from_states(self, states: Tensor, wave: Tensor) -> Tensor:
        """Hidden states ``(B, L + 1, T, H)`` of windows ``(B, window)`` → embeddings ``(B, D)``, of any
        length.
        """
        embedding = self.unadapted(states, wave)
        return embedding if self.adaptation is None else self.adaptation(F.normalize(embedding))

    def unadapted(self, states: Tensor, wave: Tensor) -> Tensor:
        """The same before the whitening of the adaptation, if there is one."""
        embedding = self.backend(states)
        if self.whitening is not None:
            embedding = self.whitening(embedding)
        if self.statistics is None:
            return embedding
        # The cosine of two such rows is the mean of both cosines, weighted by their shares.
        share = self.config.statistics.share
        both = F.normalize(embedding), F.normalize(self.statistics(states, wave))
        return torch.cat([(1 - share) ** 0.5 * both[0], share**0.5 * both[1]], dim=1)

    def hidden_states(self, wave: Tensor) -> Tensor:
        """The student's hidden states ``(B, L + 1, T', H)`` of waveforms ``(B, N)`` of any length.

        T' is T for N up to one window (shorter audio is repeated to fill it), otherwise the front end's
        number of frames for N samples: windows of T frames one after the other, the last one aligned with the
        end. Computed in evaluation mode, without gradients.

        Raises:
            ValueError: N = 0 or not two dimensions.
        """
        with evaluating(self):
            return states_of_any_length(self.student, self.config, wave.to(self.device))
