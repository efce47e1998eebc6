"""The table of voices: who speaks in which files of which Debian package."""

from __future__ import annotations

import csv
import os
import sys
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path

from svmixer.cli.main import failed

# The sets nest: each one holds the voices of the ones before it.
SETS = ("compact", "fillets", "full")
SPLITS = ("train", "valid", "test")
# Packages hold scores, pictures and texts beside the sounds, and a glob takes whole folders.
AUDIO_SUFFIXES = (".ogg", ".wav", ".g722", ".gsm")
_COLUMNS = ("speaker", "sex", "lang", "package", "set", "split", "files", "path_glob")


class CorpusError(ValueError):
    """The table or the packages cannot be used; the message names the file and the line or the package."""


@dataclass(frozen=True)
class Voice:
    """One speaker of the table: a row of ``conf/voices.tsv``."""

    # Speaker id, the prefix of all of the speaker's utterance ids.
    speaker: str
    # "f" or "m".
    gender: str
    # Language codes without a country; more than one for a voice that speaks several.
    languages: tuple[str, ...]
    # Debian package that holds the files.
    package: str
    # The smallest of SETS that holds the voice.
    set: str
    # One of SPLITS.
    split: str
    # Files that matched when the table was made.
    expected_files: int
    # Patterns of paths inside the package, of which one must match …
    include: tuple[str, ...]
    # … and patterns of which none may.
    exclude: tuple[str, ...]

    def matches(self, path: str) -> bool:
        """Whether ``path``, relative to the package's root, is this voice; ``*`` matches ``/`` too."""
        return any(fnmatchcase(path, term) for term in self.include) and not any(
            fnmatchcase(path, term) for term in self.exclude
        )


def read_voices(path: str | Path, voices: str) -> list[Voice]:
    """The voices of the set ``voices`` (one of :data:`SETS`), sorted by speaker id.

    The table is tab-separated with a header. ``path_glob`` is a list of fnmatch terms joined by `` ; ``;
    a term that starts with ``!`` excludes. A ``?`` behind the sex says that it was guessed from the pitch.

    Raises:
        CorpusError: unknown set, missing column, bad value or duplicate speaker; names the file and the line.
    """
    if voices not in SETS:
        raise CorpusError(f"--voices must be one of {', '.join(SETS)}, not '{voices}'")
    wanted = SETS[: SETS.index(voices) + 1]
    found: dict[str, Voice] = {}
    with open(path, encoding="utf-8", newline="") as stream:
        reader = csv.DictReader(stream, delimiter="\t", quoting=csv.QUOTE_NONE)
        missing = [name for name in _COLUMNS if name not in (reader.fieldnames or ())]
        if missing:
            raise CorpusError(f"{path}:1: no column {', '.join(missing)}")
        for row in reader:
            where = f"{path}:{reader.line_num}"
            voice = _voice(row, where)
            if voice.speaker in found:
                raise CorpusError(f"{where}: speaker {voice.speaker} is listed twice")
            found[voice.speaker] = voice
    return [found[name] for name in sorted(found) if found[name].set in wanted]


def packages_of(voices: list[Voice]) -> list[str]:
    """The packages that hold ``voices``, sorted."""
    return sorted({voice.package for voice in voices})


def package_root(corpus_dir: str | Path, package: str) -> Path:
    """The folder that stands for ``/`` of an unpacked package.

    Two layouts are read: one folder a package (``DIR/<package>/usr/share/…``), and all packages in one tree
    (``DIR/usr/share/…``), which an installed system is too.

    Raises:
        CorpusError: neither is there.
    """
    for root in (Path(corpus_dir, package), Path(corpus_dir)):
        if (root / "usr/share").is_dir():
            return root
    raise CorpusError(f"{corpus_dir}: holds neither {package}/usr/share nor usr/share")


def find_files(root: Path, voices: list[Voice]) -> dict[str, list[str]]:
    """Speaker → the audio files of ``voices`` (all of one package) below ``root``.

    Paths are relative, sorted by folder, then by name. Only folders that a pattern can reach are walked.
    Symbolic links are left out, they would repeat a file.

    Raises:
        CorpusError: a voice has no file, or a file belongs to two voices.
    """
    paths: set[str] = set()
    for top in {_fixed_folder(term) for voice in voices for term in voice.include}:
        for folder, _, names in os.walk(root / top):
            paths.update(
                os.path.relpath(os.path.join(folder, name), root)
                for name in names
                if name.lower().endswith(AUDIO_SUFFIXES) and not os.path.islink(os.path.join(folder, name))
            )
    ordered = sorted(paths, key=os.path.split)
    found: dict[str, list[str]] = {}
    owner: dict[str, str] = {}
    for voice in voices:
        found[voice.speaker] = [path for path in ordered if voice.matches(path)]
        if not found[voice.speaker]:
            raise CorpusError(f"{root}: no file of {voice.package} matches the voice {voice.speaker}")
        for path in found[voice.speaker]:
            if owner.setdefault(path, voice.speaker) != voice.speaker:
                raise CorpusError(f"{root}/{path}: belongs to two voices, {owner[path]} and {voice.speaker}")
    return found


def _fixed_folder(term: str) -> str:
    """The folder in front of the first wildcard of a pattern."""
    for index, character in enumerate(term):
        if character in "*?[":
            term = term[:index]
            break
    return os.path.dirname(term)


def _voice(row: dict[str, str], where: str) -> Voice:
    if any(row.get(name) in (None, "") for name in _COLUMNS):
        raise CorpusError(f"{where}: a field is empty or missing")
    gender = row["sex"].strip("C/?").lower()
    if gender not in ("f", "m"):
        raise CorpusError(f"{where}: sex '{row['sex']}' is neither F nor M")
    if row["set"] not in SETS:
        raise CorpusError(f"{where}: set '{row['set']}' is not one of {', '.join(SETS)}")
    if row["split"] not in SPLITS:
        raise CorpusError(f"{where}: split '{row['split']}' is not one of {', '.join(SPLITS)}")
    if not row["files"].isdigit():
        raise CorpusError(f"{where}: files '{row['files']}' is not a number")
    terms = [term.strip() for term in row["path_glob"].split(" ; ")]
    include = tuple(term for term in terms if not term.startswith("!"))
    if not include:
        raise CorpusError(f"{where}: path_glob only excludes")
    return Voice(
        speaker=row["speaker"],
        gender=gender,
        languages=tuple(sorted({code.partition("_")[0] for code in row["lang"].split("+")})),
        package=row["package"],
        set=row["set"],
        split=row["split"],
        expected_files=int(row["files"]),
        include=include,
        exclude=tuple(term[1:] for term in terms if term.startswith("!")),
    )


if __name__ == "__main__":
    # `corpus.py TABLE SET` prints the packages to fetch.
    try:
        print("\n".join(packages_of(read_voices(*sys.argv[1:]))))
    except (CorpusError, OSError) as error:
        raise failed(str(error)) from None
