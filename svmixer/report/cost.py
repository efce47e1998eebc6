"""What the models of compared groups cost, beside how well they do."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from svmixer.config import ConfigError, load
from svmixer.report.results import ReportError


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
    macs: int
    eer: float
    interval: tuple[float, float] | None


def plot_costs(panels: dict[str, Sequence[CostPoint]], path: str | Path) -> None:
    """Equal error rate against multiply-accumulates, a panel a condition, as PNG.

    Args:
        panels: title → systems.
        path: of the file.
    """
    from matplotlib import pyplot as plt

    from svmixer.report.plots import BLUE, STYLE, save_figure

    with plt.rc_context(STYLE):
        figure, axes = plt.subplots(
            1, len(panels), figsize=(4.6 * len(panels), 3.6), sharey=True, squeeze=False
        )
        for axis, (title, points) in zip(axes[0], panels.items(), strict=True):
            for point in points:
                x = point.macs / 1e9
                if point.interval is not None:
                    axis.plot([x, x], point.interval, color=BLUE, linewidth=1.2, alpha=0.5)
                axis.plot(x, point.eer, "o", color=BLUE)
                axis.annotate(
                    f"{point.system}\n{point.eer:.2f} %", (x, point.eer), (6, 0), textcoords="offset points",
                    va="center",
                )  # fmt: skip
            axis.set(title=title, xlabel="GMACs a window", xscale="log")
            # Room for the names to the right of the points.
            axis.margins(x=0.5)
            axis.xaxis.set_major_formatter(lambda value, _: f"{value:.2g}")
            axis.xaxis.set_minor_formatter(
                lambda value, _: f"{value:.2g}" if f"{value:e}"[0] in "235" else ""
            )
        axes[0][0].set_ylabel("EER %, [95 %]")
        every = [point for points in panels.values() for point in points]
        axes[0][0].set_ylim(
            0, 1.05 * max(point.interval[1] if point.interval else point.eer for point in every)
        )
        figure.tight_layout()
        save_figure(figure, path)
