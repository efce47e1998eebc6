"""Stage 6: the results page of an experiment, with plots."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from svmixer.config import parse_args
from svmixer.log import get_logger

logger = get_logger(__name__)


@dataclass(frozen=True)
class ReportConfig:
    """Options of the report."""

    # Experiment with score/, control/, distill/, train/ and run.json, as exp/TAG.
    exp_dir: str
    # What its model is called in tables; empty: distilled student, or fine-tuned teacher.
    system: str = ""
    # Markdown file printed under the table (what a recipe says about its data); empty = none.
    notes: str = ""


def main(argv: list[str] | None = None) -> None:
    """Command line; a user's mistake ends with one line and status 1."""
    config = parse_args(ReportConfig, argv, __doc__)
    from svmixer.report.page import model_kind, write_report

    notes = Path(config.notes).read_text(encoding="utf-8") if config.notes else ""
    system = config.system or model_kind(config.exp_dir)
    results = write_report(config.exp_dir, system, notes)
    for result in results:
        logger.info(
            "%s, %s, %s: EER %.2f %%",
            result.metrics["set"],
            result.system,
            result.band,
            result.metrics["eer"],
        )
    logger.info("written: %s/RESULTS.md, report.html, plots/", config.exp_dir)
