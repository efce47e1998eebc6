"""Interactive figures as plain data: traces and layouts of plotly.js, with the same numbers as a table.

Colours are names, ``$0`` to ``$7``, ``$ink`` and ``$faint``, which the page turns into those of its light or
dark form.
"""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from svmixer.report.tables import with_interval

COLOURS = tuple(f"${number}" for number in range(8))
INK, FAINT = "$ink", "$faint"
DASHES = ("solid", "dash", "dot", "dashdot", "longdash", "longdashdot")

Trace = dict[str, Any]


@dataclass(frozen=True)
class View:
    """One form of a figure, chosen by its name."""

    name: str
    traces: list[Trace]
    layout: dict[str, Any]
    # The numbers as a table.
    header: Sequence[str]
    rows: list[list[str]]
    # A sentence under this view.
    note: str = ""


@dataclass(frozen=True)
class Figure:
    """A plot of one or several views."""

    # Its anchor.
    key: str
    title: str
    # What is to be seen.
    about: str
    views: list[View] = field(default_factory=list)

    def data(self) -> list[dict[str, Any]]:
        """What the page's script draws."""
        return [
            {"name": view.name, "note": view.note, "traces": view.traces, "layout": view.layout}
            for view in self.views
        ]


def numbers(values: np.ndarray | Sequence[float], digits: int = 7) -> list[float]:
    """Plain numbers of so many significant digits, which keeps pages small."""
    return [float(f"{value:.{digits}g}") for value in np.asarray(values, dtype=np.float64).tolist()]


def line(x: Sequence[float], y: Sequence[float], name: str, colour: str, **more: Any) -> Trace:
    """A line; ``dash``, ``shape`` and ``width`` are its own, everything else is the trace's."""
    style = {key: more.pop(key) for key in ("dash", "shape", "width") if key in more}
    return {
        "type": "scatter", "mode": "lines", "x": x, "y": y, "name": name, "legendgroup": name,
        "line": {"color": colour, "width": 2, **style}, **more,
    }  # fmt: skip


def diagonal(low: float, high: float) -> Trace:
    """A thin line from corner to corner that says nothing."""
    return line([low, high], [low, high], "", FAINT, dash="dot", width=1, hoverinfo="skip", showlegend=False)


def axis(title: str, **more: Any) -> dict[str, Any]:
    """An axis with a title."""
    return {"title": {"text": title}, **more}


@dataclass(frozen=True)
class Estimate:
    """A figure with its interval, in percent."""

    value: float
    interval: Sequence[float] | None

    def __str__(self) -> str:
        return with_interval(self.value, self.interval)


def error_bars(estimates: Sequence[Estimate], colour: str) -> dict[str, Any]:
    """The intervals around points, none where it is not known."""
    ends = [estimate.interval or (estimate.value, estimate.value) for estimate in estimates]
    pairs = list(zip(estimates, ends, strict=True))
    return {
        "type": "data", "symmetric": False, "color": colour, "thickness": 1.5, "width": 4,
        "array": numbers([high - estimate.value for estimate, (_, high) in pairs]),
        "arrayminus": numbers([estimate.value - low for estimate, (low, _) in pairs]),
    }  # fmt: skip


def dots(labels: Sequence[str], series: dict[str, tuple[str, list[Estimate | None]]]) -> View:
    """Rows of points with their intervals, one series beside the other.

    Args:
        labels: of the rows, from above.
        series: name → its colour, and its figure in each row.
    """
    traces = []
    for number, (name, (colour, estimates)) in enumerate(series.items()):
        shift = (number - (len(series) - 1) / 2) * min(0.2, 0.7 / len(series))
        rows = [(row, estimate) for row, estimate in enumerate(estimates) if estimate is not None]
        known = [estimate for _, estimate in rows]
        traces.append({
            "type": "scatter", "mode": "markers", "name": name, "legendgroup": name,
            "x": numbers([estimate.value for estimate in known]), "y": [row + shift for row, _ in rows],
            "error_x": error_bars(known, colour), "marker": {"color": colour, "size": 9},
            "text": [f"{labels[row]}: {estimate} %" for row, estimate in rows],
            "hovertemplate": "%{text}<extra>%{fullData.name}</extra>",
        })  # fmt: skip
    texts = ["<br>".join(textwrap.wrap(label, 17)) for label in labels]
    layout = {
        "height": 110 + max(34, 18 * len(series)) * len(labels),
        "xaxis": axis("EER, %", rangemode="tozero"),
        "yaxis": {
            "tickvals": list(range(len(labels))), "ticktext": texts, "automargin": True, "zeroline": False,
            "range": [len(labels) - 0.5, -0.5],
        },
    }  # fmt: skip
    rows = [
        [label, *(str(estimates[row] or "-") for _, estimates in series.values())]
        for row, label in enumerate(labels)
    ]
    return View("", traces, layout, ["", *(f"{name}, EER % [95 %]" for name in series)], rows)
