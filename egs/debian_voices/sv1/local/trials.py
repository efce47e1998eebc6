"""Trials of few speakers: every target pair within a cap, and impostors that are hard to tell apart first."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import combinations

from corpus import Voice
from utterances import spread

from svmixer.lists import Trials

# At most so many target trials a speaker …
TARGETS = 100
# … and so many nontarget trials a pair of speakers of the same language and sex, …
SAME_LANGUAGE_AND_SEX = 100
# … of the same sex only, …
SAME_SEX = 25
# … and of different sexes, where the pitch alone tells most of them apart.
OTHERS = 1


def make_trials(voices: Sequence[Voice], spk2utt: Mapping[str, Sequence[str]]) -> Trials:
    """The trials among ``voices``, sorted by utterances; no randomness is involved.

    Args:
        voices: the speakers of one split.
        spk2utt: speaker → its utterances.
    """
    rows = []
    for voice in voices:
        pairs = list(combinations(spk2utt[voice.speaker], 2))
        rows += [(1, *pair) for pair in spread(pairs, TARGETS)]
    for one, two in combinations(voices, 2):
        pairs = cross_pairs(spk2utt[one.speaker], spk2utt[two.speaker], _cap(one, two))
        rows += [(0, *pair) for pair in pairs]
    return Trials.from_rows(sorted(rows, key=lambda row: row[1:]))


def cross_pairs(ones: Sequence[str], twos: Sequence[str], most: int) -> list[tuple[str, str]]:
    """At most ``most`` pairs of an item of ``ones`` and one of ``twos``, every item about equally often."""
    longer, shorter = max(len(ones), len(twos)), min(len(ones), len(twos))
    # Along the diagonals of the table of all pairs: each turn uses every item of the longer list once.
    turns = [(index, (index + turn) % shorter) for turn in range(shorter) for index in range(longer)][:most]
    if len(ones) == longer:
        return [(ones[i], twos[j]) for i, j in turns]
    return [(ones[j], twos[i]) for i, j in turns]


def _cap(one: Voice, two: Voice) -> int:
    if one.gender != two.gender:
        return OTHERS
    return SAME_LANGUAGE_AND_SEX if set(one.languages) & set(two.languages) else SAME_SEX
