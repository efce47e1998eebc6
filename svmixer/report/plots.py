"""Plots of a run as PNG: DET curves, score histograms, training curves."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import matplotlib

matplotlib.use("Agg")

import numpy as np
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from svmixer.fileio import atomic_path
from svmixer.report.curves import det_ticks, lowest_rate, probit
from svmixer.report.results import BASELINE, CONTROLS, MODEL, Result
from svmixer.scoring.calibration import reliability
from svmixer.scoring.likelihood_ratio import cllr
from svmixer.scoring.metrics import equal_error_rate, error_rates

# Colours that colour-blind readers tell apart (Okabe and Ito).
BLUE, ORANGE, GREEN, PINK, GREY = "#0072B2", "#D55E00", "#009E73", "#CC79A7", "#666666"
SYSTEM_COLOURS = dict(zip((MODEL, *CONTROLS, BASELINE), (BLUE, ORANGE, GREEN, PINK), strict=True))
# Of one system's conditions.
LINES = (
    "-",
    (0, (4, 2)),
    (0, (1, 1.5)),
    (0, (6, 2, 1, 2)),
    (0, (8, 3)),
    (0, (2, 3)),
    (0, (6, 2, 1, 2, 1, 2)),
)
STYLE = {
    "font.size": 9,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "grid.color": "#E3E3E3",
    "grid.linewidth": 0.6,
    "axes.axisbelow": True,
    "legend.frameon": False,
}


def plot_det(results: Sequence[Result], path: str | Path) -> None:
    """DET curves (false alarm against miss, probit axes) of all results, one panel a test set; dots mark the
    EER.
    """
    counts = Counter(result.metrics["set"] for result in results)
    sets = list(counts)
    # Square panels, and below them a line of the legend for each curve.
    size = (5 * len(sets), 5.1 + 0.25 * max(counts.values()))
    with plt.rc_context(STYLE):
        figure, axes = plt.subplots(1, len(sets), figsize=size, squeeze=False, layout="constrained")
        for axis, name in zip(axes[0], sets, strict=True):
            _det_panel(axis, [result for result in results if result.metrics["set"] == name])
            axis.set_title(name)
        save_figure(figure, path)


def plot_histograms(results: Sequence[Result], path: str | Path) -> None:
    """Distribution of target and non-target scores with the EER threshold, one panel a result."""
    columns = min(2, len(results))
    rows = -(-len(results) // columns)
    with plt.rc_context(STYLE):
        size = (5 * columns, 2.6 * rows)
        figure, axes = plt.subplots(rows, columns, figsize=size, squeeze=False, layout="constrained")
        for axis, result in zip(axes.flat, results, strict=False):
            _histogram_panel(axis, result)
        for axis in axes.flat[len(results) :]:
            axis.set_visible(False)
        axes[0, 0].legend()
        save_figure(figure, path)


def plot_curves(logs: dict[str, list[dict[str, Any]]], path: str | Path) -> None:
    """Losses, validation figures and learning rate over the epochs, one column a training stage.

    Args:
        logs: name of the stage → its records, at least one each.
        path: of the PNG.
    """
    with plt.rc_context(STYLE):
        size = (4.6 * len(logs), 6.4)
        figure, axes = plt.subplots(
            3, len(logs), figsize=size, sharex="col", squeeze=False, layout="constrained"
        )
        for column, (stage, records) in enumerate(logs.items()):
            loss, valid, rate = axes[:, column]
            loss.set_title(stage)
            _series(loss, records, [key for key in records[-1] if key in _LOSSES], "loss")
            metric = "valid_eer" if "valid_eer" in records[-1] else "valid_loss"
            _series(
                valid, records, [metric], "validation EER, %" if metric == "valid_eer" else "validation loss"
            )
            _mark_lowest(valid, records, metric)
            _series(rate, records, ["lr"], "learning rate")
            rate.set_yscale("log")
            rate.set_xlabel("epoch")
            rate.xaxis.set_major_locator(MaxNLocator(integer=True))
        save_figure(figure, path)


def plot_reliability(ratios: np.ndarray, labels: np.ndarray, path: str | Path) -> None:
    """Observed against predicted share of targets, at a target prior of one half, with the bins' trials.

    Args:
        ratios: log-likelihood ratios ``(N,)``, natural logarithm.
        labels: ``(N,)``, 1 = target, 0 = non-target.
        path: ends in ``.png`` or ``.svg``.
    """
    found = reliability(ratios, labels)
    with plt.rc_context(STYLE):
        figure, axis = plt.subplots(figsize=(4.4, 4.4), layout="constrained")
        axis.plot([0, 1], [0, 1], color=GREY, linewidth=0.6, linestyle=":")
        axis.plot(found.predicted, found.observed, color=BLUE, marker="o", markersize=5)
        for place, targets, nontargets in zip(
            zip(found.predicted, found.observed, strict=True), found.targets, found.nontargets, strict=True
        ):
            text = f"{targets} of {targets + nontargets}"
            axis.annotate(text, place, textcoords="offset points", xytext=(6, -9), fontsize=7)
        label = f"Cllr {cllr(ratios, labels):.4f} bits"
        axis.set(xlim=(0, 1), ylim=(0, 1), aspect="equal", title=label)
        axis.set(xlabel="predicted share of targets", ylabel="observed share of targets")
        save_figure(figure, path)


_LOSSES = {"train_loss": "total", "train_speaker": "speaker", "train_distill": "distillation"}


def _det_panel(axis: Axes, results: Sequence[Result]) -> None:
    lowest, drawn = 1.0, Counter[str]()
    for result in results:
        scores, labels = result.load()
        rates = error_rates(scores, labels)
        lowest = min(lowest, lowest_rate(labels))
        line = LINES[drawn[result.kind] % len(LINES)]
        drawn[result.kind] += 1
        colour = SYSTEM_COLOURS[result.kind]
        label = f"{result.system}, {result.condition.name}: {result.metrics['eer']:.2f} %"
        axis.plot(probit(rates.false_alarm), probit(rates.miss), color=colour, linestyle=line, label=label)
        eer = probit(equal_error_rate(rates)[0])
        axis.plot(eer, eer, "o", color=colour, markersize=4)
    limits = probit(np.array([lowest, 0.6]))
    axis.plot(limits, limits, color=GREY, linewidth=0.6, linestyle=":")
    for one in (axis.xaxis, axis.yaxis):
        one.set_ticks(*det_ticks(lowest))
    axis.set(xlim=limits, ylim=limits, xlabel="false alarms, %", ylabel="misses, %", aspect="equal")
    axis.legend(loc="upper center", bbox_to_anchor=(0.5, -0.11), title="equal error rate (dots)")


def _histogram_panel(axis: Axes, result: Result) -> None:
    scores, labels = result.load()
    edges = np.histogram_bin_edges(scores, 50)
    for label, name, colour in ((0, "non-target", ORANGE), (1, "target", BLUE)):
        axis.hist(scores[labels == label], edges, density=True, alpha=0.55, color=colour, label=name)
    threshold = result.metrics["eer_threshold"]
    axis.axvline(threshold, color=GREY, linewidth=1, linestyle="--", label="EER threshold")
    axis.set_title(f"{result.metrics['set']}, {result.system}, {result.condition.name}", fontsize=9)
    axis.set(xlabel="score", ylabel="density")
    axis.grid(axis="x", visible=False)


def _series(axis: Axes, records: list[dict[str, Any]], keys: list[str], label: str) -> None:
    for key, colour in zip(keys, (BLUE, ORANGE, GREEN), strict=False):
        points = [(record["epoch"], record[key]) for record in records if record.get(key) is not None]
        if points:
            axis.plot(
                *zip(*points, strict=True),
                color=colour,
                marker=".",
                markersize=4,
                label=_LOSSES.get(key, key),
            )
    axis.set_ylabel(label)
    if len(keys) > 1:
        axis.legend()


def _mark_lowest(axis: Axes, records: list[dict[str, Any]], key: str) -> None:
    points = [(record[key], record["epoch"]) for record in records if record.get(key) is not None]
    if points:
        value, epoch = min(points)
        axis.plot(epoch, value, "o", color=BLUE, markersize=6, fillstyle="none")
        axis.annotate(f"{value:.3g}", (epoch, value), textcoords="offset points", xytext=(0, 7), ha="center")


def save_figure(figure: Figure, path: str | Path) -> None:
    """Write a figure as PNG, or as SVG by its name, whole or not at all, and close it."""
    kind = "svg" if Path(path).suffix == ".svg" else "png"
    # A fixed entry keeps the file the same from one matplotlib to the next, as far as its drawing is.
    metadata = {"Date": None, "Creator": "svmixer"} if kind == "svg" else {"Software": "svmixer"}
    with atomic_path(path) as temporary:
        figure.savefig(temporary, format=kind, dpi=130, metadata=metadata)
    plt.close(figure)
