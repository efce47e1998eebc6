"""The verbs for data directories."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path

from svmixer.config import parse_args
from svmixer.limits import not_negative
from svmixer.lists import (
    ListError,
    fix_data_dir,
    make_trials,
    partition_data_dir,
    read_table,
    read_utt2spk,
    validate_data_dir,
    write_trials,
)


@dataclass(frozen=True)
class MakeDataDirConfig:
    """Options of the script."""

    # Folder with a folder for each speaker; audio files in these, at any depth, are the utterances.
    audio_dir: str
    # Directory that wav.scp, utt2spk and spk2utt are written to.
    data_dir: str
    # true: leave out files and folders that cannot be read; false: they are an error.
    drop_missing: bool = False
    # true: print a JSON object instead.
    json: bool = False


def make(argv: list[str] | None = None) -> None:
    """Make the lists of recordings that lie in a folder for each speaker; what is left out is printed.

    Example:
        svmixer make_data_dir --audio_dir recordings --data_dir data/all
    """
    config = parse_args(MakeDataDirConfig, argv, make.__doc__)
    from svmixer.audio.speaker_folders import find_speakers, write_lists

    found = find_speakers(config.audio_dir, drop_missing=config.drop_missing)
    write_lists(found, config.data_dir)
    speakers = len(set(found.utt2spk.values()))
    if config.json:
        counts = {"utterances": len(found.utt2spk), "speakers": speakers}
        print(json.dumps({"data_dir": config.data_dir, **counts, "remarks": found.remarks}))
        return
    for line in (f"{len(found.utt2spk)} recordings of {speakers} speakers", *found.remarks):
        print(f"{config.audio_dir}: {line}")


@dataclass(frozen=True)
class ValidateDataDirConfig:
    """Options of the script."""

    # Directory with wav.scp, utt2spk, spk2utt, …
    data_dir: str
    # true: also look whether the files of wav.scp exist.
    check_files: bool = False
    # true: also require utt2spk (sets of noises have none).
    need_speakers: bool = False
    # true: print a JSON object instead.
    json: bool = False


def validate(argv: list[str] | None = None) -> None:
    """Check a data directory; every problem is a line on standard error, with the command that repairs it.

    Example:
        svmixer validate_data_dir --data_dir data/all --check_files true
    """
    config = parse_args(ValidateDataDirConfig, argv, validate.__doc__)
    size = validate_data_dir(
        config.data_dir, check_files=config.check_files, need_speakers=config.need_speakers
    )
    if config.json:
        print(json.dumps({"data_dir": config.data_dir, **asdict(size)}))
        return
    counts = (size.utterances, "utterances"), (size.speakers, "speakers"), (size.trials, "trials")
    print(f"{config.data_dir}: valid,", ", ".join(f"{count} {what}" for count, what in counts if count))


@dataclass(frozen=True)
class FixDataDirConfig:
    """Options of the script."""

    # Directory with wav.scp, utt2spk, spk2utt, …
    data_dir: str
    # true: also leave out recordings whose file is missing.
    check_files: bool = False
    # true: print a JSON object instead.
    json: bool = False


def fix(argv: list[str] | None = None) -> None:
    """Repair a data directory: sort and clean its lists, keep what all have; originals go to .backup.

    Example:
        svmixer fix_data_dir --data_dir data/all
    """
    config = parse_args(FixDataDirConfig, argv, fix.__doc__)
    report = fix_data_dir(config.data_dir, check_files=config.check_files)
    if config.json:
        print(json.dumps({"data_dir": config.data_dir, **asdict(report)}))
        return
    for drop in report.dropped:
        more = ", …" if drop.count > 1 else ""
        print(f"{config.data_dir}/{drop.name}: left out {drop.count}: {drop.reason} ({drop.first}{more})")
    for name in report.changed:
        size = report.sizes[name]
        print(
            f"{config.data_dir}/{name}: {f'written, {size} entries' if size else 'removed, no entry is left'}"
        )
    if not report.changed:
        print(f"{config.data_dir}: nothing to repair")


@dataclass(frozen=True)
class PartitionDataDirConfig:
    """Options of the script."""

    # Directory with wav.scp and utt2spk; its trials, if there, say what the test set is.
    data_dir: str
    # Where the directories train, valid and test go.
    output_dir: str = "data"
    # Speakers to validate with; without it 15 % of those with two utterances or more, from 2 to 15.
    valid_speakers: int | None = None
    # Speakers to test with, unless there are trials; without it 30 %, from 2 to 30.
    test_speakers: int | None = None
    # true: make test alone, of all speakers.
    test_only: bool = False
    # Seed of the choice of speakers and trials.
    seed: int = 0
    # true: print a JSON object instead.
    json: bool = False

    def __post_init__(self) -> None:
        not_negative(self, "valid_speakers", "test_speakers", "seed")


def partition(argv: list[str] | None = None) -> None:
    """Make train, valid and test out of one data directory, by speaker, with trials for valid and test.

    Example:
        svmixer partition_data_dir --data_dir data/all --output_dir data
    """
    config = parse_args(PartitionDataDirConfig, argv, partition.__doc__)
    speakers = partition_data_dir(
        config.data_dir,
        config.output_dir,
        valid_speakers=config.valid_speakers,
        test_speakers=config.test_speakers,
        test_only=config.test_only,
        seed=config.seed,
    )
    if config.json:
        print(json.dumps({"output_dir": config.output_dir, "speakers": speakers}))
        return
    tested = (Path(config.data_dir) / "trials").exists()
    why = {
        "train": "the others",
        "valid": _why("--valid_speakers", config.valid_speakers),
        "test": "those in the trials" if tested else _why("--test_speakers", config.test_speakers),
    }
    if config.test_only:
        why["test"] = "--test_only true"
    for name, count in speakers.items():
        print(f"{config.output_dir}/{name}: {count} speakers ({why[name]})")


def _why(option: str, given: int | None) -> str:
    """Where the number of speakers comes from."""
    return f"{option} {given}" if given is not None else f"by the number of speakers; {option} N: another one"


@dataclass(frozen=True)
class MakeTrialsConfig:
    """Options of the script."""

    # Directory with utt2spk; trials is written there.
    data_dir: str
    # Lists in data_dir by speaker or utterance, e.g. "[spk2gender, utt2lang]"; impostors alike come first.
    attributes: tuple[str, ...] = ()
    # List in data_dir, as utt2session: the two utterances of a target trial are of different sessions.
    sessions: str = ""
    # Utterances of a speaker that take part.
    max_utterances: int = 20
    # Target trials of a speaker.
    max_targets: int = 100
    # Impostor trials between two speakers before others have their turn.
    max_per_impostor: int = 20
    # Seed of the choice.
    seed: int = 0
    # true: print a JSON object instead.
    json: bool = False

    def __post_init__(self) -> None:
        not_negative(self, "max_utterances", "max_targets", "max_per_impostor", "seed")


def trials(argv: list[str] | None = None) -> None:
    """Make trials for a data directory: target pairs of each speaker, as many impostor pairs, hard first.

    Example:
        svmixer make_trials --data_dir data/test --attributes "[spk2gender]"
    """
    config = parse_args(MakeTrialsConfig, argv, trials.__doc__)
    folder = Path(config.data_dir)
    utt2spk = read_utt2spk(folder / "utt2spk")
    sessions = read_utt2spk(folder / config.sessions) if config.sessions else None
    missing = next((utterance for utterance in utt2spk if sessions and utterance not in sessions), None)
    if missing is not None:
        raise ListError("no session", path=folder / config.sessions, utterance=missing)
    rows = make_trials(
        utt2spk,
        attributes=[read_table(folder / name) for name in config.attributes],
        sessions=sessions,
        max_utterances=config.max_utterances,
        max_targets=config.max_targets,
        max_per_impostor=config.max_per_impostor,
        seed=config.seed,
        path=folder / "utt2spk",
    )
    write_trials(folder / "trials", rows)
    if config.json:
        counts = {"count": len(rows), "targets": int(rows.labels.sum())}
        print(json.dumps({"trials": str(folder / "trials"), **counts}))
        return
    print(f"{folder / 'trials'}: {len(rows)} trials, {int(rows.labels.sum())} of them targets")
