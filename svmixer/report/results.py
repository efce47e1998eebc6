"""What a finished run left on disk: results of trial lists, training logs, the command that made it."""

from __future__ import annotations

import functools
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

import svmixer
from svmixer.errors import SvmixerError
from svmixer.fileio import md5_file, read_json
from svmixer.lists import Trials, read_trials
from svmixer.scoring.result import read_metrics, read_scores, trial_speakers
from svmixer.scoring.scorers import COSINE

# Folders of an experiment that hold results of the model; of one that was scored before the training; of the
# controls, with their names in tables.
MODEL = "score"
BASELINE = "baseline/score"
CONTROLS = {"control": "control, no model", "control_whitened": "control, whitened"}


class ReportError(SvmixerError):
    """Results that are missing or do not belong together; the message names the files."""


class Condition(NamedTuple):
    """A test set, what was done to its audio, and how its trials are scored."""

    # Name of the set.
    set: str
    # Edge of the low-pass filter in Hz; 0 without.
    lowpass_hz: float = 0.0
    # Seconds that longer utterances were cut to; 0 = not cut.
    max_seconds: float = 0.0
    # ``AS-norm`` or ``S-norm``; empty: raw scores.
    norm: str = ""
    # Channel families of enrolment and test side, ``amrnb:opus``; empty without.
    channels: str = ""
    # What scores are if not cosines of the embeddings as they are: ``PLDA``.
    scoring: str = ""

    @property
    def audio(self) -> str:
        """``full band``, ``below 3.8 kHz``, ``full band, 2 s``, ``enrolment amrnb, test opus``."""
        band = f"below {self.lowpass_hz / 1000:g} kHz" if self.lowpass_hz else "full band"
        if self.channels:
            band = "enrolment {}, test {}".format(*self.channels.split(":"))
        return f"{band}, {self.max_seconds:g} s" if self.max_seconds else band

    @property
    def name(self) -> str:
        """``full band``, ``full band, AS-norm``, ``full band, PLDA``."""
        return ", ".join(part for part in (self.audio, self.scoring, self.norm) if part)

    @property
    def plain(self) -> bool:
        """The audio as it is and raw scores."""
        return self == Condition(self.set)

    @property
    def order(self) -> tuple[str, float, float, str, str]:
        """What the conditions of a set are sorted by."""
        return self.channels, self.lowpass_hz, self.max_seconds, self.scoring, self.norm


@dataclass(frozen=True)
class Result:
    """One system on one trial list under one condition."""

    # Folder of `scores` and `metrics.json`.
    directory: Path
    # MODEL, BASELINE or a key of CONTROLS.
    kind: str
    # Name of the system in tables.
    system: str
    # What metrics.json holds.
    metrics: dict[str, Any]

    @property
    def condition(self) -> Condition:
        """What results are compared under."""
        metrics = self.metrics
        # Results of earlier versions know no cut, no channels and no other way of scoring.
        seconds, channels = metrics.get("max_seconds", 0.0), metrics.get("channels", "")
        norm = "" if metrics["normalisation"] == "none" else metrics["normalisation"].partition(",")[0]
        scoring = "" if metrics.get("scoring", COSINE) == COSINE else metrics["scoring"]
        return Condition(metrics["set"], metrics["lowpass_hz"], seconds, norm, channels, scoring)

    @property
    def band(self) -> str:
        """Frequency band, and length where utterances were cut."""
        return self.condition.audio

    def trials(self) -> Trials:
        """The trial list that was scored.

        Raises:
            ReportError: the list has changed since.
        """
        return self._trials

    @functools.cached_property
    def _trials(self) -> Trials:
        path = Path(self.metrics["data_dir"]) / "trials"
        if not path.is_file() or md5_file(path) != self.metrics["trials_md5"]:
            state = "has changed since" if path.is_file() else "is missing"
            raise ReportError(
                f"{path}: {state}, but {self.directory}/scores was made from it; run the score stage again"
            )
        return _read_once(path, self.metrics["trials_md5"])

    def load(self) -> tuple[np.ndarray, np.ndarray]:
        """Scores ``(N,)`` and labels ``(N,)``."""
        return self._scores, self.trials().labels

    @functools.cached_property
    def _scores(self) -> np.ndarray:
        return read_scores(self.directory / "scores", self.trials())

    def load_speakers(self) -> np.ndarray | None:
        """Speakers of each trial, ``(N, 2)``; None where the set does not know them."""
        return trial_speakers(self.trials(), Path(self.metrics["data_dir"]) / "utt2spk")


@functools.lru_cache(maxsize=8)
def _read_once(path: Path, md5: str) -> Trials:
    """A trial list that has this MD5; results on one list share it."""
    return read_trials(path)


def find_results(exp_dir: str | Path, system: str = "student") -> list[Result]:
    """Every result of an experiment: by test set, then the baseline before the model before the controls,
    then the full band first, whole utterances before cut ones, raw scores before normalised ones, channels
    last.

    Args:
        exp_dir: the experiment.
        system: what its model is called in tables.

    Raises:
        ReportError: there is none.
    """
    found = []
    kinds = {BASELINE: "", MODEL: system, **CONTROLS}
    for kind, name in kinds.items():
        for path in sorted((Path(exp_dir) / kind).glob("*/metrics.json")):
            metrics = read_metrics(path.parent)
            found.append(Result(path.parent, kind, name or baseline_name(metrics["model"]), metrics))
    if not found:
        raise ReportError(f"{exp_dir}/{MODEL}: no results (*/metrics.json); run the score stage")
    order = list(kinds)
    return sorted(
        found,
        key=lambda result: (result.condition.set, order.index(result.kind), result.condition.order),
    )


def baseline_name(model: str) -> str:
    """What the model that was scored before the training is called in tables, by its directory."""
    folder = Path(model).resolve()
    shipped = folder.parent == Path(svmixer.__file__).resolve().parent / "assets"
    return f"the shipped model ({folder.name})" if shipped else f"before training ({folder.name})"


def read_log(path: str | Path) -> list[dict[str, Any]]:
    """Records of a training log (one JSON object a line), empty when there is no file.

    Of several records of one step the last counts. A last line without its end, as a killed program leaves
    it, is left out.

    Raises:
        ReportError: another line is not JSON.
    """
    path = Path(path)
    if not path.is_file():
        return []
    lines = path.read_text(encoding="utf-8").splitlines(keepends=True)
    records: dict[int, dict[str, Any]] = {}
    for number, line in enumerate(lines, 1):
        if not line.endswith("\n"):
            break
        try:
            record = json.loads(line)
            records[record["step"]] = record
        except (json.JSONDecodeError, KeyError):
            raise ReportError(f"{path}:{number}: not a JSON record with a step") from None
    return [records[step] for step in sorted(records)]


def read_run(exp_dir: str | Path) -> dict[str, Any]:
    """``run.json`` of an experiment, see :mod:`svmixer.stages.record_run`; empty when there is none."""
    path = Path(exp_dir) / "run.json"
    return read_json(path) if path.is_file() else {}
