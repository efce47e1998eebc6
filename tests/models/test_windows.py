"""Windows of audio of any length."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from svmixer.inference.windows import frame_windows, repeat_pad, utterance_windows, window_starts


def test_below_at_above():
    short, exact, longer = (np.arange(n) for n in (3, 8, 20))
    for protocol in ("crops", "whole"):
        assert utterance_windows(short, 8, protocol).tolist() == [[0, 1, 2, 0, 1, 2, 0, 1]]
        assert utterance_windows(exact, 8, protocol).tolist() == [list(range(8))]
    crops = utterance_windows(longer, 8, "crops", num_crops=4)
    assert crops[:, 0].tolist() == [0, 4, 8, 12]
    assert crops[:, -1].tolist() == [7, 11, 15, 19]
    whole = utterance_windows(longer, 8, "whole")
    assert whole[:, 0].tolist() == [0, 6, 12]


@given(st.integers(1, 500), st.integers(1, 60), st.integers(1, 12))
def test_whole_covers_every_sample_with_the_fewest_windows(num_samples, window, num_crops):
    windows = utterance_windows(np.arange(num_samples), window, "whole")
    assert set(windows.ravel()) == set(range(num_samples))
    assert len(windows) == max(1, -(-num_samples // window))
    crops = utterance_windows(np.arange(num_samples), window, "crops", num_crops)
    assert len(crops) == (num_crops if num_samples > window else 1)
    assert crops.shape[1] == window


@given(st.integers(0, 10**7), st.integers(2, 20))
def test_starts_are_even(rest, count):
    starts = window_starts(48000 + rest, 48000, count)
    assert starts[0] == 0
    assert starts[-1] == rest
    assert np.ptp(np.diff(starts)) <= 1


@given(st.integers(1, 200), st.integers(1, 50))
def test_repeat_pad_repeats(num_samples, window):
    wave = np.random.default_rng(0).standard_normal((2, num_samples))
    padded = repeat_pad(wave, window)
    if num_samples >= window:
        assert padded is wave
    else:
        assert padded.shape == (2, window)
        assert all((padded[:, i] == wave[:, i % num_samples]).all() for i in range(window))
    np.testing.assert_array_equal(repeat_pad(torch.from_numpy(wave), window).numpy(), padded)


@given(st.integers(1, 60), st.integers(0, 300))
def test_frame_windows_cover_each_frame_once(frames, more):
    num_frames = frames + more
    covered = []
    for first, skip in frame_windows(num_frames, frames):
        assert first + frames <= num_frames
        covered += range(first + skip, first + frames)
    assert covered == list(range(num_frames))


@pytest.mark.parametrize(
    ("wave", "options", "message"),
    [
        (np.zeros(0), {}, "empty waveform"),
        (np.zeros((2, 5)), {}, r"one channel of samples, found shape \(2, 5\)"),
        (np.zeros(5), {"protocol": "crop"}, "unknown protocol 'crop'"),
        (np.zeros(5), {"num_crops": 0}, "num_crops must be at least 1"),
    ],
)
def test_bad_input(wave, options, message):
    with pytest.raises(ValueError, match=message):
        utterance_windows(wave, 8, **options)
