"""Tables of experiments: list the runs that make them, or write the page of those that have finished."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from svmixer.config import parse_args
from svmixer.limits import different, not_negative
from svmixer.log import get_logger
from svmixer.report.paper_tables import read_tables, runs, write_tables

logger = get_logger(__name__)

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


def main(argv: list[str] | None = None) -> None:
    """Command line; a user's mistake ends with one line and status 1."""
    options = parse_args(TablesOptions, argv, __doc__)
    config = read_tables(options.tables, options.only)
    if options.action == "list":
        for run in runs(config, options.seeds):
            row = run.row
            print(SEPARATOR.join([run.tag, str(run.seed), row.teacher, row.distill_args, row.train_args]))
        return
    notes = Path(options.tables).with_name(config.notes).read_text(encoding="utf-8") if config.notes else ""
    missing = write_tables(config, options.seeds, options.expdir, options.output, options.command, notes)
    logger.info("written: %s%s", options.output, f", {missing} runs are still to do" if missing else "")
