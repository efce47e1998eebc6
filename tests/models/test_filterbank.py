"""The mel filterbank that a front end may start from."""

import numpy as np
import pytest
import torch
from scipy.fft import dct

from svmixer.models.config import FrontendConfig
from svmixer.models.frontend import (
    ConvFrontend,
    LogMel,
    mel_centres,
    mel_triangles,
    mel_wavelets,
    start_as_cepstrum,
)


def response(wavelets: torch.Tensor) -> np.ndarray:
    """Amplitude at every hertz from 0 to 8 kHz."""
    return np.abs(np.fft.rfft(wavelets.numpy(), 16000, axis=1))


def test_bands_lie_on_the_mel_scale():
    centres = mel_centres(3)
    # 30 Hz is 47.3 mel and 7,900 Hz 2,827.1 mel: four steps of 694.9 mel.
    np.testing.assert_allclose(centres, [30.0, 651.7, 1803.6, 3937.5, 7900.0], rtol=3e-3)


def test_every_filter_peaks_at_its_centre_and_meets_its_neighbours_at_half():
    wavelets = mel_wavelets(64, 400)
    spectrum = response(wavelets)[::4]
    centres = mel_centres(16)[1:-1]
    np.testing.assert_allclose(spectrum.argmax(axis=1), centres, atol=3)
    edges = mel_centres(16)
    for band in range(4, 12):
        low, high = (edges[band] + edges[band + 2]) / 2 + (edges[band + 2] - edges[band]) / 4 * np.array(
            [-1, 1]
        )
        width = (spectrum[band] > spectrum[band].max() / 2).sum()
        assert width == pytest.approx(high - low, rel=0.03)


def test_filters_have_unit_norm_and_opposite_phases_cancel():
    wavelets = mel_wavelets(32, 400)
    torch.testing.assert_close(wavelets.norm(dim=1), torch.ones(32))
    phases = wavelets.view(8, 4, 400)
    torch.testing.assert_close(phases[:, 0], -phases[:, 2])
    torch.testing.assert_close(phases[:, 1], -phases[:, 3])


def test_a_tone_comes_out_of_its_band_whatever_its_phase():
    wavelets = mel_wavelets(64, 400).view(16, 4, 400)
    centre = mel_centres(16)[9]
    time = np.arange(400) / 16000
    energies = []
    for phase in np.linspace(0, 3, 7):
        tone = torch.tensor(np.cos(2 * np.pi * centre * time + phase), dtype=torch.float32)
        energies.append((wavelets @ tone).square().sum(dim=1))
    energies = torch.stack(energies)
    assert (energies.argmax(dim=1) == 8).all()
    assert energies[:, 8].std() / energies[:, 8].mean() < 0.01


def test_a_front_end_starts_from_it():
    shape = {"channels": (32, 8), "kernels": (400, 2), "strides": (160, 2), "norm": "layer_norm"}
    started = ConvFrontend(FrontendConfig(**shape, first_layer="mel"))
    assert torch.equal(started[0].conv.weight[:, 0], mel_wavelets(32, 400))
    assert started[0].conv.weight.requires_grad
    assert not torch.equal(ConvFrontend(FrontendConfig(**shape))[0].conv.weight[:, 0], mel_wavelets(32, 400))
    assert started(torch.randn(2, 48000)).shape == (2, 149, 8)


def test_the_channels_must_hold_whole_bands():
    with pytest.raises(ValueError, match="multiple of 4, found 6"):
        FrontendConfig(channels=(6,), kernels=(400,), strides=(160,), first_layer="mel")


def test_triangles_rise_from_one_centre_to_the_next():
    weights = mel_triangles(3, 8001).numpy()  # a frequency every hertz
    low, first, second, third, _ = np.round(mel_centres(3)).astype(int)
    assert weights.argmax(axis=0) == pytest.approx([first, second, third], abs=1)
    np.testing.assert_allclose(weights[[low, second], 0], 0.0, atol=2e-3)
    # In the middle of two centres both neighbours have half their weight.
    np.testing.assert_allclose(weights[(first + second) // 2], [0.5, 0.5, 0.0], atol=2e-3)


def test_no_band_is_empty():
    """The lowest of 80 bands are narrower than the distance of two frequencies."""
    assert (mel_triangles(80, 257).sum(dim=0) > 0.9).all()


def test_log_mel_is_that_of_the_spectrum():
    wave = 0.1 * torch.randn(2, 1600, generator=torch.Generator().manual_seed(0))
    bands = LogMel(12, 400, 160)(wave.unsqueeze(2))
    assert bands.shape == (2, 8, 12)
    frames = np.lib.stride_tricks.sliding_window_view(wave.numpy(), 400, axis=1)[:, ::160]
    power = np.abs(np.fft.rfft(frames * np.hanning(401)[:400], 512)) ** 2
    expected = (np.log(power @ mel_triangles(12, 257).numpy() + 1e-6) + 4) / 4
    np.testing.assert_allclose(bands.numpy(), expected, atol=1e-4)


def test_a_gain_adds_the_same_to_every_band():
    wave = torch.randn(1, 4000, 1, generator=torch.Generator().manual_seed(0))
    mel = LogMel(12, 400, 160)
    difference = mel(10 * wave) - mel(wave)
    torch.testing.assert_close(difference, torch.full_like(difference, np.log(100) / 4), atol=1e-4, rtol=0)
    # Digital silence is finite.
    torch.testing.assert_close(mel(0 * wave), torch.full((1, 23, 12), (np.log(1e-6) + 4) / 4))


def test_a_front_end_of_log_mel_bands():
    front = ConvFrontend(
        FrontendConfig((12, 8), (400, 2), (160, 2), norm="layer_norm", first_layer="log_mel")
    )
    assert front(torch.randn(2, 48000)).shape == (2, 149, 8)
    assert sum(p.numel() for p in front.parameters()) == 12 * 8 * 2 + 2 * 8
    # What is fixed is not saved.
    assert set(front.state_dict()) == {"1.conv.weight", "1.layer_norm.weight", "1.layer_norm.bias"}


def test_log_mel_has_no_norm_over_time():
    with pytest.raises(ValueError, match="norm layer_norm"):
        FrontendConfig((12,), (400,), (160,), first_layer="log_mel")


def test_a_projection_starts_as_the_cepstrum():
    linear = torch.nn.Linear(6, 8)
    rest = linear.weight[6:].clone()
    start_as_cepstrum(linear)
    bands = torch.randn(5, 6)
    np.testing.assert_allclose(linear(bands)[:, :6].detach(), dct(bands.numpy(), norm="ortho"), atol=1e-5)
    assert torch.equal(linear.weight[6:], rest)
    narrow = torch.nn.Linear(6, 2)
    start_as_cepstrum(narrow)
    torch.testing.assert_close(narrow(bands), linear(bands)[:, :2])
