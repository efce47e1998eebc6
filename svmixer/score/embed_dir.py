"""Embeddings of every audio file under a directory: one ``.npy`` a file, resumable, failures listed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from svmixer.fileio import atomic_write, read_json, write_json
from svmixer.lists import write_table
from svmixer.log import get_logger, one_line
from svmixer.progress import Progress
from svmixer.score.embeddings import write_vectors

logger = get_logger(__name__)

# Endings of files that hold audio; others are passed over.
AUDIO_SUFFIXES = {
    ".aac", ".aif", ".aiff", ".amr", ".au", ".flac", ".g722", ".gsm", ".m4a", ".mka", ".mp3", ".mp4", ".oga",
    ".ogg", ".opus", ".sph", ".wav", ".webm", ".wma", ".wv1", ".wv2",
}  # fmt: skip
SETTINGS, FAILURES = "settings.json", "failures.tsv"


class DirectoryError(ValueError):
    """A directory that cannot be embedded as asked; the message names the files."""


@dataclass(frozen=True)
class Outcome:
    """What :func:`embed_directory` did, in files."""

    # Embedded now, found embedded already, failed.
    written: int
    found: int
    failures: dict[str, str]


def find_audio(root: Path) -> dict[str, Path]:
    """Relative path without its ending → file, for every audio file under ``root``, sorted.

    Raises:
        DirectoryError: no such directory, no audio in it, or two files that differ in their endings alone and
            so would share a name.
    """
    if not root.is_dir():
        raise DirectoryError(f"{root}: no such directory")
    found: dict[str, Path] = {}
    for path in sorted(root.rglob("*")):
        if path.suffix.lower() not in AUDIO_SUFFIXES or not path.is_file():
            continue
        name = str(path.relative_to(root).with_suffix(""))
        if name in found:
            raise DirectoryError(f"{found[name]} and {path} would both be called {name}.npy")
        found[name] = path
    if not found:
        raise DirectoryError(f"{root}: no audio files ({' '.join(sorted(AUDIO_SUFFIXES))})")
    return found


def embed_directory(
    files: dict[str, Path], output: Path, embed: Callable[[Path], np.ndarray], settings: dict[str, Any]
) -> Outcome:
    """Write ``output/NAME.npy`` for every file that has none yet, one waveform in memory at a time.

    Args:
        files: name → audio file, from :func:`find_audio`.
        output: directory of the results; ``failures.tsv`` in it lists the files without one, and why.
        embed: audio file → embedding ``float32 (D,)``; a ValueError or OSError is a failure of that file
            alone.
        settings: what the embeddings depend on; results of other settings are never mixed.

    Raises:
        DirectoryError: ``output`` holds results of other settings.
    """
    path = output / SETTINGS
    if path.is_file() and (other := read_json(path)) != settings:
        changed = sorted(key for key in settings.keys() | other.keys() if settings.get(key) != other.get(key))
        raise DirectoryError(
            f"{output} holds embeddings made otherwise ({', '.join(changed)}); name another one"
        )
    write_json(path, settings)
    failures: dict[str, str] = {}
    written = found = 0
    progress = Progress(logger, len(files), "files")
    for number, (name, source) in enumerate(files.items(), 1):
        target = output / f"{name}.npy"
        if target.is_file():
            found += 1
        else:
            try:
                vector = embed(source)
            except (ValueError, OSError) as error:
                failures[str(source)] = str(error)
            else:
                with atomic_write(target, "wb") as stream:
                    np.save(stream, vector)
                written += 1
        progress.update(number, found)
    with atomic_write(output / FAILURES) as stream:
        stream.writelines(f"{one_line(source)}\t{one_line(reason)}\n" for source, reason in failures.items())
    return Outcome(written, found, failures)


def write_kaldi(names: list[str], output: Path) -> None:
    """Join ``output/NAME.npy`` into ``embeddings.ark`` and ``embeddings.scp`` with the names as keys.

    Raises:
        DirectoryError: a name has white space, which a Kaldi key cannot have.
    """
    spaced = [name for name in names if any(map(str.isspace, name))]
    if spaced:
        raise DirectoryError(f"'{spaced[0]}': a key of a Kaldi file has no spaces; leave --kaldi out")
    vectors = ((name, np.load(output / f"{name}.npy", allow_pickle=False)) for name in names)
    write_table(output / "embeddings.scp", write_vectors(output / "embeddings.ark", vectors))
