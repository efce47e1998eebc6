"""Enrolment, verification, identification from Python: recordings of every kind, decisions, docstrings."""

from __future__ import annotations

import doctest
import io
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile

import svmixer
from svmixer import Rule, Verifier
from svmixer.audio import AudioError
from svmixer.errors import SvmixerError, UsageError
from svmixer.inference.calibration import read_calibration
from svmixer.inference.embedding_model import ASSETS
from svmixer.scoring import verifier as module
from svmixer.scoring.store import StoreError

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "demo"))
from voices import HIGH, LOW, RATE, voice

MODEL = "pocket2"


@pytest.fixture(scope="module")
def files(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("voices")
    for name, kind in (("ann", LOW), ("bob", HIGH)):
        for number in (1, 2, 3):
            soundfile.write(folder / f"{name}{number}.wav", voice(kind, number), RATE, subtype="FLOAT")
    return folder


@pytest.fixture
def here(files, monkeypatch) -> Path:
    monkeypatch.chdir(files)
    return files


@pytest.fixture(scope="module")
def verifier() -> Verifier:
    return Verifier(MODEL)


@pytest.mark.parametrize("rule", [Rule(), Rule("balanced"), Rule("strict"), Rule(max_false_accepts=0.003)])
def test_one_enrolled_is_identified_as_verified(here, rule):
    one = Verifier(MODEL, rule=rule)
    one.enrol("ann", "ann1.wav")
    found, verdict = one.identify("ann2.wav").best, one.verify("ann", "ann2.wav")
    assert (found.threshold, found.ratio, found.decision) == (
        verdict.threshold,
        verdict.ratio,
        verdict.decision,
    )


@pytest.mark.parametrize("share", [0.0, -1.0, 5.0, float("nan"), "", "200%", "0", "%", "1 in 100", [0.1]])
def test_shares_that_cannot_be_asked_for(share):
    with pytest.raises(SvmixerError, match=r"max_false_accepts: a share as 0\.001 or 0\.1%, found"):
        Rule(max_false_accepts=share)


@pytest.mark.parametrize(("given", "share"), [("1%", 0.01), ("0.5 %", 0.005), ("0.02", 0.02), (1, 1.0)])
def test_shares_as_text(given, share):
    assert Rule(max_false_accepts=given).share == pytest.approx(share)


def test_an_operating_point_that_there_is_not(here):
    with pytest.raises(UsageError, match="no operating point 'strct'; did you mean 'strict'"):
        Verifier(MODEL, rule="strct")


def test_a_recording_of_two_people(verifier, here):
    """One and the same is a mistake at one of the two names, which only the person can tell."""
    assert verifier.enrol("ann", ["ann1.wav", "ann2.wav"]).doubts == ()
    found = verifier.enrol("bob", ["bob1.wav", "ann2.wav"])
    assert found.new == 2 and found.doubts == ("the same recording is enrolled as 'ann'",)
    assert verifier.enrol("bob", ["bob3.wav"]).doubts == ()


def test_every_kind_of_recording_is_one(verifier, here):
    wave = voice(LOW, 1)
    expected = verifier.embed("ann1.wav")
    kinds = [here / "ann1.wav", (here / "ann1.wav").read_bytes(), bytearray((here / "ann1.wav").read_bytes())]
    with open("ann1.wav", "rb") as stream:
        kinds += [stream, io.BytesIO(stream.read())]
        stream.seek(0)
        for kind in kinds:
            np.testing.assert_allclose(verifier.embed(kind), expected, atol=1e-6)
    for samples in (wave, wave[None], np.stack([wave, wave], axis=1), wave.astype(np.float64)):
        np.testing.assert_allclose(verifier.embed(samples), expected, atol=1e-6)
    both = verifier.embed(["ann1.wav", wave])
    assert both.shape == (2, 1486) and expected.shape == (1486,)
    assert np.linalg.norm(expected) == pytest.approx(1, abs=1e-6)


def test_tensors_and_rates(verifier):
    torch = pytest.importorskip("torch")
    wave = voice(LOW, 1)
    np.testing.assert_allclose(verifier.embed(torch.from_numpy(wave)), verifier.embed(wave), atol=1e-6)
    slow = voice(LOW, 1, samples=6 * 8000, rate=8000)
    assert verifier.embed(slow, 8000) @ verifier.embed(slow.astype(np.float64), 8000) > 0.9999
    with pytest.raises(SvmixerError, match="a file says its sampling rate itself"):
        verifier.embed(b"RIFF", 8000)


@pytest.mark.parametrize(
    ("recording", "message"),
    [
        (b"", "<bytes>: empty"),
        (b"no audio at all", "<bytes>: unreadable"),
        (io.StringIO("text"), "a file object of text; open it in binary mode"),
        (np.zeros(16000, np.float32), "all-zero"),
        (np.zeros(0, np.float32), "empty"),
        ("none.wav", "none.wav: missing file"),
        ([], "no recording given"),
    ],
)
def test_recordings_that_are_none(verifier, recording, message):
    with pytest.raises(SvmixerError, match=message):
        verifier.embed(recording)


def test_names(here):
    verifier = Verifier(MODEL)
    found = verifier.enrol("ann", ["ann1.wav", "ann2.wav"])
    assert (found.new, found.recordings, found.doubts) == (2, 2, ())
    assert verifier.enrol("ann", "ann1.wav").new == 0
    verifier.enrol("bob", here / "bob1.wav")
    assert verifier.speakers == ["ann", "bob"]
    assert verifier.verify("ann", "ann3.wav") and not verifier.verify("bob", "ann3.wav")
    assert verifier.identify("ann3.wav").name == "ann" and verifier.identify("bob3.wav").name == "bob"
    assert verifier.compare(["ann1.wav", "ann2.wav"], "ann3.wav") == verifier.verify("ann", "ann3.wav")
    verifier.delete("ann")
    stranger = verifier.identify("ann3.wav")
    assert stranger.decision == "nobody" and stranger.name is None and not stranger
    with pytest.raises(StoreError, match="nobody is enrolled as 'ann'"):
        verifier.verify("ann", "ann3.wav")


def test_nothing_is_enrolled_if_one_recording_cannot_be_used(here, tmp_path):
    verifier = Verifier(MODEL, tmp_path / "s.db")
    with pytest.raises(AudioError, match=r"none\.wav: missing file"):
        verifier.enrol("ann", ["ann1.wav", "none.wav"])
    assert verifier.speakers == [] and not (tmp_path / "s.db").exists()


def test_what_is_stored_decides_as_what_was_heard(here, tmp_path):
    stored = Verifier(MODEL, tmp_path / "s.db")
    stored.enrol("ann", ["ann1.wav", "ann2.wav"])
    again = Verifier(MODEL, tmp_path / "s.db")
    verdict = again.compare(["ann1.wav", "ann2.wav"], "ann3.wav")
    assert again.verify("ann", "ann3.wav").ratio == pytest.approx(verdict.ratio, abs=1e-5)
    with pytest.raises(StoreError, match="enrolled with the model pocket2"):
        Verifier("pocket", tmp_path / "s.db")


def test_short_enrolments_are_said_to_be(here):
    verifier = Verifier(MODEL)
    doubts = verifier.enrol("ann", voice(LOW, 1)[:RATE]).doubts
    assert len(doubts) == 1 and doubts[0].endswith("s of speech, fewer than 2")
    assert verifier.verify("ann", "ann3.wav").decision == "uncertain"
    # With more of it, it is long enough.
    assert verifier.enrol("ann", "ann2.wav").doubts == ()


def test_the_rule_decides(here):
    calibration = read_calibration(ASSETS / MODEL)
    rule = Rule("strict", prior=0.1)
    verdict = Verifier(MODEL, rule=rule).compare("ann1.wav", "ann2.wav")
    assert verdict.threshold == calibration.maps[0].point("strict").ratio
    assert verdict.prior == 0.1
    by_cosine = Verifier(MODEL, rule=Rule(threshold=0.3)).compare("ann1.wav", "ann2.wav")
    assert by_cosine.ratio is None and by_cosine.threshold == 0.3
    with pytest.raises(SvmixerError, match="a threshold is given: an operating point"):
        Verifier(MODEL, rule=Rule("strict", threshold=0.3))
    with pytest.raises(SvmixerError, match=r"prior: a probability between 0 and 1, found 1"):
        Rule(prior=1.0)


def test_ranks_are_those_of_single_verdicts(verifier, here):
    sides = {
        f"{name}{n}": verifier.side_from([f"{name}{n}.wav"]) for name in ("ann", "bob") for n in (1, 2, 3)
    }
    test = verifier.test_side("bob2.wav")
    found = verifier.decider.rank(sides, test, top=6)
    single = {name: verifier.decider.verdict(side, test).ratio for name, side in sides.items()}
    assert [name for name, _ in found.ranked] == sorted(single, key=single.get, reverse=True)
    assert [verdict.ratio for _, verdict in found.ranked] == sorted(single.values(), reverse=True)
    matrix = verifier.decider.scores(list(sides.values()), [test, sides["ann1"]])
    np.testing.assert_allclose(matrix[:, 0], list(single.values()), atol=1e-4)


@pytest.mark.parametrize("place", [svmixer, module])
def test_examples_of_docstrings(place, here):
    pytest.importorskip("torch")
    names = {"waves": np.stack([voice(LOW, 1), voice(LOW, 2)])}
    if place is svmixer:
        import torch

        names["waves"] = torch.from_numpy(names["waves"])
    found = doctest.testmod(place, extraglobs=names, raise_on_error=False)
    assert found.attempted >= 4 and found.failed == 0


def test_only_what_is_needed_is_imported():
    import subprocess

    code = "import svmixer, sys; svmixer.Verifier; print(sorted({'torch', 'scipy', 'av'} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"
