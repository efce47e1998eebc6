"""Data directories of the voices: utterances joined from short files, split by speaker, with trials."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path

from corpus import SPLITS, CorpusError, Voice, find_files, package_root, packages_of, read_voices
from scan import Scan, scan_packages
from utterances import Utterance, distinct, join_files, spread

from svmixer.cli.main import failed
from svmixer.config import parse_args
from svmixer.fileio import atomic_write
from svmixer.lists import Trials, make_trials, write_parts, write_spk2utt, write_table, write_trials
from svmixer.log import get_logger

logger = get_logger("prepare_lists")

# A larger share of files that cannot be used is no accident.
_MOST_UNUSABLE = 0.02
# The table's number of files may be this much off before another version of the package is suspected.
_COUNT_TOLERANCE = 0.05
# Target trials a speaker at most, and impostor trials of two speakers before it is the next one's turn: that
# makes some 3,500 trials for the compact test set, 4,300 for the full one.
_MAX_TARGETS, _MAX_PER_IMPOSTOR = 130, 50


@dataclass(frozen=True)
class PrepareConfig:
    """Options of the list maker."""

    # Unpacked packages: one folder each, or all in one tree.
    corpus_dir: str
    # Table of voices.
    table: str
    # Folder that receives train, valid and test.
    data_dir: str = "data"
    # Which voices: compact, fillets or full.
    voices: str = "compact"
    # Folder where scans are kept for the next run.
    cache_dir: str = "downloads"
    # Utterances kept of a valid or test speaker, spread over all of the speaker's.
    max_utts: int = 20
    # Processes that decode.
    nj: int = 2

    def __post_init__(self) -> None:
        if self.max_utts < 2 or self.nj < 1:
            raise ValueError("max_utts must be at least 2, nj at least 1")


@dataclass(frozen=True)
class Speaker:
    """A voice with what its package holds of it."""

    voice: Voice
    # Root of the unpacked package.
    root: Path
    # Usable files of different content, sorted by folder, then by name.
    files: list[Scan]
    # (path, reason) of the others.
    skipped: list[tuple[str, str]]


def main() -> None:
    config = parse_args(PrepareConfig, description=__doc__)
    data_dir = Path(config.data_dir)
    try:
        speakers = gather(config)
        with atomic_write(data_dir / "local/skipped.tsv") as stream:
            for speaker in speakers:
                name = speaker.voice.speaker
                stream.writelines(f"{name}\t{path}\t{reason}\n" for path, reason in speaker.skipped)
        rows = []
        for split in SPLITS:
            members = [speaker for speaker in speakers if speaker.voice.split == split]
            most = None if split == "train" else config.max_utts
            rows.append(split.ljust(6) + write_split(data_dir / split, members, most))
    except (CorpusError, OSError) as error:
        raise failed(str(error)) from None
    print("      speakers   files  utterances  minutes  targets  nontargets", *rows, sep="\n")


def gather(config: PrepareConfig) -> list[Speaker]:
    """The speakers of the chosen set, in the order of their ids.

    Raises:
        CorpusError: a wrong table, a package or a voice that is not there, too many unusable files.
    """
    voices = read_voices(config.table, config.voices)
    roots = {package: package_root(config.corpus_dir, package) for package in packages_of(voices)}
    paths: dict[str, dict[str, list[str]]] = {}
    for package, root in roots.items():
        paths[package] = find_files(root, [voice for voice in voices if voice.package == package])
    wanted = {package: sorted(chain(*found.values())) for package, found in paths.items()}
    scans = scan_packages(roots, wanted, Path(config.cache_dir), config.nj)
    _report_unusable(scans, roots)
    speakers = []
    for voice in voices:
        rows = [scans[voice.package][path] for path in paths[voice.package][voice.speaker]]
        files = distinct(row for row in rows if not row.reason)
        first = {file.digest: file.path for file in files}
        reasons = {row.path: row.reason or f"same audio as {first[row.digest]}" for row in rows}
        for path in first.values():
            del reasons[path]
        _check_count(voice, len(files))
        speakers.append(Speaker(voice, roots[voice.package], files, list(reasons.items())))
    return speakers


def write_split(folder: Path, speakers: Sequence[Speaker], most: int | None) -> str:
    """Write one data directory and return its row of the closing table.

    Args:
        folder: the data directory.
        speakers: its speakers.
        most: utterances kept of a speaker; None keeps all and makes no trials (training data).

    Raises:
        CorpusError: a speaker has fewer than two utterances.
    """
    utterances: dict[str, Utterance] = {}
    spk2utt: dict[str, list[str]] = {}
    for speaker in speakers:
        name, joined = speaker.voice.speaker, join_files(speaker.files)
        if len(joined) < 2:
            raise CorpusError(f"{speaker.root}: {name} has {len(joined)} utterances, two are needed")
        numbered = [(f"{name}-{number:04d}", utterance) for number, utterance in enumerate(joined, 1)]
        kept = dict(spread(numbered, most or len(numbered)))
        utterances |= kept
        spk2utt[name] = list(kept)
    utt2spk = {utterance: name for name, names in spk2utt.items() for utterance in names}
    gender = {speaker.voice.speaker: speaker.voice.gender for speaker in speakers}
    language = {speaker.voice.speaker: "+".join(speaker.voice.languages) for speaker in speakers}
    _write_audio(folder, speakers, utterances, spk2utt)
    write_table(folder / "utt2spk", utt2spk)
    write_spk2utt(folder / "spk2utt", utt2spk)
    write_table(folder / "spk2gender", gender)
    write_table(folder / "spk2lang", language)
    trials = None
    if most:
        trials = make_trials(
            utt2spk,
            attributes=(gender, language),
            max_utterances=most,
            max_targets=_MAX_TARGETS,
            max_per_impostor=_MAX_PER_IMPOSTOR,
            path=folder / "utt2spk",
        )
        write_trials(folder / "trials", trials)
    return _table_row(len(speakers), utterances.values(), trials)


def _write_audio(
    folder: Path,
    speakers: Sequence[Speaker],
    utterances: Mapping[str, Utterance],
    spk2utt: Mapping[str, Sequence[str]],
) -> None:
    """Write wav.scp, with the files that utterances need under the speaker's name and a number, and parts."""
    wav_scp: dict[str, str] = {}
    parts: dict[str, list[tuple[str, float, float]]] = {}
    for speaker in speakers:
        name = speaker.voice.speaker
        recording = {file.path: f"{name}-f{number:04d}" for number, file in enumerate(speaker.files, 1)}
        for utterance in spk2utt[name]:
            files = utterances[utterance].files
            wav_scp |= {recording[file.path]: str(speaker.root / file.path) for file in files}
            parts[utterance] = [(recording[file.path], file.start, file.end) for file in files]
    write_table(folder / "wav.scp", wav_scp)
    write_parts(folder / "parts", parts)


def _report_unusable(scans: Mapping[str, Mapping[str, Scan]], roots: Mapping[str, Path]) -> None:
    """Name the files that cannot be used; stop if they are too many."""
    total = unusable = 0
    for package, rows in scans.items():
        for row in rows.values():
            total += 1
            if row.reason:
                unusable += 1
                logger.warning("left out: %s: %s", roots[package] / row.path, row.reason)
    if unusable > _MOST_UNUSABLE * total:
        raise CorpusError(f"{unusable} of {total} files left out (see above), more than {_MOST_UNUSABLE:.0%}")


def _check_count(voice: Voice, num_files: int) -> None:
    if abs(num_files - voice.expected_files) > _COUNT_TOLERANCE * voice.expected_files:
        logger.warning(
            "%s: %d different files in %s, %d when the table was made: another version of the package?",
            *(voice.speaker, num_files, voice.package, voice.expected_files),
        )


def _table_row(num_speakers: int, utterances: Iterable[Utterance], trials: Trials | None) -> str:
    utterances = list(utterances)
    num_files = sum(len(utterance.files) for utterance in utterances)
    minutes = sum(utterance.seconds for utterance in utterances) / 60
    targets = nontargets = "-"
    if trials is not None:
        targets = int(trials.labels.sum())
        nontargets = len(trials) - targets
    return f"{num_speakers:8}{num_files:8}{len(utterances):12}{minutes:9.1f}{targets:>9}{nontargets:>12}"


if __name__ == "__main__":
    main()
