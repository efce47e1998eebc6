"""Where a model lies: a directory, or a name of one that comes with the package. Needs no torch."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from svmixer.errors import SvmixerError

ASSETS = Path(__file__).resolve().parents[1] / "assets"
# What an export, and so every model that comes with the package, has, and a teacher has not.
DESCRIPTION = "export.json"
# The model that verify and enrol take when none is named.
DEFAULT_MODEL = "pocket"


class ModelError(SvmixerError):
    """A model directory that cannot be read; the message names the file and what is wrong."""


def find_directory(
    path_or_name: str | Path, kind: str, files: Sequence[str] = ("config.yaml", "model.safetensors")
) -> Path:
    """The directory of that path, or of that name among those that come with the package.

    Args:
        path_or_name: a directory, or a name.
        kind: what it should be: ``model``, ``export`` or ``teacher``.
        files: what it must have.

    Raises:
        ModelError: there is none, or it lacks one of ``files``.
    """
    for directory in (Path(path_or_name), ASSETS / path_or_name):
        if directory.is_dir():
            for name in files:
                if not (directory / name).is_file():
                    raise ModelError(f"{directory}: no {kind} directory: {name} is missing")
            return directory
    shipped = sorted(
        path.name
        for path in ASSETS.iterdir()
        if (path / DESCRIPTION).is_file() == (kind != "teacher")
        and all((path / name).is_file() for name in files)
    )
    names = f" (names: {', '.join(shipped)})" if shipped else ""
    raise ModelError(f"{path_or_name}: no such {kind} directory{names}")
