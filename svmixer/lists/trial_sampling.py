"""Trials for a set that comes without a list: target pairs of each speaker and as many impostor pairs."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TypeVar

import numpy as np

from svmixer.errors import SvmixerError
from svmixer.lists.errors import ListError
from svmixer.lists.table import spk2utt_from
from svmixer.lists.trials import Trials

Pair = tuple[str, str]
T = TypeVar("T")


def make_trials(
    utt2spk: Mapping[str, str],
    *,
    attributes: Sequence[Mapping[str, str]] = (),
    sessions: Mapping[str, str] | None = None,
    max_utterances: int = 20,
    max_targets: int = 100,
    max_per_impostor: int = 20,
    seed: int = 0,
    path: str | Path | None = None,
) -> Trials:
    """Choose trials that are balanced, hard and the same every time.

    Per speaker: at most ``max_utterances`` utterances take part, drawn at random; all their pairs, or
    ``max_targets`` of them drawn at random, are target trials; as many impostor trials follow, each an
    utterance of the speaker against one of another. Impostors that share all ``attributes`` come first,
    then those that share all but the last, and so on: with ``attributes=(sex, language)``, first same sex
    and language, then same sex, then the others. Within such a tier the impostor speakers take turns, in
    random order, up to ``max_per_impostor`` trials each; only when all tiers are through and trials are
    still missing do the hardest give more. An utterance never meets itself, and no pair comes twice, in
    either order.

    Args:
        utt2spk: utterance → speaker.
        attributes: most important first; each maps speakers, or utterances (then a speaker has the value
            most of its utterances have), to a value. A speaker without a value shares it with nobody.
        sessions: utterance → session; target trials are then of two sessions.
        max_utterances: utterances a speaker, at least 2.
        max_targets: target trials a speaker, at least 1.
        max_per_impostor: impostor trials between a speaker and one other before it is the next one's turn.
        seed: of the one generator all choices come from.
        path: the list that ``utt2spk`` comes from, for errors.

    Returns:
        Trials sorted by enrolment and test utterance; within a trial the enrolment utterance is the first
        in byte order. There are fewer impostor trials than target trials only if there are too few pairs.

    Raises:
        ListError: fewer than two speakers, or no speaker with two utterances, or with two sessions.
        ValueError: a limit below its least value, or an attribute that no speaker has.
    """
    if max_utterances < 2 or max_targets < 1 or max_per_impostor < 1:
        raise SvmixerError("max_utterances must be at least 2, max_targets and max_per_impostor at least 1")
    rng = np.random.default_rng(seed)
    spk2utt = spk2utt_from(utt2spk)
    pool = {speaker: _draw(rng, utterances, max_utterances) for speaker, utterances in spk2utt.items()}
    if len(pool) < 2 or max(map(len, pool.values())) < 2:
        what = "trials need two speakers or more, at least one of them with two utterances"
        raise ListError(f"{what}; found {_speakers(len(pool))}", path=path)
    tiers_of = _Tiers(spk2utt, attributes)
    targets: set[Pair] = set()
    impostors: set[Pair] = set()
    for speaker, utterances in pool.items():
        pairs = [
            (a, b)
            for i, a in enumerate(utterances)
            for b in utterances[i + 1 :]
            if sessions is None or sessions[a] != sessions[b]
        ]
        targets.update(_draw(rng, pairs, max_targets))
        # Counted over all speakers so far: who comes later makes up for those with too few pairs.
        wanted = len(targets)
        unfinished = []
        for tier in tiers_of(speaker):
            if len(impostors) >= wanted:
                break
            decks = (_deck(rng, utterances, pool[tier[i]]) for i in rng.permutation(len(tier)))
            unfinished.append(_take_turns(decks, max_per_impostor, impostors, wanted))
        for rest in unfinished:
            _take_turns(rest, max_utterances**2, impostors, wanted)
    if not targets:
        raise ListError("no speaker has utterances of two sessions", path=path)
    rows = [(*pair, 1) for pair in targets] + [(*pair, 0) for pair in impostors]
    return Trials.from_rows((label, enrol, test) for enrol, test, label in sorted(rows))


def _speakers(number: int) -> str:
    return "1 speaker" if number == 1 else f"{number} speakers"


class _Tiers:
    """Other speakers by how many of the leading attributes they share with a speaker, most first."""

    def __init__(self, spk2utt: Mapping[str, list[str]], attributes: Sequence[Mapping[str, str]]) -> None:
        self._values = {
            speaker: tuple(_value(speaker, utterances, attribute) for attribute in attributes)
            for speaker, utterances in spk2utt.items()
        }
        for i, attribute in enumerate(attributes):
            if all(values[i] is None for values in self._values.values()):
                key = next(iter(attribute), "nobody")
                raise SvmixerError(f"attribute {i + 1} knows none of the speakers or utterances, but '{key}'")
        # Speakers are few kinds: the tiers are made once a kind, not once a speaker.
        self._tiers: dict[tuple[str | None, ...], list[list[str]]] = {}

    def __call__(self, speaker: str) -> list[list[str]]:
        values = self._values[speaker]
        if values not in self._tiers:
            tiers: list[list[str]] = [[] for _ in range(len(values) + 1)]
            for other, other_values in self._values.items():
                tiers[-1 - _shared(values, other_values)].append(other)
            self._tiers[values] = tiers
        return [[other for other in tier if other != speaker] for tier in self._tiers[values]]


def _shared(a: tuple[str | None, ...], b: tuple[str | None, ...]) -> int:
    """How many leading values are known and equal."""
    shared = 0
    while shared < len(a) and a[shared] is not None and a[shared] == b[shared]:
        shared += 1
    return shared


def _value(speaker: str, utterances: list[str], attribute: Mapping[str, str]) -> str | None:
    if speaker in attribute:
        return attribute[speaker]
    counts = Counter(attribute[utterance] for utterance in utterances if utterance in attribute)
    return min(counts, key=lambda value: (-counts[value], value)) if counts else None


def _draw(rng: np.random.Generator, items: list[T], count: int) -> list[T]:
    """``count`` of the items, in their order; all of them if there are no more."""
    if len(items) <= count:
        return items
    return [items[i] for i in np.sort(rng.choice(len(items), count, replace=False))]


def _deck(rng: np.random.Generator, own: list[str], others: list[str]) -> Iterator[Pair]:
    """All pairs of one of ``own`` and one of ``others``, shuffled when the first one is asked for."""
    for place in rng.permutation(len(own) * len(others)).tolist():
        a, b = own[place // len(others)], others[place % len(others)]
        yield (a, b) if a < b else (b, a)


def _take_turns(
    decks: Iterable[Iterator[Pair]], turns: int, chosen: set[Pair], wanted: int
) -> list[Iterator[Pair]]:
    """Each turn takes one new pair from every deck until ``wanted`` are chosen; the decks that have more."""
    for _ in range(turns):
        unfinished = []
        for deck in decks:
            if len(chosen) >= wanted:
                return []
            pair = next((pair for pair in deck if pair not in chosen), None)
            if pair:
                chosen.add(pair)
                unfinished.append(deck)
        decks = unfinished
    return list(decks)
