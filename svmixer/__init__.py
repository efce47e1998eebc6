"""SV-Mixer: attention-free students of self-supervised speech models for speaker verification.

Verification with numpy and ONNX Runtime alone:

>>> import svmixer
>>> verifier = svmixer.Verifier("pocket2")               # or a directory that `svmixer export` wrote
>>> verifier.compare("ann1.wav", "ann2.wav").decision
'one speaker'
>>> svmixer.load_onnx("pocket2").embed("ann1.wav").shape
(1486,)

With PyTorch (``pip install 'svmixer[torch]'``):

>>> model = svmixer.load_model("pocket2")                # or any model directory
>>> embedding = model.embed("ann1.wav")                  # (D,)
>>> teacher = svmixer.load_teacher("wavlm_tiny")
>>> states = teacher.hidden_states(waves)                # (B, L + 1, T, D)
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from svmixer.inference import Rule, Verdict, load_onnx
    from svmixer.models.io import load_model
    from svmixer.scoring.verifier import Verifier
    from svmixer.teachers.teacher import load_teacher

__version__ = "0.1.0"
__all__ = ["Rule", "Verdict", "Verifier", "__version__", "load_model", "load_onnx", "load_teacher"]

_HOMES = {
    "Rule": "svmixer.inference",
    "Verdict": "svmixer.inference",
    "Verifier": "svmixer.scoring.verifier",
    "load_model": "svmixer.models.io",
    "load_onnx": "svmixer.inference",
    "load_teacher": "svmixer.teachers.teacher",
}


def __getattr__(name: str) -> object:
    # Loaded at first use: torch takes seconds to import and most list tools do not need it.
    if name in _HOMES:
        from importlib import import_module

        try:
            return getattr(import_module(_HOMES[name]), name)
        except ModuleNotFoundError as error:
            if error.name != "torch":
                raise
            raise ImportError(
                f"svmixer.{name} needs PyTorch: pip install 'svmixer[torch]'; svmixer.Verifier and "
                "svmixer.load_onnx do without"
            ) from None
    raise AttributeError(f"module 'svmixer' has no attribute '{name}'")
