"""Embeddings of every audio file under a directory: one ``.npy`` a file, resumable, failures listed."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from svmixer.audio.formats import AUDIO_SUFFIXES
from svmixer.fileio import atomic_write, read_json, write_json
from svmixer.lists import write_table
from svmixer.log import get_logger, one_line
from svmixer.models.utterance import Source
from svmixer.progress import Progress
from svmixer.score.embeddings import write_vectors

logger = get_logger(__name__)

SETTINGS, FAILURES = "settings.json", "failures.tsv"

OpenSource = Callable[[str, str | Path], Source]


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


def readable(
    files: Mapping[str, str | Path], open_source: OpenSource, failures: dict[str, str]
) -> Iterator[Source]:
    """The utterances in ``files``, one after the other; those that fail are put down in ``failures``.

    A file that fails when it is opened is left out. One that fails later is silent from there on, as its
    windows share a batch with those of other files: its embedding is to be thrown away.

    Args:
        files: name → audio file.
        open_source: (name, audio file) → utterance; a ValueError or OSError, also of its ``read``, is a
            failure of that file alone.
        failures: file → why; filled as the utterances are read.
    """
    for name, path in files.items():
        try:
            source = open_source(name, path)
        except (ValueError, OSError) as error:
            failures[str(path)] = str(error)
        else:
            yield replace(source, read=partial(_read, source, str(path), failures))


def _read(source: Source, path: str, failures: dict[str, str], first: int, count: int) -> np.ndarray:
    if path not in failures:
        try:
            return source.samples(first, count)
        except (ValueError, OSError) as error:
            failures[path] = str(error)
    return np.zeros(count, np.float32)


def embed_directory(
    files: dict[str, Path],
    output: Path,
    open_source: OpenSource,
    embed: Callable[[Iterable[Source]], Iterator[tuple[str, np.ndarray]]],
    settings: dict[str, Any],
) -> Outcome:
    """Write ``output/NAME.npy`` for every file that has none yet.

    Args:
        files: name → audio file, from :func:`find_audio`.
        output: directory of the results; ``failures.tsv`` in it lists the files without one, and why.
        open_source: see :func:`readable`.
        embed: utterances → (name, embedding ``float32 (D,)``) in the same order, as
            :func:`svmixer.models.utterance.embed_utterances`.
        settings: what the embeddings depend on; results of other settings are never mixed.

    Raises:
        DirectoryError: ``output`` holds results of other settings.
    """
    _claim(output, settings)
    missing = {name: path for name, path in files.items() if not (output / f"{name}.npy").is_file()}
    found, written = len(files) - len(missing), 0
    failures: dict[str, str] = {}
    progress = Progress(logger, len(files), "files")
    progress.update(found, found)
    for name, vector in embed(readable(missing, open_source, failures)):
        if str(files[name]) not in failures:
            with atomic_write(output / f"{name}.npy", "wb") as stream:
                np.save(stream, vector)
            written += 1
        progress.update(found + written + len(failures), found)
    with atomic_write(output / FAILURES) as stream:
        stream.writelines(f"{one_line(source)}\t{one_line(reason)}\n" for source, reason in failures.items())
    return Outcome(written, found, failures)


def _claim(output: Path, settings: dict[str, Any]) -> None:
    path = output / SETTINGS
    if path.is_file() and (other := read_json(path)) != settings:
        changed = sorted(key for key in settings.keys() | other.keys() if settings.get(key) != other.get(key))
        raise DirectoryError(
            f"{output} holds embeddings made otherwise ({', '.join(changed)}); name another one"
        )
    write_json(path, settings)


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
