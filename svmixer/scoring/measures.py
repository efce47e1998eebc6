"""Quality measures of both sides of a trial, as further terms of a calibration: durations, levels, …"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from svmixer.errors import UsageError
from svmixer.lists import ListError, Trials, utterance_of_path
from svmixer.lists.enroll_map import Models
from svmixer.lists.table import iter_table

# Of the values of both sides (N,); none depends on which side is which.
FUNCTIONS: dict[str, Callable[[np.ndarray, np.ndarray], np.ndarray]] = {
    "min": np.minimum,
    "max": np.maximum,
    "mean": lambda first, second: (first + second) / 2,
    "difference": lambda first, second: np.abs(first - second),
}
LOG = "log_"


@dataclass(frozen=True)
class Measure:
    """A list ``utterance value`` and what a trial has of the values of its sides."""

    path: Path
    # Of FUNCTIONS, with LOG in front for the logarithm of the values.
    function: str

    @property
    def name(self) -> str:
        """``utt2dur:log_min``: what a calibration knows it by."""
        return f"{self.path.name}:{self.function}"


def parse_measure(text: str) -> Measure:
    """``FILE:FUNCTION``.

    Raises:
        UsageError: another form, or no such function.
    """
    path, colon, function = text.rpartition(":")
    if not colon or function.removeprefix(LOG) not in FUNCTIONS:
        known = ", ".join(FUNCTIONS)
        raise UsageError(
            f"measures: expected FILE:FUNCTION, found '{text}'; functions: {known}, also as log_min"
        )
    return Measure(Path(path), function)


def measure_terms(measures: Sequence[Measure], trials: Trials, models: Models | None = None) -> np.ndarray:
    """Values ``float64 (N, M)`` of M measures of N trials.

    Args:
        measures: what to compute.
        trials: the list. A name may be an audio path where the table has the utterance id.
        models: utterances of the models that the first column names; a model has the mean of its utterances'
            values, before the logarithm.

    Raises:
        ListError: an utterance is missing in a table, or has a value that is no finite number or has no
            logarithm.
    """
    columns = []
    for measure in measures:
        table = _read_values(measure)
        used = {index: [trials.utterances[index]] for index in np.unique(trials.test).tolist()}
        enrolled = {index: [trials.utterances[index]] for index in np.unique(trials.enrol).tolist()}
        if models is not None:
            enrolled = {index: models.get(names[0], names) for index, names in enrolled.items()}
        sides = [
            _of_names(measure, table, names, len(trials.utterances))[rows]
            for names, rows in ((enrolled, trials.enrol), (used, trials.test))
        ]
        columns.append(FUNCTIONS[measure.function.removeprefix(LOG)](*sides))
    return np.stack(columns, axis=1) if columns else np.empty((len(trials), 0))


def _read_values(measure: Measure) -> dict[str, float]:
    table = {}
    for line, utterance, text in iter_table(measure.path):
        try:
            value = float(text)
        except ValueError:
            value = np.nan
        if not np.isfinite(value):
            raise ListError(
                f"expected a number, found '{text}'", path=measure.path, line=line, utterance=utterance
            )
        if measure.function.startswith(LOG) and value <= 0:
            what = f"{text} has no logarithm; take a measure without log_"
            raise ListError(what, path=measure.path, line=line, utterance=utterance)
        table[utterance] = value
    return table


def _of_names(
    measure: Measure, table: dict[str, float], names: dict[int, list[str]], size: int
) -> np.ndarray:
    """Values ``(size,)`` at the places ``names``; of several utterances the mean."""
    values = np.zeros(size)
    for index, utterances in names.items():
        found = []
        for utterance in utterances:
            value = table.get(utterance, table.get(utterance_of_path(utterance)))
            if value is None:
                raise ListError(
                    "is in the trial list and has no value here", path=measure.path, utterance=utterance
                )
            found.append(value)
        values[index] = sum(found) / len(found)
        if measure.function.startswith(LOG):
            values[index] = np.log(values[index])
    return values
