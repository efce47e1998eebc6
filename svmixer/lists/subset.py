"""Parts of a data directory: some of its utterances, or a partition into train, valid and test by speaker."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Collection
from pathlib import Path

import numpy as np

from svmixer.lists.check_list import value_checks
from svmixer.lists.enroll_map import ENROLL_MAP, Models, find_enroll_map
from svmixer.lists.errors import ListError
from svmixer.lists.segments import iter_pieces
from svmixer.lists.split_sizes import Pool, split_sizes
from svmixer.lists.table import iter_table, read_utt2spk, spk2utt_from, write_spk2utt, write_table
from svmixer.lists.trial_sampling import make_trials
from svmixer.lists.trials import Trials, check_classes, read_trials, write_trials


def subset_data_dir(
    source: str | Path,
    target: str | Path,
    utterances: Collection[str],
    trials: Trials | None = None,
    models: Models | None = None,
) -> None:
    """Write the lists of ``source`` restricted to some utterances, and ``trials`` if given, to ``target``.

    Lists that ``target`` has from an earlier run and that do not belong to it any more are removed.

    Args:
        source: a sound data directory with ``utt2spk``.
        target: the new directory; made if need be.
        utterances: ids to keep (a set, for speed).
        trials: trials of the subset.
        models: what their first names are, if not utterances.

    Raises:
        ListError: a list of ``source`` cannot be read, or an utterance is not in it.
    """
    source, target = Path(source), Path(target)
    utt2spk = {key: value for _, key, value in iter_table(source / "utt2spk") if key in utterances}
    unknown = next((utterance for utterance in utterances if utterance not in utt2spk), None)
    if unknown is not None:
        raise ListError("not in this list", path=source / "utt2spk", utterance=unknown)
    tables = value_checks(source).keys() - {"utt2spk", "spk2utt"}
    recordings = _recordings(source, tables, utterances)
    ids = {"wav.scp": recordings, "reco2": recordings, "spk2": set(utt2spk.values())}
    target.mkdir(parents=True, exist_ok=True)
    written = {"utt2spk", "spk2utt"}
    for name in sorted(tables):
        kept = next((ids[start] for start in ids if name.startswith(start)), utterances)
        rows = [(key, value) for _, key, value in iter_table(source / name) if key in kept]
        if rows:
            write_table(target / name, rows)
            written.add(name)
    write_table(target / "utt2spk", utt2spk)
    write_spk2utt(target / "spk2utt", utt2spk)
    if trials:
        write_trials(target / "trials", trials)
        written.add("trials")
    if models:
        write_table(target / ENROLL_MAP, {model: " ".join(names) for model, names in models.items()})
        written.add(ENROLL_MAP)
    for name in {*value_checks(target), "trials", ENROLL_MAP} - written:
        (target / name).unlink(missing_ok=True)


def partition_data_dir(
    source: str | Path,
    output_dir: str | Path,
    *,
    valid_speakers: int | None = None,
    test_speakers: int | None = None,
    test_only: bool = False,
    seed: int = 0,
) -> dict[str, int]:
    """Make ``train``, ``valid`` and ``test`` out of one data directory, without a speaker in two of them.

    If ``source`` has ``trials``, its utterances are the test set, and whatever else its speakers say is
    left out. Otherwise ``test_speakers`` speakers are the test set, and trials are made
    (:func:`make_trials`), as always for the validation set. Which speakers: those with two utterances or
    more that come first in the order of a digest of (seed, name), so a speaker added later moves few
    others.

    Args:
        source: a sound data directory with ``utt2spk``.
        output_dir: where the directories of the sets go.
        valid_speakers: to validate with; None: 15 % of those with two utterances or more, from 2 to 15.
        test_speakers: to test with; None: 30 % of them, from 2 to 30.
        test_only: make ``test`` alone, of everybody.
        seed: of the choice of speakers and trials.

    Returns:
        Set → how many speakers.

    Raises:
        ListError: too few speakers, or a list of ``source`` cannot be read; what is wrong with the choice
            is found before anything is written.
    """
    source, output_dir = Path(source), Path(output_dir)
    for name in ("train", "valid", "test"):
        if os.path.realpath(output_dir / name) == os.path.realpath(source):
            raise ListError(
                f"would be overwritten by its own part {name}: give another --output_dir, or rename it",
                path=source,
            )
    utt2spk = read_utt2spk(source / "utt2spk")
    spk2utt = spk2utt_from(utt2spk)
    test_trials = read_trials(source / "trials") if (source / "trials").exists() else None
    if test_trials:
        check_classes(test_trials, source / "trials")
    models = find_enroll_map(source) if test_trials else None
    tested = _compared(test_trials, models, source) if test_trials else []
    held_out = {utt2spk[utterance] for utterance in tested}
    order = sorted(spk2utt, key=lambda speaker: hashlib.sha256(f"{seed} {speaker}".encode()).digest())
    able = [speaker for speaker in order if len(spk2utt[speaker]) >= 2 and speaker not in held_out]
    if test_only:
        sets = {"test": held_out or set(spk2utt)}
    else:
        pool = Pool(len(able), len(spk2utt) - len(held_out), bool(test_trials))
        validating, testing = split_sizes(pool, valid_speakers, test_speakers, source / "utt2spk")
        test = held_out or set(able[:testing])
        valid = set([speaker for speaker in able if speaker not in test][:validating])
        sets = {"train": spk2utt.keys() - valid - test, "valid": valid, "test": test}
    for name, speakers in sets.items():
        members = {utterance: speaker for utterance, speaker in utt2spk.items() if speaker in speakers}
        trials, given = None, name == "test" and test_trials is not None
        if given:
            members, trials = dict.fromkeys(tested, ""), test_trials
        elif name != "train":
            trials = make_trials(members, seed=seed, path=source / "utt2spk")
        subset_data_dir(source, output_dir / name, members.keys(), trials, models if given else None)
    return {name: len(speakers) for name, speakers in sets.items()}


def _compared(trials: Trials, models: Models | None, source: Path) -> list[str]:
    """The utterances that trials compare, those of their models among them."""
    if models is None:
        return trials.utterances
    named = [trials.utterances[index] for index in np.unique(trials.enrol)]
    strange = next((name for name in named if name not in models), None)
    if strange is not None:
        what = "is in the trial list and no model here"
        raise ListError(what, path=source / ENROLL_MAP, utterance=strange)
    tests = [trials.utterances[index] for index in np.unique(trials.test)]
    return list(dict.fromkeys([*tests, *(name for members in models.values() for name in members)]))


def _recordings(source: Path, tables: Collection[str], utterances: Collection[str]) -> Collection[str]:
    """The recordings that the utterances are cut from."""
    for name in ("segments", "parts"):
        if name in tables:
            rows = iter_pieces(source / name, single=name == "segments")
            return {piece[0] for _, utterance, pieces in rows if utterance in utterances for piece in pieces}
    return utterances
