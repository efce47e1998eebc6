"""Toy models with random weights: both kinds of front end, both backends with an optimised form."""

from __future__ import annotations

import sys
from pathlib import Path

import torch

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "models"))

from random_weights import randomised

from svmixer.models.config import BackendConfig, EcapaConfig, FrontendConfig, ModelConfig, StudentConfig
from svmixer.models.speaker_model import SpeakerModel

FRONTENDS = {
    "group_norm": FrontendConfig(channels=(8, 8, 8, 8, 8, 8, 16)),
    "layer_norm": FrontendConfig(
        channels=(8, 16), kernels=(400, 2), strides=(160, 2), norm="layer_norm", first_layer="mel"
    ),
}
BACKENDS = {
    "ecapa": BackendConfig(
        embedding=12, ecapa=EcapaConfig(channels=16, attention_channels=8, se_bottleneck=4)
    ),
    "statistics": BackendConfig("statistics", embedding=12),
}


def toy(norm: str, backend: str) -> SpeakerModel:
    """Half a second a window, 32 channels, two layers, whitened."""
    torch.manual_seed(7)
    student = StudentConfig(
        frontend=FRONTENDS[norm], layers=2, hidden=32, window=8000, group_width=8, expansion=2
    )
    model = randomised(SpeakerModel(ModelConfig(student, BACKENDS[backend], whiten=True)))
    return model.eval()
