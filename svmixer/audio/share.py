"""Which utterances a dump job handles, and the pieces of recordings each of them is made of."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from pathlib import Path

from svmixer.lists import ListError, fix_command, iter_table, parse_source
from svmixer.lists.segments import parse_pieces


@dataclasses.dataclass(frozen=True, slots=True)
class SourcePiece:
    """A stretch of one recording."""

    source: str  # right-hand side of wav.scp
    start: float  # seconds
    end: float  # seconds; −1: to the end


@dataclasses.dataclass(frozen=True, slots=True)
class Utterance:
    """An utterance and the pieces that are joined to make it."""

    name: str
    pieces: tuple[SourcePiece, ...]

    @property
    def sources(self) -> str:
        """The sources as ``dropped.tsv`` shows them."""
        return " ; ".join(dict.fromkeys(piece.source for piece in self.pieces))


def utterance_list(data_dir: str | Path) -> Path:
    """The list that names the utterances of a data directory: ``segments``, ``parts``, or else ``wav.scp``.

    Raises:
        ListError: ``segments`` and ``parts`` are both there.
    """
    folder = Path(data_dir)
    found = [folder / name for name in ("segments", "parts") if (folder / name).exists()]
    if len(found) == 2:
        raise ListError("segments and parts are both there; a data directory has one at most", path=folder)
    return found[0] if found else folder / "wav.scp"


def iter_sorted(path: Path) -> Iterator[tuple[int, str, str]]:
    """:func:`iter_table` that insists on byte order, which rules out duplicates without remembering the ids.

    Raises:
        ListError: two neighbours are out of order or equal; and as :func:`iter_table`.
    """
    previous = ""
    for number, key, value in iter_table(path):
        if key <= previous:
            what = "id stands twice" if key == previous else f"not sorted: it stands behind {previous}"
            raise ListError(what, path=path, line=number, utterance=key, repair=fix_command(path))
        previous = key
        yield number, key, value


def job_range(count: int, num_jobs: int, job: int) -> range:
    """The contiguous share of job ``job`` (1 … ``num_jobs``); shares differ by one at most."""
    return range(count * (job - 1) // num_jobs, count * job // num_jobs)


def read_share(data_dir: str | Path, num_jobs: int, job: int, *, allow_pipes: bool) -> list[Utterance]:
    """The utterances of one job, in list order. Memory grows with the share, not with the lists.

    Raises:
        ListError: a list is broken, unsorted or empty, a recording is not in ``wav.scp``, or a command
            stands there although commands are not allowed.
    """
    path = utterance_list(data_dir)
    wav_scp = Path(data_dir) / "wav.scp"
    count = sum(1 for _ in iter_sorted(path))
    if not count:
        raise ListError("empty list", path=path)
    share = job_range(count, num_jobs, job)
    entries = [entry for row, entry in enumerate(iter_table(path)) if row in share]
    if path == wav_scp:
        return [
            Utterance(name, (SourcePiece(_checked(wav_scp, number, name, text, allow_pipes), 0.0, -1.0),))
            for number, name, text in entries
        ]
    pieces = {name: _pieces(path, number, name, value) for number, name, value in entries}
    wanted = {recording for triples in pieces.values() for recording, _, _ in triples}
    sources = {
        name: _checked(wav_scp, number, name, text, allow_pipes)
        for number, name, text in iter_sorted(wav_scp)
        if name in wanted
    }
    for number, name, _ in entries:
        for recording, _, _ in pieces[name]:
            if recording not in sources:
                what = f"recording {recording} is not in {wav_scp}"
                raise ListError(what, path=path, line=number, utterance=name, repair=fix_command(path))
    return [
        Utterance(
            name, tuple(SourcePiece(sources[recording], start, end) for recording, start, end in triples)
        )
        for name, triples in pieces.items()
    ]


def _pieces(path: Path, number: int, name: str, value: str) -> list[tuple[str, float, float]]:
    try:
        return parse_pieces(value, single=path.name == "segments")
    except ValueError as error:
        raise ListError(str(error), path=path, line=number, utterance=name) from None


def _checked(path: Path, number: int, name: str, text: str, allow_pipes: bool) -> str:
    try:
        kind = parse_source(text).kind
    except ListError as error:
        raise ListError(error.what, path=path, line=number, utterance=name) from None
    if kind == "pipe" and not allow_pipes:
        what = f"'{text}' is a command, and commands run only when allowed"
        repair = "--allow_pipes true, if you trust the list"
        raise ListError(what, path=path, line=number, utterance=name, repair=repair)
    return text
