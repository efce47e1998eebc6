"""Utterances out of short files: joining the consecutive files of a folder, and choosing some of many."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TypeVar

from scan import Scan

Item = TypeVar("Item")

# Files are joined until an utterance has this many seconds of speech …
ENOUGH = 3.0
# … and what is left at the end of a folder is an utterance of its own from here on.
LEAST = 2.0


@dataclass(frozen=True)
class Utterance:
    """Speech of one speaker: one file, or several in the order in which they are joined."""

    files: tuple[Scan, ...]

    @property
    def seconds(self) -> float:
        """Seconds of speech, silence at the ends of the files not counted."""
        return sum(file.end - file.start for file in self.files)


def distinct(files: Iterable[Scan]) -> list[Scan]:
    """The ``files`` that hold other samples than all before: a recording must not meet itself in a trial."""
    first: dict[str, Scan] = {}
    for file in files:
        first.setdefault(file.digest, file)
    return list(first.values())


def join_files(files: Sequence[Scan]) -> list[Utterance]:
    """The utterances of one speaker, in the order of their first files.

    A file of ``ENOUGH`` seconds is an utterance. The shorter files of a folder are joined, each with the
    next, until they reach that length. The rest at a folder's end is an utterance if it has ``LEAST``
    seconds; a shorter one goes on with the next folder up to ``ENOUGH`` seconds, so that folders of one
    short file each are not lost. The rest at the speaker's end is left out if it is shorter than ``LEAST``.

    Args:
        files: the speaker's files, those of a folder consecutive.
    """
    done: list[Utterance] = []
    pending: list[Scan] = []
    for index, file in enumerate(files):
        if file.end - file.start >= ENOUGH:
            done.append(Utterance((file,)))
        else:
            pending.append(file)
        if not pending:
            continue
        last = index + 1 == len(files)
        folder_ends = last or _folder(files[index + 1]) != _folder(file)
        rest_counts = last or (folder_ends and _folder(pending[0]) == _folder(file))
        if _length(pending) >= (LEAST if rest_counts else ENOUGH):
            done.append(Utterance(tuple(pending)))
            pending = []
    order = {file.path: index for index, file in enumerate(files)}
    return sorted(done, key=lambda utterance: order[utterance.files[0].path])


def spread(items: Sequence[Item], most: int) -> list[Item]:
    """At most ``most`` of ``items``, evenly spaced over the whole sequence, in order."""
    if len(items) <= most:
        return list(items)
    return [items[(2 * index + 1) * len(items) // (2 * most)] for index in range(most)]


def _length(files: Sequence[Scan]) -> float:
    return Utterance(tuple(files)).seconds


def _folder(file: Scan) -> str:
    return os.path.dirname(file.path)
