"""Log-likelihood ratios, operating points and uncertain answers, by hand-computed numbers."""

from __future__ import annotations

import json

import numpy as np
import pytest

from svmixer.audio.quality import Quality
from svmixer.cli.main import run_program
from svmixer.inference.calibration import probability, read_calibration
from svmixer.inference.embedding_model import ASSETS, ModelError
from svmixer.inference.verification import Rule, verify_calibrated

GOOD = Quality(seconds=5.0, range_db=40.0, band_db=-20.0, clipped=0.0)
PHONE = Quality(seconds=5.0, range_db=40.0, band_db=-60.0, clipped=0.0)
# Scores of (1, 0, 0) against the cohort: 0.6 and 0; of (0, 1, 0): 0.8 and 0.6.
COHORT = np.float16([[0.6, 0.8, 0.0], [0.0, 0.6, 0.8]])
ONE, TWO = np.float32([1, 0, 0]), np.float32([0, 1, 0])


def point(ratio: float, share: float) -> dict[str, float]:
    return {"ratio": ratio, "false_accepts": share, "false_rejects": 0.1}


@pytest.fixture
def directory(tmp_path):
    np.save(tmp_path / "cohort.npy", COHORT)
    table = [point(-1.0, 0.05), point(2.0, 0.01), point(4.0, 0.001)]
    named = {"standard": table[1], "strict": table[2]}
    maps = {
        "0": {"slope": 2.0, "offset": 1.0, "operating_points": named, "table": table},
        "2": {"slope": 2.0, "offset": -1.0, "operating_points": named, "table": table},
    }
    limits = {"seconds": 2.0, "range_db": 15.0, "clipped": 0.005}
    found = {"format": 1, "cohort_size": 2, "top": 2, "limits": limits, "maps": maps}
    (tmp_path / "calibration.json").write_text(json.dumps(found))
    return tmp_path


def test_the_ratio_by_hand(directory):
    calibration = read_calibration(directory)
    # ONE: mean 0.3, deviation 0.3; TWO: mean 0.7, deviation 0.1. Cosine 0: (-1 - 7) / 2 = -4.
    assert calibration.normalised(ONE, TWO)[0, 0] == pytest.approx(-4, abs=0.01)
    assert calibration.ratio(ONE, TWO) == pytest.approx(2 * -4 + 1, abs=0.02)
    assert calibration.ratio(ONE, TWO, telephone_sides=2) == pytest.approx(2 * -4 - 1, abs=0.02)
    # Cosine 1: (0.7 / 0.3 + 0.7 / 0.3) / 2.
    assert calibration.ratio(ONE, 3 * ONE) == pytest.approx(2 * 7 / 3 + 1, abs=0.01)


def test_probability():
    assert probability(0.0) == 0.5
    assert probability(np.log(4)) == pytest.approx(0.8)
    assert probability(np.log(4), prior=0.2) == pytest.approx(0.5)
    assert probability(-1000.0) == 0.0 and probability(1000.0) == 1.0
    with pytest.raises(ValueError, match="prior: a probability between 0 and 1, found 1"):
        probability(0.0, 1.0)


def test_decisions_at_operating_points(directory):
    calibration = read_calibration(directory)
    same = verify_calibrated(calibration, ONE, ONE, ([GOOD], [GOOD]))
    assert same and same.decision == "one speaker" and same.threshold == 2.0 and same.doubts == ()
    assert same.ratio == pytest.approx(17 / 3, abs=0.01) and same.prior == 0.5
    assert not verify_calibrated(calibration, ONE, TWO, ([GOOD], [GOOD]))
    assert verify_calibrated(calibration, ONE, ONE, rule=Rule("strict")).threshold == 4.0
    assert verify_calibrated(calibration, ONE, ONE, rule=Rule(max_false_accepts=0.02)).threshold == 2.0
    with pytest.raises(ValueError, match="no operating point 'strickt'; did you mean 'strict'"):
        verify_calibrated(calibration, ONE, ONE, rule=Rule("strickt"))
    with pytest.raises(ValueError, match=r"0.01 % is less than .* promise, which is 0.1 %"):
        verify_calibrated(calibration, ONE, ONE, rule=Rule(max_false_accepts=1e-4))


@pytest.mark.parametrize(
    ("quality", "doubt"),
    [
        (Quality(1.14, 40.0, -20.0, 0.0), "test: 1.1 s of speech, fewer than 2"),
        (Quality(5.0, 9.0, -20.0, 0.0), "test: noisy, 9 dB between pauses and speech"),
        (Quality(5.0, 40.0, -20.0, 0.02), "test: clipped, 2.0 % of the samples at the peak"),
        # The calibration has no map for one side.
        (PHONE, "telephone band, which this model is not calibrated for"),
    ],
)
def test_recordings_outside_of_the_calibration(directory, quality, doubt):
    found = verify_calibrated(read_calibration(directory), ONE, ONE, ([GOOD], [quality]))
    assert found.doubts == (doubt,) and found.decision == "uncertain" and found.same and not found


def test_telephone_on_both_sides(directory):
    calibration = read_calibration(directory)
    for sides in (([PHONE], [PHONE]), ([], [PHONE])):
        found = verify_calibrated(calibration, ONE, ONE, sides)
        assert found.decision == "one speaker" and found.ratio == pytest.approx(11 / 3, abs=0.01)
    # Short recordings of an enrolment count together.
    short = Quality(1.2, 40.0, -20.0, 0.0)
    assert not verify_calibrated(calibration, ONE, ONE, ([short, short], [GOOD])).uncertain


def test_no_calibration_and_damaged_ones(directory, tmp_path):
    assert read_calibration(tmp_path / "none") is None
    path = directory / "calibration.json"
    whole = json.loads(path.read_text())
    path.write_text(json.dumps({**whole, "format": 2}))
    with pytest.raises(ModelError, match=r"calibration.json: of format 2, this version reads 1"):
        read_calibration(directory)
    path.write_text(json.dumps({**whole, "maps": {"0": {"slope": 1}}}))
    with pytest.raises(ModelError, match=r"calibration.json: damaged"):
        read_calibration(directory)
    path.write_text(json.dumps(whole))
    (directory / "cohort.npy").unlink()
    with pytest.raises(ModelError, match=r"cohort.npy: cannot be read"):
        read_calibration(directory)


@pytest.mark.parametrize("model", ["pocket", "pocket2"])
def test_the_models_of_the_package_are_calibrated(model):
    found = read_calibration(ASSETS / model)
    assert set(found.maps) == ({0} if model == "pocket" else {0, 1, 2})
    for one in found.maps.values():
        assert set(one.points) >= {"standard", "strict", "balanced"}
        assert one.point("standard").false_accepts == 0.01
        assert one.slope > 0
        ratios = [row.ratio for row in one.table]
        assert ratios == sorted(ratios)


def test_verify_says_that_it_is_not_certain(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    import soundfile

    time = np.arange(3 * 16000) / 16000
    wave = 0.1 * np.random.default_rng(0).standard_normal(len(time)) * (0.5 - 0.5 * np.cos(8 * np.pi * time))
    soundfile.write("a.wav", wave, 16000)
    soundfile.write("brief.wav", wave[:16000], 16000)
    run_program("verify", ["a.wav", "a.wav", "--exit_status", "true"])
    assert capsys.readouterr().out.startswith("one speaker: log-likelihood ratio ")
    with pytest.raises(SystemExit) as stop:
        run_program("verify", ["a.wav", "brief.wav", "--json", "--exit_status", "true"])
    found = json.loads(capsys.readouterr().out)
    assert stop.value.code == 4 and found["decision"] == "uncertain"
    assert found["speech"][1] == pytest.approx(0.9, abs=0.15)
    assert found["doubts"][0].startswith("test: ") and "s of speech, fewer than 2" in found["doubts"][0]
    np.save("a.npy", np.ones(1486, np.float32))
    run_program("verify", ["a.npy", "a.wav", "--json", "--max_false_accepts", "2%"])
    assert json.loads(capsys.readouterr().out)["speech"][0] is None
    for words, what in (
        (["--max_false_accepts", "x"], "0.1%"),
        (["--prior", "2"], "prior"),
        (["--operating_point", "strct"], "did you mean 'strict'?"),
    ):
        with pytest.raises(SystemExit) as stop:
            run_program("verify", ["a.wav", "a.wav", *words])
        assert stop.value.code == 2 and what in capsys.readouterr().err
    with pytest.raises(SystemExit) as stop:
        run_program("verify", ["a.wav", "a.wav", "--threshold", "0.3", "--operating_point", "strict"])
    assert "a threshold is given: an operating point" in capsys.readouterr().err
