"""Errors as JSON on standard output, for whoever asked for JSON; people read standard error beside it."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Sequence
from typing import Any

# Key of the object → attributes of exceptions that hold it, the first that has a value counts.
_FIELDS = {
    "reason": ("reason",),
    "file": ("path", "source", "filename"),
    "line": ("line",),
    "utterance": ("utterance",),
}


def wants_json(words: Sequence[str]) -> bool:
    """Whether a command line has ``--json`` or ``--format json``; a file of ``--config`` is not read."""
    words = words[: words.index("--")] if "--" in words else words
    wanted = False
    for word, behind in zip(words, [*words[1:], ""], strict=False):
        name, equals, value = word.partition("=")
        value = (value if equals else behind).lower()
        if name == "--json":
            wanted = value not in ("false", "no", "0")
        elif name == "--format":
            wanted = value == "json"
    return wanted


def print_error(words: Sequence[str], error: Exception, status: int, kind: str = "") -> None:
    """Print ``{"error": {…}}`` if the command line ``words`` asks for JSON.

    Args:
        words: behind the verb.
        error: its text is the message; where it has them, ``reason``, ``file``, ``line`` and ``utterance``
            are given, too.
        status: what the program ends with.
        kind: in place of that of the error's class.
    """
    if wants_json(words):
        # Standard output may be what the error is about: full, or closed.
        with contextlib.suppress(OSError, ValueError):
            print(json.dumps({"error": error_fields(error, status, kind)}), flush=True)


def error_fields(error: Exception, status: int, kind: str = "") -> dict[str, Any]:
    """What the object says of an error; keys without a value are left out."""
    found = {"message": str(error), "kind": kind or getattr(error, "kind", "input"), "status": status}
    for key, names in _FIELDS.items():
        value = next(filter(None, (getattr(error, name, None) for name in names)), None)
        if value is not None:
            found[key] = value if isinstance(value, int) else str(value)
    return found
