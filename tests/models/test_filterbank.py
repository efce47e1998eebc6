"""The mel filterbank that a front end may start from."""

import numpy as np
import pytest
import torch

from svmixer.models.config import FrontendConfig
from svmixer.models.filterbank import mel_centres, mel_wavelets
from svmixer.models.frontend import ConvFrontend


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
