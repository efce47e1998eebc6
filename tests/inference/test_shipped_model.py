"""The models that come with the package: whole, small, the same in both forms; pocket2 is the default."""

from __future__ import annotations

import hashlib
import re

import numpy as np
import pytest
import soundfile

import svmixer
from svmixer.cli.main import main
from svmixer.fileio import read_json
from svmixer.inference.embedding_model import ASSETS
from svmixer.runtime import load_onnx

POCKET = ASSETS / "pocket"
RATE = 16000


def voice(pitch: float, formants: tuple[float, ...], seed: int, seconds: float = 6.0) -> np.ndarray:
    """A gliding tone with harmonics that formants weight, and a little noise: enough to be told apart."""
    rng = np.random.default_rng(seed)
    time = np.arange(int(RATE * seconds)) / RATE
    phase = 2 * np.pi * np.cumsum(pitch * (1 + 0.1 * np.sin(2 * np.pi * (0.7 + rng.random()) * time))) / RATE
    wave = 0.01 * rng.standard_normal(len(time))
    for harmonic in range(1, 30):
        frequency = harmonic * pitch
        gain = sum(np.exp(-(((frequency - formant) / 200) ** 2)) for formant in formants)
        wave += gain * np.sin(harmonic * phase + rng.random())
    return (0.2 * wave / np.abs(wave).max()).astype(np.float32)


LOW = (110.0, (600.0, 1000.0, 2400.0))
HIGH = (220.0, (850.0, 1900.0, 3000.0))


@pytest.mark.parametrize("model", ["pocket", "pocket2"])
def test_files_are_whole_and_small(model):
    folder = ASSETS / model
    sums = dict(reversed(line.split("  ")) for line in (folder / "SHA256SUMS").read_text().splitlines())
    assert {path.name for path in folder.iterdir()} == {*sums, "SHA256SUMS"}
    for name, expected in sums.items():
        data = (folder / name).read_bytes()
        assert hashlib.sha256(data).hexdigest() == expected, name
        assert len(data) <= 8e6, name
    assert {"model.safetensors", "model.int8.onnx", "README.md"} <= set(sums)


@pytest.mark.parametrize("name", ["pocket", "pocket2"])
def test_both_forms_are_one_model(name):
    pytest.importorskip("torch")
    graph, model = load_onnx(name), svmixer.load_model(name)
    assert graph.sample_rate == model.sample_rate == RATE
    for pitch, formants in (LOW, HIGH):
        wave = voice(pitch, formants, seed=3)
        assert graph.embed(wave, RATE) @ model.embed(wave, RATE) > 0.99


def test_pocket2_hears_a_voice_through_a_narrow_band():
    """Half of its cosine is of whitened statistics, half was learned; both are in the graph."""
    model = load_onnx("pocket2")
    assert model.description.embedding == 256 + 1230
    full, narrow, other = voice(*LOW, seed=0), voice(*LOW, seed=1), voice(*HIGH, seed=2)
    spectrum = np.fft.rfft(narrow)
    spectrum[np.abs(np.fft.rfftfreq(len(narrow), 1 / RATE) - 1850) > 1550] = 0
    narrow = np.fft.irfft(spectrum, len(narrow)).astype(np.float32)
    one, two, three = (model.embed(wave, RATE) for wave in (full, narrow, other))
    assert one @ two > one @ three + 0.1


def test_verify_without_a_model_named(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    for name, (pitch, formants), seed in (("a", LOW, 0), ("b", LOW, 1), ("c", HIGH, 2)):
        soundfile.write(f"{name}.wav", voice(pitch, formants, seed), RATE)
    scores = []
    for second in ("b.wav", "c.wav"):
        main(["verify", "a.wav", second])
        output = capsys.readouterr().out
        words = r"log-likelihood ratio (-?\d+\.\d\d), threshold (\d\.\d\d), .*cosine (-?0\.\d{4})"
        found = re.search(words, output)
        scores.append((float(found[1]), float(found[3])))
        # Harmonics up to 3.3 kHz and hardly any noise above: two telephones.
        standard = read_json(ASSETS / "pocket2/calibration.json")["maps"]["2"]["operating_points"]["standard"]
        assert float(found[2]) == pytest.approx(standard["ratio"], abs=0.006)
    assert scores[0][0] > scores[1][0] and scores[0][1] > scores[1][1] + 0.1


@pytest.mark.parametrize("decibels", [-6, -12, -20, -30])
def test_the_gain_of_a_recording_makes_no_difference(decibels):
    graph = load_onnx(POCKET)
    for pitch, formants in (LOW, HIGH):
        wave = voice(pitch, formants, seed=3)
        assert graph.embed(wave, RATE) @ graph.embed(wave * 10 ** (decibels / 20), RATE) > 0.999
