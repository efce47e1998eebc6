"""The results page of an experiment: RESULTS.md, the same as a self-contained report.html, and its plots."""

from __future__ import annotations

import base64
import html
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from svmixer.config import load
from svmixer.fileio import atomic_write
from svmixer.report.places import command_without_places, without_places
from svmixer.report.results import MODEL, Result, find_results, read_log, read_run
from svmixer.report.tables import list_table, result_table, table

_DEFINITIONS = """\
- EER: equal error rate, where the ROC curve, drawn as straight lines between its points, has as many misses
  as false alarms.
{interval}- minDCF: minimum detection cost at target prior 0.05 and 0.01, C_miss = C_fa = 1, normalised by
  the prior.
- Bands: "below … kHz" = every recording low-passed before any system hears it, so that what is left is less
  of the recording set-up.
- Lengths: "…, 2 s" = of every longer recording 2 s from its middle, on both sides of a trial.
- Score norm: AS-norm (Matějka et al., Interspeech 2017): a score as its distance from the mean of both sides'
  highest scores against a cohort of training speech, in standard deviations of these; none = raw scores.
- The control is the mean and standard deviation of 40 log-mel bands less their average over training
  speakers, scored in the same way. The whitened control goes through the whitening that a model's embeddings
  may go through (WCCN), fitted on undisturbed training speech low-passed like the test set.
"""

# Where at least one set knows its speakers.
_INTERVAL = """\
- [95 %]: bootstrap interval over test speakers ({replicates:,} draws of {speakers} speakers with
  replacement): what another draw of as many speakers might have given. It does not cover the chance in
  training.
"""

_STYLE = (
    "body{font:15px/1.5 system-ui,sans-serif;max-width:70em;margin:2em auto;padding:0 1em;color:#222}"
    "table{border-collapse:collapse;margin:1em 0;display:block;overflow-x:auto}"
    "th,td{border:1px solid #ccc;padding:.3em .6em}th{background:#f4f4f4}"
    "img{max-width:100%}code,pre{background:#f4f4f4}pre{padding:.6em;overflow-x:auto}"
)


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
    lines = [f"# Results of {exp_dir.name}", "", *result_table(results), ""]
    if notes:
        lines += [notes.strip(), ""]
    lines += ["## Trial lists", "", *list_table(results), ""]
    known = [result.metrics["bootstrap"] for result in results if result.metrics["bootstrap"]]
    interval = _INTERVAL.format(**known[0]) if known else ""
    lines += ["## What the figures are", "", _DEFINITIONS.format(interval=interval).strip(), ""]
    lines += _provenance(results, read_run(exp_dir))
    lines += _complexity(results)
    for title, file in plots.items():
        lines += [f"## {title}", "", f"![{title}]({file})", ""]
    text = "\n".join(lines)
    with atomic_write(exp_dir / "RESULTS.md") as stream:
        stream.write(text)
    with atomic_write(exp_dir / "report.html") as stream:
        stream.write(to_html(text, exp_dir))
    return results


def to_html(text: str, folder: Path) -> str:
    """One HTML page of a Markdown text; images named relative to ``folder`` are put into the page itself."""
    import markdown

    body = markdown.markdown(text, extensions=["tables", "fenced_code"])
    title = html.escape(text.partition("\n")[0].lstrip("# "))

    def embed(match: re.Match[str]) -> str:
        data = base64.b64encode((folder / match[1]).read_bytes()).decode()
        return f'src="data:image/png;base64,{data}"'

    body = re.sub(r'src="([^":]+\.png)"', embed, body)
    head = f'<meta charset="utf-8"><title>{title}</title><style>{_STYLE}</style>'
    return f'<!doctype html>\n<html lang="en"><head>{head}</head>\n<body>\n{body}\n</body></html>\n'


def run_lines(run: dict[str, Any]) -> list[str]:
    """Command, commit and start of a run as Markdown, from its ``run.json``, and of later ones."""
    command = command_without_places(run["command"])
    lines = ["```", command, "```", "", f"Commit `{run['commit']}`, started {run['started']}."]
    for later in run.get("later", []):
        lines += ["", "Then:", "", *run_lines(later)]
    return lines


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


def _provenance(results: Sequence[Result], run: dict[str, Any]) -> list[str]:
    lines = ["## Where they come from", ""]
    if run:
        lines += [*run_lines(run), ""]
        options = [[f"`{name}`", f"`{without_places(str(value))}`"] for name, value in run["options"].items()]
        lines += [*table(["option", "value"], options), ""]
    models = dict.fromkeys(without_places(r.metrics["model"]) for r in results if r.kind == MODEL)
    commits = dict.fromkeys(r.metrics["commit"] for r in results)
    models, commits = (", ".join(f"`{name}`" for name in names) for names in (models, commits))
    return [*lines, f"Model: {models}. Scored at commit {commits}.", ""]


def _complexity(results: Sequence[Result]) -> list[str]:
    """Cost of each model whose directory is still there."""
    from svmixer.models.config import ModelConfig
    from svmixer.models.costs import model_rows

    lines = []
    for model in dict.fromkeys(result.metrics["model"] for result in results if result.kind == MODEL):
        config = Path(model) / "config.yaml"
        if config.is_file():
            rows = []
            for row in model_rows(load(ModelConfig, config)):
                counts = [row["macs"] / 1e6, row["operations"] / 1e6]
                rows.append([row["name"], f"{row['params']:,}", *(f"{count:,.1f}" for count in counts)])
            lines += [*table(["part", "parameters", "MMACs", "million operations"], rows, "lrrr"), ""]
    if not lines:
        return []
    explanation = (
        "For one window of the model's input. MMACs: multiply-accumulates of linear and convolution layers "
        "alone, as the paper counts them. Operations: everything that is computed."
    )
    return ["## Complexity", "", *lines, explanation, ""]
