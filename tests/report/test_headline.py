"""The headline: the error rate, and how it stands to controls, teacher and other experiments."""

from __future__ import annotations

import pytest

from svmixer.config import ConfigError
from svmixer.fileio import read_json, write_json
from svmixer.report.differences import Draws
from svmixer.report.experiment import changed_options, read_experiment, teacher_experiment
from svmixer.report.headline import headlines, verdict
from svmixer.training.config import TrainConfig


@pytest.fixture
def run_dir(make_run):
    return make_run("exp/toy", with_logs=False)


def control_of(run_dir, **metrics):
    (control, *_) = [r for r in read_experiment(run_dir).results if r.kind == "control"]
    control.metrics.update(metrics)
    return control


@pytest.mark.parametrize(
    ("points", "interval", "speakers", "text"),
    [
        (-3.2, (-5.2, -1.1), 40,
         "3.20 points below X (20.00 %): fewer errors, and these speakers show it. Difference -3.20 "
         "[-5.20, -1.10]."),
        (1.0, (0.5, 2.0), 40,
         "1.00 points above X (20.00 %): more errors, and these speakers show it. Difference 1.00 "
         "[0.50, 2.00]."),
        (-1.0, (-2.0, 0.0), 40,
         "1.00 points below X (20.00 %): these speakers do not show a difference. Difference -1.00 "
         "[-2.00, 0.00]."),
        (-3.0, (-4.0, -2.0), 9,
         "3.00 points below X (20.00 %): fewer errors, of too few speakers to rely on. Difference -3.00 "
         "[-4.00, -2.00]."),
        (0.0, None, 40, "Equal to X (20.00 %); no interval."),
    ],
)  # fmt: skip
def test_verdicts(run_dir, points, interval, speakers, text):
    other = control_of(run_dir, eer=20.0, bootstrap={"speakers": speakers, "replicates": 10, "seed": 0})
    assert verdict("X", other, points, interval) == text


def test_one_experiment(run_dir):
    (one,) = headlines([read_experiment(run_dir, "student")], None, Draws())
    metrics = read_json(run_dir / "score/test/metrics.json")
    low, high = metrics["eer_ci95"]
    assert (one.system, one.set, one.eer) == ("student", "test", f"{metrics['eer']:.2f} %")
    assert one.about == (
        f"95 % interval {low:.2f} to {high:.2f} over 8 speakers; 400 trials, 120 of them target; crops, "
        "10 by 10 of 3 s"
    )
    assert len(one.standing) == 2
    for line, kind in zip(one.standing, ("control", "control_whitened"), strict=True):
        other = read_json(run_dir / f"{kind}/test/metrics.json")
        assert line.startswith(f"{other['eer'] - metrics['eer']:.2f} points below the control")
        assert f"({other['eer']:.2f} %)" in line


def trained_by(run_dir, teacher):
    (run_dir / "train").mkdir(exist_ok=True)
    (run_dir / "train/config.yaml").write_text(f"teacher: '{teacher}'\n")
    return read_experiment(run_dir, "student")


def test_the_teacher(run_dir, make_run):
    """An experiment of its own, found from where its model lies; a bare encoder; none."""
    make_run("exp/big", spread=0.3, with_logs=False)
    experiment = trained_by(run_dir, "exp/big/train/model")
    found = teacher_experiment(experiment)
    assert str(found) == "exp/big" == str(teacher_experiment(trained_by(run_dir, "exp/big/export")))
    (one,) = headlines([experiment], read_experiment(found), Draws())
    eers = [read_json(f"exp/{tag}/score/test/metrics.json")["eer"] for tag in ("toy", "big")]
    assert f"{eers[0] - eers[1]:.2f} points above the teacher, big ({eers[1]:.2f} %)" in one.standing[2]
    assert teacher_experiment(trained_by(run_dir, "wavlm_tiny")) is None
    (one,) = headlines([trained_by(run_dir, "/else/wavlm")], None, Draws())
    assert one.standing[2].startswith("Not compared with its teacher, …/wavlm, which has no results")
    (one,) = headlines([trained_by(run_dir, "")], None, Draws())
    assert one.standing[2] == "Trained without a teacher."


def test_several_experiments_are_compared_with_the_first(run_dir, make_run):
    experiments = [read_experiment(run_dir), read_experiment(make_run("exp/b", spread=1.4, with_logs=False))]
    first, second = headlines(experiments, None, Draws())
    assert first.system == "toy: distilled student" and len(first.standing) == 2
    eers = [read_json(f"exp/{tag}/score/test/metrics.json")["eer"] for tag in ("toy", "b")]
    assert second.standing[0].startswith(f"{eers[1] - eers[0]:.2f} points above toy ({eers[0]:.2f} %)")
    path = run_dir / "score/test/metrics.json"
    write_json(path, {**read_json(path), "protocol": "whole"})
    _, second = headlines([read_experiment(run_dir), experiments[1]], None, Draws())
    assert second.standing[0] == (
        "Not compared with toy, which was scored on other trials or in another way."
    )


def test_without_speakers_or_controls(run_dir):
    path = run_dir / "score/test/metrics.json"
    write_json(path, {**read_json(path), "eer_ci95": None, "bootstrap": None})
    for kind in ("control", "control_whitened"):
        for folder in (run_dir / kind).iterdir():
            (folder / "metrics.json").unlink()
    (one,) = headlines([read_experiment(run_dir)], None, Draws())
    assert one.about.startswith("no interval, as the speakers are not known; 400 trials")
    assert one.standing == ["Not compared with a control without a model (--control true)."]


def test_a_difference_is_drawn_once(run_dir, monkeypatch):
    """RESULTS.md and the report share the draws."""
    from svmixer.report import differences

    calls = []
    original = differences.group_figures
    monkeypatch.setattr(differences, "group_figures", lambda *rest: calls.append(rest) or original(*rest))
    experiment, draws = read_experiment(run_dir), Draws()
    differences.control_differences(experiment.results, draws)
    assert len(calls) == 6
    headlines([experiment], None, draws)
    assert len(calls) == 6


def test_changed_options():
    run = {
        "options": {"nj": "4", "seed": "0", "model": "/a/m"},
        "defaults": {"nj": "2", "seed": "0", "model": ""},
    }
    assert changed_options(run) == [["nj", "4", "2"], ["model", "…/m", ""]]
    assert changed_options({"options": {"nj": "4"}}) is None and changed_options({}) is None


def test_changed_settings(run_dir):
    (run_dir / "train").mkdir()
    text = "output_dir: exp/x\nteacher: wavlm_tiny\nloop: {seed: 3, lr: 0.0002}\ndata: {speeds: [1.0]}\n"
    (run_dir / "train/config.yaml").write_text(text)
    experiment = read_experiment(run_dir)
    assert experiment.settings("train", TrainConfig()) == [
        ["loop.seed", "3", "0"],
        ["data.speeds", "[1.0]", "[0.9, 1.0, 1.1]"],
    ]
    assert experiment.settings("distill", TrainConfig()) == []
    (run_dir / "train/config.yaml").write_text("[1]\n")
    with pytest.raises(ConfigError, match=r"exp/toy/train/config\.yaml"):
        read_experiment(run_dir).teacher()
