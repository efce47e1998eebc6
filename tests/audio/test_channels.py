"""Telephone and far-field channels: alignment, bands, packets, gain control, rooms, configuration."""

import pickle
from pathlib import Path

import numpy as np
import pytest
from scipy import signal

from svmixer.audio import channels
from svmixer.audio.augment import Augmenter
from svmixer.audio.augment_config import (
    CHANNELS,
    TRAINING_CHANNELS,
    AugmentConfig,
    ChannelConfig,
    SourceConfig,
)
from svmixer.audio.channels import ChannelSimulator, through_channel
from svmixer.config import ConfigError, from_dict

RATE = 16000
# Nothing but band, codec and level.
PLAIN = ChannelConfig(response_db=(0.0, 0.0), agc_prob=0.0, clip_prob=0.0, loss_prob=0.0)


def talk(num=24000, seed=0):
    """Noise with a spectrum and syllables as speech has."""
    rng = np.random.default_rng(seed)
    shape = signal.butter(1, [200, 2000], "band", fs=RATE)
    wave = signal.lfilter(*shape, rng.standard_normal(num))
    wave *= 0.55 + 0.45 * np.sin(2 * np.pi * 3 * np.arange(num) / RATE)
    return (0.1 * wave / wave.std()).astype(np.float32)


def band_db(wave, low, high):
    """Power between two frequencies, dB."""
    frequency, density = signal.welch(wave.astype(float), RATE, nperseg=4096)
    inside = (frequency >= low) & (frequency < high)
    return 10 * np.log10(density[inside].mean())


@pytest.mark.parametrize("family", CHANNELS)
def test_the_same_generator_gives_the_same_samples(family):
    wave, config = talk(12345), ChannelConfig()
    wave.flags.writeable = False
    first = through_channel(wave, family, config, np.random.default_rng(3))
    assert first.dtype == np.float32 and first.shape == wave.shape and np.isfinite(first).all()
    through_channel(talk(5000, 1), family, config, np.random.default_rng(9))
    assert np.array_equal(first, through_channel(wave, family, config, np.random.default_rng(3)))
    assert not np.array_equal(first, through_channel(wave, family, config, np.random.default_rng(4)))
    # As loud as before.
    assert np.mean(first.astype(float) ** 2) == pytest.approx(np.mean(wave.astype(float) ** 2), rel=1e-3)


@pytest.mark.parametrize("family", [name for name, channel in CHANNELS.items() if channel.rooms is None])
def test_nothing_is_delayed(family):
    wave, num = talk(), 24000
    for seed in range(3):
        result = through_channel(wave, family, PLAIN, np.random.default_rng(seed))
        spectra = np.fft.rfft(result, 2 * num), np.fft.rfft(wave, 2 * num)
        lag = (np.argmax(np.fft.irfft(spectra[0] * spectra[1].conj())) + num) % (2 * num) - num
        assert abs(lag) <= 2


def test_silence_stays_as_it_is():
    wave = np.zeros(8000, np.float32)
    assert through_channel(wave, "gsm", ChannelConfig(), np.random.default_rng(0)) is wave


def test_band_of_a_telephone_and_of_a_wider_one():
    """Edges of narrow lines lie at 200–350 and 3200–3600 Hz, those of G.722 at 50–150 and 6500–7200 Hz."""
    rng = np.random.default_rng(0)
    wave = (0.1 * rng.standard_normal(10 * RATE)).astype(np.float32)
    for seed in range(4):
        narrow = through_channel(wave, "mulaw", PLAIN, np.random.default_rng(seed))
        # What µ-law adds is 38 dB below the signal.
        assert band_db(narrow, 0, 90) - band_db(narrow, 600, 2900) < -30
        assert band_db(narrow, 3900, 7900) - band_db(narrow, 600, 2900) < -30
        assert abs(band_db(narrow, 600, 1600) - band_db(narrow, 1900, 2900)) < 0.5
        wide = through_channel(wave, "g722", PLAIN, np.random.default_rng(seed))
        assert abs(band_db(wide, 300, 3000) - band_db(wide, 4200, 6000)) < 1
        # G.722 has 2 bits a sample from 4 kHz on: its noise there is 10 dB and more below the signal.
        assert band_db(wide, 7700, 7990) - band_db(wide, 300, 6000) < -10
        assert band_db(wide, 0, 20) - band_db(wide, 300, 6000) < -15


@pytest.mark.parametrize(("share", "burst"), [(0.05, 1.0), (0.1, 3.0), (0.3, 2.0)])
def test_share_and_bursts_of_lost_packets(share, burst):
    lost = channels.lost_packets(200_000, share, burst, np.random.default_rng(0))
    assert lost.mean() == pytest.approx(share, rel=0.05)
    starts = np.count_nonzero(lost[1:] & ~lost[:-1]) + lost[0]
    # A burst of one is followed by what arrives: it cannot begin again at once.
    assert lost.sum() / starts == pytest.approx(burst, rel=0.05)


def test_concealment_by_hand():
    """Packets of 320 samples with the values 1 to 6, of which the first, third and fourth are lost."""
    wave = np.repeat(np.arange(1, 7, dtype=np.float32), 320)[:-20]
    lost = np.array([True, False, True, True, False, False])
    expected = {"repeat": [0, 2, 2, 2, 5, 6], "fade": [0, 2, 1, 0.5, 5, 6], "silence": [0, 2, 0, 0, 5, 6]}
    for how, values in expected.items():
        result = channels.conceal(wave, lost, how)
        np.testing.assert_array_equal(result, np.repeat(np.float32(values), 320)[:-20])


def test_the_chain_loses_the_share_it_is_told():
    """With silence in place of lost packets, a fifth of the packets is silent."""
    config = ChannelConfig(response_db=(0, 0), agc_prob=0, clip_prob=0, loss_prob=1, loss_share=(0.2, 0.2))
    rng = np.random.default_rng(5)
    wave, silent = (0.1 * rng.standard_normal(30 * RATE)).astype(np.float32), []
    for seed in range(24):
        result = through_channel(wave, "alaw", config, np.random.default_rng(seed))
        share = np.mean(np.abs(result.reshape(-1, 320)).max(axis=1) == 0)
        if share > 0.01:  # a third of the draws; the others repeat
            silent.append(share)
    assert 3 <= len(silent) <= 15
    assert np.mean(silent) == pytest.approx(0.2, abs=0.03)


def test_response_of_a_device():
    gains = np.array([-6.0, 3.0, 0.0, 5.0, -4.0, 2.0, 6.0, -9.0])
    response = channels.device_response(gains)
    spectrum = np.abs(np.fft.rfft(response, 1 << 16))
    octaves = (np.array([62.5, 125, 250, 500, 1000, 2000, 4000, 8000]) * (1 << 16) / RATE).astype(int)
    np.testing.assert_allclose(20 * np.log10(spectrum[octaves]), gains, atol=0.5)
    # Minimum phase: the first sample is the geometric mean of the magnitude over the whole circle.
    line = np.interp(np.log2(np.maximum(np.arange(32769) * RATE / (1 << 16) / 62.5, 1)), np.arange(8), gains)
    circle = (line[0] + line[-1] + 2 * line[1:-1].sum()) / (1 << 16)
    assert 20 * np.log10(response[0]) == pytest.approx(circle, abs=0.05)
    np.testing.assert_allclose(channels.device_response(np.zeros(8)), np.eye(1, 512)[0], atol=1e-6)


def test_gain_control_evens_out_a_step():
    """The second half is 20 dB quieter; a control of 6 dB moves each half by no more than that."""
    wave = (0.1 * np.random.default_rng(0).standard_normal(8 * RATE)).astype(np.float32)
    wave[4 * RATE :] *= 0.1

    def step(result):
        early, late = result[2 * RATE : 4 * RATE], result[7 * RATE :]
        return 10 * np.log10(np.mean(early.astype(float) ** 2) / np.mean(late.astype(float) ** 2))

    assert step(wave) == pytest.approx(20, abs=0.5)
    assert step(channels.control_gain(wave, 40.0)) == pytest.approx(0, abs=1.5)
    # The loud half lies 3 dB over the mean, the quiet one 17 dB under it.
    assert step(channels.control_gain(wave, 6.0)) == pytest.approx(20 - 3 - 6, abs=1)


def test_clipping_and_level_come_before_the_codec(monkeypatch):
    sent = []
    monkeypatch.setattr(channels.codecs, "transmit", lambda wave, *_: sent.append(wave) or wave)
    config = ChannelConfig(response_db=(0, 0), agc_prob=0, clip_prob=1, clip_ratio=(0.3, 0.3), loss_prob=0,
                           level_db=(-26, -26))  # fmt: skip
    through_channel(talk(), "mulaw", config, np.random.default_rng(0))
    (wave,) = sent
    assert 10 * np.log10(np.mean(wave.astype(float) ** 2)) == pytest.approx(-26, abs=0.01)
    assert np.mean(np.abs(wave) > 0.999 * np.abs(wave).max()) > 0.01


def test_images_of_a_room_by_hand():
    """Talker 1 m from the microphone along a room; the floor and the ceiling reflect first."""
    size, talker, microphone = np.array([6.0, 5.0, 3.0]), np.array([2.0, 2.0, 1.5]), np.array([3.0, 2.0, 1.5])
    response = channels.image_sources(size, talker, microphone, 0.4)
    assert response.shape == (6400,)
    direct = round(16000 / 343)
    assert np.flatnonzero(response)[0] == direct and response[direct] == pytest.approx(1.0)
    # Eyring: absorption = 1 − exp(−24 ln 10 V / (c S T)); both images lie √(1 + 3²) m away.
    reflection = np.sqrt(np.exp(-24 * np.log(10) * 90 / (343 * 126 * 0.4)))
    far = np.sqrt(10)
    assert response[round(far * 16000 / 343)] == pytest.approx(2 * reflection / far, rel=1e-3)
    assert np.flatnonzero(response)[1] == round(far * 16000 / 343)


def test_rooms_decay_as_pyroomacoustics_has_it():
    """Energy decay curves of the same room agree within 1.5 dB down to −30 dB."""
    rooms = pytest.importorskip("pyroomacoustics")
    size, talker, microphone = np.array([5.0, 4.0, 2.7]), np.array([1.1, 3.1, 1.6]), np.array([3.2, 1.2, 1.2])
    ours = channels.image_sources(size, talker, microphone, 0.35)
    volume, surface = float(np.prod(size)), 2 * (5 * 4 + 5 * 2.7 + 4 * 2.7)
    absorption = 1 - np.exp(-24 * np.log(10) * volume / (343 * surface * 0.35))
    rooms.constants.set("c", 343.0)
    room = rooms.ShoeBox(size, RATE, materials=rooms.Material(absorption), max_order=60)
    room.add_source(talker)
    room.add_microphone(microphone)
    room.compute_rir()
    theirs = room.rir[0][0]
    # All images of a room add up in phase at 0 Hz; no speech is there.
    shape = signal.butter(4, 100, "high", fs=RATE, output="sos")
    ours, theirs = (signal.sosfilt(shape, wave) for wave in (ours, theirs))
    theirs = theirs[np.argmax(np.abs(theirs)) - np.argmax(np.abs(ours)) :][: len(ours)]
    curves = [10 * np.log10(np.cumsum(wave[::-1] ** 2)[::-1] / np.sum(wave**2)) for wave in (ours, theirs)]
    heard = curves[1] > -30
    assert heard.sum() > 2000
    np.testing.assert_allclose(curves[0][heard], curves[1][heard], atol=1.5)


def test_rooms_are_always_the_same():
    rooms = CHANNELS["room"].rooms
    first = channels.room_response(rooms, 5)
    channels.room_response.cache_clear()
    assert np.array_equal(first, channels.room_response(rooms, 5))
    assert not np.array_equal(first[:2000], channels.room_response(rooms, 6)[:2000])
    assert not np.array_equal(first[:2000], channels.room_response(CHANNELS["hall"].rooms, 5)[:2000])


def test_families_are_drawn_equally_often_and_sent_to_workers(monkeypatch):
    simulator = pickle.loads(pickle.dumps(ChannelSimulator(ChannelConfig())))
    drawn = []
    monkeypatch.setattr(channels, "through_channel", lambda wave, family, *_: drawn.append(family) or wave)
    rng = np.random.default_rng(0)
    for _ in range(3000):
        simulator(np.zeros(4, np.float32), rng)
    assert set(drawn) == set(TRAINING_CHANNELS)
    assert min(drawn.count(name) for name in TRAINING_CHANNELS) > 430


def test_some_families_are_held_out():
    held_out = {name for name, channel in CHANNELS.items() if channel.use == "test"}
    assert held_out == {"amrnb", "opus", "hall"} and not held_out & set(ChannelConfig().families)
    # Nothing that is held out comes in through another family either.
    for key in ("codec", "rooms"):
        train, test = (
            {getattr(channel, key) for channel in CHANNELS.values() if channel.use == use}
            for use in ("train", "test")
        )
        assert train & test <= {"", None}


def test_the_page_has_the_same_table():
    text = (Path(__file__).resolve().parents[2] / "docs/channels.md").read_text(encoding="utf-8")
    text = text.replace("\N{EN DASH}", "-")
    rows = [
        [cell.strip() for cell in line.split("|")[1:-1]] for line in text.splitlines() if "| `" in line[:4]
    ]
    table = {row[0].strip("`"): row[1:] for row in rows if len(row) == 6}
    assert list(table) == list(CHANNELS)
    for name, channel in CHANNELS.items():
        use, codec, band, packets, rooms = table[name]
        low, high = ("{:g}-{:g}".format(*edges) for edges in (channel.low_hz, channel.high_hz))
        assert (use, band, packets) == (channel.use, f"{low} to {high}", "yes" if channel.packets else "no")
        assert (codec == "none") == (not channel.codec)
        found = channel.rooms
        assert rooms == (
            "RT60 {:g}-{:g} s, {:g}-{:g} m".format(*found.rt60, *found.distance) if found else "no"
        )


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ({"family": ["gsm"]}, "unknown key 'channel.family'.*'families'"),
        ({"families": ["gsm", "gsm"]}, "channel.families: one is given twice: gsm, gsm"),
        ({"families": ["gms"]}, "channel.families: no channel family 'gms'; did you mean 'gsm'"),
        (
            {"families": ["gsm", "opus"]},
            "families: opus is held out for the test condition; take some of mulaw",
        ),
        ({"families": []}, "channel.families: none given"),
        ({"prob": 1.5}, "channel.prob: must be between 0 and 1"),
        ({"loss_share": [0.2, 0.1]}, "channel.loss_share: expected lowest and highest, found 0.2, 0.1"),
        ({"loss_share": [0.2, 0.9]}, "channel.loss_share: must not exceed 0.5, found 0.9"),
        ({"level_db": [-30, 3]}, "channel.level_db: must be between -60 and 0"),
        ({"loss_burst": [0.5, 3]}, "channel.loss_burst: must be between 1 and 50"),
    ],
)
def test_mistakes_in_the_configuration(data, message):
    with pytest.raises(ConfigError, match=message):
        from_dict(AugmentConfig, {"channel": data})


def test_the_channel_comes_after_the_source():
    """The source is drawn as without a channel; the channel then goes on with the same generator."""
    wave, sources, config = talk(), (SourceConfig("coloured"),), ChannelConfig(prob=1.0, families=("mulaw",))
    both = AugmentConfig(prob=1.0, sources=sources, band_prob=0.0, channel=config)
    result = Augmenter(both)(wave, np.random.default_rng(7))
    rng = np.random.default_rng(7)
    noisy = Augmenter(AugmentConfig(prob=1.0, sources=sources))._effects[0]
    rng.random(2)  # whether a source, and which
    expected = noisy(wave, rng, None)
    assert rng.random() < config.prob
    assert rng.integers(len(config.families)) == 0
    np.testing.assert_array_equal(result, through_channel(expected, "mulaw", config, rng))
