"""Comparison of groups of runs that differ in one thing and were repeated with several seeds."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from svmixer.config import ConfigError, load
from svmixer.fileio import atomic_write
from svmixer.report.differences import GroupFigures, difference, group_figures
from svmixer.report.places import without_places
from svmixer.report.rendering import render
from svmixer.report.results import CONTROLS, MODEL, Condition, ReportError, Result, find_results, read_run
from svmixer.report.tables import condition_name, protocol_name, scoring_name, with_interval


def group_costs(groups: dict[str, list[str]]) -> dict[str, dict[str, Any]]:
    """Cost of each group's model, the row ``system`` of ``svmixer complexity``.

    Args:
        groups: name → experiment folders.

    Raises:
        ReportError: an experiment has no trained model, or models of one group differ in cost.
    """
    costs = {}
    for name, folders in groups.items():
        found = [_cost_of(Path(folder)) for folder in folders]
        if any(cost != found[0] for cost in found):
            raise ReportError(f"{name}: the models of its experiments differ in size: {', '.join(folders)}")
        costs[name] = found[0]
    return costs


def _cost_of(folder: Path) -> dict[str, Any]:
    from svmixer.models.config import ModelConfig
    from svmixer.models.costs import model_rows

    try:
        *_, system = model_rows(load(ModelConfig, folder / "train/model/config.yaml"))
    except (ConfigError, OSError) as error:
        raise ReportError(f"{folder}: no trained model: {error}") from None
    return system


def cost_rows(costs: dict[str, dict[str, Any]]) -> list[list[str]]:
    """Rows of a table: system, parameters, GMACs, billions of operations."""
    return [
        [name, f"{cost['params']:,}", f"{cost['macs'] / 1e9:.2f}", f"{cost['operations'] / 1e9:.2f}"]
        for name, cost in costs.items()
    ]


@dataclass(frozen=True)
class CostPoint:
    """One system in one panel of the plot: equal error rate in percent, and its interval if known."""

    system: str
    # In what the plot's axis says.
    cost: float
    eer: float
    interval: tuple[float, float] | None


def plot_costs(
    panels: dict[str, Sequence[CostPoint]], path: str | Path, cost: str = "GMACs a window"
) -> None:
    """Equal error rate against cost, a panel a condition, as PNG.

    Args:
        panels: title → systems.
        path: of the file.
        cost: what the axis says.
    """
    from matplotlib import pyplot as plt

    from svmixer.report.plots import BLUE, STYLE, save_figure

    with plt.rc_context(STYLE):
        figure, axes = plt.subplots(1, len(panels), figsize=(4.6 * len(panels), 3.6), squeeze=False)
        for axis, (title, points) in zip(axes[0], panels.items(), strict=True):
            for number, point in enumerate(sorted(points, key=lambda point: point.cost)):
                x = point.cost
                if point.interval is not None:
                    axis.plot([x, x], point.interval, color=BLUE, linewidth=1.2, alpha=0.5)
                axis.plot(x, point.eer, "o", color=BLUE)
                axis.annotate(
                    f"{point.system}\n{point.eer:.2f} %", (x, point.eer), (6, -14 if number % 2 else 14),
                    textcoords="offset points", va="center",
                )  # fmt: skip
            highest = max(point.interval[1] if point.interval else point.eer for point in points)
            axis.set(title=title, xlabel=cost, xscale="log", ylim=(0, 1.2 * highest))
            # Room for the names to the right of the points.
            axis.margins(x=0.5)
            axis.xaxis.set_major_formatter(lambda value, _: f"{value:.2g}")
            axis.xaxis.set_minor_formatter(
                lambda value, _: f"{value:.2g}" if f"{value:e}"[0] in "235" else ""
            )
        axes[0][0].set_ylabel("EER %, [95 %]")
        figure.tight_layout()
        save_figure(figure, path)


def write_comparison(
    groups: dict[str, list[str]],
    output: str | Path,
    title: str,
    notes: str,
    replicates: int,
    seed: int,
    plot: str | Path = "",
) -> None:
    """Write a Markdown page that compares groups of experiments; the first group is compared with each other
    one.

    Args:
        groups: name → experiment folders, one a seed.
        output: the page.
        title: its heading.
        notes: Markdown printed under the tables.
        replicates: draws of speakers.
        seed: of these draws.
        plot: PNG of error rates against what the models cost; with it the page has a table of the costs, too.

    Raises:
        ReportError: a run lacks results or, with a plot, its model, or runs were not scored on the same
            trials in the same way.
    """
    runs = {name: [find_results(folder, name) for folder in folders] for name, folders in groups.items()}
    every = [result for group in runs.values() for run in group for result in run]
    conditions = list(dict.fromkeys(result.condition for result in every if result.kind == MODEL))
    figures, pages = {}, []
    for condition in conditions:
        picked = {name: [_pick(run, condition, MODEL) for run in group] for name, group in runs.items()}
        _check_same([result for group in picked.values() for result in group])
        figures[condition] = {name: group_figures(group, replicates, seed) for name, group in picked.items()}
        pages.append({
            "name": condition_name(condition),
            "rows": _group_rows(picked, figures[condition]) + _control_rows(runs, condition),
            "differences": _differences(figures[condition]),
        })  # fmt: skip
    text = render(
        "comparison.md.j2",
        title=title,
        conditions=pages,
        costs=_costs(groups, figures, output, plot) if plot else None,
        notes=notes.strip(),
        replicates=replicates,
        protocol=protocol_name(every[0].metrics),
        norms=dict.fromkeys(scoring_name(result.metrics) for result in every),
        results=every,
        runs=[
            (name, without_places(folder), read_run(folder))
            for name, folders in groups.items()
            for folder in folders
        ],
    )
    with atomic_write(output) as stream:
        stream.write(text)


def _group_rows(picked: dict[str, list[Result]], figures: dict[str, GroupFigures]) -> list[list[str]]:
    rows = []
    for name, group in figures.items():
        eers = ", ".join(f"{eer:.2f}" for eer in group.eers)
        spread = f"{group.eers.min():.2f} to {group.eers.max():.2f}"
        cost = np.mean([result.metrics["min_dcf"]["0.05"] for result in picked[name]])
        rows.append([name, eers, with_interval(group.mean, group.interval), spread, f"{cost:.4f}"])
    return rows


def _differences(figures: dict[str, GroupFigures]) -> list[list[str]]:
    """Rows of one condition: the first group minus each other one."""
    first, *others = figures
    rows = []
    for other in others:
        value, interval = difference(figures[first], figures[other])
        rows.append([f"{first} minus {other}", with_interval(value, interval)])
    return rows


def _costs(
    groups: dict[str, list[str]],
    figures: dict[Condition, dict[str, GroupFigures]],
    output: str | Path,
    plot: str | Path,
) -> dict[str, Any]:
    """Rows of the models' costs, the windows that they are for, and the plot, which it draws."""
    costs = group_costs(groups)
    panels: dict[str, list[CostPoint]] = {}
    for condition, of_groups in figures.items():
        panel = panels.setdefault(condition_name(condition), [])
        for name, group in of_groups.items():
            panel.append(CostPoint(name, costs[name]["macs"] / 1e9, group.mean, group.interval))
    plot_costs(panels, plot)
    return {
        "rows": cost_rows(costs),
        "windows": ", ".join(f"{samples:,}" for samples in sorted({c["samples"] for c in costs.values()})),
        "plot": os.path.relpath(plot, Path(output).parent),
    }


def _control_rows(runs: dict[str, list[list[Result]]], condition: Condition) -> list[list[str]]:
    """A row for each control from the first run that has it: it does not depend on the run."""
    rows = {}
    for result in (result for group in runs.values() for run in group for result in run):
        if result.kind in CONTROLS and result.condition == condition and result.kind not in rows:
            metrics = result.metrics
            eer = with_interval(metrics["eer"], metrics["eer_ci95"])
            rows[result.kind] = [result.system, "", eer, "", f"{metrics['min_dcf']['0.05']:.4f}"]
    return [rows[kind] for kind in CONTROLS if kind in rows]


def _pick(run: list[Result], condition: Condition, kind: str) -> Result:
    for result in run:
        if result.condition == condition and result.kind == kind:
            return result
    raise ReportError(
        f"{run[0].directory.parent.parent}: no result for {condition_name(condition)}; run its score stage"
    )


def _check_same(results: Sequence[Result]) -> None:
    first = results[0]
    for result in results[1:]:
        for key in ("trials_md5", "protocol", "num_crops", "normalisation"):
            here, there = result.metrics[key], first.metrics[key]
            if here != there:
                raise ReportError(f"{result.directory}: {key} is {here}, in {first.directory} it is {there}")
