"""Comparison of groups of runs: means, spreads, paired differences."""

from pathlib import Path

import numpy as np
import pytest

from svmixer.cli.main import run_program
from svmixer.config import load, save
from svmixer.fileio import read_json, write_json
from svmixer.models.config import ModelConfig
from svmixer.report.compare import write_comparison
from svmixer.report.differences import GroupFigures, difference, group_figures
from svmixer.report.results import ReportError, Result
from svmixer.scoring.metrics import eer_replicates, percentile_interval

ROOT = Path(__file__).resolve().parents[2]
GROUPS = {"with teacher": ["exp/a1", "exp/a2", "exp/a3"], "without teacher": ["exp/b1", "exp/b2", "exp/b3"]}


@pytest.fixture
def six_runs(make_run):
    for index in range(3):
        make_run(f"exp/a{index + 1}", spread=0.7, seed=index, with_logs=False)
        make_run(f"exp/b{index + 1}", spread=1.3, seed=10 + index, with_logs=False)


def eers(group, band="test"):
    return [read_json(f"{run}/score/{band}/metrics.json")["eer"] for run in GROUPS[group]]


def rows_of(page, first_cell):
    return [line.split(" | ") for line in page.splitlines() if line.startswith(f"| {first_cell} |")]


def test_page(six_runs):
    write_comparison(GROUPS, "docs/results.md", "What the teacher gives", "Notes here.", 300, 0)
    page = Path("docs/results.md").read_text()
    assert page.startswith("# What the teacher gives\n")
    assert page.index("## test, full band") < page.index("## test, below 3.8 kHz") < page.index("Notes here.")
    for name in GROUPS:
        for row, band in zip(rows_of(page, name), ("test", "test_lp3800"), strict=True):
            values = eers(name, band)
            assert row[1] == ", ".join(f"{value:.2f}" for value in values)
            assert row[2].startswith(f"{np.mean(values):.2f} [")
            assert row[3] == f"{min(values):.2f} to {max(values):.2f}"
    gain = np.mean(eers("with teacher")) - np.mean(eers("without teacher"))
    differences = rows_of(page, "with teacher minus without teacher")
    assert differences[0][1].startswith(f"{gain:.2f} [")
    for kind, name in (("control", "control, no model"), ("control_whitened", "control, whitened")):
        control = read_json(f"exp/a1/{kind}/test/metrics.json")
        assert rows_of(page, name)[0][2].split()[0] == f"{control['eer']:.2f}"
    for runs in GROUPS.values():
        for run in runs:
            assert f"./run.sh --tag {Path(run).name} --seed" in page
    assert "300 draws" in page
    assert f"`{control['trials_md5']}`" in page


def test_figures_of_a_group_average_the_seeds(six_runs):
    results = [Result(Path(run) / "score/test", "score", "x", read_json(f"{run}/score/test/metrics.json"))
               for run in GROUPS["with teacher"]]  # fmt: skip
    figures = group_figures(results, 100, 5)
    assert figures.mean == pytest.approx(np.mean(eers("with teacher")))
    singles = [100 * eer_replicates(*r.load(), r.load_speakers(), 100, 5) for r in results]
    np.testing.assert_allclose(figures.replicates, np.mean(singles, axis=0))
    assert figures.interval == percentile_interval(np.mean(singles, axis=0))


def test_difference_is_paired():
    """Both groups move together by ten points from draw to draw; their difference is 2 in each."""
    common = np.linspace(5, 15, 101)
    first = GroupFigures(np.array([9.0, 11.0]), common)
    second = GroupFigures(np.array([12.0, 12.0]), common + 2)
    value, interval = difference(first, second)
    assert value == -2.0
    assert interval == pytest.approx((-2.0, -2.0))
    assert first.interval == pytest.approx((5.25, 14.75))


def test_a_group_against_itself_differs_by_nothing(six_runs):
    groups = {"one": GROUPS["with teacher"], "other": GROUPS["with teacher"]}
    write_comparison(groups, "same.md", "Same", "", 50, 0)
    rows = rows_of(Path("same.md").read_text(), "one minus other")
    assert [row[1] for row in rows] == ["0.00 [0.00, 0.00] |"] * 2


def test_runs_on_other_trials_are_refused(six_runs):
    path = "exp/b2/score/test/metrics.json"
    write_json(path, {**read_json(path), "trials_md5": "0" * 32})
    with pytest.raises(ReportError, match="exp/b2/score/test: trials_md5 is 000"):
        write_comparison(GROUPS, "docs/results.md", "x", "", 10, 0)
    assert not Path("docs/results.md").exists()


def test_missing_band_is_named(six_runs):
    Path("exp/b3/score/test_lp3800/metrics.json").unlink()
    with pytest.raises(ReportError, match=r"exp/b3: no result for test, below 3\.8 kHz"):
        write_comparison(GROUPS, "docs/results.md", "x", "", 10, 0)


def test_command_line(six_runs, capsys):
    runs = "{with: [exp/a1, exp/a2], without: [exp/b1]}"
    run_program("compare", ["--runs", runs, "--output", "page.md", "--replicates", "20", "--title", "T"])
    assert "| with minus without |" in Path("page.md").read_text()
    for bad, what in (("{a: exp/a1}", "runs[...]: Expected `array`"), ("{}", "at least one group")):
        with pytest.raises(SystemExit) as stop:
            run_program("compare", ["--runs", bad, "--output", "other.md"])
        assert stop.value.code == 2
        assert what in capsys.readouterr().err
    with pytest.raises(SystemExit) as stop:
        run_program("compare", ["--runs", "{a: [exp/none]}", "--output", "other.md"])
    assert stop.value.code == 1
    assert "exp/none/score: no results" in capsys.readouterr().err


@pytest.mark.slow
def test_costs_beside_error_rates(six_runs):
    """The light student has 0.27 GMACs, the tiny one 0.33; groups of one size alone have a cost."""
    for name, runs in zip(("light", "tiny"), GROUPS.values(), strict=True):
        for run in runs:
            folder = Path(run) / "train/model"
            folder.mkdir(parents=True)
            backend = {"light": "moments", "tiny": "statistics"}[name]
            names = {"student": f"svmixer_{name}", "backend": backend}
            paths = {part: str(ROOT / f"conf/{part}/{value}.yaml") for part, value in names.items()}
            save(load(ModelConfig, None, paths), folder / "config.yaml")
    groups = dict(zip(("light", "tiny"), GROUPS.values(), strict=True))
    write_comparison(groups, "docs/page.md", "T", "", 20, 0, "docs/plots/cost.png")
    page = Path("docs/page.md").read_text()
    assert "![Error rate against cost](plots/cost.png)" in page
    assert Path("docs/plots/cost.png").read_bytes().startswith(b"\x89PNG")
    (light,), (tiny,) = (
        [row for row in rows_of(page, name) if "," in row[1] and "." not in row[1]] for name in groups
    )
    assert (light[2], tiny[2]) == ("0.27", "0.33")
    mixed = {"both": [*GROUPS["with teacher"][:1], *GROUPS["without teacher"][:1]]}
    with pytest.raises(ReportError, match="both: the models of its experiments differ in size"):
        write_comparison(mixed, "docs/page.md", "T", "", 20, 0, "cost.png")
    (Path("exp/a1/train/model/config.yaml")).unlink()
    with pytest.raises(ReportError, match="exp/a1: no trained model"):
        write_comparison(groups, "docs/page.md", "T", "", 20, 0, "cost.png")
