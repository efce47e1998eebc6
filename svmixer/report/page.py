"""The results of an experiment as RESULTS.md with its plots, and as report.html."""

from __future__ import annotations

from svmixer.fileio import atomic_write
from svmixer.report.differences import Draws, control_differences
from svmixer.report.document import Extras, write_document
from svmixer.report.experiment import Experiment
from svmixer.report.places import without_places
from svmixer.report.rendering import render
from svmixer.report.results import BASELINE
from svmixer.report.tables import complexity_rows


def write_report(experiment: Experiment, extras: Extras) -> None:
    """Write ``RESULTS.md``, ``plots/*.png`` and ``report.html`` into an experiment.

    Args:
        experiment: of which.
        extras: of the HTML page.

    Raises:
        ReportError: the results do not fit their trial lists.
    """
    folder, results, run, draws = experiment.folder, experiment.results, experiment.run, Draws()
    plots = _draw(experiment)
    known = [result.metrics["bootstrap"] for result in results if result.metrics["bootstrap"]]
    models = dict.fromkeys(map(without_places, experiment.models))
    text = render(
        "results.md.j2",
        name=folder.name,
        results=results,
        notes=experiment.notes.strip(),
        bootstrap=known[0] if known else None,
        baseline=next((result.system for result in results if result.kind == BASELINE), ""),
        differences=control_differences(results, draws),
        run=run,
        options=[
            [f"`{name}`", f"`{without_places(str(value))}`"] for name, value in run.get("options", {}).items()
        ],
        models=[f"`{name}`" for name in models],
        commits=[f"`{name}`" for name in dict.fromkeys(r.metrics["commit"] for r in results)],
        costs=[complexity_rows(rows) for rows in experiment.costs],
        plots=plots,
    )
    with atomic_write(folder / "RESULTS.md") as stream:
        stream.write(text)
    write_document([experiment], folder / "report.html", extras, draws)


def _draw(experiment: Experiment) -> dict[str, str]:
    """Title → file of each plot, relative to the experiment."""
    from svmixer.report import plots

    plots.plot_det(experiment.results, experiment.folder / "plots/det.png")
    plots.plot_histograms(experiment.results, experiment.folder / "plots/scores_hist.png")
    drawn = {"Detection error trade-off": "plots/det.png", "Scores": "plots/scores_hist.png"}
    if experiment.logs:
        plots.plot_curves(experiment.logs, experiment.folder / "plots/curves.png")
        drawn["Training"] = "plots/curves.png"
    return drawn
