"""The results page of an experiment: RESULTS.md, the same as a self-contained report.html, and its plots."""

from __future__ import annotations

import base64
import os
import re
import shlex
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import svmixer
from svmixer import templates
from svmixer.config import load
from svmixer.fileio import atomic_write
from svmixer.report.differences import control_differences
from svmixer.report.results import BASELINE, MODEL, Result, find_results, read_log, read_run
from svmixer.report.tables import list_table, result_table, table

FILTERS = {
    "command_lines": lambda command: "\n".join(command_lines(command)),
    "list_table": list_table,
    "result_table": result_table,
    "table": lambda rows, *header, align="": table(header, rows, align),
}
# An absolute path in quotes, or one word of it; not the rest of a relative path or of an address.
_PATH = re.compile(r"""(?<=')/[^']+(?=')|(?<=")/[^"]+(?=")|(?<![\w/.~…*)\]}-])/(?!/)[^\s'",;\])}]+""")


def render(template: str, **values: Any) -> str:
    """The text of ``templates/<template>``; see :func:`svmixer.templates.render`."""
    return templates.render("svmixer.report", template, FILTERS, **values)


def write_report(exp_dir: str | Path, system: str, notes: str = "") -> list[Result]:
    """Write ``RESULTS.md``, ``report.html`` and ``plots/*.png`` into an experiment; returns its results.

    Args:
        exp_dir: experiment with ``score/*`` and, as far as they exist, ``baseline/score/*``, ``control*/*``,
            ``distill`` and ``train`` logs, ``run.json``.
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
        baseline=next((result.system for result in results if result.kind == BASELINE), ""),
        differences=control_differences(results),
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


def model_kind(exp_dir: str | Path) -> str:
    """What the model that was trained in an experiment is: a distilled student or a fine-tuned teacher."""
    from svmixer.models.config import ModelConfig

    config = Path(exp_dir) / "train/model/config.yaml"
    tuned = config.is_file() and load(ModelConfig, config).teacher is not None
    return "fine-tuned teacher" if tuned else "distilled student"


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


def without_places(text: str) -> str:
    """``text`` with the absolute paths in it relative to the working directory or the checkout, others as
    ``…/name``; a text that is such a path as a whole may have blanks in it. A relative path from elsewhere
    into the checkout (``../../home/me/svmixer/run.sh``) is written as from there.
    """
    if text.startswith("../") and (inside := _in_checkout(text)):
        return inside
    return _relative(text) if _is_path(text) else _PATH.sub(lambda match: _relative(match[0]), text)


def command_without_places(command: str) -> str:
    """The same for the words of a command line; one that no shell could read is text."""
    try:
        return shlex.join(map(without_places, shlex.split(command)))
    except ValueError:
        return without_places(command)


def command_lines(command: str, width: int = 118) -> list[str]:
    """:func:`command_without_places` as lines of at most ``width`` characters, broken before options."""
    command = command_without_places(command)
    try:
        words = [shlex.quote(word) for word in shlex.split(command)]
    except ValueError:
        return [command]
    lines = [""]
    for number, word in enumerate(words):
        following = words[number + 1 : number + 2] if word.startswith("--") else []
        # An option stays with its value.
        needed = len(" ".join([lines[-1], word, *(v for v in following if not v.startswith("--"))]))
        if number and word.startswith("--") and needed + 2 > width:
            lines[-1] += " \\"
            lines.append(f"    {word}")
        else:
            lines[-1] += f" {word}" if number else word
    return lines


def _is_path(text: str) -> bool:
    return text.startswith("/") and " /" not in text


def _in_checkout(path: str) -> str:
    """A relative path into the checkout as from there, or "": within the checkout it stays as it is."""
    checkout, here = Path(svmixer.__file__).resolve().parent.parent, Path.cwd()
    target = Path(os.path.normpath(here / path))
    if here.is_relative_to(checkout) or not target.is_relative_to(checkout):
        return ""
    return f"./{target.relative_to(checkout)}"


def _relative(path: str) -> str:
    # The shell's name of the working directory may go through links.
    roots = [os.environ.get("PWD", ""), os.getcwd(), str(Path(svmixer.__file__).resolve().parent.parent)]
    for root in filter(None, roots):
        if path == root:
            return "."
        if path.startswith(f"{root}/"):
            return path[len(root) + 1 :]
    return f"…/{Path(path).name}"
