"""ESPnet's speaker encoders, poolings and projectors as backends: weighted sum → ``espnet2.spk`` → embedding.

ESPnet is imported when such a backend is built, not before: nothing else needs it.
"""

from __future__ import annotations

import importlib
import inspect
import typing
from dataclasses import dataclass
from typing import Any

from torch import Tensor, nn

from svmixer.config import ConfigError, nearest
from svmixer.models.config import BackendConfig
from svmixer.models.layers import state_weights, weighted_sum


@dataclass(frozen=True)
class EspnetEncoder:
    """Where an encoder of ESPnet is and what it asks of its input."""

    # Module below espnet2.spk.encoder.
    module: str
    # Class in it.
    name: str
    # The number of features must be a multiple of this: the encoder halves them and counts on no remainder.
    multiple: int = 1


# Name of the backend → encoder. All take (B, T, F) and give (B, C, T'), T' <= T.
ENCODERS = {
    "espnet_ecapa": EspnetEncoder("ecapa_tdnn_encoder", "EcapaTdnnEncoder"),
    "espnet_mfaconformer": EspnetEncoder("conformer_encoder", "MfaConformerEncoder"),
    "espnet_rawnet3": EspnetEncoder("rawnet3_encoder", "RawNet3Encoder"),
    "espnet_resnet": EspnetEncoder("resnet_encoder", "ResNetEncoder", multiple=8),
    "espnet_ska_tdnn": EspnetEncoder("ska_tdnn_encoder", "SkaTdnnEncoder", multiple=4),
    "espnet_xvector": EspnetEncoder("xvector_encoder", "XvectorEncoder"),
}

# Name in EspnetConfig → module below espnet2.spk and class in it.
POOLINGS = {
    "chn_attn_stat": ("pooling.chn_attn_stat_pooling", "ChnAttnStatPooling"),
    "mean": ("pooling.mean_pooling", "MeanPooling"),
    "stats": ("pooling.stat_pooling", "StatsPooling"),
}
PROJECTORS = {
    "rawnet3": ("projector.rawnet3_projector", "RawNet3Projector"),
    "ska_tdnn": ("projector.ska_tdnn_projector", "SkaTdnnProjector"),
    "xvector": ("projector.xvector_projector", "XvectorProjector"),
}


class EspnetBackend(nn.Module):
    """Hidden states → embedding: weighted sum, linear map where asked for, then three modules of ESPnet.

    Args:
        config: ``name`` says which encoder, section ``espnet`` the rest.
        states: hidden states L + 1.
        hidden: their size H.

    Raises:
        ConfigError: ESPnet is not installed; its encoder has no such option or refuses the value; the number
            of features does not suit the encoder.
    """

    def __init__(self, config: BackendConfig, states: int, hidden: int) -> None:
        super().__init__()
        parts, encoder = config.espnet, ENCODERS[config.name]
        features = parts.features or hidden
        if features % encoder.multiple:
            raise ConfigError(
                f"{config.name}: features must be a multiple of {encoder.multiple}, found {features}; "
                "backend.espnet.features maps the hidden states to another number"
            )
        self.w = state_weights(states)
        self.map = nn.Linear(hidden, features) if parts.features else nn.Identity()
        self.encoder = _build_encoder(config.name, features, parts.options)
        pooling = _espnet_class(config.name, *POOLINGS[parts.pooling])
        self.pooling = pooling(self.encoder.output_size())
        projector = _espnet_class(config.name, *PROJECTORS[parts.projector])
        self.projector = projector(self.pooling.output_size(), config.embedding)

    def forward(self, states: Tensor) -> Tensor:
        """``(B, L + 1, T, H)`` → ``(B, D)``, not scaled to unit length."""
        frames = self.encoder(self.map(weighted_sum(states, self.w)))  # (B, C, T')
        # Without lengths: a window has no padding, and ESPnet would take them for lengths in T', not in T.
        return self.projector(self.pooling(frames))


def encoder_options(encoder: type[nn.Module]) -> dict[str, Any]:
    """Option → type for what the constructor of an ESPnet encoder names, but its input size.

    Left out: ``**kwargs``, in which some encoders lose a misspelt option, and options that are Python
    classes, which no configuration file can hold.
    """
    hints = typing.get_type_hints(encoder.__init__)
    return {
        name: hints.get(name, Any)
        for name, parameter in inspect.signature(encoder).parameters.items()
        if name != "input_size"
        and parameter.kind is not inspect.Parameter.VAR_KEYWORD
        and typing.get_origin(hints.get(name)) is not type
    }


def _build_encoder(name: str, features: int, options: dict[str, Any]) -> nn.Module:
    encoder = _espnet_class(name, f"encoder.{ENCODERS[name].module}", ENCODERS[name].name)
    known = encoder_options(encoder)
    for option in options:
        if option not in known:
            raise ConfigError(f"{name}: unknown option '{option}'; {nearest(str(option), list(known))}")
    # YAML has lists only.
    values = {
        option: tuple(value) if known[option] is tuple and isinstance(value, list) else value
        for option, value in options.items()
    }
    from typeguard import TypeCheckError  # what ESPnet checks the types of its arguments with

    try:
        return encoder(features, **values)
    except (AssertionError, TypeCheckError, ValueError) as error:
        raise ConfigError(f"{name}: ESPnet refuses the options {options}: {error}") from error


def _espnet_class(name: str, module: str, cls: str) -> type[nn.Module]:
    """A class below ``espnet2.spk``; ``name`` is the backend that wants it.

    Raises:
        ConfigError: ESPnet is not installed.
    """
    try:
        return getattr(importlib.import_module(f"espnet2.spk.{module}"), cls)
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] != "espnet2":
            raise
        raise ConfigError(
            f"backend '{name}' is made of ESPnet's modules and ESPnet is not installed: "
            "pip install 'svmixer[train]', or 'espnet>=202511' alone"
        ) from None
