"""Data directories of speechocean762: the corpus's own lists, divided by a table of speakers, with trials."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from svmixer.cli.main import failed
from svmixer.config import parse_args
from svmixer.lists import (
    ListError,
    make_trials,
    read_table,
    read_utt2spk,
    write_spk2utt,
    write_table,
    write_trials,
)

# The corpus's own division; ours takes speakers of both for every set.
PARTS = ("train", "test")
# What a part of the complete corpus has.
PART_SPEAKERS, SPEAKER_UTTERANCES = 125, 20
# Speakers of a set, from the complete corpus.
SET_SPEAKERS = {"train": 160, "valid": 30, "test": 60}
# Speakers younger than this, in years, are children.
ADULT = 16


@dataclass(frozen=True)
class PrepareConfig:
    """Options of the list maker."""

    # Unpacked corpus: the folder with WAVE, train and test.
    corpus_dir: str
    # Table of speakers: `speaker split`, tab-separated, split train or valid; all other speakers are test.
    speakers: str
    # Folder that receives train, valid and test.
    data_dir: str = "data"
    # Numbers of speakers and utterances must be those of the complete corpus.
    complete: bool = True
    # Seed of the choice of trials.
    seed: int = 0


@dataclass
class Corpus:
    """What the corpus's lists say, of both parts."""

    # Utterance → speaker.
    utt2spk: dict[str, str] = field(default_factory=dict)
    # Utterance → file.
    files: dict[str, str] = field(default_factory=dict)
    # Speaker → m or f.
    sex: dict[str, str] = field(default_factory=dict)
    # Speaker → child or adult.
    age_group: dict[str, str] = field(default_factory=dict)


def read_corpus(folder: Path, complete: bool) -> Corpus:
    """The lists of both parts.

    Args:
        folder: with ``WAVE``, ``train`` and ``test``.
        complete: a part must have 125 speakers with 20 utterances each.

    Raises:
        ListError: a list or a recording is missing, or a list cannot be read; a speaker is in both parts; the
            counts are not those of the complete corpus.
    """
    corpus = Corpus()
    for part in PARTS:
        lists = folder / part
        if not (lists / "wav.scp").is_file():
            what = "no such list; give the folder that holds WAVE, train and test"
            raise ListError(what, path=lists / "wav.scp")
        utt2spk = read_utt2spk(lists / "utt2spk")
        check_counts(utt2spk, lists / "utt2spk", complete)
        both = sorted(set(utt2spk.values()) & set(corpus.sex))
        if both:
            raise ListError(f"speaker {both[0]} is in both parts of the corpus", path=lists / "utt2spk")
        corpus.utt2spk |= utt2spk
        corpus.files |= find_files(folder, lists / "wav.scp", utt2spk)
        for name, kind, table in (
            ("spk2gender", sex, corpus.sex),
            ("spk2age", age_group, corpus.age_group),
        ):
            values = read_table(lists / name)
            for speaker in utt2spk.values():
                table[speaker] = kind(entry(values, speaker, lists / name), lists / name)
    return corpus


def find_files(folder: Path, scp: Path, utterances: Iterable[str]) -> dict[str, str]:
    """Utterance → file; the list has paths from ``folder``.

    Raises:
        ListError: one is not in the list, or not on the disk.
    """
    table = read_table(scp)
    files = {}
    for utterance in utterances:
        path = folder / entry(table, utterance, scp)
        if not path.is_file():
            raise ListError(f"there is no {path}; unpack the corpus again", path=scp, utterance=utterance)
        files[utterance] = str(path)
    return files


def check_counts(utt2spk: Mapping[str, str], path: Path, complete: bool) -> None:
    """Refuse a part of a corpus that is not the published one.

    Raises:
        ListError: there are fewer or more speakers, or one has fewer or more utterances.
    """
    counts = Counter(utt2spk.values())
    if complete and len(counts) != PART_SPEAKERS:
        raise ListError(f"{len(counts)} speakers; speechocean762 has {PART_SPEAKERS} in this part", path=path)
    odd = next((speaker for speaker in counts if counts[speaker] != SPEAKER_UTTERANCES), None)
    if complete and odd is not None:
        what = f"speaker {odd} has {counts[odd]} utterances; speechocean762 has {SPEAKER_UTTERANCES} of each"
        raise ListError(what, path=path)


def entry(table: Mapping[str, str], key: str, path: Path) -> str:
    """``table[key]``.

    Raises:
        ListError: it has none.
    """
    if key not in table:
        raise ListError(f"no line of {key}", path=path)
    return table[key]


def sex(letter: str, path: Path) -> str:
    """``m`` or ``f``.

    Raises:
        ListError: ``letter`` is neither.
    """
    if letter not in ("m", "f"):
        raise ListError(f"expected m or f, found '{letter}'", path=path)
    return letter


def age_group(years: str, path: Path) -> str:
    """``child`` or ``adult``.

    Raises:
        ListError: ``years`` is no number.
    """
    try:
        return "child" if float(years) < ADULT else "adult"
    except ValueError:
        raise ListError(f"'{years}' is no age in years", path=path) from None


def read_splits(path: Path, known: Mapping[str, str]) -> dict[str, str]:
    """Speaker → train or valid.

    Args:
        path: the table.
        known: has the speakers of the corpus as keys.

    Raises:
        ListError: a line that is no speaker of the corpus with a set.
    """
    splits: dict[str, str] = {}
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines()[1:], 2):
        speaker, _, split = line.partition("\t")
        if split not in ("train", "valid"):
            what = f"expected a speaker, a tab, and train or valid, found '{line}'"
            raise ListError(what, path=path, line=number)
        if speaker in splits:
            raise ListError(f"speaker {speaker} stands there twice", path=path, line=number)
        if speaker not in known:
            raise ListError(f"speaker {speaker} is not in the corpus", path=path, line=number)
        splits[speaker] = split
    return splits


def write_set(folder: Path, corpus: Corpus, speakers: set[str], seed: int | None) -> str:
    """Write one data directory and return its row of the closing table.

    Args:
        folder: the data directory.
        corpus: what its lists come from.
        speakers: who is in it.
        seed: of its trials, whose impostors are first of the same sex and age group; None: no trials.

    Raises:
        ListError: too few speakers for trials.
    """
    utt2spk = {utterance: speaker for utterance, speaker in corpus.utt2spk.items() if speaker in speakers}
    gender, group = ({key: table[key] for key in speakers} for table in (corpus.sex, corpus.age_group))
    write_table(folder / "wav.scp", {utterance: corpus.files[utterance] for utterance in utt2spk})
    write_table(folder / "utt2spk", utt2spk)
    write_spk2utt(folder / "spk2utt", utt2spk)
    write_table(folder / "spk2gender", gender)
    write_table(folder / "spk2agegroup", group)
    targets = nontargets = "-"
    if seed is not None:
        trials = make_trials(utt2spk, attributes=(gender, group), seed=seed, path=folder / "utt2spk")
        write_trials(folder / "trials", trials)
        targets = str(int(trials.labels.sum()))
        nontargets = str(len(trials) - int(targets))
    children = list(group.values()).count("child")
    return f"{folder.name:6}{len(speakers):9}{children:9}{len(utt2spk):11}{targets:>9}{nontargets:>11}"


def main() -> None:
    config = parse_args(PrepareConfig, description=__doc__)
    try:
        corpus = read_corpus(Path(config.corpus_dir), config.complete)
        splits = read_splits(Path(config.speakers), corpus.sex)
        sets = {name: {key for key in corpus.sex if splits.get(key, "test") == name} for name in SET_SPEAKERS}
        found = {name: len(speakers) for name, speakers in sets.items()}
        if config.complete and found != SET_SPEAKERS:
            raise ListError(f"speakers of the sets are {found}, not {SET_SPEAKERS}", path=config.speakers)
        rows = [
            write_set(
                Path(config.data_dir) / name, corpus, speakers, None if name == "train" else config.seed
            )
            for name, speakers in sets.items()
        ]
    except (ListError, OSError) as error:
        raise failed(str(error)) from None
    print("set    speakers children utterances  targets nontargets", *rows, sep="\n")


if __name__ == "__main__":
    main()
