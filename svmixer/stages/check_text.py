"""Refuse a list that is no UTF-8 text (UTF-16, compressed, …), with the command that makes it so."""

from __future__ import annotations

from dataclasses import dataclass

from svmixer.config import parse_args
from svmixer.lists.fix import clean_lines


@dataclass(frozen=True)
class CheckTextConfig:
    """Options of the script."""

    # List to look at; what its lines say does not matter.
    input: str


def main(argv: list[str] | None = None) -> None:
    """Run the script."""
    config = parse_args(CheckTextConfig, argv, __doc__)
    for _ in clean_lines(config.input):
        pass
