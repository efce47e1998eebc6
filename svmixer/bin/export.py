"""Stage 7: write a trained model as a model directory to hand on, and check that it reads back."""

from __future__ import annotations

from dataclasses import dataclass

from svmixer.config import ConfigError, parse_args
from svmixer.log import fail, get_logger

log = get_logger(__name__)


@dataclass(frozen=True)
class ExportConfig:
    """Options of the export."""

    model: str  # model directory or name
    output_dir: str  # where the copy goes


def main(argv: list[str] | None = None) -> None:
    """Load, write, load again; the two must hold the same tensors."""
    config = parse_args(ExportConfig, argv, __doc__)
    import torch

    from svmixer.models.io import ModelError, load_model, read_speakers, save_model

    try:
        model = load_model(config.model)
        save_model(model, config.output_dir, read_speakers(config.model))
        again = load_model(config.output_dir)
    except (ModelError, ConfigError, OSError) as error:
        raise fail(str(error)) from None
    for name, value in model.state_dict().items():
        if not torch.equal(value, again.state_dict()[name]):
            raise fail(f"{config.output_dir}: {name} does not read back as it was written")
    log.info("%s: %s parameters", config.output_dir, f"{sum(p.numel() for p in model.parameters()):,}")


if __name__ == "__main__":
    main()
