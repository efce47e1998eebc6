"""Turn a released pair of PyTorch files (student and classifier) into a model directory."""

from __future__ import annotations

from dataclasses import dataclass

from svmixer.config import parse_args
from svmixer.log import get_logger

logger = get_logger(__name__)


@dataclass(frozen=True)
class ConvertConfig:
    """Options of the conversion."""

    # The file …_student_model.pt.
    student: str
    # The file …_classifier.pt.
    classifier: str
    # Model directory to write.
    output: str


def main(argv: list[str] | None = None) -> None:
    """Convert; a file that does not fit ends with one line that names the tensors, and status 1."""
    config = parse_args(ConvertConfig, argv, __doc__)
    from svmixer.models.io import save_model
    from svmixer.models.released import load_released

    model = load_released(config.student, config.classifier)
    save_model(model, config.output)
    counts = {"student": model.student, "backend": model.backend}
    for name, part in counts.items():
        logger.info("%s: %s parameters", name, f"{sum(p.numel() for p in part.parameters()):,}")
    logger.info("%s: a model of %d layers", config.output, model.config.student.layers)
