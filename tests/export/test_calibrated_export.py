"""``svmixer calibrate`` on a toy export: what it writes, that it is used, that it goes with the weights."""

from __future__ import annotations

import json
import shutil

import numpy as np
import pytest
from toy import write_dump

from svmixer.cli.main import run_program
from svmixer.fileio import read_json, wrong_files
from svmixer.inference.calibration import read_calibration
from svmixer.runtime import load_onnx


@pytest.fixture(scope="module")
def calibrated(exported, tmp_path_factory):
    """The export with a calibration by two sets of 14 speakers, and the words of the command."""
    folder = tmp_path_factory.mktemp("calibrated")
    shutil.copytree(exported, folder / "toy")
    for name, seed in (("train", 3), ("one", 4), ("two", 5)):
        write_dump(folder / name, speakers=14, utterances=4, seed=seed)
    words = [
        "--model", str(folder / "toy"), "--sets", f"[{folder / 'one'}, {folder / 'two'}]",
        "--cohort", str(folder / "train"), "--conditions", "[none:none, none:mulaw]", "--utterances", "4",
        "--enrolments", "2", "--short", "0.5", "--top", "20", "--cohort_size", "30",
    ]  # fmt: skip
    run_program("calibrate", words)
    return folder / "toy", words


def test_what_is_written(calibrated):
    folder, _ = calibrated
    found = read_json(folder / "calibration.json")
    assert set(found["maps"]) == {"0", "1"} and found["cohort_size"] == 30 and found["top"] == 20
    assert set(found["held_back"]) == {"one", "two"}
    conditions = {"none:none", "none:mulaw", "0.5 s", "2 recordings"}
    assert all(set(rates) == conditions for rates in found["held_back"].values())
    # 56 utterances: 56 x 55 pairs through other channels, half of them where both sides are alike (plain
    # and short), and 28 enrolments with 54 utterances that are not in them.
    assert found["trials"]["one"] == (1 + 1 / 2 + 1 / 2) * 56 * 55 + 28 * 54
    cohort = np.load(folder / "cohort.npy")
    assert cohort.shape == (30, 12) and cohort.dtype == np.float16
    np.testing.assert_allclose(np.linalg.norm(cohort.astype(float), axis=1), 1, atol=1e-2)


def test_the_card_says_it(calibrated):
    folder, _ = calibrated
    card = (folder / "README.md").read_text()
    standard = read_json(folder / "calibration.json")["maps"]["1"]["operating_points"]["standard"]
    row = f"| 1 | standard | {standard['ratio']:.2f} | 1.00 | {100 * standard['false_rejects']:.1f} |"
    assert "\n# toy\n" in card and row in card and "| condition, enrolment:test | one | two |" in card


def test_the_ratio_is_that_of_the_steps_in_the_documentation(calibrated):
    folder, _ = calibrated
    model, found = load_onnx(folder), read_json(folder / "calibration.json")
    rng = np.random.default_rng(0)
    one, two = (model.embed(0.1 * rng.standard_normal(16000).astype(np.float32)) for _ in range(2))
    cohort = np.load(folder / "cohort.npy").astype(np.float64)
    cohort /= np.linalg.norm(cohort, axis=1, keepdims=True)
    z = 0.0
    for side in (one, two):
        highest = np.sort(cohort @ side)[-20:]
        z += (one @ two - highest.mean()) / highest.std() / 2
    steps = found["maps"]["0"]["slope"] * z + found["maps"]["0"]["offset"]
    assert model.calibration.ratio(one, two) == pytest.approx(steps, rel=1e-3, abs=1e-3)


def test_it_is_the_same_every_time_and_goes_into_the_package(calibrated, tmp_path):
    folder, words = calibrated
    before = (folder / "calibration.json").read_bytes()
    run_program("calibrate", words)
    assert (folder / "calibration.json").read_bytes() == before
    options = ["--export_dir", str(folder), "--name", "mine", "--assets_dir", str(tmp_path)]
    run_program("package_model", options)
    packed = tmp_path / "mine"
    assert (packed / "calibration.json").read_bytes() == before
    assert "cohort.npy" in (packed / "SHA256SUMS").read_text()
    # Sums that there are hold for what a further calibration writes.
    run_program("calibrate", [*words, "--model", str(packed), "--range_db", "14"])
    assert (packed / "calibration.json").read_bytes() != before and wrong_files(packed) == []
    assert "## Calibration" in (packed / "README.md").read_text()


def test_an_export_of_other_weights_has_none(calibrated, tmp_path):
    folder, _ = calibrated
    shutil.copytree(folder, tmp_path / "again")
    run_program("export", ["--model", str(folder), "--output_dir", str(tmp_path / "again")])
    assert not (tmp_path / "again/calibration.json").exists()
    assert read_calibration(tmp_path / "again") is None and not (tmp_path / "again/cohort.npy").exists()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (["--sets", "[]"], "sets: name a dump or more"),
        (["--sets", "[a/test, b/test]"], "sets: two folders have one name"),
        (["--conditions", "[none]"], "expected ENROL:TEST, as none:amrnb, found 'none'"),
        (["--conditions", "[none:gsn]"], "no channel family 'gsn'; did you mean 'gsm'?"),
        (["--enrolments", "4"], "enrolments: fewer than the 4 utterances of a speaker"),
        (["--model", "nowhere"], "nowhere: no such export directory"),
        # What is installed stays as it was released.
        (["--model", "pocket2"], "calibrate a copy of it in a directory of your own"),
        (["--sets", "[nowhere]"], "nowhere"),
    ],
)
def test_mistakes(calibrated, capsys, change, message):
    _, words = calibrated
    with pytest.raises(SystemExit) as stop:
        run_program("calibrate", [*words, *change])
    assert stop.value.code in (1, 2) and message in capsys.readouterr().err


def test_verify_uses_it(calibrated, tmp_path, capsys):
    folder, _ = calibrated
    rng = np.random.default_rng(1)
    np.save(tmp_path / "a.npy", rng.standard_normal(12).astype(np.float32))
    run_program("verify", [str(tmp_path / "a.npy")] * 2 + ["--model", str(folder), "--json"])
    said = json.loads(capsys.readouterr().out)
    vector = np.load(tmp_path / "a.npy")
    assert said["ratio"] == pytest.approx(read_calibration(folder).ratio(vector, vector))
    assert said["score"] == pytest.approx(1) and said["prior"] == 0.5
