"""Which utterances a dump job handles, and the pieces of recordings each of them is made of."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from pathlib import Path

from svmixer.lists import ListError, fix_command, iter_table, parse_source
from svmixer.lists.segments import RECORDING_CHANNELS, Piece, parse_pieces, parse_recording_channel
from svmixer.lists.source import one_spelling


@dataclasses.dataclass(frozen=True, slots=True)
class NamedChannel:
    """A channel that a list names."""

    index: int  # from 0
    path: Path  # the list
    line: int  # and its line
    taken: bool  # a recording of one channel is what is named: what stands in wav.scp took it already


@dataclasses.dataclass(frozen=True, slots=True)
class SourcePiece:
    """A stretch of one recording."""

    source: str  # right-hand side of wav.scp
    start: float  # seconds
    end: float  # seconds; −1: to the end
    channel: NamedChannel | None = None  # None: the mean of all


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
            what = "id is listed twice" if key == previous else f"not sorted: it stands behind {previous}"
            raise ListError(what, path=path, line=number, utterance=key, repair=fix_command(path))
        previous = key
        yield number, key, value


def job_range(count: int, num_jobs: int, job: int) -> range:
    """The contiguous share of job ``job`` (1 … ``num_jobs``); shares differ by one at most."""
    return range(count * (job - 1) // num_jobs, count * job // num_jobs)


def read_share(data_dir: str | Path, num_jobs: int, job: int, *, allow_pipes: bool) -> list[Utterance]:
    """The utterances of one job, in list order. Memory grows with the share, not with the lists.

    Channels are named by ``segments`` for an utterance, or else by ``reco2file_and_channel`` for a recording.

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
        sources = {name: _checked(wav_scp, number, name, text, allow_pipes) for number, name, text in entries}
        channels = _recording_channels(Path(data_dir), sources)
        return [
            Utterance(name, (SourcePiece(text, 0.0, -1.0, channels.get(name)),))
            for name, text in sources.items()
        ]
    pieces = {name: _pieces(path, number, name, value) for number, name, value in entries}
    wanted = {piece[0] for joined in pieces.values() for piece in joined}
    sources = {
        name: _checked(wav_scp, number, name, text, allow_pipes)
        for number, name, text in iter_sorted(wav_scp)
        if name in wanted
    }
    for number, name, _ in entries:
        for recording, *_ in pieces[name]:
            if recording not in sources:
                what = f"recording {recording} is not in {wav_scp}"
                raise ListError(what, path=path, line=number, utterance=name, repair=fix_command(path))
    channels = _recording_channels(Path(data_dir), sources)
    utterances = []
    for number, name, _ in entries:
        joined = []
        for recording, start, end, *named in pieces[name]:
            # The number in segments is of what wav.scp reads; no command can have taken it already.
            own = NamedChannel(*named, path, number, taken=False) if named else channels.get(recording)
            joined.append(SourcePiece(sources[recording], start, end, own))
        utterances.append(Utterance(name, tuple(joined)))
    return utterances


def _recording_channels(folder: Path, sources: dict[str, str]) -> dict[str, NamedChannel]:
    """What ``reco2file_and_channel`` names for the recordings in ``sources``."""
    path = folder / RECORDING_CHANNELS
    if not path.exists():
        return {}
    # Also all others with a source of these: where a source is named with two channels, it must have them.
    places = set(map(one_spelling, sources.values()))
    listed = ((name, one_spelling(text)) for _, name, text in iter_table(folder / "wav.scp"))
    same = {name: place for name, place in listed if place in places}
    lines: dict[str, tuple[int, int]] = {}
    named: dict[str, set[int]] = {}
    for number, recording, value in iter_sorted(path):
        if recording in same:
            channel = _channel(path, number, recording, value)
            lines[recording] = channel, number
            named.setdefault(same[recording], set()).add(channel)
    return {
        recording: NamedChannel(channel, path, number, taken=len(named[same[recording]]) == 1)
        for recording, (channel, number) in lines.items()
        if recording in sources
    }


def _pieces(path: Path, number: int, name: str, value: str) -> list[Piece]:
    try:
        return parse_pieces(value, single=path.name == "segments")
    except ValueError as error:
        raise ListError(str(error), path=path, line=number, utterance=name) from None


def _channel(path: Path, number: int, name: str, value: str) -> int:
    try:
        return parse_recording_channel(value)
    except ListError as error:
        raise ListError(error.what, path=path, line=number, utterance=name) from None


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
