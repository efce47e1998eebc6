"""Copy an export into the package: svmixer package_model --export_dir DIR --name NAME

The model is known by that name afterwards. Takes the model directory and one ONNX graph, checks that they are
small enough, and writes SHA256SUMS, which `sha256sum --check` reads. For those who make releases.

    svmixer package_model --export_dir exp/pocket/export --name pocket
"""

from __future__ import annotations

import re
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from svmixer.config import parse_args
from svmixer.export.card import CARD, model_card, write_card
from svmixer.fileio import read_json, write_json, write_sums
from svmixer.inference.calibration import CALIBRATION, COHORT
from svmixer.inference.embedding_model import ASSETS, ModelError
from svmixer.inference.onnx_model import DESCRIPTION, FILES, read_description
from svmixer.limits import positive
from svmixer.log import get_logger

logger = get_logger(__name__)

WEIGHTS = "model.safetensors"
REPAIR = (
    "write the export again: stage 7 with --force true, or svmixer export --onnx true --model MODEL "
    "--output_dir {source} --test DUMP"
)


@dataclass(frozen=True)
class PackageConfig:
    """Options of ``svmixer package_model``."""

    export_dir: str  # what svmixer export --onnx true wrote
    name: str  # of the model: letters, digits, _ and -
    graph: Literal["int8", "float32"] = "int8"  # the one ONNX file that is taken
    max_megabytes: float = 8.0  # of each file, in millions of bytes
    assets_dir: str = str(ASSETS)  # where the package keeps its models
    force: bool = False  # replace a model of that name

    def __post_init__(self) -> None:
        positive(self, "max_megabytes")
        if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_-]*", self.name):
            raise ValueError(f"name: '{self.name}' is more than letters, digits, _ and -")


def main(argv: list[str] | None = None) -> None:
    """Copy, or say in one line why not."""
    config = parse_args(PackageConfig, argv, __doc__)
    package(config)


def package(config: PackageConfig) -> None:
    """Write ``assets_dir/name``.

    Raises:
        ModelError: the export is incomplete or its files too large, the graph was not exported, or the name
            is taken; nothing is written then.
    """
    source, target = Path(config.export_dir), Path(config.assets_dir) / config.name
    if target.resolve() == source.resolve():
        raise ModelError(f"{target}: the export itself cannot be the place of its copy")
    if target.exists() and not config.force:
        raise ModelError(f"{target} is there already; --force true replaces it")
    names = ["config.yaml", WEIGHTS, "speakers.txt", FILES[config.graph]]
    if (source / CALIBRATION).is_file():
        names += [CALIBRATION, COHORT]
    description, card = read_export(source, config, names)
    sizes = {name: (source / name).stat().st_size / 1e6 for name in names}
    for name, size in sizes.items():
        if size > config.max_megabytes:
            hint = "; svmixer export --weights float16 halves it" if name == WEIGHTS else ""
            raise ModelError(
                f"{source / name}: {size:.2f} MB, at most {config.max_megabytes:g} are wanted{hint}"
            )
    # Whole or not at all; the earlier one goes when the new one is in its place.
    copy = target.with_name(f".{target.name}.tmp")
    shutil.rmtree(copy, ignore_errors=True)
    copy.mkdir(parents=True)
    for name in names:
        shutil.copyfile(source / name, copy / name)
    write_json(copy / DESCRIPTION, description)
    write_card(copy / CARD, card)
    write_sums(copy, [*names, DESCRIPTION, CARD])
    earlier = target.with_name(f".{target.name}.earlier")
    shutil.rmtree(earlier, ignore_errors=True)
    if target.exists():
        target.rename(earlier)
    copy.rename(target)
    shutil.rmtree(earlier, ignore_errors=True)
    total = sum(path.stat().st_size for path in target.iterdir()) / 1e6
    logger.info(
        "%s: %.2f MB, of which %s", target, total, ", ".join(f"{n} {s:.2f}" for n, s in sizes.items())
    )


def read_export(source: Path, config: PackageConfig, names: list[str]) -> tuple[dict[str, Any], str]:
    """Description and card of the model as it is shipped, from an export that has the files ``names``.

    Raises:
        ModelError: the graph was not exported, or something is missing, as in the export of an older version;
            the message says what, and how to write the export again.
    """
    repair = REPAIR.format(source=source)
    try:
        precisions = read_description(source).precisions
    except ModelError as error:
        raise ModelError(f"{error}; {repair}") from None
    if config.graph not in precisions:
        raise ModelError(f"{source}: there is no {config.graph} graph in it")
    missing = [name for name in names if not (source / name).is_file()]
    if missing:
        raise ModelError(f"{source}: {', '.join(missing)} missing; {repair}")
    description = {**read_json(source / DESCRIPTION), "precisions": [config.graph]}
    try:
        calibration = read_json(source / CALIBRATION) if CALIBRATION in names else None
        return description, model_card(config.name, description, calibration)
    except ModelError as error:
        raise ModelError(f"{source / DESCRIPTION}: {error}; {repair}") from None
