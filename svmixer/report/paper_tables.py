"""Tables of experiments that differ in options of the recipe: what to run, and the page of what has finished.

A YAML file describes them. Each row names the options that make its runs differ from the recipe's own; rows
of several tables that are the same run share a tag and are run once.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from svmixer.config import ConfigError, from_dict
from svmixer.fileio import atomic_write
from svmixer.limits import not_negative
from svmixer.report.differences import GroupFigures, difference, group_figures
from svmixer.report.rendering import render
from svmixer.report.results import MODEL, Result, find_results
from svmixer.report.tables import protocol_name, with_interval
from svmixer.yaml_files import read_yaml

# Draws of speakers behind the intervals of several runs and of differences.
REPLICATES, DRAW_SEED = 1000, 0


@dataclass(frozen=True)
class RowConfig:
    """One system."""

    # Its name in the table.
    name: str
    # Experiment <tag>_seed<n>; the same in every table that has this system.
    tag: str
    # Teacher; empty takes the recipe's.
    teacher: str = ""
    # Options of stage 3, as --distill_args has them.
    distill_args: str = ""
    # Options of stage 4, as --train_args has them.
    train_args: str = ""
    # Seeds of its own; empty takes those of the command line.
    seeds: tuple[int, ...] = ()
    # The published EER in percent, test set → figure.
    paper: dict[str, float] | None = None

    def __post_init__(self) -> None:
        not_negative(self, "seeds")


@dataclass(frozen=True)
class TableConfig:
    """One table."""

    # What --only names: table1, figure5 …
    key: str
    # Heading.
    title: str
    # Systems, top to bottom.
    rows: tuple[RowConfig, ...]
    # Name of the row that the others are compared with, on the same draws of speakers; empty compares none.
    reference: str = ""

    def __post_init__(self) -> None:
        names = [row.name for row in self.rows]
        if self.reference and self.reference not in names:
            raise ValueError(f"reference: no row '{self.reference}'; there are: {', '.join(names)}")


@dataclass(frozen=True)
class TablesConfig:
    """All tables of a recipe."""

    # Top to bottom of the page.
    tables: tuple[TableConfig, ...]
    # Text above the tables.
    about: str = ""
    # Markdown file below the tables, in the folder of the description; empty for none.
    notes: str = ""


@dataclass(frozen=True)
class Run:
    """One training to do."""

    # Experiment folder's name.
    tag: str
    # Seed of everything random in it.
    seed: int
    # See RowConfig.
    row: RowConfig


def read_tables(path: str | Path, only: tuple[str, ...] = ()) -> TablesConfig:
    """The description in ``path``, or the tables of it that ``only`` names.

    Raises:
        ConfigError: an unknown key or table, or one tag for two different systems.
    """
    config = from_dict(TablesConfig, read_yaml(path), str(path))
    keys = [one.key for one in config.tables]
    for key in only:
        if key not in keys:
            raise ConfigError(f"{path}: no table '{key}'; known: {', '.join(keys)}")
    seen: dict[str, RowConfig] = {}
    for one in config.tables:
        for row in one.rows:
            there = seen.setdefault(row.tag, row)
            if _recipe(there) != _recipe(row):
                raise ConfigError(f"{path}: tag {row.tag} stands for two different systems")
    if only:
        config = replace(config, tables=tuple(one for one in config.tables if one.key in only))
    return config


def _recipe(row: RowConfig) -> tuple[str, str, str, tuple[int, ...]]:
    return row.teacher, row.distill_args, row.train_args, row.seeds


def runs(config: TablesConfig, seeds: tuple[int, ...]) -> Iterator[Run]:
    """Every run once, seed by seed, so that a first figure of each system comes early."""
    rows = {row.tag: row for one in config.tables for row in one.rows}
    order = dict.fromkeys(seed for row in rows.values() for seed in (row.seeds or seeds))
    for seed in order:
        for tag, row in rows.items():
            if seed in (row.seeds or seeds):
                yield Run(f"{tag}_seed{seed}", seed, row)


def write_tables(
    config: TablesConfig,
    seeds: tuple[int, ...],
    expdir: str | Path,
    output: str | Path,
    command: str,
    notes: str = "",
) -> int:
    """Write the page of all finished runs; returns how many runs are still to do.

    Args:
        config: the tables.
        seeds: of rows without seeds of their own.
        expdir: folder of the experiments.
        output: Markdown page.
        command: what makes the runs and the page.
        notes: Markdown below the tables.

    Raises:
        ConfigError: finished runs were not scored on the same lists in the same way.
        ReportError: a trial list is no longer the one that was scored.
    """
    expdir = Path(expdir)
    finished = {run.tag: _results(expdir / run.tag) for run in runs(config, seeds)}
    tables = []
    for one in config.tables:
        groups = {
            row.name: [finished[f"{row.tag}_seed{seed}"] for seed in (row.seeds or seeds)] for row in one.rows
        }
        tables.append({"title": one.title, **_table(one, groups), **_differences(one, groups)})
    missing = [tag for tag, results in finished.items() if not results]
    text = render(
        "tables.md.j2",
        about=config.about.strip(),
        command=command,
        tables=tables,
        notes=notes.strip(),
        replicates=REPLICATES,
        protocols={
            name: f"{protocol_name(result.metrics)}, list `{result.metrics['trials_md5']}`"
            for results in finished.values()
            for name, result in results.items()
        },
        missing=missing,
        total=len(finished),
    )
    with atomic_write(output) as stream:
        stream.write(text)
    return len(missing)


# Results of one run by test set, the full band alone.
RunResults = dict[str, Result]


def _results(folder: Path) -> RunResults:
    if not any(folder.glob("score/*/metrics.json")):
        return {}
    return {
        result.metrics["set"]: result
        for result in find_results(folder)
        if result.kind == MODEL and result.condition.plain
    }


def _sets(groups: dict[str, list[RunResults]]) -> list[str]:
    return list(dict.fromkeys(name for group in groups.values() for run in group for name in run))


def _of_set(group: list[RunResults], name: str) -> list[Result]:
    return [run[name] for run in group if name in run]


def _table(one: TableConfig, groups: dict[str, list[RunResults]]) -> dict[str, list]:
    published = [name for row in one.rows for name in (row.paper or {})]
    sets = list(dict.fromkeys([*published, *_sets(groups)]))
    header = ["system", *(f"{name} EER %" for name in sets)]
    rows = []
    for row in one.rows:
        results = [_of_set(groups[row.name], name) for name in sets]
        cells = [
            cell([result.metrics["eer"] for result in group], _interval(group), (row.paper or {}).get(name))
            for name, group in zip(sets, results, strict=True)
        ]
        rows.append([row.name, *cells])
    _check_same([run for group in groups.values() for run in group])
    return {"header": header, "rows": rows}


def _interval(group: list[Result]) -> tuple[float, float] | None:
    """95 % interval of the mean over the runs, for draws of speakers."""
    if len(group) < 2:
        return group[0].metrics["eer_ci95"] if group else None
    return _figures(group).interval


def _figures(group: list[Result]) -> GroupFigures:
    return group_figures(group, REPLICATES, DRAW_SEED)


def cell(eers: list[float], interval: tuple[float, float] | None, paper: float | None) -> str:
    """``2.10 [1.50, 2.90] (1.90 to 2.30, n = 3); paper 1.52, +0.58``: mean over seeds with its interval,
    lowest and highest, the published figure, the difference.
    """
    parts = []
    if eers:
        spread = f" ({min(eers):.2f} to {max(eers):.2f}, n = {len(eers)})" if len(eers) > 1 else ""
        parts.append(f"{with_interval(float(np.mean(eers)), interval)}{spread}")
    else:
        parts.append("-")
    if paper is not None:
        away = f", {np.mean(eers) - paper:+.2f}" if eers else ""
        parts.append(f"paper {paper:.2f}{away}")
    return "; ".join(parts)


def _differences(one: TableConfig, groups: dict[str, list[RunResults]]) -> dict[str, list]:
    """Each row minus the reference, on the same draws of speakers; nothing without a reference."""
    if not one.reference:
        return {"differences_header": [], "differences": []}
    sets = _sets(groups)
    header = [f"minus {one.reference}", *(f"{name}, points of EER [95 %]" for name in sets)]
    figures = {
        (row, name): _figures(group)
        for row, runs_ in groups.items()
        for name in sets
        if (group := _of_set(runs_, name))
    }
    rows = []
    for row in groups:
        if row == one.reference:
            continue
        pairs = [(figures.get((row, name)), figures.get((one.reference, name))) for name in sets]
        rows.append([row, *(with_interval(*difference(a, b)) if a and b else "-" for a, b in pairs)])
    return {"differences_header": header, "differences": rows}


def _check_same(found: list[RunResults]) -> None:
    first: RunResults = {}
    for results in found:
        for name, result in results.items():
            there = first.setdefault(name, result)
            for key in ("trials_md5", "protocol", "num_crops", "normalisation"):
                here, other = result.metrics[key], there.metrics[key]
                if here != other:
                    raise ConfigError(f"{name}: {key} is {here} in one run and {other} in another")
