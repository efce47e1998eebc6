"""Data directories of training, validation and test sets, from the files that find_corpora.py has listed.

Also writes data/local/trial_lists.tsv: where each trial list came from, its checksum and its counts.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import numpy as np
from convert import converted
from eval_sets import KNOWN, EvalSet, Places
from options import TRAIN_SET, VALID_SET, CorpusError, PrepareConfig
from trees import VOX1_TEST_SPEAKERS, count, speaker_of, video_of
from trial_sets import Summary, resolver, write_set

from svmixer.cli.main import failed
from svmixer.config import parse_args
from svmixer.fileio import atomic_write, md5_file
from svmixer.lists import (
    ListError,
    make_trials,
    read_table,
    write_spk2utt,
    write_table,
    write_trials,
)
from svmixer.log import get_logger

logger = get_logger("make_sets")

# Utterances of a validation speaker, each from another video, and target trials.
_VALID_UTTERANCES, _VALID_TARGETS = 20, 100
# Of trial_lists.tsv: the list, its checksum and counts; what is kept, and the checksum that results quote.
_COLUMNS = ("set", "list", "md5", "trials", "targets", "kept", "kept_targets", "utterances", "trials_md5")
_SHOWN = 5  # speakers that a message gives as examples


def main() -> None:
    config = parse_args(PrepareConfig, description=__doc__)
    try:
        prepare(config)
    except (CorpusError, ListError, OSError) as error:
        raise failed(str(error)) from None


def prepare(config: PrepareConfig) -> None:
    """Write all sets; the training set last, when the speakers of the others are known.

    Raises:
        CorpusError, ListError: too much is missing, a list is broken, or a speaker is in two kinds of sets.
    """
    train = _files(config, "voxceleb2") if config.train else {}
    voxceleb1 = _files(config, "voxceleb1") if config.local("voxceleb1.scp").is_file() else {}
    places = Places(config)
    held_out: dict[str, frozenset[str]] = {}
    if config.train and config.valid in ("voxceleb1", "voxceleb2"):
        pool = voxceleb1 if config.valid == "voxceleb1" else train
        held_out[VALID_SET] = make_valid(config, pool)
        if config.valid == "voxceleb2":
            train = {
                name: path for name, path in train.items() if speaker_of(name) not in held_out[VALID_SET]
            }
    tests = [(name, KNOWN[name]) for name in config.test_set_names]
    if config.train and VALID_SET not in held_out:
        listed = EvalSet(VALID_SET, ("voxceleb1",), ())
        tests.append((VALID_SET, KNOWN["vox1_o"] if config.valid == "vox1_o" else listed))
    summaries = []
    for name, known in tests:
        path = places.trial_list(known) if known.lists else Path(config.valid)
        find = resolver(known, places, voxceleb1)
        summaries.append(write_set(Path(config.data_dir, name), known, path, find, config.max_missing))
        held_out[name] = summaries[-1].speakers
    if config.train:
        _check_apart(train, held_out)
        _write_train(config, train)
    _report(config, [name for name, _ in tests], summaries)


def make_valid(config: PrepareConfig, pool: dict[str, str]) -> frozenset[str]:
    """Write a validation set of some speakers of ``pool`` (utterance → file); the speakers.

    Speakers of VoxCeleb1's test part are left out. A speaker gives one utterance a video, so that target
    trials are between different recordings.

    Raises:
        CorpusError: fewer than two speakers have two videos.
    """
    speakers: dict[str, dict[str, str]] = {}
    for utterance in pool:
        if speaker_of(utterance) not in VOX1_TEST_SPEAKERS:
            speakers.setdefault(speaker_of(utterance), {}).setdefault(video_of(utterance), utterance)
    usable = sorted(name for name, videos in speakers.items() if len(videos) > 1)
    if len(usable) < 2:
        raise CorpusError(
            f"--valid {config.valid} needs two speakers with two videos, besides VoxCeleb1's test part: "
            f"there are {len(usable)}; it can also be voxceleb1, voxceleb2, vox1_o or a trial list"
        )
    if len(usable) < config.valid_speakers:
        logger.warning("validation: %d speakers instead of %d", len(usable), config.valid_speakers)
    rng = np.random.default_rng(config.seed)
    chosen = rng.permutation(len(usable))[: config.valid_speakers]
    utt2spk = {utterance: usable[i] for i in chosen for utterance in speakers[usable[i]].values()}
    trials = make_trials(
        utt2spk, max_utterances=_VALID_UTTERANCES, max_targets=_VALID_TARGETS, seed=config.seed
    )
    utt2spk = {utterance: utt2spk[utterance] for utterance in trials.utterances}
    folder = Path(config.data_dir, VALID_SET)
    _write_speakers(folder, {utterance: pool[utterance] for utterance in utt2spk}, utt2spk)
    write_trials(folder / "trials", trials)
    logger.info(
        "%s: made of %d speakers of %s: %d utterances, %d trials, %d targets",
        *(VALID_SET, len(chosen), config.valid, len(utt2spk), len(trials), trials.labels.sum()),
    )
    return frozenset(utt2spk.values())


def _write_train(config: PrepareConfig, train: dict[str, str]) -> None:
    if not train:
        raise CorpusError(f"{config.folder('voxceleb2')}: no speakers are left to train with")
    _write_speakers(Path(config.data_dir, TRAIN_SET), train, {name: speaker_of(name) for name in train})
    have = count(train)
    logger.info(
        "%s: %d speakers, %d videos, %d utterances", TRAIN_SET, have.speakers, have.videos, have.utterances
    )


def _write_speakers(folder: Path, files: dict[str, str], utt2spk: dict[str, str]) -> None:
    write_table(folder / "wav.scp", files)
    write_table(folder / "utt2spk", utt2spk)
    write_spk2utt(folder / "spk2utt", utt2spk)


def _files(config: PrepareConfig, corpus: str) -> dict[str, str]:
    """Utterance → file as stage 2 shall read it; what could not be converted is left out and listed.

    Raises:
        CorpusError: more than ``max_missing`` of the files could not be converted.
    """
    listed = read_table(config.local(f"{corpus}.scp"))
    if not config.converted_dir:
        return listed
    folder = Path(config.converted_dir, corpus)
    found = {name: path for name in listed if (path := converted(listed[name], folder)).is_file()}
    reasons = [line for path in sorted(folder.glob("failed.*.tsv")) for line in path.read_text().splitlines()]
    lost = len(listed) - len(found)
    if lost:
        with atomic_write(config.local(f"{corpus}_not_converted.tsv")) as stream:
            stream.writelines(f"{line}\n" for line in reasons)
        where = config.local(f"{corpus}_not_converted.tsv")
        what = f"{corpus}: {lost} of {len(listed)} files could not be converted, see {where}"
        if lost > config.max_missing * len(listed):
            raise CorpusError(f"{what}: more than --max_missing {config.max_missing:g} allows")
        logger.warning("%s: left out", what)
    return {name: str(path) for name, path in found.items()}


def _check_apart(train: Iterable[str], held_out: dict[str, frozenset[str]]) -> None:
    training = set(map(speaker_of, train))
    for name, speakers in held_out.items():
        both = sorted(training & speakers)
        if both:
            shown = ", ".join(both[:_SHOWN]) + (", …" if len(both) > _SHOWN else "")
            raise CorpusError(f"{len(both)} speakers of {name} are in the training data, too: {shown}")


def _report(config: PrepareConfig, names: list[str], summaries: list[Summary]) -> None:
    """The closing table, and the same with paths and checksums as a file."""
    with atomic_write(config.local("trial_lists.tsv")) as stream:
        stream.write("\t".join(_COLUMNS) + "\n")
        for name, item in zip(names, summaries, strict=True):
            md5 = md5_file(Path(config.data_dir, name, "trials"))
            row = (name, item.path, item.md5, item.trials, item.targets)
            stream.write(
                "\t".join(map(str, (*row, item.kept, item.kept_targets, item.utterances, md5))) + "\n"
            )
    print("set              trials   targets   dropped  utterances  md5 of the list")
    for name, item in zip(names, summaries, strict=True):
        dropped = item.trials - item.kept
        print(f"{name:14}{item.trials:9}{item.targets:10}{dropped:10}{item.utterances:12}  {item.md5}")


if __name__ == "__main__":
    main()
