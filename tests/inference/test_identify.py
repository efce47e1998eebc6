"""``svmixer identify``: ranking, strangers, the number of the enrolled, mistakes."""

from __future__ import annotations

import json
import shutil

import numpy as np
import pytest

from svmixer.cli.main import run_program
from svmixer.fileio import read_json
from svmixer.inference.calibration import read_calibration
from svmixer.inference.embedding_model import ASSETS

SIZE = 1486


@pytest.fixture
def people(tmp_path, monkeypatch):
    """Three people far apart, recordings close to the second and to nobody."""
    monkeypatch.chdir(tmp_path)
    vectors = np.random.default_rng(0).standard_normal((5, SIZE)).astype(np.float32)
    for name, vector in zip(("ann", "bob", "cem"), vectors[:3], strict=True):
        np.save(f"{name}.npy", vector)
    np.save("test.npy", vectors[1] + 0.3 * vectors[3])
    np.save("stranger.npy", vectors[4])
    return vectors


def ask(capsys, *words: str) -> dict:
    run_program("identify", [*words, "--json"])
    return json.loads(capsys.readouterr().out)


def test_somebody(people, capsys):
    found = ask(capsys, "test.npy", "ann.npy", "bob.npy", "cem.npy", "--top", "2")
    assert (found["decision"], found["name"], found["enrolled"]) == ("somebody", "bob.npy", 3)
    assert found["likeliest"][0]["name"] == "bob.npy" and len(found["likeliest"]) == 2
    calibration = read_calibration(ASSETS / "pocket2")
    expected = calibration.ratio(people[1], people[1] + 0.3 * people[3])
    assert found["likeliest"][0]["ratio"] == pytest.approx(expected, rel=1e-5)
    # A third of 1 % of strangers: the next row of the table is 0.2 %.
    assert found["threshold"] == calibration.maps[0].at_most(0.01 / 3).ratio
    assert calibration.maps[0].at_most(0.01 / 3).false_accepts == 0.002


def test_nobody(people, capsys):
    words = ["stranger.npy", "ann.npy", "bob.npy", "cem.npy"]
    assert ask(capsys, *words)["decision"] == "nobody" and ask(capsys, *words)["name"] is None
    with pytest.raises(SystemExit) as stop:
        run_program("identify", [*words, "--exit_status", "true", "--top", "1"])
    first, second = capsys.readouterr().out.splitlines()
    assert stop.value.code == 3
    assert first.startswith("nobody of 3 enrolled: log-likelihood ratio -") and second.startswith("1. ")


def test_more_enrolled_than_the_calibration_can_promise_for(people, capsys):
    enrolled = ["ann.npy", "bob.npy", "cem.npy"]
    found = ask(capsys, "test.npy", *enrolled, "--operating_point", "strict")
    # Strict is 0.1 %, a third of it less than the table has.
    assert found["doubts"] == ["of strangers up to 0.15 % are taken for one of 3 enrolled"]
    assert found["threshold"] == read_calibration(ASSETS / "pocket2").maps[0].table[-1].ratio


def test_several_embeddings_in_a_file_are_one_person(people, capsys):
    np.save("both.npy", people[[1, 1]])
    one, two = (ask(capsys, "test.npy", name)["likeliest"][0]["score"] for name in ("bob.npy", "both.npy"))
    assert one == pytest.approx(two, abs=1e-6)


@pytest.mark.parametrize(
    ("words", "status", "message"),
    [
        ([], 2, "no recording given: svmixer identify RECORDING [ENROLLED...]"),
        (["test.npy"], 1, "nobody is enrolled: svmixer enrol FILE... --name NAME"),
        (["test.npy", "ann.npy", "--top", "0"], 2, "top: must be at least 1, found 0"),
        (["test.npy", "none.npy"], 1, "none.npy: missing file"),
        (["test.npy", "ann.npy", "--operating_point", "strikt"], 2, "did you mean 'strict'"),
    ],
)
def test_mistakes(people, capsys, words, status, message):
    with pytest.raises(SystemExit) as stop:
        run_program("identify", words)
    assert stop.value.code == status and message in capsys.readouterr().err


def test_the_share_holds_whatever_map_the_trial_takes(people, capsys, tmp_path):
    """A telephone map that promises less than the other one."""
    folder = tmp_path / "model"
    shutil.copytree(ASSETS / "pocket2", folder)
    found = read_json(folder / "calibration.json")
    found["maps"]["2"] = {**found["maps"]["0"], "table": found["maps"]["0"]["table"][:4]}
    (folder / "calibration.json").write_text(json.dumps(found))
    said = ask(capsys, "test.npy", "ann.npy", "bob.npy", "cem.npy", "--model", str(folder))
    assert found["maps"]["2"]["table"][-1]["false_accepts"] == 0.01
    assert said["doubts"] == ["of strangers up to 3 % are taken for one of 3 enrolled"]
    assert said["threshold"] == found["maps"]["0"]["table"][3]["ratio"]
    (folder / "calibration.json").unlink()
    with pytest.raises(SystemExit):
        run_program(
            "identify", ["test.npy", "ann.npy", "--model", str(folder), "--operating_point", "strict"]
        )
    assert (
        "model has no calibration: an operating point or max_false_accepts needs one"
        in capsys.readouterr().err
    )
