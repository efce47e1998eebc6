"""Enrolment and verification, by hand-computed numbers and through the commands."""

from __future__ import annotations

import numpy as np
import pytest

from svmixer.cli.main import run_program
from svmixer.inference import embedding_model
from svmixer.inference.embedding_model import ModelError, find_directory
from svmixer.runtime import enrol, verify


def test_enrolment_by_hand():
    # Unit vectors (1, 0) and (0, 1): their mean points half-way, whatever the lengths were.
    found = enrol([np.float32([2, 0]), np.float32([0, 0.5])])
    np.testing.assert_allclose(found, [0.5**0.5, 0.5**0.5], rtol=1e-6)
    assert found.dtype == np.float32


def test_enrolment_refuses_nothing_and_mixtures():
    with pytest.raises(ValueError, match="one recording at least"):
        enrol([])
    with pytest.raises(ValueError, match=r"different sizes: \[\(2,\), \(3,\)\]"):
        enrol([np.zeros(2), np.zeros(3)])


def test_verdict_by_hand():
    enrolled, other = np.float32([1, 0]), np.float32([3, 4])
    verdict = verify(enrolled, other, threshold=0.6)
    assert verdict.score == pytest.approx(0.6, abs=1e-7) and verdict.threshold == 0.6
    assert verify(enrolled, other, 0.59).same and not verify(enrolled, other, 0.61).same
    with pytest.raises(ValueError, match="different sizes"):
        verify(enrolled, np.zeros(3), 0.5)


def test_a_verdict_is_what_it_says():
    one, two = np.float32([1, 0]), np.float32([0, 1])
    assert verify(one, one, 0.5) and not verify(one, two, 0.5)
    assert verify(one, one, 0.5).doubts == () == verify(one, two, 0.5).doubts
    close = verify(one, np.float32([3, 4]), 0.6249, ["b.wav: 0.4 s of speech"])
    assert close.doubts == ("b.wav: 0.4 s of speech", "0.0249 from the threshold") and not close


@pytest.mark.parametrize("threshold", [float("nan"), float("inf"), 7, -1.01])
def test_thresholds_that_are_no_cosine(threshold):
    with pytest.raises(ValueError, match=f"threshold: a cosine from -1 to 1, found {threshold}"):
        verify(np.ones(2), np.ones(2), threshold)
    with pytest.raises(SystemExit) as stop:
        run_program("verify", ["a.wav", "b.wav", "--threshold", str(threshold)])
    assert stop.value.code == 2


@pytest.mark.parametrize("bad", [np.float32([np.nan, 1]), np.float32([np.inf, 1]), np.zeros(2)])
def test_embeddings_that_cannot_be_compared(bad):
    for arguments in ((bad, np.ones(2), 0.5), (np.ones(2), bad, 0.5)):
        with pytest.raises(ValueError, match="zero or not finite"):
            verify(*arguments)
    with pytest.raises(ValueError, match="zero or not finite"):
        enrol([np.ones(2), bad])


def test_the_decision_as_exit_status(tmp_path, capsys):
    for name, vector in (("one", [1.0, 0.0]), ("two", [0.6, 0.8])):
        np.save(tmp_path / f"{name}.npy", np.float32(np.pad(vector, (0, 1450))))
    files = [str(tmp_path / "one.npy"), str(tmp_path / "two.npy"), "--model", "pocket"]
    run_program("verify", [*files, "--threshold", "0.5", "--exit_status", "true"])
    run_program("verify", [*files, "--threshold", "0.7"])
    with pytest.raises(SystemExit) as stop:
        run_program("verify", [*files, "--threshold", "0.7", "--exit_status", "true"])
    assert stop.value.code == 3
    assert [line.split(":")[0] for line in capsys.readouterr().out.splitlines()] == [
        "one speaker", "two speakers", "two speakers",
    ]  # fmt: skip


@pytest.fixture
def assets(tmp_path, monkeypatch):
    """A package that comes with a teacher alone, and an empty working directory."""
    for name in ("config.yaml", "model.safetensors"):
        path = tmp_path / "assets/wavlm_mini" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    (tmp_path / "here").mkdir()
    monkeypatch.setattr(embedding_model, "ASSETS", tmp_path / "assets")
    monkeypatch.chdir(tmp_path / "here")
    return tmp_path / "assets"


@pytest.mark.parametrize(
    ("command", "words"),
    [("verify", ["a.wav", "b.wav"]), ("enrol", ["a.wav", "--output", "s.npy"])],
)
def test_no_model_is_named_and_none_comes_with_the_package(assets, capsys, command, words):
    with pytest.raises(SystemExit) as stop:
        run_program(command, words)
    assert stop.value.code == 1
    assert capsys.readouterr().err == (
        "error: pocket2: no such model directory; it is taken when no model is named, but this package comes "
        "without it: name one with --model DIR, a directory that svmixer export or a training wrote\n"
    )
    with pytest.raises(SystemExit):
        run_program(command, [*words, "--model", "pock"])
    assert capsys.readouterr().err == "error: pock: no such model directory\n"


def test_names_of_models_are_not_those_of_teachers(assets):
    (assets / "mini").mkdir()
    for name in ("export.json", "config.yaml", "model.safetensors"):
        (assets / "mini" / name).touch()
    for kind, name in (("model", "mini"), ("export", "mini"), ("teacher", "wavlm_mini")):
        with pytest.raises(ModelError, match=rf"^x: no such {kind} directory \(names: {name}\)$"):
            find_directory("x", kind)
