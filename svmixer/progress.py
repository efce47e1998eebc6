"""Progress lines of long work: how much is done, how fast, and what is left."""

from __future__ import annotations

import time
from datetime import timedelta
from logging import Logger

# Seconds between two progress lines.
REPORT_EVERY = 10.0


class Progress:
    """Reports at most every ten seconds, and at the end.

    Args:
        logger: where the lines go.
        total: items in all.
        unit: their name in the plural.
    """

    def __init__(self, logger: Logger, total: int, unit: str) -> None:
        self._logger, self._total, self._unit = logger, total, unit
        self._begin = self._reported = time.monotonic()

    def update(self, done: int, found: int = 0, audio_seconds: float = 0.0) -> None:
        """``done`` of the items are finished, ``found`` of them were so before, so that the rate is of the
        others; ``audio_seconds`` of audio went through, if that is known."""
        now = time.monotonic()
        if now - self._reported < REPORT_EVERY and done < self._total:
            return
        self._reported = now
        elapsed = max(now - self._begin, 1e-9)
        rate = (done - found) / elapsed
        left = timedelta(seconds=round((self._total - done) / rate)) if rate else "unknown"
        speed = f", {audio_seconds / elapsed:.0f} times real time" if audio_seconds else ""
        self._logger.info(
            "%d/%d %s, %.1f a second%s, %s left", done, self._total, self._unit, rate, speed, left
        )
