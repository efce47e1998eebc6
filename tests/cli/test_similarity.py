"""``svmixer similarity``: each pair as ``svmixer verify`` judges it, in every form of output."""

from __future__ import annotations

import csv
import json
import logging
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile

from svmixer.cli.main import main
from svmixer.runtime import load_onnx
from svmixer.scoring.similarity import ratio_matrix

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "demo"))
from voices import LOW, RATE, voice


@pytest.fixture
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for number, (name, rate) in enumerate((("a.wav", RATE), ("sub/b.flac", RATE), ("sub/phone.wav", 8000))):
        time = np.arange(4 * rate) / rate
        noise = np.random.default_rng(number).standard_normal(len(time))
        (tmp_path / "voices" / name).parent.mkdir(parents=True, exist_ok=True)
        wave = 0.1 * noise * (0.5 - 0.5 * np.cos(2 * np.pi * 4 * time))
        soundfile.write(f"voices/{name}", wave, rate)
    (tmp_path / "voices/notes.txt").write_text("no recording")
    # Far more pause than speech: what is embedded is the speech alone.
    wave = 1e-4 * np.random.default_rng(3).standard_normal(20 * RATE)
    wave[8 * RATE : 12 * RATE] += voice(LOW, 0, 4 * RATE)
    soundfile.write("mostly_pause.wav", wave, RATE)
    return tmp_path


def run(capsys, *words: str) -> dict:
    main(["similarity", *words, "--json"])
    return json.loads(capsys.readouterr().out)


FILES = ["voices/a.wav", "voices/sub/b.flac", "voices/sub/phone.wav"]


def test_each_pair_is_what_verify_says(here, capsys):
    # pocket2 has a map for each number of telephone sides.
    cosines = run(capsys, "voices", "--model", "pocket2")
    ratios = run(capsys, "voices", "--model", "pocket2", "--ratio")
    assert (cosines["kind"], ratios["kind"]) == ("cosine", "log-likelihood ratio")
    assert cosines["names"] == ratios["names"] == ["a", "sub/b", "sub/phone"]
    for first, second in ((0, 1), (0, 2), (1, 2)):
        main(["verify", FILES[first], FILES[second], "--model", "pocket2", "--json"])
        verdict = json.loads(capsys.readouterr().out)
        for row, column in ((first, second), (second, first)):
            assert cosines["matrix"][row][column] == pytest.approx(verdict["score"], abs=1e-4)
            assert ratios["matrix"][row][column] == pytest.approx(verdict["ratio"], abs=2e-3)
    assert [cosines["matrix"][number][number] for number in range(3)] == [1.0] * 3


def test_what_the_detector_takes_for_noise_is_named(here, monkeypatch, capsys):
    from svmixer.inference.speech_parts import SpeechParts
    from svmixer.scoring import similarity

    monkeypatch.setattr(similarity, "speech_parts", lambda source, _: SpeechParts(source, 0.0, True))
    said: list[str] = []
    handler = logging.Handler()
    handler.emit = lambda record: said.append(record.getMessage())
    logging.getLogger("svmixer").addHandler(handler)
    try:
        run(capsys, *FILES, "--ratio")
    finally:
        logging.getLogger("svmixer").removeHandler(handler)
    assert [
        f"uncertain: {name}: hardly speech: music or noise" in line
        for name, line in zip(FILES, said, strict=False)
    ] == [True] * 3


def test_pauses_are_left_out_as_verify_leaves_them_out(here, capsys):
    files = ["voices/a.wav", "mostly_pause.wav"]
    main(["verify", *files, "--json"])
    verdict = json.loads(capsys.readouterr().out)
    assert run(capsys, *files)["matrix"][0][1] == pytest.approx(verdict["score"], abs=1e-4)
    assert run(capsys, *files, "--ratio")["matrix"][0][1] == pytest.approx(verdict["ratio"], abs=2e-3)


def test_rows_that_are_computed_apart_are_those_of_pairs():
    calibration = load_onnx("pocket").calibration
    vectors = np.random.default_rng(0).standard_normal((300, 1452)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    wide = type("Wide", (), {"band_db": 0.0})
    matrix = ratio_matrix(calibration, vectors, [wide] * 300)
    np.testing.assert_allclose(matrix, matrix.T, atol=1e-4)
    for first, second in ((0, 1), (127, 128), (299, 5)):
        assert matrix[first, second] == pytest.approx(
            calibration.ratio(vectors[first], vectors[second]), abs=1e-4
        )


def test_forms_of_output(here, capsys):
    expected = np.array(run(capsys, *FILES)["matrix"])
    main(["similarity", *FILES, "--output", "m.csv"])
    with open("m.csv", newline="") as stream:
        head, *rows = csv.reader(stream)
    assert head == ["", *FILES] and [row[0] for row in rows] == FILES
    np.testing.assert_allclose(np.array([row[1:] for row in rows], float), expected, atol=1e-4)
    main(["similarity", *FILES, "--output", "m.npz"])
    with np.load("m.npz", allow_pickle=False) as found:
        assert found["names"].tolist() == FILES
        np.testing.assert_allclose(found["matrix"], expected, atol=1e-4)
    assert capsys.readouterr().out == ""
    main(["similarity", *FILES])
    head, *lines = capsys.readouterr().out.splitlines()
    assert head.split() == ["1", "2", "3"]
    assert [line.split()[:2] for line in lines] == [
        [f"{number}.", name] for number, name in enumerate(FILES, 1)
    ]
    np.testing.assert_allclose([list(map(float, line.split()[2:])) for line in lines], expected, atol=1e-3)
    found = run(capsys, *FILES, "--output", "m.csv")
    assert found["output"] == "m.csv" and "matrix" not in found


def test_a_heat_map_needs_matplotlib(here, capsys, monkeypatch):
    pytest.importorskip("matplotlib")
    main(["similarity", "voices", "--output", "m.png"])
    assert (here / "m.png").read_bytes().startswith(b"\x89PNG\r\n")
    for name in [*sys.modules]:
        if name.startswith(("matplotlib", "svmixer.report")):
            monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(SystemExit) as stop:
        main(["similarity", "voices", "--output", "n.png"])
    assert stop.value.code == 1
    assert "similarity needs matplotlib, which is not installed" in capsys.readouterr().err
    assert not (here / "n.png").exists()


def test_what_cannot_be_used_is_left_out(here, capsys):
    (here / "voices/bad.wav").write_text("no audio")
    soundfile.write("voices/room.wav", 3e-4 * np.random.default_rng(2).standard_normal(RATE), RATE)
    with pytest.raises(SystemExit) as stop:
        main(["similarity", "voices", "--json"])
    assert stop.value.code == 1
    found = json.loads(capsys.readouterr().out)
    assert found["names"] == ["a", "sub/b", "sub/phone"] and len(found["matrix"]) == 3
    assert list(found["failures"]) == ["bad", "room"]
    assert (
        found["failures"]["room"]
        == "voices/room.wav: no speech: nothing in it is louder than -60 dB of full scale"
    )
    with pytest.raises(SystemExit) as stop:
        main(["similarity", "voices/bad.wav", "voices/a.wav"])
    assert stop.value.code == 1
    assert "1 of 2 recordings can be used; two are compared" in capsys.readouterr().err


def test_recordings_that_the_calibration_says_nothing_about(here, capsys):
    said: list[str] = []
    handler = logging.Handler()
    handler.emit = lambda record: said.append(record.getMessage())
    logger = logging.getLogger("svmixer")
    logger.addHandler(handler)
    try:
        run(capsys, "voices", "--ratio", "--model", "pocket")
    finally:
        logger.removeHandler(handler)
    assert said == ["uncertain: sub/phone: telephone band, which this model is not calibrated for"]


@pytest.mark.parametrize(
    ("words", "status", "message"),
    [
        (["voices/a.wav"], 2, "two recordings or more are compared, found 1"),
        (["voices", "--output", "m.txt"], 2, "output: 'm.txt' ends with none of .csv, .npz, .png"),
        ([f"{number}.wav" for number in range(21)], 2, "21 recordings: name a file with --output MATRIX.csv"),
        (["nowhere"], 1, "nowhere: no such folder or file"),
    ],
)
def test_command_lines_that_make_no_sense(here, capsys, words, status, message):
    with pytest.raises(SystemExit) as stop:
        main(["similarity", *words])
    assert stop.value.code == status and message in capsys.readouterr().err


def test_a_model_without_a_calibration(here, tmp_path, capsys):
    from svmixer.inference.embedding_model import ASSETS

    (tmp_path / "plain").mkdir()
    for name in ("export.json", "model.int8.onnx"):
        (tmp_path / "plain" / name).write_bytes((ASSETS / "pocket" / name).read_bytes())
    with pytest.raises(SystemExit):
        main(["similarity", "voices", "--model", "plain", "--ratio"])
    assert "plain has no calibration: ratio needs one" in capsys.readouterr().err
