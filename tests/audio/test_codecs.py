"""Speech codecs: what they leave of a signal, and what is said where one is missing."""

import numpy as np
import pytest
from test_channels import talk

from svmixer.audio import codecs
from svmixer.audio.channels import prepare
from svmixer.config import ConfigError


def snr_db(wave, result):
    noise = result.astype(float) - wave
    return 10 * np.log10(np.mean(wave.astype(float) ** 2) / np.mean(noise**2))


@pytest.mark.parametrize("name", ["mulaw", "alaw"])
@pytest.mark.parametrize("amplitude", [0.5, 0.05])
def test_logarithmic_codes_have_38_db_at_all_levels(name, amplitude):
    """Theory of G.711 (Jayant and Noll, Digital Coding of Waveforms): 38 dB over a wide range of levels."""
    time = np.arange(32000) / 16000
    # Two incommensurable tones within the telephone band.
    wave = (
        amplitude * (0.5 * np.sin(2 * np.pi * 731.3 * time) + 0.5 * np.sin(2 * np.pi * 1377.7 * time))
    ).astype(np.float32)
    result = codecs.transmit(wave, name, 64000)
    assert 35 < snr_db(wave[2000:-2000], result[2000:-2000]) < 41


def test_codecs_shape_the_waveform_by_their_bit_rate():
    """More bits, more of the waveform; the order of the codecs is that of their rates."""
    wave = talk(32000)
    for name, low, high in (("amrnb", 4750, 12200), ("opus", 6000, 24000), ("mp3", 16000, 48000)):
        few, many = (snr_db(wave, codecs.transmit(wave, name, rate)) for rate in (low, high))
        assert many > few + 1.5
    assert snr_db(wave, codecs.transmit(wave, "g722", 64000)) > 20


@pytest.mark.parametrize("name", [*codecs.CODECS, codecs.GSM])
@pytest.mark.parametrize("num", [1, 777, 16001])
def test_length_is_kept(name, num):
    result = codecs.transmit(
        talk(16001)[:num], name, 13000 if name == codecs.GSM else codecs.CODECS[name].bit_rates[0]
    )
    assert result.shape == (num,) and result.dtype == np.float32


def test_rates_are_drawn_from_the_codecs_own():
    rng = np.random.default_rng(0)
    drawn = {codecs.draw_bit_rate("amrnb", rng) for _ in range(200)}
    assert drawn == {4750, 5150, 5900, 6700, 7400, 7950, 10200, 12200}
    assert codecs.draw_bit_rate("gsm", rng) == 13000


def test_a_missing_encoder_is_named(monkeypatch):
    """As of AMR-WB in PyAV's wheels."""
    wide_band = codecs.Codec(16000, "libvo_amrwbenc", "amrwb", (12650,))
    monkeypatch.setitem(codecs.CODECS, "amrnb", wide_band)
    with pytest.raises(
        ConfigError, match="channel family amrnb: the codec amrnb needs FFmpeg's 'libvo_amrwbenc'"
    ):
        prepare("amrnb")
    monkeypatch.setattr(codecs, "find_spec", lambda name: None)
    with pytest.raises(ConfigError, match="needs av, which is not installed: pip install"):
        prepare("opus")
    prepare("gsm")
