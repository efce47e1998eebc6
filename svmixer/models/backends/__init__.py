"""Speaker backends: hidden states ``(B, L + 1, T, H)`` → embeddings ``(B, D)``, by ``BackendConfig.name``."""

from __future__ import annotations

from torch import nn

from svmixer.models.backends.ecapa import Ecapa
from svmixer.models.backends.espnet import ENCODERS, EspnetBackend
from svmixer.models.backends.redimnet import Redimnet
from svmixer.models.backends.statistics import LinearBackend, StatisticsBackend
from svmixer.models.config import BackendConfig
from svmixer.models.registry import Registry

# A builder takes (config: BackendConfig, states: int, hidden: int).
BACKENDS = Registry("backend")
BACKENDS.register("ecapa")(Ecapa)
BACKENDS.register("linear")(LinearBackend)
BACKENDS.register("redimnet")(Redimnet)
BACKENDS.register("statistics")(StatisticsBackend)
for _name in ENCODERS:
    BACKENDS.register(_name)(EspnetBackend)


def build_backend(config: BackendConfig, states: int, hidden: int) -> nn.Module:
    """The backend that ``config`` names, for a stack of ``states`` hidden states of size ``hidden``."""
    return BACKENDS[config.name](config, states, hidden)
