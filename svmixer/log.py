"""Logging to standard error with time and place, the same in every stage script."""

from __future__ import annotations

import logging
import sys


def get_logger(name: str) -> logging.Logger:
    """The logger ``name``, under the package's one handler (made at the first call)."""
    root = logging.getLogger("svmixer")
    if not root.handlers:
        handler = logging.StreamHandler(sys.stderr)
        handler.setFormatter(
            logging.Formatter(
                "%(asctime)s (%(module)s:%(lineno)d) %(levelname)s: %(message)s", "%Y-%m-%d %H:%M:%S"
            )
        )
        root.addHandler(handler)
        root.setLevel(logging.INFO)
        root.propagate = False
    return logging.getLogger(name if name.startswith("svmixer") else f"svmixer.{name}")


def one_line(text: str) -> str:
    """``text`` with what is no printable character as an escape: file names may hold anything but a zero.

    >>> one_line("a\\tb\\udcff")
    'a\\\\tb\\\\udcff'
    """
    escaped = (c if c.isprintable() else c.encode("unicode_escape").decode("ascii") for c in text)
    return "".join(escaped)
