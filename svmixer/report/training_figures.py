"""Figures of trainings: losses and validation, student and teacher, weights of hidden states."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from svmixer.report.experiment import TRAININGS, Experiment, layer_weights
from svmixer.report.figure import COLOURS, DASHES, Figure, Trace, View, axis, line, numbers

Records = list[dict[str, Any]]

LOSSES = {"train_loss": "loss", "train_speaker": "speaker loss", "train_distill": "distillation loss"}
_LAYER = re.compile(r"train_cosine_layer(-?\d+)")


def curve_figure(experiments: Sequence[Experiment]) -> Figure:
    """Losses, validation and learning rate over the epochs, a view for each training."""
    about = (
        "Training losses, what the epochs are judged by on the validation set, and the learning rate. The "
        "best epochs are averaged into the model."
    )
    views = []
    for stage, name in TRAININGS.items():
        logs = {one.name: one.logs[stage] for one in experiments if stage in one.logs}
        if logs:
            views.append(_curve_view(name, logs, {one.name: n for n, one in enumerate(experiments)}))
    return Figure("training", "Training", about, views)


def _curve_view(name: str, logs: dict[str, Records], places: dict[str, int]) -> View:
    several, traces, rows, lowest = len(places) > 1, [], [], []
    metric = "valid_eer" if any("valid_eer" in records[-1] for records in logs.values()) else "valid_loss"
    valid = "validation EER" if metric == "valid_eer" else "validation loss"
    for experiment, records in logs.items():
        own, group = COLOURS[places[experiment] % len(COLOURS)], experiment if several else ""
        for number, (key, text) in enumerate(LOSSES.items()):
            colour, dash = (own, DASHES[number]) if several else (COLOURS[number], "solid")
            traces += _over_epochs(records, key, text, colour, group, dash=dash)
        more = {"yaxis": "y2", "marker": {"size": 6, "color": own}, "mode": "lines+markers"}
        traces += _over_epochs(records, metric, valid, own, group, **more)
        rate = own if several else COLOURS[3]
        traces += _over_epochs(records, "lr", "learning rate", rate, group, yaxis="y3", shape="hv")
        rows += [
            [experiment, *(_cell(record.get(key)) for key in ("epoch", *LOSSES, metric, "lr"))]
            for record in records
        ]
        judged = [(record[metric], record["epoch"]) for record in records if record.get(metric) is not None]
        if judged:
            value, epoch = min(judged)
            lowest.append(
                f"{valid} is lowest after epoch {epoch}, {value:.4g}{f' ({group})' if group else ''}"
            )
    layout = {
        "height": 560,
        "xaxis": axis("epoch", anchor="y3"),
        "yaxis": axis("loss", domain=[0.68, 1.0]),
        "yaxis2": axis("EER, %" if metric == "valid_eer" else "loss", domain=[0.32, 0.6]),
        "yaxis3": axis("rate", domain=[0.0, 0.24], type="log", exponentformat="power", nticks=4),
    }
    header = ("experiment", "epoch", *LOSSES.values(), valid, "learning rate")
    note = f"The {'; the '.join(lowest)}." if lowest else ""
    return View(name, traces, layout, header, rows, note)


def _over_epochs(
    records: Records, key: str, name: str, colour: str, group: str = "", **more: Any
) -> list[Trace]:
    """A line, or none where the log has no such figures; lines of one group are switched together."""
    points = [(record["epoch"], record[key]) for record in records if record.get(key) is not None]
    if not points:
        return []
    epochs, values = zip(*points, strict=True)
    text = f"{group}, {name}" if group else name
    hover = "epoch %{x}: %{y:.5g}<extra>" + text + "</extra>"
    return [line(list(epochs), numbers(values), group or name, colour, hovertemplate=hover, **more)]


def _cell(value: Any) -> str:
    return "" if value is None else f"{value:.5g}"


def similarity_figure(experiments: Sequence[Experiment]) -> Figure:
    """How near the student's predictions came to the teacher's states, as the logs have it."""
    about = (
        "Mean cosine between what heads on the student's last state predict and the teacher's states, over "
        "the frames of an epoch's training crops. By layer where the distillation predicts several."
    )
    views = [view for stage in TRAININGS for view in _similarity_views(stage, experiments)]
    return Figure("similarity", "Student and teacher", about, views)


def _similarity_views(stage: str, experiments: Sequence[Experiment]) -> Iterator[View]:
    by_layer: dict[str, dict[int, float]] = {}
    traces, rows = [], []
    for number, experiment in enumerate(experiments):
        records = experiment.logs.get(stage, [])
        colour = COLOURS[number % len(COLOURS)]
        traces += _over_epochs(records, "train_cosine", experiment.name, colour, mode="lines+markers")
        rows += [
            [experiment.name, _cell(record["epoch"]), _cell(record["train_cosine"])]
            for record in records
            if "train_cosine" in record
        ]
        last = records[-1] if records else {}
        layers = {int(match[1]): value for key, value in last.items() if (match := _LAYER.fullmatch(key))}
        if layers:
            by_layer[experiment.name] = dict(sorted(layers.items()))
    if by_layer:
        names = [experiment.name for experiment in experiments]
        bars = [_bars(n, v, COLOURS[names.index(n) % len(COLOURS)]) for n, v in by_layer.items()]
        yield View(
            f"{TRAININGS[stage]}, by layer after the last epoch",
            bars,
            {"xaxis": axis("layer of the teacher", type="category"), "yaxis": axis("cosine")},
            ("experiment", "layer", "cosine"),
            [[n, str(layer), _cell(value)] for n, of in by_layer.items() for layer, value in of.items()],
        )
    if traces:
        layout = {"xaxis": axis("epoch"), "yaxis": axis("cosine")}
        yield View(f"{TRAININGS[stage]}, mean", traces, layout, ("experiment", "epoch", "cosine"), rows)


def weight_figure(experiments: Sequence[Experiment]) -> Figure:
    """Weights of the encoder's hidden states in the sum that the backend reads."""
    about = (
        "Which hidden states the backend reads: its input is their weighted sum. The weights are used as "
        "they are, without softmax, so they may be negative and need not sum to one; what a state "
        "contributes also depends on its size. State 0 is the front end's output, state n that of layer n."
    )
    found = {}
    for experiment in experiments:
        for model in experiment.models[:1]:
            weights = layer_weights(model)
            if weights is not None:
                found[experiment.name] = dict(enumerate(weights))
    names = [experiment.name for experiment in experiments]
    traces = [_bars(name, of, COLOURS[names.index(name) % len(COLOURS)]) for name, of in found.items()]
    layout = {"xaxis": axis("hidden state", type="category"), "yaxis": axis("weight")}
    rows = [[name, str(state), f"{value:.4f}"] for name, of in found.items() for state, value in of.items()]
    views = [View("", traces, layout, ("experiment", "state", "weight"), rows)] if found else []
    return Figure("weights", "Weights of the hidden states", about, views)


def _bars(name: str, values: dict[int, float | np.floating], colour: str) -> Trace:
    return {
        "type": "bar", "name": name, "legendgroup": name, "x": [str(key) for key in values],
        "y": numbers(list(values.values())), "marker": {"color": colour},
        "hovertemplate": "%{x}: %{y:.4f}<extra>" + name + "</extra>",
    }  # fmt: skip
