"""Named embeddings in the forms that toolkits exchange: Kaldi archives, ``.npz``, folders of ``.npy``.

One embedding is held at a time, and the names of all.
"""

from __future__ import annotations

import shutil
import zipfile
import zlib
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path, PurePosixPath
from typing import IO

import numpy as np

from svmixer.errors import SvmixerError
from svmixer.fileio import atomic_write, printable
from svmixer.lists import is_id, iter_lines, iter_table, read_table, write_table
from svmixer.scoring.vectors import EmbeddingError, iter_vectors, read_vector, write_vectors

Named = Iterable[tuple[str, np.ndarray]]

READABLE, WRITABLE = (".scp", ".ark", ".txt", ".npz", ".npy"), (".scp", ".ark", ".txt", ".npz")
# Bytes at the start of an archive that tell binary from text, and the longest key.
_HEAD = 4096


def read_named(path: str, names: str = "") -> Iterator[tuple[str, np.ndarray]]:
    """(name, embedding ``float32 (D,)``) of each, in the order of the file.

    Args:
        path: a list ``.scp`` with its archives, an archive ``.ark`` (binary or text), a text archive
            ``.txt``, an ``.npz``, an ``.npy``, or a folder whose ``.npy`` files are named by their paths.
        names: list with a name a line for the rows of an ``.npy``; without it, it holds one embedding, called
            as the file.

    Raises:
        SvmixerError: another form, damaged, nothing in it, a name twice, or vectors that are not finite or
            not of one size; the file and the name or line are given.
        OSError: a file cannot be read.
    """
    kind = Path(path).suffix
    if names and kind != ".npy":
        raise EmbeddingError(f"{path}: has names of its own; --names is for the rows of an .npy")
    if Path(path).is_dir():
        found = _read_folder(Path(path))
    elif kind == ".scp":
        table = read_table(path)
        found = iter_vectors(table, table)
    elif kind in (".ark", ".txt"):
        found = _read_archive(path)
    elif kind == ".npz":
        found = _read_npz(path)
    elif kind == ".npy":
        found = _read_rows(path, names)
    else:
        raise EmbeddingError(f"{path}: no folder, and ends with none of {', '.join(READABLE)}")
    yield from _checked(path, found)


def write_named(path: str, vectors: Named) -> None:
    """Write (name, embedding ``(D,)``) pairs, whole or not at all, in the order given.

    Args:
        path: ``.scp`` or ``.ark``: a binary archive and the list beside it, which is sorted as Kaldi's are;
            ``.txt``: a text archive; ``.npz``; or a folder to make, for a file ``NAME.npy`` each.
        vectors: names and embeddings.

    Raises:
        SvmixerError: another form, a folder that has something in it, or a name that the form cannot have.
    """
    kind = Path(path).suffix
    if kind in (".scp", ".ark"):
        write_archive(Path(path).with_suffix(".ark"), vectors)
    elif kind == ".txt":
        with atomic_write(path) as stream:
            for name, vector in _with_keys(path, vectors):
                # Nine digits hold a float32.
                stream.write(f"{name}  [ {' '.join(f'{value:.9g}' for value in vector)} ]\n")
    elif kind == ".npz":
        write_npz(path, vectors)
    elif not kind:
        _write_folder(Path(path), vectors)
    else:
        raise EmbeddingError(f"{path}: ends with none of {', '.join(WRITABLE)}, and a folder has no ending")


def write_archive(ark: str | Path, vectors: Named) -> None:
    """A binary Kaldi archive, and its list of the same name that ends with ``.scp``.

    Raises:
        EmbeddingError: a name that cannot be a key of Kaldi's.
    """
    write_table(Path(ark).with_suffix(".scp"), write_vectors(ark, _with_keys(ark, vectors)))


def write_npz(path: str | Path, vectors: Named, private: bool = False) -> None:
    """What ``np.savez`` writes, under any names: it takes them as keyword arguments, some of which it has.

    With ``private`` the owner of the file alone can read it.
    """
    with atomic_write(path, "wb", private) as stream, zipfile.ZipFile(stream, "w") as archive:
        for name, vector in vectors:
            with archive.open(f"{printable(name)}.npy", "w", force_zip64=True) as entry:
                np.lib.format.write_array(entry, np.asarray(vector), allow_pickle=False)


def _with_keys(path: str | Path, vectors: Named) -> Iterator[tuple[str, np.ndarray]]:
    for name, vector in vectors:
        if not is_id(name):
            raise EmbeddingError(
                f"{path}: {name!r} cannot be a key of a Kaldi file: white space or control characters; "
                "write an .npz"
            )
        yield name, vector


def _write_folder(folder: Path, vectors: Named) -> None:
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise EmbeddingError(f"{folder}: there is something already; name a new folder")
    # Whole or not at all.
    temporary = folder.with_name(f".{folder.name}.tmp")
    shutil.rmtree(temporary, ignore_errors=True)
    temporary.mkdir(parents=True)
    try:
        for name, vector in vectors:
            parts = name.split("/")
            if not name.isprintable() or any(part in ("", ".", "..") for part in parts):
                raise EmbeddingError(f"{folder}: {name!r} cannot be the name of a file below it")
            file = temporary.joinpath(*parts[:-1], f"{parts[-1]}.npy")
            file.parent.mkdir(parents=True, exist_ok=True)
            np.save(file, np.asarray(vector), allow_pickle=False)
        temporary.replace(folder)
    except BaseException:
        shutil.rmtree(temporary, ignore_errors=True)
        raise


def _checked(path: str, vectors: Named) -> Iterator[tuple[str, np.ndarray]]:
    """As float32 vectors of one size; see :func:`read_named` for what is refused."""
    seen: set[str] = set()
    size = 0
    for number, (name, array) in enumerate(vectors, 1):
        if name in seen:
            raise EmbeddingError(f"{path}: entry {number}: {name!r} is there twice")
        seen.add(name)
        # A row or a batch of one is a vector, too.
        if array.dtype.kind != "f" or not array.size or max(array.shape, default=0) != array.size:
            raise EmbeddingError(
                f"{path}: entry {number}, {name!r}: not a vector of floats, its shape is {array.shape}, its "
                f"type {array.dtype}"
            )
        with np.errstate(over="ignore"):
            vector = array.reshape(-1).astype(np.float32)
        size = size or len(vector)
        if len(vector) != size or not np.isfinite(vector).all():
            raise EmbeddingError(f"{path}: entry {number}, {name!r}: not a finite vector of {size} numbers")
        yield name, vector
    if not seen:
        raise EmbeddingError(f"{path}: no embeddings in it")


def _read_folder(folder: Path) -> Iterator[tuple[str, np.ndarray]]:
    for path in sorted(folder.rglob("*.npy")):
        yield str(PurePosixPath(path.relative_to(folder).with_suffix(""))), _load_array(path)


def _read_rows(path: str, names: str) -> Iterator[tuple[str, np.ndarray]]:
    array = _load_array(path)
    if not names:
        if array.ndim > 1 and len(array) > 1:
            raise EmbeddingError(f"{path}: {len(array)} rows without names; give a list: --names FILE")
        yield Path(path).stem, array
        return
    rows = np.atleast_2d(array)
    listed = [line.strip() for _, line in iter_lines(names)]
    if len(listed) != len(rows):
        raise EmbeddingError(f"{names}: {len(listed)} names, but {path} has {len(rows)} rows")
    yield from zip(listed, rows, strict=True)


def _load_array(path: str | Path) -> np.ndarray:
    found = _loaded(path, lambda: np.load(path, allow_pickle=False))
    if not isinstance(found, np.ndarray):
        raise EmbeddingError(f"{path}: an archive of arrays, whose ending is .npz")
    return found


def _read_npz(path: str) -> Iterator[tuple[str, np.ndarray]]:
    archive = _loaded(path, lambda: np.load(path, allow_pickle=False))
    if isinstance(archive, np.ndarray):
        raise EmbeddingError(f"{path}: one array, whose ending is .npy")
    with archive:
        for name in archive.files:
            array = _loaded(path, lambda name=name: archive[name])
            if not isinstance(array, np.ndarray):
                raise EmbeddingError(f"{path}: {name!r} is no array")
            yield name, array


def _loaded(path: str | Path, load: Callable[[], object]):
    """What numpy reads; its own words would advise to trust the file."""
    try:
        return load()
    except (ValueError, EOFError, MemoryError, RuntimeError, zipfile.BadZipFile, zlib.error):
        raise EmbeddingError(f"{path}: no array of numbers can be read: damaged or else") from None


def _read_archive(path: str) -> Iterator[tuple[str, np.ndarray]]:
    with open(path, "rb") as stream:
        if b" \0B" in stream.read(_HEAD):
            stream.seek(0)
            yield from _read_binary(path, stream)
            return
    for number, name, value in iter_table(path):
        words = value.split()
        try:
            if len(words) < 3 or (words[0], words[-1]) != ("[", "]"):
                raise ValueError
            yield name, np.array(words[1:-1], dtype=np.float32)
        except ValueError:
            raise EmbeddingError(
                f"{path}: line {number}, {name!r}: expected [ number … ] behind the name"
            ) from None


def _read_binary(path: str, stream: IO[bytes]) -> Iterator[tuple[str, np.ndarray]]:
    while (key := _key(path, stream)) is not None:
        try:
            vector = read_vector(stream.fileno(), stream.tell())
        except EmbeddingError as error:
            raise EmbeddingError(f"{path}: {key!r}: {error}") from None
        # Two marks, the type and its size, a byte and four for the length.
        stream.seek(10 + vector.nbytes, 1)
        yield key, vector


def _key(path: str, stream: IO[bytes]) -> str | None:
    """The word in front of the next vector, None at the end."""
    key = bytearray()
    while (byte := stream.read(1)) and byte != b" " and len(key) < _HEAD:
        key += byte
    if not key and not byte:
        return None
    try:
        if byte != b" ":
            raise SvmixerError
        return key.decode()
    except ValueError:
        raise EmbeddingError(f"{path}: no name and vector before byte {stream.tell()}: damaged") from None
