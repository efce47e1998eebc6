"""Replace several lists of a directory together, keeping the originals."""

from __future__ import annotations

import contextlib
import filecmp
import itertools
import shutil
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

from svmixer.fileio import atomic_path, atomic_write

BACKUP = ".backup"


def replace_lists(folder: Path, lines: Mapping[str, Callable[[], Iterable[str]]]) -> list[str]:
    """Write the lists whose content changes, remove those without lines; the names of both.

    All new files are complete beside the old ones before the first takes its name. An original is copied to
    ``.backup/NAME``, or to ``.backup/NAME.1``, ``NAME.2``, … behind earlier ones: no backup is ever
    overwritten.

    Args:
        folder: the data directory.
        lines: list name → function that yields its lines, each with its newline; called more than once.
    """
    empty = {name for name, make in lines.items() if next(iter(make()), None) is None}
    changed = [name for name, make in lines.items() if name in empty or not _has_lines(folder / name, make())]
    for name in changed:
        if (folder / name).exists():
            _back_up(folder / name)
    with contextlib.ExitStack() as stack:
        for name in changed:
            if name in empty:
                stack.callback((folder / name).unlink)
                continue
            stream = stack.enter_context(atomic_write(folder / name))
            stream.writelines(lines[name]())
            stream.flush()
    return changed


def _has_lines(path: Path, lines: Iterable[str]) -> bool:
    """Whether the file has exactly these lines; compared as a stream."""
    try:
        with open(path, "rb") as stream:
            return all(
                old is not None and new is not None and old == new.encode("utf-8")
                for old, new in itertools.zip_longest(stream, lines)
            )
    except FileNotFoundError:
        return False


def _back_up(path: Path) -> None:
    folder = path.parent / BACKUP
    for name in itertools.chain([path.name], (f"{path.name}.{n}" for n in itertools.count(1))):
        copy = folder / name
        if not copy.exists():
            with atomic_path(copy) as temporary:
                shutil.copyfile(path, temporary)
            return
        if filecmp.cmp(path, copy, shallow=False):
            return
