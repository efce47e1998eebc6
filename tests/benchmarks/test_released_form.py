"""The released form and the package's own are one model."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
import torch

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "benchmarks"))
sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "models"))

from random_weights import randomised
from released import released_form

from svmixer.models.config import BackendConfig, EcapaConfig, FrontendConfig, ModelConfig, StudentConfig
from svmixer.models.speaker_model import SpeakerModel


def toy(norm="group_norm", backend="ecapa", **changes):
    torch.manual_seed(7)
    student = StudentConfig(
        frontend=FrontendConfig(channels=(8, 8, 8, 8, 8, 8, 16), norm=norm),
        layers=2, hidden=32, window=8000, group_width=8, expansion=2, **changes,
    )  # fmt: skip
    ecapa = EcapaConfig(channels=16, attention_channels=8, se_bottleneck=4)
    return randomised(SpeakerModel(ModelConfig(student, BackendConfig(backend, 12, ecapa)))).eval()


@pytest.mark.parametrize("norm", ["group_norm", "layer_norm"])
def test_released_form_gives_the_same_embedding(norm):
    model = toy(norm)
    wave = 0.1 * torch.randn(3, 8000)
    with torch.no_grad():
        torch.testing.assert_close(released_form(model)(wave), model(wave), atol=1e-5, rtol=0)


def test_what_was_never_released_is_named():
    with pytest.raises(ValueError, match=r"not svmixer \(lgm\) with ecapa"):
        released_form(toy(mixing=("lgm",)))
    with pytest.raises(ValueError, match="with statistics"):
        released_form(toy(backend="statistics"))
