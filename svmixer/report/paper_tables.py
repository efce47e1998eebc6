"""Tables of experiments that differ in options of the recipe: what to run, and the page of what has finished.

A YAML file describes them. Each row names the options that make its runs differ from the recipe's own; rows
of several tables that are the same run share a tag and are run once.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from svmixer.config import ConfigError, from_dict, read_yaml
from svmixer.fileio import atomic_write
from svmixer.report.tables import protocol_name, table
from svmixer.score.result import read_metrics


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


@dataclass(frozen=True)
class TableConfig:
    """One table."""

    # What --only names: table1, figure5 …
    key: str
    # Heading.
    title: str
    # Systems, top to bottom.
    rows: tuple[RowConfig, ...]


@dataclass(frozen=True)
class TablesConfig:
    """All tables of a recipe."""

    # Top to bottom of the page.
    tables: tuple[TableConfig, ...]
    # Text above the tables.
    about: str = ""


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
        config = TablesConfig(tuple(one for one in config.tables if one.key in only), config.about)
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
    config: TablesConfig, seeds: tuple[int, ...], expdir: str | Path, output: str | Path, command: str
) -> int:
    """Write the page of all finished runs; returns how many runs are still to do.

    Args:
        config: the tables.
        seeds: of rows without seeds of their own.
        expdir: folder of the experiments.
        output: Markdown page.
        command: what makes the runs and the page.

    Raises:
        ConfigError: finished runs were not scored on the same lists in the same way.
    """
    expdir = Path(expdir)
    lines = ["# Tables", "", *([config.about.strip(), ""] if config.about else [])]
    lines += ["```", command, "```", ""]
    for one in config.tables:
        lines += [f"## {one.title}", "", *_table(one, seeds, expdir), ""]
    everything = list(runs(config, seeds))
    missing = [run.tag for run in everything if not _metrics(expdir / run.tag)]
    lines += ["## How to read this", "", *_explanation(config, seeds, expdir)]
    if missing:
        lines += ["", f"Not finished: {len(missing)} of {len(everything)} runs ({', '.join(missing)})."]
    with atomic_write(output) as stream:
        stream.write("\n".join(lines) + "\n")
    return len(missing)


def _metrics(folder: Path) -> dict[str, dict]:
    """Full-band figures of an experiment by test set."""
    found = {}
    for path in sorted(folder.glob("score/*/metrics.json")):
        metrics = read_metrics(path.parent)
        if not metrics["lowpass_hz"]:
            found[metrics["set"]] = metrics
    return found


def _table(one: TableConfig, seeds: tuple[int, ...], expdir: Path) -> list[str]:
    results = {
        row.tag: [_metrics(expdir / f"{row.tag}_seed{seed}") for seed in (row.seeds or seeds)]
        for row in one.rows
    }
    published = dict.fromkeys(name for row in one.rows for name in (row.paper or {}))
    measured = dict.fromkeys(name for group in results.values() for run in group for name in run)
    sets = list(published | measured)
    header = ["system", *(f"{name} EER %" for name in sets)]
    rows = []
    for row in one.rows:
        cells = [row.name]
        for name in sets:
            finished = [run[name]["eer"] for run in results[row.tag] if name in run]
            cells.append(cell(finished, (row.paper or {}).get(name)))
        rows.append(cells)
    _check_same([run for group in results.values() for run in group])
    return table(header, rows, "l" + "r" * len(sets))


def cell(eers: list[float], paper: float | None) -> str:
    """``2.10 (1.90 to 2.30, n = 3); paper 1.52, +0.58``: mean and spread over seeds, figure, difference."""
    parts = []
    if eers:
        spread = f" ({min(eers):.2f} to {max(eers):.2f}, n = {len(eers)})" if len(eers) > 1 else ""
        parts.append(f"{np.mean(eers):.2f}{spread}")
    else:
        parts.append("-")
    if paper is not None:
        difference = f", {np.mean(eers) - paper:+.2f}" if eers else ""
        parts.append(f"paper {paper:.2f}{difference}")
    return "; ".join(parts)


def _check_same(found: list[dict[str, dict]]) -> None:
    first: dict[str, dict] = {}
    for results in found:
        for name, metrics in results.items():
            there = first.setdefault(name, metrics)
            for key in ("trials_md5", "protocol", "num_crops", "normalisation"):
                if metrics[key] != there[key]:
                    raise ConfigError(
                        f"{name}: {key} is {metrics[key]} in one run and {there[key]} in another"
                    )


def _explanation(config: TablesConfig, seeds: tuple[int, ...], expdir: Path) -> list[str]:
    lines = [
        "Mean over the seeds, with the lowest and the highest: the chance in training. The choice of test",
        "speakers adds to it: the widest 95 % interval (bootstrap over speakers) of a single run is",
    ]
    widest: dict[str, tuple[float, float]] = {}
    protocols = {}
    for run in runs(config, seeds):
        for name, metrics in _metrics(expdir / run.tag).items():
            protocols[name] = f"{protocol_name(metrics)}, list `{metrics['trials_md5']}`"
            low, high = metrics["eer_ci95"] or (metrics["eer"], metrics["eer"])
            if high - low > np.subtract(*reversed(widest.get(name, (0.0, 0.0)))):
                widest[name] = (low, high)
    stated = [f"{name} [{low:.2f}, {high:.2f}]" for name, (low, high) in widest.items()]
    lines.append(f"{'; '.join(stated) or 'not known yet'}.")
    lines += [""] + [f"- {name}: {text}" for name, text in protocols.items()]
    return lines
