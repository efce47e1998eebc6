"""A speaker model small enough for unit tests: 24 frames, 32 channels, two layers."""

import pytest
import torch
from random_weights import randomised

from svmixer.models.config import BackendConfig, EcapaConfig, FrontendConfig, ModelConfig, StudentConfig
from svmixer.models.speaker_model import SpeakerModel


@pytest.fixture(autouse=True)
def seed():
    torch.manual_seed(7)


@pytest.fixture(scope="session")
def toy_config():
    return ModelConfig(
        student=StudentConfig(
            frontend=FrontendConfig(channels=(8, 8, 8, 8, 8, 8, 16)),
            layers=2,
            hidden=32,
            window=8000,
            group_width=8,
            expansion=2,
        ),
        backend=BackendConfig(
            embedding=12, ecapa=EcapaConfig(channels=16, attention_channels=8, se_bottleneck=4)
        ),
    )


@pytest.fixture
def toy_model(toy_config):
    return randomised(SpeakerModel(toy_config)).eval()
