"""Lists of recordings that lie in a folder for each speaker: the folder's name is the speaker's."""

from __future__ import annotations

import os
import unicodedata
from collections import Counter, defaultdict
from collections.abc import Iterator, Sized
from dataclasses import dataclass, field
from pathlib import Path

from svmixer.audio.formats import AUDIO_SUFFIXES
from svmixer.errors import SvmixerError
from svmixer.fileio import audio_fingerprint, md5_file
from svmixer.lists import write_spk2utt, write_table
from svmixer.log import one_line

# Characters of an id besides letters, marks and digits of any script.
_KEPT = "._-"


class SpeakerFolderError(SvmixerError):
    """A folder that no lists can be made of; the message says what was found there and what to do."""


@dataclass(frozen=True)
class SpeakerFolders:
    """What was found."""

    # Utterance → absolute path.
    wav_scp: dict[str, str]
    # Utterance → speaker.
    utt2spk: dict[str, str]
    # What was left out, a line each.
    left_out: list[str]
    # What else is to be known where lists are made of it: speakers by another name, or of one recording.
    notes: list[str]
    # Speaker → name of the folder.
    folders: dict[str, str]

    @property
    def remarks(self) -> list[str]:
        """Both, as they are printed."""
        return [*self.left_out, *self.notes]


@dataclass
class _Tree:
    """Every file below a folder, by what becomes of it; paths are relative to the folder."""

    # Folder right below → audio files in it.
    audio: dict[str, list[str]] = field(default_factory=dict)
    # Reason → what is left out for it.
    left_out: dict[str, list[str]] = field(default_factory=lambda: defaultdict(list))
    # File or folder → why it cannot be read.
    unreadable: dict[str, str] = field(default_factory=dict)


_HIDDEN = "hidden"
_EMPTY = "empty files"
_LINK = "links to folders that are read where they lie"
_DIRECT = "audio in no speaker's folder"
_OTHER = "no audio by their endings"


def find_speakers(audio_dir: str | Path, *, drop_missing: bool = False, least: int = 2) -> SpeakerFolders:
    """Take a folder as it is: each folder right below it is a speaker, each audio file in that, at any depth,
    an utterance.

    Audio files are those with an ending of a format that can be read, in capitals or not. An utterance is
    called after the speaker and its path: ``ann/2024/a b.wav`` is ``ann-2024-a_b``. What is neither letter
    nor digit nor ``._-`` becomes ``_``; names that are then the same get numbers. Hidden files and folders,
    empty files and a speaker's second copy of a file are left out. Links are followed, but not to folders
    that are in ``audio_dir`` themselves.

    Args:
        audio_dir: the folder.
        drop_missing: leave out what cannot be read, instead of raising.
        least: how many speakers there must be.

    Raises:
        SpeakerFolderError: no such folder, no audio in so many folders, a file or folder that cannot be read,
            one recording under two speakers, or a name that no list can hold.
    """
    root = Path(os.path.abspath(audio_dir))
    if not root.is_dir():
        kind = "is a file, not a folder" if root.exists() else "there is no such folder"
        given = "" if str(audio_dir) == str(root) else f" (given as {audio_dir})"
        raise SpeakerFolderError(f"{root}: {kind}{given}: name the folder that has a folder for each speaker")
    tree = _read_tree(root)
    copies = _copies(root, tree)
    _refuse_unusable(root, tree, drop_missing, least)
    speakers = _names(sorted(tree.audio))
    wav_scp: dict[str, str] = {}
    utt2spk: dict[str, str] = {}
    # All of them at once: `ann` may have `1-a.wav` and `ann-1` `a.wav`.
    wanted = [
        (f"{speakers[folder]}-{_id(os.path.splitext(path.partition('/')[2])[0])}", folder, path)
        for folder in sorted(tree.audio)
        for path in tree.audio[folder]
    ]
    for utterance, (_, folder, path) in zip(_unique([name for name, _, _ in wanted]), wanted, strict=True):
        wav_scp[utterance] = f"{root}/{path}"
        utt2spk[utterance] = speakers[folder]
    return SpeakerFolders(
        wav_scp, utt2spk,
        left_out=[*_remarks(root, tree), *copies],
        notes=[*_single(tree), *_renamed(speakers)],
        folders={speaker: folder for folder, speaker in speakers.items()},
    )  # fmt: skip


def write_lists(found: SpeakerFolders, data_dir: str | Path) -> None:
    """Write ``wav.scp``, ``utt2spk`` and ``spk2utt``."""
    folder = Path(data_dir)
    write_table(folder / "wav.scp", found.wav_scp)
    write_table(folder / "utt2spk", found.utt2spk)
    write_spk2utt(folder / "spk2utt", found.utt2spk)


def _read_tree(root: Path) -> _Tree:
    tree = _Tree()
    for path in _walk(root, tree):
        name = str(path.relative_to(root))
        suffix = path.suffix.lower()
        if path.name.startswith("."):
            tree.left_out[_HIDDEN].append(name)
        elif suffix not in AUDIO_SUFFIXES:
            tree.left_out[_OTHER].append(name)
        elif "/" not in name:
            tree.left_out[_DIRECT].append(name)
        elif path.is_symlink() and not path.exists():
            tree.unreadable[name] = f"a link to {os.readlink(path)}, which is not there"
        elif not path.is_file():
            tree.left_out["no regular files"].append(name)
        elif not path.stat().st_size:
            tree.left_out[_EMPTY].append(name)
        else:
            tree.audio.setdefault(name.partition("/")[0], []).append(name)
    return tree


def _walk(root: Path, tree: _Tree) -> Iterator[Path]:
    """Everything below ``root`` that is no folder, in the order of its names. Each folder is read once: links
    may lead around in circles.
    """

    def refused(error: OSError) -> None:
        tree.unreadable[os.path.relpath(str(error.filename), root)] = str(error.strerror)

    top = os.path.realpath(root)
    seen = {top}
    for folder, folders, names in os.walk(root, followlinks=True, onerror=refused):
        for name in sorted(folders):
            path = os.path.join(folder, name)
            real = os.path.realpath(path)
            inside = real == top or real.startswith(f"{top}/")
            if name.startswith("."):
                tree.left_out[_HIDDEN].append(os.path.relpath(path, root))
            elif real in seen or (os.path.islink(path) and inside):
                tree.left_out[_LINK].append(os.path.relpath(path, root))
            else:
                seen.add(real)
                continue
            folders.remove(name)
        folders.sort()
        yield from (Path(folder, name) for name in sorted(names))


def _copies(root: Path, tree: _Tree) -> list[str]:
    """Leave out all but a speaker's first file of one content; the remark about it.

    Raises:
        SpeakerFolderError: two speakers have the same recording, so that nobody knows whose it is.
    """
    alike: dict[str, list[str]] = defaultdict(list)
    for folder in sorted(tree.audio):
        for path in list(tree.audio[folder]):
            try:
                alike[audio_fingerprint(root / path)].append(path)
            except OSError as error:
                tree.unreadable[path] = str(error.strerror)
                tree.audio[folder].remove(path)
    first: dict[str, str] = {}
    same: list[tuple[str, str]] = []
    for path in (path for paths in alike.values() if len(paths) > 1 for path in paths):
        other = first.setdefault(md5_file(root / path), path)
        if other == path:
            continue
        if other.partition("/")[0] != path.partition("/")[0]:
            raise SpeakerFolderError(
                f"{root}: {one_line(other)} and {one_line(path)} are the same recording under two speakers: "
                "remove it where it does not belong"
            )
        same.append((path, other))
    for path, _ in same:
        tree.audio[path.partition("/")[0]].remove(path)
    if not same:
        return []
    path, other = map(one_line, same[0])
    return [f"left out {len(same)}: copies of others of the same speaker ({path} of {other}{_more(same)})"]


def _refuse_unusable(root: Path, tree: _Tree, drop_missing: bool, least: int) -> None:
    """
    Raises:
        SpeakerFolderError: see :func:`find_speakers`.
    """
    if tree.unreadable and not drop_missing:
        path, why = next(iter(tree.unreadable.items()))
        raise SpeakerFolderError(
            f"{root}: {len(tree.unreadable)} of the files and folders cannot be read: {one_line(path)}: {why}"
            f"{_more(tree.unreadable)}: mend them, or leave them out with --drop_missing true"
        )
    for path in (f"{root}/{path}" for paths in tree.audio.values() for path in paths):
        if "\n" in path or "\r" in path or _no_text(path):
            raise SpeakerFolderError(
                f"{one_line(path)}: a list cannot hold this name (line break, or not UTF-8): rename it"
            )
    for folder in [folder for folder, paths in tree.audio.items() if not paths]:
        del tree.audio[folder]
    if len(tree.audio) >= least:
        return
    found = "; ".join(_remarks(root, tree)) or "it is empty"
    advice = f"put the recordings of each speaker into a folder of their own, {root}/SPEAKER/"
    if not tree.audio:
        raise SpeakerFolderError(f"{root}: no folder with audio files ({found}): {advice}")
    ((only, paths),) = tree.audio.items()
    inner = sorted({path.split("/")[1] for path in paths if path.count("/") > 1})
    if len(inner) > 1:
        names = one_line(", ".join(inner[:3])) + _more(inner, 3)
        advice = f"if the speakers are {names}, say --audio_dir {root}/{only}"
    raise SpeakerFolderError(
        f"{root}: all {len(paths)} audio files are in one folder, {one_line(only)}, and a folder is a "
        f"speaker: {advice}"
    )


def _remarks(root: Path, tree: _Tree) -> Iterator[str]:
    """What is left out, in lines."""
    for reason, paths in tree.left_out.items():
        endings = ""
        if reason == _OTHER:
            counts = Counter(os.path.splitext(path)[1].lower() or "none" for path in paths)
            endings = " " + ", ".join(f"{one_line(ending)} {n}" for ending, n in counts.most_common(4))
        yield f"left out {len(paths)}: {reason}{endings} ({one_line(paths[0])}{_more(paths)})"
    if tree.unreadable:
        path, why = next(iter(tree.unreadable.items()))
        many = _more(tree.unreadable)
        yield f"left out {len(tree.unreadable)}: cannot be read ({one_line(path)}: {why}{many})"
    empty = [
        path.name
        for path in sorted(root.iterdir())
        if path.is_dir() and path.name not in tree.audio and not path.name.startswith(".")
    ]
    empty = [name for name in empty if name not in {*tree.left_out.get(_LINK, ()), *tree.unreadable}]
    if empty:
        yield f"{_number(empty, 'folder')} without audio files ({one_line(empty[0])}{_more(empty)})"


def _single(tree: _Tree) -> Iterator[str]:
    single = sorted(folder for folder, paths in tree.audio.items() if len(paths) == 1)
    if single and len(tree.audio) > 1:
        first = one_line(single[0]) + _more(single)
        yield f"{_number(single, 'speaker')} with one recording, to train with but not to test with ({first})"


def _renamed(speakers: dict[str, str]) -> Iterator[str]:
    changed = [(folder, name) for folder, name in speakers.items() if folder != name]
    if changed:
        first = f"'{one_line(changed[0][0])}' is {changed[0][1]}{_more(changed)}"
        yield f"{_number(changed, 'speaker')} by another name ({first})"


def _names(folders: list[str]) -> dict[str, str]:
    """Folder → speaker. A folder whose name can be an id as it is keeps it, whatever others would become."""
    ordered = sorted(folders, key=lambda folder: (_id(folder) != folder, folder))
    names = dict(zip(ordered, _unique([_id(folder) for folder in ordered]), strict=True))
    return {folder: names[folder] for folder in folders}


def _unique(names: list[str]) -> list[str]:
    """The names, with _2, _3, … behind those that came before."""
    taken, unique = set(names), []
    seen: set[str] = set()
    for name in names:
        number, candidate = 1, name
        while candidate in seen or (number > 1 and candidate in taken):
            number += 1
            candidate = f"{name}_{number}"
        seen.add(candidate)
        unique.append(candidate)
    return unique


def _id(text: str) -> str:
    """``text`` as one word of a list; a path's parts are joined by dashes."""
    parts = unicodedata.normalize("NFC", text).replace("/", "-")
    kept = (c if c in _KEPT or unicodedata.category(c)[0] in "LMN" else " " for c in parts)
    return "_".join("".join(kept).split()) or "_"


def _no_text(path: str) -> bool:
    try:
        path.encode()
    except UnicodeEncodeError:
        return True
    return False


def _number(items: Sized, noun: str) -> str:
    return f"{len(items)} {noun}{'' if len(items) == 1 else 's'}"


def _more(items: Sized, shown: int = 1) -> str:
    return ", …" if len(items) > shown else ""
