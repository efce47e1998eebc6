"""The results page of a run: its figures, its plots, and what it says of broken input."""

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from svmixer.cli.main import run_program
from svmixer.config import save
from svmixer.fileio import read_json
from svmixer.models.config import BackendConfig, EcapaConfig, FrontendConfig, ModelConfig, StudentConfig
from svmixer.models.io import save_model
from svmixer.models.speaker_model import SpeakerModel
from svmixer.models.teacher_config import TeacherConfig
from svmixer.report.differences import group_figures
from svmixer.report.document import Extras
from svmixer.report.experiment import model_kind, read_experiment
from svmixer.report.page import write_report
from svmixer.report.results import Condition, ReportError, find_results, read_log
from svmixer.scoring.result import score_set


@pytest.fixture
def run_dir(make_run):
    return make_run("exp/toy")


def report(folder, notes=""):
    """Write the pages of an experiment; returns RESULTS.md."""
    write_report(read_experiment(folder, "student", notes), Extras())
    return (folder / "RESULTS.md").read_text()


KINDS = ("score", "control", "control_whitened")


def rows_of(text, first_cell):
    return [line.split(" | ") for line in text.splitlines() if line.startswith(f"| {first_cell} |")]


@pytest.mark.slow
def test_table_has_each_system_and_band(run_dir):
    text = report(run_dir, "Acted speech: *not* conversation.")
    rows = rows_of(text, "test")
    assert [(row[1], row[2]) for row in rows[:6]] == [
        ("student", "full band"),
        ("student", "below 3.8 kHz"),
        ("control, no model", "full band"),
        ("control, no model", "below 3.8 kHz"),
        ("control, whitened", "full band"),
        ("control, whitened", "below 3.8 kHz"),
    ]
    folders = [f"{kind}/{name}" for kind in KINDS for name in ("test", "test_lp3800")]
    for row, folder in zip(rows, folders, strict=False):
        metrics = read_json(run_dir / folder / "metrics.json")
        low, high = metrics["eer_ci95"]
        assert row[3] == f"{metrics['eer']:.2f} [{low:.2f}, {high:.2f}]"
        assert row[4:6] == [f"{metrics['min_dcf'][p]:.4f}" for p in ("0.05", "0.01")]
        assert row[7] == "crops, 10 by 10 of 3 s"
    assert f"| test | 400 | 120 | 8 | `{metrics['trials_md5']}` |" in text
    assert "200 draws of 8 speakers" in text
    assert "Acted speech: *not* conversation." in text
    assert "./run.sh --tag toy --seed 1" in text
    assert "Commit `0123456789abcdef0123456789abcdef01234567`, started 2030-01-02T03:04:05Z." in text
    assert "| `nj` | `2` |" in text


@pytest.mark.slow
def test_the_model_minus_each_control_on_the_same_draws(run_dir):
    text = report(run_dir)
    rows = [row for row in rows_of(text, "test") if " minus " in row[1]]
    assert [(row[1], row[2]) for row in rows] == [
        ("student minus control, no model", "full band"),
        ("student minus control, whitened", "full band"),
        ("student minus control, no model", "below 3.8 kHz"),
        ("student minus control, whitened", "below 3.8 kHz"),
    ]
    results = {(r.kind, r.condition.lowpass_hz): r for r in find_results(run_dir)}
    draws = {key: group_figures([result], replicates=200, seed=0) for key, result in results.items()}
    low, high = np.quantile(
        draws["score", 3800.0].replicates - draws["control", 3800.0].replicates, [0.025, 0.975]
    )
    points = results["score", 3800.0].metrics["eer"] - results["control", 3800.0].metrics["eer"]
    assert rows[2][3] == f"{points:.2f} [{low:.2f}, {high:.2f}] |" and points < 0
    assert "both systems are scored on the same draws" in text


@pytest.mark.slow
def test_set_without_speakers_has_no_interval(run_dir, eval_set):
    plain = run_dir / "score/test"
    before = read_json(plain / "metrics.json")
    (eval_set / "utt2spk").unlink()
    score_set(plain, eval_set, plain, num_jobs=1, replicates=200, seed=0)
    text, results = report(run_dir), find_results(run_dir, "student")
    assert rows_of(text, "test")[0][3] == f"{before['eer']:.2f}"
    assert rows_of(text, "test")[1][3].endswith("]")
    assert "200 draws of 8 speakers" in text  # of the other results
    first = next(result for result in results if result.directory == plain)
    figures = group_figures([first], replicates=20, seed=0)
    assert figures.mean == before["eer"] and figures.interval is None
    for result in results:
        score_set(result.directory, eval_set, result.directory, num_jobs=1, replicates=200, seed=0)
    text = report(run_dir)
    assert f"| test | 400 | 120 | not known | `{before['trials_md5']}` |" in text
    assert "draws of" not in text and "{interval}" not in text


@pytest.mark.slow
def test_plots_are_images_of_a_plausible_size(run_dir):
    text = report(run_dir)
    for name in ("det", "scores_hist", "curves"):
        assert f"(plots/{name}.png)" in text
        with Image.open(run_dir / f"plots/{name}.png") as image:
            image.load()
            assert image.format == "PNG"
            assert 500 <= image.width <= 3000
            assert 500 <= image.height <= 3000
            # Not an empty canvas: the lines' blue is there, and most of it is white.
            pixels = image.convert("RGB").getcolors(maxcolors=1 << 24)
        colours = {colour: count for count, colour in pixels}
        assert sum(count for (r, _, b), count in colours.items() if b > r + 60) > 500
        assert max(colours, key=colours.get) == (255, 255, 255)


@pytest.mark.slow
def test_run_without_logs_and_record(make_run):
    folder = make_run("exp/bare", with_logs=False)
    (folder / "run.json").unlink()
    text = report(folder)
    assert "curves.png" not in text
    assert not (folder / "plots/curves.png").exists()
    assert "Scored at commit" in text


@pytest.mark.slow
def test_complexity_of_the_scored_model(make_run):
    """A layer of H = 16 with T = 149 and two groups of 8, counted by hand."""
    folder = make_run("exp/toy")
    student = StudentConfig(
        frontend=FrontendConfig(channels=(8,) * 7), layers=1, hidden=16, group_width=8, expansion=2
    )
    ecapa = EcapaConfig(channels=8, attention_channels=4, se_bottleneck=4, scale=2)
    save_model(SpeakerModel(ModelConfig(student, BackendConfig(embedding=6, ecapa=ecapa))), "exp/score")
    text = report(folder)
    lgm = 32 + (16 * 7 + 16) + (16 * 3 + 16) + (149 * 298 + 298) + (298 * 149 + 149)
    msm = 32 + 2 * ((32 * 8 + 32) + (16 * 16 + 16))
    gcm = (16 * 8 * 3 + 16) + (16 * 16 + 16)
    assert f"| svmixer layer | {lgm + msm + gcm:,} |" in text


@pytest.mark.slow
def test_command_line(run_dir, capsys):
    Path("notes.md").write_text("From the recipe.")
    run_program("report", [str(run_dir), "--notes", "notes.md", "--system", "tiny"])
    text = (run_dir / "RESULTS.md").read_text()
    assert "From the recipe." in text
    assert "| tiny |" in text
    with pytest.raises(SystemExit) as stop:
        run_program("report", ["exp/none"])
    assert stop.value.code == 1
    assert capsys.readouterr().err.splitlines()[-1].startswith("error: exp/none/score: no results")


def test_changed_trial_list_is_refused(run_dir):
    with open("dump/test/trials", "a") as stream:
        stream.write("0 s0-u0 s1-u1\n")
    with pytest.raises(ReportError, match="dump/test/trials: has changed since"):
        report(run_dir)
    Path("dump/test/trials").unlink()
    with pytest.raises(ReportError, match="dump/test/trials: is missing"):
        report(run_dir)
    assert not (run_dir / "RESULTS.md").exists()


def test_results_are_found_in_order(run_dir):
    results = find_results(run_dir, "x")
    assert [result.directory.parent.name for result in results] == [kind for kind in KINDS for _ in range(2)]
    assert [result.condition for result in results[:2]] == [Condition("test"), Condition("test", 3800.0)]
    scores, labels = results[0].load()
    assert len(scores) == 400
    assert labels.sum() == 120
    assert results[0].load_speakers().max() == 7


def test_log_of_a_killed_and_resumed_training(tmp_path):
    path = tmp_path / "log.jsonl"
    assert read_log(path) == []
    records = [{"step": 1, "loss": 3}, {"step": 2, "loss": 2}, {"step": 2, "loss": 1}]
    path.write_text("".join(json.dumps(record) + "\n" for record in records) + '{"step": 3, "lo')
    assert read_log(path) == [{"step": 1, "loss": 3}, {"step": 2, "loss": 1}]
    path.write_text('{"step": 1}\nnonsense\n')
    with pytest.raises(ReportError, match=r"log\.jsonl:2: not a JSON record"):
        read_log(path)


def test_a_fine_tuned_teacher_is_called_one(tmp_path):
    kinds = {
        "distilled student": ModelConfig(),
        "fine-tuned teacher": ModelConfig(teacher=TeacherConfig()),
        "pocket2, adapted": ModelConfig(adapted_from="pocket2"),
    }
    assert model_kind(tmp_path) == "distilled student"
    for kind, config in kinds.items():
        save(config, tmp_path / "train/model/config.yaml")
        assert model_kind(tmp_path) == kind
