"""How long a training will take, from a few of its steps."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from svmixer.cli.main import run_program
from svmixer.config import load
from svmixer.stages.expected_time import duration
from svmixer.training import expected
from svmixer.training.config import TrainConfig
from svmixer.training.expected import Expected, expected_time


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (1, "5 seconds"), (33, "35 seconds"), (89, "90 seconds"), (100, "2 minutes"), (580, "10 minutes"),
        (5399, "90 minutes"), (9000, "2.5 hours"),
    ],
)  # fmt: skip
def test_times_in_words(seconds, words):
    assert duration(seconds) == words


def test_the_sum():
    assert Expected(steps=220, step_seconds=1.5, other_seconds=30.0).seconds == 360.0


class FakeClock:
    """Time that passes only where it is made to."""

    def __init__(self, monkeypatch):
        self.now = 0.0
        monkeypatch.setattr("time.perf_counter", lambda: self.now)

    def passing(self, function, seconds):
        def called(*words, **more):
            self.now += seconds(*words) if callable(seconds) else seconds
            return function(*words, **more)

        return called


@pytest.mark.slow
@pytest.mark.parametrize("epochs", [3, 0])
def test_what_is_reckoned(toy, monkeypatch, tmp_path, epochs):
    """Every step takes 2 s, a validation of the distillation 5 s, a batch of four embeddings 0.4 s."""
    from svmixer.models.speaker_model import SpeakerModel
    from svmixer.training.distill import DistillTask
    from svmixer.training.loop import Loop
    from svmixer.training.speaker import SpeakerTask

    clock = FakeClock(monkeypatch)
    monkeypatch.setattr(Loop, "_take_step", clock.passing(Loop._take_step, 2.0))
    monkeypatch.setattr(DistillTask, "validate", clock.passing(lambda *words: {}, 5.0))
    monkeypatch.setattr(SpeakerModel, "forward", clock.passing(SpeakerModel.forward, 0.4))
    overrides = {"loop.max_epochs": epochs, "loop.workers": 0, "whiten.crops": 1000}
    config = load(TrainConfig, toy / "config.yaml", overrides)
    monkeypatch.chdir(tmp_path)
    found = expected_time(config, SpeakerTask)
    # 24 utterances at two speeds, four a step.
    assert found.steps == 12 * epochs
    assert found.step_seconds == (pytest.approx(2.0) if epochs else 0.0)
    # Two crops of nine utterances are validated after every epoch, and whitened for before; one whitening
    # more if something is trained, that of the average.
    crops = 18 * max(1, epochs) + 1000 * (4 if epochs else 1)
    assert found.other_seconds == pytest.approx(0.1 * crops)
    if epochs:
        distilled = expected_time(config, DistillTask)
        assert (distilled.steps, distilled.other_seconds) == (36, pytest.approx(15.0))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
def test_without_a_whitening_only_validations_are_embedded(toy, monkeypatch):
    from svmixer.models.speaker_model import SpeakerModel
    from svmixer.training.speaker import SpeakerTask

    clock = FakeClock(monkeypatch)
    monkeypatch.setattr(SpeakerModel, "forward", clock.passing(SpeakerModel.forward, 0.4))
    overrides = {"loop.max_epochs": 0, "loop.workers": 0, "model.whiten": False}
    found = expected_time(load(TrainConfig, toy / "config.yaml", overrides), SpeakerTask)
    assert found.other_seconds == pytest.approx(1.8)


@pytest.mark.slow
def test_the_program_says_that_it_is_an_estimate(toy, monkeypatch, tmp_path, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(expected, "STEPS", 1)
    words = f"--config '{toy}/config.yaml' --loop.workers 0 --device.threads 1"
    run_program("expected_time", ["--distill", words, "--train", words])
    first, second = capsys.readouterr().out.splitlines()
    steps = r"36 steps of \d+\.\d\d s"
    parts = rf"distillation \d+ seconds, {steps}; speaker training \d+ seconds, {steps}"
    assert re.fullmatch(rf"expected time of the training: \d+ (seconds|minutes) \({parts}\)", first)
    assert second.startswith("  an estimate, from a few steps tried here in ")
    assert list(Path().iterdir()) == []


def test_several_processes_are_not_estimated(toy, capsys):
    words = f"--config '{toy}/config.yaml' --device.processes 2"
    run_program("expected_time", ["--train", words])
    assert capsys.readouterr().out.startswith("no expected time: ")


def test_no_training(capsys):
    with pytest.raises(SystemExit) as stop:
        run_program("expected_time", [])
    assert stop.value.code == 2 and "no training is named" in capsys.readouterr().err
