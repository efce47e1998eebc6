"""Ids that print alike and are not: letters with accents have several forms in Unicode (NFC, NFD)."""

from __future__ import annotations

import os
import unicodedata
from collections.abc import Iterable

_SHOWN = 6  # code points


class Forms:
    """Finds ids by what they look like.

    Args:
        ids: those that are known; each id that is not plain ASCII is kept.
    """

    def __init__(self, ids: Iterable[str]) -> None:
        self._ids: dict[str, str] = {}
        for each in ids:
            if not each.isascii():
                self._ids.setdefault(unicodedata.normalize("NFC", each), each)

    def twin(self, name: str) -> str | None:
        """The first known id that differs from ``name`` in its Unicode form alone, if there is one."""
        found = None if name.isascii() else self._ids.get(unicodedata.normalize("NFC", name))
        return None if found == name else found


def difference(name: str, other: str, where: str) -> str:
    """In words, how ``name`` differs from ``other`` in ``where``, which prints alike.

    >>> difference("e\\u0301", "\\u00e9", "wav.scp")
    'prints like an id of wav.scp but has another Unicode form: U+0065 U+0301, there U+00E9'
    """
    start = len(os.path.commonprefix([name, other]))
    end = len(os.path.commonprefix([name[start:][::-1], other[start:][::-1]]))
    mine, theirs = (_code_points(text[start : len(text) - end]) for text in (name, other))
    return f"prints like an id of {where} but has another Unicode form: {mine}, there {theirs}"


def _code_points(text: str) -> str:
    more = " …" if len(text) > _SHOWN else ""
    return " ".join(f"U+{ord(character):04X}" for character in text[:_SHOWN]) + more
