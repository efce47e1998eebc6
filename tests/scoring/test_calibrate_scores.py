"""``svmixer calibrate_scores``: maps of known trials, fusion, quality measures, files, mistakes."""

from __future__ import annotations

import json
import xml.etree.ElementTree as ET
from pathlib import Path

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression

from svmixer.cli.main import run_program
from svmixer.errors import SvmixerError
from svmixer.scoring.calibration import cross_validated_ratios
from svmixer.scoring.likelihood_ratio import cllr
from svmixer.scoring.score_calibration import fit_calibration, load_calibration
from svmixer.scoring.score_file import read_score_file

NAMES = [f"{speaker}-{number}" for speaker in "abcdefgh" for number in range(8)]
PAIRS = [(first, second) for i, first in enumerate(NAMES) for second in NAMES[i + 1 :]]
LABELS = np.array([int(first[0] == second[0]) for first, second in PAIRS])
SPEAKERS = np.array([["abcdefgh".index(name[0]) for name in pair] for pair in PAIRS])


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    """Two systems with errors of their own; the second one's scores are shifted by the sides' durations."""
    monkeypatch.chdir(tmp_path)
    rng = np.random.default_rng(0)
    seconds = dict(zip(NAMES, np.exp(rng.uniform(0, 3, len(NAMES))), strict=True))
    shift = np.array([min(np.log(seconds[a]), np.log(seconds[b])) for a, b in PAIRS])
    systems = {
        "one": 0.4 + 0.3 * LABELS + rng.normal(0, 0.2, len(PAIRS)),
        "two": 2.0 * LABELS + shift + rng.normal(0, 1.0, len(PAIRS)),
    }
    write("trials", (f"{label} {a} {b}" for label, (a, b) in zip(LABELS, PAIRS, strict=True)))
    write("utt2spk", (f"{name} {name[0]}" for name in NAMES))
    write("utt2dur", (f"{name} {value}" for name, value in seconds.items()))
    for name, scores in systems.items():
        write(name, (f"{a} {b} {score:.6f}" for (a, b), score in zip(PAIRS, scores, strict=True)))
    return tmp_path


def write(path, lines) -> None:
    Path(path).write_text("".join(f"{line}\n" for line in lines))


def scores_of(path: str) -> np.ndarray:
    return read_score_file(path).scores


def run(*words: str, capsys) -> dict:
    run_program("calibrate_scores", [*words, "--json"])
    return json.loads(capsys.readouterr().out)


def test_the_scores_written_are_those_of_maps_without_the_trial_s_speakers(capsys):
    found = run("one", "--trials", "trials", "--utt2spk", "utt2spk", "--output_dir", "out", capsys=capsys)
    expected = cross_validated_ratios(scores_of("one"), LABELS, SPEAKERS)
    np.testing.assert_allclose(scores_of("out/scores"), expected, atol=1e-6)
    assert found["after"]["cllr"] == pytest.approx(cllr(expected, LABELS))
    assert found["before"]["one"]["cllr"] == pytest.approx(cllr(scores_of("one"), LABELS))
    assert found["after"]["cllr"] < found["before"]["one"]["cllr"]
    assert found["calibration"]["speakers"] == 8
    lines = Path("out/scores").read_text().splitlines()
    assert [line.split()[:2] for line in lines] == [list(pair) for pair in PAIRS]


def test_slope_and_offset_are_another_program_s(capsys):
    """scikit-learn with both classes weighing half; Platt's aims are within 1/226 of 1 and 0."""
    found = run("one", "--trials", "trials", capsys=capsys)["calibration"]
    other = LogisticRegression(C=np.inf, tol=1e-10, class_weight="balanced", max_iter=1000)
    other.fit(scores_of("one")[:, None], LABELS)
    assert found["slopes"][0] == pytest.approx(other.coef_[0, 0], rel=0.05)
    assert -found["offset"] / found["slopes"][0] == pytest.approx(
        -other.intercept_[0] / other.coef_[0, 0], abs=0.005
    )
    assert found["speakers"] is None


def test_thresholds_keep_their_shares(capsys):
    found = run("one", "--trials", "trials", "--false_accepts", "[0.1, 0.01]", capsys=capsys)["calibration"]
    ratios = found["slopes"][0] * scores_of("one") + found["offset"]
    for share, point in found["false_accepts"].items():
        accepted = ratios >= point["ratio"]
        count = np.count_nonzero(LABELS == 0)
        assert float(share) - 2 / count < accepted[LABELS == 0].mean() <= float(share)
        assert point["false_accepts"] == pytest.approx(accepted[LABELS == 0].mean())
        assert point["false_rejects"] == pytest.approx(1 - accepted[LABELS == 1].mean())
    assert {key: point["ratio"] for key, point in found["p_target"].items()} == pytest.approx(
        {"0.05": np.log(19), "0.01": np.log(99)}
    )


def test_a_saved_calibration_gives_other_trials_the_same_map(capsys):
    run("one", "--trials", "trials", "--output_dir", "out", capsys=capsys)
    content = json.loads(Path("out/calibration.json").read_text())
    write("new", ["x y 0.5", "x z -1.0"])
    run_program("calibrate_scores", ["new", "--apply", "out/calibration.json", "--output_dir", "applied"])
    assert capsys.readouterr().out == "trials                   2, without labels\n"
    expected = content["slopes"][0] * np.array([0.5, -1.0]) + content["offset"]
    np.testing.assert_allclose(scores_of("applied/scores"), expected, atol=1e-6)
    assert not Path("applied/calibration.json").exists()
    run(
        "one", "--trials", "trials", "--apply", "out/calibration.json", "--output_dir", "again", capsys=capsys
    )
    assert Path("again/scores").read_bytes() == Path("out/scores").read_bytes()


def test_fusion_is_better_than_each_of_its_systems(capsys):
    options = ("--trials", "trials", "--utt2spk", "utt2spk")
    alone = [run(name, *options, capsys=capsys)["after"]["cllr"] for name in ("one", "two")]
    found = run("one", "two", *options, capsys=capsys)
    assert found["after"]["cllr"] < min(alone) - 0.05
    assert list(found["before"]) == ["one", "two"] and len(found["calibration"]["slopes"]) == 2
    other = LogisticRegression(C=np.inf, tol=1e-10, class_weight="balanced", max_iter=1000)
    other.fit(np.stack([scores_of("one"), scores_of("two")], axis=1), LABELS)
    assert found["calibration"]["slopes"] == pytest.approx(other.coef_[0].tolist(), rel=0.06)


def test_files_in_another_order_are_fused_by_names(capsys):
    straight = run("one", "two", "--trials", "trials", capsys=capsys)["calibration"]
    lines = Path("two").read_text().splitlines()
    write("turned", reversed(lines))
    assert run("one", "turned", "--trials", "trials", capsys=capsys)["calibration"] == straight


def test_a_quality_measure_takes_the_effect_of_durations_away(capsys):
    options = ("two", "--trials", "trials", "--utt2spk", "utt2spk")
    plain = run(*options, capsys=capsys)
    found = run(*options, "--measures", "[utt2dur:log_min]", capsys=capsys)
    # Without the shift the scores are two normal distributions 2 deviations apart: a ratio of 2 · score − 2.
    weight, slope = found["calibration"]["measures"]["utt2dur:log_min"], found["calibration"]["slopes"][0]
    assert weight / slope == pytest.approx(-1.0, abs=0.1) and slope == pytest.approx(2.0, abs=0.3)
    assert found["after"]["cllr"] < plain["after"]["cllr"] - 0.05


def test_applying_needs_the_same_measures(capsys):
    fitted = ["two", "--trials", "trials", "--measures", "[utt2dur:log_min, utt2dur:mean]"]
    run(*fitted, "--output_dir", "out", capsys=capsys)
    run(*fitted, "--apply", "out/calibration.json", "--output_dir", "again", capsys=capsys)
    assert Path("again/scores").read_bytes() == Path("out/scores").read_bytes()
    with pytest.raises(SystemExit) as stop:
        run_program("calibrate_scores", ["two", "--apply", "out/calibration.json", "--output_dir", "x"])
    assert stop.value.code == 2
    assert "out/calibration.json has utt2dur:log_min, utt2dur:mean, found none" in capsys.readouterr().err


def test_scores_with_labels_and_no_names(capsys):
    write("labelled", (f"{s} {y}" for s, y in zip(scores_of("one"), LABELS, strict=True)))
    expected = run("one", "--trials", "trials", "--output_dir", "a", capsys=capsys)["after"]
    assert run("labelled", "--output_dir", "b", capsys=capsys)["after"] == expected
    assert scores_of("b/scores").tolist() == scores_of("a/scores").tolist()


def test_what_is_printed(capsys, caplog):
    write("few", ["3.0 1", "1.0 0", "2.0 1", "0.0 0"])
    run_program("calibrate_scores", ["few", "--p_target", "[0.5]"])
    lines = capsys.readouterr().out.splitlines()
    assert lines[:2] == [
        "trials                   4, 2 of them target",
        "measured on              the trials it was fitted on",
    ]
    # Raw scores are taken for ratios: both others are at or above 0, the Bayes threshold of this prior.
    assert "actDCF(0.5)              1.0000 → 0.0000" in lines
    assert "minDCF(0.5)              0.0000 → 0.0000" in lines
    assert lines[-1].startswith("threshold, prior 0.5     0.0000: false accepts 0.00 %, rejects 0.00 %")
    assert "too few non-target trials for a threshold of 0.1 % false accepts" in caplog.text


def test_reliability_diagrams(capsys):
    run("one", "--trials", "trials", "--plot", "a.png", capsys=capsys)
    run("one", "--trials", "trials", "--plot", "a.svg", capsys=capsys)
    assert Path("a.png").read_bytes()[:8] == b"\x89PNG\r\n\x1a\n"
    assert ET.parse("a.svg").getroot().tag.endswith("svg")


ONE = ["one", "--trials", "trials"]


@pytest.mark.parametrize(
    ("words", "status", "message"),
    [
        ([], 2, "expected svmixer calibrate_scores SCORES"),
        (["one"], 2, "one has no labels: name the trial list, --trials FILE"),
        (["one", "nan", "--trials", "trials"], 1, "nan:2: the score is nan"),
        ([*ONE, "--utt2spk", "none"], 2, "there is no file none"),
        ([*ONE, "--measures", "[utt2dur]"], 2, "expected FILE:FUNCTION, found 'utt2dur'"),
        ([*ONE, "--measures", "[utt2dur:most]"], 2, "functions: min, max, mean"),
        ([*ONE, "--measures", "[short:min]"], 1, "short: utterance a-1: is in the trial"),
        ([*ONE, "--measures", "[zero:log_min]"], 1, "zero:2: utterance a-1: 0 has no log"),
        ([*ONE, "--measures", "[words:min]"], 1, "words:1: utterance a-0: expected a num"),
        ([*ONE, "--plot", "a.pdf"], 2, "ends in .png or .svg"),
        ([*ONE, "--p_target", "[1]"], 2, "p_target: lies between 0 and 1, found 1"),
        (["one", "--apply", "out"], 2, "name an output_dir"),
        (["one", "--apply", "none", "--output_dir", "o"], 1, "none: there is no such file"),
        (["one", "--apply", "odd", "--output_dir", "o"], 1, "odd: unknown key 'slope'; did you mean"),
        (["one", "--apply", "trials", "--output_dir", "o"], 1, "trials: no calibration"),
        (["equal", "--trials", "trials"], 1, "calibration needs scores that differ"),
    ],
)  # fmt: skip
def test_mistakes_end_with_one_line(words, status, message, capsys):
    write("nan", ["a-0 a-1 0.5", "a-0 a-2 nan"])
    write("short", ["a-0 3.0"])
    write("zero", ["a-0 3.0", "a-1 0"])
    write("words", ["a-0 long"])
    write("odd", ['{"slope": 1.0}'])
    write("equal", (f"{a} {b} 0.5" for a, b in PAIRS))
    with pytest.raises(SystemExit) as stop:
        run_program("calibrate_scores", words)
    assert stop.value.code == status
    assert message in capsys.readouterr().err


def test_a_calibration_refuses_another_number_of_systems(capsys):
    run("one", "two", "--trials", "trials", "--output_dir", "out", capsys=capsys)
    with pytest.raises(SvmixerError, match="for 2 score files and 0 measures, found 1 and 0"):
        load_calibration("out/calibration.json").ratios(np.zeros((3, 1)), np.zeros((3, 0)))


def test_too_few_speakers_are_measured_on_all_trials():
    scores, labels = np.arange(6.0), np.array([0, 0, 1, 0, 1, 1])
    calibration, ratios = fit_calibration(
        scores[:, None], labels, np.array([[0, 1]] * 6), shares=[], priors=[0.5]
    )
    assert calibration.speakers is None
    np.testing.assert_allclose(ratios, calibration.slopes[0] * scores + calibration.offset)
