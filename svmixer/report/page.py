"""The results page of an experiment: RESULTS.md, the same as a self-contained report.html, and its plots."""

from __future__ import annotations

import base64
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from svmixer import templates
from svmixer.config import load
from svmixer.fileio import atomic_write
from svmixer.report.places import command_lines, without_places
from svmixer.report.results import MODEL, Result, find_results, read_log, read_run
from svmixer.report.tables import list_table, result_table, table

FILTERS = {
    "command_lines": lambda command: "\n".join(command_lines(command)),
    "list_table": list_table,
    "result_table": result_table,
    "table": lambda rows, *header, align="": table(header, rows, align),
}


def render(template: str, **values: Any) -> str:
    """The text of ``templates/<template>``; see :func:`svmixer.templates.render`."""
    return templates.render("svmixer.report", template, FILTERS, **values)


def write_report(exp_dir: str | Path, system: str, notes: str = "") -> list[Result]:
    """Write ``RESULTS.md``, ``report.html`` and ``plots/*.png`` into an experiment; returns its results.

    Args:
        exp_dir: experiment with ``score/*`` and, as far as they exist, ``control*/*``, ``distill`` and
            ``train`` logs, ``run.json``.
        system: what its model is called in tables.
        notes: Markdown of the recipe, printed right under the table.

    Raises:
        ReportError: no results, or they do not fit their trial lists.
    """
    exp_dir = Path(exp_dir)
    results = find_results(exp_dir, system)
    plots = _draw(exp_dir, results)
    run = read_run(exp_dir)
    known = [result.metrics["bootstrap"] for result in results if result.metrics["bootstrap"]]
    models = dict.fromkeys(without_places(r.metrics["model"]) for r in results if r.kind == MODEL)
    text = render(
        "results.md.j2",
        name=exp_dir.name,
        results=results,
        notes=notes.strip(),
        bootstrap=known[0] if known else None,
        run=run,
        options=[
            [f"`{name}`", f"`{without_places(str(value))}`"] for name, value in run.get("options", {}).items()
        ],
        models=[f"`{name}`" for name in models],
        commits=[f"`{name}`" for name in dict.fromkeys(r.metrics["commit"] for r in results)],
        costs=list(_costs(results)),
        plots=plots,
    )
    with atomic_write(exp_dir / "RESULTS.md") as stream:
        stream.write(text)
    with atomic_write(exp_dir / "report.html") as stream:
        stream.write(to_html(text, exp_dir))
    return results


def to_html(text: str, folder: Path) -> str:
    """One HTML page of a Markdown text; images named relative to ``folder`` are put into the page itself."""
    import markdown

    body = markdown.markdown(text, extensions=["tables", "fenced_code"])
    title = text.partition("\n")[0].lstrip("# ")

    def embed(match: re.Match[str]) -> str:
        data = base64.b64encode((folder / match[1]).read_bytes()).decode()
        return f'src="data:image/png;base64,{data}"'

    body = re.sub(r'src="([^":]+\.png)"', embed, body)
    return render("page.html.j2", title=title, body=body)


def _draw(exp_dir: Path, results: Sequence[Result]) -> dict[str, str]:
    """Title → file of each plot, relative to the experiment."""
    from svmixer.report import plots

    plots.plot_det(results, exp_dir / "plots/det.png")
    plots.plot_histograms(results, exp_dir / "plots/scores_hist.png")
    drawn = {"Detection error trade-off": "plots/det.png", "Scores": "plots/scores_hist.png"}
    logs = {stage: read_log(exp_dir / stage / "log.jsonl") for stage in ("distill", "train")}
    logs = {stage: records for stage, records in logs.items() if records}
    if logs:
        plots.plot_curves(logs, exp_dir / "plots/curves.png")
        drawn["Training"] = "plots/curves.png"
    return drawn


def _costs(results: Sequence[Result]) -> Iterator[list[list[str]]]:
    """Rows of each model whose directory is still there: part, parameters, MMACs, millions of operations."""
    from svmixer.models.config import ModelConfig
    from svmixer.models.costs import model_rows

    for model in dict.fromkeys(result.metrics["model"] for result in results if result.kind == MODEL):
        config = Path(model) / "config.yaml"
        if config.is_file():
            rows = []
            for row in model_rows(load(ModelConfig, config)):
                counts = [row["macs"] / 1e6, row["operations"] / 1e6]
                rows.append([row["name"], f"{row['params']:,}", *(f"{count:,.1f}" for count in counts)])
            yield rows
