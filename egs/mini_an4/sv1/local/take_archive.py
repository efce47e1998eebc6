"""The corpus's archive out of an ESPnet: the installed one, or a wheel that was only downloaded."""

from __future__ import annotations

import importlib.metadata
import shutil
import sys
import zipfile
from dataclasses import dataclass
from pathlib import Path

from svmixer.config import parse_args
from svmixer.fileio import atomic_write

# Where ESPnet keeps the archive, since 202611.
_MEMBER = "egs3/mini_an4/esp2_asr/downloads.tar.gz"
# Exit status that says: this ESPnet is sound but does not have it.
_ABSENT = 3


@dataclass(frozen=True)
class TakeConfig:
    """Options of the script."""

    # File that receives the archive.
    output: str
    # Wheel to take it out of; empty: the installed ESPnet.
    wheel: str = ""


class NoArchive(Exception):
    """An ESPnet that does not have the archive; the message names it."""


def take_installed(output: Path) -> None:
    """Copy the archive of the installed ESPnet to ``output``.

    Raises:
        NoArchive: there is no ESPnet, or one without the archive.
    """
    try:
        espnet = importlib.metadata.distribution("espnet")
    except importlib.metadata.PackageNotFoundError:
        raise NoArchive("espnet is not installed") from None
    source = Path(espnet.locate_file(_MEMBER))
    if not source.is_file():
        raise NoArchive(f"the installed espnet {espnet.version} does not have the corpus")
    with atomic_write(output, "wb") as target, open(source, "rb") as stream:
        shutil.copyfileobj(stream, target)


def take_from_wheel(wheel: Path, output: Path) -> None:
    """Copy the archive inside ``wheel`` to ``output``.

    Raises:
        NoArchive: the wheel cannot be read, or does not have the archive.
    """
    try:
        with zipfile.ZipFile(wheel) as archive:
            content = archive.read(_MEMBER)
    except KeyError:
        raise NoArchive(f"{wheel} does not have {_MEMBER}") from None
    except zipfile.BadZipFile as error:
        raise NoArchive(f"{wheel} cannot be read: {error}") from None
    with atomic_write(output, "wb") as target:
        target.write(content)


def main() -> None:
    config = parse_args(TakeConfig, description=__doc__)
    output = Path(config.output)
    try:
        if config.wheel:
            take_from_wheel(Path(config.wheel), output)
        else:
            take_installed(output)
    except NoArchive as error:
        # The caller looks elsewhere: no error yet.
        print(error, file=sys.stderr)
        raise SystemExit(_ABSENT) from None
    print(f"{output}: from {config.wheel or 'the installed espnet'}")


if __name__ == "__main__":
    main()
