"""Whitened statistics beside the backend's embedding: what they are, and how much each counts."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import scipy.signal
import torch
from random_weights import randomised

from svmixer.config import ConfigError, from_dict
from svmixer.errors import SvmixerError
from svmixer.models.config import ModelConfig, WhitenedStatisticsConfig
from svmixer.models.frontend import mel_triangles
from svmixer.models.io import load_model, save_model
from svmixer.models.speaker_model import SpeakerModel


@pytest.fixture
def model(toy_config):
    config = replace(toy_config, statistics=WhitenedStatisticsConfig(share=0.3, states=(0, 2), covariance=3))
    model = randomised(SpeakerModel(config)).eval()
    size = model.statistics.whitening.mean.shape[0]
    model.statistics.whitening.mean.copy_(torch.randn(size))
    model.statistics.whitening.matrix.copy_(torch.randn(size, size))
    return model


def test_the_statistics_are_means_deviations_and_covariances(model):
    states = torch.randn(2, 3, 24, 32)
    found = model.statistics.pool(states, torch.zeros(2, 8000)).numpy()
    x = states.numpy().astype(np.float64)
    expected = []
    for row in x:
        covariance = np.cov(row[0, :, :3].T, bias=True)[np.triu_indices(3)]
        parts = [row[0].mean(0), row[0].std(0), row[2].mean(0), row[2].std(0), covariance]
        expected.append(np.concatenate(parts))
    assert found.shape == (2, 4 * 32 + 6)
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5)


def test_log_mel_bands_below_a_telephone_s_edge(toy_config):
    """Alone, without states: what a low-pass filter and a gain leave as it is."""
    config = WhitenedStatisticsConfig(share=0.3, states=(), bands=12)
    model = SpeakerModel(replace(toy_config, statistics=config)).eval()
    assert model.config.embedding_size == 12 + 24 and "statistics.bands.waves" not in model.state_dict()
    rng = np.random.default_rng(0)
    wave = scipy.signal.lfilter([1.0], [1.0, -0.9], 0.05 * rng.standard_normal((2, 8000)))
    filtered = scipy.signal.sosfiltfilt(scipy.signal.butter(10, 6000, fs=16000, output="sos"), wave)
    states = torch.zeros(2, 3, 24, 32)
    found, after = (
        model.statistics.pool(states, torch.from_numpy(x.astype(np.float32))).numpy()
        for x in (wave, 0.5 * filtered)
    )
    assert found.shape == (2, 24) and found[:, 12:].min() > 0.05
    np.testing.assert_allclose(after, found, atol=0.01)
    # By hand: 25 ms under a Hann window every 10 ms, of a wave at -20 dB.
    x = wave[0] * 0.1 / np.sqrt(np.mean(wave[0] ** 2))
    frames = np.lib.stride_tricks.sliding_window_view(x, 400)[::160] * np.hanning(401)[:-1]
    energies = np.abs(np.fft.rfft(frames, 512)) ** 2 @ mel_triangles(12, 257, 3700.0).numpy()
    logs = (np.log(energies + 1e-6) + 4) / 4
    np.testing.assert_allclose(found[0], [*logs.mean(0), *logs.std(0)], atol=1e-3)
    with pytest.raises(ConfigError, match="states: at least one, or bands"):
        from_dict(ModelConfig, {"statistics": {"share": 0.3, "states": []}})


def test_a_cosine_is_the_mean_of_both_by_their_shares(model):
    wave = 0.1 * torch.randn(2, 8000)
    states = model.student(wave)
    whole, learned = model.from_states(states, wave), model.backend(states)
    whitened = model.statistics(states, wave)
    assert whole.shape == (2, model.config.embedding_size) == (2, 12 + 4 * 32 + 6)
    cosines = [torch.cosine_similarity(x[0], x[1], dim=0).item() for x in (whole, learned, whitened)]
    assert cosines[0] == pytest.approx(0.7 * cosines[1] + 0.3 * cosines[2], abs=1e-5)
    assert whole.norm(dim=1).tolist() == pytest.approx([1.0, 1.0], abs=1e-5)


def test_a_saved_model_gives_the_same(model, tmp_path):
    save_model(model, tmp_path / "model")
    again = load_model(tmp_path / "model")
    wave = 0.1 * np.random.default_rng(0).standard_normal(9000).astype(np.float32)
    np.testing.assert_array_equal(again.embed(wave), model.embed(wave))


def test_without_a_share_there_are_none(toy_config):
    model = SpeakerModel(toy_config)
    assert model.statistics is None and toy_config.embedding_size == 12
    assert not any(name.startswith("statistics") for name in model.state_dict())


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"share": 1.0}, "share must be at least 0 and below 1"),
        ({"share": 0.5, "states": []}, "at least one"),
        ({"share": 0.5, "states": [1, 1]}, "different numbers"),
        ({"share": 0.5, "covariance": -1}, "covariance must be at least 0"),
    ],
)
def test_bad_values_are_refused(values, message):
    with pytest.raises(ConfigError, match=message):
        from_dict(ModelConfig, {"statistics": values})


@pytest.mark.parametrize(
    ("values", "message"), [({"states": (0, 3)}, "there is no state 3"), ({"covariance": 33}, "33 of 32")]
)
def test_what_the_student_has_not_got_is_refused(values, message, toy_config):
    config = replace(toy_config, statistics=WhitenedStatisticsConfig(share=0.5, **values))
    with pytest.raises(SvmixerError, match=message):
        SpeakerModel(config)
