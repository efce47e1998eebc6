"""The verbs that make a model, or tensors to start from, of another program's checkpoint."""

from __future__ import annotations

from dataclasses import dataclass

from svmixer.config import parse_args
from svmixer.log import get_logger
from svmixer.models.config import RedimnetName

logger = get_logger(__name__)


@dataclass(frozen=True)
class ConvertReleasedConfig:
    """Options of the conversion."""

    # The file …_student_model.pt.
    student: str
    # The file …_classifier.pt.
    classifier: str
    # Model directory to write.
    output: str


def released(argv: list[str] | None = None) -> None:
    """Turn a released pair of PyTorch files (student and classifier) into a model directory.

    Example:
        svmixer convert_released --student student_model.pt --classifier classifier.pt --output exp/released
    """
    config = parse_args(ConvertReleasedConfig, argv, released.__doc__)
    from svmixer.models.io import save_model
    from svmixer.models.released import load_released

    model = load_released(config.student, config.classifier)
    save_model(model, config.output)
    counts = {"student": model.student, "backend": model.backend}
    for name, part in counts.items():
        logger.info("%s: %s parameters", name, f"{sum(p.numel() for p in part.parameters()):,}")
    logger.info("%s: a model of %d layers", config.output, model.config.student.layers)


@dataclass(frozen=True)
class ConvertRedimnetConfig:
    """Options of the conversion."""

    # The checkpoint, such as b2-vox2-ft_lm.pt.
    checkpoint: str
    # Safetensors file to write; a training starts from it by init_param.
    output: str
    # Size of the checkpoint's network.
    size: RedimnetName = "b2"


def redimnet(argv: list[str] | None = None) -> None:
    """Turn a released ReDimNet checkpoint into tensors that a backend of that size can start from.

    Example:
        svmixer convert_redimnet --checkpoint b2-vox2-ft_lm.pt --output redimnet_b2.safetensors
    """
    config = parse_args(ConvertRedimnetConfig, argv, redimnet.__doc__)
    from svmixer.models.io import save_tensors
    from svmixer.models.released import load_released_redimnet

    network = load_released_redimnet(config.checkpoint, config.size)
    # The names that they have in a speaker model.
    tensors = {f"backend.network.{key}": value for key, value in network.state_dict().items()}
    save_tensors(tensors, config.output)
    count = sum(parameter.numel() for parameter in network.parameters())
    logger.info("%s: %s parameters", config.output, f"{count:,}")


@dataclass(frozen=True)
class ConvertEspnetConfig:
    """Options of ``svmixer convert_espnet``."""

    train_config: str  # config.yaml that ESPnet wrote beside the checkpoints
    checkpoint: str  # parameters, e.g. valid.eer.best.pth
    output_dir: str  # the model directory to write


def espnet(argv: list[str] | None = None) -> None:
    """Make a model directory of a model that ESPnet trained with frontend ``svmixer``.

    Example:
        svmixer convert_espnet --train_config exp/spk/config.yaml --checkpoint exp/spk/valid.eer.best.pth \\
            --output_dir exp/from_espnet
    """
    config = parse_args(ConvertEspnetConfig, argv, espnet.__doc__)
    from svmixer.espnet.convert import speaker_model
    from svmixer.models.io import save_model

    model = speaker_model(config.train_config, config.checkpoint)
    save_model(model, config.output_dir)
    logger.info("%s: %s parameters", config.output_dir, f"{sum(p.numel() for p in model.parameters()):,}")
