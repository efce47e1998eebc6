"""Compare groups of runs that were repeated with several seeds:

    python -m svmixer compare --output docs/results.md \\
        --runs '{with teacher: [exp/a1, exp/a2], without teacher: [exp/b1, exp/b2]}'
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from svmixer.config import parse_args
from svmixer.limits import at_least, not_negative
from svmixer.log import get_logger
from svmixer.report.compare import write_comparison

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


def main(argv: list[str] | None = None) -> None:
    """Command line; a user's mistake ends with one line and status 1."""
    config = parse_args(CompareConfig, argv, __doc__)
    notes = Path(config.notes).read_text(encoding="utf-8") if config.notes else ""
    write_comparison(
        config.runs, config.output, config.title, notes, config.replicates, config.seed, config.plot
    )
    logger.info("written: %s", config.output)
