"""SV-Mixer: attention-free students of self-supervised speech models for speaker verification.

>>> import svmixer
>>> model = svmixer.load_model("exp/my_model")           # a model directory
>>> embedding = model.embed(wave, sample_rate=16000)     # (D,)
>>> teacher = svmixer.load_teacher("wavlm_tiny")
>>> states = teacher.hidden_states(waves)                # (B, L + 1, T, D)
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from svmixer.models.io import load_model
    from svmixer.teachers.teacher import load_teacher

__version__ = "0.1.0"
__all__ = ["__version__", "load_model", "load_teacher"]

_HOMES = {
    "load_model": "svmixer.models.io",
    "load_teacher": "svmixer.teachers.teacher",
}


def __getattr__(name: str) -> object:
    # Loaded at first use: torch takes seconds to import and most list tools do not need it.
    if name in _HOMES:
        from importlib import import_module

        return getattr(import_module(_HOMES[name]), name)
    raise AttributeError(f"module 'svmixer' has no attribute '{name}'")
