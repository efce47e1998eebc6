"""Ranges of values, for the ``__post_init__`` of configurations."""

from __future__ import annotations

from typing import Any


def at_least(config: Any, least: float, *names: str) -> None:
    """Every field of ``names`` is a number from ``least`` on, or a tuple of such numbers.

    Raises:
        ValueError: one is not; the message names it.
    """
    for name, value in _values(config, names):
        if not value >= least:
            raise ValueError(f"{name}: must be at least {least:g}, found {value}")


def not_negative(config: Any, *names: str) -> None:
    """Every field of ``names`` is a number from 0 on, or a tuple of such numbers.

    Raises:
        ValueError: see :func:`at_least`.
    """
    for name, value in _values(config, names):
        if not value >= 0:
            raise ValueError(f"{name}: must not be negative, found {value}")


def positive(config: Any, *names: str) -> None:
    """Every field of ``names`` is a number above 0, or a tuple of such numbers.

    Raises:
        ValueError: see :func:`at_least`.
    """
    for name, value in _values(config, names):
        if not value > 0:
            raise ValueError(f"{name}: must be more than 0, found {value}")


def between(config: Any, low: float, high: float, *names: str) -> None:
    """Every field of ``names`` is a number from ``low`` to ``high``, these included, or a tuple of those.

    Raises:
        ValueError: see :func:`at_least`.
    """
    for name, value in _values(config, names):
        if not low <= value <= high:
            raise ValueError(f"{name}: must be between {low:g} and {high:g}, found {value}")


def below_one(config: Any, *names: str) -> None:
    """Every field of ``names`` is a share from 0 to less than 1.

    Raises:
        ValueError: see :func:`at_least`.
    """
    for name, value in _values(config, names):
        if not 0 <= value < 1:
            raise ValueError(f"{name}: must be at least 0 and below 1, found {value}")


def different(config: Any, *names: str) -> None:
    """Every field of ``names`` is a tuple of one value or more, none of them listed twice.

    Raises:
        ValueError: see :func:`at_least`.
    """
    for name in names:
        values = getattr(config, name)
        if not values:
            raise ValueError(f"{name}: one value at least, found none")
        if len(set(values)) < len(values):
            raise ValueError(f"{name}: a value is listed twice: {', '.join(map(str, values))}")


def _values(config: Any, names: tuple[str, ...]) -> list[tuple[str, float]]:
    """Fields and their numbers; None, where a field need not have a value, is left out."""
    found = []
    for name in names:
        value = getattr(config, name)
        found += [
            (name, item) for item in (value if isinstance(value, tuple) else (value,)) if item is not None
        ]
    return found
