"""The HTML report as a file: it needs nothing else, and says where its figures are from."""

from __future__ import annotations

import base64
import gzip
import json
import re
import shlex
from pathlib import Path

import pytest
from plotly.offline import get_plotlyjs
from report_pages import add_audio, embedded, report, rows_of, without_scripts

from svmixer.cli.main import run_program
from svmixer.cli.report import page_names
from svmixer.errors import UsageError
from svmixer.fileio import read_json, write_json
from svmixer.report.experiment import read_experiment
from svmixer.report.score_figures import det_figure, drawn

pytestmark = pytest.mark.slow

# Of the library alone, packed: 2 MB.
LARGEST = 3_000_000


@pytest.fixture
def run_dir(make_run):
    return make_run("exp/toy")


def test_one_file_that_needs_nothing_else(run_dir):
    page = report(run_dir)
    assert len(page) < LARGEST
    text = without_scripts(page)
    assert (
        re.findall(r'(?:src|href)="(?!#)[^"]*"', text) == [] and "url(" not in text and "@import" not in text
    )
    assert re.findall(r"<script[^>]*\bsrc=", page) == []
    packed = re.search(r'<script type="text/plain" id="plotly">(.*?)</script>', page)[1]
    assert gzip.decompress(base64.b64decode(packed)).decode() == get_plotlyjs()
    assert "<title>Results of toy</title>" in page and 'name="viewport"' in page
    anchors = set(re.findall(r'href="#([\w-]+)"', text))
    assert anchors <= set(re.findall(r'id="([\w-]+)"', text)) and "det" in anchors


def test_the_page_draws_the_figures(run_dir):
    figures = embedded(report(run_dir), "figures")
    assert list(figures) == ["det", "scores", "reliability", "conditions", "training"]
    (view,) = det_figure(drawn([read_experiment(run_dir, "student")])).views
    assert figures["det"] == [json.loads(json.dumps(
        {"name": view.name, "note": view.note, "traces": view.traces, "layout": view.layout}
    ))]  # fmt: skip


def test_headline_and_results(run_dir):
    page = report(run_dir)
    metrics = read_json(run_dir / "score/test/metrics.json")
    assert f"<strong>{metrics['eer']:.2f} %</strong> equal error rate" in page
    rows = rows_of(page, "All results")
    low, high = metrics["eer_ci95"]
    assert len(rows) == 6 and rows[0][:4] == [
        "test", "student", "full band", f"{metrics['eer']:.2f} [{low:.2f}, {high:.2f}]",
    ]  # fmt: skip
    assert [row[1] for row in rows_of(page, "Differences")[:2]] == [
        "student minus control, no model", "student minus control, whitened",
    ]  # fmt: skip


def test_notes_of_the_recipe(run_dir):
    Path("notes.md").write_text("Acted speech:\n\n- one\n- *two*\n")
    run_program("report", [str(run_dir), "--notes", "notes.md"])
    text = without_scripts((run_dir / "report.html").read_text())
    assert "<p>Acted speech:</p>" in text and "<li><em>two</em></li>" in text
    assert text.index("equal error rate") < text.index("Acted speech:") < text.index("<figure")


def test_where_the_figures_come_from(run_dir):
    run = read_json(run_dir / "run.json")
    more = {"defaults": {"nj": "2", "seed": "0"}, "environment": {"Python": "3.11.7", "numpy": "2.0"}}
    write_json(run_dir / "run.json", {**run, **more, "command": "./run.sh --tag toy --teacher 'a <b>'"})
    page = report(run_dir)
    md5 = read_json(run_dir / "score/test/metrics.json")["trials_md5"]
    assert rows_of(page, "Trial lists") == [["test", "400", "120", "8", md5]]
    command = re.search(r"<pre[^>]*><code>(.*?)</code>", page, re.DOTALL)[1]
    assert shlex.split(command.replace("&#39;", "'").replace("&lt;", "<").replace("&gt;", ">"))[-1] == "a <b>"
    assert rows_of(page, "Options of toy") == [["seed", "1", "0"]]
    assert rows_of(page, "All options of toy") == [["nj", "2"], ["seed", "1"]]
    assert "Python 3.11.7, numpy 2.0." in page
    (run_dir / "run.json").unlink()
    page = report(run_dir)
    assert "There is no record of the run." in page and "Not recorded." in page


def test_wrong_trials_with_and_without_players(run_dir, eval_set):
    add_audio(eval_set)
    page = report(run_dir)
    heard = embedded(page, "clips")
    players = re.findall(r'data-clip="([^"]+)"', without_scripts(page))
    assert set(players) == set(heard) and len(players) > 4
    assert all(address.startswith("data:audio/") for address in heard.values())
    page = report(run_dir, audio=False)
    assert embedded(page, "clips") == {} and "data-clip=" not in without_scripts(page)
    assert "Made without recordings." in page and ">target, rejected</td>" in page


def test_nothing_on_the_page_is_markup_by_accident(run_dir):
    """Names and options of others; JSON in a script element."""
    run = read_json(run_dir / "run.json")
    evil = "</script><script>alert(1)</script>"
    write_json(run_dir / "run.json", {**run, "command": f"./run.sh {evil}", "options": {"tag": evil}})
    for path in run_dir.glob("score/*/metrics.json"):
        write_json(path, {**read_json(path), "set": evil})
    page = report(run_dir)
    assert "<script>alert" not in page
    assert [view["name"] for view in embedded(page, "figures")["det"]] == [evil, "test"]


def test_several_experiments(make_run, tmp_path):
    for name, spread in (("a", 0.7), ("b", 1.2)):
        make_run(f"exp/{name}", spread=spread, with_logs=False)
    run_program("report", ["exp/a", "exp/b", "--output", "both.html"])
    page = Path("both.html").read_text()
    assert "<title>Comparison of a, b</title>" in page and str(tmp_path) not in without_scripts(page)
    assert page.count('<article class="card">') == 2
    eers = [read_json(f"exp/{name}/score/test/metrics.json")["eer"] for name in "ab"]
    assert [f"<strong>{eer:.2f} %</strong>" in page for eer in eers] == [True, True]
    names = [trace["name"] for trace in embedded(page, "figures")["det"][0]["traces"] if trace["name"]]
    # A curve and its points; the controls once.
    assert {names.count(name) for name in ("a", "b", "control, no model")} == {2}
    rows = rows_of(page, "All results")
    assert [row[0] for row in rows] == ["a"] * 6 + ["b"] * 6
    differences = rows_of(page, "Differences")
    assert [row[0] for row in differences] == ["a"] * 4 + ["b"] * 4
    assert "./run.sh --tag a --seed 1" in page and "./run.sh --tag b --seed 1" in page
    assert not (Path("exp/a") / "report.html").exists()


def test_cost_against_accuracy(make_run):
    """As svmixer compare counts: the light student 0.27 GMACs, the tiny one 0.33, for windows of 3 s."""
    from svmixer.config import load, save
    from svmixer.models.config import ModelConfig

    root = Path(__file__).resolve().parents[2]
    for name, backend in (("light", "moments"), ("tiny", "statistics")):
        folder = make_run(f"exp/{name}", with_logs=False)
        paths = {"student": f"student/svmixer_{name}", "backend": f"backend/{backend}"}
        paths = {part: str(root / f"conf/{file}.yaml") for part, file in paths.items()}
        save(load(ModelConfig, None, paths), folder / "model/config.yaml")
        for path in folder.glob("score/*/metrics.json"):
            write_json(path, {**read_json(path), "model": str(folder / "model")})
    run_program("report", ["exp/light", "exp/tiny"])
    (view,) = embedded(Path("comparison.html").read_text(), "figures")["cost"]
    points = {trace["name"]: (trace["x"][0], trace["y"][0]) for trace in view["traces"]}
    assert [f"{3 * points[name][0]:.2f}" for name in ("light", "tiny")] == ["0.27", "0.33"]
    for name in points:
        eer = read_json(f"exp/{name}/score/test/metrics.json")["eer"]
        assert points[name][1] == pytest.approx(eer, abs=1e-5)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ([], "expected svmixer report EXPERIMENT"),
        (["exp/toy", "--output", "x.html"], "--output is for several experiments"),
        (["exp/toy", "exp/b", "--notes", "n.md"], "--notes is for one experiment alone, found 2"),
        (["exp/toy", "exp/toy"], "exp/toy stands twice"),
        (["exp/toy", "exp/none"], "exp/none/score: no results"),
    ],
)
def test_what_cannot_be_reported(run_dir, words, message, capsys):
    with pytest.raises(SystemExit) as stop:
        run_program("report", words)
    assert stop.value.code in (1, 2) and message in capsys.readouterr().err
    assert not Path("comparison.html").exists()


def test_names_of_experiments_on_a_page():
    assert page_names(["exp/a", "/else/exp/b"]) == ["a", "b"]
    assert page_names(["exp1/a", "exp2/a"]) == ["exp1/a", "exp2/a"]
    with pytest.raises(UsageError, match="…/a stands twice"):
        page_names(["/home/x/a", "/home/y/a"])
