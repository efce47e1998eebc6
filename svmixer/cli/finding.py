"""One line of ``svmixer doctor``."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class Finding:
    """What was looked at, and what to do about it."""

    name: str
    # fail: verify or embed will not work; warn: something else will not, or only slowly.
    state: Literal["ok", "warn", "fail"]
    found: str
    # What to do; empty where there is nothing to do.
    advice: str = ""
