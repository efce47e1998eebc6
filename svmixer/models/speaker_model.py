"""Student and backend as one model: waveform → speaker embedding."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from svmixer.models.backends import build_backend
from svmixer.models.backends.statistics import WhitenedStatistics
from svmixer.models.base import EmbeddingModule, evaluating
from svmixer.models.config import ModelConfig
from svmixer.models.student import Student, states_of_any_length
from svmixer.models.whitening import Whitening


class SpeakerModel(EmbeddingModule):
    """An SV-Mixer student with a speaker backend.

    ``forward`` takes windows of exactly :attr:`window` samples, for training; :meth:`embed` and
    :meth:`hidden_states` take audio of any length.
    """

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.config = config
        self.student = Student(config.student)
        self.backend = build_backend(config.backend, config.student.layers + 1, config.student.hidden)
        self.whitening = Whitening(config.backend.embedding) if config.whiten else None
        self.statistics: WhitenedStatistics | None = None
        if config.statistics.share:
            self.statistics = WhitenedStatistics(
                config.statistics, config.student.layers + 1, config.student.hidden
            )
        # Cosine from which on two recordings count as one speaker, where the model's directory says one.
        self.threshold: float | None = None

    @property
    def window(self) -> int:  # type: ignore[override]
        """Samples of one window."""
        return self.config.student.window

    @property
    def sample_rate(self) -> int:  # type: ignore[override]
        """Of the waveforms, in Hz."""
        return self.config.sample_rate

    def forward(self, wave: Tensor) -> Tensor:
        """Windows ``(B, window)`` → embeddings ``(B, D)``, not scaled to unit length."""
        return self.from_states(self.student(wave))

    def from_states(self, states: Tensor) -> Tensor:
        """Hidden states ``(B, L + 1, T, H)`` → embeddings ``(B, D)``, not scaled to unit length."""
        embedding = self.backend(states)
        if self.whitening is not None:
            embedding = self.whitening(embedding)
        if self.statistics is None:
            return embedding
        # The cosine of two such rows is the mean of both cosines, weighted by their shares.
        share = self.config.statistics.share
        both = F.normalize(embedding), F.normalize(self.statistics(states))
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
            return states_of_any_length(self.student, wave.to(self.device))
