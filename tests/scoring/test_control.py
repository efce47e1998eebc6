"""The control without a model: its features computed by hand, and what it does not react to."""

import numpy as np
import pytest
import torch

from svmixer.audio.dumpset import DumpSet
from svmixer.inference.utterance import embed_utterance
from svmixer.models.whitening import Whitening
from svmixer.scoring.control import (
    FLOOR_DB,
    SHRINKAGE,
    LogMelControl,
    WhitenedControl,
    fitted_whitening,
    log_mel_statistics,
    mean_statistics,
    mel_bands,
)
from svmixer.scoring.utterances import lowpass


@pytest.fixture
def noise():
    return np.random.default_rng(1).normal(size=(2, 48000)).astype(np.float32) * 0.1


def test_mel_bands_tile_the_axis():
    bands = mel_bands(40, 512, 16000)
    assert bands.shape == (40, 257)
    frequencies = np.fft.rfftfreq(512, 1 / 16000)
    # Between the first and the last centre neighbouring triangles add up to one.
    mel = 2595 * np.log10(1 + 8000 / 700) / 41
    first, last = (700 * (10 ** (mel * k / 2595) - 1) for k in (1, 40))
    inside = (frequencies >= first) & (frequencies <= last)
    np.testing.assert_allclose(bands[:, inside].sum(axis=0), 1, atol=1e-12)
    assert (bands.max(axis=1) > 0.2).all()


def test_statistics_against_frames_one_by_one(noise):
    wave = noise[0].astype(float)
    window = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(400) / 400)
    logs = []
    for start in range(0, len(wave) - 399, 160):
        spectrum = np.fft.rfft(wave[start : start + 400] * window, 512)
        logs.append(np.log(mel_bands(40, 512, 16000) @ np.abs(spectrum) ** 2))
    expected = np.concatenate([np.mean(logs, axis=0), np.std(logs, axis=0)])
    assert len(logs) == 298
    np.testing.assert_allclose(log_mel_statistics(noise)[0], expected, atol=2e-4)


def test_gain_moves_the_means_alone(noise):
    quiet, loud = log_mel_statistics(noise), log_mel_statistics(noise * 4)
    np.testing.assert_allclose(loud[:, :40] - quiet[:, :40], np.log(16), atol=1e-4)
    np.testing.assert_allclose(loud[:, 40:], quiet[:, 40:], atol=1e-4)


def test_floor_hides_what_a_filter_leaves(noise):
    """Two signals that differ above the edge alone have the same statistics behind the filter."""
    high = noise[0] - lowpass(noise[0], 4000.0)
    low = lowpass(noise[0], 3500.0)
    plain = log_mel_statistics(np.stack([low, low + 0.5 * high]))
    assert np.abs(plain[0] - plain[1]).max() > 5
    first, second = log_mel_statistics(np.stack([lowpass(low, 3800.0), lowpass(low + 0.5 * high, 3800.0)]))
    np.testing.assert_allclose(first, second, atol=0.02)
    # The bands above the edge lie on the floor: no spread, all equal.
    assert np.ptp(first[34:40]) < 1e-3
    assert np.abs(first[74:80]).max() < 1e-3
    assert first[:40].max() - first[39] < FLOOR_DB * np.log(10) / 10


def test_silence_is_finite():
    statistics = log_mel_statistics(np.zeros((1, 48000), dtype=np.float32))
    np.testing.assert_allclose(statistics[0, :40], -FLOOR_DB * np.log(10) / 10, rtol=1e-5)
    np.testing.assert_allclose(statistics[0, 40:], 0, atol=1e-4)


def test_module_takes_the_common_embedding_path(noise):
    """Its ``crops`` embedding is the mean of the unit-length centred statistics of the same windows."""
    mean = log_mel_statistics(noise).mean(axis=0)
    control = LogMelControl(mean)
    wave = np.concatenate([noise[0], noise[1][:16000]])
    starts = np.linspace(0, 16000, 3).round().astype(int)
    rows = np.stack([log_mel_statistics(wave[None, s : s + 48000])[0] - mean for s in starts])
    expected = (rows / np.linalg.norm(rows, axis=1, keepdims=True)).mean(axis=0)
    found = embed_utterance(control.embed_windows, wave, control.window, "crops", 3)
    np.testing.assert_allclose(found, expected, atol=1e-4)
    assert control(torch.from_numpy(noise)).shape == (2, 80)


def test_mean_over_a_dump(make_dump):
    random = np.random.default_rng(2)
    waves = {f"s-{k}": np.clip(0.1 * random.normal(size=48000), -1, 1) for k in range(3)}
    dump = DumpSet(make_dump("train", waves))
    expected = np.mean([log_mel_statistics(dump.read(k)[None])[0] for k in range(3)], axis=0)
    np.testing.assert_allclose(mean_statistics(dump), expected, atol=1e-4)
    filtered = np.mean([log_mel_statistics(lowpass(dump.read(k), 3800.0)[None])[0] for k in range(3)], axis=0)
    np.testing.assert_allclose(mean_statistics(dump, 3800.0), filtered, atol=1e-4)


def test_whitened_control(make_dump, noise):
    """Its whitening is the one fitted on the statistics of whole utterances, speaker by speaker."""
    random = np.random.default_rng(3)
    waves = {f"{s}-{k}": np.clip(0.1 * random.normal(size=48000), -1, 1) for s in "ab" for k in range(3)}
    dump = DumpSet(make_dump("train", waves))
    for edge in (0.0, 3800.0):
        heard = [dump.read(k) if not edge else lowpass(dump.read(k), edge) for k in range(6)]
        rows = torch.from_numpy(np.concatenate([log_mel_statistics(wave[None]) for wave in heard]))
        expected = Whitening(80)
        expected.fit(rows, torch.tensor([0, 0, 0, 1, 1, 1]), SHRINKAGE)
        found = fitted_whitening(dump, edge)
        torch.testing.assert_close(found.matrix, expected.matrix, rtol=1e-3, atol=1e-3)
        torch.testing.assert_close(found.mean, expected.mean, rtol=1e-4, atol=1e-4)
    control = WhitenedControl(found)
    statistics = torch.from_numpy(log_mel_statistics(noise))
    torch.testing.assert_close(control(torch.from_numpy(noise)), (statistics - found.mean) @ found.matrix)


def test_whitened_control_needs_speakers_with_two_utterances(make_dump):
    waves = {f"{s}-0": np.full(48000, 0.1) for s in "ab"}
    with pytest.raises(ValueError, match="each of 2 speakers has one embedding only"):
        fitted_whitening(DumpSet(make_dump("train", waves)))
