"""The verb that writes reports."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from svmixer.config import parse_args
from svmixer.log import get_logger

logger = get_logger(__name__)


@dataclass(frozen=True)
class ReportConfig:
    """Options of the report."""

    # Experiments with score/ and what else there is: control/, distill/, train/, run.json; as exp/TAG.
    files: tuple[str, ...] = ()
    # HTML file; empty: report.html in the experiment, comparison.html in the working directory for several.
    output: str = ""
    # What the model of a single experiment is called; empty: distilled student, or fine-tuned teacher.
    system: str = ""
    # Markdown file printed under the headline (what a recipe says about its data); empty = none.
    notes: str = ""
    # Experiment of the teacher as a system of its own, to compare with; empty: the one that trained it.
    teacher: str = ""
    # Pieces of recordings of the hardest wrong trials go into the report, if they are at hand.
    audio: bool = True

    def __post_init__(self) -> None:
        if not self.files:
            raise ValueError("files: name an experiment, as exp/TAG, or several to compare")
        for name in ("system", "notes", "teacher"):
            if len(self.files) > 1 and getattr(self, name):
                raise ValueError(f"{name}: for one experiment alone, not for {len(self.files)}")
        if len(self.files) == 1 and self.output:
            raise ValueError("output: a single experiment has its report beside its results")


def main(argv: list[str] | None = None) -> None:
    """Write the report of an experiment, with RESULTS.md beside it, or one page that compares several:

    svmixer report exp/a
    svmixer report exp/a exp/b --output comparison.html
    """
    config = parse_args(ReportConfig, argv, main.__doc__)
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
        logger.info("%s, %s, %s: EER %.2f %%", result.metrics["set"], result.system, result.band,
                    result.metrics["eer"])  # fmt: skip
    logger.info("written: %s/RESULTS.md, report.html, plots/", folder)


def page_names(folders: tuple[str, ...]) -> list[str]:
    """What experiments are called on a page: as their folders, with those above where several are called so.

    Raises:
        SvmixerError: one experiment is named twice.
    """
    from svmixer.errors import SvmixerError

    paths = [Path(folder).resolve() for folder in folders]
    for depth in range(1, max(len(path.parts) for path in paths)):
        names = ["/".join(path.parts[1:][-depth:]) for path in paths]
        name, times = Counter(names).most_common(1)[0]
        if times == 1:
            return names
    raise SvmixerError(f"{name}: named {times} times")
