"""Reports as one HTML file that needs nothing else: of one experiment, or of several side by side."""

from __future__ import annotations

import base64
import functools
import gzip
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from markupsafe import Markup

import svmixer
from svmixer.fileio import atomic_write
from svmixer.report.differences import Draws, control_differences
from svmixer.report.eer_figures import condition_figure, cost_figure, group_figure
from svmixer.report.experiment import (
    TRAININGS,
    Experiment,
    changed_options,
    read_experiment,
    teacher_experiment,
)
from svmixer.report.figure import COLOURS, DASHES, Figure
from svmixer.report.hardest import CLIP_BYTES, CLIP_SECONDS, WrongTrial, clips, wrong_trials
from svmixer.report.headline import headlines
from svmixer.report.places import without_places
from svmixer.report.rendering import render
from svmixer.report.results import Result
from svmixer.report.score_figures import Drawn, det_figure, drawn, histogram_figure, reliability_figure
from svmixer.report.tables import complexity_rows, list_rows, result_rows
from svmixer.report.training_figures import curve_figure, similarity_figure, weight_figure
from svmixer.training.config import TrainConfig


@dataclass(frozen=True)
class Extras:
    """What a report may have or not."""

    # Pieces of the recordings of the hardest wrong trials.
    audio: bool = True
    # Experiment of the teacher as a system; empty: where the teacher lies, if it has results.
    teacher: str = ""


def write_document(
    experiments: Sequence[Experiment], output: str | Path, extras: Extras, draws: Draws
) -> None:
    """Write the report of one experiment, or of several, the first of which the others are compared with.

    Args:
        experiments: one at least.
        output: the HTML file.
        extras: see there.
        draws: figures that are known already.

    Raises:
        ReportError: the results do not fit their trial lists.
    """
    several = len(experiments) > 1
    teacher = None if several else _teacher(experiments[0], extras)
    figures = _figures(experiments, teacher)
    # A page of several is about what differs between them.
    shown = [] if several else experiments[0].main
    wrong = [(_place(result), result, wrong_trials(result)) for result in shown]
    parts = [
        *((figure.key, figure.title) for figure in figures),
        *([("wrong", "Wrong trials")] if wrong else []),
    ]
    text = render(
        "report.html.j2",
        title=_title(experiments),
        parts=[*parts, ("provenance", "Lists, commands, environment")],
        headlines=headlines(experiments, teacher, draws),
        notes="" if several else _from_markdown(experiments[0].notes),
        figures=figures,
        runs=[_provenance(one) for one in experiments],
        version=svmixer.__version__,
        **_tables(experiments, draws),
        **_wrong_values(wrong, extras),
        **_scripts(figures),
    )
    with atomic_write(output) as stream:
        stream.write(text)


def _title(experiments: Sequence[Experiment]) -> str:
    names = [one.name for one in experiments]
    return f"Comparison of {', '.join(names)}" if len(names) > 1 else f"Results of {names[0]}"


def _tables(experiments: Sequence[Experiment], draws: Draws) -> dict[str, Any]:
    """Tables of results, differences and lists; those of several experiments say whose each row is."""

    def whose(experiment: Experiment) -> list[str]:
        return [experiment.name] if len(experiments) > 1 else []

    first = ["experiment"] if len(experiments) > 1 else []
    results = [(one, result_rows(one.results)) for one in experiments]
    differences = [(one, control_differences(one.results, draws)) for one in experiments]
    every = [result for one in experiments for result in one.results]
    return {
        "result_header": [*first, *results[0][1][0]],
        "result_rows": [[*whose(one), *row] for one, (_, rows) in results for row in rows],
        "difference_header": [*first, "set", "difference", "condition", "points of EER [95 %]"],
        "differences": [[*whose(one), *row] for one, rows in differences for row in rows],
        "lists": list_rows(every),
        "bootstrap": next((r.metrics["bootstrap"] for r in every if r.metrics["bootstrap"]), None),
    }


def _wrong_values(wrong: Sequence[tuple[str, Result, list[WrongTrial]]], extras: Extras) -> dict[str, Any]:
    """Wrong trials and the pieces of recordings that go with them."""
    heard = _clips(wrong) if extras.audio else {}
    return {
        "wrong": [(name, rows) for name, _, rows in wrong],
        "audio_note": _audio_note(heard, extras),
        "clips": heard,
        "clips_json": _embedded(heard),
    }


def _scripts(figures: Sequence[Figure]) -> dict[str, Any]:
    """The figures' data, and what draws them."""
    version, packed = _plotly()
    data = _embedded({figure.key: figure.data() for figure in figures})
    return {"figures_json": data, "plotly_version": version, "plotly": packed}


def _teacher(experiment: Experiment, extras: Extras) -> Experiment | None:
    folder = Path(extras.teacher) if extras.teacher else teacher_experiment(experiment)
    return read_experiment(folder) if folder else None


def _figures(experiments: Sequence[Experiment], teacher: Experiment | None) -> list[Figure]:
    """Those that have something to show."""
    every = drawn(experiments)
    beside: list[Drawn] = []
    if teacher is not None:
        name = f"teacher, {teacher.name}"
        beside = [Drawn(result, name, name, COLOURS[4], DASHES[0]) for result in teacher.main]
    figures = [
        det_figure([*every, *beside]),
        histogram_figure(every),
        reliability_figure(every),
        condition_figure([*every, *beside]),
        group_figure(experiments),
        cost_figure(experiments, every) if len(experiments) > 1 else None,
        curve_figure(experiments),
        similarity_figure(experiments),
        weight_figure(experiments),
    ]
    return [figure for figure in figures if figure and figure.views]


def _place(result: Result) -> str:
    condition = result.condition
    return condition.set if condition.plain else f"{condition.set}, {condition.name}"


def _clips(wrong: Sequence[tuple[str, Result, list[WrongTrial]]]) -> dict[str, str]:
    """Of the utterances of wrong trials, an equal share of the room for each test set."""
    found: dict[str, str] = {}
    for _, result, rows in wrong:
        names = [name for one in rows for name in (one.enrol, one.test)]
        found |= clips(result, names, CLIP_BYTES // len(wrong))
    return found


def _audio_note(heard: dict[str, str], extras: Extras) -> str:
    if heard:
        return f"Players have up to {CLIP_SECONDS:g} s from the middle of a recording."
    return "The recordings are not at hand." if extras.audio else "Made without recordings."


def _provenance(experiment: Experiment) -> dict[str, Any]:
    run = experiment.run
    trainings = {name: experiment.settings(stage, TrainConfig()) for stage, name in TRAININGS.items()}
    return {
        "name": experiment.name,
        "commands": [run, *run.get("later", [])] if run else [],
        "changed": changed_options(run),
        "options": [[name, without_places(str(value))] for name, value in run.get("options", {}).items()],
        "trainings": [(name, rows) for name, rows in trainings.items() if rows],
        "environment": run.get("environment", {}),
        "models": [without_places(model) for model in experiment.models],
        "commits": list(dict.fromkeys(result.metrics["commit"] for result in experiment.results)),
        "costs": [complexity_rows(rows) for rows in experiment.costs],
    }


def _from_markdown(text: str) -> Markup:
    import markdown

    return Markup(markdown.markdown(text, extensions=["tables", "fenced_code"]))


def _embedded(value: Any) -> Markup:
    """JSON inside a script element, which nothing in it can end."""
    text = json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    return Markup(text.replace("<", "\\u003c"))


@functools.cache
def _plotly() -> tuple[str, str]:
    """Version of plotly.js, and its text, packed: 2 MB in place of 5."""
    from plotly.offline import get_plotlyjs, get_plotlyjs_version

    packed = gzip.compress(get_plotlyjs().encode(), mtime=0)
    return get_plotlyjs_version(), base64.b64encode(packed).decode()
