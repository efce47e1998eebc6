"""Toy models, and windows for them."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parent))

from fast_models import toy


@pytest.fixture(
    scope="session", params=[("group_norm", "ecapa"), ("layer_norm", "ecapa"), ("layer_norm", "statistics")]
)
def model(request):
    return toy(*request.param)


@pytest.fixture(scope="session")
def windows():
    """Tones in noise ``(24, 8000)``."""
    rng = np.random.default_rng(3)
    time = np.arange(8000) / 16000
    tones = np.sin(2 * np.pi * rng.uniform(80, 3000, (24, 1)) * time) * rng.uniform(0.05, 0.5, (24, 1))
    return (tones + 0.02 * rng.standard_normal((24, 8000))).astype(np.float32)
