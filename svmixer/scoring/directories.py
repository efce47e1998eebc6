"""Embeddings of every audio file under a directory: one ``.npy`` a file, resumable, failures listed."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from svmixer.audio.formats import AUDIO_SUFFIXES
from svmixer.errors import SvmixerError
from svmixer.fileio import atomic_write, read_json, write_json
from svmixer.inference.utterance import Source
from svmixer.log import Progress, get_logger, one_line
from svmixer.scoring.interchange import write_archive
from svmixer.scoring.source_log import SourceLog

logger = get_logger(__name__)

SETTINGS, FAILURES, IGNORED = "settings.json", "failures.tsv", "ignored.tsv"

OpenSource = Callable[[str, str | Path], Source]


class DirectoryError(SvmixerError):
    """A directory that cannot be embedded as asked; the message names the files."""


@dataclass(frozen=True)
class Outcome:
    """What :func:`embed_directory` did, in files."""

    # Embedded now, found embedded already, failed.
    written: int
    found: int
    failures: dict[str, str]


@dataclass(frozen=True)
class Found:
    """Every file under a directory, each in one of three places."""

    # Relative path without its ending → audio file.
    files: dict[str, Path]
    # File or folder that should be read but cannot be → why.
    unreadable: dict[str, str]
    # Path → why it is left out.
    ignored: dict[str, str]


def find_audio(root: Path, output: Path | None = None) -> Found:
    """Every file under ``root``, sorted; links are followed.

    Args:
        root: the directory.
        output: a folder that is not looked into, for the results may go below ``root``.

    Raises:
        DirectoryError: no such directory, no audio in it, or two files that differ in their endings alone and
            so would share a name.
    """
    if not root.is_dir():
        raise DirectoryError(f"{root}: no such directory")
    found = Found({}, {}, {})
    for path in sorted(_walk(root, output, found)):
        if path.suffix.lower() not in AUDIO_SUFFIXES:
            found.ignored[str(path)] = f"no audio file by its ending '{path.suffix}'"
        elif path.is_symlink() and not path.exists():
            found.unreadable[str(path)] = f"missing file: a link to {os.readlink(path)}, which is not there"
        elif not path.is_file():
            found.ignored[str(path)] = "not a regular file"
        else:
            name = str(path.relative_to(root).with_suffix(""))
            if name in found.files:
                raise DirectoryError(f"{found.files[name]} and {path} would both be called {name}.npy")
            found.files[name] = path
    if not found.files and not found.unreadable:
        raise DirectoryError(f"{root}: no audio files ({' '.join(sorted(AUDIO_SUFFIXES))})")
    return found


def _walk(root: Path, output: Path | None, found: Found) -> Iterator[Path]:
    """Everything under ``root`` that is no folder; what leads back to a folder above itself is ignored."""

    def refused(error: OSError) -> None:
        found.unreadable[str(error.filename)] = f"unreadable: {error.strerror}"

    above = {str(root): {os.path.realpath(root)}}
    left_out = output and os.path.realpath(output)
    for folder, folders, names in os.walk(root, followlinks=True, onerror=refused):
        parents = above.pop(folder)
        for name in list(folders):
            path = os.path.join(folder, name)
            real = os.path.realpath(path)
            if real in parents:
                found.ignored[path] = "a link to a folder that it is in"
            if real in parents or real == left_out:
                folders.remove(name)
            else:
                above[path] = parents | {real}
        yield from (Path(folder, name) for name in names)


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
            parts = source, str(path), failures
            yield replace(source, read=partial(_read, *parts), finish=partial(_finish, *parts))


def _read(source: Source, path: str, failures: dict[str, str], first: int, count: int) -> np.ndarray:
    if path not in failures:
        try:
            return source.samples(first, count)
        except (ValueError, OSError) as error:
            failures[path] = str(error)
    return np.zeros(count, np.float32)


def _finish(source: Source, path: str, failures: dict[str, str]) -> None:
    if path not in failures:
        try:
            source.finish()
        except (ValueError, OSError) as error:
            failures[path] = str(error)


def embed_directory(
    found: Found,
    output: Path,
    open_source: OpenSource,
    embed: Callable[[Iterable[Source]], Iterator[tuple[str, np.ndarray]]],
    settings: dict[str, Any],
) -> Outcome:
    """Write ``output/NAME.npy`` for every file that has none yet, or has changed since it was embedded.

    Args:
        found: from :func:`find_audio`.
        output: directory of the results; ``failures.tsv`` in it lists the files without one, and why,
            ``ignored.tsv`` those that were left out, ``sources.tsv`` what each was made from.
        open_source: see :func:`readable`.
        embed: utterances → (name, embedding ``float32 (D,)``) in the same order, as
            :func:`svmixer.inference.utterance.embed_utterances`.
        settings: what the embeddings depend on; results of other settings are never mixed.

    Raises:
        DirectoryError: ``output`` holds results of other settings.
    """
    files, failures = found.files, dict(found.unreadable)
    _claim(output, settings)
    with SourceLog(output) as sources:
        missing = {name: path for name, path in files.items() if not sources.holds(name, path)}
        present, written = len(files) - len(missing), 0
        progress = Progress(logger, len(files) + len(found.unreadable), "files")
        progress.update(present, present)
        marked = {}

        def open_marked(name: str, path: str | Path) -> Source:
            # Before it is read: what is replaced meanwhile is another recording.
            marked[name] = sources.mark(path)
            return open_source(name, path)

        for name, vector in embed(readable(missing, open_marked, failures)):
            mark = marked.pop(name)
            if str(files[name]) not in failures:
                with atomic_write(output / f"{name}.npy", "wb") as stream:
                    np.save(stream, vector)
                sources.note(name, mark)
                written += 1
            progress.update(present + written + len(failures), present)
    gone = [name for name in sources.names() - files.keys() if (output / f"{name}.npy").is_file()]
    if gone:
        logger.warning(
            "%s: %d embeddings are of recordings that are gone, as %s.npy", output, len(gone), min(gone)
        )
    for table, rows in ((FAILURES, failures), (IGNORED, found.ignored)):
        with atomic_write(output / table) as stream:
            stream.writelines(f"{one_line(path)}\t{one_line(reason)}\n" for path, reason in rows.items())
    # An embedding of what the recording was before is none of what it is now.
    for name, path in missing.items():
        if str(path) in failures:
            (output / f"{name}.npy").unlink(missing_ok=True)
    if found.ignored:
        logger.info("%d files are ignored: %s", len(found.ignored), output / IGNORED)
    return Outcome(written, present, failures)


def _claim(output: Path, settings: dict[str, Any]) -> None:
    path = output / SETTINGS
    if output.exists() and not output.is_dir():
        raise DirectoryError(f"{output}: not a directory")
    try:
        other = read_json(path) if path.is_file() else settings
    except ValueError:
        other = None
    if not isinstance(other, dict):
        raise DirectoryError(f"{path}: damaged, so nobody knows what {output} holds; name another one")
    if other != settings:
        changed = sorted(key for key in settings.keys() | other.keys() if settings.get(key) != other.get(key))
        raise DirectoryError(
            f"{output} holds embeddings made otherwise ({', '.join(changed)}); name another one"
        )
    write_json(path, settings)


def check_keys(names: Iterable[str]) -> None:
    """Refuse names that cannot be keys of a Kaldi file.

    Raises:
        DirectoryError: a name has white space.
    """
    spaced = [name for name in names if any(map(str.isspace, name))]
    if spaced:
        raise DirectoryError(f"'{spaced[0]}': a key of a Kaldi file has no spaces; leave --kaldi out")


def write_kaldi(names: list[str], output: Path) -> None:
    """Join ``output/NAME.npy`` into ``embeddings.ark`` and ``embeddings.scp`` with the names as keys."""
    vectors = ((name, np.load(output / f"{name}.npy", allow_pickle=False)) for name in names)
    write_archive(output / "embeddings.ark", vectors)
