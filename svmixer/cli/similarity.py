"""How alike recordings are, each with each: svmixer similarity FILE_OR_DIR... [--output MATRIX.csv|.npz|.png]

Of a directory every audio file under it is taken. The matrix has cosines of embeddings; with --ratio true
log-likelihood ratios, of a model that is calibrated: above 0 one speaker is likelier than two. Without
--output the matrix is printed, of 20 recordings at most.

    svmixer similarity recordings --output matrix.csv
    svmixer similarity a.wav b.mp3 c.flac --ratio

Recordings that cannot be used are named and left out, and the exit status is 1 then.
"""

from __future__ import annotations

import csv
import json
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

import numpy as np

from svmixer.cli.options import ModelOptions
from svmixer.config import parse_args
from svmixer.errors import SvmixerError, UsageError
from svmixer.fileio import atomic_write
from svmixer.log import get_logger

if TYPE_CHECKING:
    from svmixer.inference.calibration import Calibration
    from svmixer.scoring.similarity import Measured

logger = get_logger(__name__)

FORMATS = (".csv", ".npz", ".png")
# More columns fit no terminal.
MOST_PRINTED = 20
COSINE, RATIO = "cosine", "log-likelihood ratio"


@dataclass(frozen=True)
class SimilarityConfig(ModelOptions):
    """Options of ``svmixer similarity``."""

    # .csv: names in the first row and column; .npz: names and matrix; .png: a heat map (extra torch).
    output: str = ""
    # true: log-likelihood ratios in place of cosines; the model must be calibrated.
    ratio: bool = False
    # true: print an object with names, matrix, failures and more; with --output the matrix is there alone.
    json: bool = False

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.output and Path(self.output).suffix not in FORMATS:
            raise ValueError(f"output: '{self.output}' ends with none of {', '.join(FORMATS)}")


def main(argv: list[str] | None = None) -> None:
    """Embed, compare and write or print; recordings that cannot be used are named, and the status is 1."""
    config = parse_args(SimilarityConfig, argv, __doc__)
    files = find_files(config)
    if config.output.endswith(".png"):
        # Before thousands are embedded: matplotlib may be missing.
        import svmixer.report.heat_map  # noqa: F401
    from svmixer.scoring.embedder import load_embedder
    from svmixer.scoring.similarity import cosine_matrix, embed_measured, ratio_matrix

    embedder = load_embedder(config.model, config.runtime, config.precision)
    calibration = embedder.calibration if config.ratio else None
    if config.ratio and calibration is None:
        raise SvmixerError(f"{config.model} has no calibration: ratio needs one (svmixer calibrate)")
    found = embed_measured(embedder, files, config.channel)
    for name, why in found.failures.items():
        logger.warning("left out: %s", why if why.startswith(str(files[name])) else f"{files[name]}: {why}")
    if len(found.names) < 2:
        raise SvmixerError(f"{len(found.names)} of {len(files)} recordings can be used; two are compared")
    if calibration is None:
        matrix = cosine_matrix(found.vectors)
    else:
        matrix = ratio_matrix(calibration, found.vectors, found.qualities)
        warn_outside(calibration, found)
    show(config, found, matrix)
    if found.failures:
        sys.stdout.flush()
        raise SystemExit(1)


def find_files(config: SimilarityConfig) -> dict[str, str | Path]:
    """Name → audio file; of a single directory by paths below it, else by the paths as they were given.

    Raises:
        UsageError: fewer than two recordings, or more than can be printed.
        DirectoryError: see :func:`svmixer.scoring.directories.find_audio`.
    """
    from svmixer.scoring.directories import find_audio

    files: dict[str, str | Path] = {}
    for name in config.files:
        if not Path(name).is_dir():
            files[name] = name
            continue
        found = find_audio(Path(name))
        if found.unreadable:
            place, why = next(iter(found.unreadable.items()))
            raise SvmixerError(f"{place}: {why}")
        alone = len(config.files) == 1
        files |= {below if alone else str(path): path for below, path in found.files.items()}
    if len(files) < 2:
        if len(config.files) == 1 and not Path(config.files[0]).exists():
            raise SvmixerError(f"{config.files[0]}: no such folder or file")
        raise UsageError(f"two recordings or more are compared, found {len(files)}: svmixer similarity DIR")
    if len(files) > MOST_PRINTED and not config.output and not config.json:
        raise UsageError(f"{len(files)} recordings: name a file with --output MATRIX.csv, or take --json")
    return files


def warn_outside(calibration: Calibration, found: Measured) -> None:
    """Name recordings that the calibration says nothing about."""
    from svmixer.inference.calibration import is_telephone

    for name, quality in zip(found.names, found.qualities, strict=True):
        doubts = calibration.limits.doubts(quality)
        if is_telephone(quality) and not calibration.map_for(1)[1]:
            doubts.append("telephone band, which this model is not calibrated for")
        if doubts:
            logger.warning("uncertain: %s: %s", name, "; ".join(doubts))


def show(config: SimilarityConfig, found: Measured, matrix: np.ndarray) -> None:
    """Write the matrix, or print it."""
    what = RATIO if config.ratio else COSINE
    if config.output:
        write(config.output, found.names, matrix, what)
    if config.json:
        about: dict[str, Any] = {"kind": what, "model": config.model, "names": found.names}
        about |= (
            {"output": config.output} if config.output else {"matrix": matrix.astype(float).round(4).tolist()}
        )
        print(json.dumps(about | {"failures": found.failures}))
    elif not config.output:
        print("\n".join(table(found.names, matrix)))


def write(output: str, names: list[str], matrix: np.ndarray, what: str) -> None:
    """Store the matrix in the format of the file's ending."""
    if output.endswith(".png"):
        from svmixer.report.heat_map import plot_matrix

        plot_matrix(names, matrix, what, output)
    elif output.endswith(".npz"):
        with atomic_write(output, "wb") as stream:
            np.savez(stream, names=np.array(names), matrix=matrix)
    else:
        with atomic_write(output) as stream:
            write_csv(stream, names, matrix)


def write_csv(stream: IO[str], names: list[str], matrix: np.ndarray) -> None:
    """A row of names, then a name and its values in each row."""
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow(["", *names])
    for name, row in zip(names, matrix, strict=True):
        writer.writerow([name, *(f"{value:.4f}" for value in row)])


def table(names: list[str], matrix: np.ndarray) -> Iterator[str]:
    """Lines of text; columns have numbers, which stand in front of the names."""
    width = max(map(len, names))
    yield f"{'':{width + 4}}" + "".join(f"{number:8}" for number in range(1, len(names) + 1))
    for number, (name, row) in enumerate(zip(names, matrix, strict=True), 1):
        yield f"{number:2}. {name:{width}}" + "".join(f"{value:8.3f}" for value in row)
