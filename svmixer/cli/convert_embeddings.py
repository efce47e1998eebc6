"""Embeddings from one form into another: svmixer convert_embeddings IN OUT

Forms by ending: .scp or .ark (Kaldi vectors; both are written), .txt (a text archive of Kaldi's), .npz (an
array a name), and a folder of .npy files, named by their paths. Names, order and values stay; numbers are
float32. IN may also be an .npy: one embedding, or rows whose names --names gives.

    svmixer convert_embeddings xvector.scp embeddings.npz
"""

from __future__ import annotations

from dataclasses import dataclass

from svmixer.config import parse_args
from svmixer.errors import UsageError


@dataclass(frozen=True)
class ConvertEmbeddingsConfig:
    """Options of ``svmixer convert_embeddings``."""

    # What is read and what is written; the name of this option may be left out.
    files: tuple[str, ...] = ()
    # List with a name a line, for the rows of an .npy.
    names: str = ""


def main(argv: list[str] | None = None) -> None:
    """Convert; what cannot be read or named ends with one line and status 1, and nothing is written."""
    config = parse_args(ConvertEmbeddingsConfig, argv, __doc__)
    if len(config.files) != 2:
        raise UsageError(
            f"IN and OUT are needed, found {len(config.files)}: svmixer convert_embeddings IN OUT"
        )
    from svmixer.scoring.interchange import read_named, write_named

    source, target = config.files
    write_named(target, read_named(source, config.names))
