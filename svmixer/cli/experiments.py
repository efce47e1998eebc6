"""The verbs that set several experiments side by side."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from svmixer.config import parse_args
from svmixer.limits import at_least, different, not_negative
from svmixer.log import get_logger
from svmixer.report.compare import write_comparison
from svmixer.report.paper_tables import read_tables, runs, write_tables

logger = get_logger(__name__)


@dataclass(frozen=True)
class CompareConfig:
    """Options of the comparison."""

    # Groups as a YAML mapping of names to lists of experiments; the first is compared with each other one.
    runs: dict[str, list[str]]
    # Markdown page to write.
    output: str
    # Its heading.
    title: str = "Comparison"
    # Markdown file printed under the tables; empty = none.
    notes: str = ""
    # PNG of error rates against what the models cost, and a table of that; empty = neither.
    plot: str = ""
    # Draws of speakers for the 95 % intervals.
    replicates: int = 1000
    # Seed of these draws.
    seed: int = 0

    def __post_init__(self) -> None:
        if not self.runs:
            raise ValueError("runs: at least one group")
        for name, folders in self.runs.items():
            if not isinstance(folders, list) or not folders or not all(isinstance(f, str) for f in folders):
                raise ValueError(f"runs: {name}: expected a list of experiment folders, found {folders!r}")
        at_least(self, 1, "replicates")
        not_negative(self, "seed")


def compare(argv: list[str] | None = None) -> None:
    """Compare groups of runs that were repeated with several seeds.

    Example:
        svmixer compare --output docs/default_run.md \\
            --runs '{with teacher: [exp/a1, exp/a2], without teacher: [exp/b1, exp/b2]}'
    """
    config = parse_args(CompareConfig, argv, compare.__doc__)
    notes = Path(config.notes).read_text(encoding="utf-8") if config.notes else ""
    write_comparison(
        config.runs, config.output, config.title, notes, config.replicates, config.seed, config.plot
    )
    logger.info("written: %s", config.output)


# Between the fields of a listed run: a character that no option holds and the shell keeps empty fields with.
SEPARATOR = "\x1f"


@dataclass(frozen=True)
class TablesOptions:
    """Options of the tables."""

    # Description of the tables.
    tables: str
    # list: one line a run for the shell (tag, seed, teacher, distill_args, train_args); page: write the page.
    action: Literal["list", "page"] = "list"
    # Keys of the tables wanted; empty = all.
    only: tuple[str, ...] = ()
    # Seeds of rows that name none of their own.
    seeds: tuple[int, ...] = (0,)
    # Where the experiments are.
    expdir: str = "exp"
    # The page.
    output: str = "tables.md"
    # Printed on the page: what makes it.
    command: str = ""

    def __post_init__(self) -> None:
        different(self, "seeds")
        not_negative(self, "seeds")


def tables(argv: list[str] | None = None) -> None:
    """Tables of experiments: list the runs that make them, or write the page of those that have finished.

    Example:
        svmixer tables --tables egs/voxceleb/sv1/conf/tables.yaml --action page --output tables.md
    """
    options = parse_args(TablesOptions, argv, tables.__doc__)
    config = read_tables(options.tables, options.only)
    if options.action == "list":
        for run in runs(config, options.seeds):
            row = run.row
            print(SEPARATOR.join([run.tag, str(run.seed), row.teacher, row.distill_args, row.train_args]))
        return
    notes = Path(options.tables).with_name(config.notes).read_text(encoding="utf-8") if config.notes else ""
    missing = write_tables(config, options.seeds, options.expdir, options.output, options.command, notes)
    logger.info("written: %s%s", options.output, f", {missing} runs are still to do" if missing else "")
