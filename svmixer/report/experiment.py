"""One experiment as the pages of results see it: its results, logs, record, and what its model is."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from svmixer.config import load, to_dict
from svmixer.errors import SvmixerError
from svmixer.inference.embedding_model import find_directory
from svmixer.report.places import without_places
from svmixer.report.results import MODEL, Result, find_results, read_log, read_run
from svmixer.yaml_files import read_yaml

# Trainings of an experiment, with their names on pages.
TRAININGS = {"distill": "distillation (stage 3)", "train": "speaker training (stage 4)"}


@dataclass(frozen=True)
class Experiment:
    """A finished experiment; see :func:`read_experiment`."""

    folder: Path
    # What it is called on the page.
    name: str
    # What its model is called in tables.
    system: str
    # Markdown of the recipe.
    notes: str
    results: list[Result]
    # What run.json holds; empty without one.
    run: dict[str, Any]

    @cached_property
    def logs(self) -> dict[str, list[dict[str, Any]]]:
        """Training → the records of its log, for those that have any."""
        logs = {stage: read_log(self.folder / stage / "log.jsonl") for stage in TRAININGS}
        return {stage: records for stage, records in logs.items() if records}

    @cached_property
    def main(self) -> list[Result]:
        """The model's result on each test set: of the audio as it is, raw scores, if there is such a one."""
        of_model = [result for result in self.results if result.kind == MODEL]
        sets = dict.fromkeys(result.condition.set for result in of_model)
        found = {}
        for result in sorted(of_model, key=lambda result: not result.condition.plain):
            found.setdefault(result.condition.set, result)
        return [found[name] for name in sets if name in found]

    @cached_property
    def models(self) -> list[str]:
        """Model directories, or names, that were scored."""
        return list(dict.fromkeys(r.metrics["model"] for r in self.results if r.kind == MODEL))

    @cached_property
    def costs(self) -> list[list[dict[str, Any]]]:
        """Of each model whose directory is still there: the rows of ``svmixer complexity``, the last of which
        is the whole system.
        """
        from svmixer.models.config import ModelConfig
        from svmixer.models.costs import model_rows

        paths = [Path(model) / "config.yaml" for model in self.models]
        return [list(model_rows(load(ModelConfig, path))) for path in paths if path.is_file()]

    def teacher(self) -> str | None:
        """Name or directory of the teacher, empty if it was trained without one; None: the model was not
        trained here or there is no record of it.
        """
        for stage in reversed(TRAININGS):
            config = self._training_config(stage)
            if config:
                return str(config.get("teacher") or "")
        return None

    def settings(self, stage: str, defaults: Any) -> list[list[str]]:
        """Rows (key, value, default) of a training's options that differ from the defaults.

        Args:
            stage: a key of TRAININGS.
            defaults: the configuration as it is without options, a dataclass.
        """
        found, usual = dict(_leaves(self._training_config(stage))), dict(_leaves(to_dict(defaults)))
        # Where its files go says nothing about a training.
        return [
            [key, _short(value), _short(usual.get(key))]
            for key, value in found.items()
            if key != "output_dir" and value != usual.get(key)
        ]

    def _training_config(self, stage: str) -> dict[str, Any]:
        path = self.folder / stage / "config.yaml"
        return read_yaml(path) if path.is_file() else {}


def read_experiment(exp_dir: str | Path, system: str = "", notes: str = "", name: str = "") -> Experiment:
    """The experiment in a folder.

    Args:
        exp_dir: with ``score/*`` and, as far as they exist, ``control*/*``, ``distill``, ``train``,
            ``run.json``.
        system: what its model is called in tables; empty: what it is, see :func:`model_kind`.
        notes: Markdown of the recipe.
        name: what it is called on the page; empty: as its folder.

    Raises:
        ReportError: no results.
    """
    exp_dir = Path(exp_dir)
    system = system or model_kind(exp_dir)
    results = find_results(exp_dir, system)
    return Experiment(
        exp_dir, name or Path(os.path.abspath(exp_dir)).name, system, notes, results, read_run(exp_dir)
    )


def model_kind(exp_dir: str | Path) -> str:
    """What the model that was trained in an experiment is: a distilled student, a fine-tuned teacher
    or a model that was adapted.
    """
    from svmixer.models.config import ModelConfig

    path = Path(exp_dir) / "train/model/config.yaml"
    config = load(ModelConfig, path) if path.is_file() else ModelConfig()
    if config.adapted_from:
        return f"{config.adapted_from}, adapted"
    return "distilled student" if config.teacher is None else "fine-tuned teacher"


def teacher_experiment(experiment: Experiment) -> Path | None:
    """The folder of the experiment that trained the teacher, if it was scored as a system of its own."""
    teacher = experiment.teacher()
    if not teacher:
        return None
    place = Path(teacher)
    # exp/TAG/export, exp/TAG/train/model
    for folder in (place.parent, place.parent.parent):
        if folder != experiment.folder and any(folder.glob(f"{MODEL}/*/metrics.json")):
            return folder
    return None


def layer_weights(model: str) -> np.ndarray | None:
    """Weights ``(L + 1,)`` of the weighted sum of hidden states that a model's backend starts with; None
    where it has none or its file is not there.
    """
    try:
        from safetensors import SafetensorError, safe_open

        with safe_open(find_directory(model, "model") / "model.safetensors", "np") as file:
            return file.get_tensor("backend.w").astype(np.float64).ravel()
    except (SvmixerError, SafetensorError, OSError):
        return None


def changed_options(run: dict[str, Any]) -> list[list[str]] | None:
    """Rows (option, value, default) of a recorded run's options that differ from their defaults; None where
    these are not recorded.
    """
    usual = run.get("defaults")
    if not usual:
        return None
    return [
        [name, _short(value), _short(usual.get(name, ""))]
        for name, value in run["options"].items()
        if str(value) != usual.get(name, "")
    ]


def _leaves(section: dict[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Dotted key and value of everything in nested sections."""
    for key, value in section.items():
        if isinstance(value, dict):
            yield from _leaves(value, f"{prefix}{key}.")
        else:
            yield prefix + key, value


def _short(value: Any) -> str:
    """A value as text without places; empty for none."""
    if value is None:
        return ""
    return without_places(value if isinstance(value, str) else json.dumps(value, ensure_ascii=False))
