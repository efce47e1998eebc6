"""``svmixer push`` and ``svmixer pull``: exports to the Hugging Face hub and from it."""

from __future__ import annotations

import json
import shutil
from dataclasses import dataclass
from pathlib import Path

from svmixer.config import parse_args
from svmixer.errors import UsageError
from svmixer.fileio import SUMS, wrong_files
from svmixer.inference.calibration import COHORT
from svmixer.inference.embedding_model import DESCRIPTION, ModelError, find_directory
from svmixer.log import get_logger

logger = get_logger(__name__)

CARD = "README.md"
# What an export has of the people whom it was trained with.
PERSONAL = {
    "speakers.txt": "the names of the training speakers",
    COHORT: "embeddings of training speech, which are personal data",
}


@dataclass(frozen=True)
class PushConfig:
    """Options of ``svmixer push``."""

    # Export directory, or the name of a model that comes with the package, and USER/NAME or
    # USER/NAME@BRANCH; the name of this option may be left out.
    files: tuple[str, ...] = ()
    # true: a model that is made for it is seen by you alone.
    private: bool = False
    # File with a token that may write, in place of HF_TOKEN and that of `hf auth login`.
    token_file: str = ""
    # true: print a JSON object with the address.
    json: bool = False


@dataclass(frozen=True)
class PullConfig:
    """Options of ``svmixer pull``."""

    # USER/NAME or USER/NAME@REVISION; the name of this option may be left out.
    files: tuple[str, ...] = ()
    # New directory for a copy of its own; without it the model stays in the hub's cache.
    output_dir: str = ""
    # File with a token, for private models, in place of HF_TOKEN and that of `hf auth login`.
    token_file: str = ""
    # true: print a JSON object with the directory.
    json: bool = False


def push(argv: list[str] | None = None) -> None:
    """Send an export to the Hugging Face hub: svmixer push EXPORT USER/NAME

    Its files are checked first; weights, graphs, description, calibration, card and the names of the training
    speakers are sent, nothing else.

        svmixer push exp/voices_compact/export USER/NAME --private
    """
    config = parse_args(PushConfig, argv, push.__doc__)
    if len(config.files) != 2:
        raise UsageError(
            f"EXPORT and USER/NAME are needed, found {len(config.files)}: svmixer push EXPORT USER/NAME"
        )
    from svmixer.inference.hub import read_token, upload

    directory = find_directory(config.files[0], "export", (DESCRIPTION, CARD))
    check_export(directory)
    if not (directory / CARD).read_text(encoding="utf-8").startswith("---\n"):
        logger.warning(
            "%s: a card of an older version, without licence and tags for the hub", directory / CARD
        )
    for name, what in PERSONAL.items():
        if (directory / name).is_file():
            logger.warning("%s is sent, too: %s", directory / name, what)
    address = upload(directory, config.files[1], config.private, read_token(config.token_file))
    print(json.dumps({"url": address}) if config.json else address)


def pull(argv: list[str] | None = None) -> None:
    """Fetch an export from the Hugging Face hub and check it: svmixer pull USER/NAME [--output_dir DIR]

    Prints its directory. Without --output_dir it stays in the hub's cache, where --model hf:USER/NAME
    finds it.

        svmixer pull USER/NAME --output_dir models/name
    """
    config = parse_args(PullConfig, argv, pull.__doc__)
    if len(config.files) != 1:
        raise UsageError(f"one USER/NAME is needed, found {len(config.files)}: svmixer pull USER/NAME")
    from svmixer.inference.hub import download, read_token

    target = Path(config.output_dir) if config.output_dir else None
    if target and target.exists():
        raise ModelError(f"{target} is there already; name a new directory")
    directory = download(config.files[0], read_token(config.token_file))
    check_export(directory)
    if target:
        # Whole or not at all. The cache has links.
        copy = target.with_name(f".{target.name}.tmp")
        shutil.rmtree(copy, ignore_errors=True)
        shutil.copytree(directory, copy)
        copy.rename(target)
    found = str(target or directory)
    print(json.dumps({"directory": found}) if config.json else found)


def check_export(directory: Path) -> None:
    """Read an export as it will be used, and compare it with the sums in it, if it has some.

    Raises:
        ModelError: damaged, incomplete, or a file is not the one of the sums.
    """
    from svmixer.scoring.embedder import load_embedder

    find_directory(directory, "export", (DESCRIPTION, "config.yaml", "model.safetensors"))
    load_embedder(str(directory))
    wrong = wrong_files(directory)
    if wrong:
        path = directory / Path(wrong[0]).name
        raise ModelError(f"{path}: missing, or not the file whose sum is in {directory / SUMS}")
