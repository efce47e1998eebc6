"""Logging to standard error with time and place, and progress with rate and ETA, for every program."""

from __future__ import annotations

import logging
import sys
import time
from datetime import timedelta
from logging import Logger


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
        """``done`` of the items are finished, ``found`` of them were so before, so that the speed is that of
        the others; ``audio_seconds`` of audio went through, if that is known."""
        now = time.monotonic()
        if now - self._reported < REPORT_EVERY and done < self._total:
            return
        self._reported = now
        elapsed = max(now - self._begin, 1e-9)
        per_second = (done - found) / elapsed
        left = _time((self._total - done) / per_second) if per_second else "unknown"
        speed = f", {audio_seconds / elapsed:.0f} times real time" if audio_seconds else ""
        self._logger.info(
            "%d/%d %s, %.1f a second%s, %s left", done, self._total, self._unit, per_second, speed, left
        )


class TrainingProgress:
    """A line every few optimiser steps, with the times of the steps since the line before.

    Args:
        logger: where the lines go.
        epoch: this one, from 1.
        epochs: how many there are at most.
        steps: optimiser steps of an epoch.
        done: how many of them were taken before.
        utterances: of a step, over all processes.

    Attributes:
        data_time: seconds spent waiting for data since the last line; whoever waits adds to it.
    """

    def __init__(
        self, logger: Logger, epoch: int, epochs: int, steps: int, done: int, utterances: int
    ) -> None:
        self._logger, self._epoch, self._epochs, self._steps = logger, epoch, epochs, steps
        self._utterances, self._last_step = utterances, done
        self.data_time = 0.0
        self._reported = time.perf_counter()

    def show(self, step: int, metrics: dict[str, float], lr: float) -> None:
        """Print the line of optimiser step ``step`` (from 1 within the epoch)."""
        now = time.perf_counter()
        taken = step - self._last_step
        total, data = (now - self._reported) / taken, self.data_time / taken
        left = _time(((self._epochs - self._epoch) * self._steps + self._steps - step) * total)
        values = " ".join(f"{name} {value:.4f}" for name, value in metrics.items())
        self._logger.info(
            "epoch %d/%d step %d/%d %s lr %.2e | data %.3f s, compute %.3f s a step, %.1f utt/s, %s left",
            self._epoch, self._epochs, step, self._steps, values, lr,
            data, total - data, self._utterances / total, left,
        )  # fmt: skip
        self._reported, self._last_step, self.data_time = now, step, 0.0


def _time(seconds: float) -> timedelta:
    return timedelta(seconds=round(seconds))
