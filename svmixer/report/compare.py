"""Comparison of groups of runs that differ in one thing and were repeated with several seeds."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from svmixer.fileio import atomic_write
from svmixer.report.cost import CostPoint, cost_table, group_costs, plot_costs
from svmixer.report.page import run_lines
from svmixer.report.places import without_places
from svmixer.report.results import CONTROLS, MODEL, Condition, ReportError, Result, find_results, read_run
from svmixer.report.tables import condition_name, list_table, protocol_name, table, with_interval
from svmixer.scoring.bootstrap import eer_replicates, percentile_interval

_EXPLANATION = """\
- Each run was trained with another seed and scored on the same trials. Mean, lowest and highest are over the
  runs of a group and show how much training depends on chance.
- [95 %]: bootstrap interval over test speakers ({replicates:,} draws with replacement, the EER of each draw
  averaged over the runs). It shows how much the result depends on the choice of speakers. Differences are
  paired: both groups are scored on the same draws. If the interval of a difference contains 0, these speakers
  do not show a difference.
"""


@dataclass(frozen=True)
class GroupFigures:
    """Equal error rates of one group under one condition, in percent."""

    # Of each run, in the order given.
    eers: np.ndarray
    # Of each bootstrap draw, averaged over the runs; NaN where the speakers are not known.
    replicates: np.ndarray

    @property
    def mean(self) -> float:
        """Mean over the runs."""
        return float(self.eers.mean())

    @property
    def interval(self) -> tuple[float, float] | None:
        """95 % interval of the mean over draws of speakers."""
        return percentile_interval(self.replicates)


def group_figures(results: Sequence[Result], replicates: int, seed: int) -> GroupFigures:
    """Figures of the runs of one group under one condition; the draws depend on the trial list and the seed
    alone.
    """
    draws = []
    for result in results:
        speakers = result.load_speakers()
        if speakers is None:
            draws.append(np.full(replicates, np.nan))
        else:
            draws.append(100 * eer_replicates(*result.load(), speakers, replicates, seed))
    return GroupFigures(np.array([r.metrics["eer"] for r in results]), np.mean(draws, axis=0))


def difference(first: GroupFigures, second: GroupFigures) -> tuple[float, tuple[float, float] | None]:
    """Mean of the first group minus mean of the second, in points, and its 95 % interval over paired draws of
    speakers.
    """
    return first.mean - second.mean, percentile_interval(first.replicates - second.replicates)


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
    lines = [f"# {title}", ""]
    figures = {}
    for condition in conditions:
        picked = {name: [_pick(run, condition, MODEL) for run in group] for name, group in runs.items()}
        _check_same([result for group in picked.values() for result in group])
        figures[condition] = {name: group_figures(group, replicates, seed) for name, group in picked.items()}
        rows = _group_rows(picked, figures[condition]) + _control_rows(runs, condition)
        lines += [f"## {condition_name(condition)}", "", *_tables(rows, figures[condition]), ""]
    if plot:
        lines += ["## Cost", "", *_costs(groups, figures, output, plot), ""]
    if notes:
        lines += [notes.strip(), ""]
    lines += ["## How to read this", "", _EXPLANATION.format(replicates=replicates).strip(), ""]
    norms = "; ".join(dict.fromkeys(result.metrics["normalisation"] for result in every))
    lines += [f"Protocol: {protocol_name(every[0].metrics)}; score normalisation: {norms}.", ""]
    lines += ["## Trial lists", "", *list_table(every), "", "## Commands", ""]
    for name, folders in groups.items():
        for folder in folders:
            run = read_run(folder)
            record = run_lines(run) if run else ["(no run.json)"]
            lines += [f"{name}, `{without_places(folder)}`:", "", *record, ""]
    with atomic_write(output) as stream:
        stream.write("\n".join(lines))


def _group_rows(picked: dict[str, list[Result]], figures: dict[str, GroupFigures]) -> list[list[str]]:
    rows = []
    for name, group in figures.items():
        eers = ", ".join(f"{eer:.2f}" for eer in group.eers)
        spread = f"{group.eers.min():.2f} to {group.eers.max():.2f}"
        cost = np.mean([result.metrics["min_dcf"]["0.05"] for result in picked[name]])
        rows.append([name, eers, with_interval(group.mean, group.interval), spread, f"{cost:.4f}"])
    return rows


def _tables(rows: list[list[str]], figures: dict[str, GroupFigures]) -> list[str]:
    """Tables of one condition: the rows of groups and controls, then the differences."""
    lines = table(
        ["system", "EER % of each run", "mean [95 %]", "lowest to highest", "minDCF 0.05"], rows, "lrrrr"
    )
    first, *others = figures
    differences = []
    for other in others:
        value, interval = difference(figures[first], figures[other])
        differences.append([f"{first} minus {other}", with_interval(value, interval)])
    if differences:
        lines += ["", *table(["difference", "points of EER [95 %]"], differences, "lr")]
    return lines


def _costs(
    groups: dict[str, list[str]],
    figures: dict[Condition, dict[str, GroupFigures]],
    output: str | Path,
    plot: str | Path,
) -> list[str]:
    """Table of the models' costs and the plot, as the page shows them."""
    costs = group_costs(groups)
    panels: dict[str, list[CostPoint]] = {}
    for condition, of_groups in figures.items():
        panel = panels.setdefault(condition_name(condition), [])
        for name, group in of_groups.items():
            panel.append(CostPoint(name, costs[name]["macs"], group.mean, group.interval))
    plot_costs(panels, plot)
    link = os.path.relpath(plot, Path(output).parent)
    return [*cost_table(costs), "", f"![Error rate against cost]({link})"]


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
