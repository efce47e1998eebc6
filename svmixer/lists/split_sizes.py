"""How many speakers validate and how many test, by how many there are."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

from svmixer.lists.errors import ListError

# Shares of the speakers with two utterances or more, and the most that a set needs: beyond, more speakers
# make the interval of an error rate hardly narrower.
_TEST_SHARE, _MOST_TEST = 0.3, 30
_VALID_SHARE, _MOST_VALID = 0.15, 15
# A set without two speakers has no impostor trials; a training needs two speakers to tell apart.
_LEAST = 2


class Pool(NamedTuple):
    """The speakers that sets can be made of."""

    # Those with two utterances or more, who can have target trials.
    able: int
    # All of them.
    speakers: int
    # Whether trials say already who is tested; these speakers do not count here.
    has_test: bool


def split_sizes(pool: Pool, valid: int | None, test: int | None, path: str | Path) -> tuple[int, int]:
    """Speakers to validate with and speakers to test with; the rest, two or more, is to train with.

    Args:
        pool: who there is.
        valid: as many as the user wants; None: 15 % of ``pool.able``, from 2 to 15.
        test: likewise; None: 30 %, from 2 to 30. Not read if ``pool.has_test``.
        path: the list that the speakers are in, for errors.

    Raises:
        ListError: so many cannot be taken.
    """
    least = _LEAST if pool.has_test else 2 * _LEAST
    if pool.able < least or pool.speakers < least + _LEAST:
        raise _too_few(pool, least, path)
    validating = _share(pool.able, _VALID_SHARE, _MOST_VALID) if valid is None else valid
    testing = 0 if pool.has_test else _share(pool.able, _TEST_SHARE, _MOST_TEST) if test is None else test
    wanted = validating + testing
    if (
        pool.able < wanted
        or pool.speakers - wanted < _LEAST
        or validating < _LEAST
        or (not pool.has_test and testing < _LEAST)
    ):
        asked = f"--valid_speakers {validating}" + ("" if pool.has_test else f" --test_speakers {testing}")
        raise ListError(
            f"{pool.able} of {pool.speakers} speakers have two utterances or more and are in no trial; "
            f"{asked} wants {wanted} of them (2 or more each), and 2 speakers must remain to train with",
            path=path,
            repair=_fitting(pool, least),
        )
    return validating, testing


def _share(able: int, share: float, most: int) -> int:
    return min(most, max(_LEAST, round(share * able)))


def _too_few(pool: Pool, least: int, path: str | Path) -> ListError:
    whose = " that are in no trial" if pool.has_test else ""
    sets = "2 to validate" if pool.has_test else "2 to validate, 2 to test"
    repair = "more speakers"
    if pool.able and pool.speakers >= 2:
        repair += "; --test_only true makes a test set of all, to evaluate a model without training one"
    return ListError(
        f"{pool.able} of {pool.speakers} speakers{whose} have two utterances or more: a training needs "
        f"{least + _LEAST} speakers, {sets}, each with two utterances, and 2 to train",
        path=path,
        repair=repair,
    )


def _fitting(pool: Pool, least: int) -> str:
    """Options that leave half of the speakers, or all they can, to train with."""
    room = max(least, min(pool.able, pool.speakers // 2))
    valid = room if pool.has_test else max(_LEAST, room // 3)
    return f"--valid_speakers {valid}" + ("" if pool.has_test else f" --test_speakers {room - valid}")
