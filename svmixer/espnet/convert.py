"""A model that ESPnet trained with frontend ``svmixer`` → a model directory for ``svmixer embed``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from torch import Tensor

from svmixer import config as configuration
from svmixer.config import ConfigError
from svmixer.models.config import BackendConfig, EspnetConfig, ModelConfig
from svmixer.models.io import set_tensors
from svmixer.models.released import read_state_dict
from svmixer.models.speaker_model import SpeakerModel
from svmixer.yaml_files import read_yaml

# Encoder in ESPnet's choices → our backend that is made of it.
BACKENDS = {
    "ecapa_tdnn": "espnet_ecapa",
    "mfaconformer": "espnet_mfaconformer",
    "rawnet3": "espnet_rawnet3",
    "resnet": "espnet_resnet",
    "ska_tdnn": "espnet_ska_tdnn",
    "xvector": "espnet_xvector",
}

# Size of the embedding where projector_conf does not say it: that of ESPnet's projector rawnet3.
EMBEDDING = 192


def speaker_model(train_config: str | Path, checkpoint: str | Path) -> SpeakerModel:
    """The speaker model whose embeddings are those of an ESPnet model.

    Args:
        train_config: configuration that :mod:`svmixer.espnet.spk_train` saved.
        checkpoint: state dict of the ESPnet model.

    Raises:
        ConfigError: the ESPnet model has parts that a speaker model does not.
        ModelError: the checkpoint cannot be read or does not fit the configuration.
    """
    conf, where = read_yaml(train_config), str(train_config)
    for key in (
        "frontend_conf",
        "encoder",
        "encoder_conf",
        "pooling",
        "pooling_conf",
        "projector",
        "projector_conf",
    ):
        if key not in conf:
            raise ConfigError(f"{where}: {key} is missing: not a configuration that ESPnet saved")
    for key, wanted in (("frontend", "svmixer"), ("normalize", None)):
        if conf.get(key) != wanted:
            raise ConfigError(
                f"{where}: only {key} {wanted or 'null'} can be exported, found {conf.get(key)}"
            )
    parts = {"student": conf["frontend_conf"].get("student", {}), "backend": _backend(conf, where)}
    model = SpeakerModel(configuration.from_dict(ModelConfig, parts, where))
    set_tensors(model, renamed(read_state_dict(checkpoint)), checkpoint)
    return model.eval()


def renamed(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """State dict of ESPnet's model → that of :class:`SpeakerModel`; the loss is left out."""
    result = {}
    for key, value in tensors.items():
        part, _, rest = key.partition(".")
        if key == "pooling.backend.w":
            continue  # one, see SvMixerPooling
        if key == "frontend.w":
            result["backend.w"] = value
        elif part == "frontend" or key.startswith("pooling.backend."):
            result[rest] = value
        elif part != "loss":
            result[f"backend.{key}"] = value
    return result


def _backend(conf: dict[str, Any], where: str) -> BackendConfig:
    encoder, pooling, projector = conf["encoder"], conf["pooling"], conf["projector"]
    if (encoder, pooling, projector) == ("identity", "svmixer", "identity"):
        return configuration.from_dict(BackendConfig, conf["pooling_conf"]["backend"], where)
    if encoder not in BACKENDS or "svmixer" in (pooling, projector) or projector == "identity":
        raise ConfigError(
            f"{where}: encoder {encoder}, pooling {pooling}, projector {projector} cannot be exported; "
            "take identity, svmixer, identity, or ESPnet's poolings and projectors behind one of "
            f"{', '.join(BACKENDS)}"
        )
    parts = EspnetConfig(pooling=pooling, projector=projector, options=conf["encoder_conf"])
    embedding = conf["projector_conf"].get("output_size", EMBEDDING)
    return BackendConfig(name=BACKENDS[encoder], embedding=embedding, espnet=parts)
