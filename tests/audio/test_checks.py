"""The checks that all audio passes, by hand-computed values."""

from __future__ import annotations

import io

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from svmixer.audio.checks import Downmix, as_channels, check_length, check_rate, one_channel
from svmixer.audio.errors import AudioError


def refused(function, *arguments) -> str:
    with pytest.raises(AudioError) as caught:
        function(*arguments)
    return str(caught.value)


@pytest.mark.parametrize("rate", [16000, 16000.0, np.int64(16000), np.float32(16000), 1000, 1_000_000])
def test_rates(rate):
    assert check_rate(rate) == int(rate) and type(check_rate(rate)) is int


@pytest.mark.parametrize(
    "rate", [0, -16000, 999, 1_000_001, 16000.5, float("nan"), float("inf"), True, "16000", None]
)
def test_rates_that_no_recording_has(rate):
    assert refused(check_rate, rate).startswith("bad rate: ")


@pytest.mark.parametrize(
    ("dtype", "values", "expected"),
    [
        ("int8", [-128, 64], [-1.0, 0.5]),
        ("int16", [-32768, 16384], [-1.0, 0.5]),
        ("int32", [-(2**31), 2**30], [-1.0, 0.5]),
        ("uint8", [0, 128, 192], [-1.0, 0.0, 0.5]),
        ("uint16", [0, 32768, 49152], [-1.0, 0.0, 0.5]),
        ("float16", [-1.0, 0.5], [-1.0, 0.5]),
        ("float64", [-1.0, 0.5], [-1.0, 0.5]),
        (">i2", [-32768, 16384], [-1.0, 0.5]),
    ],
)
def test_types_are_scaled_by_their_range(dtype, values, expected):
    found = as_channels(np.array(values, dtype=dtype))
    assert found.dtype == np.float32 and found.tolist() == [expected]


@pytest.mark.parametrize(
    "array",
    [
        np.arange(9), np.arange(9, dtype=np.uint32), np.ones(9, bool), np.ones(9, complex), np.array(["a"]),
        np.array([None]), b"\0\1", bytearray(8), io.BytesIO(b"x"), [[1.0], [1.0, 2.0]], "a.wav", None, {},
    ],
)  # fmt: skip
def test_types_that_say_nothing_about_full_scale(array):
    assert refused(as_channels, array).startswith("bad ")


@given(
    arrays.arrays(
        np.float32, st.tuples(st.integers(1, 8), st.integers(9, 20)), elements=st.floats(-1, 1, width=32)
    )
)
def test_either_order_of_channels_and_samples(wave):
    np.testing.assert_array_equal(as_channels(wave), wave)
    np.testing.assert_array_equal(as_channels(wave.T), wave)
    np.testing.assert_array_equal(as_channels(torch.from_numpy(wave).requires_grad_()), wave)
    np.testing.assert_array_equal(as_channels(wave[0]), wave[:1])
    np.testing.assert_array_equal(as_channels(wave.tolist()), wave)


@pytest.mark.parametrize("shape", [(), (1, 2, 3), (9, 9), (16, 48000), (48000, 9)])
def test_shapes_of_no_recording_are_named(shape):
    assert refused(as_channels, np.zeros(shape, np.float32)).endswith(f"found {shape}")


@pytest.mark.parametrize(
    ("value", "what"),
    [
        (np.nan, "non-finite: 1 of 3 samples are NaN or infinite"),
        (np.inf, "non-finite: 1 of 3"),
        (-np.inf, "non-finite: 1 of 3"),
        (1e300, "non-finite: 1 of 3"),
        (3e38, "over full scale: samples of up to 3e+38 where full scale is 1"),
        (-32768.0, "over full scale: samples of up to 32768 where"),
        (256.1, "over full scale: samples of up to 256.1 where"),
    ],
)
def test_values_that_no_recording_has(value, what):
    assert refused(as_channels, np.array([0.0, value, 0.1])).startswith(what)


def test_length():
    check_length(4800, 16000)
    check_length(1, 16000, 0.0)
    assert refused(check_length, 4799, 16000) == "too short: 0.2999 s, less than 0.3 s"
    assert refused(check_length, 0, 16000, 0.0) == "too short: 0 s, less than 0 s"


def test_silence_and_channels_that_cancel():
    wave = np.sin(np.arange(8000)).astype(np.float32)
    assert refused(one_channel, np.zeros(8000), 16000) == "all-zero: 0.50 s of digital silence"
    assert refused(one_channel, np.zeros((2, 8000)), 16000) == "all-zero: 0.50 s of digital silence"
    opposite = refused(one_channel, np.stack([wave, -wave]), 16000)
    assert opposite.startswith("all-zero: the mean of the 2 channels is silent, they cancel each other")
    # Also where dither or a slightly other gain leaves something.
    nearly = np.stack([wave, -0.9 * wave + 1e-4])
    assert "cancel each other" in refused(one_channel, nearly, 16000)
    np.testing.assert_array_equal(one_channel(np.stack([wave, -wave]), 16000, channel=0), wave)
    np.testing.assert_array_equal(one_channel(np.stack([wave, -wave]), 16000, channel=1), -wave)
    np.testing.assert_array_equal(one_channel(np.stack([wave, 0 * wave]), 16000), wave / 2)


@pytest.mark.parametrize("channel", [2, -1])
def test_a_channel_that_is_not_there(channel):
    what = f"no such channel: channel {channel} (counted from 0), and the recording has 2 channels"
    assert refused(one_channel, np.ones((2, 8000)), 16000, channel) == what


@pytest.mark.parametrize(
    ("second", "differing"), [("same", False), ("soft copy", False), ("other", True), ("unused", False)]
)
def test_different_sounds_on_two_channels(second, differing):
    rng = np.random.default_rng(0)
    one = rng.standard_normal(8000).astype(np.float32)
    two = {"same": one, "soft copy": 0.5 * one, "other": rng.standard_normal(8000), "unused": 1e-3 * one}[
        second
    ]
    downmix = Downmix()
    for part in (slice(0, 3000), slice(3000, 8000)):
        mono = downmix(np.stack([one, two]).astype(np.float32)[:, part])
        np.testing.assert_allclose(mono, (one + two)[part] / 2, atol=1e-6)
    assert downmix.differing is differing


def test_32_bits_that_hold_fewer():
    wave = np.sin(np.arange(8000))
    for bits in (15, 23):
        narrow = np.round(wave * 2**bits).astype(np.int32)
        assert "int32 with values of 24 bits or fewer" in refused(one_channel, narrow, 16000)
    np.testing.assert_allclose(one_channel((wave * 2**31).astype(np.int32), 16000), wave, atol=1e-6)


def test_half_precision_tensors():
    wave = torch.linspace(-1, 1, 8000).to(torch.bfloat16)
    np.testing.assert_array_equal(as_channels(wave)[0], wave.float().numpy())


def test_pieces_of_other_channels_are_no_pieces_of_the_recording():
    downmix = Downmix()
    downmix(np.ones((2, 5), np.float32))
    assert refused(downmix, np.ones((1, 5), np.float32)) == "bad shape: 1 channels, and 2 before"
    assert refused(Downmix, True) == "no such channel: expected a number from 0, found True"
    assert refused(Downmix, "0") == "no such channel: expected a number from 0, found '0'"
