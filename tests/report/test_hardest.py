"""The hardest wrong trials, and the pieces of recordings that go with them."""

from __future__ import annotations

import base64
import io
from pathlib import Path

import numpy as np
import pytest
import soundfile
from report_pages import add_audio

from svmixer.report.experiment import read_experiment
from svmixer.report.hardest import CLIP_SECONDS, clips, wrong_trials
from svmixer.scoring.metrics import equal_error_rate, error_rates


@pytest.fixture
def result(make_run):
    return read_experiment(make_run("exp/toy", with_logs=False)).main[0]


def test_the_worst_come_first(result):
    found = wrong_trials(result, most=3)
    assert [one.target for one in found] == [True] * 3 + [False] * 3
    scores, labels = result.load()
    targets, others = np.sort(scores[labels == 1]), np.sort(scores[labels == 0])[::-1]
    np.testing.assert_array_equal([one.score for one in found], [*targets[:3], *others[:3]])
    threshold = equal_error_rate(error_rates(scores, labels))[1]
    assert found[0].margin == threshold - targets[0] > 0 and found[3].margin == others[0] - threshold >= 0
    lines = Path("dump/test/trials").read_text().splitlines()
    for one in found:
        assert f"{int(one.target)} {one.enrol} {one.test}" in lines


def test_only_wrong_trials(result):
    """As many as the rates say, if there is room for all."""
    found = wrong_trials(result, most=1000)
    rates = error_rates(*result.load())
    point = int(np.searchsorted(rates.thresholds, equal_error_rate(rates)[1]))
    assert sum(one.target for one in found) == round(rates.miss[point] * 120) > 0
    assert sum(not one.target for one in found) == round(rates.false_alarm[point] * 280) > 0


def decoded(address: str) -> tuple[np.ndarray, int]:
    head, _, text = address.partition(",")
    assert head in ("data:audio/mpeg;base64", "data:audio/wav;base64")
    return soundfile.read(io.BytesIO(base64.b64decode(text)))


def test_clips_are_the_middle_of_recordings(result, eval_set):
    add_audio(eval_set, seconds=6.0)
    tone = 0.3 * np.sin(2 * np.pi * 500 * np.arange(64000) / 16000)
    silence = np.zeros(16000)
    soundfile.write(eval_set / "wav/s0-u0.wav", np.concatenate([silence, tone, silence]), 16000)
    found = clips(result, ["s0-u0", "s0-u1", "s0-u0"], 1_000_000)
    assert list(found) == ["s0-u0", "s0-u1"]
    wave, rate = decoded(found["s0-u0"])
    assert rate == 16000 and len(wave) / rate == pytest.approx(CLIP_SECONDS, abs=0.1)
    # All of it is the tone.
    assert np.sqrt(np.mean(wave[4000:-4000] ** 2)) == pytest.approx(0.3 / np.sqrt(2), rel=0.1)


def test_clips_that_do_not_fit_are_left_out(result, eval_set):
    add_audio(eval_set)
    names = ["s0-u0", "s0-u1", "s0-u2"]
    sizes = [len(address) for address in clips(result, names, 1_000_000).values()]
    assert list(clips(result, names, sum(sizes[:2]))) == names[:2]


def test_recordings_that_are_not_at_hand(result, eval_set):
    assert clips(result, ["s0-u0"], 1_000_000) == {}
    add_audio(eval_set)
    (eval_set / "wav/s0-u0.wav").unlink()
    assert list(clips(result, ["s0-u0", "s0-u1", "nobody"], 1_000_000)) == ["s0-u1"]
