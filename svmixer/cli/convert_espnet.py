"""Make a model directory for ``svmixer embed`` of a model that ESPnet trained with frontend ``svmixer``."""

from __future__ import annotations

from dataclasses import dataclass

from svmixer.config import parse_args
from svmixer.log import get_logger

logger = get_logger(__name__)


@dataclass(frozen=True)
class ConvertEspnetConfig:
    """Options of ``svmixer convert_espnet``."""

    train_config: str  # config.yaml that ESPnet wrote beside the checkpoints
    checkpoint: str  # parameters, e.g. valid.eer.best.pth
    output_dir: str  # the model directory to write


def main(argv: list[str] | None = None) -> None:
    """Convert one checkpoint."""
    config = parse_args(ConvertEspnetConfig, argv, __doc__)
    from svmixer.espnet.convert import speaker_model
    from svmixer.models.io import save_model

    model = speaker_model(config.train_config, config.checkpoint)
    save_model(model, config.output_dir)
    logger.info("%s: %s parameters", config.output_dir, f"{sum(p.numel() for p in model.parameters()):,}")
