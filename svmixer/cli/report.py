"""The verb that writes reports."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from svmixer.config import parse_args
from svmixer.errors import UsageError
from svmixer.log import get_logger
from svmixer.report.places import without_places

logger = get_logger(__name__)


@dataclass(frozen=True)
class ReportConfig:
    """Options of the report."""

    # Experiments with score/ and what else there is: control/, distill/, train/, run.json; as exp/TAG.
    files: tuple[str, ...] = ()
    # HTML file; empty: report.html in the experiment, comparison.html in the working directory for several.
    output: str = ""
    # What the model of a single experiment is called; empty: by its configuration, as distilled student.
    system: str = ""
    # Markdown file printed under the headline (what a recipe says about its data); empty = none.
    notes: str = ""
    # Experiment of the teacher as a system of its own, to compare with; empty: the one that trained it.
    teacher: str = ""
    # Pieces of recordings of the hardest wrong trials go into the report, if they are at hand.
    audio: bool = True


def main(argv: list[str] | None = None) -> None:
    """Write the report of an experiment, with RESULTS.md beside it, or one page that compares several.

    Example:
        svmixer report exp/a
        svmixer report exp/a exp/b --output comparison.html
    """
    config = parse_args(ReportConfig, argv, main.__doc__)
    _check(config)
    from svmixer.report.differences import Draws
    from svmixer.report.document import Extras, write_document
    from svmixer.report.experiment import read_experiment
    from svmixer.report.page import write_report

    extras = Extras(config.audio, config.teacher)
    if len(config.files) > 1:
        names = page_names(config.files)
        experiments = [
            read_experiment(file, name=name) for file, name in zip(config.files, names, strict=True)
        ]
        output = config.output or "comparison.html"
        write_document(experiments, output, extras, Draws())
        logger.info("written: %s", output)
        return
    (folder,) = config.files
    notes = Path(config.notes).read_text(encoding="utf-8") if config.notes else ""
    experiment = read_experiment(folder, config.system, notes)
    write_report(experiment, extras)
    for result in experiment.results:
        logger.info("%s, %s, %s: EER %.2f %%", result.metrics["set"], result.system, result.condition.name,
                    result.metrics["eer"])  # fmt: skip
    logger.info("written: %s/RESULTS.md, report.html, plots/", folder)


def _check(config: ReportConfig) -> None:
    """Refuse options that do not go with the number of experiments."""
    if not config.files:
        raise UsageError("expected svmixer report EXPERIMENT [EXPERIMENT ...]")
    for name in ("system", "notes", "teacher"):
        if len(config.files) > 1 and getattr(config, name):
            raise UsageError(f"--{name} is for one experiment alone, found {len(config.files)}")
    if len(config.files) == 1 and config.output:
        raise UsageError("--output is for several experiments; the report of one lies beside its results")


def page_names(folders: Sequence[str]) -> list[str]:
    """What experiments are called on a page: as their folders, or where two are called so, as given.

    Raises:
        UsageError: two have the same name even so.
    """
    places = [os.path.abspath(folder) for folder in folders]
    for names in ([Path(place).name for place in places], [without_places(folder) for folder in folders]):
        if len(set(names)) == len(names):
            return names
    twice = next(name for name in names if names.count(name) > 1)
    raise UsageError(f"{twice} stands twice; name each experiment once, with a relative path")
