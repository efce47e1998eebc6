"""Turn a released ReDimNet checkpoint into tensors that a backend of that size can start from."""

from __future__ import annotations

from dataclasses import dataclass

from svmixer.config import parse_args
from svmixer.log import get_logger
from svmixer.models.config import RedimnetName

logger = get_logger(__name__)


@dataclass(frozen=True)
class ConvertConfig:
    """Options of the conversion."""

    # The checkpoint, such as b2-vox2-ft_lm.pt.
    checkpoint: str
    # Safetensors file to write; a training starts from it by init_param.
    output: str
    # Size of the checkpoint's network.
    size: RedimnetName = "b2"


def main(argv: list[str] | None = None) -> None:
    """Convert; a file that does not fit ends with one line that names the tensors, and status 1."""
    config = parse_args(ConvertConfig, argv, __doc__)
    from svmixer.models.io import save_tensors
    from svmixer.models.released import load_released_redimnet

    network = load_released_redimnet(config.checkpoint, config.size)
    # The names that they have in a speaker model.
    tensors = {f"backend.network.{key}": value for key, value in network.state_dict().items()}
    save_tensors(tensors, config.output)
    count = sum(parameter.numel() for parameter in network.parameters())
    logger.info("%s: %s parameters", config.output, f"{count:,}")
